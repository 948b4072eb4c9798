"""Windows cover every token once in their shares; batches keep to their budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.windows import batches, windows
from shared.errors import UsageError


@pytest.mark.parametrize(
    ("n", "size", "overlap", "spans"),
    [
        (1, 6, 2, [(0, 1)]),
        (6, 6, 2, [(0, 6)]),
        (7, 6, 2, [(0, 6), (1, 7)]),
        (10, 6, 2, [(0, 6), (4, 10)]),
        (11, 6, 2, [(0, 6), (2, 8), (5, 11)]),
        (4, 1, 0, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    ],
)
def test_known_windows(n: int, size: int, overlap: int, spans: list[tuple[int, int]]) -> None:
    assert [(w.start, w.stop) for w in windows(n, size=size, overlap=overlap)] == spans


@given(st.integers(1, 3000), st.integers(1, 300), st.data())
def test_windows_cover_all_are_full_and_overlap_enough(n: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    found = windows(n, size=size, overlap=overlap)
    assert found[0].start == 0
    assert found[-1].stop == n
    assert all(w.stop - w.start == min(n, size) for w in found)
    assert all(before.stop - after.start >= overlap for before, after in itertools.pairwise(found))
    assert all(before.start < after.start for before, after in itertools.pairwise(found))
    assert sum(w.share for w in found) == pytest.approx(1)
    fewer = len(found) - 1
    assert fewer == 0 or fewer * (size - overlap) + overlap < n


@pytest.mark.parametrize(("n", "size", "overlap"), [(0, 6, 2), (5, 0, 0), (5, 3, 3), (5, 3, -1)])
def test_wrong_windows_say_so(n: int, size: int, overlap: int) -> None:
    with pytest.raises(UsageError, match=r"overlap in 0..size-1. Got"):
        windows(n, size=size, overlap=overlap)


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 120))
def test_batches_hold_every_item_once_longest_first_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    groups = batches(array, budget=budget)
    flat = np.concatenate(groups) if groups else np.array([], dtype=np.int64)
    assert sorted(flat.tolist()) == list(range(len(lengths)))
    assert (np.diff(array[flat]) <= 0).all()
    assert all(array[group].sum() <= budget or len(group) == 1 for group in groups)


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="budget must be at least 1. Got 0"):
        batches(np.array([1]), budget=0)
