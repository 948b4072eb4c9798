"""From a text's vector to its labels."""

from __future__ import annotations

import numpy as np

from nlp.classification.heads import Head
from nlp.types import TextLabels
from shared.types import Float32


def decode(vector: Float32, head: Head) -> TextLabels:
    """Every label of the head with its probability, best first; equal ones in the head's order.

    Args:
        vector: shape (dim,), float32.
        head: what turns it into logits; their softmax are the probabilities.

    Example:
        >>> head = Head(("a", "b"), np.float32([[1, 0], [0, 3]]), np.float32([0, 0]), ("mean",))
        >>> decode(np.float32([1, 1]), head).labels
        ('b', 'a')
    """
    logits = head.logits(vector).astype(np.float64)
    powers = np.exp(logits - logits.max())
    scores = (powers / powers.sum()).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return TextLabels(tuple(head.labels[at] for at in order), scores[order])
