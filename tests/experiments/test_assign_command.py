"""``triptych experiment assign`` and the TOML that it reads."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.cli import experiment_assign
from shared.cli.main import main
from shared.errors import DataError
from shared.experiments.assignment import assign
from shared.experiments.definition import Arm, Experiment, Holdout, Layer, Plan, Step
from shared.experiments.plan_files import parse_plan, read_plan

PLAN = """
[layers.ranking]
[layers.open]
exclusive = false
salt = "open-2026"

[holdouts]
global = 0.05
small = { share = "1/100", salt = "s" }

[experiments.ranker]
layer = "ranking"
traffic = 0.4
arms = { control = 0.5, treatment = 0.5 }
sticky = true
steps = [
  { at = 2026-03-02, share = 0.1 },
  { at = 2026-03-09T12:00:00Z, share = 1, weights = { control = 0.2, treatment = 0.8 } },
]

[experiments.fresh]
salt = "fresh-2"
layer = "ranking"
start = 0.4
traffic = 0.6
holdouts = ["small"]
arms = { control = "1/3", day = "1/3", week = "1/3" }
"""
PAGE = "[experiments.page]\narms = { old = 0.5, new = 0.5 }\n"


def test_a_plan_is_what_the_file_says() -> None:
    assert parse_plan(PLAN) == Plan(
        (
            Experiment(
                "ranker",
                (Arm("control", 0.5), Arm("treatment", 0.5)),
                layer="ranking",
                traffic=0.4,
                sticky=True,
                steps=(
                    Step(datetime(2026, 3, 2), 0.1),
                    Step(datetime(2026, 3, 9, 12, tzinfo=UTC), 1.0, {"control": 0.2, "treatment": 0.8}),
                ),
            ),
            Experiment(
                "fresh",
                (Arm("control", 1 / 3), Arm("day", 1 / 3), Arm("week", 1 / 3)),
                salt="fresh-2",
                layer="ranking",
                start=0.4,
                traffic=0.6,
                holdouts=("small",),
            ),
        ),
        (Layer("ranking"), Layer("open", exclusive=False, salt="open-2026")),
        (Holdout("global", 0.05), Holdout("small", 0.01, "s")),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[experiments", "the plan must be TOML. "),
        ("", r"missing keys \['experiments'\]"),
        ("[experiments]", "must describe at least one experiment"),
        ("[experimets.page]", r"unknown keys \['experimets'\]"),
        ("experiments = 5", "the plan: experiments must be a dict. Got 5"),
        ("[experiments]\npage = 5", "experiment 'page' must be a table. Got 5"),
        ("[experiments.page]", r"experiment 'page': missing keys \['arms'\]"),
        (PAGE + "salty = 'x'", r"unknown keys \['salty'\]. Known: \['arms'"),
        (PAGE + "arms = {}", "must be TOML"),
        (PAGE + "sticky = 1", "sticky must be a bool. Got 1"),
        (PAGE + "traffic = 'half'", "traffic must be a number, or a fraction as text such as '1/3'. Got 'half'"),
        (PAGE + "traffic = '1/0'", "Got '1/0'"),
        (PAGE + "traffic = true", "traffic must be a number"),
        (PAGE + "traffic = nan", r"traffic of experiment 'page' must be a number in \[0, 1\]. Got nan"),
        (PAGE + "layer = 'ranking'", "no layer .of experiment 'page'. is called 'ranking'"),
        (PAGE + "holdouts = [1]", r"holdouts must be a list of names. Got \[1\]"),
        (PAGE + "steps = [{ share = 0.5 }]", r"step 1: missing keys \['at'\]"),
        (PAGE + "steps = [{ at = 'monday', share = 0.5 }]", "step 1: at must be a date. Got 'monday'"),
        (PAGE + "steps = [{ at = 2026-03-02 }]", "must change share or weights"),
        (PAGE + "[holdouts]\nall = 'x'", "holdout 'all': share must be a number"),
        (
            "[experiments.page]\narms = { old = 0.5, new = 0.4 }",
            "the plan: the weights of experiment 'page' must sum to 1",
        ),
        ("[experiments.page]\narms = { old = 0.5, old = 0.5 }", "must be TOML"),
        ("[experiments.page]\narms = [0.5, 0.5]", "arms must be a dict"),
    ],
)
def test_what_a_plan_must_not_say(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_plan(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.toml must be a TOML file of experiments. No such file"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(DataError, match="must be UTF-8 text"):
        read_plan(tmp_path / "latin.toml")


# The command.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(PLAN)
    Path("page.toml").write_text(PAGE)
    Path("ids.txt").write_text("".join(f"u{n}\n" for n in range(40)))
    return tmp_path


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, list[Any], str]:
    monkeypatch.setattr(sys, "argv", ["triptych", "experiment", "assign", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), [json.loads(line) for line in said.out.splitlines()], said.err


def test_the_command_says_what_the_library_says(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment_assign, "CHUNK", 7)
    code, rows, _ = call(monkeypatch, capsys, "ids.txt", "--config", "plan.toml", "--at", "2026-03-10")
    assert code == 0
    plan, ids = read_plan("plan.toml"), [f"u{n}" for n in range(40)]
    wanted = [list(assign(plan, ids, experiment=e, at=datetime(2026, 3, 10)).rows()) for e in ("ranker", "fresh")]
    assert rows == [row for pair in zip(*wanted) for row in pair]


def test_ids_come_from_standard_input_and_bad_lines_are_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mixed.txt").write_bytes(b"ann\r\n\nb\xff\nbob")
    code, rows, errors = call(monkeypatch, capsys, "mixed.txt", "--config", "page.toml")
    assert (code, [row["unit"] for row in rows]) == (1, ["ann", "bob"])
    assert "mixed.txt, line 2 must hold an id. It is empty" in errors
    assert "mixed.txt, line 3 must be UTF-8 text" in errors
    assert "2 lines hold no id" in errors


def test_sticky_arms_come_from_what_was_written_before(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("ids.txt", "--config", "plan.toml", "--experiment", "ranker", "--at", "2026-03-09T12:00:00Z")
    code, rows, _ = call(monkeypatch, capsys, *first, "--out", "arms.jsonl")
    assert (code, rows) == (0, [])
    before = [json.loads(line) for line in Path("arms.jsonl").read_text().splitlines()]
    assert len(before) == 40
    assert not list(here.glob("*.tmp"))
    changed = PLAN.replace("control = 0.2, treatment = 0.8", "control = 0.8, treatment = 0.2")
    Path("plan.toml").write_text(changed)
    _, fresh, _ = call(monkeypatch, capsys, *first)
    _, kept, _ = call(monkeypatch, capsys, *first, "--stored", "arms.jsonl")
    assert [row["arm"] for row in fresh] != [row["arm"] for row in before]
    assert [row["arm"] for row in kept] == [row["arm"] for row in before]
    assert {row["reason"] for row in kept if row["arm"]} == {"stored"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.txt", "--config", "page.toml"), "IDS must be a file that can be read. none.txt: No such file"),
        (("ids.txt", "--config", "none.toml"), "none.toml must be a TOML file"),
        (("ids.txt", "--config", "plan.toml", "--experiment", "rankr"), "Nearest: ranker"),
        (("ids.txt", "--config", "page.toml", "--at", "monday"), "--at must be a time such as"),
        (
            ("ids.txt", "--config", "page.toml", "--stored", "ids.txt"),
            "--stored needs a sticky experiment. None of page is",
        ),
        (
            ("ids.txt", "--config", "plan.toml", "--stored", "ids.txt"),
            "line 1 of ids.txt must be what this command printed",
        ),
        (("ids.txt", "--config", "page.toml", "--out", "none/out.jsonl"), "--out must be a file that can be written"),
        (("ids.txt",), "Missing option '--config'"),
    ],
)
def test_wrong_usage_ends_with_two(
    words: tuple[str, ...],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, rows, errors = call(monkeypatch, capsys, *words)
    assert (code, rows) == (2, [])
    assert message in errors
    assert sorted(path.name for path in here.iterdir()) == ["ids.txt", "page.toml", "plan.toml"]


def test_the_plan_of_the_page_is_one() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "experiments-running.md").read_text("utf-8")
    plan = parse_plan(page.split("```toml\n")[1].split("```")[0])
    assert [one.name for one in plan.experiments] == ["new-ranker", "fresh-first"]
    assert len(plan.experiments[0].steps) == 2
