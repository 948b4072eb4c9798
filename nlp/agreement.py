"""How far two graphs of a family answer the same.

What counts as the same is stated for each family. ``text-classifier`` and ``nli``: the share of windows with the same
best label (of several labels, the share of labels on the same side of a half). ``token-classifier``: the share of
tokens with the same best tag. ``extractive-reader``: the share of windows with the same best stretch of the context, or
none in both. ``pair-scorer``: the share of pairs of windows that come in the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from nlp.qa.again import Lead, lead
from nlp.qa.decode import Reading, Scores, scores
from shared.types import AnyArray

READER = "extractive-reader"
AS_MADE = Reading()
Answer: TypeAlias = Mapping[str, AnyArray]
"""A graph's outputs for one window."""


def _same_best(wanted: Answer, got: Answer) -> Sequence[bool]:
    return [bool(w.argmax() == g.argmax()) for w, g in zip(wanted.values(), got.values())]


def _same_sides(wanted: Answer, got: Answer) -> Sequence[bool]:
    sides: list[bool] = ((wanted["logits"] > 0) == (got["logits"] > 0)).ravel().tolist()
    return sides


def _same_tags(wanted: Answer, got: Answer) -> Sequence[bool]:
    tags: list[bool] = (wanted["logits"][0].argmax(axis=1) == got["logits"][0].argmax(axis=1)).tolist()
    return tags


SAME: Mapping[str, Callable[[Answer, Answer], Sequence[bool]]] = MappingProxyType(
    {"text-classifier": _same_best, "nli": _same_best, "token-classifier": _same_tags}
)
"""What of one window is the same between two graphs, by family."""


def agreement(
    family: str,
    wanted: Sequence[Answer],
    got: Sequence[Answer],
    *,
    several: bool = False,
    second: Sequence[slice] = (),
    how: Reading = AS_MADE,
) -> float:
    """How far two graphs of a family say the same of the same windows, in [0, 1].

    Args:
        family: a key of :data:`nlp.optimize.BOUNDS`.
        wanted: one graph's outputs for each window, at least one.
        got: the other's.
        several: whether several labels may hold.
        second: where the second text of each window stands; of readers, whose answers are stretches of it.
        how: how the scores of readers are read.

    Example:
        >>> one, other = ({"logits": np.float32([[0, number]])} for number in (1, -1))
        >>> agreement("text-classifier", [one, one], [one, other])
        0.5
    """
    if family == "pair-scorer":
        ours, theirs = (np.array([answer["logits"].ravel()[0] for answer in answers]) for answers in (wanted, got))
        pairs = list(itertools.combinations(range(len(ours)), 2))
        return float(np.mean([(ours[a] > ours[b]) == (theirs[a] > theirs[b]) for a, b in pairs])) if pairs else 1.0
    if family == READER:
        stretches = [
            [context_lead(answer, at, how).stretch for answer, at in zip(answers, second, strict=True)]
            for answers in (wanted, got)
        ]
        return float(np.mean([ours == theirs for ours, theirs in zip(*stretches)]))
    same = _same_sides if several else SAME[family]
    return float(np.mean([hit for w, g in zip(wanted, got, strict=True) for hit in same(w, g)]))


def context_scores(answer: Answer, second: slice) -> Scores:
    """What a reader says of a window whose context stands at ``second``."""
    return scores(answer, second.start, second.stop - second.start)


def context_lead(answer: Answer, second: slice, how: Reading) -> Lead:
    """How clear a reader's answer to a window alone is; see :func:`nlp.qa.again.lead`."""
    return lead([context_scores(answer, second)], [0], how)
