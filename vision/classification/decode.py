"""From a classifier's raw answer to the likeliest classes."""

from __future__ import annotations

import numpy as np

from shared.types import AnyArray, Float32
from vision.labels import LabelSet
from vision.types import Classification

LEAST = 1e-6
"""A probability that is as good as none."""


def softmax(logits: AnyArray) -> Float32:
    """Probabilities of unnormalised log-probabilities, shape (classes,); the largest is subtracted first.

    Example:
        >>> softmax(np.array([1000.0, 1000.0]))
        array([0.5, 0.5], dtype=float32)
    """
    powers = np.exp(logits.astype(np.float64) - logits.max())
    probabilities: Float32 = (powers / powers.sum()).astype(np.float32)
    return probabilities


def decode(scores: Float32, classes: LabelSet, *, top_k: int) -> Classification:
    """The ``top_k`` likeliest classes.

    Args:
        scores: shape (classes,), float32, probabilities.
        classes: the names by number; others are left out.
        top_k: how many are wanted, at least 1; all where there are fewer.

    Example:
        >>> decode(np.float32([0.2, 0.5, 0.3]), LabelSet({0: "ant", 1: "bee", 2: "cat"}), top_k=2).labels
        ('bee', 'cat')
    """
    numbers = np.fromiter(classes.names, np.int64, len(classes.names))
    best = numbers[np.argsort(-scores[numbers], kind="stable")[:top_k]]
    return Classification(
        tuple(classes.names[number] for number in best.tolist()),
        np.clip(scores[best], 0, 1),
        best.astype(np.int32),
    )


def fingerprint(scores: Float32) -> Float32:
    """What a picture is like, as a vector: its log-probabilities less their mean, scaled to length 1.

    That is the logits but for their length, so the cosine of two pictures says how alike a classifier finds them over
    all its classes, the unlikely ones included. Probabilities below :data:`LEAST` count as that.

    Args:
        scores: shape (classes,), float32, probabilities.

    Returns:
        Shape (classes,), float32; zeros where all classes are equally likely.

    Example:
        >>> fingerprint(np.float32([0.8, 0.1, 0.1])).round(3)
        array([ 0.816, -0.408, -0.408], dtype=float32)
    """
    logs = np.log(np.maximum(scores.astype(np.float64), LEAST))
    logs -= logs.mean()
    length = np.linalg.norm(logs)
    vector: Float32 = (logs / length if length > LEAST else np.zeros_like(logs)).astype(np.float32)
    return vector
