"""Plots of a report as inline SVG that takes its colours from the page, so that it is read by day and by night."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from shared.evaluation.report import Curve, Forest, Plot

_SIDE = 300
"""Length of a curve's axes in its own units."""
_MARGIN = 42
_WIDE, _TALL, _NAMES = 320, 90, 120
"""Width of a plot of two sides, height of its bars, and room for names, in its own units."""


def plotted(plot: Plot) -> Markup:
    """A plot as HTML."""
    return forest(plot) if isinstance(plot, Forest) else curve(plot)


def forest(plot: Forest) -> Markup:
    """Intervals under each other on one axis.

    Each row is a line of text and a drawing as wide as the page leaves it, so that names stay readable on a telephone.

    Example:
        >>> from shared.evaluation.report import Metric
        >>> "&lt;b&gt;" in forest(Forest((("<b>", Metric(0.5, 0.2, 0.8)),)))
        True
    """
    if not plot.rows:
        return Markup()
    ends = [end for _, m in plot.rows for end in (m.low, m.high, m.value)]
    ends += [] if plot.reference is None else [plot.reference]
    low, high = _axis(min(ends), max(ends))

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    line = ""
    if plot.reference is not None:
        x = at(plot.reference)
        line = f'<line class="zero" x1="{x}" x2="{x}" y1="0" y2="100%"/>'
    rows = []
    for name, metric in plot.rows:
        said = f"{name}: {metric.value:.4f}, {metric.low:.4f} to {metric.high:.4f}"
        still = plot.reference is not None and metric.low <= plot.reference <= metric.high
        style = ' class="still"' if still else ""
        rows.append(
            f'<div class="row"><span>{escape(name)}</span>'
            f'<div class="bar"><svg role="img" aria-label="{escape(said)}"{style}>{line}'
            f'<line class="span" x1="{at(metric.low)}" x2="{at(metric.high)}" y1="50%" y2="50%"/>'
            f'<circle cx="{at(metric.value)}" cy="50%" r="4"/></svg></div></div>'
        )
    marks = [low, (low + high) / 2, high]
    ticks = "".join(f"<i>{mark:.6g}</i>" for mark in marks)
    rows.append(f'<div class="row"><span></span><div class="axis">{ticks}</div></div>')
    # Names are escaped above, and everything else is a number.
    return Markup(f'<div class="forest">{"".join(rows)}</div>')  # noqa: S704


def curve(plot: Curve) -> Markup:
    """Points in the unit square beside its diagonal; the area of a point is by how many items stand behind it."""
    if not plot.points:
        return Markup()
    most = max(count for _, _, count in plot.points)

    def across(value: float) -> float:
        return _MARGIN + _SIDE * value

    def up(value: float) -> float:
        return 10 + _SIDE * (1 - value)

    parts = []
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = across(mark), up(mark)
        parts.append(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="{up(0):.0f}" y2="{up(1):.0f}"/>')
        parts.append(f'<line class="grid" x1="{across(0):.0f}" x2="{across(1):.0f}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<text x="{x:.0f}" y="{up(0) + 15:.0f}" text-anchor="middle">{mark:g}</text>')
        parts.append(f'<text x="{across(0) - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{mark:g}</text>')
    parts.append(f'<line class="zero" x1="{across(0)}" y1="{up(0)}" x2="{across(1)}" y2="{up(1)}"/>')
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y, _ in plot.points)
    parts.append(f'<polyline points="{path}"/>')
    for x, y, count in plot.points:
        parts.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="{3 + 6 * math.sqrt(count / most):.1f}"/>')
    parts.append(f'<text x="{across(0.5)}" y="{up(0) + 32}" text-anchor="middle">{escape(plot.across)}</text>')
    middle = up(0.5)
    parts.append(f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">{escape(plot.up)}</text>')
    box = f"0 0 {_SIDE + _MARGIN + 12} {_SIDE + 50}"
    said = f"{plot.up} by {plot.across}"
    # The axes' names are escaped, and everything else is a number.
    return Markup(f'<svg class="curve" role="img" aria-label="{escape(said)}" viewBox="{box}">{"".join(parts)}</svg>')  # noqa: S704


def _axis(low: float, high: float) -> tuple[float, float]:
    """Round ends of an axis that holds both, in steps of 1, 2 or 5."""
    width = (high - low) or max(abs(low), 1.0)
    power = 10.0 ** math.floor(math.log10(width / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, (last if last > first else first + 1) * step


def side_by_side(
    name: str, marks: Sequence[float | str], reference: Sequence[float], window: Sequence[float]
) -> Markup:
    """Shares of a column in two sets of items: bars over bins of a number, or lying under each other for names.

    Args:
        name: of the column, for those who hear the page.
        marks: edges of bins, one more than there are shares; or a name for each share.
        reference: shares in [0, 1].
        window: as many.

    Example:
        >>> "&lt;b&gt;" in side_by_side("words", ["<b>"], [0.5], [1.0])
        True
    """
    most = max([*reference, *window, 1e-9])
    said = escape(f"{name}: shares of reference and window")
    named = len(marks) == len(reference)
    body, height = _lying(marks, reference, window, most) if named else _standing(marks, reference, window, most)
    # Names are escaped here and in _lying, and everything else is a number.
    return Markup(  # noqa: S704
        f'<svg class="sides" role="img" aria-label="{said}" viewBox="0 0 {_WIDE} {height}">{body}</svg>'
    )


def _standing(
    marks: Sequence[float | str], reference: Sequence[float], window: Sequence[float], most: float
) -> tuple[str, int]:
    step, parts = _WIDE / len(reference), [f'<line x1="0" x2="{_WIDE}" y1="{_TALL}" y2="{_TALL}"/>']
    for kind, shift, shares in (("r", 0.08, reference), ("w", 0.5, window)):
        for at, share in enumerate(shares):
            if share > 0:
                tall = _TALL * share / most
                place = f'x="{(at + shift) * step:.1f}" y="{_TALL - tall:.1f}" width="{0.42 * step:.1f}"'
                parts.append(f'<rect class="{kind}" {place} height="{tall:.1f}"/>')
    ends = ((0, marks[0], "start"), (_WIDE / 2, marks[len(marks) // 2], "middle"), (_WIDE, marks[-1], "end"))
    for x, mark, anchor in ends:
        parts.append(f'<text x="{x:.0f}" y="{_TALL + 14}" text-anchor="{anchor}">{float(mark):.4g}</text>')
    return "".join(parts), _TALL + 18


def _lying(
    marks: Sequence[float | str], reference: Sequence[float], window: Sequence[float], most: float
) -> tuple[str, int]:
    parts, room = [], _WIDE - _NAMES - 40
    for at, (mark, before, after) in enumerate(zip(marks, reference, window)):
        y = 22 * at
        parts.append(f'<text x="0" y="{y + 13}">{escape(mark)}</text>')
        for kind, shift, share in (("r", 2, before), ("w", 10, after)):
            wide = room * share / most
            parts.append(f'<rect class="{kind}" x="{_NAMES}" y="{y + shift}" width="{wide:.1f}" height="7"/>')
        end = _NAMES + room * max(before, after) / most + 4
        parts.append(f'<text x="{end:.1f}" y="{y + 13}">{after:.0%}</text>')
    return "".join(parts), 22 * len(marks) + 2
