from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.data import Interactions
from recsys.model import Recommender
from recsys.sequential import gru4rec, sasrec
from recsys.sequential.gru4rec import Gru4Rec, Gru4RecConfig, fit_gru4rec
from recsys.sequential.neural import Neural
from recsys.sequential.paths import Paths, order
from recsys.sequential.sasrec import Sasrec, SasrecConfig, fit_sasrec
from recsys.sequential.scoring import score_next
from recsys.sequential.task import TASK, cut_last, train
from recsys.sequential.testing import ROUND, SequentialContract, rounds
from recsys.sequential.training import _batches, _loss, _ndcg
from shared.errors import DataError, UsageError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

QUICK: dict[str, Any] = {
    "factors": 16,
    "length": 8,
    "dropout": 0.0,
    "batch_size": 8,
    "negatives": 0,
    "patience": 0,
    "refit": False,
}
GRU = Gru4RecConfig(**QUICK, epochs=40, learning_rate=0.02, item_rate=1.0)
SASREC = SasrecConfig(**QUICK, epochs=40, learning_rate=0.01, item_rate=1.0)


def test_gru4rec_finds_what_comes_next() -> None:
    _check_round(fit_gru4rec(rounds(), GRU))


def test_sasrec_finds_what_comes_next() -> None:
    _check_round(fit_sasrec(rounds(), SASREC))


def _check_round(model: Recommender) -> None:
    assert [model.recommend([f"from {item}"], k=1)[0].items[0] for item in ROUND] == [*ROUND[5:], *ROUND[:5]]
    assert model.fold_in(["latte", "mocha"], k=1).items == ("ristretto",)


class TestSasrec(SequentialContract):
    learned = alike = False

    def fit(self, interactions: Interactions) -> Recommender:
        return fit_sasrec(interactions, dataclasses.replace(SASREC, epochs=1))


