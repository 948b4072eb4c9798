"""Columns of features: which kind each is, and how it is held."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from recsys.interactions import Csr, csr
from recsys.values import FLOAT32_MAX, read_number
from shared.errors import DataError
from shared.types import Float32, Int32

Kind: TypeAlias = Literal["number", "category", "tags", "text", "skip"]
KINDS: tuple[Kind, ...] = ("number", "category", "tags", "text", "skip")
_TAG_NAMES = ("genre", "genres", "tag", "tags", "categories", "keywords")
_NO_TAGS = ("", "(no genres listed)")
_CATEGORIES = 1000
"""A column of more different texts than this is text, not a category."""


@dataclass(frozen=True, eq=False)
class Categories:
    """One label for each id.

    Attributes:
        codes: shape (n,), int32, positions in ``labels``; -1 where nothing is known.
        labels: sorted.
    """

    codes: Int32
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Tags:
    """Any number of labels for each id.

    Attributes:
        matrix: CSR, shape (n, labels), float32, 1 where the id has the label.
        labels: sorted.
    """

    matrix: Csr
    labels: tuple[str, ...]


def is_missing(value: object) -> bool:
    """Whether a value says nothing: ``None``, NaN or the empty text."""
    return value is None or value == "" or (isinstance(value, float | np.floating) and math.isnan(value))


def find_kind(name: str, values: Sequence[object]) -> Kind:
    """The kind of a column, by the rule of :func:`recsys.features.make_features`; missing values are ``None``."""
    held = [value for value in values if value is not None]
    if held and all(_is_number(value) for value in held):
        return "number"
    if any(isinstance(value, list | tuple | set | frozenset | np.ndarray) for value in held):
        return "tags"
    if name.lower() in _TAG_NAMES or any(isinstance(value, str) and "|" in value for value in held):
        return "tags"
    different = len({str(value) for value in held})
    return "category" if different <= min(_CATEGORIES, len(held) // 2) else "text"


def _is_number(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, str):
        return not re.match(r"0\d", value) and (
            read_number(value) is not None or value.lower().strip("+-") in _INFINITE
        )
    return isinstance(value, numbers.Real)


_INFINITE = ("inf", "infinity")
"""Texts that are numbers, so that a column with one is refused rather than taken for words."""


def _numbers(values: Sequence[Any], where: str) -> Float32:
    found = np.full(len(values), np.nan, dtype=np.float32)
    for at, value in enumerate(values):
        if value is None:
            continue
        number = read_number(value) if isinstance(value, str) else float(value)
        if number is None or not abs(number) <= FLOAT32_MAX:
            raise DataError(f"{where} must hold finite numbers. Got {value!r} instead")
        found[at] = number
    return found


def _categories(values: Sequence[Any], where: str) -> Categories:
    labels = tuple(sorted({str(value) for value in values if value is not None}))
    place = {label: at for at, label in enumerate(labels)}
    return Categories(np.array([-1 if v is None else place[str(v)] for v in values], dtype=np.int32), labels)


def _tags(values: Sequence[Any], where: str) -> Tags:
    rows = [_labels(value) for value in values]
    labels = tuple(sorted({label for row in rows for label in row}))
    place = {label: at for at, label in enumerate(labels)}
    at = np.repeat(np.arange(len(rows), dtype=np.int32), [len(row) for row in rows])
    columns = np.array([place[label] for row in rows for label in row], dtype=np.int32)
    return Tags(csr(at, columns, np.ones(len(at), dtype=np.float32), (len(rows), len(labels))), labels)


def _labels(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value.split("|") if isinstance(value, str) else [str(one) for one in value]
    return list(dict.fromkeys(part.strip() for part in parts if part.strip() not in _NO_TAGS))


_MAKERS: dict[Kind, Callable[[Sequence[Any], str], Any]] = {
    "number": _numbers,
    "category": _categories,
    "tags": _tags,
    "text": lambda values, where: tuple("" if value is None else str(value) for value in values),
    "skip": lambda values, where: None,
}


def make_column(kind: Kind, values: Sequence[Any], where: str) -> Any:
    """A column of a kind, as :class:`recsys.features.Features` holds it; missing values are ``None``.

    Raises:
        DataError: a number is none, or infinite; the message begins with ``where``.
    """
    return _MAKERS[kind](values, where)
