"""``triptych retrain``: a plan run by hand, resumed, watched; how its runs stand and what they came to."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from shared.lifecycle.history import RunRow
    from shared.lifecycle.pipeline import Places
    from shared.lifecycle.plan import Plan

PLAN = click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
ENGINE = click.option("--engine", default="local", show_default=True, help="where is trained and evaluated: local, ray")
ADDRESS = click.option("--address", help="of a Ray cluster, host:port or auto; one on this machine when not given")
JSON = click.option("--json", "as_json", is_flag=True, help="one JSON object a run")
WELL = ("promoted", "unchanged", "waiting")
"""What ends a command with 0."""


@click.group("retrain")
def command() -> None:
    """Train a challenger from new data, judge it, let it meet traffic, and promote it or roll it back, by a plan.

    The first Ctrl-C or SIGTERM finishes the step under way, the second stops at once; resume goes on from there.
    """


@command.command("run", short_help="begin a run of PLAN and take it to its end")
@PLAN
@click.option("--dry-run", is_flag=True, help="read, check and cut the data, say what would follow, and change nothing")
@ENGINE
@ADDRESS
@JSON
def run_command(*, plan_file: Path, dry_run: bool, engine: str, address: str | None, as_json: bool) -> int:
    """Begin a run of PLAN and take it to its end.

    Ends with 1 where the challenger did not become champion, and says why; with 0 where it did, where nothing is new,
    or where the canary waits for outcomes.
    """
    from shared.lifecycle.pipeline import rehearse, run  # noqa: PLC0415 - the command line is made without it

    plan = _plan(plan_file)
    if dry_run:
        for line in rehearse(plan, _places(plan, None)):
            click.echo(line)
        return 0
    with _working(plan, engine, address) as places:
        return _told(run(plan, places), as_json)


@command.command("resume", short_help="go on with the run that was killed, stopped or failed")
@PLAN
@ENGINE
@ADDRESS
@JSON
def resume_command(*, plan_file: Path, engine: str, address: str | None, as_json: bool) -> int:
    """Go on with the run of PLAN that was killed, stopped, failed or waits."""
    from shared.lifecycle.pipeline import resume  # noqa: PLC0415

    plan = _plan(plan_file)
    with _working(plan, engine, address) as places:
        return _told(resume(plan, places), as_json)


@command.command("abandon", short_help="give up the run that is not ended; no alias moves")
@PLAN
@JSON
def abandon_command(*, plan_file: Path, as_json: bool) -> int:
    """Give up the run of PLAN that is not ended; no alias moves."""
    from shared.lifecycle.pipeline import abandon  # noqa: PLC0415

    _told(abandon(_plan(plan_file)), as_json)
    return 0


@command.command("status", short_help="how the last run stands, step by step")
@PLAN
@JSON
def status_command(*, plan_file: Path, as_json: bool) -> int:
    """How the last run of PLAN stands, step by step."""
    from shared.lifecycle.history import outcomes, read_runs  # noqa: PLC0415

    runs = read_runs(_plan(plan_file).folder)
    if not runs:
        click.echo("no run yet")
        return 0
    _told(runs[-1], as_json)
    if not as_json:
        for name, content in outcomes(runs[-1].folder).items():
            click.echo(f"        {name}: {_gist(content['outcome'])}")
    return 0


@command.command("history", short_help="every run, oldest first, and what it came to")
@PLAN
@JSON
def history_command(*, plan_file: Path, as_json: bool) -> int:
    """Every run of PLAN, oldest first, and what it came to."""
    from shared.lifecycle.history import read_runs  # noqa: PLC0415

    for row in read_runs(_plan(plan_file).folder):
        _told(row, as_json)
    return 0


@command.command("watch", short_help="start runs when the plan's [trigger] says so")
@PLAN
@ENGINE
@ADDRESS
def watch_command(*, plan_file: Path, engine: str, address: str | None) -> int:
    """Start runs of PLAN when its [trigger] says so, and go on with those that stand, until SIGTERM or Ctrl-C."""
    from shared.lifecycle.schedule import watch  # noqa: PLC0415

    plan = _plan(plan_file)
    with _working(plan, engine, address) as open_places:

        def places(again: Plan, stop: Event) -> Places:
            return _places(again, stop, engine=open_places.engine)

        stop = open_places.stop or Event()
        started = watch(plan_file, places, stop=stop, say=click.echo)
    click.echo(f"triptych: stopped; {started} runs were started", err=True)
    return 0


def _plan(path: Path) -> Plan:
    from shared.lifecycle.plan import read_plan  # noqa: PLC0415

    return read_plan(path)


def _places(plan: Plan, stop: Event | None, **more: Any) -> Places:
    from shared.lifecycle.pipeline import Places  # noqa: PLC0415
    from shared.lifecycle.records import Records  # noqa: PLC0415
    from shared.lifecycle.registry import registry  # noqa: PLC0415

    decisions = Records(plan.path(plan.decisions) if plan.decisions else None)
    return Places(registry(plan.where), decisions, tell=_tell, stop=stop, **more)


def _tell(step: str, moment: str) -> None:
    if moment == "begin":
        click.echo(f"triptych: {step}", err=True)


@contextmanager
def _working(plan: Plan, engine: str, address: str | None) -> Iterator[Places]:
    from shared.lifecycle.engines import open_engine  # noqa: PLC0415

    with _stopped_by_signals() as stop, open_engine(engine, address=address) as opened:
        yield _places(plan, stop, engine=opened)


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """While inside, the first SIGINT or SIGTERM only sets the event; a second one acts as usual."""
    stop = Event()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        for again, handler in usual.items():  # a shell ignores SIGINT for what it starts in the background
            signal.signal(again, signal.SIG_DFL if handler == signal.SIG_IGN else handler)
        os.write(2, b"\ntriptych: finishing the step under way; once more stops at once\n")

    for number in usual:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def _told(row: RunRow, as_json: bool) -> int:
    click.echo(json.dumps(row.to_json(), ensure_ascii=False) if as_json else row.to_text())
    return 0 if row.state in WELL else 1


def _gist(outcome: dict[str, Any]) -> str:
    shown = json.dumps(outcome, ensure_ascii=False)
    return shown if len(shown) <= 160 else f"{shown[:157]}..."
