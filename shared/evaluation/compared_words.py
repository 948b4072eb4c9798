"""A comparison of two systems in words: a verdict, a text for a terminal, one JSON object, a page."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from shared.evaluation.comparing import POWER, Compared, Difference
from shared.evaluation.report import Forest, Metric, Page, Section, Table
from shared.evaluation.slice_changes import SliceChange

WIDTH = 120
"""Characters of a line of the verdict on a terminal."""
NAMED = 3
"""Other figures that the verdict names."""
FEW_GROUPS = 10
"""Below so many groups a comparison says that its intervals and p-values are not to be relied on."""
SHOWN = 20
"""Changed slices that a terminal is given; a page and JSON have all."""


def verdict(compared: Compared) -> str:
    """What the comparison comes to, in plain words.

    The first figure is the task's own, named beforehand, so its own p-value decides; the other figures' are corrected.
    """
    found = compared.judged
    change = f"{_signed(found.difference)}, p = {_p(found.p_value)}"
    if found.detectable == 0 and found.difference.value == 0:
        said = f"No difference: {compared.first} and {compared.second} have the same {found.name} throughout."
    elif found.p_value < compared.alpha:
        word = "better" if found.gain > 0 else "worse"
        said = f"{compared.second} is {word} than {compared.first}: {found.name} {change}."
    else:
        said = (
            f"No difference shown in {found.name}: {change}. With these {_drawn(compared)} a difference of "
            f"{found.detectable:.4f} would have been seen with a chance of {POWER:.0%}."
        )
    parts = [said, _slices_said(compared), _others_said(compared)]
    failed = [f"{count} with {name}" for name, count in zip(_names(compared), compared.failed) if count]
    parts += [f"Items that failed, and count as wrong: {', '.join(failed)}."] if failed else []
    return " ".join(part for part in parts if part)


def compared_text(compared: Compared) -> str:
    """A small table for a terminal, the slices that changed, and the verdict."""
    head = f"{compared.task}  on {compared.dataset}: {_drawn(compared)}; difference = {_subtraction(compared)}"
    lines = [head, *_aligned(figure_rows(compared))]
    if compared.mcnemar is not None:
        lines.append(f"  {compared.main}, items right: {_mcnemar_said(compared)}")
    if compared.changed:
        lines.append(f"  changed slices, {len(compared.changed)} of {compared.tested} tested:")
        lines += _aligned(slice_rows(compared, compared.changed[:SHOWN]), indent="    ")
        more = len(compared.changed) - SHOWN
        lines += [f"    and {more} more: --json or --report has them"] if more > 0 else []
    return "\n".join([*lines, *(f"  {note}" for note in _notes(compared)), *_wrapped(verdict(compared))])


def compared_json(compared: Compared) -> dict[str, Any]:
    """One JSON-ready object."""
    return {
        "task": compared.task,
        "dataset": compared.dataset,
        "models": [compared.first, compared.second],
        "n": compared.n,
        "groups": compared.groups,
        "failed": list(compared.failed),
        "direction": "second - first",
        "judged": compared.judged.name,
        "sliced_by": compared.main or None,
        "figures": {figure.name: _figure_json(figure) for figure in compared.figures},
        "not_compared": list(compared.not_compared),
        "mcnemar": None if compared.mcnemar is None else vars(compared.mcnemar),
        "slices": {
            "tested": compared.tested,
            "why_none": compared.no_slices or None,
            "changed": [_slice_json(change) for change in compared.changed],
        },
        "confidence": compared.confidence,
        "resamples": compared.resamples,
        "verdict": verdict(compared),
    }


def compared_page(compared: Compared) -> Page:
    """The report of a comparison."""
    columns, *rows = figure_rows(compared)
    near = [f for f in compared.figures if max(abs(f.difference.low), abs(f.difference.high)) <= 1]
    forest = Forest(tuple((f.name, f.difference) for f in near or compared.figures), reference=0.0)
    figures = Table("Figures", tuple(columns), tuple(map(tuple, rows)), f"{_subtraction(compared)}.", plot=forest)
    sections: list[Section] = []
    if compared.mcnemar is not None:
        m, title = compared.mcnemar, f"Items right by {compared.main}"
        counts = (
            ("both", m.both),
            (f"{compared.first} alone", m.only_first),
            (f"{compared.second} alone", m.only_second),
            ("neither", m.neither),
        )
        sections.append(Table(title, ("who", "items"), counts))
    columns, *rows = slice_rows(compared, compared.changed)
    note = compared.no_slices and f"None were tested: {compared.no_slices}."
    note = note or (
        f"{len(compared.changed)} of {compared.tested} slices changed, by p-values corrected over all that were "
        f"tested; the one that lost most first. Differences of {_what(compared)}, the higher the better."
    )
    drawn = Forest(tuple((change.name, change.difference) for change in compared.changed), reference=0.0)
    plot = drawn if compared.changed else None
    sections.append(Table("Slices that changed", tuple(columns), tuple(map(tuple, rows)), note, plot=plot))
    lead = (verdict(compared), f"{_drawn(compared)} of {compared.dataset}.")
    return Page(
        f"{compared.task}: {compared.second} beside {compared.first}",
        lead,
        figures,
        tuple(_notes(compared)),
        tuple(sections),
    )


def figure_rows(compared: Compared) -> list[list[str]]:
    """The figures as a table, its head first."""
    rows = [["figure", *_names(compared), "difference", "interval", "p", "adjusted p", "would be seen", "test"]]
    for f in compared.figures:
        name = f.name if f.higher_is_better else f"{f.name} (lower is better)"
        low, high = f"{f.difference.low:+.4f}", f"{f.difference.high:+.4f}"
        numbers = [f"{f.first:.4f}", f"{f.second:.4f}", f"{f.difference.value:+.4f}", f"[{low}, {high}]"]
        rows.append([name, *numbers, _p(f.p_value), _p(f.adjusted_p_value), f"{f.detectable:.4f}", f.test])
    return rows


def slice_rows(compared: Compared, changes: Sequence[SliceChange]) -> list[list[str]]:
    """Slices as a table, its head first."""
    rows = [["slice", "items", *_names(compared), "difference", "interval", "beyond the rest", "adjusted p"]]
    for c in changes:
        interval = f"[{c.difference.low:+.4f}, {c.difference.high:+.4f}]"
        numbers = [f"{c.first:.4f}", f"{c.second:.4f}", f"{c.difference.value:+.4f}", interval]
        rows.append([c.name, str(len(c)), *numbers, f"{c.apart.value:+.4f}", _p(c.adjusted_p_value)])
    return rows


def _notes(compared: Compared) -> list[str]:
    notes = [
        f"interval: paired bootstrap, {compared.confidence:.0%}, {compared.resamples} resamples; adjusted p: Holm's, "
        f"over {len(compared.figures)} figures; would be seen: at p < {compared.alpha:g} with a chance of {POWER:.0%}"
    ]
    if compared.not_compared:
        notes.append(
            f"not compared, as one of the two lacks them or has them otherwise: {', '.join(compared.not_compared)}"
        )
    if compared.groups is not None and compared.groups < FEW_GROUPS:
        notes.append(
            f"only {compared.groups} groups were drawn from: intervals of so few read too narrow, and no p-value "
            f"can be below {2 ** (1 - compared.groups):.2g}"
        )
    if compared.groups is not None and compared.tested:
        notes.append("slices are tested item by item, not by the groups that the figures are drawn in")
    return notes


def _slices_said(compared: Compared) -> str:
    if compared.no_slices:
        return f"No slices were tested: {compared.no_slices}."
    lost = [change for change in compared.changed if change.difference.value < 0]
    gained = len(compared.changed) - len(lost)
    by = "" if compared.main == compared.judged.name else f" by {compared.main}"
    if not lost and not gained:
        return f"None of {compared.tested} slices changed{by}."
    better = f"{gained} of {compared.tested} slices gained{by}"
    if not lost:
        return f"No slice lost; {better}."
    worst = f"{lost[0].name} ({lost[0].difference.value:+.4f})"
    more = f"; {better}." if gained else "."
    return f"{len(lost)} of {compared.tested} slices lost{by}, most of all {worst}{more}"


def _others_said(compared: Compared) -> str:
    others = compared.figures[1:]
    shown = [
        f"{f.name} {f.difference.value:+.4f} ({'better' if f.gain > 0 else 'worse'})"
        for f in others
        if f.adjusted_p_value < compared.alpha
    ]
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return (
        f"Of the other figures {len(shown)} of {len(others)} differ: {', '.join(shown[:NAMED])}{more}." if shown else ""
    )


def _figure_json(figure: Difference) -> dict[str, Any]:
    apart = {"value": figure.difference.value, "low": figure.difference.low, "high": figure.difference.high}
    return {
        "first": figure.first,
        "second": figure.second,
        "difference": apart,
        "p_value": figure.p_value,
        "adjusted_p_value": figure.adjusted_p_value,
        "test": figure.test,
        "detectable": figure.detectable,
        "higher_is_better": figure.higher_is_better,
    }


def _slice_json(change: SliceChange) -> dict[str, Any]:
    apart = {"value": change.difference.value, "low": change.difference.low, "high": change.difference.high}
    return {
        "slice": change.name,
        "n": len(change),
        "first": change.first,
        "second": change.second,
        "difference": apart,
        "beyond_the_rest": vars(change.apart),
        "p_value": change.p_value,
        "adjusted_p_value": change.adjusted_p_value,
    }


def _aligned(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Columns under each other, the first to the left and the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))]
        lines.append(indent + "  ".join(cells))
    return lines


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _names(compared: Compared) -> tuple[str, str]:
    return compared.first, compared.second


def _subtraction(compared: Compared) -> str:
    return f"{compared.second} minus {compared.first}"


def _what(compared: Compared) -> str:
    higher = all(figure.higher_is_better for figure in compared.figures if figure.name == compared.main)
    return compared.main if higher else f"the negative of {compared.main}"


def _drawn(compared: Compared) -> str:
    return f"{compared.n} items" + ("" if compared.groups is None else f" in {compared.groups} groups")


def _signed(metric: Metric) -> str:
    return f"{metric.value:+.4f} [{metric.low:+.4f}, {metric.high:+.4f}]"


def _mcnemar_said(compared: Compared) -> str:
    m = compared.mcnemar
    if m is None:
        return ""
    alone = f"{compared.first} alone {m.only_first}, {compared.second} alone {m.only_second}"
    return f"both {m.both}, {alone}, neither {m.neither}"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else f"{value:.1e}"
