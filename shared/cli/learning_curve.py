"""``triptych learning-curve TASK DATASET``: what more data would bring, by learning from growing parts of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
import numpy as np

from shared.batch.progress import Progress
from shared.cli.options import TaskCommand, TaskGroup, click_option
from shared.errors import UsageError
from shared.evaluation.growing import RUNS, STEPS, Growing, grow
from shared.tasks import Option, Task, check_dataset

HELP = """Learn from growing parts of DATASET, measure each model on a part that was held out, and say what more data
would bring.

Each run holds out another part. A power law is fitted through the means, and the curve through all sizes but the
largest has to foretell that one. With --json one object is printed: {"task", "model", "dataset", "unit", "held_out",
"sizes", "figures": {NAME: {"runs", "means", "limit", "exponent", "foretold", "fits", "times", "at", "gain", "says"}}}.
No model is kept."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("format", str, None, f"how DATASET is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("seed", int, 0, "seed of everything random"),
        Option("steps", int, STEPS, "sizes, each twice the one before it, the last all there is; at least 4"),
        Option("runs", int, RUNS, "models of each size, each with another part held out; at least 2"),
        Option("times", float, 2.0, "say what so many times the data would bring, above 0"),
        *task.grow_options,
    ]
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    printed = click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object")
    return [dataset, *map(click_option, own), printed]


def run(
    task: Task, *, dataset: Path, as_json: bool, seed: int, steps: int, runs: int, times: float, **options: Any
) -> int:
    """Measure and print; returns the exit code."""
    if not 0 < times < float("inf"):
        raise UsageError(f"times must be above 0. Got {times} instead")
    prepare = cast("Callable[..., Growing]", task.grow)
    growing = prepare(check_dataset(dataset), seed=seed, **options)
    with Progress(steps * runs, done=0) as progress:
        found = grow(
            growing, steps=steps, runs=runs, rng=np.random.default_rng([seed, 9]), told=lambda: progress.add(1, 0)
        )
    if as_json:
        click.echo(json.dumps(found.to_json(times=times), ensure_ascii=False))
    else:
        click.echo(found.to_text(times=times))
    return 0


command = TaskGroup("learning-curve", TaskCommand(HELP, parameters, run, lambda task: task.grow is not None))
