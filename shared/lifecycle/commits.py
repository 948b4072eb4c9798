"""Files that a kill leaves whole: written beside their place, flushed, renamed, and the folder flushed."""

from __future__ import annotations

import os
from pathlib import Path

from shared.errors import DataError


def commit(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one whole, and the new one for good.

    Raises:
        DataError: the disk is full or refuses.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path} could not be written: {error.strerror}. Mend this, then go on") from error


def sync_files(folder: Path) -> None:
    """Flush every file in and below a folder, and what the folders list."""
    for path in (*folder.rglob("*"), folder):
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Flush what a folder lists, so that a rename in it outlives the machine; or a file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
