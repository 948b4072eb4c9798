"""What is known of items and users beside interactions: numbers, categories, tags and texts by id.

Read from files by :func:`load_features` and from frames by :func:`features_from_frame`; aligned to the ids of
interactions or of a model by :meth:`Features.for_ids`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.columns import KINDS, Categories, Kind, Tags, find_kind, is_missing, make_column
from recsys.ids import IdTable, IdType, Vocabulary
from recsys.interactions import Csr, csr
from shared.errors import DataError, UsageError
from shared.types import Bool, Float32


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Features of n items or users, one row for each id.

    Attributes:
        ids: whose they are, row for row.
        known: shape (n,), bool: whether anything is known of the id; false only after :meth:`for_ids`.
        numbers: by column, shape (n,), float32; NaN where nothing is known.
        categories: by column.
        tags: by column.
        texts: by column, a text for each id; empty where nothing is known.
        source: where they came from, for messages.
    """

    ids: Vocabulary
    known: Bool
    numbers: Mapping[str, Float32]
    categories: Mapping[str, Categories]
    tags: Mapping[str, Tags]
    texts: Mapping[str, tuple[str, ...]]
    source: str = ""

    def __post_init__(self) -> None:
        lengths = {"known": len(self.known)}
        lengths |= {name: len(column) for name, column in (*self.numbers.items(), *self.texts.items())}
        lengths |= {name: len(column.codes) for name, column in self.categories.items()}
        lengths |= {name: column.matrix.shape[0] for name, column in self.tags.items()}
        wrong = {name: length for name, length in lengths.items() if length != len(self.ids)}
        if wrong:
            raise UsageError(f"every column of Features must have {len(self.ids)} rows, as ids do. Got {wrong}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def missing(self) -> tuple[Any, ...]:
        """The ids of which nothing is known, in order."""
        return self.ids.decode(np.flatnonzero(~self.known))

    def for_ids(self, vocabulary: Vocabulary) -> Features:
        """The rows of a vocabulary's ids, in the order of its codes.

        Ids that have no row here are missing: ``known`` is false, numbers are NaN, categories -1, tags none, texts
        empty; :attr:`missing` names them. Rows of ids that the vocabulary does not have are left out.

        Raises:
            DataError: not one id has a row, or ids of one side are of another type: they would never be found.

        Example:
            >>> from recsys.ids import Vocabulary
            >>> here = make_features("item", ["a", "b"], {"price": [2.5, 4]})
            >>> aligned = here.for_ids(Vocabulary("item", ("b", "c")))
            >>> aligned.numbers["price"].tolist(), aligned.missing
            ([4.0, nan], ('c',))
        """
        rows = self.ids.encode(vocabulary.ids)
        known = rows >= 0
        if len(rows) and len(self) and not known.any():
            raise DataError(
                f"{self.source or 'the features'}: not one of {len(rows)} {vocabulary.what} ids has features. "
                f"Ids are {self.ids.id_type} here and {vocabulary.id_type} there, like {self.ids.ids[0]!r} and "
                f"{vocabulary.ids[0]!r}. Read both with the same id_type"
            )
        held = np.flatnonzero(known).astype(np.int32)
        choice = csr(held, rows[held], np.ones(len(held), dtype=np.float32), (len(rows), len(self)))
        return Features(
            vocabulary,
            known & self._padded(self.known, False)[rows],
            {name: self._padded(column, np.nan)[rows] for name, column in self.numbers.items()},
            {name: Categories(self._padded(c.codes, -1)[rows], c.labels) for name, c in self.categories.items()},
            {name: Tags(choice @ tags.matrix, tags.labels) for name, tags in self.tags.items()},
            {name: tuple(column[row] if row >= 0 else "" for row in rows) for name, column in self.texts.items()},
            self.source,
        )

    def one_hot(self) -> tuple[Csr, tuple[str, ...]]:
        """Categories and tags as a CSR of 0 and 1, shape (n, labels), float32, and its columns as ``name=label``."""
        from scipy.sparse import hstack  # noqa: PLC0415 - only here

        blocks: list[Csr] = []
        names: list[str] = []
        for name, one in self.categories.items():
            rows = np.flatnonzero(one.codes >= 0).astype(np.int32)
            ones = np.ones(len(rows), dtype=np.float32)
            blocks.append(csr(rows, one.codes[rows], ones, (len(self), len(one.labels))))
            names += [f"{name}={label}" for label in one.labels]
        for name, tags in self.tags.items():
            blocks.append(tags.matrix)
            names += [f"{name}={label}" for label in tags.labels]
        empty = csr(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), (len(self), 0))
        return hstack([*blocks, empty], format="csr", dtype=np.float32), tuple(names)

    def __repr__(self) -> str:
        names = [*self.numbers, *self.categories, *self.tags, *self.texts]
        return f"<Features of {len(self)} {self.ids.what}s: {', '.join(names)}>"

    @staticmethod
    def _padded(column: Any, missing: Any) -> Any:
        """The column with one more row, which position -1 finds."""
        return np.append(column, np.array([missing], dtype=column.dtype))


