"""Which places of many rankings hold a relevant id: the one search that all figures of :mod:`.ranking` share.

Ids become codes once. Where codes are few enough, users go through in blocks over a table of (users, codes) that stays
in the processor's cache, so that a look-up is one read; else keys are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Float64, Int32, Int64

Truth: TypeAlias = Any
"""For each user a collection of the relevant ids, each once, in any order; or a ``scipy.sparse.csr_matrix`` of shape
(users, ids), whose stored entries are relevant."""
Ranked: TypeAlias = Sequence[Sequence[str] | Sequence[int] | AnyArray] | AnyArray
"""For each user ids from best to worst, each once. In an integer array of shape (n, m) negative entries fill up."""

_TABLE = 1 << 19
"""Entries of the table of one block (2 MB): few blocks, and few cache misses."""
_REPEATS = "an id must come once in a user's {}. Got one that repeats"
_WIDEST = 1 << 17
"""Above so many codes a block would hold too few users, and keys are sorted instead."""


@dataclass(frozen=True)
class Judged:
    """The hits of each user, in order of users and then of places.

    Attributes:
        k: how many places count.
        relevant: shape (n,), int64, how many relevant ids each user has.
        listed: shape (n,), int64, how many ids each user was given within k.
        users: shape (hits,), int64, the user of each hit, from 0.
        places: shape (hits,), int64, its place, from 0.
        ordinals: shape (hits,), int64, whether it is the user's first hit, second and so on, from 1.
    """

    k: int
    relevant: Int64
    listed: Int64
    users: Int64
    places: Int64
    ordinals: Int64

    def cut(self, k: int) -> Judged:
        """The same with the first ``k`` places alone; ``listed`` stays what it was."""
        if k >= self.k:
            return Judged(k, self.relevant, self.listed, self.users, self.places, self.ordinals)
        kept = self.places < k
        return Judged(k, self.relevant, self.listed, self.users[kept], self.places[kept], self.ordinals[kept])

    @cached_property
    def count(self) -> Int64:
        """Hits of each user, shape (n,)."""
        return np.bincount(self.users, minlength=len(self.relevant)).astype(np.int64, copy=False)

    def sum(self, values: Float64) -> Float64:
        """Sums over each user's hits of one value a hit: shape (n,)."""
        sums: Float64 = np.bincount(self.users, values, len(self.relevant)).astype(np.float64, copy=False)
        return sums

    def defined(self, scores: Float64) -> Float64:
        """The scores, with NaN for users without relevant ids."""
        return np.where(self.relevant > 0, scores, np.nan)


def judge(truth: Truth, ranked: Ranked, *, k: int) -> Judged:
    """Find the hits.

    Args:
        truth: the relevant ids of each user.
        ranked: the ranked ids of each user.
        k: how many places count, at least 1.

    Raises:
        UsageError: the lengths differ, an id repeats within a user, or ``k`` is below 1.
    """
    sizes, ids, given = _coded(truth, ranked, k)
    found = _positions(sizes, ids, given)
    users, places = np.nonzero(found)
    counts = np.bincount(users, minlength=len(sizes))
    ordinals = np.arange(1, len(users) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return Judged(k, sizes, (given >= 0).sum(axis=1), users, places, ordinals)


def judge_gains(gains: Any, ranked: Ranked, *, k: int) -> tuple[Int64, Int64, Float64, tuple[Int64, Float64]]:
    """The hits where ids have gains.

    Args:
        gains: for each user the gain of each id that has one, or a CSR matrix.
        ranked: the ranked ids of each user.
        k: how many places count, at least 1.

    Returns:
        For each hit its user, its place from 0 and its gain; and for the truth the number of ids of each user and all
        gains, user by user.

    Raises:
        UsageError: as :func:`judge`, or a gain is negative or not finite.
    """
    if hasattr(gains, "indptr"):
        flat = np.asarray(gains.data, np.float64)
    else:
        flat = np.array(list(chain.from_iterable(one.values() for one in gains)), np.float64)
    if not np.isfinite(flat).all() or (flat < 0).any():
        raise UsageError("gains must be finite and at least 0. Got one that is not")
    sizes, ids, given = _coded(gains, ranked, k)
    found = _positions(sizes, ids, given)
    users, places = np.nonzero(found)
    return users, places, flat[found[users, places] - 1], (sizes, flat)


def divided(top: AnyArray, bottom: AnyArray) -> Float64:
    """``top / bottom``, shape (n,), with NaN where ``bottom`` is not above 0."""
    ratio: Float64 = np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=np.asarray(bottom) > 0)
    return ratio


