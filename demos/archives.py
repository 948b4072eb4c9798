"""A data set that comes as one zip: unpacked within bounds, and never outside of its folder."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from shared.errors import InputError

MOST_FILES = 1_000
MOST_BYTES = 200_000_000
_TELLING = (".json", ".yaml", ".yml", ".csv", ".txt")
"""Endings of files that tell of a whole data set."""
_LOCKED = 0x1
"""The bit of an entry that says that it is encrypted (APPNOTE 6.3.10, section 4.4.4)."""
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError
)  # fmt: skip
"""What reading a damaged zip raises."""


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a zip, and give the folder of the data set: where all of it lies in one folder, that one.

    Args:
        archive: the zip.
        into: an empty folder.

    Raises:
        InputError: it is no zip, is damaged or locked, holds too much, or names a place outside of ``into``.
    """
    try:
        with zipfile.ZipFile(archive) as held:
            entries = [entry for entry in held.infolist() if not entry.is_dir() and not _is_litter(entry.filename)]
            _check(archive.name, entries)
            for entry in entries:
                with held.open(entry) as stream:  # no more than it says: the bound is on what it says
                    content = stream.read(entry.file_size)
                _write(into / entry.filename, content, f"{archive.name} holds {entry.filename[:80]!r}")
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError("bad-archive", f"{archive.name} must be a zip that can be read. {error}") from error
    return into / root_of([entry.filename for entry in entries])


def _write(place: Path, content: bytes, what: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    except OSError as error:  # its own words would say where that is
        raise InputError("bad-archive", f"{what}, which cannot be unpacked: {error.strerror}") from error


def root_of(names: Sequence[str]) -> str:
    """The one folder in which a data set lies within its zip, or empty where it lies at the top.

    Example:
        >>> root_of(["pets/cat/1.jpg", "pets/dog/2.jpg"]), root_of(["cat/1.jpg", "dog/2.jpg"]), root_of(["cat/1.jpg"])
        ('pets', '', '')
    """
    parts = [name.split("/") for name in names if not _is_litter(name) and not name.endswith("/")]
    tops = {part[0] for part in parts}
    if len(tops) != 1 or min(map(len, parts)) < 2:
        return ""
    told = any(len(part) > 2 or part[-1].lower().endswith(_TELLING) for part in parts)
    return tops.pop() if told else ""


def inside(archive: Path) -> str:
    """:func:`root_of` a zip that lies here; empty where it cannot be read."""
    try:
        with zipfile.ZipFile(archive) as held:
            return root_of(held.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return ""


def _check(name: str, entries: list[zipfile.ZipInfo]) -> None:
    total = sum(entry.file_size for entry in entries)
    if not entries or len(entries) > MOST_FILES or total > MOST_BYTES:
        raise InputError(
            "bad-archive",
            f"{name} must hold 1 to {MOST_FILES:,} files of at most {MOST_BYTES // 1_000_000} MB in all. "
            f"Got {len(entries):,} of {total / 1_000_000:.0f} MB",
        )
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if entry.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise InputError("bad-archive", f"{name} must name files inside of itself. Got {entry.filename!r}")
        if entry.flag_bits & _LOCKED:
            raise InputError("bad-archive", f"{name} must not be locked by a password. {entry.filename!r} is")


def _is_litter(name: str) -> bool:
    """Whether it is what a system adds to a zip on its own."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db")
