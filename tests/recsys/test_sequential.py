from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

import recsys
from recsys.data import Interactions, from_records
from recsys.model import Recommender
from recsys.sequential.gru4rec import Gru4Rec, Gru4RecConfig
from recsys.sequential.markov import MarkovConfig, fit_markov
from recsys.sequential.neural import Neural
from recsys.sequential.paths import Paths, from_matrix, once, order
from recsys.sequential.sasrec import Sasrec, SasrecConfig
from recsys.sequential.session_knn import SessionKnnConfig, fit_session_knn
from recsys.sequential.testing import ROUND, SequentialContract, rounds
from shared.errors import DataError, MissingDependencyError, UsageError

SMALL_GRU = Gru4RecConfig(factors=4, length=6, layers=2)
SMALL_SASREC = SasrecConfig(factors=4, length=6, heads=2)


def untrained(family: type[Neural], config: Any, interactions: Interactions) -> Neural:
    """A network with drawn weights: everything but what training gives."""
    users, items, paths = order(interactions)
    rng = np.random.default_rng(0)
    shapes = family.shapes(config, len(items))
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return family(config, users, items, paths.matrix(len(items)), paths, weights)


class TestMarkov(SequentialContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_markov(interactions)


class TestFirstOrderMarkov(SequentialContract):
    alike = False

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_markov(interactions, MarkovConfig(window=1, recent=1, shrink=0))

    def test_the_order_of_a_history_matters(self) -> None:
        model = self.fit(rounds())
        assert model.fold_in(ROUND[:3], k=1).items == (ROUND[3],)
        assert model.fold_in(ROUND[2::-1], k=1, exclude_seen=False).items == (ROUND[1],)


class TestSessionKnn(SequentialContract):
    def fit(self, interactions: Interactions) -> Recommender:
        return fit_session_knn(interactions)

    def test_an_item_may_come_again(self) -> None:
        walked = self.fit(rounds(steps=17))  # all had all, so that all are alike
        assert len(walked.recommend(["from assam"], k=8, exclude_seen=False)[0].items) == 8


class TestUntrainedGru4Rec(SequentialContract):
    learned = alike = False

    def fit(self, interactions: Interactions) -> Recommender:
        return untrained(Gru4Rec, SMALL_GRU, interactions)


class TestUntrainedSasrec(SequentialContract):
    learned = alike = False

    def fit(self, interactions: Interactions) -> Recommender:
        return untrained(Sasrec, SMALL_SASREC, interactions)


def steps() -> Interactions:
    return from_records(
        [("ann", "a"), ("ann", "b"), ("ann", "c"), ("bob", "a"), ("bob", "c"), ("cid", "b"), ("cid", "a")]
    )


@pytest.mark.parametrize(
    ("config", "history", "scores"),
    [
        # a is followed by b once and by c once at once, and by c once two places on; it was followed twice
        (MarkovConfig(window=1, recent=1, shrink=0), ["a"], {"a": 0, "b": 1 / 2, "c": 1 / 2}),
        (MarkovConfig(window=2, recent=1, shrink=0), ["a"], {"a": 0, "b": 1 / 2, "c": 3 / 4}),
        (MarkovConfig(window=1, recent=1, shrink=2), ["a"], {"a": 0, "b": 1 / 4, "c": 1 / 4}),
        # b is followed by c and by a, once each
        (MarkovConfig(window=1, recent=1, shrink=0), ["a", "b"], {"a": 1 / 2, "b": 0, "c": 1 / 2}),
        (MarkovConfig(window=1, recent=2, shrink=0, decay=0.5), ["a", "b"], {"a": 1 / 2, "b": 1 / 4, "c": 3 / 4}),
        (MarkovConfig(window=1, recent=2, shrink=0, decay=1), ["b", "b"], {"a": 1, "b": 0, "c": 1}),
    ],
)
def test_markov_counts_what_follows(config: MarkovConfig, history: list[str], scores: dict[str, float]) -> None:
    answer = fit_markov(steps(), config).fold_in(history, exclude_seen=False)
    found = dict(zip(answer.items, answer.scores.tolist()))
    assert found == pytest.approx(scores)


def test_session_knn_weighs_the_newest_most() -> None:
    model = fit_session_knn(rounds(), SessionKnnConfig(activity_power=0))
    answer = model.recommend(["from assam"], k=3)[0]
    assert answer.items == ROUND[5:]
    # Of the five items with weights 0.2 to 1, the five who had the sixth too share four, three, two, two and two.
    assert answer.scores[0] == pytest.approx(2.8 + 2.4 + 1.8 + (1 + 0.2) + (0.2 + 0.4))
    halved = fit_session_knn(rounds(), SessionKnnConfig(activity_power=0.5)).recommend(["from assam"], k=1)[0]
    assert halved.scores[0] == pytest.approx(8.8 / 5**0.5, rel=1e-5)


def test_session_knn_asks_only_the_nearest() -> None:
    model = fit_session_knn(rounds(), SessionKnnConfig(activity_power=0, neighbours=2))
    answer = model.fold_in(ROUND[:5], k=8)  # the nearest are the one who went the same way and the one a step ahead
    assert answer.items[0] == ROUND[5]
    assert answer.scores.tolist() == pytest.approx([2.8, 0, 0])


def test_blocks_of_people_give_the_same_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit_session_knn(rounds())
    whole = model.score(model.user_ids.ids)
    monkeypatch.setattr("recsys.sequential.session_knn._BLOCK", 17)
    np.testing.assert_allclose(model.score(model.user_ids.ids), whole, rtol=1e-6)


@pytest.mark.parametrize(("family", "config"), [(Gru4Rec, SMALL_GRU), (Sasrec, SMALL_SASREC)])
def test_only_the_newest_of_a_long_history_count(family: type[Neural], config: Any) -> None:
    model = untrained(family, config, rounds())
    long, short = model.fold_in_many([[*ROUND, *ROUND[2:4]], [*ROUND[4:], *ROUND[2:4]]], k=8, exclude_seen=False)
    assert long.items == short.items
    np.testing.assert_allclose(long.scores, short.scores, rtol=1e-5)


@pytest.mark.parametrize(("family", "config"), [(Gru4Rec, SMALL_GRU), (Sasrec, SMALL_SASREC)])
def test_company_in_a_batch_changes_no_state(
    family: type[Neural], config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(family, config, rounds())
    histories = [ROUND[:length] for length in (1, 6, 2, 4, 3)]
    together = model.fold_in_many(histories, k=8)
    monkeypatch.setattr("recsys.sequential.neural._ROWS", 1)
    for one, other in zip(together, model.fold_in_many(histories, k=8), strict=True):
        assert one.items == other.items
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "config"), [(Gru4Rec, SMALL_GRU), (Sasrec, SMALL_SASREC)])
def test_a_network_answers_without_torch_and_says_how_to_train_one(
    family: type[Neural], config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # whoever imports it now fails
    untrained(family, config, rounds()).save(tmp_path)
    assert len(recsys.load(tmp_path).recommend(["from assam"], k=8)[0].items) == 3
    fit = {"gru4rec": recsys.fit_gru4rec, "sasrec": recsys.fit_sasrec}[family.family]
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[torch\]'"):
        fit(rounds())


def test_paths_are_cut_padded_and_taken() -> None:
    paths = Paths(np.array([3, 1, 2, 5, 3], dtype=np.int32), np.array([0, 3, 3, 5]))
    assert paths.lengths.tolist() == [3, 0, 2]
    assert paths.last().tolist() == [2, -1, 3]
    assert paths.newest(2).items.tolist() == [1, 2, 5, 3]
    assert paths.without_newest(1).items.tolist() == [3, 1, 5]
    assert paths.without_newest(np.array([2, 9, 0])).starts.tolist() == [0, 1, 1, 3]
    assert paths.padded(2).tolist() == [[1, 2], [-1, -1], [5, 3]]
    assert paths.take(np.array([2, 1, 2])).items.tolist() == [5, 3, 5, 3]
    assert paths.take(np.array([2, 0])).starts.tolist() == [0, 2, 5]


def test_a_matrix_holds_the_place_of_the_last_visit() -> None:
    paths = Paths(np.array([2, 0, 2], dtype=np.int32), np.array([0, 3]))
    assert paths.matrix(4).toarray().tolist() == [[2, 0, 3, 0]]
    assert from_matrix(paths.matrix(4)).items.tolist() == [0, 2]


def test_the_last_of_a_pair_stays_for_models_without_order() -> None:
    again = from_records([("ann", "a", 1, 5), ("ann", "b", 2, 1), ("ann", "a", 3, 4)], duplicates="keep")
    assert len(again) == 3
    assert once(again).values.tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="takes each pair once. 1 come again: read the data with duplicates 'last'"):
        recsys.fit_item_knn(again)
    assert once(from_records([("ann", "a", 1), ("ann", "a", 3)], duplicates="keep")).values.tolist() == [3.0]


