"""The command's frame: task groups, options, exit codes, error lines. Tasks' own commands are tested with them."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.cli import options
from shared.cli.main import COMMANDS, main
from shared.errors import InputError
from shared.evaluation import Evaluation, Metric
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.testing import fake_card
from shared.types import Result


@dataclass(frozen=True, eq=False)
class Length(Result):
    value: int
    unit: str


def measure(model: str | None, *, device: str, threads: int | None, unit: str) -> Pipeline[str, str, str, Length]:
    """A task that answers a text with its length."""

    def prepare(item: str) -> str:
        if not item:
            raise InputError("empty", "an item must hold text. Got nothing instead")
        return item

    def decode(raw: str, mid: str) -> Length:
        return Length(len(raw), unit)

    return Pipeline(fake_card(name=model or "default"), prepare, lambda batch: batch, decode)


def evaluate(dataset: Path, *, model: str | None, limit: int | None, seed: int, **rest: Any) -> Evaluation:
    n = limit or len(dataset.read_text().splitlines())
    return Evaluation("test.length", model or "default", dataset.name, n, 0, {"length": Metric(1.0, 0.5, 1.5)}, rest)


TASK = Task(
    "test.length",
    "length of a text",
    "text",
    measure,
    options=(Option("unit", str, "letters", "what is counted"),),
    evaluate=evaluate,
    formats=("lines",),
)


@pytest.fixture(autouse=True)
def one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "task_names", lambda: [TASK.name])
    monkeypatch.setattr(options, "find_task", lambda name: TASK if name == TASK.name else real_find(name))


real_find = options.find_task


def call(*args: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, run in this process."""
    out, err, old = io.StringIO(), io.StringIO(), (sys.argv, sys.stdout, sys.stderr, sys.stdin)
    sys.argv, sys.stdout, sys.stderr, sys.stdin = ["triptych", *args], out, err, io.StringIO(stdin)
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv, sys.stdout, sys.stderr, sys.stdin = old
    raise AssertionError("main must end with an exit code")


def test_predict_prints_one_object_a_line_in_order() -> None:
    code, out, err = call("predict", "test.length", "one", "déjà", "--unit", "runes")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [row["input"] for row in rows] == ["one", "déjà"]
    assert rows[1] == {"input": "déjà", "ok": True, "result": {"type": "Length", "value": 4, "unit": "runes"}}


def test_standard_input_is_read_line_by_line() -> None:
    _, out, _ = call("predict", "test.length", "-", stdin="a\nbb\n")
    assert [json.loads(line)["input"] for line in out.splitlines()] == ["a", "bb"]


def test_a_failed_item_is_a_row_and_exit_code_1() -> None:
    code, out, err = call("predict", "test.length", "a", "", "b")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert rows[1]["ok"] is False
    assert rows[1]["error"]["kind"] == "empty"
    assert len(rows) == 3
    assert err == "triptych: 1 of 3 inputs failed\n"


def test_evaluate_prints_text_or_one_json_object(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("a\nb\n")
    code, out, _ = call("evaluate", "test.length", str(data), "--json", "--model", "m")
    assert code == 0
    assert json.loads(out)["metrics"] == {"length": {"value": 1.0, "low": 0.5, "high": 1.5}}
    assert json.loads(out)["n"] == 2
    assert "length    1.0000  [0.5000, 1.5000]" in call("evaluate", "test.length", str(data), "--limit", "1")[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["predictt"], "no command is called 'predictt'. Nearest: predict"),
        (["predict", "vision.detektion"], "no task is called 'vision.detektion'. Nearest: vision.detection"),
        (["predict", "test.length"], "Missing argument 'INPUT...'"),
        (["predict", "test.length", "a", "--treads", "2"], "No such option"),
        (["predict", "test.length", "a", "--threads", "two"], "'two' is not a valid int"),
        (["evaluate", "test.length", "/no/such/place"], "Nothing stands at /no/such/place"),
        (["train", "test.length", "a", "b"], "no task for train is called 'test.length'"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_code_2(args: list[str], message: str) -> None:
    code, _, err = call(*args)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_help_of_a_task_lists_its_own_options() -> None:
    code, out, _ = call("predict", "test.length", "--help")
    assert code == 0
    for text in ("length of a text", "--unit TEXT", "what is counted", "--model TEXT", "INPUT..."):
        assert text in out
    assert "test.length" in call("predict", "--help")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name: str) -> None:
    code, out, _ = call(name, "--help")
    assert code == 0
    assert out.startswith("Usage:")
