"""Maximum mean discrepancy: whether two sets of vectors come from one distribution, of whatever kind they differ in.

A. Gretton et al., "A kernel two-sample test", JMLR 13 (2012): the unbiased estimate with a Gaussian kernel, whose width
is the median distance. Two forms. *Quadratic* compares every pair of a bounded sample; vectors change sides at random.
*Block* (W. Zaremba, A. Gretton and M. Blaschko, "B-tests", NeurIPS 2013) takes the mean over blocks of pairs, so that
time and memory are linear in the items; a vector of the reference and its partner of the window change sides together,
which turns the signs of a block and is as exact.
"""

from __future__ import annotations

import math

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.monitoring.counts import MOST, NOTHING, Tested
from shared.monitoring.multiple import drawn_p_value
from shared.types import AnyArray, Float32, Float64

FORMS = ("auto", "quadratic", "block")
ROWS = 2000
"""Vectors of both samples together that the quadratic form compares, at the most: 16 MB of kernel."""
BLOCK = 250
_PAIRS = 50_000
"""Pairs of vectors that the block form uses at the most."""
_DRAWS = 10_000
"""A draw costs as much as the kernel has entries: beyond these it would be minutes."""


def mmd_test(
    reference: AnyArray, window: AnyArray, *, rng: np.random.Generator, form: str = "auto", most: int = MOST
) -> Tested:
    """Test whether two sets of vectors have one distribution.

    The statistic is the unbiased estimate of MMD^2, in about [0, 2]; a little below 0 without drift. The effect is
    sqrt(MMD^2 / spread), spread being the variance of the reference in the space of the kernel: how many standard
    deviations the means lie apart there, as Cohen's d.

    Args:
        reference: shape (n, d), finite.
        window: shape (m, d), finite.
        rng: of the sample and of the exchanges.
        form: ``"quadratic"``, ``"block"``, or ``"auto"``: quadratic where it takes all of the window.
        most: exchanges at the most; never more than 10,000.

    Raises:
        UnknownNameError: no form is called that.
        UsageError: shapes differ, or a value is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = mmd_test(rng.normal(size=(200, 4)), rng.normal(1, 1, size=(50, 4)), rng=rng)
        >>> found.p_value < 0.001, found.effect > 0.5
        (True, True)
    """
    if form not in FORMS:
        raise UnknownNameError("form of MMD", form, FORMS)
    one, other = checked_rows(reference, window)
    if min(len(one), len(other)) < 2:
        return NOTHING
    if form == "auto":
        form = "quadratic" if len(other) <= ROWS // 2 or min(len(one), len(other)) < 2 * BLOCK else "block"
    most = min(most, _DRAWS)
    return _quadratic(one, other, rng, most) if form == "quadratic" else _block(one, other, rng, most)


def mmd(reference: AnyArray, window: AnyArray, *, width: float) -> float:
    """The unbiased estimate of MMD^2 with the kernel exp(-|x - y|^2 / (2 width^2)); Gretton et al. 2012, equation (3).

    Args:
        reference: shape (n, d), n at least 2.
        window: shape (m, d), m at least 2.
        width: of the kernel, above 0.

    Raises:
        UsageError: shapes differ, a sample has fewer than 2 vectors, or ``width`` is not above 0.

    Example:
        >>> mmd(np.zeros((3, 1)), np.zeros((2, 1)), width=1.0)
        0.0
    """
    one, other = checked_rows(reference, window)
    if min(len(one), len(other)) < 2 or not width > 0:
        raise UsageError(f"both samples need 2 vectors, and width be above 0. Got {len(one)}, {len(other)}, {width=}")
    kernel = _kernel(np.concatenate([one, other]), width)
    sides = np.zeros((len(kernel), 1), np.float32)
    sides[len(one) :] = 1
    return float(_estimates(kernel, sides)[0])


def median_distance(rows: AnyArray, *, rng: np.random.Generator, most: int = 500) -> float:
    """The median distance of two different vectors of a sample; 1 where it is 0.

    Args:
        rows: shape (n, d), n at least 2.
        rng: of the sample.
        most: vectors in the sample.
    """
    some = rows if len(rows) <= most else rows[rng.choice(len(rows), most, replace=False)]
    squares = _squares(np.asarray(some, np.float32))[np.triu_indices(len(some), 1)]
    return math.sqrt(float(np.median(squares))) or 1.0


