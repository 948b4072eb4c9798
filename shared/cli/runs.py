"""``triptych runs``: what was trained, searched, evaluated and compared, with which figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from shared.cli.tables import table

if TYPE_CHECKING:
    from shared.lifecycle.runs import RunRecord
    from shared.lifecycle.tracking import Tracker

SHOWN = 3
"""Figures of a run that a list shows."""


@click.group("runs")
def command() -> None:
    """What was trained, searched, evaluated and compared: options, data, code, figures.

    Runs lie where TRIPTYCH_TRACKING says: off, a folder, the http(s):// address of an MLflow server, or wandb:PROJECT.
    Without it they lie in TRIPTYCH_HOME/lifecycle, where the extra lifecycle is installed. MLflow's own pages show the
    same: mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db
    """


@command.command("list", short_help="the newest runs, with their first figures")
@click.option("--task", help="only runs of this task")
@click.option("--kind", help="only runs of this kind: train, search, evaluate, compare, retrain, or your own")
@click.option("--model", help="only runs of this model, as it was named")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="so many at most")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a run")
def list_runs(task: str | None, kind: str | None, model: str | None, limit: int, as_json: bool) -> None:
    """The newest runs, with their first figures."""
    found = _tracker().runs(kind=kind, task=task, model=model, limit=limit)
    if as_json:
        for record in found:
            click.echo(json.dumps(record.to_json(), ensure_ascii=False))
        return
    rows = [
        [
            record.id[:8], record.kind, record.task, record.model, record.status, _when(record), _took(record),
            _first(record),
        ]
        for record in found
    ]  # fmt: skip
    header = ["RUN", "KIND", "TASK", "MODEL", "STATUS", "STARTED", "TOOK", "FIGURES"]
    click.echo(table(header, rows) if rows else "no run is logged yet that matches")


@command.command("show", short_help="one run: options, data, code, figures, files")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def show(run: str, as_json: bool) -> None:
    """One run, by its id or the beginning of it: options, data, code, figures, and where its files lie."""
    record = _tracker().find(run)
    if as_json:
        click.echo(json.dumps(record.to_json(), ensure_ascii=False, indent=1))
        return
    click.echo(f"{record.id}  {record.name}")
    facts = [["kind", record.kind], ["task", record.task], ["status", record.status], ["started", _when(record)]]
    facts += [["took", _took(record)]] if record.seconds is not None else []
    click.echo(table(None, [*facts, *map(list, record.tags.items()), ["files", record.artefacts]], indent=2))
    for title, rows in (("options", list(map(list, record.params.items()))), ("figures", _figures(record))):
        if rows:
            click.echo(f"\n{title}\n{table(None, rows, indent=2)}")


@command.command("compare", short_help="runs side by side: where options differ, and every figure")
@click.argument("runs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def compare(runs: Sequence[str], as_json: bool) -> None:
    """Runs side by side: the facts and options in which they differ, and every figure.

    Intervals of two runs on the same data say less than the paired test of 'triptych compare'.
    """
    tracker = _tracker()
    found = [tracker.find(run) for run in runs]
    facts = {key: [one.tags.get(key, one.params.get(key, "")) for one in found] for key in _keys(found)}
    different = {key: values for key, values in facts.items() if len(set(values)) > 1}
    names = sorted({name for record in found for name in record.metrics})
    if as_json:
        figures = {name: [record.to_json()["metrics"].get(name) for record in found] for name in names}
        content = {"runs": [record.id for record in found], "different": different, "metrics": figures}
        click.echo(json.dumps(content, ensure_ascii=False, indent=1))
        return
    rows = [[key, *values] for key, values in different.items()]
    rows += [["took", *map(_took, found)]]
    rows += [[name, *(_figure(record, name) for record in found)] for name in names]
    click.echo(table(["", *(f"{record.id[:8]} {record.name}" for record in found)], rows))


def _tracker() -> Tracker:
    from shared.lifecycle.tracking import tracker  # noqa: PLC0415 - the command line is made without it

    return tracker()


def _keys(found: Sequence[RunRecord]) -> list[str]:
    return list(dict.fromkeys(key for record in found for key in (*record.tags, *record.params)))


def _when(record: RunRecord) -> str:
    return record.started.astimezone().strftime("%Y-%m-%d %H:%M")


def _took(record: RunRecord) -> str:
    return "-" if record.seconds is None else f"{record.seconds:.1f} s"


def _first(record: RunRecord) -> str:
    names = list(record.metrics)
    with_interval = [name for name in names if record.metrics[name][1] is not None]
    return ", ".join(f"{name} {_figure(record, name)}" for name in (with_interval or names)[:SHOWN])


def _figures(record: RunRecord) -> list[list[str]]:
    return [[name, _figure(record, name)] for name in record.metrics]


def _figure(record: RunRecord, name: str) -> str:
    if name not in record.metrics:
        return "-"
    value, low, high = record.metrics[name]
    return f"{value:.4g}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"
