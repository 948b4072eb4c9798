"""``triptych batch TASK INPUT OUT``: any number of items into shards, continued after a crash by the same command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any

import click

from shared.batch.job import run as run_job
from shared.batch.sinks import SINK_NAMES
from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.tasks import Option, Task

HELP = """Predict every item of INPUT into the folder OUT, one file a shard, and survive a crash on the way.

INPUT is a folder, a quoted glob, or a file: .csv, .tsv, .jsonl, .ndjson, .parquet with a column of items, or .txt with
one item a line. Where the task takes images, a folder means the image files in and below it, and a path in a table is
relative to the table's folder; elsewhere a folder means the tables in it. All of this may stand in an object store
(s3://bucket/photos), whose credentials are its library's own affair. Further inputs: tar archives of samples
('data-{000..009}.tar'), and with --sql and --id-column the URL of a database.

After a kill, a crash or Ctrl-C the same command continues: shards that are done stay, no row is lost or repeated.
Another input, model or option over the same OUT is refused. An item that fails becomes a row with the kind and message
of its error, and the command ends with 1. With 2 workers or more an item that kills its process becomes such a row too.

\b
Examples:
  triptych batch vision.detection photos/ found/
  triptych batch vision.classification 'shots/**/*.jpg' labels/ --workers 4
  triptych batch nlp.classification reviews.csv out/ --column body --id-column id --sink jsonl
  triptych batch vision.detection s3://shop/photos found/ --annotated drawn/
  triptych batch nlp.ner sqlite:///shop.db out/ --sql 'SELECT id, text FROM reviews' --id-column id \\
    --sink sql --sink-url sqlite:///names.db --table names"""

_OPTIONS = (
    Option("workers", int, 1, "processes; the processor threads are divided among them"),
    Option("shard_size", int, None, "rows of a shard; a two-hundredth of all, from 8 to 5,000, when not given"),
    Option("column", str, None, "the table's column of items; path, image or file, text, user or id when not given"),
    Option("id_column", str, None, "a column to carry into the results"),
    Option("sql", str, None, "the query that gives the items, where INPUT is the URL of a database"),
    Option("sink_url", str, None, "for --sink sql, the database: sqlite:///FILE, postgresql://user@host/name"),
    Option("table", str, None, "for --sink sql, the table; made if it is not there"),
    Option("batch_size", int, None, "items that run together; the model's own when not given"),
    Option("progress", bool, True, "show rate and time left on standard error"),
)

_ANNOTATED = Option("annotated", str, None, "a folder for the pictures with the results drawn on them")


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    sinks, engines = click.Choice(SINK_NAMES), click.Choice(["local"])
    return [
        click.Argument(["given"], metavar="INPUT"),
        click.Argument(["out"], metavar="OUT"),
        *model_options(task),
        *map(click_option, _OPTIONS),
        *([click_option(_ANNOTATED)] if task.annotate is not None else []),
        click.Option(["--sink"], type=sinks, default="parquet", show_default=True, help="what the rows go to"),
        click.Option(["--engine"], type=engines, default="local", expose_value=False, help="where the work is done"),
    ]


def run(task: Task, *, given: str, out: str, **options: Any) -> int:
    """Run the job, say how it stands, and return the exit code."""
    with _stopped_by_signals() as (stop, received):
        report = run_job(task, given, out, stop=stop, **options)
    click.echo(report.to_text())
    if not report.complete:
        click.echo("triptych: stopped. Run the same command again to continue", err=True)
        return 128 + received[0]
    return 1 if report.failed else 0


@contextmanager
def _stopped_by_signals() -> Iterator[tuple[Event, list[int]]]:
    """While inside, the first SIGINT or SIGTERM only sets the event; a second one acts as usual."""
    stop, received = Event(), list[int]()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        stop.set()
        signal.signal(number, usual[signal.Signals(number)])
        os.write(2, b"\ntriptych: stopping; once more stops at once\n")  # the streams may be in the midst of a write

    for number in usual:
        signal.signal(number, on_signal)
    try:
        yield stop, received
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


command = TaskGroup("batch", TaskCommand(HELP, parameters, run))
