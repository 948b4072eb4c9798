"""``triptych predict TASK INPUT...``: one JSON object a line, in order, as the answers come."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from shared.batch.sources import expand
from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.tasks import Option, Task
from shared.types import Failure

HELP = """Predict each INPUT and print one JSON object a line: {"input", "ok", "result" | "error"}.

An INPUT is a file, a folder or a quoted glob where the task takes images, else the text or id itself; "-" reads one
input a line from standard input. Ends with 1 when items failed; their count is said on standard error."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    inputs = click.Argument(["inputs"], nargs=-1, required=True, metavar="INPUT...")
    return [inputs, *model_options(task), click_option(Option("batch_size", int, None, "items that run together"))]


def run(task: Task, *, inputs: tuple[str, ...], batch_size: int | None, **options: Any) -> int:
    """Predict and print; returns the exit code."""
    predictor = task.open(options.pop("model"), **options)
    shown, given = itertools.tee(_items(task, inputs))
    failed = total = 0
    for item, result in zip(shown, predictor.stream(given, batch_size=batch_size)):
        total += 1
        row: dict[str, Any] = {"input": str(item), "ok": not isinstance(result, Failure)}
        if isinstance(result, Failure):
            failed += 1
            row["error"] = {"kind": result.kind, "message": result.message}
        else:
            row["result"] = result.to_json()
        click.echo(json.dumps(row, ensure_ascii=False))
    if failed:
        click.echo(f"triptych: {failed} of {total} inputs failed", err=True)
    return 1 if failed else 0


def _items(task: Task, inputs: tuple[str, ...]) -> Iterator[Any]:
    for given in inputs:
        if given == "-":
            items: Iterator[str] = (line.rstrip("\n") for line in sys.stdin)
        else:
            items = iter([given])
        for item in items:
            yield from expand(item) if task.inputs == "image" else (item,)


command = TaskGroup("predict", TaskCommand(HELP, parameters, run))
