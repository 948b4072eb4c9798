"""How often a classifier is right on items without labels, from how sure it is, how its answers spread, and its inputs.

Three steps, each of which may stand alone. *Calibrate*: the share of right answers at each confidence, from labelled
items that the model has not learnt from (Platt's line of log-odds, or isotonic regression); the mean calibrated
confidence of a window is then its accuracy, while calibration holds (known as CBPE). *Shifts*: under a real shift it
does not hold, models stay too sure. So the labelled items are spoilt in many ways of one's own, and it is learnt how
accuracy falls with mean confidence and as answers gather in fewer classes: D. Guillory et al., "Predicting with
confidence on unseen distributions", ICCV 2021; W. Deng, Y. Suh, S. Gould and L. Zheng, "Confidence and dispersity
speak: characterising prediction matrix for unsupervised accuracy estimation", ICML 2023; W. Deng and L. Zheng, "Are
labels always necessary for classifier accuracy evaluation?", CVPR 2021. Where it is told what the items look like, it
learns besides how shifts that look alike deviate alike (:mod:`shared.monitoring.kriging`). A window without shift is
left alone. *Weights*: where only the mix of items has changed, items of the reference that look like the window's count
more in the calibration (M. Sugiyama et al., JMLR 8, 2007).

The interval is of the accuracy of the very window. It holds what the labelled items leave open (they are drawn again),
how well a kind of shift is foretold that was not taught (each kind is left out in turn), and chance in the window. A
window that looks like none of the shifts that were taught is said to be so. None of it can know of a world in which the
same inputs have come to mean something else: late labels do (:mod:`shared.monitoring.late`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.monitoring.calibrated import Calibration
from shared.monitoring.classifier import density_ratios
from shared.monitoring.curves import METHODS, Curve, chosen, fitted, grid, log_odds
from shared.monitoring.kriging import Shifts, placed
from shared.monitoring.labelled import Labelled, answers, arrays_of, checked, moments
from shared.monitoring.spread import chance_of, inside, spread_of
from shared.types import AnyArray, Float64

__all__ = ["Calibration", "Estimate", "Labelled", "calibration", "estimated_accuracy"]

RESAMPLES = 200
BEYOND = "not trusted: the window is unlike every shift that the calibration was taught"


@dataclass(frozen=True)
class Estimate:
    """The accuracy of a window without labels.

    Attributes:
        value: in [0, 1].
        low: lower end of the interval.
        high: upper end.
        n: items of the window.
        method: ``"confidence"``, ``"shifts"`` or ``"weighted"``: what it rests on.
        note: why it is not to be trusted; empty where nothing speaks against it.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    note: str = ""


