"""``triptych promote``: the alias, the record, the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gate_toys as toys
import pytest
from click.testing import CliRunner

from shared.cli.main import triptych
from shared.errors import TriptychError, UnknownNameError, UsageError
from shared.lifecycle import promoting
from shared.lifecycle.records import Records
from shared.lifecycle.registry import Registry, registry

for module in ("cryptography", "mlflow"):
    pytest.importorskip(module, reason="needs the extra lifecycle")
GOOD, BETTER, BAD = [1, 1, 1, 0] * 50, [1, 1, 1, 1] * 50, [1, 1, 0, 0] * 50


@pytest.fixture
def versions(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = registry()
    for number, right in enumerate((GOOD, BETTER, BAD), 1):
        found.register(toys.write_model(tmp_path / f"model-{number}", right), name="toy")
    monkeypatch.setattr(promoting, "find_task", lambda name: toys.TASK)
    (tmp_path / "data.csv").write_text("text,label\n" + "a,b\n" * 200)
    return found


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, ["promote", *arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.output


def test_a_first_champion_a_better_one_and_a_refused_one(versions: Registry, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data.csv")]
    code, said = run("toy/1", *data)
    assert (code, versions.find("toy@champion").number) == (0, 1)
    assert "toy/1 promoted; record 1" in said
    code, said = run("toy/2", *data, "--dry-run")
    assert (code, versions.find("toy@champion").number) == (0, 1)
    assert "would be promoted" in said
    assert run("toy/2", *data)[0] == 0
    assert versions.find("toy@champion").number == 2
    code, said = run("toy/3", *data)
    assert (code, versions.find("toy@champion").number) == (1, 2)
    assert "REFUSES  figure accuracy" in said
    assert "refused; record 4" in said
    with pytest.raises(UsageError, match="toy/2 is the champion already"):
        run("toy/2", *data)


def test_a_decision_leaves_a_record_of_everything(versions: Registry, tmp_path: Path) -> None:
    data, rules = tmp_path / "data.csv", tmp_path / "gate.toml"
    rules.write_text('[figures.accuracy]\nneed = "better"\n[slices]\nsupport = 20\n')
    run("toy/1", "--data", str(data))
    code, said = run("toy/3", "--data", str(data), "--rules", str(rules), "--option", "kinds=true", "--json")
    assert code == 1
    printed = json.loads(said)
    body = Records().find(printed["record"]).body
    assert body["asked"]["model"] == "toy/3"
    assert body["asked"]["rules"]["figures"] == [{"name": "accuracy", "need": "better", "margin": None, "floor": None}]
    assert body["asked"]["options"] == {"kinds": True}
    assert len(body["data"]["sha256"]) == 64
    assert (body["champion"]["name"], body["challenger"]["name"]) == ("toy/1", "toy/3")
    assert body["champion"]["digest"] != body["challenger"]["digest"]
    assert body["challenger"]["figures"]["accuracy"]["value"] == 0.5
    assert body["compared"]["figures"]["accuracy"]["second"] == 0.5
    assert body["verdict"] == "refuse"
    assert len(body["reasons"]) == 2  # worse at all, and a slice
    code, said = run("records")
    assert code == 0
    assert "toy/3  refuse: accuracy must be better" in said
    assert json.loads(run("records", "--show", "2")[1])["verdict"] == "refuse"
    code, said = run("records", "--verify")
    assert (code, said.startswith("2 records, the chain is whole")) == (0, True)
    first = Records().folder / "000001.json"
    first.write_text(first.read_text().replace("promote", "refuse "))
    code, said = run("records", "--verify")
    assert code == 1
    assert "000001: its signature" in said


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["toy/1", "--option", "kinds"], UsageError, "NAME=VALUE"),
        (["toy/1", "--option", "kind=true"], UnknownNameError, "Nearest: kinds"),
        (["toy/1", "--option", "kinds=perhaps"], UsageError, "kinds of evaluate test.right must be of type bool"),
        (["records", "--head", "abc"], UsageError, "go with --verify"),
    ],
)
def test_wrong_arguments(
    versions: Registry, tmp_path: Path, arguments: list[str], error: type[TriptychError], said: str
) -> None:
    data: list[Any] = [] if arguments[0] == "records" else ["--data", str(tmp_path / "data.csv")]
    with pytest.raises(error, match=said):
        run(*arguments, *data)


def test_latency_is_measured_where_the_rules_say(versions: Registry, tmp_path: Path) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text("[latency]\nratio = 1000.0\nitems = 3\nrounds = 1\n")
    run("toy/1", "--data", str(tmp_path / "data.csv"))
    code, said = run("toy/2", "--data", str(tmp_path / "data.csv"), "--rules", str(rules))
    assert code == 0
    assert "median over 3 items" in said
