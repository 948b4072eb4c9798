"""How a column's values lie in reference and window, in a few numbers: what a report draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.monitoring.profile import Profile
from shared.monitoring.sketches import OTHERS, NumberSketch

BINS, VALUES = 24, 12
_MIDDLE = (0.5, 0.05, 0.95)


@dataclass(frozen=True)
class Shape:
    """A column of both sides.

    Attributes:
        name: of the column.
        kind: ``"number"`` or ``"category"``.
        marks: edges of the bins of a number, one more than shares; values of a category.
        reference: share of the reference in each bin or of each value, in [0, 1].
        window: the same of the window.
        facts: figures of both by name, the reference's first, such as medians.
    """

    name: str
    kind: str
    marks: tuple[float | str, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]
    facts: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        facts = {name: list(both) for name, both in self.facts.items()}
        return {
            "name": self.name,
            "kind": self.kind,
            "marks": list(self.marks),
            "reference": list(self.reference),
            "window": list(self.window),
            "facts": facts,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Shape:
        """The shape that :meth:`to_json` wrote."""
        facts = {name: (both[0], both[1]) for name, both in row["facts"].items()}
        marks, before, after = (tuple(row[name]) for name in ("marks", "reference", "window"))
        return cls(str(row["name"]), str(row["kind"]), marks, before, after, facts)


def shapes(reference: Profile, window: Profile) -> tuple[Shape, ...]:
    """The shape of every column that both have values of, numbers first."""
    found = [
        _number(name, one, window.numbers[name])
        for name, one in reference.numbers.items()
        if one.n and name in window.numbers and window.numbers[name].n
    ]
    for name, one in reference.categories.items():
        there = window.categories.get(name)
        if one.n and there is not None and there.n:
            found.append(_category(name, one.counts, there.counts))
    return tuple(found)


def _number(name: str, before: NumberSketch, after: NumberSketch) -> Shape:
    """Bins of equal width over what both have between their 1st and 99th percentile; the outermost take the rest."""
    ends = np.concatenate([before.quantiles([0.01, 0.99]), after.quantiles([0.01, 0.99])])
    low, high = float(ends.min()), float(ends.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = []
    for one in (before, after):
        below = np.concatenate([[0.0], one.below(edges[1:-1].tolist()), [1.0]])
        shares.append(tuple(round(float(share), 5) for share in np.maximum(0.0, np.diff(below))))
    facts = {"mean": (before.mean, after.mean)}
    for label, level in zip(("median", "5 %", "95 %"), _MIDDLE):
        facts[label] = (float(before.quantiles([level])[0]), float(after.quantiles([level])[0]))
    missing = tuple(one.missing / (one.n + one.missing) for one in (before, after))
    if any(missing):
        facts["missing"] = (missing[0], missing[1])
    marks = tuple(float(edge) for edge in edges)
    return Shape(name, "number", marks, shares[0], shares[1], {k: v for k, v in facts.items() if _finite(v)})


def _category(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> Shape:
    """The values that are most frequent in either, and the rest as one."""
    n, m = max(1, sum(before.values())), max(1, sum(after.values()))
    weight = {value: before.get(value, 0) / n + after.get(value, 0) / m for value in {*before, *after} - {OTHERS}}
    kept = sorted(weight, key=lambda value: (-weight[value], value))[:VALUES]
    shares = [[counts.get(value, 0) / total for value in kept] for counts, total in ((before, n), (after, m))]
    rest = [max(0.0, 1 - sum(part)) for part in shares]
    marks = list(kept)
    if max(rest) > 1e-9:
        marks.append(OTHERS)
        shares = [[*part, left] for part, left in zip(shares, rest)]
    facts = {"values": (float(len(before)), float(len(after)))}
    rounded = [tuple(round(share, 5) for share in part) for part in shares]
    return Shape(name, "category", tuple(marks), rounded[0], rounded[1], facts)


def _finite(both: tuple[float, float]) -> bool:
    return all(math.isfinite(value) for value in both)
