"""A check as one HTML page that needs nothing but itself, below 2 MB whatever the columns.

Everything that came from outside is escaped, plots are inline SVG, there is no script, and a policy in the page forbids
whatever a reader's browser might be told to fetch. Columns that drifted come first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from shared.evaluation.plots import side_by_side

if TYPE_CHECKING:
    from shared.monitoring.checking import Check

MAX_CARDS, MAX_ROWS, MAX_TEXT = 150, 400, 200
"""Columns drawn, rows of a table, and characters of a cell at most: together some 1.5 MB."""


@dataclass(frozen=True)
class _Section:
    """A table: columns with how their cells are set, and rows, each with whether it is at fault."""

    title: str
    note: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[bool, tuple[str, ...]], ...]
    without: int


@dataclass(frozen=True)
class _Card:
    """One column: its name, whether it drifted, by which test, its plot and its figures."""

    name: str
    bad: bool
    said: str
    plot: Markup
    facts: tuple[tuple[str, str, str], ...]


def check_html(check: Check) -> str:
    """The page of a check."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "report.html.j2").read_text("utf-8"))
    tests = check.drift.to_json()["columns"]
    cards = sorted((_card(shape, tests) for shape in check.shapes), key=lambda card: not card.bad)
    sections = [section for section in (_alerts(check), _drift(tests), _quality(check)) if section.rows]
    return template.render(
        check=check,
        title=f"{check.task}: window against reference",
        said=_verdict(check),
        lead=_lead(check),
        sections=sections,
        cards=cards[:MAX_CARDS],
        without=max(0, len(cards) - MAX_CARDS),
    )


def _verdict(check: Check) -> str:
    drifted, bad = check.drifted, [one for one in check.quality if one.bad]
    parts = [f"{len(drifted)} of {len(check.shapes)} columns drifted"] if drifted else ["no drift"]
    parts.append(f"{len(bad)} checks of items at fault" if bad else "items as in the reference")
    firing = [one.rule for one in check.alerts if one.firing]
    if firing:
        parts.append(f"rules: {', '.join(firing)}")
    return f": {'; '.join(parts)}. False alarms: at most {check.rate:.2%} of windows, rules aside."[:1000]


def _lead(check: Check) -> list[str]:
    lines = [
        f"Reference of {check.reference['items']:,} items and {check.reference['failed']:,} failures, made "
        f"{check.reference['created']}; window of {check.window['items']:,} items and {check.window['failed']:,} "
        f"failures{_times(check.window)}."
    ]
    if check.estimate is not None:
        value, low, high = check.estimate
        lines.append(f"Accuracy estimated without labels: {value:.1%}, from {low:.1%} to {high:.1%}.")
    return [*lines, *(f"{note[:1].upper()}{note[1:]}."[: 10 * MAX_TEXT] for note in check.notes[:20])]


def _times(facts: Any) -> str:
    if "first" not in facts:
        return ""
    first, last = (datetime.fromtimestamp(facts[name], UTC).strftime("%Y-%m-%d %H:%M") for name in ("first", "last"))
    rate = f", {facts['per_second']:.3g} a second" if "per_second" in facts else ""
    return f" from {first} to {last} UTC{rate}"


def _alerts(check: Check) -> _Section:
    columns = (("rule", "k"), ("severity", "k"), ("value", "n"), ("bound", "n"), ("windows", "n"), ("state", "k"))
    rows = [
        (
            one.firing,
            (one.rule, one.severity, _shown(one.value), _shown(one.bound), str(one.row), _state(one.firing, "fires")),
        )
        for one in check.alerts
    ]
    return _section("Rules", "", columns, rows)


def _drift(tests: Sequence[dict[str, Any]]) -> _Section:
    columns = (("column", "k"), ("test", "k"), ("effect", "n"), ("p", "n"), ("corrected p", "n"), ("state", "k"))
    rows = [
        (
            bool(row["drifted"]),
            (
                str(row["name"]),
                str(row["test"]),
                _shown(row["effect"]),
                f"{row['p_value']:.2g}",
                f"{row['adjusted']:.2g}",
                _state(row["drifted"], "drifted"),
            ),
        )
        for row in sorted(tests, key=lambda row: (not row["drifted"], row["adjusted"], -row["effect"]))
    ]
    note = "A column has drifted where the corrected p is small and the effect large enough to matter."
    return _section("Drift", note, columns, rows)


def _quality(check: Check) -> _Section:
    numbers = (("bound", "n"), ("reference", "n"), ("window", "n"), ("corrected p", "n"))
    rows = [
        (
            one.bad,
            (
                one.meaning,
                one.column,
                "" if one.bound is None else _shown(one.bound),
                f"{one.reference:.2%}",
                f"{one.window:.2%}",
                f"{one.adjusted:.2g}",
                _state(one.bad, "at fault"),
            ),
        )
        for one in sorted(check.quality, key=lambda one: (not one.bad, one.adjusted))
    ]
    note, columns = "Shares of items beyond bounds that the reference sets.", (("items", "w"), ("column", "k"))
    return _section("Quality of items", note, (*columns, *numbers, ("state", "k")), rows)


def _section(
    title: str, note: str, columns: tuple[tuple[str, str], ...], rows: Sequence[tuple[bool, tuple[str, ...]]]
) -> _Section:
    cut = tuple((bad, tuple(_clipped(cell) for cell in cells)) for bad, cells in rows[:MAX_ROWS])
    return _Section(title, note, columns, cut, max(0, len(rows) - MAX_ROWS))


def _card(shape: Any, tests: Sequence[dict[str, Any]]) -> _Card:
    mine = [row for row in tests if row["name"] == shape.name]
    worst = min(mine, key=lambda row: (not row["drifted"], row["adjusted"]), default=None)
    said = "not tested" if worst is None else f"{worst['test']} {_shown(worst['effect'])}, p {worst['adjusted']:.2g}"
    marks = [mark if isinstance(mark, float) else _clipped(str(mark), 24) for mark in shape.marks]
    plot = side_by_side(_clipped(shape.name, 60), marks, shape.reference, shape.window)
    facts = tuple((name, _shown(before), _shown(after)) for name, (before, after) in shape.facts.items())
    drifted = any(row["drifted"] for row in mine)
    return _Card(_clipped(shape.name), drifted, f"drifted: {said}" if drifted else said, plot, facts)


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def _state(bad: bool, word: str) -> str:
    return word if bad else ""


def _clipped(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
