"""``triptych evaluate TASK DATASET``: figures with confidence intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.evaluation.report import Evaluation
from shared.tasks import Option, Task, check_dataset

HELP = """Evaluate a model on a labelled DATASET and print each figure with its 95 % bootstrap interval.

Items that fail count as wrong. Ends with 1 when items failed. With --json one object is printed:
{"task", "model", "dataset", "n", "failed", "metrics": {NAME: {"value", "low", "high"}}, "notes"}."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("format", str, None, f"how DATASET is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("limit", int, None, "evaluate the first N items only"),
        Option("seed", int, 0, "seed of the bootstrap and of random splits"),
        *task.evaluate_options,
    ]
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object")
    replaced = {option.name for option in own}
    opening = [option for option in model_options(task) if option.name not in replaced]
    return [dataset, *opening, *map(click_option, own), as_json]


def run(task: Task, *, dataset: Path, as_json: bool, **options: Any) -> int:
    """Evaluate and print; returns the exit code."""
    evaluate = cast("Callable[..., Evaluation]", task.evaluate)
    result = evaluate(check_dataset(dataset), **options)
    click.echo(json.dumps(result.to_json(), ensure_ascii=False) if as_json else result.to_text())
    return 1 if result.failed else 0


command = TaskGroup("evaluate", TaskCommand(HELP, parameters, run, lambda task: task.evaluate is not None))
