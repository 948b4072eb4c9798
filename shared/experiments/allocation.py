"""Which stretch of [0, 1) belongs to which arm, and how little of it changes hands when weights change.

A line of 2^53 places is cut into slices. When weights change, each arm that loses gives up exactly what it loses, from
the end of its last slices, and arms that gain take those pieces in order. What moves is the total variation between
the weights, the least that any method can move. No rule that looks at the new weights alone can do that for every pair
of weights (M. Bavarian et al., "Optimality of correlated sampling strategies", 2016), so the weights before are part
of an experiment's definition, as its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from shared.experiments.definition import Experiment
from shared.types import Float64, Int64

PLACES = 2**53


@dataclass(frozen=True, order=True)
class Slice:
    """Places that belong to one arm.

    Attributes:
        low: the first place.
        high: the place after the last.
        arm: code of the arm.
    """

    low: int
    high: int
    arm: int


@dataclass(frozen=True)
class State:
    """An experiment at one moment.

    Attributes:
        share: of its room that is in.
        weights: of its arms, in their order.
        slices: of the whole line, in order, without gaps.
    """

    share: float
    weights: tuple[float, ...]
    slices: tuple[Slice, ...]

    def arms(self, positions: Float64) -> Int64:
        """Codes of the arms that positions in [0, 1) belong to; shape (n,), int64."""
        ends = np.array([piece.high for piece in self.slices], np.float64) / PLACES
        codes = np.array([piece.arm for piece in self.slices], np.int64)
        found: Int64 = codes[np.searchsorted(ends, positions, side="right")]
        return found


def state_at(experiment: Experiment, at: datetime | None) -> State:
    """The experiment after all steps until ``at``, that moment included; after all of them when ``None``.

    An experiment whose steps name shares has none of its room before the first of them; one whose steps name none has
    all of it.
    """
    weights = tuple(arm.weight for arm in experiment.arms)
    slices = cut(weights)
    share = 0.0 if any(step.share is not None for step in experiment.steps) else 1.0
    for step in experiment.steps:
        if at is not None and step.at > at:
            break
        share = share if step.share is None else step.share
        if step.weights is not None:
            weights = tuple(step.weights[name] for name in experiment.arm_names)
            slices = recut(slices, weights)
    return State(share, weights, slices)


def cut(weights: Sequence[float]) -> tuple[Slice, ...]:
    """Slices of new weights: one for each arm in order.

    Example:
        >>> [piece.arm for piece in cut([0.5, 0.0, 0.5])]
        [0, 2]
    """
    ends = np.cumsum(_sizes(weights), dtype=object).tolist()
    return tuple(Slice(low, high, arm) for arm, (low, high) in enumerate(pairwise([0, *ends])) if high > low)


def recut(slices: Sequence[Slice], weights: Sequence[float]) -> tuple[Slice, ...]:
    """Slices of other weights, with as little moved as possible.

    Example:
        >>> before = cut([0.5, 0.5])
        >>> [(piece.low / PLACES, piece.high / PLACES, piece.arm) for piece in recut(before, [0.25, 0.75])]
        [(0.0, 0.25, 0), (0.25, 1.0, 1)]
    """
    wanted = _sizes(weights)
    have = [0] * len(wanted)
    for piece in slices:
        have[piece.arm] += piece.high - piece.low
    too_many = [max(0, has - wants) for has, wants in zip(have, wanted)]
    kept: list[Slice] = []
    free: list[tuple[int, int]] = []
    for piece in sorted(slices, reverse=True):
        given = min(too_many[piece.arm], piece.high - piece.low)
        too_many[piece.arm] -= given
        if given:
            free.append((piece.high - given, piece.high))
        if piece.high - given > piece.low:
            kept.append(Slice(piece.low, piece.high - given, piece.arm))
    free.sort()
    for arm in range(len(wanted)):
        while have[arm] < wanted[arm]:
            low, high = free.pop(0)
            taken = min(wanted[arm] - have[arm], high - low)
            kept.append(Slice(low, low + taken, arm))
            have[arm] += taken
            if low + taken < high:
                free.insert(0, (low + taken, high))
    return _joined(sorted(kept))


def _joined(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Neighbours of one arm as one slice."""
    out: list[Slice] = []
    for piece in slices:
        low = out.pop().low if out and out[-1].arm == piece.arm else piece.low
        out.append(Slice(low, piece.high, piece.arm))
    return tuple(out)


def _sizes(weights: Sequence[float]) -> list[int]:
    """Places of each arm; what rounding leaves over goes to the largest."""
    sizes = [round(weight * PLACES) for weight in weights]
    sizes[sizes.index(max(sizes))] += PLACES - sum(sizes)
    return sizes
