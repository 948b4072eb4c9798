"""``triptych batch``: its options, its words and its exit codes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from batch_toy import SHOUTS
from click.testing import CliRunner

from shared.batch import read
from shared.cli.batch import command, parameters, run

SHOUT = click.Command("test.shouts", params=parameters(SHOUTS), callback=lambda **values: run(SHOUTS, **values))


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(SHOUT, [str(a) for a in arguments], standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.stdout, result.stderr


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("n,body\n1,a\n2,bad\n3,c\n")
    return path


def test_failed_items_end_with_1_and_are_counted(texts: Path, tmp_path: Path) -> None:
    code, out, err = invoke(texts, tmp_path / "out", "--column", "body", "--id-column", "n", "--sink", "jsonl")
    assert code == 1
    assert "3 of 3 items done, 1 failed, 1 shards. 3 predicted now" in out
    assert err.startswith("3 of 3 (100.0 %), 1 failed")
    assert [o.id for o in read(tmp_path / "out")] == ["1", "2", "3"]


def test_no_failures_end_with_0_and_a_second_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a\n")
    assert invoke(tmp_path / "t.txt", tmp_path / "out", "--tone", "?", "--no-progress")[::2] == (0, "")
    code, out, _ = invoke(tmp_path / "t.txt", tmp_path / "out", "--tone", "?", "--engine", "local")
    assert (code, "nothing was left to do" in out) == (0, True)


def test_another_engine_is_refused(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="'moon' is not one of 'local', 'ray'"):
        invoke(texts, tmp_path / "out", "--engine", "moon")


def test_help_names_what_a_user_needs() -> None:
    text = CliRunner().invoke(SHOUT, ["--help"]).stdout
    for word in ("INPUT OUT", "--workers", "--shard-size", "--sink [parquet|jsonl]", "--column", "--tone", "--model"):
        assert word in text


def test_the_command_knows_the_installed_tasks() -> None:
    assert "vision.detection" in command.list_commands(click.Context(command))