def _coded(truth: Truth, ranked: Ranked, k: int) -> tuple[Int64, AnyArray, AnyArray]:
    """Relevant ids: how many each user has, and all as codes from 0. Ranked ones: codes, shape (n, k), -1 for none."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"k must be at least 1. Got {k} instead")
    n = truth.shape[0] if hasattr(truth, "indptr") else len(truth)
    if n != len(ranked):
        raise UsageError(f"truth and ranking must have one length. Got {n} and {len(ranked)} instead")
    if hasattr(truth, "indptr"):
        sizes, ids = np.diff(truth.indptr).astype(np.int64), np.asarray(truth.indices)
    else:
        sizes, ids = _flatten(truth)
    if isinstance(ranked, np.ndarray) and ranked.ndim == 2 and ranked.dtype.kind in "iu":
        places, flat = None, ranked[:, :k]
        if flat.shape[1] < k and not flat.shape[1]:
            flat = np.full((n, 1), -1)
    else:
        places, flat = _flatten([one[:k] for one in ranked])
    if ids.size and flat.size and ids.dtype.kind.replace("u", "i") != flat.dtype.kind.replace("u", "i"):
        raise UsageError(f"truth and ranking must hold ids of one type. Got {ids.dtype} and {flat.dtype} instead")
    if places is None:
        return sizes, *_compact(ids, flat)
    ids, codes = _encode(ids, flat)
    given = np.full((n, max(1, int(places.max(initial=0)))), -1, np.int64)
    given[np.arange(given.shape[1]) < places[:, None]] = codes
    return sizes, ids, given


def _flatten(lists: Sequence[Any]) -> tuple[Int64, AnyArray]:
    """How long each list is, and all their ids in one array."""
    sizes = np.fromiter(map(len, lists), np.int64, len(lists))
    if all(isinstance(one, np.ndarray) for one in lists):
        full = [one for one in lists if len(one)]
        flat = np.concatenate(full) if full else np.zeros(0, np.int64)
        kinds = {one.dtype.kind for one in full}
    else:
        values = list(chain.from_iterable(lists))
        kinds = {"iU"[isinstance(value, str)] for value in values}
        flat = np.array(values) if values else np.zeros(0, np.int64)
    if len(kinds) > 1 or flat.dtype.kind not in "iuU":
        raise UsageError(f"ids must be all str or all int. Got {sorted(kinds)} as {flat.dtype} instead")
    return sizes, flat


def _encode(ids: AnyArray, flat: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Codes from 0 in the place of ids, which may be strings or negative."""
    if flat.dtype.kind != "U" and ids.dtype.kind != "U":
        smallest = min(ids.min(initial=0), flat.min(initial=0))
        return _compact(ids - smallest, flat - smallest)
    _, codes = np.unique(np.concatenate([ids.astype(str), flat.astype(str)]), return_inverse=True)
    return codes[: len(ids)], codes[len(ids) :]


def _compact(ids: AnyArray, flat: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Whole ids as they are where they may index a table; else, were they far apart, codes in their place."""
    if "u" in ids.dtype.kind + flat.dtype.kind:  # unsigned and signed together would become floats
        ids, flat = ids.astype(np.int64), flat.astype(np.int64)
    top = max(int(ids.max(initial=0)), int(flat.max(initial=0)))
    if ids.min(initial=0) >= 0 and top < max(_WIDEST, 8 * (ids.size + flat.size)):
        return ids, flat
    _, codes = np.unique(np.concatenate([ids.ravel(), flat.ravel()]), return_inverse=True)
    given = codes[ids.size :].reshape(flat.shape)
    return codes[: ids.size], np.where(flat < 0, -1, given)


def _positions(sizes: Int64, ids: AnyArray, given: AnyArray) -> Int32:
    """Where each given code stands among the relevant ones of all users, from 1; 0 where it is none of its user's.

    Raises:
        UsageError: a code repeats within a user.
    """
    n, k = given.shape
    width = max(int(ids.max(initial=0)), int(given.max(initial=0))) + 1
    holes = bool(given.size) and int(given.min()) < 0
    if width > _WIDEST:
        return _sorted_positions(sizes, ids, given, width)
    found = np.zeros((n, k), np.int32)
    ends = np.cumsum(sizes)
    numbers = np.arange(1, len(ids) + 1, dtype=np.int32)
    stamps = np.broadcast_to(np.arange(k, dtype=np.int32), (n, k))
    step = max(1, _TABLE // (width + 1))
    table = np.zeros(step * (width + 1), np.int32)  # column 0 of each user is for places that hold nothing
    stamped = np.empty_like(table)
    bases = np.arange(step) * (width + 1) + 1
    for start in range(0, n, step):
        stop = min(n, start + step)
        rows = given[start:stop]
        keys = rows + bases[: stop - start, None]
        if holes:
            np.maximum(keys, bases[: stop - start, None] - 1, out=keys)
        stamped[keys] = stamps[start:stop]  # where a key repeats, the later stamp lies over the earlier
        same = stamped[keys] == stamps[start:stop]
        if not (same.all() or (holes and (same | (rows < 0)).all())):
            raise UsageError(_REPEATS.format("ranking"))
        first, last = ends[start] - sizes[start], ends[stop - 1]
        true = ids[first:last] + np.repeat(bases[: stop - start], sizes[start:stop])
        table[true] = numbers[first:last]
        if (table[true] != numbers[first:last]).any():
            raise UsageError(_REPEATS.format("truth"))
        np.take(table, keys, out=found[start:stop], mode="clip")
        table[true] = 0
    return found


def _sorted_positions(sizes: Int64, ids: AnyArray, given: AnyArray, width: int) -> Int32:
    """:func:`_positions` by sorting, for more codes than a table has columns."""
    true = np.repeat(np.arange(len(sizes)) * width, sizes) + ids
    order = np.argsort(true, kind="stable")
    true = true[order]
    rows, places = np.nonzero(given >= 0)
    keys = rows * width + given[rows, places]
    found = np.zeros(given.shape, np.int32)
    for name, ordered in (("truth", true), ("ranking", np.sort(keys))):
        if (ordered[1:] == ordered[:-1]).any():
            raise UsageError(_REPEATS.format(name))
    if len(true):
        at = np.minimum(np.searchsorted(true, keys), len(true) - 1)
        found[rows, places] = np.where(true[at] == keys, order[at] + 1, 0)
    return found