def calibration(
    confidence: AnyArray,
    correct: AnyArray,
    *,
    labels: Sequence[str] | AnyArray | None = None,
    numbers: Mapping[str, AnyArray] = MappingProxyType({}),
    shifts: Mapping[str, Sequence[Labelled]] = MappingProxyType({}),
    method: str = "auto",
    resamples: int = RESAMPLES,
    rng: np.random.Generator | None = None,
) -> Calibration:
    """Learn from labelled items how right the model is at each confidence, and how that fails under shifts.

    Args:
        confidence: shape (n,), of the best class, in [0, 1]; n at least 20, some hundreds are wanted. The model must
            not have learnt from these items.
        correct: shape (n,), bool.
        labels: the best class of each, length n; give them where ``shifts`` have them.
        numbers: columns of the same items by name, each of shape (n,), such as their observer's, by which shifts are
            told to look alike; give them where ``shifts`` have them.
        shifts: by kind (``"blur"``), the same or other labelled items spoilt in that way, once for each strength. Three
            kinds or more say how far another can be foretold.
        method: ``"platt"``, ``"isotonic"``, or ``"auto"``: the one with the lesser log loss on items it has not seen.
        resamples: how often items are drawn again for the interval, at least 1.
        rng: of that, and of the folds; seeded with 0 when not given.

    Raises:
        UnknownNameError: no method has that name.
        UsageError: an argument is out of its range, or there are too few items.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sure = rng.uniform(0.5, 1, 2000)
        >>> found = calibration(sure, rng.random(2000) < sure - 0.1, rng=rng)
        >>> bool(abs(found.calibrated(0.8) - 0.7) < 0.05)
        True
    """
    rng = np.random.default_rng(0) if rng is None else rng
    if method not in ("auto", *METHODS):
        raise UnknownNameError("method of calibration", method, ("auto", *METHODS))
    own = Labelled(confidence, correct, labels, numbers)
    if len(np.asarray(own.confidence)) < 20 or resamples < 1:
        raise UsageError(
            f"a calibration needs at least 20 items and 1 resample. Got {len(own.confidence)}, {resamples}"
        )
    sure, right, said = arrays_of(own, rng)
    copies = [(kind, one) for kind, ones in shifts.items() for one in ones]
    strengths = [arrays_of(one, rng) for _, one in copies]
    names = sorted(set(numbers).intersection(*(one.numbers for _, one in copies)))
    centre, scale = moments([own], names)
    scale = np.where(scale > 0, scale, moments([own, *(one for _, one in copies)], names)[1])
    method, error = chosen(sure, right, method, rng)
    knots = grid(np.concatenate([sure, *(one[0] for one in strengths)]))
    spreads = np.array([spread_of(one[2], said, rng) for one in strengths])
    curves, anchors = [], []
    moves, falls = np.empty((resamples + 1, len(strengths), 2)), np.empty((resamples + 1, len(strengths)))
    for draw in range(resamples + 1):
        at = rng.integers(0, sure.size, sure.size) if draw else np.arange(sure.size)
        curve = fitted(sure[at], right[at], method)(knots)
        start = (inside(right[at].mean(), at.size), float(np.interp(sure[at], knots, curve).mean()))
        for k, (theirs, hits, _) in enumerate(strengths):
            place = rng.integers(0, theirs.size, theirs.size) if draw else np.arange(theirs.size)
            mean = float(np.interp(theirs[place], knots, curve).mean())
            moves[draw, k] = log_odds(mean) - log_odds(start[1]), spreads[k]
            falls[draw, k] = log_odds(inside(hits[place].mean(), place.size)) - log_odds(start[0])
        curves.append(curve)
        anchors.append(start)
    shares = [inside(hits.mean(), hits.size) for _, hits, _ in strengths]
    places = [placed(moments([one], names)[0], centre, scale) for _, one in copies]
    seen = Shifts(
        np.array([kind for kind, _ in copies], np.str_),
        moves,
        falls,
        np.array([1 / (p * (1 - p) * one[1].size) for p, one in zip(shares, strengths)]),
        np.array(places).reshape(len(copies), len(names)),
    )
    known = (np.array(curves), np.array(anchors), seen, np.array(names, np.str_), centre, scale, seen.doubt())
    return Calibration(method, sure, right, said, knots, *known, error)


