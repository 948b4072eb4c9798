"""``triptych batch``: its options, its words and its exit codes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import pytest
from batch_toy import SHOUTS, Shout, open_shouts
from click.testing import CliRunner

from shared.batch import read
from shared.cli.batch import command, parameters, run
from shared.tasks import Option, find_task, task_names

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
    words = ("INPUT OUT", "--workers", "--shard-size", "--column", "--tone", "--model", "--sql", "--sink-url")
    for word in (*words, "--sink [parquet|jsonl|csv|sql]"):
        assert word in text


@pytest.mark.parametrize("name", task_names())
def test_no_option_of_a_task_is_called_as_one_of_the_command(name: str) -> None:
    names = [parameter.name for parameter in parameters(find_task(name))]
    assert len(names) == len(set(names))


def test_a_task_may_have_an_option_called_source(texts: Path, tmp_path: Path) -> None:
    task = dataclasses.replace(SHOUTS, options=(Option("source", str, "en", "language"),), open=open_from)
    command = click.Command("t", params=parameters(task), callback=lambda **values: run(task, **values))
    arguments = [str(texts), str(tmp_path / "out"), "--column", "body", "--source", "?"]
    CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)
    assert next(read(tmp_path / "out")).result == Shout("A?")


def open_from(model: str | None, *, device: str, threads: int | None, source: str) -> Any:
    return open_shouts(model, device=device, threads=threads, tone=source)


def test_the_command_knows_the_installed_tasks() -> None:
    assert "vision.detection" in command.list_commands(click.Context(command))
