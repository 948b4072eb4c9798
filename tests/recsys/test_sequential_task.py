from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import recsys
from recsys.data import from_records
from recsys.scoring import score_users
from recsys.sequential.algorithms import ALGORITHMS, NETWORKS
from recsys.sequential.markov import fit_markov
from recsys.sequential.scoring import next_places, score_next
from recsys.sequential.task import NAME, TASK, cut_last, evaluate, train
from recsys.sequential.testing import rounds
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from shared.testing.contracts import PredictorContract


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Eight people, six drinks each going round; file order is the wrong way round, times tell."""
    path = tmp_path / "events.csv"
    whole = rounds(steps=6)
    rows = zip(whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items), whole.times.tolist())  # type: ignore[union-attr]
    lines = [f"{user},{item},{time}\n" for user, item, time in rows]
    path.write_text("user,item,time\n" + "".join(reversed(lines)))
    return path


class TestTask(PredictorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        folder = tmp_path_factory.mktemp("models") / "markov"
        fit_markov(rounds()).save(folder)
        return TASK.open(str(folder), device="auto", threads=None, k=2)

    def good(self) -> Sequence[Any]:
        return ["from mocha", ["assam", "ceylon", "assam"], "stranger", [], {"latte": 1.0}]

    def bad(self) -> Any:
        return ""


def test_a_person_is_an_id_or_a_history(tmp_path: Path) -> None:
    assert fit_markov(rounds()).save(tmp_path).task == NAME
    known, history, unknown, empty = recsys.recommender(tmp_path, k=1).predict(
        ["from assam", ["chai", "latte", "mocha"], "stranger", []]
    )
    assert (known.items, known.reason) == (("mocha",), "personal")
    assert (history.items, history.reason) == (("ristretto",), "fold-in: unknown items passed over: 'chai'")
    assert unknown.reason == "popular: unknown user"
    assert empty.reason == "popular: the history is empty"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(triptych, arguments, standalone_mode=False)


def said(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.output


def test_train_predict_recommend_and_evaluate(events: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "model")
    report = json.loads(said("train", NAME, str(events), folder, "--window", "3"))
    assert (report["algorithm"], report["users"], report["interactions"]) == ("markov", 8, 48)
    assert report["options"] == {"window": 3, "recent": 20, "decay": 0.7, "shrink": 40.0}
    out = said("predict", NAME, "from assam", "who", "--model", folder, "--k", "1").splitlines()
    assert [json.loads(line)["result"]["reason"] for line in out] == ["personal", "popular: unknown user"]
    assert json.loads(out[0])["result"]["items"] == ["ristretto"]
    row = json.loads(said("recommend", folder, "--history", "latte", "--history", "mocha", "-k", "1", "--json"))
    assert row["items"] == ["ristretto"]
    found = json.loads(said("evaluate", NAME, str(events), "--k", "1,3", "--json"))
    assert set(found["metrics"]) == {"ndcg@1", "hit@1", "ndcg@3", "hit@3", "mrr"}
    assert found["metrics"]["hit@1"]["value"] == 1
    assert found["n"] == 8


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in NETWORKS])
def test_every_algorithm_without_torch_trains_and_answers(algorithm: str, events: Path, tmp_path: Path) -> None:
    report = train(events, tmp_path / "model", algorithm=algorithm, threads=1)
    assert report["model"] == algorithm
    answer = TASK.open(str(tmp_path / "model"), device="auto", threads=1, k=1).predict(["from assam"])[0]
    assert answer.reason == "personal"


def test_the_second_last_is_for_choosing_and_the_last_for_telling(events: Path) -> None:
    last, second = evaluate(events), evaluate(events, split="leave-second-last-out")
    assert (last.notes["train_interactions"], second.notes["train_interactions"]) == (40, 32)
    assert last.metrics["mrr"].value == second.metrics["mrr"].value == 1
    popular = evaluate(events, model="popularity", against="markov")
    assert popular.notes["comparison"]["mrr"]["difference"] < 0
    assert popular.notes["comparison"]["mrr"]["losses"] > 0


def test_a_saved_model_is_asked_for_held_out_events(events: Path, tmp_path: Path) -> None:
    parts = cut_last(recsys.load_interactions(events))
    fit_markov(parts.train).save(tmp_path / "model")
    held = tmp_path / "next.csv"
    users, items = parts.test.user_ids.decode(parts.test.users), parts.test.item_ids.decode(parts.test.items)
    held.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in zip(users, items)) + "new,chai\n")
    found = evaluate(held, model=str(tmp_path / "model"), limit=100)
    assert found.notes["unknown_users"] == found.notes["test_items_that_cannot_be_ranked"] == 1
    assert found.metrics["hit@10"].value == pytest.approx(8 / 9)


def test_repeats_stay_and_can_be_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    visits = [f"{user},{item},{at}\n" for at, item in enumerate("xyxyxy") for user in ("ann", "bob")]
    path.write_text("user,item,time\n" + "".join(visits))
    left_out, included = evaluate(path), evaluate(path, include_seen=True, window=1, recent=1)
    assert (left_out.metrics["mrr"].value, left_out.notes["test_items_that_cannot_be_ranked"]) == (0, 2)
    assert included.metrics["mrr"].value == 1
    assert included.notes["train_interactions"] == 10
    once = evaluate(path, duplicates="last", include_seen=True)
    assert once.notes["train_interactions"] == 2


def test_figures_are_those_of_whole_rankings() -> None:
    rng = np.random.default_rng(0)
    whole = from_records([(f"u{rng.integers(40)}", f"i{rng.integers(30)}", 1, at) for at in range(400)])
    parts = cut_last(whole)
    model = fit_markov(parts.train)
    found = score_next(model, parts.test, ks=(3, 10))
    wanted = score_users(model, parts.test, ks=(3, 10, 30))
    assert found.users == wanted.users
    for name in ("ndcg@3", "hit@3", "ndcg@10", "hit@10"):
        np.testing.assert_allclose(found.scores[name], wanted.scores[name], atol=1e-12)
    np.testing.assert_allclose(found.scores["mrr"], wanted.scores["mrr@30"], atol=1e-12)


def test_places_are_those_of_the_ranking_even_where_scores_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    model = recsys.fit_popularity(from_records([("ann", "a"), ("ann", "b"), ("bob", "c"), ("bob", "d"), ("cid", "a")]))
    assert model.item_ids.ids == ("a", "b", "c", "d")
    users = np.array([0, 1, -1, 0, 1, 0], dtype=np.int32)
    wanted = np.array([2, 1, 3, 1, -1, 3], dtype=np.int32)
    for block in (4_000_000, 1):
        monkeypatch.setattr("recsys.sequential.scoring._BLOCK", block)
        assert next_places(model, users, wanted).tolist() == [1, 2, 4, np.inf, np.inf, 2]
    assert next_places(model, users, wanted, exclude_seen=False).tolist() == [3, 2, 4, 2, np.inf, 4]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "marcov"}, UnknownNameError, "no algorithm or model folder is called 'marcov'. Nearest: markov"),
        ({"split": "random"}, UnknownNameError, "no split is called 'random'"),
        ({"split": "none"}, UsageError, "split 'none' is for saved models. markov needs a part to be fitted on"),
        ({"against": "markov"}, UsageError, "against must be another model than markov"),
        ({"half_life": 3.0}, UsageError, "markov has no option half_life. It takes: window, recent, decay, shrink"),
        ({"device": "gpu"}, UsageError, "device must be auto or cpu: markov is fitted on the processor"),
        ({"per_user": "/no/such/folder/x.parquet"}, UsageError, "per_user must be a file in a folder that exists"),
        ({"k": "0"}, UsageError, "k must be at least 1"),
        ({"threads": 0}, UsageError, "threads must be at least 1"),
    ],
)
def test_wrong_options_say_so(events: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(events, **options)


def test_a_saved_model_takes_no_options_and_no_split(events: Path, tmp_path: Path) -> None:
    fit_markov(rounds()).save(tmp_path / "model")
    with pytest.raises(UsageError, match="fitted with its own options. Got window: leave them out"):
        evaluate(events, model=str(tmp_path / "model"), window=3)
    with pytest.raises(UsageError, match="split must be 'none'. Got 'leave-last-out' instead"):
        evaluate(events, model=str(tmp_path / "model"), split="leave-last-out")
    with pytest.raises(DataError, match="expected one test interaction of each user"):
        evaluate(events, model=str(tmp_path / "model"))


def test_too_little_to_ask_says_so() -> None:
    lonely = from_records([("ann", "a"), ("bob", "b")])
    with pytest.raises(DataError, match="expected at least one test interaction"):
        score_next(fit_markov(lonely), cut_last(lonely).test)


def test_a_task_without_a_model_says_how_to_train_one() -> None:
    with pytest.raises(UsageError, match=r"no default model.*triptych train recsys.sequential EVENTS.csv FOLDER"):
        TASK.open(None, device="auto", threads=None)
