"""What stands in a tar archive, by its headers alone: names, places and sizes, and what is wrong with each member."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from shared.batch.stores import open_binary, stat
from shared.errors import DataError

_MOST_HEADER = 1 << 20  # bytes of headers before one member; more is an attack on memory
_BLOCK = 512


class Member(NamedTuple):
    """A member of an archive.

    Attributes:
        name: as the archive has it.
        offset: where its bytes begin.
        size: how many they are.
        fault: kind and message of what is wrong with it; empty when nothing is.
    """

    name: str
    offset: int
    size: int
    fault: tuple[str, str] | tuple[()] = ()


class _Headers:
    """A stream that gives headers, and refuses a member that has too much of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.left = _MOST_HEADER

    def read(self, size: int = -1) -> bytes:
        """So many bytes, as long as there are any left for this member."""
        if not 0 <= size <= self.left:
            raise tarfile.ReadError(f"headers of {_MOST_HEADER - self.left + size:,} bytes before one member")
        self.left -= size
        return self._file.read(size)


def scan(path: str) -> Iterator[Member]:
    """The members of an archive in their order, by their headers alone; folders are left out.

    Raises:
        DataError: it cannot be read, or does not begin as a tar does.
    """
    try:
        end = stat(path).size
        with open_binary(path) as file:
            yield from _scan(path, file, end)
    except OSError as error:
        raise DataError(f"{path} must be readable. {error}") from error


def _scan(path: str, file: BinaryIO, end: int) -> Iterator[Member]:
    if not end:
        raise DataError(f"{path} must be a tar archive. It has 0 bytes")
    place, begun, headers = 0, False, _Headers(file)
    try:
        with tarfile.open(fileobj=cast(BinaryIO, headers), mode="r:", errors="surrogateescape") as archive:
            begun = True
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                yield from _member(info, end)
                if archive.offset <= place:
                    raise tarfile.ReadError("a header that leads backwards")
                place, headers.left = archive.offset, _MOST_HEADER
                if place > end:
                    return
    except (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError) as error:
        if not begun:
            raise DataError(f"{path} must be a tar archive. {error}") from error
        yield _no_tar(path, place, end, str(error))
        return
    file.seek(place)
    rest = file.read(_BLOCK)
    if rest.strip(b"\0"):
        yield _no_tar(path, place, end, "what stands there is no header")


def _no_tar(path: str, place: int, end: int, why: str) -> Member:
    message = (
        f"{path} must be a tar to its end. From byte {place:,} of {end:,} on it is none: {why}. What follows is lost"
    )
    return Member(f"{os.path.basename(path)}@{place}", place, 0, ("corrupt", message))


def _member(info: tarfile.TarInfo, end: int) -> Iterator[Member]:
    if info.isdir():
        return
    name = info.name.removeprefix("./")
    place, size = info.offset_data, info.size

    def faulty(kind: str, why: str) -> Member:
        return Member(name, max(0, place), 0, (kind, why))

    if name.startswith("/") or ".." in name.split("/"):
        yield faulty("refused", f"a member's name must lead into the archive. Got {name}")
    elif info.issparse():
        yield faulty("refused", f"a member must be a plain file. {name} is a sparse one of {size:,} bytes")
    elif not info.isreg():
        what = "a link" if info.islnk() or info.issym() else "a device or a pipe"
        yield faulty("refused", f"a member must be a plain file. {name} is {what}")
    elif size < 0 or place < 0 or place + size > end:
        yield faulty("corrupt", f"a member must be whole. {name} has {size:,} bytes, and the archive ends before")
    else:
        yield Member(name, place, size)