def checked_rows(reference: AnyArray, window: AnyArray) -> tuple[Float32, Float32]:
    """Both samples as float32.

    Raises:
        UsageError: shapes differ, or a value is not finite.
    """
    one, other = np.asarray(reference, np.float32), np.asarray(window, np.float32)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise UsageError(f"vectors must have shapes (n, d) and (m, d). Got {one.shape} and {other.shape} instead")
    if not np.isfinite(one).all() or not np.isfinite(other).all():
        raise UsageError("vectors must be finite. Got NaN or infinity: leave out items without a vector")
    return one, other


def _quadratic(one: Float32, other: Float32, rng: np.random.Generator, most: int) -> Tested:
    m = min(len(other), max(ROWS // 2, ROWS - len(one)))
    n = min(len(one), ROWS - m)
    rows = np.concatenate([_some(one, n, rng), _some(other, m, rng)])
    kernel = _kernel(rows, median_distance(rows, rng=rng))
    sides = np.zeros(n + m, np.float32)
    sides[n:] = 1
    seen = float(_estimates(kernel, sides[:, None])[0])

    def draw(number: int) -> Float64:
        changed = rng.permuted(np.broadcast_to(sides, (number, n + m)), axis=1)
        return _estimates(kernel, np.ascontiguousarray(changed.T))

    p_value = drawn_p_value(seen, draw, most=most, batch=512)
    within = (float(kernel[:n, :n].sum(dtype=np.float64)) - n) / (n * (n - 1))
    return Tested(seen, _effect(seen, within), p_value)


def _block(one: Float32, other: Float32, rng: np.random.Generator, most: int) -> Tested:
    pairs = min(len(one), len(other), _PAIRS)
    size = min(BLOCK, pairs)
    blocks = pairs // size
    first = _some(one, blocks * size, rng).reshape(blocks, size, -1)
    second = _some(other, blocks * size, rng).reshape(blocks, size, -1)
    width = median_distance(np.concatenate([*first[:2], *second[:2]]), rng=rng)
    signs = np.ones((blocks, size, 1), np.float32)
    h = np.empty((blocks, size, size), np.float32)
    within = 0.0
    for k in range(blocks):
        kernel = _kernel(np.concatenate([first[k], second[k]]), width)
        across = kernel[:size, size:]
        h[k] = kernel[:size, :size] + kernel[size:, size:] - across - across.T
        np.fill_diagonal(h[k], 0)
        within += (float(kernel[:size, :size].sum(dtype=np.float64)) - size) / (size * (size - 1)) / blocks

    def mean(turned: Float32) -> Float64:  # (blocks, size, draws)
        return np.asarray((turned * (h @ turned)).sum(axis=(0, 1), dtype=np.float64) / (blocks * size * (size - 1)))

    def draw(number: int) -> Float64:
        return mean(rng.choice(np.array([-1, 1], np.float32), size=(blocks, size, number)))

    seen = float(mean(signs)[0])
    return Tested(seen, _effect(seen, within), drawn_p_value(seen, draw, most=most, batch=64))


def _effect(square: float, within: float) -> float:
    return math.sqrt(max(square, 0.0) / max(1 - within, 1e-12))


def _estimates(kernel: Float32, sides: Float32) -> Float64:
    """MMD^2 for each column of ``sides``, (N, draws), 1 where a vector is of the window; the kernel's diagonal is 1."""
    total = kernel.sum(axis=1, dtype=np.float64)
    m = float(sides[:, 0].sum())
    n = len(kernel) - m
    inside = (sides * (kernel @ sides)).sum(axis=0, dtype=np.float64)  # window with window
    touching = total @ sides  # window with all
    across = touching - inside
    outside = total.sum() - touching - across
    return np.asarray((inside - m) / (m * (m - 1)) + (outside - n) / (n * (n - 1)) - 2 * across / (m * n))


def _kernel(rows: Float32, width: float) -> Float32:
    found = _squares(rows)
    found *= np.float32(-0.5 / width**2)
    np.exp(found, out=found)
    np.fill_diagonal(found, 1)
    return found


def _squares(rows: Float32) -> Float32:
    centred = rows - rows.mean(axis=0)  # or float32 loses the distances of far-off vectors
    lengths = (centred**2).sum(axis=1)
    return np.asarray(np.maximum(lengths[:, None] + lengths[None] - 2 * centred @ centred.T, 0), np.float32)


def _some(rows: Float32, number: int, rng: np.random.Generator) -> Float32:
    return rows[rng.permutation(len(rows))[:number]]
