"""From the values of a table to what figures take: labels, numbers, scores, lists; and which rows cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.cli.score_table import Values
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Bool

Wrong = Callable[[int, str], DataError]
"""From a row's place in its chunk and what is wrong with it to the error that says so."""


@dataclass
class Rows:
    """What came of the rows so far.

    Attributes:
        failed: rows without a prediction.
        left_out: rows that count nowhere: without a prediction where a figure has no value for one, or skipped.
        seen: all rows.
    """

    failed: int = 0
    left_out: int = 0
    seen: int = 0


@dataclass(frozen=True)
class Kind:
    """How the inputs of one kind of figure are made.

    Attributes:
        needs: which columns it takes, of ``truth``, ``prediction`` and ``scores``.
        make: from those columns without missing truths to the inputs.
        failure: what stands for a missing prediction; ``None`` where such a row is left out instead.
    """

    needs: tuple[str, ...]
    make: Callable[..., tuple[Any, ...]]
    failure: Any = None
    counts_failures: bool = field(default=False)


def missing(values: Values) -> Bool:
    """Which values are ``None`` or NaN, shape (n,)."""
    if isinstance(values, np.ndarray):
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.size, np.bool_)
    kinds = set(map(type, values))
    if kinds.isdisjoint({type(None), float}):
        return np.zeros(len(values), np.bool_)
    return np.array([v is None or (isinstance(v, float) and math.isnan(v)) for v in values], np.bool_)


def as_labels(values: Values, wrong: Wrong) -> list[str | None]:
    """Texts as they are; whole numbers and booleans as text, so that a table's ``1`` is JSON's ``1``."""
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if set(map(type, listed)) <= {str, type(None)}:
        return listed
    return [_label(value, at, wrong) for at, value in enumerate(listed)]


def _label(value: Any, at: int, wrong: Wrong) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    raise wrong(at, f"a label: text, a whole number, true or false. Got {_shown(value)}")


