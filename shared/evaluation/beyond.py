"""Figures of recommendations beyond accuracy: how much of the catalogue, how new, how varied, how fair.

Items are codes from 0, and ``ranked`` is an integer array of shape (n, k): for each of n users codes from best to
worst, -1 where there is no more. Figures of a user come as float64 arrays of shape (n,), NaN for a user who was given
nothing; a mean, an interval or a paired test is the caller's to take. Figures of the whole lot are one number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.judging import divided
from shared.types import AnyArray, Bool, Float64, Int64


def coverage_score(ranked: AnyArray, *, items: int) -> float:
    """Catalogue coverage: the share of the catalogue that is recommended to anybody.

    M. Ge, C. Delgado-Battenfeld and D. Jannach, "Beyond accuracy: evaluating recommender systems by coverage and
    serendipity", RecSys 2010. 0 where nothing is recommended.

    Args:
        ranked: codes, shape (n, k).
        items: how many the catalogue has, at least 1.

    Raises:
        UsageError: a code lies outside the catalogue.

    Example:
        >>> coverage_score(np.array([[0, 1], [0, 2]]), items=4)
        0.75
    """
    return float((exposure(ranked, items=items) > 0).mean())


def exposure(ranked: AnyArray, *, items: int) -> Int64:
    """How many lists each item stands in, shape (items,).

    Raises:
        UsageError: a code lies outside the catalogue.
    """
    codes = _codes(ranked, items)
    return np.bincount(codes[codes >= 0], minlength=items)


def gini_error(exposures: AnyArray) -> float:
    """Gini index of what each item gets: 0 where all get the same, towards 1 where one gets everything.

    The mean absolute difference of two items divided by twice the mean: sum of (2 i - n - 1) x_i over n sum x_i, with x
    rising and i from 1. Counts of lists as :func:`exposure` gives them, over the whole catalogue, zeros too. D. Fleder
    and K. Hosanagar, "Blockbuster culture's next rise or fall", Management Science 55 (2009). NaN where there is
    nothing.

    Args:
        exposures: shape (items,), at least 0.

    Raises:
        UsageError: an exposure is negative or not finite.

    Example:
        >>> gini_error([1, 1, 1, 1]), gini_error([0, 0, 0, 4])
        (0.0, 0.75)
    """
    values = np.sort(np.asarray(exposures, np.float64))
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise UsageError("exposures must be an (items,) array of finite numbers of at least 0. Got others")
    n, total = len(values), values.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ values / (n * total)) if total else float("nan")


def novelty_score(ranked: AnyArray, counts: AnyArray, *, users: int) -> Float64:
    """Novelty: the mean self-information of a user's items, -log2 of the share of people who know the item.

    T. Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107 (2010); S. Vargas
    and P. Castells, RecSys 2011. An item that nobody knows counts as if one person did.

    Args:
        ranked: codes, shape (n, k).
        counts: shape (items,), how many people interacted with each in training.
        users: how many people there were, at least the greatest count.

    Raises:
        UsageError: an argument is out of its range.

    Example:
        >>> novelty_score(np.array([[0, 1]]), [4, 1], users=4).tolist()  # (0 bits + 2 bits) / 2
        [1.0]
    """
    known = _counts(counts)
    if users < max(1, known.max(initial=0)):
        raise UsageError(f"users must be at least the greatest count, {known.max(initial=0):g}. Got {users} instead")
    return _mean_of(_codes(ranked, len(known)), np.log2(users) - np.log2(np.maximum(known, 1)))


def popularity_error(ranked: AnyArray, counts: AnyArray) -> Float64:
    """Average recommendation popularity (ARP): the mean count of a user's items.

    H. Yin et al., "Challenging the long tail recommendation", VLDB 2012. The lower, the less a list leans on what is
    popular anyway.

    Args:
        ranked: codes, shape (n, k).
        counts: shape (items,), how many people interacted with each in training.

    Example:
        >>> popularity_error(np.array([[0, 1], [1, -1]]), [4, 1]).tolist()
        [2.5, 1.0]
    """
    known = _counts(counts)
    return _mean_of(_codes(ranked, len(known)), known)


def popularity_lift(ranked: AnyArray, histories: Any, counts: AnyArray) -> Float64:
    """How much more popular a user's recommendations are than what the user chose: (ARP of the list - mean popularity
    of the history) / mean popularity of the history. 0 is faithful, above 0 is popularity bias.

    Averaged over groups of users this is the group average popularity lift of H. Abdollahpouri, M. Mansoury, R. Burke
    and B. Mobasher, "The connection between popularity bias, calibration, and fairness in recommendation", RecSys 2020
    (they take the ratio of the groups' means; here each user has a figure, so that it has an interval).

    Args:
        ranked: codes, shape (n, k).
        histories: CSR, shape (n, items), what each user interacted with in training.
        counts: shape (items,), at least 1 for whatever stands in a history.

    Returns:
        Shape (n,); NaN without a list or without a history.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> popularity_lift(np.array([[0]]), csr_matrix([[0, 1, 1]]), [6, 4, 2]).tolist()  # 6 against 3
        [1.0]
    """
    known = _counts(counts)
    given = popularity_error(ranked, known)
    sizes = np.diff(histories.indptr)
    sums = np.bincount(np.repeat(np.arange(len(sizes)), sizes), known[histories.indices], len(sizes))
    _same_users(given, sizes)
    chosen = np.divide(sums, sizes, out=np.full(len(sizes), np.nan), where=sums > 0)
    lift: Float64 = given / chosen - 1
    return lift


def diversity_score(ranked: AnyArray, features: AnyArray) -> Float64:
    """Intra-list diversity: the mean over all pairs of a user's items of 1 - their cosine similarity.

    K. Bradley and B. Smyth, "Improving recommendation diversity" (2001); C.-N. Ziegler et al., WWW 2005. Items without
    features are like nothing: 1 from all others.

    Args:
        ranked: codes, shape (n, k).
        features: shape (items, d), finite: genres, say, or an embedding. For a similarity of your own see
            :func:`list_diversity_score`.

    Returns:
        Shape (n,); NaN for a user with fewer than two items.

    Example:
        >>> diversity_score(np.array([[0, 1, 2]]), [[1, 0], [1, 0], [0, 1]]).round(4).tolist()  # (0 + 1 + 1) / 3
        [0.6667]
    """
    vectors = np.asarray(features, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise UsageError(f"features must be a finite array of shape (items, d). Got shape {vectors.shape} instead")
    codes = _codes(ranked, len(vectors))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    alone = (units**2).sum(axis=1)
    sums, squares = np.zeros((len(codes), units.shape[1])), np.zeros(len(codes))
    for column in codes.T:  # sum over pairs = (|sum of units|^2 - sum of |unit|^2) / 2, without k x k similarities
        there = column >= 0
        sums[there] += units[column[there]]
        squares[there] += alone[column[there]]
    count = (codes >= 0).sum(axis=1)
    pairs = count * (count - 1)
    alike = divided((sums**2).sum(axis=1) - squares, pairs)
    return 1 - alike


def list_diversity_score(ranked: AnyArray, similarity: AnyArray) -> Float64:
    """:func:`diversity_score` by a matrix of similarities, shape (items, items), of which 1 means the same.

    Example:
        >>> list_diversity_score(np.array([[0, 1]]), [[1.0, 0.3], [0.3, 1.0]]).tolist()
        [0.7]
    """
    alike = np.asarray(similarity, np.float64)
    if alike.ndim != 2 or alike.shape[0] != alike.shape[1]:
        raise UsageError(f"similarity must have shape (items, items). Got {alike.shape} instead")
    codes = _codes(ranked, len(alike))
    total, pairs = np.zeros(len(codes)), np.zeros(len(codes))
    for one in range(codes.shape[1]):
        for other in range(one + 1, codes.shape[1]):
            both = (codes[:, one] >= 0) & (codes[:, other] >= 0)
            total[both] += 1 - alike[codes[both, one], codes[both, other]]
            pairs += both
    return divided(total, pairs)


def serendipity_score(ranked: AnyArray, relevant: AnyArray, expected: AnyArray) -> Float64:
    """Serendipity: the share of a user's items that are relevant and that an obvious recommender would not have named.

    M. Ge et al., RecSys 2010, after T. Murakami et al. (2007): |(recommended minus expected) and useful| /
    |recommended|, the expected ones being what a primitive system (popularity, as a rule) gives the same user at the
    same k.

    Args:
        ranked: codes, shape (n, k).
        relevant: bool, shape (n, k), whether each of those is useful to its user.
        expected: codes that the primitive system gives, shape (n, m).

    Example:
        >>> useful = np.array([[True, True, False, False]])
        >>> serendipity_score(np.array([[0, 1, 2, 3]]), useful, np.array([[0, 9]])).tolist()
        [0.25]
    """
    codes, useful, obvious = np.asarray(ranked), np.asarray(relevant, np.bool_), np.asarray(expected)
    if codes.ndim != 2 or useful.shape != codes.shape or obvious.ndim != 2 or len(obvious) != len(codes):
        shapes = f"{codes.shape}, {useful.shape} and {obvious.shape}"
        raise UsageError(f"ranked and relevant must have shape (n, k) and expected (n, m). Got {shapes} instead")
    surprising = codes >= 0
    for column in obvious.T:
        surprising &= codes != column[:, None]
    count = (codes >= 0).sum(axis=1)
    return divided((useful & surprising).sum(axis=1), count)


def calibration_error(ranked: AnyArray, histories: Any, categories: AnyArray, *, alpha: float = 0.01) -> Float64:
    """Miscalibration: how far the categories of a user's list are from those of the user's history, in nats.

    H. Steck, "Calibrated recommendations", RecSys 2018: KL(p || q~) with p(g|u) the mean of p(g|i) over the history,
    weighted by the histories' values, q(g|u) the mean over the list, and q~ = (1 - alpha) q + alpha p.

    Args:
        ranked: codes, shape (n, k).
        histories: CSR, shape (n, items), values above 0.
        categories: shape (items, g), at least 0: membership in genres. Rows are divided by their sums; items of no
            category say nothing.
        alpha: in (0, 1), how much of p is mixed into q so that the figure is finite.

    Returns:
        Shape (n,), at least 0; NaN where the history or the list has no category.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> genres = [[1, 0], [0, 1]]
        >>> calibration_error(np.array([[0, 1]]), csr_matrix([[1, 1]]), genres).tolist()
        [0.0]
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie between 0 and 1. Got {alpha} instead")
    shares = np.asarray(categories, np.float64)
    if shares.ndim != 2 or not np.isfinite(shares).all() or (shares < 0).any():
        raise UsageError("categories must be a (items, g) array of finite numbers of at least 0. Got others")
    shares = _normal(shares, 0.0)
    codes = _codes(ranked, len(shares))
    if histories.shape != (len(codes), len(shares)):
        raise UsageError(f"histories must have shape {(len(codes), len(shares))}. Got {histories.shape} instead")
    given = np.zeros((len(codes), shares.shape[1]))
    for column in codes.T:
        there = column >= 0
        given[there] += shares[column[there]]
    p, q = _normal(np.asarray(histories @ shares), np.nan), _normal(given, np.nan)
    mixed = (1 - alpha) * q + alpha * p
    ratio = np.divide(p, mixed, out=np.ones_like(p), where=(p > 0) & (mixed > 0))
    bad = np.isnan(p).any(axis=1) | np.isnan(q).any(axis=1)
    found: Float64 = np.where(bad, np.nan, np.maximum(0.0, (np.nan_to_num(p) * np.log(ratio)).sum(axis=1)))
    return found


def _normal(rows: Float64, empty: float) -> Float64:
    sums = rows.sum(axis=1, keepdims=True)
    shares: Float64 = np.divide(rows, sums, out=np.full_like(rows, empty), where=sums > 0)
    return shares


def _mean_of(codes: Int64, values: Float64) -> Float64:
    """The mean of the items' values over each user's list."""
    there: Bool = codes >= 0
    sums = (values[np.where(there, codes, 0)] * there).sum(axis=1) if len(values) else np.zeros(len(codes))
    count = there.sum(axis=1)
    return divided(sums, count)


def _codes(ranked: AnyArray, items: int) -> Int64:
    codes = np.asarray(ranked)
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise UsageError(
            f"ranked must be a whole-number array of shape (n, k). Got {codes.dtype} {codes.shape} instead"
        )
    if items < 1 or (codes.size and int(codes.max()) >= items):
        top = int(codes.max(initial=-1))
        raise UsageError(f"ranked codes must lie below the number of items, {items}. Got {top} instead")
    return codes.astype(np.int64, copy=False)


def _counts(counts: AnyArray) -> Float64:
    known = np.asarray(counts, np.float64)
    if known.ndim != 1 or not np.isfinite(known).all() or (known < 0).any():
        raise UsageError("counts must be an (items,) array of finite numbers of at least 0. Got others")
    return known


def _same_users(given: AnyArray, sizes: AnyArray) -> None:
    if len(given) != len(sizes):
        raise UsageError(f"ranked and histories must be of the same users. Got {len(given)} and {len(sizes)} instead")
