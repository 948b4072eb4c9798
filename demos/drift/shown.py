"""What the page of drift says of a window, in a line and in a table."""

from __future__ import annotations

import numpy as np

from demos.drift.worlds import Checked
from demos.tables import Cell, table
from shared.monitoring.drift import THRESHOLDS, ColumnDrift


def line(found: Checked) -> str:
    """What is said of a window in a line: names come from a visitor's file, so none of them may be markup."""
    drift = found.drift
    named = drift.drifted[:3]
    more = f" and {len(drift.drifted) - 3} more" if len(drift.drifted) > 3 else ""
    names = ", ".join(named).replace("<", "&lt;").replace("`", "'").replace("![", "[").replace("](", "] (")
    told = f"**Alarm: {names}{more} drifted.**" if drift.alarm else "**No alarm.**"
    said = (
        f"{told} {drift.n_window} items held against {drift.n_reference}; of windows without any change at most "
        f"{drift.rate:.2%} alarm"
    )
    if found.estimate is None or found.truth is None:
        return said
    low, high = found.estimate.low, found.estimate.high
    return (
        f"{said}. **Accuracy, estimated without a label: {found.estimate.value:.0%}** ({low:.0%} to {high:.0%}); "
        f"by the labels that stand here for late ones it is {found.truth:.0%}"
    )


def table_of(found: Checked) -> str:
    """What each test says, as a table: what drifted first."""
    rows = sorted(found.drift.columns, key=lambda one: (not one.drifted, one.adjusted, -one.effect))
    columns = ["Column", "Reference, window", "Effect", "p among all", "Now"]
    return table("What each test of each column says", columns, [_row(one, found) for one in rows])


def _row(one: ColumnDrift, found: Checked) -> list[Cell | str]:
    return [
        Cell(one.name, soft=one.test),
        Cell(_middle(one.name, found)),
        Cell(f"{one.effect:.3f}", soft=f"counts from {THRESHOLDS[one.test]:g}", tag="number"),
        Cell(f"{one.adjusted:.2g}", tag="number"),
        Cell("drifted", tag="tag yes") if one.drifted else Cell("stays", tag="tag"),
    ]


def _middle(name: str, found: Checked) -> str:
    """Medians of a number, or the category whose share moved most."""
    both = (found.reference, found.window)
    if name in found.reference.numbers:
        one, other = (float(np.nanmedian(side.numbers[name])) for side in both)
        return f"{one:.3g}, then {other:.3g}"
    if name not in found.reference.categories:
        return "whole vectors"
    shares = [
        {value: count / max(1, sum(side.categories[name].values())) for value, count in side.categories[name].items()}
        for side in both
    ]
    moved = max({**shares[0], **shares[1]}, key=lambda value: abs(shares[0].get(value, 0) - shares[1].get(value, 0)))
    return f"{moved}: {shares[0].get(moved, 0):.0%}, then {shares[1].get(moved, 0):.0%}"