def as_numbers(values: Values, wrong: Wrong) -> AnyArray:
    """Numbers, also such as are written in text."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)
    try:
        found = np.array([math.nan if value is None else value for value in values], np.float64)
    except (TypeError, ValueError):
        for at, value in enumerate(values):
            try:
                float(value)
            except (TypeError, ValueError):
                raise wrong(at, f"a number. Got {_shown(value)}") from None
        raise
    infinite = np.flatnonzero(np.isinf(found))
    if infinite.size:
        raise wrong(int(infinite[0]), "a finite number. Got infinity")
    return found


def as_truths(values: Values, positive: str | None, wrong: Wrong) -> Bool:
    """Whether each item is positive: by the name of the positive label, else true and false, 1 and 0."""
    names = as_labels(values, wrong)
    if positive is not None:
        return np.array([name == positive for name in names], np.bool_)
    known = {"true": True, "1": True, "false": False, "0": False}
    for at, name in enumerate(names):
        if str(name).lower() not in known:
            raise wrong(at, f"true or false, 1 or 0. Got {_shown(name)}: name the positive one by --positive")
    return np.array([known[str(name).lower()] for name in names], np.bool_)


def as_lists(values: Values, wrong: Wrong) -> list[list[Any]]:
    """Lists, as JSON and Parquet hold them."""
    found = []
    for at, value in enumerate(values):
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise wrong(at, f"a list. Got {_shown(value)}")
        found.append(list(value))
    return found


def as_spans(values: Values, wrong: Wrong) -> list[set[tuple[int, int, str]]]:
    """Spans: each [start, end, label], or an object with start, end and label."""
    found = []
    for at, item in enumerate(as_lists(values, wrong)):
        try:
            rows = [(s["start"], s["end"], s["label"]) if isinstance(s, dict) else tuple(s) for s in item]
            found.append({(int(start), int(end), str(label)) for start, end, label in rows})
        except (KeyError, TypeError, ValueError):
            raise wrong(at, f"spans, each [start, end, label] or with start, end, label. Got {_shown(item)}") from None
    return found


def as_texts(values: Values, wrong: Wrong) -> list[str]:
    """Texts."""
    for at, value in enumerate(values):
        if not isinstance(value, str):
            raise wrong(at, f"text. Got {_shown(value)}")
    return list(values)


def as_answers(values: Values, wrong: Wrong) -> list[list[str]]:
    """The true answers of each question: a list, or the only one."""
    listed = [[value] if isinstance(value, str) else value for value in values]
    found = as_lists(listed, wrong)
    for at, item in enumerate(found):
        if not all(isinstance(text, str) for text in item):
            raise wrong(at, f"texts, or a list of them. Got {_shown(item)}")
    return found


Columns = Mapping[str, Values]


def _labels(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_labels(c["truth"], wrong), as_labels(c["prediction"], wrong)


def _ranked(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    ranked = [[_label(v, at, wrong) for v in row] for at, row in enumerate(as_lists(c["prediction"], wrong))]
    return as_labels(c["truth"], wrong), ranked


def _numbers(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_numbers(c["truth"], wrong), as_numbers(c["prediction"], wrong)


def _scores(c: Columns, positive: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_truths(c["truth"], positive, wrong), as_numbers(c["scores"], wrong)


def _no_answer(c: Columns, positive: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_numbers(c["scores"], wrong), as_truths(c["truth"], positive, wrong)


def _confidence(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    truth, given = as_labels(c["truth"], wrong), as_labels(c["prediction"], wrong)
    return np.array([t == g for t, g in zip(truth, given)], np.bool_), as_numbers(c["scores"], wrong)


def _probabilities(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    rows = as_lists(c["prediction"], wrong)
    for at, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise wrong(at, f"{len(rows[0])} probabilities, like the others. Got {len(row)}")
    return as_numbers(c["truth"], wrong).astype(np.int64), np.array(rows, np.float64)


def _spans(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_spans(c["truth"], wrong), as_spans(c["prediction"], wrong)


def _texts(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_texts(c["truth"], wrong), as_texts(c["prediction"], wrong)


def _answers(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_answers(c["truth"], wrong), as_texts(c["prediction"], wrong)


def _rankings(c: Columns, _: str | None, wrong: Wrong) -> tuple[Any, ...]:
    return as_lists(c["truth"], wrong), as_lists(c["prediction"], wrong)


_BOTH, _SCORED = ("truth", "prediction"), ("truth", "scores")
MAKERS: Mapping[str, Kind] = {
    "labels": Kind(_BOTH, _labels, None, counts_failures=True),
    "ranked labels": Kind(_BOTH, _ranked, [], counts_failures=True),
    "numbers": Kind(_BOTH, _numbers),
    "scores": Kind(_SCORED, _scores),
    "pairs": Kind(_SCORED, _scores),
    "no answer": Kind(_SCORED, _no_answer),
    "confidence": Kind(("truth", "prediction", "scores"), _confidence),
    "probabilities": Kind(_BOTH, _probabilities),
    "spans": Kind(_BOTH, _spans, [], counts_failures=True),
    "written text": Kind(_BOTH, _texts, "", counts_failures=True),
    "answers": Kind(_BOTH, _answers, "", counts_failures=True),
    "rankings": Kind(_BOTH, _rankings, [], counts_failures=True),
}
"""Kinds of figures that a table can hold, by name."""


def check_kind(kind: str, given: Mapping[str, str | None]) -> Kind:
    """The kind's makers, if the command names the columns that it needs.

    Raises:
        UsageError: a table does not hold such inputs, or a column was not named.
    """
    if kind not in MAKERS:
        raise UsageError(
            f"a table must hold the inputs of a figure in columns. Got figures of {kind}: call "
            "shared.evaluation.streaming.Stream"
        )
    for need in MAKERS[kind].needs:
        if given[need] is None:
            raise UsageError(f"figures of {kind} need a column for {need}: name it by --{need}")
    return MAKERS[kind]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
