"""The curve of a face model's thresholds: how many pairs of strangers are how alike, and where one pair stands."""

from __future__ import annotations

import html
from collections.abc import Mapping
from itertools import pairwise
from math import log10
from statistics import NormalDist

from demos.faces.seen import one_in

_NORMAL = NormalDist()
_WIDTH, _HEIGHT = 380, 218
_LEFT, _RIGHT, _TOP, _BOTTOM = 86, 372, 24, 176
_LOW, _HIGH = -0.2, 1.0
_DECADES = 6
_LETTERS = 90
"""What the name of a pair's mark takes in width."""
_SOFT = "fill:var(--body-text-color-subdued)"
_TEXT = "fill:var(--body-text-color)"


def rate_at(similarity: float, thresholds: Mapping[float, float]) -> float:
    """The share of pairs of strangers that are at least so alike.

    Between two measured thresholds it is interpolated, and beyond the outermost carried on, as if similarities of
    strangers were normally distributed: on that scale the thresholds of the default model lie nearly in a line.

    Args:
        similarity: cosine.
        thresholds: two or more similarities by their measured rate.

    Example:
        >>> known = {0.01: 0.3, 0.001: 0.4}
        >>> round(rate_at(0.3, known), 4), round(rate_at(0.4, known), 4), rate_at(0.9, known) < 1e-6
        (0.01, 0.001, True)
    """
    known = sorted((value, _NORMAL.inv_cdf(1 - rate)) for rate, value in thresholds.items())
    (x1, y1), (x2, y2) = next((part for part in pairwise(known) if similarity <= part[1][0]), (known[-2], known[-1]))
    return _NORMAL.cdf(-(y1 + (y2 - y1) * (similarity - x1) / (x2 - x1)))


def strangers(similarity: float, thresholds: Mapping[float, float]) -> str:
    """How many pairs of strangers are at least so alike, in words and within what was measured.

    Example:
        >>> strangers(0.35, {0.01: 0.3, 0.001: 0.4})
        'Between 1 in 1,000 and 1 in 100 pairs of strangers are at least as alike'
    """
    passed = [rate for rate, value in thresholds.items() if similarity >= value]
    missed = [rate for rate, value in thresholds.items() if similarity < value]
    if passed and missed:
        return f"Between {one_in(max(missed))} and {one_in(min(passed))} pairs of strangers are at least as alike"
    if passed:
        return f"At most {one_in(min(passed))} pairs of strangers are as alike"
    return f"More than {one_in(max(missed))} pairs of strangers are at least as alike"


def curve(thresholds: Mapping[float, float], far: float, similarity: float | None = None) -> str:
    """The curve as HTML, with the threshold in use, and the pair's similarity where there is one.

    Args:
        thresholds: similarities by their measured false-accept rate.
        far: the rate in use, one of them.
        similarity: of the pair.
    """
    if len(thresholds) < 2:
        return ""
    used = thresholds[far]
    told = f"How many pairs of strangers are how alike. From {used:.2f} on two faces count as one person's."
    if similarity is not None:
        side = "above" if similarity >= used else "below"
        told += f" This pair is alike by {similarity:.2f}, {side} it. {strangers(similarity, thresholds)}."
    parts = [*_axes(), *_lines(thresholds)]
    x, y = _across(used), _down(far)
    parts += [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}" stroke="currentColor" stroke-dasharray="4 3"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="currentColor"/>',
        f'<text x="{x:.1f}" y="{_TOP - 4}" text-anchor="middle" style="{_TEXT}">one person from {used:.2f}</text>',
    ]
    if similarity is not None:
        x, y = _across(similarity), _down(rate_at(similarity, thresholds))
        left = _LEFT + _LETTERS < x < _across(used) or x + _LETTERS > _RIGHT  # beside the line of the threshold
        above = y > (_TOP + _BOTTOM) / 2
        parts += [
            f'<line class="pair" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{_BOTTOM}" stroke="#c2255c" '
            f'stroke-width="1.5"/><circle class="pair" cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="#c2255c" '
            f'stroke="var(--block-background-fill)" stroke-width="1.5"/>',
            f'<text x="{x + (4 if not left else -4):.1f}" y="{y - 11 if above else y + 4:.1f}" '
            f'text-anchor="{"end" if left else "start"}" dx="{0 if above else (-6 if left else 6)}" '
            f'style="{_TEXT};font-weight:600">this pair {similarity:.2f}</text>',
        ]
    return (
        '<figure class="facts" style="margin:0;padding:0.7rem 0.9rem"><figcaption style="font-weight:600;'
        "font-size:var(--text-sm);color:var(--body-text-color)\">The score on the threshold's curve</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(told)}" '
        'style="display:block;width:100%;max-width:560px;height:auto;color:var(--ready);font-size:10.5px;'
        f'font-family:inherit">{"".join(parts)}</svg>'
        '<p class="soft" style="margin:0.3rem 0 0;font-size:var(--text-sm)">Dots and the solid line are measured; the '
        "dotted line carries them on as a normal distribution.</p></figure>"
    )


def _axes() -> list[str]:
    parts = []
    for power in range(0, _DECADES + 1, 2):
        y = _down(10.0**-power)
        name = "all" if power == 0 else one_in(10.0**-power)
        if power == _DECADES:
            name = "1 in 10⁶"
        parts.append(
            f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--border-color-primary)"/>'
            f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end" style="{_SOFT}">{name}</text>'
        )
    for step in range(-2, 11, 2):
        x = _across(step / 10)
        parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 17}" text-anchor="middle" style="{_SOFT}">{step / 10:g}</text>')
    parts.append(
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle" style="{_SOFT}">similarity of two '
        "faces</text>"
        f'<text transform="translate(9 {(_TOP + _BOTTOM) / 2}) rotate(-90)" text-anchor="middle" style="{_SOFT}">'
        "pairs of strangers</text>"
    )
    return parts


def _lines(thresholds: Mapping[float, float]) -> list[str]:
    low, high = min(thresholds.values()), max(thresholds.values())
    steps = 60
    parts = []
    for begin, end, dashes in ((_LOW, low, "2 3"), (low, high, ""), (high, _HIGH, "2 3")):
        points = [begin + (end - begin) * at / steps for at in range(steps + 1)]
        drawn = [(x, rate_at(x, thresholds)) for x in points]
        inside = " ".join(f"{_across(x):.1f},{_down(rate):.1f}" for x, rate in drawn if rate >= 10.0**-_DECADES)
        parts.append(
            f'<polyline points="{inside}" fill="none" stroke="currentColor" stroke-width="1.6"'
            f"{f' stroke-dasharray={chr(34)}{dashes}{chr(34)}' if dashes else ''}/>"
        )
    parts += [
        f'<circle cx="{_across(value):.1f}" cy="{_down(rate):.1f}" r="2.2" fill="currentColor"/>'
        for rate, value in thresholds.items()
    ]
    return parts


def _across(similarity: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (min(_HIGH, max(_LOW, similarity)) - _LOW) / (_HIGH - _LOW)


def _down(rate: float) -> float:
    """The axis of rates is logarithmic, and ends where nothing was measured any more."""
    return _TOP + (_BOTTOM - _TOP) * min(1.0, -log10(max(rate, 10.0**-_DECADES)) / _DECADES)
