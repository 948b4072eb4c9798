"""``triptych convert TASK DATASET OUT --to FORMAT``: a data set in another format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option
from shared.tasks import Converted, Task, check_dataset

HELP = """Write DATASET in another format into the folder OUT, which must be new or empty.

One JSON object says what was written, what the new format cannot say and what failed; each item that failed is named
on standard error, and the rest is written. Ends with 1 when items failed."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    known = ", ".join(task.formats)
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    out = click.Argument(["out"], type=click.Path(path_type=Path), metavar="OUT")
    to = click.Option(["--to"], required=True, help=f"format to write: {known}")
    given = click.Option(["--from", "format"], default=None, help=f"format of DATASET: {known}; detected if not given")
    return [dataset, out, to, given, *map(click_option, task.convert_options)]


def run(task: Task, *, dataset: Path, out: Path, **options: Any) -> int:
    """Convert and print the report; returns the exit code."""
    convert = cast("Callable[..., Converted]", task.convert)

    def say(path: str, message: str) -> None:
        click.echo(f"triptych: {path}: {message}", err=True)

    report = convert(check_dataset(dataset), out, on_fault=say, **options)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False))
    return 1 if report.failed else 0


command = TaskGroup("convert", TaskCommand(HELP, parameters, run, lambda task: task.convert is not None))