def test_popular_items_have_many_people_not_many_visits() -> None:
    visits = [("ann", "a"), ("ann", "a"), ("ann", "a"), ("bob", "b"), ("cid", "b")]
    model = fit_markov(from_records(visits, duplicates="keep"))
    assert model.item_ids.ids == ("b", "a")
    assert model.popularity.tolist() == [2, 1]


def test_a_hybrid_asks_a_sequential_member_by_order(tmp_path: Path) -> None:
    ordered = rounds()
    members = {"next": fit_markov(ordered), "popular": recsys.fit_popularity(ordered)}
    fused = recsys.fuse(ordered, members, weights=[1.0, 0.1])
    fused.save(tmp_path)
    for model in (fused, recsys.load(tmp_path)):
        assert model.recommend(["from assam"], k=1)[0].items == (ROUND[5],)
        assert len(model.fold_in(["latte", "mocha"], k=8).items) == 6


def test_everybody_at_once_gets_the_same_as_one_by_one(tmp_path: Path) -> None:
    model = fit_markov(rounds())
    recsys.recommend_all(model, tmp_path / "all.parquet", k=1)
    rows = parquet.read_table(tmp_path / "all.parquet").to_pydict()
    assert dict(zip(rows["user"], rows["item"])) == {f"from {ROUND[at]}": ROUND[(at + 5) % 8] for at in range(8)}


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (MarkovConfig, {"window": 0}, "window must be at least 1. Got 0 instead"),
        (MarkovConfig, {"recent": -1}, "recent must be at least 1"),
        (MarkovConfig, {"decay": 0}, "decay must lie above 0 and be at most 1. Got 0 instead"),
        (MarkovConfig, {"shrink": float("nan")}, "shrink must be at least 0 and finite"),
        (SessionKnnConfig, {"neighbours": 0}, "neighbours must be at least 1"),
        (SessionKnnConfig, {"activity_power": 2}, r"activity_power must lie in 0..1. Got 2 instead"),
        (Gru4RecConfig, {"layers": 0}, "layers must be at least 1"),
        (Gru4RecConfig, {"learning_rate": 0}, "learning_rate must be above 0. Got 0 instead"),
        (Gru4RecConfig, {"item_rate": float("inf")}, "item_rate must be above 0"),
        (SasrecConfig, {"factors": 6, "heads": 4}, "factors must be a multiple of heads. Got 6 and 4"),
        (SasrecConfig, {"blocks": 0}, "blocks must be at least 1"),
        (SasrecConfig, {"dropout": 1}, r"dropout must be in \[0, 1\). Got 1 instead"),
        (SasrecConfig, {"negatives": -1}, "negatives must be at least 0"),
        (SasrecConfig, {"patience": -1}, "patience must be at least 0"),
        (SasrecConfig, {"length": 0}, "length must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(config: type, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


def parts_of(model: Recommender) -> Any:
    return model.user_ids, model.item_ids, model.histories


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths.items": None}, "must have paths.items"),
        ({"paths.starts": np.array([0, 1], dtype=np.int64)}, "paths must be those of 8 people over 8 items"),
        ({"paths.items": np.full(40, 8, dtype=np.int32)}, "paths must be those of 8 people over 8 items"),
        (
            {"weights.bias": np.zeros(7, dtype=np.float32)},
            r"weights.bias must be .* of shape \(8,\)",
        ),
        ({"weights.gru.weight_hh_l1": None}, "weights.gru.weight_hh_l1 must be"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    model = untrained(Gru4Rec, SMALL_GRU, rounds())
    arrays = {name: array for name, array in {**model.arrays(), **change}.items() if array is not None}
    config = {"factors": 4, "length": 6, "layers": 2}
    with pytest.raises(DataError, match=message):
        Gru4Rec.restore(config, parts_of(model), arrays)


def test_transitions_that_are_no_shares_are_refused() -> None:
    model = fit_markov(rounds())
    arrays = dict(model.arrays())
    arrays["transitions.data"] = -arrays["transitions.data"]
    with pytest.raises(DataError, match=r"transitions.data must be positive shares"):
        type(model).restore({}, parts_of(model), arrays)
