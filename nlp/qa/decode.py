"""From a reader's scores of starts and ends to ranked stretches of the context.

A stretch scores the sum of its start's and its end's logit, the best of all windows that hold it. "No answer" scores
the sum at the first token of a window, the least of all windows (J. Devlin et al., "BERT", NAACL 2019, section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlp.qa.prepare import Asked
from nlp.types import Answer, Answers
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Float32, Float64, Int64

CANDIDATES = 20
"""Stretches of each window that are ranked."""
MOST_TOKENS = 30


@dataclass(frozen=True)
class Reading:
    """How a reader's scores are read; from a card's options of the same names.

    Attributes:
        max_answer_tokens: tokens of a stretch at most.
        no_answer_threshold: by how much "no answer" must beat the best stretch.
        temperature: above 0; what the differences between scores are divided by to become log odds.
        no_answer: whether the model knows of questions without an answer.
    """

    max_answer_tokens: int = MOST_TOKENS
    no_answer_threshold: float = 0.0
    temperature: float = 1.0
    no_answer: bool = True


def reading(card: ModelCard, **changes: Any) -> Reading:
    """What a card says of how its scores are read; ``changes`` that are not ``None`` stand in its place.

    Raises:
        DataError: an option is of the wrong type or out of its range.
    """
    known = {name: card.options[name] for name in Reading.__dataclass_fields__ if name in card.options}
    found = Reading(**{**known, **{name: value for name, value in changes.items() if value is not None}})
    numbers = (found.no_answer_threshold, found.temperature)
    if (
        not isinstance(found.max_answer_tokens, int)
        or found.max_answer_tokens < 1
        or not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        or found.temperature <= 0
        or not isinstance(found.no_answer, bool)
    ):
        raise DataError(
            f"model {card.name!r} ({card.origin}): max_answer_tokens must be at least 1, temperature above 0, "
            f"no_answer_threshold a number and no_answer true or false. Got {found} instead"
        )
    return found


@dataclass(frozen=True)
class Scores:
    """What the reader says of one window.

    Attributes:
        start: logit of each token of the context to begin an answer, shape (n,), float32.
        end: logit of each to end one, shape (n,), float32.
        null: the sum of both at the window's first token.
    """

    start: Float32
    end: Float32
    null: float


def scores(output: Mapping[str, AnyArray], first: int, count: int) -> Scores:
    """The part of a graph's answer that is of the context.

    Args:
        output: ``start_logits`` and ``end_logits``, each (1, tokens), or ``logits`` of shape (1, tokens, 2).
        first: where the context's tokens begin in the window.
        count: how many there are.
    """
    if "logits" in output:
        start, end = output["logits"][0, :, 0], output["logits"][0, :, 1]
    else:
        start, end = output["start_logits"][0], output["end_logits"][0]
    held = slice(first, first + count)
    return Scores(start[held].copy(), end[held].copy(), float(start[0]) + float(end[0]))


def best_spans(start: Float32, end: Float32, *, longest: int, most: int) -> tuple[Int64, Float64]:
    """The stretches of a window with the highest sums.

    Args:
        start: shape (n,).
        end: shape (n,).
        longest: tokens of a stretch at most, at least 1.
        most: how many.

    Returns:
        First and last token of each, shape (k, 2), int64, best first; and their sums, shape (k,), float64.

    Example:
        >>> spans, sums = best_spans(np.float32([3, 0, 0]), np.float32([0, 0, 2]), longest=3, most=2)
        >>> spans.tolist(), sums.tolist()
        ([[0, 2], [0, 0]], [5.0, 3.0])
    """
    n = len(start)
    lengths = min(longest, n)
    sums = np.full((n, lengths), -np.inf)
    for more in range(lengths):
        sums[: n - more, more] = start[: n - more].astype(np.float64) + end[more:]
    flat = sums.ravel()
    order = np.argsort(-flat, kind="stable") if flat.size <= most else _top(flat, most)
    order = order[np.isfinite(flat[order])]
    begin, more_tokens = np.divmod(order, lengths)
    return np.stack([begin, begin + more_tokens], axis=1), flat[order]


def _top(values: Float64, most: int) -> Int64:
    near = np.argpartition(-values, most - 1)[:most]
    return near[np.lexsort((near, -values[near]))]


def decode(found: Sequence[Scores], asked: Asked, how: Reading, *, top_k: int) -> Answers:
    """Rank the stretches of all windows, and say how likely there is no answer.

    Args:
        found: what the reader says of each window of ``asked``.
        asked: the question over its context.
        how: how the scores are read.
        top_k: answers at most, at least 1.
    """
    sums: dict[tuple[int, int], float] = {}
    for scored, window in zip(found, asked.windows, strict=True):
        spans, totals = best_spans(scored.start, scored.end, longest=how.max_answer_tokens, most=CANDIDATES)
        for (first, last), total in zip((spans + window.start).tolist(), totals.tolist()):
            begin, stop = int(asked.spans[first, 0]), int(asked.spans[last, 1])
            if stop > begin:
                sums[begin, stop] = max(total, sums.get((begin, stop), -math.inf))
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    kept: list[tuple[tuple[int, int], float]] = []
    for (begin, stop), total in ranked:
        if len(kept) < top_k and all(stop <= start or end <= begin for (start, end), _ in kept):
            kept.append(((begin, stop), total))
    if not kept:
        return Answers((), 1.0)
    margin = min(scored.null for scored in found) - kept[0][1] - how.no_answer_threshold
    nothing = _sigmoid(margin / how.temperature) if how.no_answer else 0.0
    powers = [math.exp((total - kept[0][1]) / how.temperature) for _, total in kept]
    shares = [(1 - nothing) * power / sum(powers) for power in powers]
    return Answers(
        tuple(Answer(asked.text[begin:stop], begin, stop, share) for ((begin, stop), _), share in zip(kept, shares)),
        nothing,
    )


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))
