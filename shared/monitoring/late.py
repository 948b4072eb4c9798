"""Figures from labels that arrive after the predictions: joined by id, with what is known of those still without one.

The labelled part of a window is seldom a random one: easy items are confirmed first, complaints come about wrong ones.
Where the confidences of labelled and unlabelled items differ, the mean over the labelled is no figure of the window; it
is then also given weighted by strata of confidence (post-stratification: D. Holt and T. M. F. Smith, JRSS A 142, 1979),
which mends what hangs on confidence and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import (
    CONFIDENCE,
    RESAMPLES,
    mean_interval,
    percentile_interval,
    resampled_means,
    wilson,
)
from shared.evaluation.report import Metric
from shared.monitoring.tests import kolmogorov_smirnov
from shared.types import AnyArray, Float64, Id, Int64

STRATA = 5
NOTED = 0.01
"""P-value from which on labelled and unlabelled items are said to differ."""


@dataclass(frozen=True)
class LatePerformance:
    """What the labels that have come say of a window of predictions.

    Attributes:
        n: predictions.
        labelled: those that have a label.
        figure: mean score over the labelled, with its interval; ``None`` where there are none.
        weighted: the same with each stratum of confidence weighted by its share of the window; ``None`` without
            confidences, or where a stratum has fewer than 2 labels.
        bias_p_value: that labelled and unlabelled items have equally distributed confidences; 1 where nothing is known.
        unknown: labels whose id no prediction has.
        note: what to mind, in a sentence; empty where nothing is.
    """

    n: int
    labelled: int
    figure: Metric | None
    weighted: Metric | None
    bias_p_value: float
    unknown: int
    note: str

    @property
    def coverage(self) -> float:
        """Share of the predictions that have a label, in [0, 1]; 0 without predictions."""
        return self.labelled / self.n if self.n else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self) | {"coverage": self.coverage}


def performance(
    ids: Sequence[Id],
    predicted: Sequence[Any],
    labels: Mapping[Id, Any],
    *,
    confidence: AnyArray | None = None,
    score: Callable[[Any, Any], float] | None = None,
    rng: np.random.Generator,
    level: float = CONFIDENCE,
) -> LatePerformance:
    """Join predictions with the labels that have come so far, and measure.

    Args:
        ids: of the predictions of a window, length n, all different.
        predicted: what was said of each, length n.
        labels: true labels by id; those of other windows are counted and left alone.
        confidence: shape (n,), of each prediction.
        score: from a prediction and its label to a number, higher is better; 1 where they are equal, else 0, when not
            given.
        rng: of the bootstrap.
        level: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: lengths differ, an id came twice, or a score is not finite.

    Example:
        >>> found = performance(["a", "b", "c"], [1, 0, 1], {"a": 1, "c": 0}, rng=np.random.default_rng(0))
        >>> found.labelled, found.figure.value, round(found.coverage, 2)
        (2, 0.5, 0.67)
    """
    sure = None if confidence is None else np.asarray(confidence, np.float64)
    if len(ids) != len(predicted) or (sure is not None and sure.shape != (len(ids),)):
        raise UsageError(
            f"ids, predictions and confidences must be of the same items. Got {len(ids)}, {len(predicted)} and "
            f"{'none' if sure is None else sure.shape}"
        )
    known = set(ids)
    if len(known) != len(ids):
        raise UsageError(f"ids must be all different. Got {len(ids) - len(known)} of {len(ids)} again")
    at = np.array([k for k, id in enumerate(ids) if id in labels], np.int64)
    scores = np.array([_score(predicted[k], labels[ids[k]], score) for k in at.tolist()], np.float64)
    if not np.isfinite(scores).all():
        raise UsageError("scores must be finite numbers. Got others: leave out items that have none")
    p_value, weighted = 1.0, None
    if sure is not None and at.size:
        out = np.setdiff1d(np.arange(len(ids)), at)
        p_value = kolmogorov_smirnov(sure[at], sure[out]).p_value
        weighted = _weighted(scores, sure, at, rng=rng, level=level)
    return LatePerformance(
        n=len(ids),
        labelled=at.size,
        figure=_figure(scores, rng=rng, level=level),
        weighted=weighted,
        bias_p_value=p_value,
        unknown=sum(id not in known for id in labels),
        note=_note(at.size, len(ids), sure is not None, p_value, weighted),
    )


def _score(predicted: Any, label: Any, score: Callable[[Any, Any], float] | None) -> float:
    return float(predicted == label) if score is None else float(score(predicted, label))


def _figure(scores: Float64, *, rng: np.random.Generator, level: float) -> Metric | None:
    if not scores.size:
        return None
    if np.isin(scores, (0.0, 1.0)).all():
        return wilson(int(scores.sum()), scores.size, confidence=level)
    return mean_interval(scores, rng=rng, confidence=level)


def _weighted(scores: Float64, sure: Float64, at: Int64, *, rng: np.random.Generator, level: float) -> Metric | None:
    """The mean over strata of confidence, each with its share of the window; resampled within the strata."""
    edges = np.unique(np.quantile(sure, np.arange(1, STRATA) / STRATA))
    stratum = np.searchsorted(edges, sure, side="left")
    shares = np.bincount(stratum, minlength=edges.size + 1) / sure.size
    parts = [(share, scores[stratum[at] == k]) for k, share in enumerate(shares) if share]
    if min(part.size for _, part in parts) < 2:
        return None
    value, draws = 0.0, np.zeros(RESAMPLES)
    for share, part in parts:
        value += share * float(part.mean())
        draws += share * resampled_means(part, rng=rng)
    found = percentile_interval(value, draws, confidence=level)
    return Metric(value, min(value, found.low), max(value, found.high))


def _note(labelled: int, n: int, has_confidence: bool, p_value: float, weighted: Metric | None) -> str:
    if not labelled:
        return "no label has come yet"
    if labelled == n:
        return ""
    if not has_confidence:
        return "whether the labelled items are like the others is not known: give confidences"
    if p_value > NOTED:
        return ""
    instead = "take the weighted figure" if weighted else "too few labels to weigh them"
    return f"the labelled items differ in confidence from the others (p = {p_value:.2g}): {instead}"
