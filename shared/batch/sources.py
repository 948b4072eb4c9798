"""Names on the command line to files: a path, a folder or a glob."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from typing import NoReturn

from shared.errors import UsageError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What a folder's file must end in, in any case, to count as an image."""

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
"""What a file must end in, in any case, to count as a video."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether the text begins with a scheme, as ``https://`` does."""
    return _URL.match(text) is not None


def expand(text: str) -> Iterator[str]:
    """The files that one input of an image task stands for.

    Args:
        text: an existing file, or a URL: itself. A folder: the image files in it and below, by suffix, in a
            fixed order (a folder's own files by name, then its folders by name). A glob (``*``, ``?``, ``[...]``,
            and ``**`` for any depth): the files that match, sorted. Anything else is handed on as it is, for the
            task to refuse. Names that begin with a dot are left out, and links to folders are not followed.

    Raises:
        UsageError: a folder has no images, a glob matches no file, or a folder cannot be listed.

    Example:
        >>> list(expand("street.jpg"))
        ['street.jpg']
    """
    if os.path.isdir(text):
        return files_below(text, IMAGE_SUFFIXES)
    if is_url(text) or os.path.lexists(text) or not glob.has_magic(text):
        return iter((text,))
    return iter(files_matching(text))


def files_below(folder: str, suffixes: frozenset[str]) -> Iterator[str]:
    """Paths in and below ``folder`` that end in one of ``suffixes``, in a fixed order, as they are found.

    Raises:
        UsageError: there are none, or a folder cannot be listed.
    """
    found = False
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                found = True
                yield os.path.join(root, name)
    if not found:
        raise UsageError(f"the folder {folder} must have files ending in {', '.join(sorted(suffixes))}. It has none")


def files_matching(pattern: str) -> list[str]:
    """Paths of the files that match a glob, sorted.

    Raises:
        UsageError: there are none.
    """
    found = sorted(path for path in glob.iglob(pattern, recursive=True) if not os.path.isdir(path))
    if not found:
        raise UsageError(f"the glob must match at least one file. Nothing matches {pattern}")
    return found


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"every folder of the input must be readable. {error}") from error
