"""The deep recommenders with torch: what they learn, that they answer as the network does, that a seed is a model.

Run with the extra ``torch``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.collaborative.algorithms import ALGORITHMS
from recsys.collaborative.task import train as train_task
from recsys.data import Interactions, csr, from_records
from recsys.deep import lightgcn, multvae, two_tower
from recsys.deep.lightgcn import LightGcnConfig, fit_lightgcn
from recsys.deep.multvae import MultVaeConfig, fit_multvae
from recsys.deep.training import TrainingConfig, Validation, hold_out, session, train
from recsys.deep.two_tower import TwoTowerConfig, feature_matrix, fit_two_tower
from recsys.evaluate import evaluate
from recsys.features import make_features
from recsys.model import Recommender
from recsys.testing import RecommenderContract, tastes
from recsys.threads import limit_threads
from shared.errors import DataError, UsageError

torch = pytest.importorskip("torch", reason="training needs the extra 'torch'")
pytestmark = pytest.mark.torch

CONFIGS: dict[str, Any] = {
    "multvae": MultVaeConfig(
        factors=2, hidden=8, epochs=80, batch_size=9, learning_rate=0.02, kl_weight=0.2, anneal=0, val_share=0
    ),
    "lightgcn": LightGcnConfig(factors=8, layers=2, epochs=40, batch_size=64, learning_rate=0.05, val_share=0),
    "two_tower": TwoTowerConfig(factors=8, hidden=16, epochs=40, batch_size=32, learning_rate=0.02, val_share=0),
}


def fit(name: str, interactions: Interactions, seed: int = 0, **options: Any) -> Any:
    config = CONFIGS[name] if not options else type(CONFIGS[name])(**{**vars(CONFIGS[name]), **options})
    return ALGORITHMS[name].fit(interactions, config, threads=1, rng=np.random.default_rng(seed))


@functools.cache
def fitted(name: str) -> Recommender:
    model: Recommender = fit(name, tastes())
    return model


class DeepContract(RecommenderContract):
    """The contract, with one fit on the tastes for all of its tests: models are frozen."""

    name: str

    def fit(self, interactions: Interactions) -> Recommender:
        model: Recommender = fit(self.name, interactions)
        return model

    @pytest.fixture
    def model(self) -> Recommender:
        return fitted(self.name)


class TestMultVae(DeepContract):
    name = "multvae"


class TestLightGcn(DeepContract):
    name = "lightgcn"
    fold_in_error = None


class TestTwoTower(DeepContract):
    name = "two_tower"


def ratings(seed: int = 0, users: int = 40, items: int = 30) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = {(int(u), int(i)) for u, i in zip(rng.integers(0, users, 400), rng.integers(0, items, 400))}
    return from_records([(*pair, int(rng.integers(1, 6))) for pair in sorted(pairs)])


def network_of(name: str, model: Any) -> Any:
    """The torch network with the weights that a model saved; what a model does not keep stays as it was drawn."""
    arrays = dict(model.arrays())
    if name == "multvae":
        network = multvae.make_network(len(model.item_ids), model.config)
        arrays["encoder.weight"] = arrays["encoder.weight"].T
    else:
        network = two_tower.make_network(np.zeros((len(model.item_ids), 0), dtype=np.float32), model.config)
        arrays = {key: array for key, array in arrays.items() if not key.endswith("_factors")}
    missing, unexpected = network.load_state_dict(
        {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}, strict=False
    )
    assert not unexpected
    assert all(key.split(".")[0] in ("spread", "id", "item") for key in missing)
    return network.eval()


def test_multvae_answers_as_the_network_does() -> None:
    model = fit("multvae", ratings(), epochs=3, weighting="value")
    with torch.no_grad():
        said = multvae.logits(network_of("multvae", model), torch.from_numpy(model.histories.toarray()))
    np.testing.assert_allclose(model.score_histories(model.histories), said.numpy(), atol=1e-4)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_two_tower_answers_as_the_network_does(similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    inner = two_tower.make_network

    def kept(*arguments: Any) -> Any:
        made.append(inner(*arguments))
        return made[-1]

    monkeypatch.setattr(two_tower, "make_network", kept)
    options = {"epochs": 3, "weighting": "value", "similarity": similarity, "temperature": 0.2, "val_share": 0.3}
    model = fit("two_tower", ratings(), **options)
    with torch.no_grad():
        users = two_tower.user_tower(made[0], model.histories, model.config)
        items = two_tower.item_tower(made[0], torch.arange(len(model.item_ids)), model.config)
        said = two_tower.score_vectors(users, items, model.config)
    np.testing.assert_allclose(model.score_histories(model.histories), said.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.score(list(model.user_ids.ids)), said.numpy(), atol=1e-4)
    monkeypatch.setattr(two_tower, "make_network", inner)
    np.testing.assert_allclose(
        model.fold_users(model.histories),
        two_tower.user_tower(network_of("two_tower", model), model.histories, model.config).detach().numpy(),
        atol=1e-4,
    )


def test_lightgcn_answers_as_the_network_does() -> None:
    model = fit("lightgcn", ratings(), epochs=3, val_share=0.3)
    adjacency = np.zeros((70, 70))
    adjacency[:40, 40:] = model.histories.toarray()
    adjacency += adjacency.T
    degrees = np.sqrt(adjacency.sum(axis=1))
    adjacency /= degrees[:, None] * degrees
    first = np.random.default_rng(0).normal(size=(70, 8)).astype(np.float32)
    smooth = lightgcn.smoothing(model.histories, 2, torch.device("cpu"))
    wanted = (np.eye(70) + adjacency + adjacency @ adjacency) / 3 @ first
    np.testing.assert_allclose(smooth(torch.from_numpy(first)).numpy(), wanted, atol=1e-5)
    learnt = np.linalg.solve(
        (np.eye(70) + adjacency + adjacency @ adjacency) / 3, np.vstack([model.user_factors, model.item_factors])
    )
    said = smooth(torch.from_numpy(learnt.astype(np.float32)))
    np.testing.assert_allclose(model.score(list(model.user_ids.ids)), (said[:40] @ said[40:].T).numpy(), atol=1e-4)
    np.testing.assert_allclose(model.fold_users(model.histories), model.user_factors - learnt[:40] / 3, atol=1e-4)


def test_the_gradient_of_smoothing_is_that_of_its_products() -> None:
    model = fit("lightgcn", ratings(), epochs=1)
    smooth = lightgcn.smoothing(model.histories, 2, torch.device("cpu"))
    point, towards = torch.randn(70, 3), torch.randn(70, 3)
    at = point.clone().requires_grad_()
    (smooth(at) * towards).sum().backward()
    columns = torch.eye(70)
    dense = smooth(columns)  # the map as a matrix
    np.testing.assert_allclose(at.grad.numpy(), (dense.T @ towards).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_generator_gives_one_model(name: str) -> None:
    one, same, other = (fit(name, ratings(), seed, epochs=2, val_share=0.3) for seed in (3, 3, 4))
    for key, array in one.arrays().items():
        np.testing.assert_array_equal(array, same.arrays()[key])
        assert (array != other.arrays()[key]).any()
        assert array.dtype == np.float32


def test_torch_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    wanted, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    fit_multvae(tastes(), CONFIGS["multvae"], threads=1)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads


def test_the_number_of_threads_is_that_which_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    for items, threads, wanted in ((10, 2, 2), (10, None, 1), (10_000, None, 2)):
        with limit_threads(2), session(rng, items=items, device="cpu", threads=threads) as place:
            assert place.type == "cpu"
            assert torch.get_num_threads() == wanted
    with pytest.raises(UsageError, match="threads must be"), session(rng, items=10, device="cpu", threads=0):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="torch sees none"):
        fit_lightgcn(tastes(), device="gpu")
    with pytest.raises(UsageError, match="device must be auto, cpu or gpu. Got 'tpu' instead"):
        fit_two_tower(tastes(), device="tpu")


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_that_are_too_long_are_named(name: str) -> None:
    with pytest.raises(DataError, match="the loss is no longer a number in epoch .*lower learning_rate, now 1e"):
        fit(name, ratings(), learning_rate=1e30, epochs=20)


def validation() -> Validation:
    two = csr(np.zeros(2, np.int32), np.arange(2, dtype=np.int32), np.ones(2, np.float32), (1, 2))
    found = hold_out(two, 0.5, np.random.default_rng(0))
    assert found is not None
    return found


def run(scores: list[float], **options: Any) -> tuple[float, int]:
    """What training leaves where each epoch adds 1 to a weight of 0, and its validation figure is the next of some.

    The average after n such epochs is 0.9 n: the first counts nine tenths, and its share falls as 9 / (10 + step).
    """
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    figures, epochs = iter(scores), []

    class Told(Validation):
        def score(self, scores: Any) -> float:
            return next(figures)

    def loss(rows: Any, gone: float) -> Any:
        epochs.append(gone)
        return -network.weight.sum()

    held = validation()
    train(
        network,
        loss,
        rows=1,
        config=TrainingConfig(learning_rate=1.0, **options),
        rng=np.random.default_rng(0),
        validation=Told(held.learnt, held.people, held.asked) if scores else None,
        answer=lambda _: np.zeros((1, 2), dtype=np.float32),
    )
    assert epochs == list(range(len(epochs)))
    return round(network.weight.item(), 3), len(epochs)


@pytest.mark.parametrize(
    ("scores", "options", "left"),
    [
        ([0.1, 0.3, 0.2, 0.2, 0.9], {"epochs": 5, "patience": 2}, (1.8, 4)),
        ([0.1, 0.3, 0.2, 0.2, 0.9], {"epochs": 5, "patience": 3}, (4.5, 5)),
        ([0.1, 0.3, 0.2, 0.2, 0.9], {"epochs": 4, "patience": 0}, (1.8, 4)),
        ([0.5, 0.5, 0.5], {"epochs": 3, "patience": 0}, (0.9, 3)),
        ([], {"epochs": 6, "patience": 2}, (5.4, 6)),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(
    scores: list[float], options: dict[str, Any], left: tuple[float, int]
) -> None:
    assert run(scores, **options) == left


def test_the_loss_of_multvae_is_the_negative_bound() -> None:
    config = MultVaeConfig(factors=3, hidden=5, dropout=0.0)
    network = multvae.make_network(4, config)
    torch.nn.init.constant_(network["spread"].weight, 0)
    torch.nn.init.constant_(network["spread"].bias, -40)  # no noise: the draw is the mean
    histories = torch.tensor([[1.0, 0, 2, 0], [0, 1, 0, 0]])
    said = torch.distributions.Categorical(logits=multvae.logits(network, histories)).logits
    mean = network["mean"](network["encoder"](torch.nn.functional.normalize(histories)).tanh())
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, np.exp(-20.0)), normal(0.0, 1.0)).sum(1)
    wanted = (0.3 * divergence - (histories * said).sum(1)).mean()
    assert multvae.loss_of(network, histories, config, 0.3).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_loss_of_two_towers_corrects_by_frequency_and_bars_what_was_taken() -> None:
    histories = csr(
        np.array([0, 0, 1, 2], dtype=np.int32), np.array([0, 1, 1, 2], dtype=np.int32), np.ones(4, np.float32), (3, 3)
    )
    wanted = np.array([0, 1, 2])
    said = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    often = torch.log(torch.tensor([0.25, 0.5, 0.25]))
    rows = [(1 - np.log(0.25), [3 - np.log(0.25)]), (5 - np.log(0.5), [4 - np.log(0.25), 6 - np.log(0.25)])]
    rows.append((9 - np.log(0.25), [7 - np.log(0.25), 8 - np.log(0.5)]))  # row 0 took item 1, which is no rival there
    terms = [np.log(np.exp(own) + np.exp(rivals).sum()) - own for own, rivals in rows]
    found = two_tower.loss_of(said, often, two_tower.barred(histories, wanted))
    assert found.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_a_history_without_its_item_is_what_the_user_tower_sees() -> None:
    histories = csr(
        np.array([0, 0, 1], dtype=np.int32), np.array([0, 1, 1], dtype=np.int32), np.ones(3, np.float32), (2, 2)
    )
    left = two_tower.hidden(histories, np.array([0, 1]), 0.0, np.random.default_rng(0))
    assert left.toarray().tolist() == [[0, 1], [0, 0]]
    rng = np.random.default_rng(0)
    wide = csr(np.zeros(2000, np.int32), np.arange(2000, dtype=np.int32), np.ones(2000, np.float32), (1, 2000))
    assert two_tower.hidden(wide, np.array([0]), 0.3, rng).nnz == pytest.approx(1400, abs=80)


def test_items_of_one_kind_come_together_by_their_features() -> None:
    """Items that nobody took together: only the features say which are alike."""
    records = [(f"u{n}", f"{kind}{n}") for kind in "ab" for n in range(10)] + [(f"u{n}", "all") for n in range(10)]
    columns = {"kind": ["a"] * 10 + ["b"] * 10}
    features = make_features(
        "item", [f"{kind}{n}" for kind in "ab" for n in range(10)], columns, kinds={"kind": "category"}
    )
    config = TwoTowerConfig(factors=4, hidden=8, epochs=10, batch_size=30, learning_rate=0.02, val_share=0)
    together = []
    for known in (None, features):
        model = fit_two_tower(from_records(records), config, features=known, threads=1)
        kinds = np.array([str(item)[0] for item in model.item_ids.ids])
        found = model.item_similarities(np.arange(len(kinds), dtype=np.int32))
        a, b = np.flatnonzero(kinds == "a")[:10], np.flatnonzero(kinds == "b")
        together.append(float(found[np.ix_(b, b)].mean() - found[np.ix_(b, a)].mean()))
    assert together[1] > together[0] + 0.1
    assert feature_matrix(features, model.item_ids).shape == (21, 2)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_answers_without_torch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(name).save(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    model = recsys.load(tmp_path, mmap=True)
    assert model.recommend(["no mocha"], k=1)[0].items == ("mocha",)
    assert model.fold_in(["latte", "espresso", "ristretto"], k=1).items == ("mocha",)


@pytest.mark.parametrize("name", ["lightgcn", "two_tower"])
def test_their_vectors_serve_approximate_search(name: str) -> None:
    pytest.importorskip("usearch", reason="approximate search needs the extra 'recsys'")
    index = recsys.approximate(fitted(name), k=3)
    assert index.recall == 1
    assert index.recommend(["no mocha"], k=1)[0].items == ("mocha",)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_trains_and_evaluates(name: str, tmp_path: Path) -> None:
    data = tmp_path / "ratings.csv"
    whole = ratings()
    users, items = whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items)
    data.write_text("user,item,rating\n" + "".join(f"{u},{i},4\n" for u, i in zip(users, items)))
    said = train_task(data, tmp_path / "m", algorithm=name, threads=1, epochs=2, factors=4)
    assert said["options"]["epochs"] == 2
    assert recsys.load(tmp_path / "m").config.factors == 4
    assert evaluate(data, model=name, k=5, epochs=2, threads=1).metrics["ndcg@5"].value > 0


FITS: dict[str, Callable[..., Any]] = {"fit_multvae": fit_multvae, "fit_lightgcn": fit_lightgcn}


def test_the_package_names_them() -> None:
    for name, function in {**FITS, "fit_two_tower": fit_two_tower}.items():
        assert getattr(recsys, name) is function
