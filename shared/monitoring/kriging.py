"""From shifts whose cost is known to that of another: how far accuracy falls, in log-odds, and how sure that is.

A Gaussian process over the shifts that were taught (C. Rasmussen and C. Williams, "Gaussian Processes for Machine
Learning", 2006, sections 2.2 and 2.7). Its mean says that the log-odds of accuracy fall as those of the mean calibrated
confidence do; two slopes correct that for all shifts, of the fall in confidence and of how the answers gather in fewer
classes; and what is left over is shared by shifts that look alike: in the same columns, by as much. The items
themselves, unchanged, are one of the shifts, with no fall at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.types import AnyArray, Float64

SLOPES = 3.0
"""Standard deviation of both slopes before any shift is seen."""
RESIDUAL = 0.8
"""Standard deviation, in log-odds, of what the slopes leave over."""
REACH = 0.45
"""Distance at which shifts still tell much of each other, in root mean squares of :func:`placed` columns."""
_NOISE, _PINNED = 0.05, 0.01
_GROWTH = 3.0


@dataclass(frozen=True)
class Shifts:
    """What was seen of spoilt copies of the labelled items; all float64 but ``kinds``.

    Attributes:
        kinds: shape (s,), text, of each copy.
        moves: shape (draws, s, 2), how far the log-odds of mean calibrated confidence and the entropy of answers moved.
        falls: shape (draws, s), how far the log-odds of accuracy moved.
        noise: shape (s,), variance of a fall by the chance of its items.
        places: shape (s, d), where its columns lie, see :func:`placed`.
    """

    kinds: AnyArray
    moves: Float64
    falls: Float64
    noise: Float64
    places: Float64

    def without(self, kind: str) -> Shifts:
        """All but one kind."""
        kept = self.kinds != kind
        return Shifts(self.kinds[kept], self.moves[:, kept], self.falls[:, kept], self.noise[kept], self.places[kept])

    def foretold(self, moves: Float64, place: Float64) -> tuple[Float64, float]:
        """The fall of another shift.

        Args:
            moves: shape (draws, 2), its own.
            place: shape (d,), its own.

        Returns:
            Shape (draws,), the fall; and its variance.
        """
        draws = len(self.falls)
        known = np.concatenate([self.moves, np.zeros((draws, 1, 2))], axis=1)
        places = np.vstack([self.places, np.zeros_like(place)])
        apart = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
        noise = np.append(self.noise + _NOISE**2, _PINNED**2)
        joint = SLOPES**2 * known @ known.transpose(0, 2, 1) + _alike(apart) + np.diag(noise)
        toward = SLOPES**2 * (known @ moves[:, :, None])[..., 0] + _alike(((places - place) ** 2).sum(axis=-1))
        left = np.append(self.falls, np.zeros((draws, 1)), axis=1) - known[..., 0]
        weights = np.linalg.solve(joint, toward[..., None])[..., 0]
        alone = SLOPES**2 * float(moves[0] @ moves[0]) + RESIDUAL**2
        return moves[:, 0] + (weights * left).sum(axis=1), max(0.0, alone - float(weights[0] @ toward[0]))

    def doubt(self) -> float:
        """By what factor falls of kinds that were left out lie further off than their variance says; 1 at least."""
        kinds = np.unique(self.kinds)
        if len(kinds) < 2:
            return 1.0
        off = []
        for kind in kinds:
            rest = self.without(kind)
            for at in np.flatnonzero(self.kinds == kind):
                fall, variance = rest.foretold(self.moves[:1, at], self.places[at])
                off.append((fall[0] - self.falls[0, at]) ** 2 / (variance + self.noise[at] + _NOISE**2))
        return max(1.0, math.sqrt(float(np.mean(off))))

    def beyond(self, moves: Float64, place: Float64) -> bool:
        """Whether a shift is unlike all that were seen.

        That is: it lies further from each than any kind lies from the nearest other, and further than they reach into
        each other; or its confidence moved half as far again as that of any.

        Args:
            moves: shape (2,), its own.
            place: shape (d,), its own.
        """
        if not len(self.kinds):
            return False
        places = np.vstack([self.places, np.zeros_like(place)])
        kinds = np.append(self.kinds, "")
        apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=-1))
        apart[kinds[:, None] == kinds[None]] = np.inf
        nearest = float(np.sqrt(((places - place) ** 2).sum(axis=-1)).min())
        far = nearest > max(float(apart.min(axis=1).max()), REACH)
        return far or abs(moves[0]) > 1.5 * float(np.abs(self.moves[0, :, 0]).max())


def placed(means: Float64, centre: Float64, scale: Float64) -> Float64:
    """Where the means of columns lie, shape (d,): 0 as in the reference, growing with the logarithm of the distance.

    Args:
        means: shape (d,), NaN where a column has no values, which then tells nothing.
        centre: shape (d,), means of the reference.
        scale: shape (d,), standard deviations of the reference; 0 where a column is constant, which then tells nothing.
    """
    steps = np.divide(means - centre, scale, out=np.zeros_like(centre), where=scale > 1e-9 * (1 + np.abs(centre)))
    return np.nan_to_num(np.arcsinh(_GROWTH * steps)) / (_GROWTH / 2) / math.sqrt(max(1, len(centre)))


def _alike(apart: Float64) -> Float64:
    return np.asarray(RESIDUAL**2 * np.exp(-apart / (2 * REACH**2)))
