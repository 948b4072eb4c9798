"""A data set's labels in a model's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import Option

LABEL_MAP = Option("label_map", str, None, "the model's label for each of the data set's: DATA=MODEL,DATA=MODEL,...")


def parse_label_map(text: str | None) -> dict[str, str]:
    """Read ``"0=negative,1=positive"``.

    Raises:
        UsageError: it is not of that form, or names a label twice.

    Example:
        >>> parse_label_map("0=negative,1=positive")
        {'0': 'negative', '1': 'positive'}
    """
    pairs: dict[str, str] = {}
    for part in (text or "").split(",") if text else ():
        name, equals, label = (piece.strip() for piece in part.partition("="))
        if not (name and equals and label) or name in pairs:
            raise UsageError(f"a label map must read DATA=MODEL,DATA=MODEL,... Got {text!r} instead")
        pairs[name] = label
    return pairs


def match_labels(
    found: Collection[str],
    known: Sequence[str],
    *,
    given: Mapping[str, str] | None = None,
    trained: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], str]:
    """Which of a model's labels each of a data set's labels means.

    The first of these that serves every label is taken: the map that was given; equal names, case aside; the names that
    the model's training data had for them; whole numbers as positions in the model's list, from 0 where there is a 0,
    from 1 where the last number is the list's length.

    Args:
        found: the data set's labels.
        known: the model's labels, in its order.
        given: model's label by data set's label, from the user; it must serve every label that is no model's label.
        trained: model's label by training data's label, from the model's card.

    Returns:
        The map, and how it was found, for people.

    Raises:
        UnknownNameError: a given map leads to a label that the model does not have.
        DataError: nothing serves.

    Example:
        >>> match_labels({"0", "1"}, ["negative", "positive"])
        ({'0': 'negative', '1': 'positive'}, 'numbers as positions from 0')
    """
    folded = {label.casefold(): label for label in reversed(known)}
    for label in (given or {}).values():
        if label not in known:
            raise UnknownNameError("label of the model", label, known)
    own = {label: label for label in known}
    if given:
        candidates = [("as given", own | dict(given))]
    else:
        candidates = [
            ("equal names", {label: folded[label.casefold()] for label in found if label.casefold() in folded} | own),
            ("as in the model's training data", own | dict(trained or {})),
            *_positions(found, known),
        ]
    for how, table in candidates:
        if all(label in table for label in found):
            return {label: table[label] for label in sorted(found)}, how
    missing = sorted(label for label in found if label not in candidates[0][1])
    raise DataError(
        f"the data set's labels must be the model's: {', '.join(known)}. Got {', '.join(missing[:12])} instead: "
        "say what each means (--label-map 'DATA=MODEL,...')"
    )


def _positions(found: Collection[str], known: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    if not all(label.isascii() and label.isdigit() and str(int(label)) == label for label in found):
        return []
    numbers = {int(label) for label in found}
    for first in (0, 1):
        surely = 0 in numbers if first == 0 else len(known) in numbers
        if surely and min(numbers) >= first and max(numbers) < len(known) + first:
            return [(f"numbers as positions from {first}", {str(n): known[n - first] for n in numbers})]
    return []
