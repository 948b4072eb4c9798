"""Class names of other libraries as a card writes them."""

from __future__ import annotations

from collections.abc import Sequence

from vision.labels import LABEL_SETS, label_set

_SAME = 0.9
"""Share of the classes that must have a shipped table's own names for the table to stand for them all; the rest are
spelled otherwise, as ImageNet's two cranes are."""


def labels_option(names: Sequence[str]) -> str | list[str]:
    """What a card's ``labels`` says of classes by position: a shipped table of the same classes, or the names.

    Synonyms, after a comma, do not count.

    Example:
        >>> labels_option(["cat", "", "dog"])
        ['cat', '', 'dog']
    """
    short = [name.partition(",")[0].strip() for name in names]
    for table in LABEL_SETS:
        known = label_set(table).names
        wanted = [known.get(number, "") for number in range(len(names))]
        same = sum(a.casefold() == b.casefold() for a, b in zip(short, wanted))
        if max(known) < len(names) and same >= _SAME * len(names) and _fits(short, wanted):
            return table
    return list(names)


def _fits(names: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the two have names at the same numbers."""
    return all(bool(a) == bool(b) for a, b in zip(names, wanted))
