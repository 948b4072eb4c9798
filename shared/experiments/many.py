"""Several arms or several metrics at once, without finding something in nothing.

Holm's correction and Benjamini and Hochberg's stand in :mod:`shared.evaluation.paired`. Here: C. Dunnett, "A multiple
comparison procedure for comparing several treatments with a control", JASA 50 (1955), in its normal form, whose
integral over the shared control is exact for any sizes and variances of the arms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.evaluation.paired import adjusted_p_values as holm
from shared.evaluation.paired import benjamini_hochberg

CORRECTIONS = ("holm", "benjamini-hochberg", "none")
_NODES = 24
"""Of the Gauss-Legendre rule on each piece of the integral."""


def corrected(p_values: Mapping[str, float], *, correction: str = "holm") -> dict[str, float]:
    """P-values corrected for their number.

    Args:
        p_values: by name.
        correction: ``"holm"`` against any false finding, ``"benjamini-hochberg"`` for the share of false findings, or
            ``"none"``.

    Raises:
        UnknownNameError: no correction has that name.

    Example:
        >>> corrected({"a": 0.01, "b": 0.02}, correction="benjamini-hochberg")
        {'a': 0.02, 'b': 0.02}
    """
    if correction not in CORRECTIONS:
        raise UnknownNameError("correction", correction, CORRECTIONS)
    if correction == "none":
        return dict(p_values)
    return holm(p_values) if correction == "holm" else benjamini_hochberg(p_values)


def dunnett_critical(control_variance: float, variances: Sequence[float], *, confidence: float = CONFIDENCE) -> float:
    """How many standard errors each arm's interval against the control must reach, so that all hold together.

    Args:
        control_variance: squared standard error of the control's figure, at least 0.
        variances: of each other arm's figure, above 0.
        confidence: that all intervals hold.

    Raises:
        UsageError: a variance is out of its range, or there is none.

    Example:
        >>> round(dunnett_critical(1.0, [1.0, 1.0]), 3)  # Dunnett's table: 2.21
        2.212
    """
    from scipy.optimize import brentq  # noqa: PLC0415

    return float(brentq(lambda c: dunnett_p(c, control_variance, variances) - (1 - confidence), 0.5, 20.0, xtol=1e-9))


def dunnett_p(z: float, control_variance: float, variances: Sequence[float]) -> float:
    """The chance that, without any effect, some arm is ``z`` standard errors or more from the control.

    Args:
        z: at least 0.
        control_variance: squared standard error of the control's figure.
        variances: of each other arm's figure.

    Raises:
        UsageError: a variance is out of its range, or there is none.

    Example:
        >>> round(dunnett_p(1.959964, 1.0, [1.0]), 4)
        0.05
    """
    from scipy.special import ndtr  # noqa: PLC0415

    own = np.asarray(variances, np.float64)
    if not own.size or own.min() <= 0 or control_variance < 0 or z < 0:
        raise UsageError(
            f"variances of arms must be above 0, the control's and z at least 0. Got {own.tolist()}, "
            f"{control_variance} and {z}"
        )
    shared = np.sqrt(control_variance / (control_variance + own))[:, None]  # (arms, 1)
    rest = np.sqrt(own / (control_variance + own))[:, None]
    # Where the control is much the smallest arm, the integrand falls from 1 to 0 within a few rest / shared of
    # z / shared: pieces that end around there are smooth, one rule over the whole line is not.
    turns = z / np.maximum(shared, 1e-3) + np.outer(rest / np.maximum(shared, 1e-3), [-6, -2, 0, 2, 6])
    edges = np.unique(np.clip([*turns.ravel(), *-turns.ravel(), *range(-9, 10, 3)], -9.0, 9.0))
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    halves = np.diff(edges)[:, None] / 2
    nodes = (edges[:-1, None] + halves * (points + 1)).ravel()
    density = (halves * weights).ravel() * np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    inside = ndtr((z - shared * nodes) / rest) - ndtr((-z - shared * nodes) / rest)  # (arms, nodes)
    return float(np.clip(1 - inside.prod(axis=0) @ density, 0.0, 1.0))
