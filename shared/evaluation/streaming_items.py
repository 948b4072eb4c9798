"""What single items add to metrics of probabilities and of tables of labels, and figures of the tables' totals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.errors import UsageError
from shared.evaluation import multilabel, probabilities
from shared.evaluation.streaming_figures import Figure, divided, over
from shared.types import AnyArray, Bool, Float64


def log_losses(truth: AnyArray, given: AnyArray) -> Float64:
    probabilities.log_loss(truth, given)  # refuses what is malformed
    least = np.finfo(np.float64).eps
    rows = np.asarray(given, np.float64)
    losses: Float64 = -np.log(np.clip(rows[np.arange(len(rows)), np.asarray(truth, np.int64)], least, 1 - least))
    return losses


def brier_losses(truth: AnyArray, given: AnyArray) -> Float64:
    probabilities.log_loss(truth, given)  # refuses what is malformed
    rows = np.array(given, np.float64)
    rows[np.arange(len(rows)), np.asarray(truth, np.int64)] -= 1
    squares: Float64 = (rows * rows).sum(axis=1)
    return squares


def _tables(truth: AnyArray, given: AnyArray) -> tuple[Bool, Bool]:
    multilabel.hamming_loss(truth, given)  # refuses what is malformed
    return np.asarray(truth, np.bool_), np.asarray(given, np.bool_)


def exact(truth: AnyArray, given: AnyArray) -> Bool:
    true, found = _tables(truth, given)
    same: Bool = (true == found).all(axis=1)
    return same


def wrong_cells(truth: AnyArray, given: AnyArray) -> Float64:
    true, found = _tables(truth, given)
    return (true != found).mean(axis=1) if true.shape[1] else np.full(len(true), np.nan)


def _both(truth: AnyArray, given: AnyArray, axis: int) -> tuple[Float64, Float64]:
    true, found = _tables(truth, given)
    return (true & found).sum(axis=axis) * 1.0, (true.sum(axis=axis) + found.sum(axis=axis)) * 1.0


def item_f1(truth: AnyArray, given: AnyArray) -> Float64:
    right, total = _both(truth, given, 1)
    return divided(2 * right, total, 1)


def item_jaccard(truth: AnyArray, given: AnyArray) -> Float64:
    right, total = _both(truth, given, 1)
    return divided(right, total - right, 1)


def cells(truth: AnyArray, given: AnyArray) -> Float64:
    """(n, 2 * labels): cells on both sides, and the sum of both sides."""
    true, found = _tables(truth, given)
    return np.concatenate([true & found, true * 1.0 + found], axis=1)


def cell_figure(one: Callable[[Float64, Float64], Float64], *, micro: bool) -> Figure:
    def figure(totals: Float64) -> Float64:
        right, total = totals[..., : totals.shape[-1] // 2], totals[..., totals.shape[-1] // 2 :]
        if micro:
            right, total = right.sum(axis=-1), total.sum(axis=-1)
            return np.where(total > 0, one(right, total), np.nan)
        return over(one(right, total), total > 0)

    return figure


def table_f1(right: Float64, total: Float64) -> Float64:
    return divided(2 * right, total, 0)


def table_jaccard(right: Float64, total: Float64) -> Float64:
    return divided(right, total - right, 0)


def label_ranking(truth: AnyArray, scores: AnyArray, *, loss: bool) -> Float64:
    multilabel.macro_roc_auc_score(np.asarray(truth)[:1], np.asarray(scores)[:1])  # refuses what is malformed
    true, given = np.asarray(truth, np.bool_), np.asarray(scores, np.float64)
    if np.isnan(given).any():
        raise UsageError("scores must be numbers. Got NaN: leave such items out, and say how many")
    found = np.zeros(len(true))
    for at in range(true.shape[1]):
        above = given >= given[:, at : at + 1]
        ahead = (above & true).sum(axis=1)
        if loss:
            found += np.where(true[:, at], 0, ((given <= given[:, at : at + 1]) & true).sum(axis=1))
        else:
            found += np.where(true[:, at], ahead / np.maximum(above.sum(axis=1), 1), 0)
    count, others = true.sum(axis=1), (~true).sum(axis=1)
    trivial = (count == 0) | (others == 0)
    whole = count * others if loss else count
    return np.where(trivial, 0.0 if loss else 1.0, divided(found, whole, 0))
