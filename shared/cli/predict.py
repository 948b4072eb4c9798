"""``triptych predict TASK INPUT...``: one JSON object a line, in order, as the answers come."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click

from shared.batch.sources import VIDEO_SUFFIXES, expand
from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.errors import InputError
from shared.predictor import Predictor
from shared.tasks import Option, Task, TimedResult
from shared.types import Failure, Result

HELP = """Predict each INPUT and print one JSON object a line: {"input", "ok", "result" | "error"}.

An INPUT is a file, a folder or a quoted glob where the task takes images, else the text or id itself; "-" reads one
input a line from standard input. A video gives a line a frame, with "frame" and "time" in seconds. Ends with 1 when
items failed; their count is said on standard error."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    inputs = click.Argument(["inputs"], nargs=-1, required=True, metavar="INPUT...")
    own = [Option("batch_size", int, None, "items that run together"), *task.video_options]
    if task.annotate is not None:
        own.append(
            Option("annotated", str, None, "a folder for the pictures and videos with the results drawn on them")
        )
    if "explain" in task.tools:
        own.append(Option("explain", bool, False, 'what each word adds to the best label, under "explanation"'))
    return [inputs, *model_options(task), *map(click_option, own)]


def run(
    task: Task,
    *,
    inputs: tuple[str, ...],
    batch_size: int | None,
    annotated: str | None = None,
    explain: bool = False,
    **options: Any,
) -> int:
    """Predict and print; returns the exit code."""
    video_options = {option.name: options.pop(option.name) for option in task.video_options}
    predictor = task.open(options.pop("model"), **options)
    folder = None if annotated is None else Path(annotated)
    failed = total = 0
    for are_videos, items in itertools.groupby(_items(task, inputs), lambda item: _is_video(task, item)):
        if are_videos:
            rows = _of_videos(task, predictor, items, annotated=folder, **video_options)
        else:
            rows = _of_items(task, predictor, items, batch_size=batch_size, annotated=folder, options=options)
        for head, result in rows:
            total += 1
            failed += isinstance(result, Failure)
            row = _row(head, result)
            if explain and row["ok"]:
                row["explanation"] = _explained(task, predictor, head["input"])
            click.echo(json_line(row))
    if failed:
        click.echo(f"triptych: {failed} of {total} inputs failed", err=True)
    return 1 if failed else 0


def _of_items(
    task: Task,
    predictor: Predictor[Any, Any],
    items: Iterator[Any],
    *,
    batch_size: int | None,
    annotated: Path | None,
    options: Mapping[str, Any],
) -> Iterator[tuple[dict[str, Any], Result]]:
    shown, given = itertools.tee(items)
    for item, result in zip(shown, predictor.stream(given, batch_size=batch_size)):
        if annotated is not None and task.annotate is not None and not isinstance(result, Failure):
            task.annotate(item, result, annotated, **options)
        yield {"input": str(item)}, result


def _of_videos(
    task: Task, predictor: Predictor[Any, Any], paths: Iterator[str], **options: Any
) -> Iterator[tuple[dict[str, Any], Result]]:
    video = cast("Callable[..., Iterator[TimedResult]]", task.video)
    for path in paths:
        try:
            for item in video(predictor, path, **options):
                yield {"input": path, "frame": item.frame, "time": round(item.time, 6)}, item.result
        except InputError as error:
            yield {"input": path}, Failure(0, error.kind, str(error))


def _explained(task: Task, predictor: Predictor[Any, Any], item: str) -> dict[str, Any]:
    try:
        explanation: dict[str, Any] = task.tools["explain"](predictor, item).to_json()
    except InputError as error:
        return {"error": {"kind": error.kind, "message": str(error)}}
    return explanation


def _row(head: dict[str, Any], result: Result) -> dict[str, Any]:
    if isinstance(result, Failure):
        return head | {"ok": False, "error": {"kind": result.kind, "message": result.message}}
    return head | {"ok": True, "result": result.to_json()}


def _is_video(task: Task, item: Any) -> bool:
    return task.video is not None and os.path.splitext(str(item))[1].lower() in VIDEO_SUFFIXES


def json_line(row: dict[str, Any]) -> str:
    r"""One JSON object as text that UTF-8 can hold: a byte of a file name that is no text stands as ``\udcXX``.

    Example:
        >>> json_line({"input": "caf\u00e9 \udcff.jpg"})
        '{"input": "café \\udcff.jpg"}'
    """
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


def _items(task: Task, inputs: tuple[str, ...]) -> Iterator[Any]:
    for given in inputs:
        if given == "-":
            items: Iterator[str] = (line.rstrip("\n") for line in sys.stdin)
        else:
            items = iter([given])
        for item in items:
            yield from expand(item) if task.inputs == "image" else (item,)


command = TaskGroup("predict", TaskCommand(HELP, parameters, run))
