"""From which probability on a label holds where several may: one threshold a label, chosen where F1 is best."""

from __future__ import annotations

import numpy as np

from nlp.classification.decode import probabilities
from nlp.training.calibrate import fit_temperature
from shared.evaluation.ranked import labels_f1_score, micro_f1_score
from shared.types import Bool, Float32, Float64, Int64

MIDDLE = 0.5


def best_thresholds(scores: Float32 | Float64, truth: Int64) -> list[float]:
    """For each label the threshold with the best F1; of equal ones the nearest to 0.5, which one without texts gets.

    Choosing each label's threshold by itself gives the best macro F1: Z. Lipton, C. Elkan and B. Naryanaswamy, "Optimal
    thresholding of classifiers to maximize F1 measure", ECML 2014. Tried are 0.5 and what lies midway between two
    scores.

    Args:
        scores: shape (n, labels), in [0, 1].
        truth: shape (n, labels), 1 for each label that a text has and 0 for the others.

    Example:
        >>> best_thresholds(np.array([[0.1], [0.2], [0.4]]), np.array([[0], [1], [1]]))
        [0.15]
    """
    return [_best(np.asarray(column, np.float64), true == 1) for column, true in zip(scores.T, truth.T)]


def _best(scores: Float64, true: Bool) -> float:
    if not true.any():
        return MIDDLE
    values = np.unique(scores)
    tried = np.append((values[1:] + values[:-1]) / 2, MIDDLE)
    tried = tried[np.argsort(np.abs(tried - MIDDLE), kind="stable")]
    ranked = np.sort(scores)
    given = len(scores) - np.searchsorted(ranked, tried)
    right = true.sum() - np.searchsorted(np.sort(scores[true]), tried)
    f1 = 2 * right / (given + true.sum())
    return float(f"{tried[f1.argmax()]:.6g}")


def judged(logits: Float32 | Float64, truth: Int64, *, balanced: bool) -> float:
    """F1 of logits at their best thresholds: over all labels at once, or with ``balanced`` the mean over the labels.

    Args:
        logits: shape (n, labels).
        truth: as :func:`best_thresholds` takes it.
        balanced: which.
    """
    scores = probabilities(logits, multi_label=True)
    given = scores >= np.array(best_thresholds(scores, truth))
    found = (labels_f1_score if balanced else micro_f1_score)(truth == 1, given)
    return 0.0 if np.isnan(found) else found


def settled(logits: Float32 | Float64, truth: Int64) -> tuple[float, list[float]]:
    """The temperature of logits that were held out, and the thresholds of the probabilities that it makes.

    Args:
        logits: shape (n, labels), n at least 1.
        truth: as :func:`best_thresholds` takes it.
    """
    temperature = fit_temperature(logits.astype(np.float32), truth)
    scores = probabilities(logits, multi_label=True, temperature=temperature).astype(np.float32)
    return temperature, best_thresholds(scores, truth)
