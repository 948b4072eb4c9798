"""Items that a script holds, each with an id of its own, as the input of a job."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.batch.rows import Row, Skip, Source, none_skipped
from shared.batch.stores import Stored, stat
from shared.batch.tables import as_text
from shared.errors import UsageError
from shared.tasks import InputKind
from shared.types import Id


@dataclass(frozen=True)
class Items:
    """Items of a job, and what to call each: a job can be continued only if both can be had again.

    Attributes:
        values: the items, any sequence; read one by one, so one that loads an item when it is asked for will do.
        ids: as many ids, each once.

    Raises:
        UsageError: they are no sequences, of different lengths, or an id comes twice.

    Example:
        >>> Items(["good", "bad"], ids=["r1", "r2"]).ids
        ['r1', 'r2']
    """

    values: Sequence[Any]
    ids: Sequence[Id]

    def __post_init__(self) -> None:
        for name, found in (("values", self.values), ("ids", self.ids)):
            if isinstance(found, str | bytes) or not (hasattr(found, "__len__") and hasattr(found, "__getitem__")):
                raise UsageError(
                    f"{name} must be a sequence, as a list is: a job reads it again when it is continued. "
                    f"Got {type(found).__name__}: list(...) makes one of an iterator"
                )
        if len(self.values) != len(self.ids):
            raise UsageError(f"each item must have an id. Got {len(self.values)} items and {len(self.ids)} ids")
        seen: set[str] = set()
        for key in self.ids:
            if str(key) in seen:
                raise UsageError(f"each id must stand for one item. {key!r} comes twice")
            seen.add(str(key))


def given_source(items: Items, kind: InputKind) -> Source:
    """The rows of items; the digest is of ids and contents, of a file's size and time of change.

    Raises:
        UsageError: an item is of a kind that has no digest.
    """
    digest = hashlib.sha256()
    for key, value in zip(items.ids, items.values):
        digest.update(f"{key}\0".encode("utf-8", "surrogateescape") + _identity(value, kind) + b"\n")
    facts = {"input": "items", "rows": len(items.ids), "digest": digest.hexdigest()}

    def rows(skip: Skip = none_skipped) -> Iterator[Row]:
        for index, key in enumerate(items.ids):
            value = None if skip(index) else items.values[index]
            yield Row(index, _shown(value), value, str(key))

    return Source(len(items.ids), facts, (), rows)


def _shown(value: Any) -> str:
    if isinstance(value, os.PathLike | Stored):
        return str(value)
    return f"array {value.shape}" if isinstance(value, np.ndarray) else as_text(value)


def _identity(value: Any, kind: InputKind) -> bytes:
    """What tells one item from another, 32 bytes."""
    if isinstance(value, os.PathLike) or (kind == "image" and isinstance(value, str)):
        value = os.fspath(value)
        try:
            found = stat(value)
        except OSError:  # it fails when it is predicted
            return hashlib.sha256(os.fsencode(value)).digest()
        return hashlib.sha256(os.fsencode(value) + f"\0{found.size}\0{found.modified}".encode()).digest()
    if isinstance(value, str):
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
    if isinstance(value, bytes | bytearray | memoryview):
        return hashlib.sha256(value).digest()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return hashlib.sha256(f"{value.dtype}{value.shape}".encode() + value.tobytes()).digest()
    try:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    except TypeError:
        raise UsageError(
            "an item must be a string, bytes, a path, an array or what JSON holds, so that a continued job can tell "
            f"whether it is still the same. Got {type(value).__name__} instead"
        ) from None
