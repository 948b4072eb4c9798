"""What an evaluation's items show when asked: the worst slices, and the likeliest wrong labels.

Either is asked for by the person, so that where a task cannot tell, the finding says so in place of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.items import Items
from shared.evaluation.label_noise import label_noise
from shared.evaluation.report import Evaluation, Forest, Metric, Table
from shared.evaluation.same_items import cannot_slice
from shared.evaluation.slices import Slice, worst_slices
from shared.evaluation.slicing import SUPPORT
from shared.types import Float64

MOST_SLICES = 10
MOST_LABELS = 24
"""How many of each are shown, the worst first."""
_UNTOLD = "the task does not tell what each item says of its figures"


@dataclass(frozen=True)
class Finding:
    """One thing that the items show.

    Attributes:
        name: its key in JSON.
        section: the rows, for text and page; without rows where the task cannot tell, which the note then says.
        json: one JSON-ready object.
    """

    name: str
    section: Table
    json: dict[str, Any]

    def to_text(self) -> str:
        """For a terminal."""
        rows = [self.section.columns, *(tuple(map(_cell, row)) for row in self.section.rows)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(self.section.columns))]
        lines = [f"{self.section.title}: {self.section.note}"]
        for row in rows if self.section.rows else ():
            lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        return "\n".join(lines)


def findings_of(evaluation: Evaluation, *, slices: bool, noise: bool) -> tuple[Finding, ...]:
    """The findings that are asked for.

    Args:
        evaluation: its ``items`` are asked once.
        slices: whether to look for the worst slices.
        noise: whether to look for wrong labels.
    """
    if not slices and not noise:
        return ()
    items = None if evaluation.items is None else evaluation.items()
    asked = ((slices, slices_finding), (noise, noise_finding))
    return tuple(finding(items) for wanted, finding in asked if wanted)


def slices_finding(items: Items | None) -> Finding:
    """The slices of the items that are worst by the main figure.

    Args:
        items: the items; ``None`` where the task does not tell them.

    Example:
        >>> slices_finding(None).section.note
        'None: the task does not tell what each item says of its figures.'
    """
    name, title, columns = "slices", "Worst slices", ("slice", "items", "figure", "interval", "from the rest", "p")
    why = _UNTOLD if items is None else cannot_slice(items)
    if items is None or why:
        return _without(name, title, columns, why)
    found = worst_slices(items.right(), items.attributes, most=MOST_SLICES)
    sign = 1.0 if items.figures[items.main].higher_is_better else -1.0
    figures = [_turned(part.figure, sign) for part in found.slices]
    overall = _turned(found.overall, sign)
    rows = tuple(_slice_row(part, figure, sign) for part, figure in zip(found.slices, figures))
    note = (
        f"By {items.main}, {overall.value:.4f} over all; the worst {len(rows)} of {found.tested} with {SUPPORT} items "
        "in them and as many outside, p-values corrected over all of them. The worst of many reads worse than it is."
    )
    plot = Forest(tuple((part.name, figure) for part, figure in zip(found.slices, figures)), reference=overall.value)
    json = {
        "figure": items.main,
        "overall": vars(overall),
        "tested": found.tested,
        "too_small": found.small,
        "slices": [
            {
                "slice": part.name,
                "n": len(part),
                "figure": vars(figure),
                "effect": vars(_turned(part.effect, sign)),
                "p_value": part.p_value,
                "adjusted_p_value": part.adjusted_p_value,
            }
            for part, figure in zip(found.slices, figures)
        ],
    }
    return Finding(name, Table(title, columns, rows, note, plot=plot if rows else None), json)


def noise_finding(items: Items | None) -> Finding:
    """The items whose labels look wrong to the model.

    Args:
        items: the items; ``None`` where the task does not tell them.
    """
    name, title = "label_noise", "Labels that look wrong"
    columns = ("item", "label", "model's answer", "chance of label", "chance of answer")
    if items is None or items.chances is None:
        why = _UNTOLD if items is None else "the task and its model give no chance of every class"
        return _without(name, title, columns, why)
    chances = items.chances
    places = np.flatnonzero(~np.isnan(chances.probabilities).any(axis=1))
    if not places.size or len(chances.classes) < 2:
        return _without(name, title, columns, "no item was answered, or there is one class alone")
    probabilities: Float64 = chances.probabilities[places].astype(np.float64)
    try:
        found = label_noise(chances.truth[places], probabilities)
    except UsageError as error:
        return _without(name, title, columns, str(error))
    rows, json = [], []
    for at, given, suggested in list(zip(found.items, found.given, found.suggested))[:MOST_LABELS]:
        labels = (chances.classes[given], chances.classes[suggested])
        sure = (float(probabilities[at, given]), float(probabilities[at, suggested]))
        rows.append((items.ids[places[at]], *labels, *sure))
        json.append(
            {"item": items.ids[places[at]], "label": labels[0], "answer": labels[1], "chances": [sure[0], sure[1]]}
        )
    shown = f", the most doubtful {len(rows)} of them" if len(rows) < len(found) else ""
    note = (
        f"{len(found)} of {len(places)} labels{shown}; a share of {found.rate:.2%} is estimated to be wrong. They are "
        "for a person to look at: the model errs too, and says nothing of items that it was trained on."
    )
    summary = {"candidates": len(found), "rate": found.rate, "items": json}
    return Finding(name, Table(title, columns, tuple(rows), note), summary)


def _without(name: str, title: str, columns: tuple[str, ...], why: str) -> Finding:
    return Finding(name, Table(title, columns, (), f"None: {why}."), {"why_none": why})


def _turned(metric: Metric, sign: float) -> Metric:
    return metric if sign > 0 else Metric(-metric.value, -metric.high, -metric.low)


def _slice_row(part: Slice, figure: Metric, sign: float) -> tuple[str | int | float, ...]:
    interval = f"[{figure.low:.4f}, {figure.high:.4f}]"
    return part.name, len(part), f"{figure.value:.4f}", interval, f"{sign * part.effect.value:+.4f}", _p(part)


def _p(part: Slice) -> str:
    return f"{part.adjusted_p_value:.4f}" if part.adjusted_p_value >= 0.0001 else f"{part.adjusted_p_value:.1e}"


def _cell(value: str | float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
