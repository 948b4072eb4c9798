"""From logits to labels with probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlp.classification.heads import Head
from nlp.types import TextLabels
from shared.types import Float32, Float64


def probabilities(logits: Float32 | Float64, *, multi_label: bool = False, temperature: float = 1.0) -> Float64:
    """Softmax of the logits; with ``multi_label`` the sigmoid of each.

    Args:
        logits: shape (..., n), float32.
        multi_label: whether each label is judged by itself.
        temperature: what logits are divided by first, above 0: C. Guo et al., "On calibration of modern neural
            networks", ICML 2017, fit it on held-out texts. It changes how sure an answer is, never its order.

    Returns:
        The shape of ``logits``, float64, in [0, 1].

    Example:
        >>> probabilities(np.float32([0, 0])), probabilities(np.float32([0, 0]), multi_label=True)
        (array([0.5, 0.5]), array([0.5, 0.5]))
    """
    scaled = logits.astype(np.float64) / temperature
    if multi_label:
        judged: Float64 = 0.5 * (1 + np.tanh(scaled / 2))
        return judged
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: Float64 = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def labelled(
    logits: Float32 | Float64,
    labels: Sequence[str],
    *,
    multi_label: bool = False,
    temperature: float = 1.0,
    thresholds: Float32 | None = None,
) -> TextLabels:
    """Every label with its probability, best first; equal ones in the order of ``labels``.

    Args:
        logits: shape (n,), float32.
        labels: a name for each.
        multi_label: see :func:`probabilities`.
        temperature: see :func:`probabilities`.
        thresholds: with ``multi_label`` the least score from which each label holds, shape (n,); ``None`` for 0.5 each.

    Example:
        >>> labelled(np.float32([1, 3]), ["a", "b"]).labels
        ('b', 'a')
    """
    scores = probabilities(logits, multi_label=multi_label, temperature=temperature).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    least = None if thresholds is None else thresholds[order]
    return TextLabels(tuple(labels[at] for at in order), scores[order], multi_label, least)


def decode(vector: Float32, head: Head) -> TextLabels:
    """Every label of a head for a text's vector.

    Args:
        vector: shape (dim,), float32.
        head: what turns it into logits; their softmax, or the sigmoid of each, are the probabilities.

    Example:
        >>> head = Head(("a", "b"), np.float32([[1, 0], [0, 3]]), np.float32([0, 0]), ("mean",))
        >>> decode(np.float32([1, 1]), head).labels
        ('b', 'a')
    """
    return labelled(
        head.logits(vector),
        head.labels,
        multi_label=head.multi_label,
        temperature=head.temperature,
        thresholds=head.thresholds,
    )
