"""A classifier that tells the window from the reference: if it can, they differ, and by how much says how to weigh.

D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017. The classifier is scikit-learn's
logistic regression over standardised rows. It learns on one half of both samples and is tested on the other, then the
other way round. On a half that it has not seen its scores are those of any fixed function, so that Mann and Whitney's
test of them is exact whatever it learnt; the better of the two halves counts double its p-value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Float64

ROWS = 4000
"""Rows of each sample that are used at the most."""
STRENGTH = 1.0
"""Of scikit-learn's ``C``, times the columns: many columns together may tell as much as one alone."""
_LEAST = 10
_RATIO = 50.0


@dataclass(frozen=True)
class Separation:
    """How well the two samples can be told apart.

    Attributes:
        auc: that a row of the window gets the higher score than one of the reference, in [0, 1]; 0.5 where they are
            alike; the mean of the two halves.
        p_value: that such an AUC is chance, in (0, 1].
    """

    auc: float
    p_value: float


def domain_classifier(
    reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, most: int = ROWS
) -> Separation:
    """Test whether two samples can be told apart, by all their columns together.

    Args:
        reference: shape (n, d); row by row the columns, the embedding, or both beside each other. NaN is missing.
        window: shape (m, d).
        rng: of the halves.
        most: rows of each that are used, at least 20.

    Raises:
        UsageError: shapes differ.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = domain_classifier(rng.normal(size=(300, 3)), rng.normal(1, 1, size=(100, 3)), rng=rng)
        >>> found.auc > 0.8, found.p_value < 1e-6
        (True, True)
    """
    from scipy.stats import mannwhitneyu  # noqa: PLC0415 - heavy

    one, other = _checked(reference, window)
    if min(len(one), len(other)) < 2 * _LEAST:
        return Separation(0.5, 1.0)
    parts = [np.array_split(rows[rng.permutation(len(rows))[:most]], 2) for rows in (one, other)]
    found = []
    for learnt in (0, 1):
        model = _fitted(parts[0][learnt], parts[1][learnt])
        scores = [model.decision_function(part[1 - learnt]) for part in parts]
        test = mannwhitneyu(scores[1], scores[0], alternative="greater", method="asymptotic")
        found.append((float(test.statistic) / (len(scores[0]) * len(scores[1])), float(test.pvalue)))
    best = min(p for _, p in found)
    return Separation(float(np.mean([auc for auc, _ in found])), min(1.0, max(2 * best, 1e-300)))


def density_ratios(reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, folds: int = 5) -> Float64:
    """How much likelier each row of the reference is in the window: p / (1 - p) of a classifier that did not see it.

    S. Bickel, M. Brueckner and T. Scheffer, "Discriminative learning under covariate shift", JMLR 10 (2009). Ratios are
    at most 50 times the mean, so that a few rows never stand for all, and their mean is 1.

    Args:
        reference: shape (n, d), n at least ``folds``; NaN is missing.
        window: shape (m, d), m at least ``folds``.
        rng: of the folds.
        folds: at least 2.

    Returns:
        Shape (n,), at least 0.

    Raises:
        UsageError: shapes differ, or a sample has fewer rows than folds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> rows = rng.normal(size=(400, 1))
        >>> weights = density_ratios(rows, rng.normal(1, 1, size=(400, 1)), rng=rng)
        >>> bool(weights[rows[:, 0] > 1].mean() > 2 * weights[rows[:, 0] < 0].mean())
        True
    """
    one, other = _checked(reference, window)
    if folds < 2 or min(len(one), len(other)) < folds:
        raise UsageError(
            f"both samples need at least 2 rows for each of 2 folds. Got {len(one)}, {len(other)}, {folds=}"
        )
    ratios = np.empty(len(one))
    places = [rng.permutation(np.arange(len(rows)) % folds) for rows in (one, other)]
    for fold in range(folds):
        out = places[0] == fold
        model = _fitted(one[~out], other[places[1] != fold])
        ratios[out] = np.exp(np.clip(model.decision_function(one[out]), -30, 30))  # classes weigh the same: p / (1 - p)
    ratios = np.minimum(ratios / ratios.mean(), _RATIO)
    return np.asarray(ratios / ratios.mean(), np.float64)


def _fitted(reference: Float64, window: Float64) -> Any:
    linear = require("sklearn.linear_model", extra="all")
    pipeline = require("sklearn.pipeline", extra="all")
    standard = require("sklearn.preprocessing", extra="all")
    impute = require("sklearn.impute", extra="all")
    rows = np.concatenate([reference, window])
    labels = np.repeat([0, 1], [len(reference), len(window)])
    model = pipeline.make_pipeline(
        impute.SimpleImputer(keep_empty_features=True),
        standard.StandardScaler(),
        linear.LogisticRegression(C=STRENGTH / rows.shape[1], class_weight="balanced", max_iter=500),
    )
    return model.fit(rows, labels)


def _checked(reference: AnyArray, window: AnyArray) -> tuple[Float64, Float64]:
    one, other = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise UsageError(f"rows must have shapes (n, d) and (m, d). Got {one.shape} and {other.shape} instead")
    return np.where(np.isfinite(one), one, np.nan), np.where(np.isfinite(other), other, np.nan)
