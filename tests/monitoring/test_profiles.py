"""Sketches and profiles: bounded, mergeable, and whole after saving."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import DataError, UsageError
from shared.monitoring.profile import Profile, ProfileBuilder, comparable, merged
from shared.monitoring.profile_files import load_profile, save_profile
from shared.monitoring.signals import Batch, Observed, batch_of, shares
from shared.monitoring.sketches import EXACT, OTHERS, Categories, Numbers, Sample


def profile(values: np.ndarray, *, seed: int = 0, task: str = "a.task", rows: int = 4096) -> Profile:
    builder = ProfileBuilder(task, np.random.default_rng(seed), rows=rows)
    builder.add_batch(Batch(len(values), {"x": values}, {"kind": {"a": len(values)}}))
    return builder.done()


def test_a_sketch_knows_moments_exactly_and_quantiles_within_its_bound() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 50_000)
    column = Numbers()
    for part in np.array_split(values, 7):
        column.add(part)
    column.add(np.array([np.nan, np.inf]))
    found = column.done()
    assert (found.n, found.missing) == (50_000, 2)
    assert found.mean == pytest.approx(values.mean())
    assert found.deviation == pytest.approx(values.std(ddof=1))
    assert found.ends == (values.min(), values.max())
    levels = np.linspace(0.01, 0.99, 50)
    ranks = np.searchsorted(np.sort(values), found.quantiles(levels.tolist())) / len(values)
    assert np.abs(ranks - levels).max() < 0.0075  # twice the bound that holds 99 times of 100
    assert found.below([float(np.median(values))])[0] == pytest.approx(0.5, abs=0.0075)
    assert len(found.kll) < 25_000


def test_shares_below_and_above_leave_out_ties() -> None:
    column = Numbers()
    column.add(np.array([1.0, 2.0, 2.0, 3.0]))
    found = column.done()
    assert found.below([2.0]).tolist() == [0.25]
    assert found.above([2.0]).tolist() == [0.25]
    assert np.isnan(Numbers().done().quantiles([0.5])).all()


def test_categories_are_exact_while_they_are_few_and_bounded_when_they_are_many() -> None:
    column = Categories()
    column.add({"b": 3, "a": 3, "c": 0})
    assert column.done().counts == {"a": 3, "b": 3}
    for start in range(0, 20_000, 1000):
        column.add({f"id {n}": 1 for n in range(start, start + 1000)})
    column.add({"often": 9000})
    found = column.done()
    assert not found.exact
    assert abs(found.counts["often"] - 9000) <= 29_006 * 3.5 / 1024
    assert sum(found.counts.values()) == found.n == 29_006
    assert len(found.counts) <= EXACT + 1


def test_a_sample_of_two_halves_is_that_of_the_whole() -> None:
    keys, values = np.random.default_rng(3).random(5000), np.arange(5000.0)
    whole, halves, both = Sample(100), [Sample(100), Sample(100)], Sample(100)
    whole.add(keys, {"x": values})
    halves[0].add(keys[:2000], {"x": values[:2000]})
    halves[1].add(keys[2000:], {"x": values[2000:]})
    for half in halves:
        rows = half.done()
        both.add(rows.keys, rows.columns)
    assert (
        both.done().columns["x"].tolist()
        == whole.done().columns["x"].tolist()
        == values[np.argsort(keys)[:100]].tolist()
    )
    assert abs(values[np.argsort(keys)[:100]].mean() - 2500) < 600


def test_a_column_that_comes_late_is_missing_before() -> None:
    builder = ProfileBuilder("a.task", np.random.default_rng(0))
    builder.add([Observed({"x": 1.0})] * 3)
    builder.add([Observed({"y": 2.0}, confidence=0.5, label="yes", embedding=np.ones(4, np.float32))] * 2)
    found = builder.done()
    assert {name: (one.n, one.missing) for name, one in found.numbers.items()} == {
        "confidence": (2, 3), "x": (3, 2), "y": (2, 3),
    }  # fmt: skip
    assert found.columns.categories == {"label": {"yes": 2}}
    assert found.columns.embeddings is not None
    assert found.columns.embeddings.shape == (2, 4)
    assert found.confidence.tolist() == [0.5, 0.5]
    rows = found.columns.numbers
    assert (np.isnan(rows["x"]) != np.isnan(rows["y"])).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=30), min_size=3, max_size=3))
def test_merging_is_associative_and_knows_the_whole(parts: list[list[float]]) -> None:
    a, b, c = (profile(np.array(part), seed=at) for at, part in enumerate(parts))
    left, right = merged([merged([a, b]), c]), merged([a, merged([b, c])])
    every = np.array([value for part in parts for value in part])
    for one in (left, right):
        assert one.n == len(every)
        assert sorted(one.columns.numbers.get("x", np.zeros(0))) == sorted(every)
        if len(every):
            assert one.numbers["x"].mean == pytest.approx(every.mean(), rel=1e-9, abs=1e-6)
            assert one.numbers["x"].ends == (every.min(), every.max())
            assert one.columns.categories["kind"] == {"a": len(every)}


def test_merging_adds_rates_up() -> None:
    parts = []
    for seed, rate in ((0, 1.0), (1, 0.1)):
        builder = ProfileBuilder("a.task", np.random.default_rng(seed), rate=rate)
        builder.add_batch(Batch(100, {}, {}, first=10.0 * seed, last=10.0 * seed + 10))
        parts.append(builder.done())
    whole = merged(parts)
    assert (whole.n, whole.rate, whole.per_second) == (200, pytest.approx(200 / 1100), pytest.approx(1100 / 20))


def test_profiles_of_two_models_do_not_merge() -> None:
    with pytest.raises(UsageError, match=r"one task and model. Got 'other'.*beside 'a.task'"):
        merged([profile(np.zeros(1)), profile(np.zeros(1), task="other")])
    with pytest.raises(UsageError, match="at least one profile"):
        merged([])


def test_a_saved_profile_comes_back_whole(tmp_path: Path) -> None:
    builder = ProfileBuilder("a.task", np.random.default_rng(0), model="abc", rate=0.5)
    builder.add(
        Observed({"x": float(n)}, {"k": "ä" * (n % 3)}, np.float32([n, 1]), confidence=n / 50, label="l")
        for n in range(50)
    )
    builder.add_failed(3, first=5.0, last=9.0)
    builder.add_judged([0.9, 0.2], [True, False])
    before = builder.done()
    save_profile(before, tmp_path / "p")
    save_profile(before, tmp_path / "p")
    after = load_profile(tmp_path / "p")
    assert sorted(file.name[:7] for file in (tmp_path / "p").iterdir()) == ["arrays-", "profile"]
    same = ("task", "model", "n", "failed", "created", "first", "last", "rate")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert after.columns.categories == before.columns.categories
    assert after.columns.numbers["x"].tolist() == before.columns.numbers["x"].tolist()
    assert after.numbers["x"].quantiles([0.5]) == before.numbers["x"].quantiles([0.5])
    assert [values.tolist() for values in after.truth] == [values.tolist() for values in before.truth]
    assert merged([after]).n == 50


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be the folder of a profile"):
        load_profile(tmp_path)
    save_profile(profile(np.arange(5.0)), tmp_path / "p")
    (arrays,) = (tmp_path / "p").glob("arrays-*.npz")
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(DataError, match="It was changed"):
        load_profile(tmp_path / "p")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"must hold nothing else. .* holds notes.txt"):
        save_profile(profile(np.arange(5.0)), tmp_path / "q")


def test_rare_values_are_compared_together() -> None:
    both = []
    for counts in ({"a": 50, "b": 30, "c": 1}, {"a": 40, "c": 2, "new": 9}):
        builder = ProfileBuilder("a.task", np.random.default_rng(0))
        builder.add_batch(Batch(sum(counts.values()), {}, {"k": counts}))
        both.append(builder.done())
    reference, window = comparable(*both, values=2)
    assert reference.categories["k"] == {"a": 50, "b": 30, OTHERS: 1}
    assert window.categories["k"] == {"a": 40, OTHERS: 11}


@pytest.mark.parametrize(
    ("scores", "entropy", "margin"),
    [([1.0], 0.0, 1.0), ([0.25] * 4, math.log(4), 0.0), ([0.6, 0.2], 0.95027, 0.4), ([], math.nan, math.nan)],
)
def test_entropy_counts_what_is_not_named_as_one(scores: list[float], entropy: float, margin: float) -> None:
    assert shares(scores) == pytest.approx((entropy, margin), abs=1e-5, nan_ok=True)


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'x' must have 2 values"):
        Batch(2, {"x": np.zeros(3)}, {})
    with pytest.raises(UsageError, match="one length"):
        batch_of([Observed(embedding=np.zeros(2, np.float32)), Observed(embedding=np.zeros(3, np.float32))])
