"""``triptych experiment assign IDS --config experiment.toml``: which arm each unit gets, one JSON object a line."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from shared.cli.predict import json_line
from shared.errors import DataError, UsageError
from shared.experiments.assignment import assign, stored_of
from shared.experiments.plan_files import read_plan
from shared.experiments.units import units

CHUNK = 50_000
"""Ids that are in memory at a time."""

HELP = """Give each unit its arm in the experiments of --config.

IDS is a file with one id a line; "-" reads standard input. One JSON object is printed for each id and experiment: unit,
experiment, arm (null where it gets none), propensity and reason. The same id gets the same arm everywhere and always;
docs/experiments-running.md says how. An empty line, or one that is no UTF-8, is named on standard error and left out;
the command then ends with 1.

\b
  triptych experiment assign ids.txt --config experiment.toml --out arms.jsonl
  triptych experiment assign ids.txt --config experiment.toml --stored arms.jsonl --at 2026-03-09"""


@click.command("assign", help=HELP)
@click.argument("ids", type=click.Path())
@click.option("--config", type=click.Path(path_type=Path), required=True, help="TOML with [experiments.NAME]")
@click.option("--experiment", "names", multiple=True, help="only this one; may be given several times")
@click.option("--at", help="the moment in ISO 8601, UTC without a zone; now when not given")
@click.option(
    "--stored",
    type=click.Path(path_type=Path),
    help="what this command wrote before: arms that sticky experiments keep",
)
@click.option("--out", type=click.Path(path_type=Path), help="file to write in the place of standard output")
def command(
    ids: str, *, config: Path, names: tuple[str, ...], at: str | None, stored: Path | None, out: Path | None
) -> int:
    """See :data:`HELP`."""
    plan = read_plan(config)
    chosen = [plan.find(name) for name in names] or list(plan.experiments)
    moment = datetime.now(UTC) if at is None else _moment(at)
    kept: dict[str, Any] = {}
    if stored is not None:
        sticky = [one.name for one in chosen if one.sticky]
        if not sticky:
            raise UsageError(f"--stored needs a sticky experiment. None of {', '.join(o.name for o in chosen)} is")
        kept = {name: stored_of(_rows(stored), name) for name in sticky}
    failed: list[int] = []
    with _writing(out) as file:
        lines = _lines(ids, failed)
        while chunk := list(itertools.islice(lines, CHUNK)):
            of = units(chunk)
            found = [assign(plan, of, experiment=o.name, at=moment, stored=kept.get(o.name)).rows() for o in chosen]
            for rows in zip(*found):
                file.writelines(f"{json_line(row)}\n" for row in rows)
    if failed:
        click.echo(f"triptych: {len(failed)} lines hold no id", err=True)
    return 1 if failed else 0


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--at must be a time such as 2026-03-09 or 2026-03-09T12:00:00Z. Got {text!r} instead"
        ) from None


def _lines(path: str, failed: list[int]) -> Iterator[str]:
    """Ids in order; the numbers of lines that hold none go into ``failed``, and each is named on standard error."""
    for number, line in enumerate(_raw_lines(path), 1):
        try:
            text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            text, why = "", "must be UTF-8 text. It holds other bytes"
        else:
            why = "must hold an id. It is empty"
        if text:
            yield text
        else:
            failed.append(number)
            click.echo(f"triptych: {path}, line {number} {why}", err=True)


def _raw_lines(path: str) -> Iterator[bytes]:
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            yield from file
    except OSError as error:
        raise UsageError(f"IDS must be a file that can be read. {path}: {error.strerror}") from error


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_raw_lines(str(path)), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"line {number} of {path} must be what this command printed. {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"line {number} of {path} must be a JSON object. Got {type(row).__name__} instead")
        yield row


@contextmanager
def _writing(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there only when it is whole."""
    if out is None:
        yield sys.stdout
        return
    temporary = out.with_name(f"{out.name}.tmp")
    try:
        file = open(temporary, "w", encoding="utf-8")  # noqa: SIM115 - faults of opening are told apart from others
    except OSError as error:
        raise UsageError(f"--out must be a file that can be written. {out}: {error.strerror}") from error
    try:
        with file:
            yield file
        os.replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
