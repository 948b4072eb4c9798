"""``triptych monitor check PROFILE WINDOW``: a window against the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.cli.tables import table

if TYPE_CHECKING:
    from shared.monitoring.checking import Check

HELP = """Hold WINDOW against the reference PROFILE; both are folders of 'triptych monitor profile'.

Says which columns drifted, which items are at fault, how accurate the model still is where the reference knows truth,
and which --rules fire. Where nothing has changed it alarms in at most --rate of all windows, rules aside.

Ends with 0 without an alarm and with 1 with one (the code of "done with failed items" elsewhere); 2 is wrong usage."""


@click.command("check", help=HELP)
@click.argument("profile", type=click.Path(path_type=Path))
@click.argument("window", type=click.Path(path_type=Path))
@click.option("--rate", type=float, default=0.01, show_default=True, help="false alarms a window, in (0, 1)")
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="TOML of alert rules")
@click.option("--state", type=click.Path(path_type=Path), help="where rules remember; beside --rules when not given")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object, which 'triptych monitor report' reads")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="write an HTML page there")
@click.option("--gauges", type=click.Path(path_type=Path), metavar="FILE", help="write Prometheus' text there (*.prom)")
@click.option("--version", default="", help="the label version of those gauges")
def command(
    profile: Path,
    window: Path,
    *,
    rate: float,
    rules_file: Path | None,
    state: Path | None,
    as_json: bool,
    report: Path | None,
    gauges: Path | None,
    version: str,
) -> int:
    """See :data:`HELP`."""
    from shared.monitoring.alerts import read_rules  # noqa: PLC0415 - NumPy is loaded only where it is used
    from shared.monitoring.checking import check  # noqa: PLC0415
    from shared.monitoring.profile_files import load_profile  # noqa: PLC0415

    reference, now = load_profile(profile), load_profile(window)
    rules = None
    if rules_file is not None:
        rules = read_rules(rules_file, columns=(*reference.numbers, *reference.categories), state=state)
    found = check(reference, now, rate=rate, rules=rules)
    click.echo(json.dumps(found.to_json(), ensure_ascii=False) if as_json else to_text(found))
    if report is not None:
        found.report(report)
        click.echo(f"triptych: wrote {report}", err=True)
    if gauges is not None:
        from shared.monitoring.gauges import write_gauges  # noqa: PLC0415

        write_gauges(found, gauges, version=version)
    return 1 if found.alarm else 0


def to_text(check: Check) -> str:
    """A check for a terminal: the verdict, then what is to be said of columns, items and rules."""
    drifted = check.drifted
    lines = [
        f"{check.task}: {'ALARM' if check.alarm else 'no alarm'}, {check.window['items']:,} items held against "
        f"{check.reference['items']:,}; at most {check.rate:.2%} of windows alarm falsely"
    ]
    if check.estimate is not None:
        value, low, high = check.estimate
        lines.append(f"accuracy without labels: {value:.1%} [{low:.1%}, {high:.1%}]")
    rows = [row for row in check.drift.to_json()["columns"] if row["drifted"]]
    if rows:
        cells = [[row["name"], row["test"], f"{row['effect']:.4g}", f"{row['adjusted']:.2g}"] for row in rows]
        lines += [f"drifted: {', '.join(drifted)}", table(["COLUMN", "TEST", "EFFECT", "CORRECTED P"], cells, indent=2)]
    bad = [one for one in check.quality if one.bad]
    if bad:
        shares = [
            [one.meaning, one.column, f"{one.reference:.2%}", f"{one.window:.2%}", f"{one.adjusted:.2g}"] for one in bad
        ]
        lines += ["items at fault:", table(["ITEMS", "COLUMN", "REFERENCE", "WINDOW", "CORRECTED P"], shares, indent=2)]
    if check.alerts:
        told = [
            [
                one.rule,
                one.severity,
                f"{one.value:.4g}",
                f"{one.bound:.4g}",
                str(one.row),
                "fires" if one.firing else "",
            ]
            for one in check.alerts
        ]
        lines += ["rules:", table(["RULE", "SEVERITY", "VALUE", "BOUND", "WINDOWS", ""], told, indent=2)]
    return "\n".join([*lines, *(f"note: {note}" for note in check.notes)])