def estimated_accuracy(
    calibration: Calibration,
    confidence: AnyArray,
    *,
    labels: Sequence[str] | AnyArray | Mapping[str, int] | None = None,
    numbers: Mapping[str, AnyArray] = MappingProxyType({}),
    reference_rows: AnyArray | None = None,
    window_rows: AnyArray | None = None,
    level: float = CONFIDENCE,
    rng: np.random.Generator | None = None,
) -> Estimate:
    """The accuracy of a window of answers whose labels are not known.

    Args:
        calibration: of this model.
        confidence: shape (m,), of the best class of each item of the window, in [0, 1].
        labels: the best class of each, or how often each class came; wanted where the calibration learnt from shifts
            with labels. The mix of true classes must then be about that of the reference: a window of one class alone
            reads as a collapse.
        numbers: columns of the window by name, each of any length: a sample will do. Wanted where the calibration
            learnt from shifts with columns.
        reference_rows: shape (n, d), the labelled items' columns or embeddings in the order of the calibration, for
            weights instead of shifts.
        window_rows: shape (m, d), the window's.
        level: coverage of the interval, in (0, 1).
        rng: of the interval; seeded with 0 when not given.

    Raises:
        UsageError: an argument is malformed, or only one side's rows are given.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sure = rng.uniform(0.5, 1, 2000)
        >>> known = calibration(sure, rng.random(2000) < sure, rng=rng)
        >>> found = estimated_accuracy(known, np.full(500, 0.9))
        >>> round(found.value, 1), found.low < 0.9 < found.high
        (0.9, True)
    """
    rng = np.random.default_rng(0) if rng is None else rng
    sure = checked(confidence)
    if labels is not None and not isinstance(labels, Mapping) and len(labels) != sure.size:
        raise UsageError(f"labels must be of the same items. Got {len(labels)} of {sure.size}")
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1. Got {level} instead")
    if (reference_rows is None) != (window_rows is None):
        raise UsageError("rows must be given of both the reference and the window, or of neither")
    if reference_rows is not None and window_rows is not None:
        return _weighted(calibration, sure, np.asarray(reference_rows), np.asarray(window_rows), level, rng)
    means = np.array([np.interp(sure, calibration.knots, curve).mean() for curve in calibration.curves])
    seen = calibration.shifts
    if not len(seen.kinds):
        return _estimate(float(means[0]), means[1:], sure.size, level, "confidence", rng)
    spread = 0.0
    if calibration.labels.size and seen.moves[0, :, 1].any():
        if labels is None:
            raise UsageError("this calibration was learnt with labels: give those of the window too")
        spread = spread_of(answers(labels, rng), calibration.labels, rng)
    if missing := sorted(set(calibration.names.tolist()) - set(numbers)):
        raise UsageError(f"this calibration was learnt with columns: give {', '.join(missing)} of the window too")
    columns = np.array([_mean(numbers[name]) for name in calibration.names.tolist()])
    place = placed(columns, calibration.centre, calibration.scale)
    moves = np.column_stack([log_odds(means) - log_odds(calibration.anchors[:, 1]), np.full(means.size, spread)])
    falls, variance = seen.foretold(moves, place)
    freedom = max(1, len(np.unique(seen.kinds)) - 1)
    doubt = calibration.doubt * math.sqrt(variance) * rng.standard_t(freedom, falls.size - 1)
    start = log_odds(calibration.anchors[:, 0])
    value, draws = float(chance_of(start[0] + falls[0])), chance_of(start[1:] + falls[1:] + doubt)
    note = BEYOND if seen.beyond(moves[0], place) else ""
    return _estimate(value, draws, sure.size, level, "shifts", rng, note)


def _mean(values: AnyArray) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else math.nan


def _weighted(  # noqa: PLR0917
    known: Calibration,
    sure: Float64,
    reference: AnyArray,
    window: AnyArray,
    level: float,
    rng: np.random.Generator,
) -> Estimate:
    if len(reference) != known.confidence.size or len(window) != sure.size:
        raise UsageError(
            f"rows must be of the {known.confidence.size} labelled items and the {sure.size} of the window. "
            f"Got {len(reference)} and {len(window)}"
        )
    weights = density_ratios(reference, window, rng=rng)
    values = []
    for draw in range(RESAMPLES // 2 + 1):
        at = rng.integers(0, weights.size, weights.size) if draw else np.arange(weights.size)
        curve: Curve = fitted(known.confidence[at], known.correct[at], known.method, weights[at])
        values.append(float(curve(sure).mean()))
    return _estimate(values[0], np.array(values[1:]), sure.size, level, "weighted", rng)


def _estimate(  # noqa: PLR0917
    value: float, draws: Float64, m: int, level: float, method: str, rng: np.random.Generator, note: str = ""
) -> Estimate:
    chance = rng.binomial(m, np.clip(np.repeat(draws, 20), 0, 1)) / m
    low, high = np.quantile(chance, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(value, float(low)), max(value, float(high)), m, method, note)
