"""``triptych evaluate TASK DATASET``: figures with confidence intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.errors import UsageError
from shared.evaluation.report import Evaluation
from shared.tasks import Option, Task, check_dataset

HELP = """Evaluate a model on a labelled DATASET and print each figure with its 95 % bootstrap interval.

Items that fail count as wrong. Ends with 1 when items failed. With --json one object is printed:
{"task", "model", "dataset", "n", "failed", "metrics": {NAME: {"value", "low", "high"}}, "notes"}, and with --by-class
"by_class": {CLASS: {NAME: {"value", "low", "high"}}} too. --report writes a page that needs nothing but itself: the
figures, and where the task can show them the items that went wrong."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("format", str, None, f"how DATASET is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("limit", int, None, "evaluate the first N items only"),
        Option("seed", int, 0, "seed of the bootstrap and of random splits"),
        *task.evaluate_options,
    ]
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    printed = [
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object"),
        click.Option(["--by-class"], is_flag=True, help="the figures of each class too"),
        click.Option(["--report"], type=click.Path(path_type=Path), metavar="FILE", help="write an HTML page there"),
        click_option(Option("worst", int, 24, "items that went wrong on that page, at least 0")),
    ]
    replaced = {option.name for option in own}
    opening = [option for option in model_options(task) if option.name not in replaced]
    return [dataset, *opening, *map(click_option, own), *printed]


def run(
    task: Task, *, dataset: Path, as_json: bool, by_class: bool, report: Path | None, worst: int, **options: Any
) -> int:
    """Evaluate, print and write the page; returns the exit code."""
    _check(report, worst)
    evaluate = cast("Callable[..., Evaluation]", task.evaluate)
    result = evaluate(check_dataset(dataset), **options)
    if as_json:
        click.echo(json.dumps(result.to_json(by_class=by_class), ensure_ascii=False))
    else:
        click.echo(result.to_text(by_class=by_class))
    if report is not None:
        from shared.evaluation.html import to_html  # noqa: PLC0415 - templates are loaded only where a page is asked for

        report.write_text(to_html(result, worst=worst), "utf-8")
        click.echo(f"triptych: wrote {report}", err=True)
    return 1 if result.failed else 0


def _check(report: Path | None, worst: int) -> None:
    """Refuse before the long work what could not be written after it."""
    if worst < 0:
        raise UsageError(f"worst must be at least 0. Got {worst} instead")
    if report is not None and (report.is_dir() or not report.absolute().parent.is_dir()):
        raise UsageError(f"the report must be a file in a folder that exists. Got {report}")


command = TaskGroup("evaluate", TaskCommand(HELP, parameters, run, lambda task: task.evaluate is not None))
