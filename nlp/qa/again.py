"""A reader in 8-bit integers whose near-ties the same reader in float32 decides.

Integers move every score a little. An answer that is ahead of all others by more than that stands; where it is not, the
windows that matter are read again by the graph in float32, whose scores take the place of the others. How far ahead is
far enough was measured when the reader was optimised (:mod:`nlp.optimize`); the card's option
:data:`ASK_AGAIN_BELOW` says it, in the model's own scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlp.opening import TextGraph
from nlp.qa.decode import Reading, Scores, best_spans
from shared.backends import open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import Float64

FLOAT_GRAPH = "model-float32.onnx"
ASK_AGAIN_BELOW, ASKED_AGAIN = "ask_again_below", "asked_again"
"""Options of a card: how far ahead an answer must be to stand, and the share of typical questions that were not."""


@dataclass(frozen=True)
class Again:
    """What decides where a first reading does not.

    Attributes:
        graph: the reader in float32; it takes the same requests.
        below: an answer that is ahead of the next by less is read again; above 0.
    """

    graph: TextGraph
    below: float


@dataclass(frozen=True)
class Lead:
    """What the scores of a question's windows say of its answer.

    Attributes:
        stretch: first and last token of the best stretch of the context, or ``None`` where "no answer" scores more.
        ahead: by how much that beats what comes next: another stretch, "no answer", or the best stretch.
        windows: those with a stretch, or a score of "no answer", that is near enough to the best to matter.
    """

    stretch: tuple[int, int] | None
    ahead: float
    windows: tuple[int, ...]


def open_again(graph: TextGraph, *, device: str = "auto", threads: int | None = None) -> Again | None:
    """The float32 form that stands beside an optimised reader, or ``None`` where the card asks for none.

    Raises:
        DataError: the card's option is no number above 0, or the model has no such graph.
        BackendError: the runtime refuses the graph or the device.
    """
    if ASK_AGAIN_BELOW not in graph.card.options:
        return None
    below = _below(graph.card)
    if FLOAT_GRAPH not in graph.files:
        raise DataError(
            f"model {graph.card.name!r} ({graph.card.origin}) must have a file {FLOAT_GRAPH}, for its option "
            f"{ASK_AGAIN_BELOW} has near-ties read again in float32"
        )
    backend = open_backend(graph.card.backend, graph.files[FLOAT_GRAPH], device=device, threads=threads)
    return Again(dataclasses.replace(graph, backend=backend), below)


def _below(card: ModelCard) -> float:
    value: Any = card.options[ASK_AGAIN_BELOW]
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise DataError(
            f"model {card.name!r} ({card.origin}): {ASK_AGAIN_BELOW} must be a number above 0. Got {value!r} instead"
        )
    return float(value)


def lead(found: Sequence[Scores], starts: Sequence[int], how: Reading, *, below: float = 0.0) -> Lead:
    """How clear a question's answer is.

    Args:
        found: what the reader says of each window of one question, at least one.
        starts: the token of the context at which each window begins.
        how: how the scores are read.
        below: how near to the best a window's scores must come for the window to matter, at least 0.

    Example:
        >>> window = Scores(np.float32([3, 0, 0]), np.float32([0, 0, 2]), 4.5)
        >>> found = lead([window], [0], Reading())
        >>> found.stretch, found.ahead
        ((0, 2), 0.5)
    """
    best: dict[tuple[int, int], float] = {}
    tops = []
    for scored, start in zip(found, starts, strict=True):
        spans, sums = best_spans(scored.start, scored.end, longest=how.max_answer_tokens, most=2)
        tops.append(float(sums[0]))
        for (first, last), total in zip((spans + start).tolist(), sums.tolist()):
            best[first, last] = max(total, best.get((first, last), -math.inf))
    (stretch, most), *others = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    nulls = [scored.null - how.no_answer_threshold if how.no_answer else -math.inf for scored in found]
    nothing = min(nulls)
    near = max(most, nothing) - below
    # the least "no answer" counts: those of other windows matter only where they might become it, and it the best
    reach = nothing + below if nothing > near else -math.inf
    windows = tuple(at for at, (top, null) in enumerate(zip(tops, nulls)) if top > near or null < reach)
    if nothing > most:
        return Lead(None, nothing - most, windows)
    return Lead(stretch, most - max(nothing, others[0][1] if others else -math.inf), windows)


def leads_by(found: Scores, stretch: tuple[int, int] | None, how: Reading) -> float:
    """By how much one window's scores put a given answer ahead of every other; below 0 where it is behind.

    Args:
        found: what a reader says of the window.
        stretch: first and last token of an answer that ``how`` allows, or ``None`` for "no answer".
        how: how the scores are read.
    """
    nothing = found.null - how.no_answer_threshold if how.no_answer else -math.inf
    spans, sums = best_spans(found.start, found.end, longest=how.max_answer_tokens, most=2)
    if stretch is None:
        return nothing - float(sums[0])
    others = [total for (first, last), total in zip(spans.tolist(), sums.tolist()) if (first, last) != stretch]
    own = float(found.start[stretch[0]]) + float(found.end[stretch[1]])
    return float(own - max([nothing, *others]))


def clear_from(ahead: Float64, moved: Float64, *, wrong: float) -> float:
    """How far ahead an answer must be to stand, so that few of those that stand are others in float32.

    Each lead is set beside each movement, as if any could have come with any: so few hundred texts say more of rare
    changes than the handful that they saw.

    Args:
        ahead: how far ahead the answers in integers are, shape (n,), at least 0.
        moved: by how much the leads of some are larger than in float32, shape (m,), at least one.
        wrong: the share of all answers that may stand and be another in float32, in [0, 1].

    Returns:
        The least lead that stands; 0 where every one may, infinity where none.

    Example:
        >>> clear_from(np.array([0.1, 1.0, 2.0]), np.array([-0.2, 0.0, 0.2]), wrong=0.01)
        1.0
    """
    order = np.sort(ahead)[::-1]
    changed = 1 - np.searchsorted(np.sort(moved), order, side="right") / len(moved)
    stand = int(np.searchsorted(np.cumsum(changed) / len(order), wrong, side="right"))
    if stand == len(order):
        return 0.0
    return float(order[stand - 1]) if stand else math.inf
