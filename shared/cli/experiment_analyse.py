"""``triptych experiment analyse FILE --config experiment.toml``: figures, checks and a decision."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from shared.cli.tables import table
from shared.errors import UsageError

HELP = """Analyse an experiment: every metric of every arm beside the control, the checks, and what to do with each arm.

FILE is a table with one or more rows a unit (Parquet, CSV, TSV, JSONL, or a folder of Parquet): unit, arm, values. With
--exposures it holds events (unit, time, values), and arms and times of exposure come from that other table. The
configuration says which column is what and how it is judged; docs/experiments.md lists its keys.

Ends with 0 when the figures can be trusted, and with 1 when they cannot (the verdict is "invalid")."""


@click.command("analyse", help=HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="TOML with [analysis], [arms], [metrics]"
)
@click.option(
    "--method", help="always-valid, group-sequential, fixed, bootstrap or bayesian, in the place of the file's"
)
@click.option("--exposures", type=click.Path(path_type=Path), help="table or log of unit, arm and time of exposure")
@click.option("--experiment", help="whose rows of an exposure log of several experiments")
@click.option("--exposed-at", default="time", show_default=True, help="its column of times")
@click.option("--at", "at", default="time", show_default=True, help="FILE's column of times, with --exposures")
@click.option("--until", help="up to when all events are in, ISO 8601; the last time of either table when not given")
@click.option(
    "--memory",
    type=float,
    default=2.0,
    show_default=True,
    help="GiB for the table of units, and for the join, by estimate",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def command(
    file: Path,
    *,
    config: Path,
    method: str | None,
    exposures: Path | None,
    experiment: str | None,
    exposed_at: str,
    at: str,
    until: str | None,
    memory: float,
    as_json: bool,
) -> int:
    """See :data:`HELP`."""
    from shared.experiments.analysis import analyse  # noqa: PLC0415 - NumPy is loaded only where it is used
    from shared.experiments.joining import joined_within  # noqa: PLC0415
    from shared.experiments.settings import read_settings  # noqa: PLC0415

    if not memory > 0:
        raise UsageError(f"memory must be above 0 GiB. Got {memory} instead")
    settings = read_settings(config)
    if method is not None:
        settings = dataclasses.replace(settings, method=method)
    size = int(memory * (1 << 30))
    if exposures is None:
        report = analyse(file, settings, memory=size)
    else:
        names: dict[str, Any] = {"unit": settings.unit, "arm": settings.arm, "exposed_at": exposed_at, "at": at}
        moment = None if until is None else _moment(until)
        with joined_within(exposures, file, **names, experiment=experiment, until=moment, memory=size) as source:
            report = analyse(source, settings, memory=size)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else to_text(report))
    return 1 if any(verdict.action == "invalid" for verdict in report.verdicts) else 0


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--until must be a time such as 2026-03-09 or 2026-03-09T12:00:00Z. Got {text!r} instead"
        ) from None


def to_text(report: Any) -> str:
    """The report for a terminal: verdicts with reasons, then tables."""
    lines = []
    for verdict in report.verdicts:
        lines += [f"{verdict.arm}: {verdict.action.upper()}", *(f"  - {reason}" for reason in verdict.reasons), ""]
    if len(report.verdicts) > 1 and report.best is not None:
        lines += [f"Of the arms to ship {report.best} gained most.", ""]
    shown = ", ".join(f"{arm} {n}" for arm, n in report.units.items())
    lines.append(f"{report.rows} rows, units: {shown}. Method: {report.method}, confidence {report.confidence:g}.")
    p_value = report.ratio.always_p_value if report.ratio.sequential else report.ratio.p_value
    lines.append(f"Sample ratio: p = {p_value:.3g}.")
    if report.crossed:
        lines.append(f"{report.crossed} units in several arms are left out.")
    for metric, arms in report.dropped.items():
        lines.append(f"Without a value of {metric}, left out: {', '.join(f'{arm} {n}' for arm, n in arms.items())}.")
    for metric, arms in report.waiting.items():
        lines.append(f"Not observed for the window of {metric} yet: {', '.join(f'{a} {n}' for a, n in arms.items())}.")
    lines += ["", table(_HEADER, [[e.metric, e.role, e.arm, *_cells(e)] for e in report.effects])]
    chances = [
        [e.metric, e.arm, f"{e.chance:.1%}", f"{e.loss:.3g}"]
        for e in report.effects
        if e.chance is not None and e.loss is not None
    ]
    if chances:
        lines += ["", table(["METRIC", "ARM", "CHANCE TO BE BETTER", "EXPECTED LOSS"], chances)]
    for row in report.segments:
        varies = "" if row.corrected_p_value is None else f"; p of one effect in all = {row.corrected_p_value:.3g}"
        lines += ["", f"{row.metric} of {row.arm} by {row.segment}{varies}"]
        if row.effects:
            cells = [[level, *_cells(e)] for level, e in zip(row.levels, row.effects)]
            lines.append(table([row.segment.upper(), *_HEADER[3:]], cells, indent=2))
        lines += [f"  {level} is left out: {why}" for level, why in row.left_out.items()]
    return "\n".join(lines)


_HEADER = ("METRIC", "ROLE", "ARM", "CONTROL", "VALUE", "DIFFERENCE", "INTERVAL", "RELATIVE", "P", "CORRECTED", "CUT")


def _cells(effect: Any) -> list[str]:
    corrected = "" if effect.corrected_p_value is None else f"{effect.corrected_p_value:.3g}"
    return [
        f"{effect.control_value:.5g}",
        f"{effect.value:.5g}",
        f"{effect.difference:+.4g}",
        f"[{effect.low:+.4g}, {effect.high:+.4g}]",
        "" if effect.relative is None else f"{effect.relative:+.2%}",
        f"{effect.p_value:.3g}",
        corrected,
        f"{effect.variance_cut:.0%}" if effect.variance_cut else "",
    ]
