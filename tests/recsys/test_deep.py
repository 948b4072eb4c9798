"""The deep recommenders without torch: what they answer by, what they refuse, how people and items are drawn."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys
from recsys.collaborative.algorithms import ALGORITHMS
from recsys.data import Csr, csr, from_records
from recsys.deep.answering import cosines, mean_rows, unit_rows
from recsys.deep.lightgcn import LightGcn, LightGcnConfig, fit_lightgcn, others, pairs_with_others
from recsys.deep.multvae import MultVae, MultVaeConfig, fit_multvae
from recsys.deep.training import ASKED, TrainingConfig, Validation, hold_out
from recsys.deep.two_tower import TwoTower, TwoTowerConfig, feature_matrix, fit_two_tower
from recsys.features import make_features
from recsys.histories import training_parts
from recsys.ids import Vocabulary
from recsys.testing import tastes
from shared.cli.main import triptych
from shared.errors import DataError, MissingDependencyError, UsageError

NAMES = ("lightgcn", "multvae", "two_tower")
PARTS = training_parts(from_records([("a", "x"), ("a", "y"), ("b", "x"), ("b", "z"), ("c", "x")]), "binary")
"""Items x (3 people), y and z (1 each)."""


def matrix(rows: list[list[float]]) -> Csr:
    dense = np.array(rows, dtype=np.float32)
    at, columns = np.nonzero(dense)
    return csr(at.astype(np.int32), columns.astype(np.int32), dense[at, columns], dense.shape)


def test_importing_the_algorithms_does_not_import_torch() -> None:
    code = "import sys, recsys.collaborative.algorithms, recsys.families; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("fit", [fit_lightgcn, fit_multvae, fit_two_tower])
def test_without_torch_the_command_that_brings_it_is_said(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[torch\]'"):
        fit(tastes())


def test_nothing_to_learn_from_is_said_before_torch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in NAMES:
        with pytest.raises(DataError, match="at least one interaction"):
            ALGORITHMS[name].fit(tastes().at_least(5))


def test_every_option_says_what_it_is() -> None:
    for name in NAMES:
        for option in dataclasses.fields(ALGORITHMS[name].config):  # type: ignore[arg-type]
            assert option.metadata["help"]
    said = CliRunner().invoke(triptych, ["train", "recsys.collaborative", "--help"]).output
    assert "--kl-weight" in said


@pytest.mark.parametrize("config", [MultVaeConfig, LightGcnConfig, TwoTowerConfig])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1 and finite. Got 0 instead"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite. Got 0.0 instead"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0 and finite"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"val_share": 1.0}, "val_share must be at least 0 and below 1. Got 1.0 instead"),
        ({"factors": 0}, "factors must be at least 1"),
    ],
)
def test_options_of_every_training_are_checked(config: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (MultVaeConfig, {"hidden": 0}, "hidden must be at least 1"),
        (MultVaeConfig, {"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        (MultVaeConfig, {"kl_weight": -0.1}, "kl_weight must be at least 0"),
        (MultVaeConfig, {"anneal": -1}, "anneal must be at least 0"),
        (MultVaeConfig, {"weighting": "x"}, "weighting must be one of"),
        (LightGcnConfig, {"layers": 0}, "layers must be at least 1"),
        (LightGcnConfig, {"l2": float("inf")}, "l2 must be at least 0 and finite"),
        (TwoTowerConfig, {"hidden": 0}, "hidden must be at least 1"),
        (TwoTowerConfig, {"dropout": -0.1}, "dropout must be at least 0 and below 1"),
        (TwoTowerConfig, {"similarity": "l2"}, "similarity must be one of dot, cosine. Got 'l2' instead"),
        (TwoTowerConfig, {"temperature": 0.0}, "temperature must be above 0 and finite. Got 0.0 instead"),
        (TwoTowerConfig, {"weighting": "x"}, "weighting must be one of"),
    ],
)
def test_options_of_each_are_checked(config: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**options)


@pytest.mark.parametrize(("name", "config"), [("multvae", MultVaeConfig), ("two_tower", TwoTowerConfig)])
def test_what_counts_against_an_item_is_refused(name: str, config: Any) -> None:
    with pytest.raises(DataError, match=f"{name} counts every interaction in favour.*Got -1.0"):
        ALGORITHMS[name].fit(from_records([("a", "x", 1), ("a", "y", -1)]), config(weighting="value"))


def multvae() -> MultVae:
    """Every layer of one unit: the latent value is tanh((x + 2 y + 3 z) / length), scores are multiples of its tanh."""
    weights = {
        "encoder.weight": np.array([[1], [2], [3]], dtype=np.float32),
        "encoder.bias": np.zeros(1, dtype=np.float32),
        "mean.weight": np.ones((1, 1), dtype=np.float32),
        "mean.bias": np.full(1, 0.5, dtype=np.float32),
        "decoder.weight": np.full((1, 1), 2, dtype=np.float32),
        "decoder.bias": np.zeros(1, dtype=np.float32),
        "output.weight": np.array([[1], [-1], [4]], dtype=np.float32),
        "output.bias": np.array([0, 0, 10], dtype=np.float32),
    }
    return MultVae(MultVaeConfig(factors=1, hidden=1), *PARTS, weights)


def test_multvae_answers_by_the_mean_of_the_latent_vector() -> None:
    said = multvae().score_histories(matrix([[1, 1, 0], [0, 0, 5]]))
    decoded = np.tanh(2 * (np.tanh([3 / np.sqrt(2), 3]) + 0.5))
    np.testing.assert_allclose(said, decoded[:, None] * [1, -1, 4] + [0, 0, 10], rtol=1e-6)
    assert said.dtype == np.float32


def lightgcn() -> LightGcn:
    users = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    items = np.array([[2, 0], [0, 3], [1, 1]], dtype=np.float32)
    folds = np.array([[1, 0], [0, 2], [3, 3]], dtype=np.float32)
    return LightGcn(LightGcnConfig(factors=2), *PARTS, users, items, folds)


def test_lightgcn_folds_by_the_sum_of_its_items_over_the_root_of_their_number() -> None:
    model = lightgcn()
    np.testing.assert_allclose(model.fold_users(matrix([[7, 7, 0], [0, 0, 1]])), [[1 / 2**0.5, 2 / 2**0.5], [3, 3]])
    np.testing.assert_allclose(model.score(["b"]), [[0, 3, 1]])
    assert model.fold_in(["z"], exclude_seen=False).items == ("y", "x", "z")


def two_tower(similarity: str) -> TwoTower:
    weights = {
        "history.weight": np.array([[1, 0], [0, 4], [0, 0]], dtype=np.float32),
        "user.0.weight": np.array([[1, 0], [0, 1], [-1, -1]], dtype=np.float32),
        "user.0.bias": np.zeros(3, dtype=np.float32),
        "user.2.weight": np.array([[3, 0, 9], [0, 1, 9]], dtype=np.float32),
        "user.2.bias": np.array([0, 2], dtype=np.float32),
    }
    config = TwoTowerConfig(factors=2, hidden=3, similarity=similarity)  # type: ignore[arg-type]
    users, items = np.ones((3, 2), dtype=np.float32), np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    return TwoTower(config, *PARTS, users, items, weights)


def test_two_tower_answers_by_the_mean_of_the_history() -> None:
    histories = matrix([[1, 1, 0], [1, 3, 0], [0, 0, 2]])
    users = np.array([[1.5, 4], [0.75, 5], [0, 2]])
    items = np.array([[1, 0], [0, 1], [0.6, 0.8]])
    np.testing.assert_allclose(two_tower("dot").score_histories(histories), users @ items.T, rtol=1e-6)
    lengths = np.linalg.norm(users, axis=1, keepdims=True)
    np.testing.assert_allclose(two_tower("cosine").score_histories(histories), users / lengths @ items.T, rtol=1e-5)


@pytest.mark.parametrize("model", [multvae(), lightgcn(), two_tower("dot")], ids=lambda model: model.family)
class TestMadeByHand:
    def test_it_survives_its_folder(self, model: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        model.save(tmp_path / "m")
        for mmap in (False, True):
            again = recsys.load(tmp_path / "m", mmap=mmap)
            assert again.config == model.config
            np.testing.assert_array_equal(again.score(["a", "b", "c"]), model.score(["a", "b", "c"]))
            assert again.fold_in(["x"]) == model.fold_in(["x"])

    def test_the_command_recommends_from_it(self, model: Any, tmp_path: Any) -> None:
        model.save(tmp_path / "m")
        out = CliRunner().invoke(triptych, ["recommend", str(tmp_path / "m"), "--user", "c", "--json"]).output
        assert set(json.loads(out)["items"]) == {"y", "z"}

    def test_arrays_that_do_not_fit_are_refused(self, model: Any) -> None:
        config = dataclasses.asdict(model.config) | {"factors": 7}
        with pytest.raises(DataError, match=r"must be a finite float32 array of shape \("):
            type(model).restore(config, PARTS, model.arrays())

    def test_it_says_that_it_cannot_explain(self, model: Any) -> None:
        with pytest.raises(UsageError, match=f"scores of {model.family} are no sum over a history"):
            recsys.explain(model, "a", "z")

    def test_a_history_of_nothing_has_finite_scores(self, model: Any) -> None:
        assert np.isfinite(model.score_histories(matrix([[0, 0, 0]]))).all()

    def test_an_item_is_most_like_itself(self, model: Any) -> None:
        found = model.item_similarities(np.arange(3, dtype=np.int32))
        np.testing.assert_allclose(np.diagonal(found), 1, rtol=1e-6)
        assert found.max() <= 1 + 1e-6


def test_rows_are_scaled_and_nothing_stays_nothing() -> None:
    histories = matrix([[3, 4, 0], [0, 0, 0], [0, 0, 2]])
    np.testing.assert_allclose(unit_rows(histories).toarray(), [[0.6, 0.8, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(mean_rows(histories).toarray(), [[3 / 7, 4 / 7, 0], [0, 0, 0], [0, 0, 1]])
    assert histories.data.tolist() == [3, 4, 2]


def test_the_cosine_with_a_vector_of_nothing_is_0() -> None:
    vectors = np.array([[1, 1], [0, 0]], dtype=np.float32)
    np.testing.assert_allclose(cosines(vectors, np.array([0, 1], dtype=np.int32)), [[1, 0], [0, 0]], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.3, 0.99]))
def test_what_is_held_out_is_some_of_some_peoples(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    histories = matrix((rng.random((12, 9)) * (rng.random((12, 9)) < 0.4)).tolist())
    found = hold_out(histories, share, rng)
    counts = np.diff(histories.indptr)
    assert isinstance(found, Validation)
    assert len(found.people) == max(1, round(share * (counts >= 2).sum()))
    assert (counts[found.people] >= 2).all()
    back = found.learnt.toarray()
    back[found.people] += found.asked.toarray()
    np.testing.assert_array_equal(back, histories.toarray())
    held = np.diff(found.asked.indptr)
    np.testing.assert_array_equal(held, np.maximum(1, np.round(ASKED * counts[found.people])))
    assert (held < counts[found.people]).all()


def test_nobody_is_held_out_where_nobody_can_be() -> None:
    rng = np.random.default_rng(0)
    assert hold_out(matrix([[1, 1], [1, 0]]), 0.0, rng) is None
    assert hold_out(matrix([[1, 0], [0, 1]]), 0.5, rng) is None


def test_validation_ranks_what_was_not_learnt_from() -> None:
    found = Validation(matrix([[1, 0, 0, 0]]), np.array([0]), matrix([[0, 0, 1, 0]]))
    scores = np.array([[9, 1, 3, 2]], dtype=np.float32)
    assert found.score(scores.copy()) == 1
    scores[0, 1] = 5
    assert found.score(scores) == pytest.approx(1 / np.log2(3))


def test_an_item_that_was_not_taken_is_drawn_evenly() -> None:
    histories = matrix([[1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 0]])
    users = np.repeat(np.arange(3), 6000)
    drawn = others(histories, users, np.random.default_rng(0))
    for user in range(3):
        times = np.bincount(drawn[users == user], minlength=6)
        left = histories[[user]].toarray().ravel() == 0
        assert (times[~left] == 0).all()
        np.testing.assert_allclose(times[left] / 6000, 1 / left.sum(), atol=0.03)


def test_people_who_took_everything_teach_lightgcn_nothing() -> None:
    users, items = pairs_with_others(matrix([[1, 1, 1], [0, 1, 0]]))
    assert users.tolist() == [1]
    assert items.tolist() == [1]


def test_features_become_labels_and_standard_units() -> None:
    columns = {"price": [1.0, 3.0, 8.0], "kind": ["hot", "cold", "hot"]}
    features = make_features("item", ["x", "z", "other"], columns, kinds={"kind": "category"})
    found = feature_matrix(features, PARTS[1])
    assert PARTS[1].ids == ("x", "y", "z")
    np.testing.assert_allclose(found, [[0, 1, -1], [0, 0, 0], [1, 0, 1]])
    assert feature_matrix(None, PARTS[1]).shape == (3, 0)


def test_features_of_words_alone_are_refused() -> None:
    features = make_features("item", ["x", "y"], {"title": ["one", "two"]}, kinds={"title": "text"})
    with pytest.raises(UsageError, match="features must have numbers, categories or tags"):
        feature_matrix(features, PARTS[1])
    with pytest.raises(DataError, match="not one of 1 item ids has features"):
        feature_matrix(features, Vocabulary("item", ("q",)))


def test_the_training_options_have_the_defaults_of_each_family() -> None:
    assert TrainingConfig().epochs >= 1
    for name in NAMES:
        assert ALGORITHMS[name].config() == ALGORITHMS[name].configure(name, {})