@pytest.mark.parametrize(
    ("family", "config", "build"),
    [
        (Gru4Rec, Gru4RecConfig(factors=12, length=9, layers=2), gru4rec.build_network),
        (Gru4Rec, Gru4RecConfig(factors=6, length=9), gru4rec.build_network),
        (Sasrec, SasrecConfig(factors=12, length=9, blocks=3, heads=3), sasrec.build_network),
        (Sasrec, SasrecConfig(factors=8, length=9, blocks=1), sasrec.build_network),
    ],
)
def test_numpy_answers_as_torch_does(family: type[Neural], config: Any, build: Any) -> None:
    users, items, paths = order(rounds(steps=7))
    torch.manual_seed(3)
    network = build(config, len(items)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # so that no scale is 1 and no shift 0
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    assert {name: array.shape for name, array in weights.items()} == family.shapes(config, len(items))
    model = family(config, users, items, paths.matrix(len(items)), paths, weights)
    lengths = np.array([1, 9, 4, 7, 2, 9])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    asked = Paths(np.random.default_rng(0).integers(8, size=lengths.sum()).astype(np.int32), starts)
    with torch.no_grad():
        states = network(torch.from_numpy(asked.padded(9).astype(np.int64)))[
            torch.arange(6), torch.from_numpy(lengths - 1)
        ]
        scores = states @ network.item.weight.T + getattr(network, "bias", torch.zeros(8))
    np.testing.assert_allclose(model.score_paths(asked), scores.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("fit", "config"), [(fit_gru4rec, GRU), (fit_sasrec, SASREC)])
def test_the_same_seed_gives_the_same_model(fit: Any, config: Any) -> None:
    short = dataclasses.replace(config, epochs=2, dropout=0.2, negatives=3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (fit(rounds(), short, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, array in one.weights.items():
        np.testing.assert_array_equal(array, same.weights[name])
    assert not np.array_equal(one.weights["item.weight"], other.weights["item.weight"])


def test_training_ends_early_with_the_best_weights(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = fit_gru4rec(rounds(), dataclasses.replace(GRU, epochs=500, patience=2))
    lines = [line for line in capsys.readouterr().err.splitlines() if "ndcg@10" in line]
    best = int(lines[-1].partition("in epoch ")[2].partition(")")[0])
    assert best <= len(lines) <= best + 2 < 500
    again = fit_gru4rec(rounds(), dataclasses.replace(GRU, epochs=best, patience=0))
    for name, array in fitted.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])


def test_the_newest_items_are_learned_from_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten people agree on what came first, and only the newest item tells what follows it."""
    people = [f"p{at}" for at in range(10)]
    data = [(who, drink, 1.0) for who in people for drink in ("tea", "latte", "mocha")]
    events = recsys.from_records(data)
    without = fit_gru4rec(events, dataclasses.replace(GRU, epochs=30))
    anew = fit_gru4rec(events, dataclasses.replace(GRU, epochs=30, refit=True))
    after = [model.fold_in(["tea", "latte"], k=1).scores[0] for model in (without, anew)]
    assert after[1] > after[0] + 1
    assert anew.fold_in(["tea", "latte"], k=1).items == ("mocha",)
    assert "ndcg@10 nan" in capsys.readouterr().err  # nobody is left to validate by


def test_people_with_two_items_are_learned_from_and_not_validated(capsys: pytest.CaptureFixture[str]) -> None:
    model = fit_gru4rec(rounds(steps=2), GRU)
    assert model.fold_in(["latte"], k=1).items == ("mocha",)
    assert "ndcg@10 nan" in capsys.readouterr().err


def test_the_whole_softmax_is_cross_entropy() -> None:
    network, items = _network()
    states = network(items[:, :-1])[items[:, 1:] >= 0]
    scores = states @ network.item.weight.T + network.bias
    wanted = torch.nn.functional.cross_entropy(scores, items[:, 1:][items[:, 1:] >= 0])
    found = float(_loss(network, items, 0, np.random.default_rng(0)).detach())
    assert found == pytest.approx(float(wanted.detach()), rel=1e-6)


def test_a_sampled_softmax_lets_the_drawn_stand_for_all() -> None:
    network, items = _network()
    drawn = np.random.default_rng(7).integers(8, size=3)
    with torch.no_grad():
        states = network(items[:, :-1])[items[:, 1:] >= 0].numpy().astype(float)
        table, bias = network.item.weight.numpy().astype(float), network.bias.numpy().astype(float)
    losses = []
    for state, right in zip(states, items[:, 1:][items[:, 1:] >= 0].tolist()):
        scores = np.exp(table @ state + bias)
        others = sum(scores[one] for one in drawn if one != right) * 7 / 3
        losses.append(-math.log(scores[right] / (scores[right] + others)))
    assert float(_loss(network, items, 3, np.random.default_rng(7)).detach()) == pytest.approx(
        np.mean(losses), rel=1e-5
    )


def test_a_step_whose_drawn_are_all_the_right_one_changes_nothing() -> None:
    network, _ = _network()
    drawn = int(np.random.default_rng(0).integers(8, size=1)[0])
    loss = _loss(network, torch.tensor([[2, drawn]]), 1, np.random.default_rng(0))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not network.item.weight.grad.any()


def test_the_validation_of_torch_is_the_figure_of_numpy() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{user}", f"i{item:02}") for user in range(30) for item in rng.permutation(40)[: rng.integers(3, 12)]]
    parts = cut_last(recsys.from_records(rows))
    users, items, paths = order(parts.train)
    torch.manual_seed(0)
    config = SasrecConfig(factors=8, length=5)
    network = sasrec.build_network(config, len(items)).eval()
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    model = Sasrec(config, users, items, paths.matrix(len(items)), paths, weights)
    known = parts.test.take(items.encode(parts.test.item_ids.ids)[parts.test.items] >= 0)
    wanted = score_next(model, known)
    answers = items.encode(known.item_ids.decode(known.items[np.argsort(known.users)]))
    given = paths.take(users.encode(wanted.users))
    with torch.no_grad():
        found = _ndcg(network, given, answers, length=5, exclude=True)
    assert found == pytest.approx(wanted.scores["ndcg@10"].mean(), abs=1e-6)


def _network() -> tuple[Any, Any]:
    torch.manual_seed(0)
    network = gru4rec.build_network(Gru4RecConfig(factors=4), 8).eval()
    torch.nn.init.normal_(network.bias)
    return network, torch.tensor([[0, 3, 1, 7], [5, 2, -1, -1]])


def test_each_epoch_takes_everybody_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 30, size=500)
    paths = Paths(np.zeros(lengths.sum(), dtype=np.int32), np.concatenate([[0], np.cumsum(lengths)]))
    batches = list(_batches(paths, 100, rng))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    sizes = [int((lengths[batch] - 1).sum()) for batch in batches]
    assert 80 < np.mean(sizes) < 125
    spread = [int(np.ptp(lengths[batch])) for batch in batches]
    assert np.mean(spread) < 5


def test_a_rate_that_is_too_high_says_so() -> None:
    with pytest.raises(DataError, match="no longer a number: use a lower learning_rate than 1e"):
        fit_sasrec(rounds(), dataclasses.replace(SASREC, learning_rate=1e30))


def test_a_device_that_is_not_there_says_so() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="torch sees none: use auto or cpu"):
            fit_sasrec(rounds(), SASREC, device="gpu")
    with pytest.raises(UsageError, match="device must be auto, cpu or gpu. Got 'tpu' instead"):
        fit_gru4rec(rounds(), GRU, device="tpu")


@pytest.mark.parametrize("algorithm", ["sasrec", "gru4rec"])
def test_the_task_trains_and_opens_networks(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    whole = rounds()
    pairs = zip(whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items))
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    folder = tmp_path / "model"
    report = train(path, folder, algorithm=algorithm, device="cpu", threads=1, epochs=1, factors=8, length=4)
    assert (report["algorithm"], report["options"]["factors"], report["items"]) == (algorithm, 8, 8)
    assert TASK.open(str(folder), device="auto", threads=1, k=3).predict(["from mocha"])[0].reason == "personal"
    assert isinstance(recsys.load(folder, mmap=True), Neural)
