"""The data of a retraining: copied once, checked, and cut so that a row falls on the same side in every run.

Tables are CSV and TSV with a header, JSON lines, and lines of text; folders are one folder a class. A row's side is
drawn from a hash of its key and the seed alone, so that rows that come later move none: what an earlier model learnt
from is never what a later one is tested on beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from shared.errors import DataError, UnknownNameError, UsageError
from shared.lifecycle.commits import sync_files, sync_folder
from shared.lifecycle.hashing import fingerprint

FORMATS = ("csv", "tsv", "jsonl", "lines", "folder")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Cut:
    """How data are cut into what is learnt from and what is tested on.

    Attributes:
        test: share that is tested on, in (0, 1).
        by: ``"hash"`` of the key; ``"newest"``: the last by a column of times or numbers.
        key: columns whose rows must fall on one side together; the whole row when empty.
        time: column for ``"newest"``.
    """

    test: float = 0.2
    by: str = "hash"
    key: tuple[str, ...] = ()
    time: str = ""

    def __post_init__(self) -> None:
        if self.by not in ("hash", "newest"):
            raise UnknownNameError("way to split", self.by, ("hash", "newest"))
        if not 0 < self.test < 1 or (self.by == "newest") != bool(self.time):
            raise UsageError("[split]: test must be a share in (0, 1), and 'newest' alone must have a column 'time'")


def format_of(path: Path, given: str = "") -> str:
    """One of :data:`FORMATS`.

    Raises:
        UnknownNameError: another was given.
    """
    if given and given not in FORMATS:
        raise UnknownNameError("format of data", given, FORMATS)
    return given or ("folder" if path.is_dir() else _SUFFIXES.get(path.suffix.lower(), "lines"))


def ingest(source: Path, into: Path) -> dict[str, Any]:
    """Copy the data to where nothing changes them any more; a copy that was cut off is begun anew.

    Args:
        source: a file or a folder.
        into: a folder of this run's own.

    Returns:
        ``{"file", "sha256", "bytes"}``.

    Raises:
        DataError: there is nothing, or the disk refuses.
    """
    if not source.exists():
        raise DataError(f"the data must be a file or folder. Nothing stands at {source}")
    shutil.rmtree(into, ignore_errors=True)
    place = into / source.name
    try:
        into.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copyfile(source, place)
        sync_files(into)
        size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    except OSError as error:
        raise DataError(f"{source} could not be copied to {into}: {error}") from error
    return {"file": f"{into.name}/{place.name}", "sha256": fingerprint(place), "bytes": size}


def split(path: Path, rules: Cut, into: Path, *, format: str = "", seed: int = 0) -> dict[str, Any]:
    """Cut the data in two files, or folders of links, ``train`` and ``test``.

    Args:
        path: the data.
        rules: how.
        into: a folder of this run's own.
        format: one of :data:`FORMATS`; found by the name when empty.
        seed: of the hash.

    Returns:
        By side ``{"file", "sha256", "rows"}``.

    Raises:
        DataError: a side is empty, or a column is missing.
    """
    kind = format_of(path, format)
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    edge = _edge(path, kind, rules) if rules.by == "newest" else None
    counts = Counter({"train": 0, "test": 0})
    names = {side: into / (side if kind == "folder" else f"{side}{path.suffix}") for side in counts}
    with ExitStack() as stack:
        writers = {side: stack.enter_context(_Writer(place, kind)) for side, place in names.items()}
        for row in read(path, kind):
            if edge is not None:
                tested = _time(row, rules.time) > edge
            else:
                tested = _position(row_digest(row, rules.key), seed) < rules.test
            side = "test" if tested else "train"
            counts[side] += 1
            writers[side].add(row)
        if not counts["train"] or not counts["test"]:
            raise DataError(
                f"both sides must have rows. Got {dict(counts)}: the data are too few, or test is too extreme"
            )
    return {
        side: {"file": f"{into.name}/{names[side].name}", "sha256": fingerprint(names[side]), "rows": counts[side]}
        for side in counts
    }


def read(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The rows, one after the other; of lines under ``line``, of a folder under ``file`` and ``class``.

    Raises:
        DataError: a row is malformed; the message names it.
    """
    if kind == "folder":
        for file in sorted(part for part in path.rglob("*") if part.is_file()):
            inner = file.relative_to(path)
            yield {
                "file": inner.as_posix(),
                "class": inner.parts[0] if len(inner.parts) > 1 else "",
                "_from": str(file),
            }
        return
    try:
        with path.open("r", encoding="utf-8-sig", newline="") as text:
            if kind in _DELIMITERS:
                yield from _table(text, path, _DELIMITERS[kind])
            else:
                yield from _lines(text, path, kind)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file of UTF-8 text. {error}") from error


def _table(file: io.TextIOBase, path: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(f"{path}, line {reader.line_num} must have {len(header)} fields. Got {len(row)}")
            if row:
                yield dict(zip(header, row))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _lines(file: io.TextIOBase, path: Path, kind: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if kind == "lines":
            yield {"line": line.rstrip("\r\n")}
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} must be a JSON object. {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number} must be a JSON object. Got {type(row).__name__}")
        yield row


class _Writer:
    """One side of a split, a context manager: its file has its name once it is whole."""

    def __init__(self, place: Path, kind: str) -> None:
        self._place, self._kind = place, kind
        self._part = place.with_name(f".{place.name}.tmp")
        self._text = None if kind == "folder" else self._part.open("w", encoding="utf-8", newline="")
        self._table: Any = None

    def add(self, row: Mapping[str, Any]) -> None:
        if self._kind == "folder":
            place = self._place / row["file"]
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(row["_from"], place)
        elif self._text is None:
            raise UsageError(f"{self._place} is closed")
        elif self._kind in _DELIMITERS:
            if self._table is None:
                self._table = csv.writer(self._text, delimiter=_DELIMITERS[self._kind], lineterminator="\n")
                self._table.writerow(row)
            self._table.writerow(row.values())
        else:
            line = row["line"] if self._kind == "lines" else json.dumps(row, ensure_ascii=False)
            self._text.write(f"{line}\n")

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._text is None:
            return
        with self._text:
            self._text.flush()
            os.fsync(self._text.fileno())
        if kind is None:
            os.replace(self._part, self._place)
            sync_folder(self._place.parent)


def row_digest(row: Mapping[str, Any], key: Sequence[str]) -> bytes:
    missing = [name for name in key if name not in row]
    if missing:
        raise DataError(f"[split]: the key {', '.join(missing)} must be a column. The columns are {', '.join(row)}")
    part = {name: row[name] for name in key} if key else {k: v for k, v in row.items() if k != "_from"}
    text = json.dumps(part, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _position(digest: bytes, seed: int) -> float:
    salted = hashlib.blake2b(digest, digest_size=8, key=f"split {seed}".encode()).digest()
    return int.from_bytes(salted, "little") / 2**64


def _edge(path: Path, kind: str, rules: Cut) -> tuple[float, str]:
    times = sorted(_time(row, rules.time) for row in read(path, kind))
    if not times:
        raise DataError(f"{path} must hold rows. It holds none")
    return times[max(0, min(len(times) - 1, round(len(times) * (1 - rules.test)) - 1))]


def _time(row: Mapping[str, Any], column: str) -> tuple[float, str]:
    if column not in row:
        raise DataError(f"[split]: the time {column!r} must be a column. The columns are {', '.join(row)}")
    number = as_number(row[column])
    return (0.0, str(row[column])) if number is None else (number, "")


def as_number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number is said by None
    except (TypeError, ValueError):
        return None
