"""How often a classifier is right on items without labels, from how sure it is and how its answers spread.

Three steps, each of which may stand alone. *Calibrate*: the share of right answers at each confidence, from labelled
items that the model has not learnt from (Platt's line of log-odds, or isotonic regression); the mean calibrated
confidence of a window is then its accuracy, while calibration holds (known as CBPE). *Shifts*: under a real shift it
does not hold, models stay too sure. So the labelled items are spoilt in ways of one's own, and the line is learnt along
which accuracy falls when mean confidence falls and answers gather in fewer classes: D. Guillory et al., "Predicting
with confidence on unseen distributions", ICCV 2021; W. Deng, Y. Suh, S. Gould and L. Zheng, "Confidence and dispersity
speak: characterising prediction matrix for unsupervised accuracy estimation", ICML 2023. The line is of log-odds and
passes through the
reference, so that a window without shift is left alone. *Weights*: where only the mix of items has changed, items of
the reference that look like the window's count more in the calibration (M. Sugiyama et al., JMLR 8, 2007).

The interval is of the accuracy of the very window. It holds what the labelled items leave open (they are drawn again),
how well the line foretells a kind of shift that it was not learnt from (each kind is left out in turn), and chance in
the window. It cannot know of a world in which the same inputs have come to mean something else: late labels do
(:mod:`shared.monitoring.late`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE
from shared.monitoring.classifier import density_ratios
from shared.monitoring.curves import METHODS, Curve, chosen, fitted, grid, log_odds
from shared.monitoring.spread import chance_of, inside, left_out, line, spread_of
from shared.types import AnyArray, Bool, Float64

RESAMPLES = 200
_MOST = 20_000


@dataclass(frozen=True)
class Labelled:
    """Answers of which it is known whether they are right.

    Attributes:
        confidence: shape (n,), of the best class, in [0, 1].
        correct: shape (n,), bool.
        labels: the best class of each, length n; ``None`` leaves the spread of answers aside.

    Raises:
        UsageError: the lengths differ, there are none, or a confidence is out of its range.
    """

    confidence: AnyArray
    correct: AnyArray
    labels: Sequence[str] | AnyArray | None = None

    def __post_init__(self) -> None:
        n = _checked(self.confidence).size
        right = np.asarray(self.correct)
        if right.shape != (n,) or not np.isin(right, (0, 1)).all():
            raise UsageError(f"correct must be a bool for each of {n} confidences. Got shape {right.shape}")
        if self.labels is not None and len(self.labels) != n:
            raise UsageError(f"labels must be of the same items. Got {len(self.labels)} of {n}")


@dataclass(frozen=True)
class Calibration:
    """What labelled items say of the accuracy of others. All arrays are float64 unless said; ``draws`` is 1 +
    resamples.

    Attributes:
        method: of the curve, ``"platt"`` or ``"isotonic"``.
        confidence: shape (n,), of the labelled items.
        correct: shape (n,), bool.
        labels: shape (n,), text, the answers; empty where they were not given.
        knots: shape (k,), confidences between which the curve is straight.
        curves: shape (draws, k), the share of right answers at each knot; the first row is of all items, the others of
            items drawn again.
        anchors: shape (draws, 2), accuracy and mean calibrated confidence of the reference.
        slopes: shape (draws, 2), of the log-odds of accuracy by those of mean calibrated confidence, and by the entropy
            of the answers in nats; (1, 0) where no shifts were given.
        uncertainty: standard error of a foretold change, as a share of it; of shifts of other kinds.
        error: expected calibration error of items that the curve was not fitted to, in [0, 1].
    """

    method: str
    confidence: Float64
    correct: Bool
    labels: AnyArray
    knots: Float64
    curves: Float64
    anchors: Float64
    slopes: Float64
    uncertainty: float
    error: float

    @property
    def accuracy(self) -> float:
        """Of the labelled items."""
        return float(self.correct.mean())

    def calibrated(self, confidence: AnyArray) -> Float64:
        """The share of right answers at each confidence, shape as given."""
        return np.asarray(np.interp(np.asarray(confidence, np.float64), self.knots, self.curves[0]))

    def arrays(self) -> dict[str, AnyArray]:
        """All of it as plain arrays, for an npz file; :meth:`of_arrays` reads them."""
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, AnyArray]) -> Calibration:
        """What :meth:`arrays` gave.

        Raises:
            UsageError: one is missing.
        """
        if missing := sorted(set(cls.__dataclass_fields__) - set(arrays)):
            raise UsageError(f"arrays of a calibration must have {', '.join(missing)}. Got {', '.join(sorted(arrays))}")
        return cls(
            str(arrays["method"]),
            arrays["confidence"],
            arrays["correct"],
            arrays["labels"],
            arrays["knots"],
            arrays["curves"],
            arrays["anchors"],
            arrays["slopes"],
            float(arrays["uncertainty"]),
            float(arrays["error"]),
        )


@dataclass(frozen=True)
class Estimate:
    """The accuracy of a window without labels.

    Attributes:
        value: in [0, 1].
        low: lower end of the interval.
        high: upper end.
        n: items of the window.
        method: ``"confidence"``, ``"shifts"`` or ``"weighted"``: what it rests on.
    """

    value: float
    low: float
    high: float
    n: int
    method: str


def calibration(
    confidence: AnyArray,
    correct: AnyArray,
    *,
    labels: Sequence[str] | AnyArray | None = None,
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
        shifts: by kind (``"blur"``), the same or other labelled items spoilt in that way, once for each strength. Three
            kinds or more say how far the line can be trusted for another.
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
    own = Labelled(confidence, correct, labels)
    if len(np.asarray(own.confidence)) < 20 or resamples < 1:
        raise UsageError(
            f"a calibration needs at least 20 items and 1 resample. Got {len(own.confidence)}, {resamples}"
        )
    sure, right, said = _arrays(own, rng)
    strengths = [(kind, _arrays(one, rng)) for kind, ones in shifts.items() for one in ones]
    method, error = chosen(sure, right, method, rng)
    knots = grid(np.concatenate([sure, *(one[0] for _, one in strengths)]))
    spreads = np.array([spread_of(one[2], said, rng) for _, one in strengths])
    curves, anchors, slopes = [], [], []
    uncertainty = 0.0
    for draw in range(resamples + 1):
        at = rng.integers(0, sure.size, sure.size) if draw else np.arange(sure.size)
        curve = fitted(sure[at], right[at], method)(knots)
        start = (inside(right[at].mean(), at.size), float(np.interp(sure[at], knots, curve).mean()))
        moves, falls = np.empty((len(strengths), 2)), np.empty(len(strengths))
        for k, (_, (theirs, hits, _)) in enumerate(strengths):
            place = rng.integers(0, theirs.size, theirs.size) if draw else np.arange(theirs.size)
            mean = float(np.interp(theirs[place], knots, curve).mean())
            moves[k] = log_odds(mean) - log_odds(start[1]), spreads[k]
            falls[k] = log_odds(inside(hits[place].mean(), place.size)) - log_odds(start[0])
        slope = line(moves, falls)
        if not draw:
            uncertainty = left_out(moves, falls, [kind for kind, _ in strengths])
        curves.append(curve)
        anchors.append(start)
        slopes.append(slope)
    return Calibration(
        method, sure, right, said, knots, np.array(curves), np.array(anchors), np.array(slopes), uncertainty, error
    )


def estimated_accuracy(
    calibration: Calibration,
    confidence: AnyArray,
    *,
    labels: Sequence[str] | AnyArray | Mapping[str, int] | None = None,
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
    sure = _checked(confidence)
    if labels is not None and not isinstance(labels, Mapping) and len(labels) != sure.size:
        raise UsageError(f"labels must be of the same items. Got {len(labels)} of {sure.size}")
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1. Got {level} instead")
    if (reference_rows is None) != (window_rows is None):
        raise UsageError("rows must be given of both the reference and the window, or of neither")
    if reference_rows is not None and window_rows is not None:
        return _weighted(calibration, sure, np.asarray(reference_rows), np.asarray(window_rows), level, rng)
    shifted = bool((calibration.slopes != (1.0, 0.0)).any())
    spread = 0.0
    if shifted and calibration.labels.size and calibration.slopes[:, 1].any():
        if labels is None:
            raise UsageError("this calibration was learnt with labels: give those of the window too")
        spread = spread_of(_said(labels, rng), calibration.labels, rng)
    means = np.array([np.interp(sure, calibration.knots, curve).mean() for curve in calibration.curves])
    change = calibration.slopes[:, 0] * (log_odds(means) - log_odds(calibration.anchors[:, 1]))
    change = change + calibration.slopes[:, 1] * spread
    start = log_odds(calibration.anchors[:, 0])
    doubt = calibration.uncertainty * abs(change[0]) * rng.standard_normal(change.size - 1)
    value = float(chance_of(start[0] + change[0])) if shifted else float(means[0])
    draws = chance_of(start[1:] + change[1:] + doubt)
    return _estimate(value, draws, sure.size, level, "shifts" if shifted else "confidence", rng)


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
    value: float, draws: Float64, m: int, level: float, method: str, rng: np.random.Generator
) -> Estimate:
    chance = rng.binomial(m, np.clip(np.repeat(draws, 20), 0, 1)) / m
    low, high = np.quantile(chance, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(value, float(low)), max(value, float(high)), m, method)


def _arrays(one: Labelled, rng: np.random.Generator) -> tuple[Float64, Bool, AnyArray]:
    """As arrays, of at most 20,000 items."""
    sure, right = _checked(one.confidence), np.asarray(one.correct, np.bool_)
    said = np.array([], np.str_) if one.labels is None else np.asarray(one.labels).astype(str)
    if sure.size <= _MOST:
        return sure, right, said
    at = np.sort(rng.choice(sure.size, _MOST, replace=False))
    return sure[at], right[at], said[at] if said.size else said


def _said(labels: Sequence[str] | AnyArray | Mapping[str, int], rng: np.random.Generator) -> AnyArray:
    """The answers one by one; of counts at most 20,000, drawn from them."""
    if not isinstance(labels, Mapping):
        return np.asarray(labels).astype(str)
    counts = np.array(list(labels.values()), np.int64)
    if counts.sum() > _MOST:
        counts = rng.multivariate_hypergeometric(counts, _MOST, method="marginals")
    return np.repeat(np.array(list(labels), np.str_), counts)


def _checked(confidence: AnyArray) -> Float64:
    sure = np.asarray(confidence, np.float64)
    if sure.ndim != 1 or not sure.size or not ((sure >= 0) & (sure <= 1)).all():
        raise UsageError(f"confidences must be a (n,) array in 0..1, n at least 1. Got shape {sure.shape} or others")
    return sure
