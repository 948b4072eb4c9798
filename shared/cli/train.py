"""``triptych train TASK DATASET OUT``: fit a model and save it as a folder that every command can open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option
from shared.cli.tracking import card_of, log_card, log_report, logged, tracking_options
from shared.errors import UsageError
from shared.tasks import Option, Task, check_dataset

HELP = """Fit a model on DATASET and save it into the folder OUT, which must be new or empty.

The folder holds card.toml and the model's files, each with its hash; use it with --model OUT. A task that trains epoch
by epoch goes on where it was stopped when the same command is given again. Ends with 1 when items were left out.
Options, data, code, figures and the model's card are logged as a run: triptych runs list."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("format", str, None, f"how DATASET is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("seed", int, 0, "seed of everything random in the fit"),
        *task.train_options,
    ]
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    out = click.Argument(["out"], type=click.Path(path_type=Path), metavar="OUT")
    return [dataset, out, *map(click_option, own), *tracking_options()]


def run(task: Task, *, dataset: Path, out: Path, track: bool, run_name: str | None, **options: Any) -> int:
    """Train and print the report as one JSON object; returns the exit code."""
    if not task.train_resumes and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"OUT must be a new or empty folder. Something stands in {out} already")
    train = cast("Callable[..., dict[str, Any]]", task.train)
    check_dataset(dataset)
    with logged(
        "train", task, track=track, run_name=run_name, dataset=dataset, params=options, model=out.name
    ) as logging:
        report = train(dataset, out, **options)
        click.echo(json.dumps(report, ensure_ascii=False))
        log_report(logging, report, given=options, options=[option.name for option in task.train_options])
        log_card(logging, card_of(out, task))
    return 1 if report.get("skipped") else 0


command = TaskGroup("train", TaskCommand(HELP, parameters, run, lambda task: task.train is not None))