def make_features(
    what: str,
    ids: Sequence[object],
    columns: Mapping[str, Sequence[object]],
    *,
    kinds: Mapping[str, Kind] | None = None,
    source: str = "",
    row: str = "row",
    first: int = 1,
) -> Features:
    """Features from columns in memory.

    Missing are ``None``, NaN and the empty text. A column's kind, unless ``kinds`` tells it: ``"number"`` where each
    value is a number or its text (no text with a leading zero, such as a post code); else ``"tags"`` where values are
    lists, or the column is called genres, tags or the like, or a text holds ``|``, which parts them; else
    ``"category"`` where there are at most 1000 different values and at most half as many as rows that have one; else
    ``"text"``.

    Args:
        what: ``"item"`` or ``"user"``.
        ids: each once, as in :mod:`recsys.ids`.
        columns: by name, a value for each id.
        kinds: one of :data:`KINDS` for each column whose kind is not to be found; ``"skip"`` leaves one out.
        source: where they came from, for messages.
        row: what messages call a row.
        first: its number.

    Raises:
        DataError: an id is none or comes again, a column has another length, or a number is infinite.
        UsageError: there is no such kind or column.
    """
    kinds = dict(kinds or {})
    wrong = {name: kind for name, kind in kinds.items() if kind not in KINDS}
    if wrong:
        raise UsageError(f"kinds must be {', '.join(KINDS)}. Got {wrong} instead")
    if set(kinds) - set(columns):
        raise UsageError(f"kinds must name columns. There are {list(columns)}. Got {sorted(set(kinds) - set(columns))}")
    table = IdTable(what)
    codes = table.encode(ids, lambda at: f"{source}{', ' if source else ''}{row} {first + at}")
    if len(table) < len(ids):
        again = int(np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1) == 0)[0])
        raise DataError(f"{source}{', ' if source else ''}{row} {first + again}: {what} {ids[again]!r} comes again")
    made: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, values in columns.items():
        if len(values) != len(ids):
            raise DataError(f"column {name!r} must have {len(ids)} values, as there are ids. Got {len(values)}")
        plain = [None if is_missing(value) else value for value in values]
        kind = kinds.get(name) or find_kind(name, plain)
        made[kind][name] = make_column(kind, plain, f"{source or 'the features'}: column {name!r}")
    known = np.ones(len(ids), dtype=np.bool_)
    vocabulary = Vocabulary(what, tuple(table.take()))
    return Features(vocabulary, known, made["number"], made["category"], made["tags"], made["text"], source)


def features_from_frame(
    frame: Any, *, id: str, what: str = "item", kinds: Mapping[str, Kind] | None = None
) -> Features:
    """Features from a pandas or Polars frame or a pyarrow table; see :func:`make_features` for the rules.

    Args:
        frame: one row an id.
        id: the column of ids.
        what: ``"item"`` or ``"user"``.
        kinds: as in :func:`make_features`.

    Raises:
        DataError: a column is missing or malformed.
    """
    from recsys.frames import column_slice, frame_columns, frame_rows  # noqa: PLC0415 - it knows pyarrow

    names = frame_columns(frame)
    if names.count(id) != 1:
        raise DataError(f"the frame must have one column {id!r} of ids. It has: {names}")
    parts = {name: column_slice(frame, name, 0, frame_rows(frame)) for name in names}
    lists = {name: part if isinstance(part, list) else part.to_pylist() for name, part in parts.items()}
    ids = lists.pop(id)
    return make_features(
        what, ids, {str(name): part for name, part in lists.items()}, kinds=kinds, source="a data frame"
    )


def load_features(
    path: str | Path,
    *,
    format: str | None = None,
    what: str | None = None,
    id: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
    id_type: IdType = "str",
) -> Features:
    """Read features of items or users from a file, one id a row; see :func:`recsys.feature_files.read_features`."""
    from recsys.feature_files import read_features  # noqa: PLC0415 - it is built on this file

    return read_features(Path(path), format=format, what=what, id=id, kinds=kinds, id_type=id_type)
