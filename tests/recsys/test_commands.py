from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recsys
from recsys.testing import tastes
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tastes"
    recsys.fit_ease(tastes()).save(folder)
    return str(folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(triptych, arguments, standalone_mode=False)


def said(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.output


def test_recommend_prints_reason_and_rows(model: str) -> None:
    out = said("recommend", model, "--user", "no mocha", "--user", "stranger", "-k", "2").splitlines()
    assert out[0] == "user no mocha  (personal)"
    assert out[1].split()[0] == "1"
    assert out[1].split()[2] == "mocha"
    assert out[3] == "user stranger  (popular: unknown user)"
    assert len(out) == 6


def test_recommend_from_a_history_as_json(model: str) -> None:
    arguments = ("--history", "latte", "--history", "espresso", "--history", "cocoa", "-k", "2", "--json")
    row = json.loads(said("recommend", model, *arguments))
    assert row["user"] is None
    assert set(row["items"]) == {"mocha", "ristretto"}
    assert row["reason"] == "fold-in: unknown items passed over: 'cocoa'"


def test_recommend_can_include_what_was_seen(model: str) -> None:
    assert json.loads(said("recommend", model, "--user", "everything", "--json"))["items"] == []
    row = json.loads(said("recommend", model, "--user", "everything", "--include-seen", "--json"))
    assert len(row["items"]) == 8


def test_recommend_says_when_a_person_fails(model: str) -> None:
    result = run("recommend", model, "--user", "", "--user", "no assam", "-k", "1")
    assert result.return_value == 1
    assert "'': failed: a user id must not be empty" in result.output
    assert "assam" in result.output


def test_titles_are_printed(model: str, tmp_path: Path) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_text("id,title\nmocha,With chocolate\n")
    assert said("recommend", model, "--user", "no mocha", "-k", "1", "--titles", str(titles)).endswith(
        "mocha  With chocolate\n"
    )
    assert "With chocolate" in said("similar", model, "--item", "latte", "--titles", str(titles))


def test_similar_prints_rows(model: str) -> None:
    out = said("similar", model, "--item", "mocha", "-k", "3").splitlines()
    assert out[0] == "item mocha"
    assert {line.split()[2] for line in out[1:]} == {"latte", "ristretto", "espresso"}
    row = json.loads(said("similar", model, "--item", "mocha", "-k", "3", "--json"))
    assert (row["type"], row["item"], len(row["items"])) == ("SimilarItems", "mocha", 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("recommend", "MODEL"), UsageError, "give at least one --user, or a --history"),
        (("recommend", "MODEL", "--user", "x", "-k", "0"), UsageError, "k must be a whole number of at least 1"),
        (("similar", "MODEL"), UsageError, "give at least one --item"),
        (("similar", "MODEL", "--item", "mokka"), UnknownNameError, "no item .*'mokka'. Nearest: mocha"),
        (("similar", "/nowhere", "--item", "x"), DataError, "must be a model folder"),
        (("predict", "recsys.collaborative", "x"), UsageError, "has no default model"),
    ],
)
def test_wrong_usage_says_so(model: str, arguments: tuple[str, ...], error: type[Exception], message: str) -> None:
    result = run(*(model if part == "MODEL" else part for part in arguments))
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=message):
        raise result.exception


def test_a_model_of_another_kind_is_refused(model: str, tmp_path: Path) -> None:
    card = (Path(model) / "card.toml").read_text().replace("recsys.collaborative", "vision.classification")
    (tmp_path / "card.toml").write_text(card)
    result = run("recommend", str(tmp_path), "--user", "x")
    assert isinstance(result.exception, UsageError)
    assert "MODEL must be a recommender" in str(result.exception)


def test_train_then_predict_then_evaluate(tmp_path: Path) -> None:
    data = tmp_path / "ratings.csv"
    whole = tastes()
    users, items = whole.user_ids.decode(whole.users), whole.item_ids.decode(whole.items)
    data.write_text("user,item,rating\n" + "".join(f"{u},{i},4\n" for u, i in zip(users, items)))
    folder = str(tmp_path / "model")
    report = json.loads(said("train", "recsys.collaborative", str(data), folder, "--algorithm", "ease", "--l2", "5"))
    assert (report["users"], report["options"]["l2"]) == (9, 5.0)
    out = said("predict", "recsys.collaborative", "no mocha", "who", "--model", folder, "--k", "1").splitlines()
    assert [json.loads(line)["result"]["reason"] for line in out] == ["personal", "popular: unknown user"]
    assert json.loads(out[0])["result"]["items"] == ["mocha"]
    found = json.loads(
        said("evaluate", "recsys.collaborative", str(data), "--model", "popularity", "--k", "3", "--json")
    )
    assert set(found["metrics"]) == {"ndcg@3", "precision@3", "recall@3", "map@3", "mrr@3", "hit@3", "f1@3"}
