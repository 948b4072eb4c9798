from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsys.ranking import exclude, top_k
from shared.errors import UsageError

SCORES = st.lists(
    st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5000001, 2.0]), min_size=6, max_size=6), min_size=1, max_size=5
)


@settings(deadline=None)
@given(SCORES, st.integers(1, 8))
def test_is_a_stable_sort_cut_at_k(rows: list[list[float]], k: int) -> None:
    scores = np.array(rows, dtype=np.float32)
    before = scores.copy()
    columns, best = top_k(scores, k)
    np.testing.assert_array_equal(scores, before)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    wanted = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_array_equal(best, wanted)
    np.testing.assert_array_equal(columns, np.where(np.isneginf(wanted), -1, order))


def test_no_rows_and_no_columns() -> None:
    assert top_k(np.zeros((0, 5), dtype=np.float32), 3)[0].shape == (0, 3)
    assert top_k(np.zeros((2, 0), dtype=np.float32), 3)[0].shape == (2, 0)


def test_exclude_hides_what_is_stored_zeros_too() -> None:
    scores = np.ones((2, 3), dtype=np.float32)
    exclude(scores, csr_matrix(([0.0, 1.0], ([0, 1], [2, 0])), shape=(2, 3)))
    assert np.isneginf(scores).tolist() == [[False, False, True], [True, False, False]]


@pytest.mark.parametrize("k", [0, -3, 2.0, True, None])
def test_k_must_be_a_count(k: object) -> None:
    with pytest.raises(UsageError, match="k must be a whole number of at least 1. Got"):
        top_k(np.ones((1, 3), dtype=np.float32), k)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 9, 1000]), st.integers(1, 12), st.integers(100, 1300))
def test_the_detour_by_maxima_is_the_same_choice(seed: int, levels: int, k: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, size=(3, width)).astype(np.float32)
    scores[rng.random(scores.shape) < rng.random()] = -np.inf
    columns, best = top_k(scores, k)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    wanted = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_array_equal(best, wanted)
    np.testing.assert_array_equal(columns, np.where(np.isneginf(wanted), -1, order))
