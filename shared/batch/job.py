"""A batch job from Python: begin it, continue it, in one call."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any

from shared.batch.engine import Engine, OneProcess, Opening, Portion, Work
from shared.batch.folder import JobFolder, Layout, Marker
from shared.batch.given import Items
from shared.batch.inputs import Row, open_source
from shared.batch.outlets import Outlet
from shared.batch.plan import Plan, all_options, check_same, make_plan
from shared.batch.progress import Progress
from shared.batch.ray_engine import Actors
from shared.batch.report import Report
from shared.batch.sources import is_url
from shared.batch.workers import Processes
from shared.errors import UnknownNameError, UsageError
from shared.tasks import Task, find_task
from shared.weights.named import pinned_name

ENGINES = ("local", "ray")
"""Where work can be done."""

GRACE = 20.0
"""Seconds that shards under way have to end once a job is stopped: less than what schedulers wait before they kill."""


def run(
    task: str | Task,
    source: str | Path | Items,
    out: str | Path,
    /,
    *,
    model: str | Path | None = None,
    column: str | None = None,
    id_column: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    shard_size: int | None = None,
    sink: str = "parquet",
    sql: str | None = None,
    sink_url: str | None = None,
    table: str | None = None,
    annotated: str | Path | None = None,
    batch_size: int | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    progress: bool = True,
    stop: Event | None = None,
    grace: float = GRACE,
    **options: Any,
) -> Report:
    """Predict every row of an input into shards, or continue where an earlier run ended.

    The same call on the same ``out`` continues: shards that are done stay, the others are done now, and a finished
    job is left as it is. An item that fails becomes a row with the kind and message of its error. How the work is done
    (engine, workers, threads, device, batch size) may change from run to run and changes no byte of a shard.

    With ``workers`` above 1 a script must call this under ``if __name__ == "__main__":``, because each worker imports
    the script anew, and a ``task`` given as an object must consist of functions that can be imported.

    Args:
        task: name of an installed task, or the task itself.
        source: a folder, a glob, or a CSV, TSV, JSONL, Parquet or ``.txt`` file, here or in an object store
            (``s3://bucket/photos``); tar archives of samples (``data-{000..009}.tar``); with ``sql`` the URL of a
            database; or :class:`shared.batch.Items`. See :func:`shared.batch.inputs.open_source`.
        out: the job's folder; made if it is not there.
        model: catalogue name, model folder or ``registry:NAME@ALIAS``, which stays the version of the beginning;
            ``None`` takes the task's default.
        column: the table's column that holds the items; ``None`` takes ``path``, ``image`` or ``file`` for images,
            ``text`` for texts, ``user`` or ``id`` for ids.
        id_column: a column to carry into the results.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all, divided among the workers; ``None`` uses every one.
        workers: processes. 1 predicts in this one; more also survive an item that kills its process. ``None`` is 1,
            and on Ray one a machine.
        shard_size: rows of a shard; ``None`` takes a thousandth of all, from 20 to 5,000 and 8 in small jobs.
        sink: ``"parquet"``, ``"jsonl"``, ``"csv"``, or ``"sql"``: the rows go to a table, and ``out`` keeps receipts.
        sql: a query that gives the items, where ``source`` is a database; ``id_column`` then names its unique id.
        sink_url: for ``sink="sql"``, a SQLAlchemy URL; its password is kept nowhere.
        table: for ``sink="sql"``, the table; made if it is not there.
        annotated: a folder for the pictures with their results drawn.
        batch_size: items that run together; ``None`` takes the model's own.
        engine: ``"local"``, processes of this machine; ``"ray"``, actors of a Ray cluster, whose machines must have
            this distribution, the model and the input at the same places.
        ray_address: the cluster, as ``host:port`` or ``"auto"``; ``None`` takes the environment's ``RAY_ADDRESS``, or
            starts one on this machine.
        progress: whether progress is shown on standard error.
        stop: once set, no shard is begun and those under way are finished; the report says what is done.
        grace: seconds that they have for it; after that they are abandoned.
        options: the task's own options, one called ``source`` too.

    Raises:
        UsageError: an argument is wrong, or ``out`` holds something else or is worked in by another process.
        PlanMismatchError: ``out`` was begun with other inputs, another model or other options.
        DataError: the input or ``out`` is malformed or changes meanwhile, or ``out`` cannot be written.
        BackendError: workers keep dying, or the cluster cannot be reached.
        MissingDependencyError: ``engine="ray"`` without the extra ``cluster``.
    """
    began = time.monotonic()
    task = find_task(task) if isinstance(task, str) else task
    for name, count in (("workers", workers), ("threads", threads), ("batch_size", batch_size)):
        if count is not None and count < 1:
            raise UsageError(f"{name} must be at least 1. Got {count} instead")
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if ray_address is not None and engine != "ray":
        raise UsageError(f"ray_address must be left out unless the engine is ray. Got {ray_address!r} instead")
    chosen = all_options(task, options)
    outlet = Outlet(task, chosen, out, sink=sink, sink_url=sink_url, table=table, annotated=annotated)
    _check_outside(source, OUT=out, annotated=annotated)
    opening = Opening(task, None if model is None else str(pinned_name(model)), device, threads, chosen, batch_size)
    _, parts = Layout(Path(out)).read_plan() or (None, ())
    given = source if isinstance(source, Items) else str(source)
    memo = Layout(Path(out)).job / "members"
    rows = open_source(given, task.inputs, column=column, id_column=id_column, sql=sql, known=parts, memo=memo)
    with closing(outlet), JobFolder(Path(out)) as folder:
        before, _ = folder.read_plan() or (None, ())
        told = outlet.facts if sql is None else outlet.facts | {"sql": sql}
        plan = make_plan(task, rows, chosen | told, sink=sink, shard_size=shard_size, before=before)
        if before is not None:
            check_same(before, plan, folder.out)
        markers = folder.read_markers(before) if before is not None else {}
        outlet.begin(folder, plan, markers, new=before is None)
        folder.failures.keep(markers)
        left = len(markers) < plan.shard_count
        with closing(_open(opening, engine if left else "local", workers if left else 1, ray_address)) as opened:
            plan = plan.with_model(*opened.opened)
            if before is None:
                call = {
                    "source": None if isinstance(source, Items) else rows.facts["input"],
                    "column": column,
                    "id_column": id_column,
                    "model": opening.model,
                    "device": device,
                    "threads": threads,
                    "workers": workers,
                    "batch_size": batch_size,
                    "engine": engine,
                    "ray_address": ray_address,
                }
                folder.write_plan(plan, rows.parts, call | {"folder": os.getcwd()})
            else:
                check_same(before, plan, folder.out)
            resumed, predicted = _rows_of(markers), folder.predicted
            if left:
                with _stopping(stop or Event(), grace) as (no_more, abandon):
                    done = frozenset(markers)
                    numbered = rows.rows(lambda index: index // plan.shard_size in done)
                    works = outlet.watch(_works(numbered, plan, done, no_more))
                    _predict(folder, plan, opened, works, markers, outlet=outlet, progress=progress, stop=abandon)
        report = Report(
            task=plan.task,
            model=plan.model,
            out=str(out),
            rows=plan.rows,
            done=_rows_of(markers),
            failed=sum(marker.failed for marker in markers.values()),
            shards=plan.shard_count,
            resumed=resumed,
            predicted=folder.predicted - predicted,
            predicted_in_all=folder.predicted,
            seconds=round(time.monotonic() - began, 3),
        )
        if report.complete and (report.resumed < report.rows or folder.read_done() is None):
            folder.finish(report.to_json())
        return report


def _open(opening: Opening, engine: str, workers: int | None, ray_address: str | None) -> Engine:
    """Open the engine that was asked for."""
    if engine == "ray":
        return Actors(opening, workers, ray_address)
    return OneProcess(opening) if workers in (None, 1) else Processes(opening, workers)


@contextmanager
def _stopping(stop: Event, grace: float) -> Iterator[tuple[Event, Event]]:
    """``stop`` itself, and an event that is set ``grace`` seconds after it."""
    abandon, over = Event(), Event()

    def watch() -> None:
        while not stop.wait(0.2):
            if over.is_set():
                return
        if not over.wait(grace):
            abandon.set()

    Thread(target=watch, name="stopping", daemon=True).start()
    try:
        yield stop, abandon
    finally:
        over.set()


def _predict(
    folder: JobFolder,
    plan: Plan,
    engine: Engine,
    works: Iterator[Work],
    markers: dict[int, Marker],
    *,
    outlet: Outlet,
    progress: bool,
    stop: Event,
) -> None:
    """Do the shards that have no marker yet, adding theirs to ``markers`` as they are committed."""

    def commit(portion: Portion) -> None:
        drawn = portion._replace(records=outlet.drawn(portion.records))
        markers[portion.shard.number] = folder.commit(drawn, outlet.sink)

    writing: Future[None] | None = None
    with (
        Progress(plan.rows, done=_rows_of(markers), shown=progress) as shown,
        ThreadPoolExecutor(1, "write") as writer,
    ):

        def tick(rows: int, failed: int) -> None:
            folder.count(rows)
            shown.add(rows, failed)

        with closing(engine.run(works, tick=tick, stop=stop)) as answered:
            for portion in answered:
                if writing is not None:
                    writing.result()
                writing = writer.submit(commit, portion)
        if writing is not None:
            writing.result()


def _works(rows: Iterator[Row], plan: Plan, done: frozenset[int], no_more: Event) -> Iterator[Work]:
    """The rows of each shard that is not done, read in one pass, until there are to be no more."""
    for shard in plan.shards():
        if no_more.is_set():
            return
        if shard.number in done:
            deque(islice(rows, len(shard)), maxlen=0)
        else:
            yield Work(shard, list(islice(rows, len(shard))))
    deque(rows, maxlen=0)  # lets the source check that it is at its end and unchanged


def _rows_of(markers: Mapping[int, Marker]) -> int:
    return sum(marker.rows for marker in markers.values())


def _check_outside(source: str | Path | Items, **places: str | Path | None) -> None:
    """See that nothing is written into the folder that is read."""
    if isinstance(source, Items) or is_url(str(source)) or not Path(source).is_dir():
        return
    for name, place in places.items():
        if place is not None and Path(place).resolve().is_relative_to(Path(source).resolve()):
            raise UsageError(f"{name} must lie outside of the input folder {source}. Got {place} instead")
