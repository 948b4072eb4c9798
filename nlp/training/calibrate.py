"""Probabilities that mean what they say: one temperature, fitted on texts that were not learnt from.

C. Guo and others, "On calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.types import Float32, Float64, Int64

RANGE = (0.05, 20.0)
_STEPS = 60
_GOLDEN = (5**0.5 - 1) / 2


def log_loss(logits: Float32, truth: Int64, temperature: float) -> float:
    """The mean negative log-likelihood of the true labels.

    Args:
        logits: shape (n, labels), n at least 1.
        truth: shape (n,).
        temperature: above 0; logits are divided by it.
    """
    scaled: Float64 = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    chosen = scaled[np.arange(len(truth)), truth]
    return float((np.log(np.exp(scaled).sum(axis=1)) - chosen).mean())


def fit_temperature(logits: Float32, truth: Int64) -> float:
    """The temperature under which the true labels are likeliest, in :data:`RANGE`; 1 where there is no text.

    The loss has one valley in 1 / temperature; a golden-section search finds it.

    Args:
        logits: shape (n, labels).
        truth: shape (n,); or (n, labels), 1 for each label that a text has and 0 for the others, where logits are those
            of labels that are judged by themselves.

    Example:
        >>> logits = np.float32([[4, 0], [4, 0], [4, 0], [4, 0]])
        >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 2)  # sure of 0.98, right in 0.75
        3.64
    """
    if not len(truth):
        return 1.0
    if truth.ndim == 2:  # a sigmoid of z is a softmax of z / 2 and -z / 2
        halves = logits.reshape(-1, 1) / 2
        logits, truth = np.hstack([-halves, halves]), truth.ravel()

    def loss(power: float) -> float:
        return log_loss(logits, truth, float(np.exp(power)))

    return round(float(np.exp(_lowest(loss, float(np.log(RANGE[0])), float(np.log(RANGE[1]))))), 4)


def _lowest(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is lowest."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = value(right)
    return (low + high) / 2
