"""Figures of verification: whether two things are of one kind, told by how similar they are.

A pair is *genuine* (of one person) or an *impostor* pair (of two). It is accepted when its similarity reaches the
threshold. FAR is the share of impostor pairs that are accepted, TAR the share of genuine pairs that are; definitions
as in P. Grother and M. Ngan, "Face Recognition Vendor Test", NISTIR 8009 (2014), section 3.

A pair that could not be compared is given NaN, and counts as an error at every threshold: a genuine one is never
accepted, an impostor one always is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, mean_interval, percentile_interval
from shared.evaluation.report import Metric
from shared.types import AnyArray, Bool, Float64, Int64


@dataclass(frozen=True, eq=False)
class Roc:
    """What each threshold leads to, from the strictest to the laxest.

    Attributes:
        far: shape (k,), float64, false-accept rate, rising from 0 to 1.
        tar: shape (k,), float64, true-accept rate, never falling.
        thresholds: shape (k,), float64, falling from infinity; a pair is accepted when its similarity reaches it.
    """

    far: Float64
    tar: Float64
    thresholds: Float64


def roc_curve(same: AnyArray, similarity: AnyArray) -> Roc:
    """The receiver operating characteristic, with a point for each different similarity.

    Args:
        same: shape (n,), bool, whether each pair is genuine; at least one is and one is not.
        similarity: shape (n,), larger is more alike; NaN for a pair that could not be compared.

    Raises:
        UsageError: the shapes differ, or all pairs are of one sort.

    Example:
        >>> curve = roc_curve([True, True, False, False], [0.9, 0.4, 0.5, 0.1])
        >>> curve.far.tolist(), curve.tar.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    truth, values = _checked(same, similarity)
    order = np.argsort(-values, kind="stable")
    values, genuine = values[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
    accepted, impostors = genuine[last], last + 1 - genuine[last]
    return Roc(
        np.r_[0.0, impostors / (~truth).sum()],
        np.r_[0.0, accepted / truth.sum()],
        np.r_[np.inf, values[last]],
    )


def auc_score(same: AnyArray, similarity: AnyArray) -> float:
    """Area under the ROC curve: the chance that a genuine pair is more alike than an impostor pair, ties half.

    Example:
        >>> auc_score([True, True, False, False], [0.9, 0.4, 0.5, 0.1])
        0.75
    """
    curve = roc_curve(same, similarity)
    return float(np.trapezoid(curve.tar, curve.far))


def eer_error(same: AnyArray, similarity: AnyArray) -> float:
    """Equal error rate: where the share of impostor pairs accepted equals that of genuine pairs refused.

    Between two points of the ROC curve the straight line between them counts.

    Example:
        >>> eer_error([True, True, False, False], [0.9, 0.4, 0.5, 0.1])
        0.5
    """
    curve = roc_curve(same, similarity)
    gap = curve.far - (1 - curve.tar)  # rises from -1 to 1
    at = int(np.searchsorted(gap, 0.0))
    if gap[at] == 0 or at == 0:
        return float(curve.far[at])
    part = -gap[at - 1] / (gap[at] - gap[at - 1])
    return float(curve.far[at - 1] + part * (curve.far[at] - curve.far[at - 1]))


def threshold_at_far(impostors: AnyArray, *, far: float) -> float:
    """The least threshold at which the share of these pairs that are accepted is at most ``far``.

    Args:
        impostors: shape (n,), similarities of impostor pairs, n at least 1; NaN counts as accepted.
        far: false-accept rate, in [0, 1).

    Returns:
        A similarity just above that of the best pair that must be refused; infinity where too many pairs could not
        be compared.

    Raises:
        UsageError: there are no pairs, or ``far`` is out of its range.

    Example:
        >>> round(threshold_at_far([0.1, 0.2, 0.3, 0.4], far=0.25), 6)
        0.3
    """
    values = np.sort(np.nan_to_num(np.asarray(impostors, np.float64), nan=np.inf))
    if values.size == 0:
        raise UsageError("a threshold at a false-accept rate needs at least 1 impostor pair. Got none")
    if not 0 <= far < 1:
        raise UsageError(f"far must lie in [0, 1). Got {far} instead")
    allowed = int(np.floor(far * values.size + 1e-9))
    refused = float(values[values.size - 1 - allowed])
    return math.nextafter(refused, math.inf)


def tar_at_far_score(same: AnyArray, similarity: AnyArray, *, far: float) -> float:
    """True-accept rate at the least threshold whose false-accept rate is at most ``far``.

    Args:
        same: as in :func:`roc_curve`.
        similarity: as in :func:`roc_curve`.
        far: in [0, 1). With fewer than 1 / far impostor pairs it means that none is accepted.

    Example:
        >>> tar_at_far_score([True, True, False, False], [0.9, 0.4, 0.5, 0.1], far=0.0)
        0.5
    """
    truth, values = _checked(same, similarity)
    return float((values[truth] >= threshold_at_far(values[~truth], far=far)).mean())


def best_threshold(same: AnyArray, similarity: AnyArray) -> float:
    """The threshold that is right for most of these pairs.

    It lies midway between the two neighbouring similarities that it parts; of several that are equally right, the
    middle one is taken.

    Example:
        >>> best_threshold([True, True, False], [0.9, 0.5, 0.1])
        0.3
    """
    truth, values = _checked(same, similarity)
    finite = np.unique(values[np.isfinite(values)])
    if finite.size == 0:
        return 0.0
    cuts = np.r_[finite[0] - 1e-6, (finite[1:] + finite[:-1]) / 2, finite[-1] + 1e-6]
    genuine, impostors = np.sort(values[truth]), np.sort(values[~truth])
    right = genuine.size - np.searchsorted(genuine, cuts) + np.searchsorted(impostors, cuts)
    best = np.flatnonzero(right == right.max())
    return float(cuts[best[best.size // 2]])


def decisions_right(same: AnyArray, similarity: AnyArray, *, threshold: float | AnyArray) -> Bool:
    """Whether each pair is judged rightly; never where it could not be compared.

    Args:
        same: shape (n,), bool.
        similarity: shape (n,); NaN for a pair that could not be compared.
        threshold: one for all pairs, or one for each.
    """
    truth, values = np.asarray(same, np.bool_), np.asarray(similarity, np.float64)
    right: Bool = ~np.isnan(values) & ((values >= threshold) == truth)
    return right


def cross_validated(same: AnyArray, similarity: AnyArray, folds: AnyArray) -> tuple[Bool, Float64]:
    """LFW's protocol: each fold is judged at the threshold that is best for the pairs of all other folds.

    G. B. Huang et al., "Labeled Faces in the Wild", University of Massachusetts technical report 07-49 (2007).

    Args:
        same: as in :func:`roc_curve`.
        similarity: as in :func:`roc_curve`.
        folds: shape (n,), the fold of each pair; at least two.

    Returns:
        Whether each pair is judged rightly, shape (n,); and the threshold that each pair was judged at, shape (n,).

    Raises:
        UsageError: there is one fold only, or without one fold all pairs are of one sort.
    """
    truth, values = _checked(same, similarity)
    numbers = np.asarray(folds)
    if numbers.shape != truth.shape or np.unique(numbers).size < 2:
        raise UsageError(f"folds must name at least two folds, one for each of {truth.size} pairs. Got {numbers.shape}")
    thresholds = np.empty(truth.size)
    for fold in np.unique(numbers):
        held = numbers == fold
        thresholds[held] = best_threshold(truth[~held], values[~held])
    return decisions_right(truth, similarity, threshold=thresholds), thresholds


def stratified_folds(same: AnyArray, *, count: int = 10) -> Int64:
    """Folds of equal make-up for a set of pairs that has none: of each sort every ``count``-th pair goes together.

    Args:
        same: shape (n,), bool.
        count: how many, at least 2.

    Example:
        >>> stratified_folds([True, True, True, False, False], count=2).tolist()
        [0, 1, 0, 0, 1]
    """
    if count < 2:
        raise UsageError(f"count must be at least 2. Got {count} instead")
    truth = np.asarray(same, np.bool_)
    folds = np.empty(truth.size, np.int64)
    for sort in (True, False):
        places = np.flatnonzero(truth == sort)
        folds[places] = np.arange(places.size) % count
    return folds


def verification_intervals(
    same: AnyArray,
    similarity: AnyArray,
    *,
    folds: AnyArray,
    far: float,
    threshold: float | None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Metric]:
    """All figures with percentile bootstrap intervals over pairs.

    Args:
        same: as in :func:`roc_curve`.
        similarity: as in :func:`roc_curve`.
        folds: as in :func:`cross_validated`. A pair keeps the threshold of its fold in every resample.
        far: of ``tar_at_far``.
        threshold: of ``accuracy_at_threshold``; ``None`` leaves that figure out.
        rng: source of randomness.
        resamples: how often pairs are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        ``accuracy`` by LFW's protocol, ``eer``, ``tar_at_far``, ``auc``, and ``accuracy_at_threshold``.
    """
    truth, _ = _checked(same, similarity)
    values = np.asarray(similarity, np.float64)
    options = {"rng": rng, "resamples": resamples, "confidence": confidence}
    right, _ = cross_validated(truth, values, folds)
    figures = {"accuracy": mean_interval(right.astype(np.float64), **options)}  # type: ignore[arg-type]
    if threshold is not None:
        fixed = decisions_right(truth, values, threshold=threshold).astype(np.float64)
        figures["accuracy_at_threshold"] = mean_interval(fixed, **options)  # type: ignore[arg-type]
    draws: dict[str, list[float]] = {"eer": [], "tar_at_far": [], "auc": []}
    genuine, impostors = np.flatnonzero(truth), np.flatnonzero(~truth)
    for turn in range(resamples + 1):  # the first is all pairs as they are
        drawn = np.r_[_drawn(genuine, turn, rng), _drawn(impostors, turn, rng)]
        draws["eer"].append(eer_error(truth[drawn], values[drawn]))
        draws["tar_at_far"].append(tar_at_far_score(truth[drawn], values[drawn], far=far))
        draws["auc"].append(auc_score(truth[drawn], values[drawn]))
    for name, found in draws.items():
        figures[name] = percentile_interval(found[0], np.array(found[1:]), confidence=confidence)
    return figures


def _drawn(places: Int64, turn: int, rng: np.random.Generator) -> Int64:
    return places if turn == 0 else rng.choice(places, places.size)


def _checked(same: AnyArray, similarity: AnyArray) -> tuple[Bool, Float64]:
    """Truth, and similarities in which a pair that could not be compared is wrong at every threshold."""
    truth, values = np.asarray(same, np.bool_), np.asarray(similarity, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise UsageError(f"same and similarity must have one shape (n,). Got {truth.shape} and {values.shape} instead")
    if truth.all() or not truth.any():
        raise UsageError(
            f"pairs must hold genuine and impostor ones. Got {int(truth.sum())} genuine of {truth.size} instead"
        )
    return truth, np.where(np.isnan(values), np.where(truth, -np.inf, np.inf), values)
