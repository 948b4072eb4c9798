"""``triptych batch TASK INPUT OUT``, and ``status``, ``resume`` and ``merge`` of what it writes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, ClassVar

import click

from shared.batch.folder import Layout
from shared.batch.job import ENGINES, GRACE
from shared.batch.job import run as run_job
from shared.batch.merging import merge as merge_job
from shared.batch.report import Report
from shared.batch.resuming import resume as resume_job
from shared.batch.sinks import SINK_NAMES
from shared.batch.standing import status as status_of
from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.tasks import Option, Task

HELP = """Predict every item of INPUT into the folder OUT, one file a shard, and survive a crash on the way.

INPUT is a folder, a quoted glob, or a file: .csv, .tsv, .jsonl, .ndjson, .parquet with a column of items, or .txt with
one item a line. Where the task takes images, a folder means the image files in and below it, and a path in a table is
relative to the table's folder; elsewhere a folder means the tables in it. All of this may stand in an object store
(s3://bucket/photos), whose credentials are its library's own affair. Further inputs: tar archives of samples
('data-{000..009}.tar'), and with --sql and --id-column the URL of a database.

After a kill, a crash or Ctrl-C the same command continues, and so does 'triptych batch resume OUT': shards that are
done stay, no row is lost or repeated. Another input, model or option over the same OUT is refused. An item that fails
becomes a row with the kind and message of its error, and the command ends with 1. With 2 workers or more, and on Ray,
an item that kills its process becomes such a row too. Tracebacks stand in OUT/_job/failures.jsonl.

The first Ctrl-C or SIGTERM finishes the shards under way, the second stops at once.

\b
Examples:
  triptych batch vision.detection photos/ found/
  triptych batch vision.classification 'shots/**/*.jpg' labels/ --workers 4
  triptych batch nlp.classification reviews.csv out/ --column body --id-column id --sink jsonl
  triptych batch vision.detection s3://shop/photos found/ --annotated drawn/
  triptych batch nlp.ner sqlite:///shop.db out/ --sql 'SELECT id, text FROM reviews' --id-column id \\
    --sink sql --sink-url sqlite:///names.db --table names
  triptych batch nlp.ner letters/ names/ --engine ray --ray-address head:6379 --workers 32"""

_HOW = (
    Option("workers", int, None, "processes; processor threads are divided among them; 1, and on Ray one a machine"),
    Option("batch_size", int, None, "items that run together; the model's own when not given"),
    Option("ray_address", str, None, "host:port of a Ray cluster, or auto; RAY_ADDRESS, or one here, when not given"),
)
_OURS = (
    Option("grace", float, GRACE, "seconds that shards under way have to end once the job is stopped"),
    Option("progress", bool, True, "show rate and time left on standard error"),
)
_PLAN = (
    Option(
        "shard_size",
        int,
        None,
        "rows of a shard; a thousandth of all, from 20 (8 in small jobs) to 5,000, when not given",
    ),
    Option("column", str, None, "the table's column of items; path, image or file, text, user or id when not given"),
    Option("id_column", str, None, "a column to carry into the results"),
    Option("sql", str, None, "the query that gives the items, where INPUT is the URL of a database"),
    Option("sink_url", str, None, "for --sink sql, the database: sqlite:///FILE, postgresql://user@host/name"),
    Option("table", str, None, "for --sink sql, the table; made if it is not there"),
)

_ANNOTATED = Option("annotated", str, None, "a folder for the pictures with the results drawn on them")


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    return [
        click.Argument(["given"], metavar="INPUT"),
        click.Argument(["out"], metavar="OUT"),
        *model_options(task),
        *map(click_option, (*_HOW, *_PLAN, *_OURS)),
        *([click_option(_ANNOTATED)] if task.annotate is not None else []),
        click.Option(
            ["--sink"],
            type=click.Choice(SINK_NAMES),
            default="parquet",
            show_default=True,
            help="what the rows go to",
        ),
        click.Option(
            ["--engine"], type=click.Choice(ENGINES), default="local", show_default=True, help="where the work is done"
        ),
    ]


def run(task: Task, *, given: str, out: str, **options: Any) -> int:
    """Run the job, say how it stands, and return the exit code."""
    return _told(out, lambda stop: run_job(task, given, out, stop=stop, **options))


def _told(out: str, job: Callable[[Event], Report]) -> int:
    # Ray says on standard output what became of its workers, and that belongs to the report alone
    with redirect_stdout(sys.stderr), _stopped_by_signals() as (stop, received):
        report = job(stop)
    click.echo(report.to_text())
    if not report.complete:
        again = f"triptych batch resume {out}"
        click.echo(f"triptych: stopped. Run the same command again to continue, or: {again}", err=True)
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
        for again, handler in usual.items():  # a shell ignores SIGINT for what it starts in the background
            signal.signal(again, signal.SIG_DFL if handler == signal.SIG_IGN else handler)
        # the streams may be in the midst of a write
        os.write(2, b"\ntriptych: finishing the shards under way; once more stops at once\n")

    for number in usual:
        signal.signal(number, on_signal)
    try:
        yield stop, received
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@click.command
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def status(out: str, as_json: bool) -> int:
    """How the job in the folder OUT stands, whether or not it is running: rows, failures, rate, time left."""
    found = status_of(out)
    click.echo(json.dumps(found.to_json()) if as_json else found.to_text())
    return 0


def resume(out: str, engine: str | None, **how: Any) -> int:
    """Continue the job in the folder OUT with the input, model and options that it was begun with.

    How the work is done may be another way than before: on other engines, with more workers or threads.
    """
    place = Path(out).resolve()
    folder = Layout(place).read_call()["folder"]  # where the names in its plan lead to their files
    with chdir(folder if os.path.isdir(folder) else "."):
        return _told(out, lambda stop: resume_job(place, stop=stop, engine=engine, **how))


_RESUME = click.Command(
    "resume",
    callback=resume,
    help=resume.__doc__,
    params=[
        click.Argument(["out"]),
        click.Option(["--engine"], type=click.Choice(ENGINES), help="local or ray; as it was begun when not given"),
        *map(click_option, _HOW),
        click.Option(["--threads"], type=int, help="processor threads; as it was begun when not given"),
        click.Option(["--device"], help="auto, cpu or gpu; as it was begun when not given"),
        *map(click_option, _OURS),
    ],
)


@click.command
@click.argument("out")
@click.argument("file")
@click.option("--partial", is_flag=True, help="also a job that is not finished, as far as its shards are done")
def merge(out: str, file: str, partial: bool) -> int:
    """Write the job in the folder OUT as one FILE: .parquet, .jsonl or .csv, rows in the order of the input.

    The bytes are the same whichever engine ran the job and however often it was killed.
    """
    rows = merge_job(out, file, partial=partial)
    click.echo(f"{file}: {rows:,} rows")
    return 0


class BatchGroup(TaskGroup):
    """The tasks, and beside them the commands for what they wrote."""

    others: ClassVar[dict[str, click.Command]] = {"status": status, "resume": _RESUME, "merge": merge}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.others, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        return self.others.get(name) or super().get_command(ctx, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, other.get_short_help_str(90)) for name, other in self.others.items()])
        super().format_commands(ctx, formatter)


command = BatchGroup("batch", TaskCommand(HELP, parameters, run))
