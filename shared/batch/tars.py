"""Tar archives of samples as the input of a job, as the WebDataset format has them.

Members of one sample stand one behind the other and are called alike up to the first dot of the file name:
``0001.jpg``, ``0001.json``, ``0001.cls``. A sample is one item. Only headers are read to find the samples; where their
bytes stand is kept, so that a continued job reads what is still to do and nothing else. Nothing is ever unpacked to the
disk.

The item of a task of pictures is the sample's first member that ends as a picture does, or the one whose extension
``column`` names. That of a task of texts is the ``.txt``, or the field of the ``.json`` that ``column`` names (``text``
when it names none). ``id_column`` is a field of the ``.json``, or ``__key__`` for the sample's own name.

An archive comes from anywhere, so whatever is wrong in it is a failure row and never a loss without a word: a sample
without a member that fits, a name that leads out of the archive, a link, a device, a sparse file, an item above
:data:`~shared.batch.stores.MAX_BYTES`, a member that is cut off, and the place from where on the bytes are no tar.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.batch.addresses import is_stored
from shared.batch.archives import Member, scan
from shared.batch.rows import Part, Row, Skip, Source, digest_of, none_skipped
from shared.batch.samples import Finder, Sample
from shared.batch.sources import files_matching
from shared.batch.stores import listing, open_binary, reading, stat
from shared.errors import DataError, UsageError
from shared.tasks import InputKind

_BRACE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_FILES = 1_000_000
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def tars(text: str) -> list[str]:
    """The archives that an input leads to; none when it is not one of archives.

    Raises:
        UsageError: one of a numbered series is missing, or they are compressed.
    """
    lower = text.lower()
    if lower.endswith(_PACKED):
        raise UsageError(
            f"an archive must be a plain .tar, whose members can be found without reading all before them. Got {text}: "
            "unpack it once (gunzip, unxz, zstd -d)"
        )
    if not lower.endswith(".tar") or os.path.isdir(text):
        return []
    if is_stored(text):
        return [entry.path for name in _numbered(text) for entry in listing(name, frozenset({".tar"}))]
    if os.path.lexists(text):
        return [text]
    found: list[str] = []
    for name in _numbered(text):
        if glob.has_magic(name) and not os.path.isfile(name):
            found += files_matching(name)
        elif os.path.isfile(name):
            found.append(name)
        else:
            raise UsageError(f"the input must be an existing file, folder or glob. Nothing stands at {name}")
    return found


def _numbered(text: str) -> list[str]:
    """``data-{000..012}.tar`` as thirteen names.

    Raises:
        UsageError: a series runs backwards or has too many.
    """
    found = _BRACE.search(text)
    if found is None:
        return [text]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + _MOST_FILES:
        raise UsageError(f"a series must run upwards, {{000..012}}, to at most {_MOST_FILES:,} names. Got {found[0]}")
    heads = [f"{text[: found.start()]}{number:0{len(found[1])}d}" for number in range(first, last + 1)]
    return [head + tail for head in heads for tail in _numbered(text[found.end() :])]


def tar_source(
    text: str,
    paths: list[str],
    kind: InputKind,
    known: Sequence[Part],
    *,
    column: str | None,
    id_column: str | None,
    memo: Path | None,
) -> Source:
    """The samples of archives, one archive after the other.

    Args:
        text: the input, as it was named.
        paths: the archives.
        kind: what the task takes.
        known: archives that were counted before.
        column: which member, or which field of the ``.json``; see the top of this module.
        id_column: a field of the ``.json``, or ``__key__``.
        memo: a folder where the places of the members are kept, once its parent is there.

    Raises:
        DataError: an archive cannot be read at all.
    """
    finder = Finder(kind, column, id_column)
    places = _Places(memo)
    before = {part.path: part for part in known}
    parts = tuple(_part(path, places, before.get(path)) for path in paths)
    total = sum(part.rows for part in parts)
    facts = {"input": text, "rows": total, "digest": digest_of(parts), "column": column, "id_column": id_column}

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        index = 0
        for part in parts:
            end = index + part.rows
            with reading(part.path), open_binary(part.path) as file:
                for sample in places.samples(part):
                    yield Row(index, "", None) if skip(index) else finder.row(index, part.path, file, sample)
                    index += 1
            part.check_unchanged()
            if index != end:
                raise DataError(f"{part.path} must have {part.rows:,} samples. It has {index - end + part.rows:,} now")

    return Source(total, facts, parts, rows)


def _part(path: str, places: _Places, before: Part | None) -> Part:
    if before is not None and before.unchanged():
        return before
    found = stat(path)
    count, digest = 0, hashlib.sha256(found.tag.encode() or str(found.modified).encode())
    for line in places.lines(path, found.size, found.modified):
        digest.update(line)  # and the time of change, for members of the same places and sizes may hold other bytes
        count += 1
    return Part(path, found.size, found.modified, count, digest.hexdigest())


class _Places:
    """Where the samples of archives stand, found once: a line of JSON each, packed, so that they take little room."""

    def __init__(self, memo: Path | None) -> None:
        self._memo = memo
        self._kept: dict[str, bytes] = {}

    def lines(self, path: str, size: int, modified: int) -> Iterator[bytes]:
        """The samples' lines, as an earlier run left them or by going through the headers."""
        file = self._file(path, size, modified)
        if file is not None and file.exists():
            packed = file.read_bytes()
        else:
            if path not in self._kept:
                self._kept[path] = _packed(_samples(path))
            packed = self._kept[path]
        try:
            with gzip.open(io.BytesIO(packed)) as lines:
                yield from lines
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file} must hold the places of an archive's members: delete it, run again") from error

    def samples(self, part: Part) -> Iterator[Sample]:
        """The samples of an archive; they are kept for the next run."""
        self._keep(part)
        for line in self.lines(part.path, part.size, part.modified):
            key, members = json.loads(line)
            yield Sample(key, {name: _member(*member) for name, member in members.items()})
        self._kept.pop(part.path, None)

    def _keep(self, part: Part) -> None:
        file = self._file(part.path, part.size, part.modified)
        if file is None or part.path not in self._kept or not file.parent.parent.is_dir():
            return
        temporary = file.with_suffix(".tmp")
        try:
            file.parent.mkdir(exist_ok=True)
            temporary.write_bytes(self._kept[part.path])
            os.replace(temporary, file)
        except OSError:  # it only spares time; a full disk is told where rows are written
            temporary.unlink(missing_ok=True)

    def _file(self, path: str, size: int, modified: int) -> Path | None:
        if self._memo is None:
            return None
        name = hashlib.sha256(f"{path}\0{size}\0{modified}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self._memo / f"{name}.jsonl.gz"


def _packed(samples: Iterator[Sample]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as lines:
        for sample in samples:
            members = {name: list(member) for name, member in sample.members.items()}
            lines.write(json.dumps([sample.key, members]).encode("ascii") + b"\n")
    return packed.getvalue()


def _member(name: str, offset: int, size: int, fault: Sequence[str]) -> Member:
    return Member(name, offset, size, (fault[0], fault[1]) if fault else ())


def _samples(path: str) -> Iterator[Sample]:
    """Members in groups of one name. An extension that comes again begins another sample, so that none is lost."""
    key, members = "", dict[str, Member]()
    for member in scan(path):
        folder, _, file = member.name.rpartition("/")
        stem, _, extension = file.partition(".")
        name = f"{folder}/{stem}" if folder else stem
        if members and (name != key or extension in members):
            yield Sample(key, members)
            members = {}
        key = name
        members[extension] = member
    if members:
        yield Sample(key, members)
