"""``triptych search TASK DATASET OUT --space FILE``: choose the options of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option
from shared.cli.tracking import tracking_options
from shared.errors import UsageError
from shared.lifecycle.places import NOWHERE
from shared.lifecycle.running import AUTO, PRUNING, Data
from shared.lifecycle.search import search
from shared.lifecycle.space import read_space
from shared.tasks import Option, Task, check_dataset
from shared.weights.words import say

HELP = """Try options of a training and keep the best model in OUT/model.

FILE is TOML: metric = "accuracy", a table [space] with a list of values or { low = ..., high = ..., log = true } for
each option that is searched, and perhaps [fixed] and [evaluate]. DATASET is cut in three: to learn from, to choose by,
and a test part that is read once, at the end; --validation and --test name the last two instead. The same command goes
on where a search was stopped, and with more --trials adds to it. Ends with 1 when trials failed. The search is logged
as one run with all its trials: triptych runs list --kind search."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("trials", int, 20, "how many in all, at least 1"),
        Option("workers", int, 1, "trials at once; the processors are divided among them"),
        Option("prune", str, AUTO, f"what weak trials are broken off by: one of {', '.join(PRUNING)}"),
        Option("seeds", int, 3, "trainings of the best options from other seeds, at least 2"),
        Option("validation", str, None, "data to choose by; else --validation-share of DATASET"),
        Option("test", str, None, "data to measure the chosen with; else --test-share of DATASET"),
        Option("validation_share", float, 0.2, "share to choose by, in (0, 1)"),
        Option("test_share", float, 0.2, "share to measure the chosen with, in (0, 1)"),
        Option(
            "group", str, None, "column whose equal values stay in one part; text, question or prompt when not given"
        ),
        Option("stratify", str, None, "column that is spread evenly over the parts; label when not given"),
        Option("format", str, None, f"how the data is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("seed", int, 0, "seed of everything random"),
    ]
    space = click.Option(
        ["--space"], type=click.Path(path_type=Path), required=True, metavar="FILE", help="what to choose from, as TOML"
    )
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    out = click.Argument(["out"], type=click.Path(path_type=Path), metavar="OUT")
    printed = click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object")
    return [dataset, out, space, *map(click_option, own), printed, *tracking_options()]


def run(
    task: Task,
    *,
    dataset: Path,
    out: Path,
    space: Path,
    as_json: bool,
    track: bool,
    run_name: str | None,
    **options: Any,
) -> int:
    """Search and print what was found; returns the exit code."""
    if not space.is_file():
        raise UsageError(f"--space must be a file that says what to choose from. Nothing stands at {space}")
    named = (options.pop(name) for name in ("validation", "test"))
    validation, test = (None if path is None else check_dataset(Path(path)) for path in named)
    names = ("validation_share", "test_share", "group", "stratify", "format")
    cutting: dict[str, Any] = {name: options.pop(name) for name in names}
    data = Data(check_dataset(dataset), validation, test, **cutting)
    logging: dict[str, Any] = {"url": None if track else NOWHERE, "run_name": run_name}
    found = search(task, data, out, read_space(space, task), say=say, **logging, **options)
    click.echo(json.dumps(found.to_json(), ensure_ascii=False) if as_json else found.to_text())
    return 1 if found.counts["fail"] else 0


command = TaskGroup(
    "search", TaskCommand(HELP, parameters, run, lambda task: task.train is not None and task.evaluate is not None)
)
