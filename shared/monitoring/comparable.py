"""Two profiles in the form in which their columns are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.monitoring.columns import Columns
from shared.monitoring.profile import Profile
from shared.monitoring.sketches import OTHERS

_SURE = 20
"""How many times its doubt the count of a value must be for the value to be compared by name."""


def comparable(reference: Profile, window: Profile, *, values: int = 100) -> tuple[Columns, Columns]:
    """The columns of two profiles with the same categories: what is rare in both together is counted as one.

    Which values are rare is read from both, so that it favours no side: those that are frequent in the reference alone
    would be rarer in any window, drift or none. Where a side has too many values to know each exactly, values whose
    count there is mostly doubt are rare too.

    Args:
        reference: what the window is held against.
        window: what came since.
        values: at most so many of each category by name, the most frequent of both together.
    """
    whole, part = reference.columns, window.columns
    named: dict[str, dict[str, int]] = {}
    found: dict[str, dict[str, int]] = {}
    for name, counts in whole.categories.items():
        there = part.categories.get(name, {})
        both = [one for one in (reference.categories[name], window.categories.get(name)) if one is not None]
        doubt = [_SURE * one.slack for one in both]
        pooled = {value: counts.get(value, 0) + there.get(value, 0) for value in {*counts, *there} - {OTHERS}}
        sure = [
            value
            for value in pooled
            if all(one.counts.get(value, 0) >= least for one, least in zip(both, doubt) if least)
        ]
        known = sorted(sure, key=lambda value: (-pooled[value], value))[:values]
        named[name], found[name] = _gathered(counts, known), _gathered(there, known)
    return (
        Columns(whole.n, whole.numbers, named, whole.embeddings),
        Columns(part.n, part.numbers, found, part.embeddings),
    )


def _gathered(counts: Mapping[str, int], known: Sequence[str]) -> dict[str, int]:
    kept = {value: counts[value] for value in known if value in counts}
    rest = sum(counts.values()) - sum(kept.values())
    return kept | ({OTHERS: rest} if rest else {})
