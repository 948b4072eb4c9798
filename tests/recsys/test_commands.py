from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
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
    return result.stdout


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
        (("recommend", "MODEL"), UsageError, "give at least one --user, or a --history, or --all-users"),
        (("recommend", "MODEL", "--all-users"), UsageError, "say which by --out FILE.parquet"),
        (("recommend", "MODEL", "--out", "x.parquet"), UsageError, "either --all-users or at least one --user"),
        (
            ("recommend", "MODEL", "--out", "x.parquet", "--all-users", "--user", "a"),
            UsageError,
            "either --all-users or at least one --user",
        ),
        (("recommend", "MODEL", "--out", "x.parquet", "--user", "a", "--history", "b"), UsageError, "and no --history"),
        (("recommend", "MODEL", "--out", "x.parquet", "--all-users", "--explain"), UsageError, "or leave out --out"),
        (
            ("recommend", "MODEL", "--out", "x.parquet", "--all-users", "--threads", "0"),
            UsageError,
            "threads must be at least 1",
        ),
        (("recommend", "MODEL", "--out", "MODEL", "--all-users"), DataError, "could not be written: Is a directory"),
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


def test_everybody_is_ranked_into_a_file(model: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / "all.parquet"
    assert said("recommend", model, "--all-users", "-k", "3", "--out", str(out)).startswith(
        f"{out}: 24 rows of 9 users in "
    )
    wanted = [
        (answer.user, place, item)
        for answer in recsys.load(model).recommend(recsys.load(model).user_ids.ids, k=3)
        for place, item in enumerate(answer.items, 1)
    ]
    assert [(row["user"], row["rank"], row["item"]) for row in read(out)] == wanted
    few = ("--user", "no mocha", "--user", "who", "-k", "1", "--include-seen", "--json")
    report = json.loads(said("recommend", model, *few, "--out", str(out)))
    assert (report["path"], report["users"], report["rows"]) == (str(out), 2, 2)
    assert [row["user"] for row in read(out)] == ["no mocha", "who"]


def test_ids_of_users_are_read_in_the_type_of_the_model(tmp_path: Path) -> None:
    recsys.fit_ease(recsys.from_records([(1, 7), (1, 8), (2, 7)])).save(tmp_path / "model")
    said("recommend", str(tmp_path / "model"), "--user", "2", "--out", str(tmp_path / "two.parquet"))
    assert [(row["user"], row["item"]) for row in read(tmp_path / "two.parquet")] == [(2, 8)]


STUCK = """
import sys, time
from recsys.serving import bulk
from shared.cli.main import main
bulk._USERS, bulk._ROWS, write = 1, 1, bulk._write
def stop_half_way(pa, writer, held, told=[]):
    told.append(write(pa, writer, held))
    if sum(told) > 12:
        print("half", flush=True)
        time.sleep(600)
    return told[-1]
bulk._write = stop_half_way
main()
"""


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_kill_half_way_leaves_the_old_file_or_none(model: str, tmp_path: Path, old: bytes | None) -> None:
    out = tmp_path / "all.parquet"
    if old is not None:
        out.write_bytes(old)
    arguments = ["recommend", model, "--all-users", "-k", "3", "--out", str(out)]
    command = [sys.executable, "-c", STUCK, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    left = [path for path in tmp_path.iterdir() if path != out]
    assert [path.name for path in left] == [f".all.parquet.{process.pid}.part"]
    assert (out.read_bytes() if out.exists() else None) == old
    said(*arguments)
    assert len(read(out)) == 24
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_what_another_process_is_writing_stays(model: str, tmp_path: Path) -> None:
    theirs = tmp_path / f".all.parquet.{os.getppid()}.part"
    theirs.write_bytes(b"half")
    said("recommend", model, "--all-users", "--out", str(tmp_path / "all.parquet"))
    assert theirs.read_bytes() == b"half"


def test_recommend_says_why(model: str, tmp_path: Path) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_text("id,title\nlatte,With milk\n")
    people = ("--user", "no mocha", "--user", "stranger", "-k", "1")
    out = said("recommend", model, *people, "--explain", "--titles", str(titles)).splitlines()
    assert out[1].split()[2] == "mocha"
    assert out[2].strip().startswith("because you liked ")
    assert "With milk" in out[2]
    assert out[3:5] == ["user stranger  (popular: unknown user)", said("recommend", model, *people).splitlines()[-1]]
    history = ("--history", "latte", "--history", "espresso", "-k", "2", "--explain", "--json")
    row = json.loads(said("recommend", model, *history))
    assert [one["item"] for one in row["explanations"]] == row["items"]
    for one, score in zip(row["explanations"], row["scores"]):
        assert set(one["because"]) == {"latte", "espresso"}
        assert sum(one["contributions"]) == pytest.approx(score, rel=1e-5)


def test_families_that_cannot_say_why_say_so(tmp_path: Path) -> None:
    recsys.fit_popularity(tastes()).save(tmp_path / "model")
    result = run("recommend", str(tmp_path / "model"), "--user", "no mocha", "--explain")
    assert isinstance(result.exception, UsageError)
    assert "Fit ease, slim" in str(result.exception)


def read(path: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(path).read(use_threads=False).to_pylist()  # type: ignore[no-any-return]
