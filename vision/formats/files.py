"""What the readers share: bounded reading of small text files, images of a folder, sizes of images."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from shared.batch.sources import IMAGE_SUFFIXES
from shared.errors import DataError, InputError
from vision.images import size_of

MAX_TEXT = 64 * 1024 * 1024
"""Bytes of one label file or list that are read; larger ones are refused before they are opened."""


def read_text(file: Path, *, most: int = MAX_TEXT) -> str:
    """A small text file whole.

    Raises:
        DataError: it cannot be read, is no UTF-8, or is larger than ``most`` bytes.
    """
    return decoded(file, read_bytes(file, most=most))


def read_bytes(file: Path, *, most: int = MAX_TEXT) -> bytes:
    """A small file whole.

    Raises:
        DataError: it cannot be read, or is larger than ``most`` bytes.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise DataError(f"{file} must be a readable file. {error}") from error
    if len(content) > most:
        raise DataError(f"{file} must hold at most {most:,} bytes to be read as labels. It holds more")
    return content


def decoded(file: Path, content: bytes) -> str:
    """Bytes as text.

    Raises:
        DataError: they are no UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} must be text in UTF-8. {error}") from error


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder and below it, in order of their paths; hidden ones are left out."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        ]
    return sorted(found)


def inside(name: str, where: str) -> str:
    """A path that stays inside its folder.

    Raises:
        DataError: it is empty, absolute, or leads outside.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise DataError(f"{where} must be a path inside the folder of the images. Got {name!r} instead")
    return name


def size_or_fault(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Height and width of the upright picture as its header says; or ``None`` and why not."""
    try:
        return size_of(path), ""
    except InputError as error:
        return None, str(error)
