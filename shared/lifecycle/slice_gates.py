"""What slices say at the gate: none may be shown to have lost too much, or to lie below its floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from shared.evaluation.report import Evaluation
from shared.evaluation.same_items import cannot_slice, items_of
from shared.evaluation.slice_changes import changed_slices
from shared.evaluation.slices import Slice, slice_figures
from shared.lifecycle.rules import SliceRules

Row: TypeAlias = tuple[str, bool, str, dict[str, Any]]
RESAMPLES = 10_000
"""A slice's least p-value must survive the correction over all slices."""


def slice_rulings(
    challenger: Evaluation,
    champion: Evaluation | None,
    rules: SliceRules,
    *,
    alpha: float,
    rng: np.random.Generator,
) -> list[Row]:
    """Rule, whether it holds, a sentence and the numbers, of each thing that is asked of slices.

    A loss is shown where the p-value after Holm's correction over all slices is below alpha and the whole paired
    interval lies below ``-drop``. A slice is shown to lie below the general floor where its whole interval, of coverage
    1 - alpha / slices, does. A floor that is named for a slice asks for more: the lower end of its interval, of
    coverage 1 - alpha, must reach it.

    Args:
        challenger: its evaluation.
        champion: the champion's on the same items, or ``None``.
        rules: what is asked.
        alpha: error over all slices.
        rng: source of randomness.
    """
    items = items_of(challenger)
    asked = rules.floor is not None or rules.floors or (rules.drop is not None and champion is not None)
    why = cannot_slice(items)
    if not asked or why:
        missing = sorted(rules.floors) if asked else []
        return [(f"slice {name}", False, f"slice {name} cannot be seen: {why}", {}) for name in missing]
    found = [*_floors(challenger, rules, alpha)]
    if champion is not None and rules.drop is not None:
        found += _drops(challenger, champion, rules, alpha, rng)
    return found


def _floors(challenger: Evaluation, rules: SliceRules, alpha: float) -> Iterator[Row]:
    items = items_of(challenger)
    sign = 1.0 if items.figures[items.main].higher_is_better else -1.0
    plain = slice_figures(items.right(), items.attributes, support=rules.support, confidence=1 - alpha)
    if rules.floor is not None and plain.slices:
        sure = 1 - alpha / max(plain.tested, 1)
        careful = slice_figures(items.right(), items.attributes, support=rules.support, confidence=sure)
        below = [part for part in careful.slices if part.figure.high < sign * rules.floor]
        said = f"no slice of {plain.tested} is shown to lie beyond {rules.floor:g} of {items.main}"
        if below:
            named = "; ".join(f"{part.name} {_shown(part, sign)}" for part in below[:5])
            said = (
                f"{len(below)} slices of {plain.tested} lie beyond the floor {rules.floor:g} of {items.main}: {named}"
            )
        yield "slices, floor", not below, said, {"floor": rules.floor, "below": [part.name for part in below]}
    by_name = {part.name: part for part in plain.slices}
    for name, floor in rules.floors.items():
        if name not in by_name:
            said = f"slice {name} must have {rules.support} items in it and as many outside; it has not"
            yield f"slice {name}", False, said, {"floor": floor}
            continue
        part = by_name[name]
        said = f"slice {name}: {items.main} is {_shown(part, sign)} over {len(part)} items, and must reach {floor:g}"
        yield f"slice {name}", part.figure.low >= sign * floor, said, {**vars(part.figure), "floor": floor}


def _drops(
    challenger: Evaluation, champion: Evaluation, rules: SliceRules, alpha: float, rng: np.random.Generator
) -> Iterator[Row]:
    one, other = items_of(champion), items_of(challenger)
    drop, sign = float(rules.drop or 0.0), 1.0 if one.main and one.figures[one.main].higher_is_better else -1.0
    if one.main != other.main:
        yield "slices, loss", False, f"slices go by one figure in both. Got {one.main!r} and {other.main!r}", {}
        return
    changes = changed_slices(
        one.right(),
        other.right(),
        one.attributes,
        rng=rng,
        support=rules.support,
        resamples=RESAMPLES,
        confidence=1 - alpha,
    )
    lost = [part for part in changes if part.adjusted_p_value < alpha and part.difference.high < -drop]
    said = f"no slice of {len(changes)} is shown to have lost more than {drop:g} of {one.main}"
    if lost:
        named = "; ".join(
            f"{part.name} {sign * part.first:.4f} to {sign * part.second:.4f}, p = {part.adjusted_p_value:.2g}"
            for part in lost[:5]
        )
        said = f"{len(lost)} slices of {len(changes)} lost more than {drop:g} of {one.main}: {named}"
    numbers = {
        "drop": drop,
        "lost": [{"slice": part.name, "first": sign * part.first, "second": sign * part.second} for part in lost],
    }
    yield "slices, loss", not lost, said, numbers


def _shown(part: Slice, sign: float) -> str:
    ends = sorted((sign * part.figure.low, sign * part.figure.high))
    return f"{sign * part.figure.value:.4f} [{ends[0]:.4f}, {ends[1]:.4f}]"
