"""From a confidence to the share of right answers: Platt's line, or isotonic regression; scikit-learn's.

J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999), over the
log-odds of the confidence; B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass
probability estimates", KDD 2002.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from shared.evaluation.classification import calibration_error
from shared.lazy import require
from shared.types import AnyArray, Bool, Float64

METHODS = ("platt", "isotonic")
Curve: TypeAlias = Callable[[AnyArray], Float64]
_FOLDS = 5
_KNOTS = 200
_EDGE = 1e-6


def log_odds(chance: Any) -> Any:
    """ln(p / (1 - p)), of p kept a millionth away from 0 and 1."""
    inside = np.clip(chance, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))


def fitted(confidence: Float64, correct: Bool, method: str, weights: Float64 | None = None) -> Curve:
    """The share of right answers as a function of the confidence.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,).
        method: one of :data:`METHODS`.
        weights: shape (n,), of the items; equal when not given.

    Example:
        >>> curve = fitted(np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, True, False, True]), "isotonic")
        >>> curve(np.array([0.5])).tolist()
        [0.5]
    """
    if correct.all() or not correct.any():
        share = float(correct.mean())
        return lambda given: np.full(np.shape(given), share)
    if method == "isotonic":
        isotonic = require("sklearn.isotonic", extra="all")
        model = isotonic.IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        model.fit(confidence, correct.astype(np.float64), weights)
        return lambda given: np.asarray(model.predict(np.ravel(given)), np.float64)
    linear = require("sklearn.linear_model", extra="all")
    line = linear.LogisticRegression(C=1e4).fit(log_odds(confidence)[:, None], correct, weights)
    return lambda given: np.asarray(line.predict_proba(log_odds(np.ravel(given))[:, None])[:, 1], np.float64)


def chosen(confidence: Float64, correct: Bool, method: str, rng: np.random.Generator) -> tuple[str, float]:
    """The method, and its expected calibration error on items that it was not fitted to.

    Args:
        confidence: shape (n,), in [0, 1].
        correct: shape (n,).
        method: one of :data:`METHODS`, or ``"auto"`` for the one with the lesser log loss on unseen items.
        rng: of the folds.
    """
    folds = rng.permutation(np.arange(confidence.size) % _FOLDS)
    unseen: dict[str, Float64] = {}
    for name in METHODS if method == "auto" else (method,):
        unseen[name] = np.empty(confidence.size)
        for fold in range(_FOLDS):
            out = folds == fold
            unseen[name][out] = fitted(confidence[~out], correct[~out], name)(confidence[out])
    best = min(unseen, key=lambda name: _log_loss(unseen[name], correct))
    return best, calibration_error(correct, np.clip(unseen[best], 0, 1))


def grid(confidence: Float64) -> Float64:
    """Confidences between which any curve is about straight: quantiles of those that came, and even log-odds.

    Args:
        confidence: shape (n,), in [0, 1].

    Returns:
        Shape (k,), rising from 0 to 1, k at most 265.
    """
    even = 1 / (1 + np.exp(-np.linspace(-8, 14, 63)))
    return np.unique(np.concatenate([[0.0, 1.0], even, np.quantile(confidence, np.linspace(0, 1, _KNOTS))]))


def _log_loss(chances: Float64, correct: Bool) -> float:
    inside = np.clip(chances, 1e-3, 1 - 1e-3)  # isotonic regression says 0 and 1 of few items
    return float(-np.log(np.where(correct, inside, 1 - inside)).mean())
