"""What a visitor brings to be held against each other: two tables, two heaps of texts, or two of pictures."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from demos.drift.worlds import columns_of, without
from nlp.monitoring import signals, word_vector
from nlp.retrieval.documents import read_document
from shared.errors import DataError, InputError
from shared.monitoring.columns import Columns
from shared.monitoring.signals import Observed
from shared.types import Failure
from vision.monitoring import observe as observe_picture

MOST_FILES = 200
MOST_ROWS = 50_000
MOST_COLUMNS = 100
MOST_VALUES = 50
"""Values of a column that is counted; one with more is text where it is long, and else left out as an id."""
_TEXT = 20
"""Mean characters from which on a column with many values is text."""
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_Table = dict[str, list[str]]


def read_both(
    reference: Sequence[str | Path], window: Sequence[str | Path], classifier: Callable[[], Any]
) -> tuple[Columns, Columns, str]:
    """Both sides as columns.

    Args:
        reference: one CSV table with a head, or several texts, or several pictures.
        window: the same of the window.
        classifier: opens what is asked what pictures show; only where there are pictures.

    Returns:
        The columns of both, and which columns are left out, in a sentence, or an empty one.

    Raises:
        DataError: a side is none of these, or the two are of different kinds.
    """
    sides = [[Path(path) for path in side] for side in (reference, window)]
    kinds = [{_kind(path) for path in side} for side in sides]
    if len(kinds[0]) != 1 or kinds[0] != kinds[1]:
        raise DataError(
            "both sides must be one CSV table, or texts, or pictures. Got " + " and ".join(map(_said, kinds))
        )
    kind = kinds[0].pop()
    for side in sides:
        if len(side) > (1 if kind == "tables" else MOST_FILES):
            most = "one table" if kind == "tables" else f"at most {MOST_FILES} {kind}"
            raise DataError(f"a side must have {most}. Got {len(side)}")
    if kind == "tables":
        return _of_tables(*(_read(side[0]) for side in sides))
    if kind == "pictures":
        asked = classifier()
        one, other = (without(_pictures(side, asked), "width", "height") for side in sides)
        return one, other, ""
    one, other = (columns_of([_text(_words(path)) for path in side]) for side in sides)
    return one, other, ""


def _kind(path: Path) -> str:
    end = path.suffix.lower()
    return "tables" if end == ".csv" else "pictures" if end in PICTURES else "texts"


def _said(kinds: set[str]) -> str:
    return ", ".join(sorted(kinds)) or "nothing"


def _pictures(paths: Sequence[Path], classifier: Any) -> Columns:
    results = classifier.predict(paths, on_error="keep")
    for path, result in zip(paths, results):
        if isinstance(result, Failure):
            told = result.message.replace(str(path), path.name)
            raise DataError(told if path.name in told else f"{path.name}: {told}")
    return columns_of([observe_picture(path, result) for path, result in zip(paths, results)])


def _words(path: Path) -> str:
    try:
        return "\n".join(page.text for page in read_document(path).pages)
    except InputError as error:
        raise DataError(str(error) if path.name in str(error) else f"{path.name}: {error}") from error


def _text(text: str) -> Observed:
    return Observed(signals(text), {}, word_vector(text))


def _read(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            names = next(rows, [])
            body = [row for _, row in zip(range(MOST_ROWS + 1), rows)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} must be a CSV table in UTF-8. {error}") from error
    if not body or not names or len(names) > MOST_COLUMNS or len(body) > MOST_ROWS:
        raise DataError(
            f"{path.name} must have a head, 1 to {MOST_COLUMNS} columns and 1 to {MOST_ROWS:,} rows. "
            f"Got {len(names)} columns and {'more' if len(body) > MOST_ROWS else len(body)} rows"
        )
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise DataError(f"{path.name} must have each column once. {twice!r} stands there twice")
    if wrong := next((n for n, row in enumerate(body, 2) if len(row) != len(names)), None):
        raise DataError(f"row {wrong} of {path.name} must have {len(names)} values. Got {len(body[wrong - 2])}")
    return {name: [row[at] for row in body] for at, name in enumerate(names)}


def _of_tables(reference: _Table, window: _Table) -> tuple[Columns, Columns, str]:
    """Columns that both have, each read in one way on both sides."""
    left = sorted({*reference} ^ {*window})
    sides: list[tuple[dict[str, Any], dict[str, Any], list[Any]]] = [({}, {}, []), ({}, {}, [])]
    for name in (name for name in reference if name in window):
        kind = _column(reference[name], window[name])
        if kind == "id":
            left.append(name)
        for (numbers, categories, vectors), values in zip(sides, (reference[name], window[name])):
            if kind == "number":
                numbers[name] = np.array([_number(value) for value in values])
            elif kind == "category":
                categories[name] = dict(Counter(value for value in values if value))
            elif kind == "text":
                seen = columns_of([_text(value) for value in values])
                numbers |= {f"{name}: {signal}": found for signal, found in seen.numbers.items()}
                vectors.append(seen.embeddings)
    found = [
        Columns(len(next(iter(table.values()))), numbers, categories, vectors[0] if len(vectors) == 1 else None)
        for (numbers, categories, vectors), table in zip(sides, (reference, window))
    ]
    if not found[0].names:
        raise DataError("the tables must have a column in common that is no id. They have none")
    named = ", ".join(name.replace("<", "&lt;").replace("`", "'") for name in sorted(left))
    note = f"Left out, as ids or as columns of one side alone: {named}" if left else ""
    return found[0], found[1], note


def _column(reference: Sequence[str], window: Sequence[str]) -> str:
    """How a column is read: ``"number"``, ``"category"``, ``"text"`` or ``"id"``."""
    given = [value for value in (*reference, *window) if value.strip()]
    distinct = all(len(side) == len(set(side)) for side in (reference, window))
    if distinct and len(given) > MOST_VALUES and all(value.strip().isdigit() for value in given):
        return "id"
    if given and sum(np.isfinite(_number(value)) for value in given) >= 0.95 * len(given):
        return "number"
    if len(set(given)) <= MOST_VALUES:
        return "category"
    return "text" if sum(map(len, given)) >= _TEXT * len(given) else "id"


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")
