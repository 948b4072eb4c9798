"""Parts of texts that may have several labels, and one linear model a label over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.types import AnyArray, Float32, Int64


def folds_of(strata: Int64, most: int, *, seed: int) -> list[tuple[Int64, Int64]]:
    """Positions to learn from and positions that are held out, for each of at most so many parts, two at least.

    Args:
        strata: what is spread evenly over the parts, shape (n,); see :attr:`nlp.classification.joined.Joined.strata`.
        most: parts at most.
        seed: of the drawing.

    Example:
        >>> [unseen.tolist() for _, unseen in folds_of(np.array([0, 1, 0, 1]), 2, seed=0)]
        [[0, 1], [2, 3]]
    """
    rng = np.random.default_rng([seed, 4])
    count = max(2, min(most, len(strata)))
    dealt = np.concatenate([rng.permutation(np.flatnonzero(strata == code)) for code in np.unique(strata)])
    part = np.empty(len(strata), np.int64)
    part[dealt] = np.arange(len(strata)) % count
    return [(np.flatnonzero(part != at), np.flatnonzero(part == at)) for at in range(count)]


def one_against_rest(
    truth: Int64, columns: int, fit: Callable[[Int64], tuple[AnyArray, AnyArray]]
) -> tuple[Float32, Float32]:
    """Weights, shape (labels, columns), and bias, shape (labels,), of one linear model a label.

    A label that all of the texts have, or none, gets no weights, and its log-odds with one text more of each kind.

    Args:
        truth: shape (n, labels), 1 for each label that a text has and 0 for the others.
        columns: what a text is known by.
        fit: from zeros and ones, shape (n,), to weights, shape (1, columns), and bias, shape (1,).
    """
    weights = np.zeros((truth.shape[1], columns), np.float32)
    bias = np.zeros(truth.shape[1], np.float32)
    for at, true in enumerate(truth.T):
        having = int(true.sum())
        if 0 < having < len(true):
            row, start = fit(true)
            weights[at], bias[at] = row[0], start[0]
        else:
            bias[at] = np.log((having + 1) / (len(true) - having + 1))
    return weights, bias
