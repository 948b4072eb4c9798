"""Whether the items of a window are fit to be answered: bounds out of the reference, exceeded more often than there.

What counts as too dark, too blurred or too long is read from the reference: beyond its outermost :data:`TAIL` of
values on the side that matters (:data:`BOUNDS`). A window is at fault where a larger share of it lies beyond than
chance explains (Fisher's exact test, one-sided, on both samples; Holm over all checks) and by more than
:data:`MARGIN`. Items that fail, and columns that are gone, are checked alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from shared.evaluation.paired import adjusted_p_values
from shared.lazy import require
from shared.monitoring.profile import Profile
from shared.types import AnyArray

TAIL = 0.01
"""Share of the reference that lies beyond a bound."""
MARGIN = 0.02
"""By how much the window's share must be above the reference's."""
BOUNDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "brightness": {"low": "too dark", "high": "too bright"},
        "contrast": {"low": "without contrast"},
        "saturated": {"high": "over- or underexposed"},
        "sharpness": {"low": "blurred"},
        "width": {"low": "too narrow", "high": "too wide"},
        "height": {"low": "too low", "high": "too tall"},
        "characters": {"low": "too short", "high": "too long"},
        "unusual": {"high": "full of characters that are no text"},
        "foreign_letters": {"high": "in another script"},
        "language_score": {"low": "in no language that is known"},
        "unknown_items": {"high": "with items that the model does not know"},
        "seen_rank": {"low": "of more popular items", "high": "of rarer items"},
    }
)
"""What an item beyond a bound is called, by column and side; a task's profile has some of these columns."""
_GONE = "without this column"
NEW: Mapping[str, str] = MappingProxyType({"language": "in a language that the reference has not"})
"""What an item with a value of a category that the reference lacks is called."""


@dataclass(frozen=True)
class Quality:
    """One check of a window.

    Attributes:
        column: what was looked at; ``"items"`` for failures.
        check: ``"low"``, ``"high"``, ``"new"``, ``"absent"`` or ``"failed"``.
        meaning: what items that are counted are called.
        bound: value beyond which they are counted; ``None`` where there is none.
        reference: their share of the reference, in [0, 1].
        window: their share of the window, in [0, 1].
        p_value: that chance alone gives the window so many, in [0, 1].
        adjusted: the same among all checks.
        bad: whether the window is at fault.
    """

    column: str
    check: str
    meaning: str
    bound: float | None
    reference: float
    window: float
    p_value: float
    adjusted: float = 1.0
    bad: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


def quality(reference: Profile, window: Profile, *, rate: float = 0.01, margin: float = MARGIN) -> tuple[Quality, ...]:
    """Check the items of a window.

    Args:
        reference: says where the bounds lie.
        window: what came since.
        rate: chance of calling any check bad where nothing has changed, in (0, 1), over all of them together.
        margin: by how much a share must have grown to be called bad, in [0, 1).

    Example:
        >>> import numpy as np
        >>> from shared.monitoring.profile import ProfileBuilder
        >>> from shared.monitoring.signals import Observed
        >>> rng, profiles = np.random.default_rng(0), []
        >>> for light in (0.5, 0.3):
        ...     builder = ProfileBuilder("vision.faces", rng)
        ...     builder.add(Observed({"brightness": float(x)}) for x in rng.normal(light, 0.1, 500))
        ...     profiles.append(builder.done())
        >>> [(one.meaning, one.bad) for one in quality(*profiles)]
        [('failed', False), ('too dark', True), ('too bright', False)]
    """
    found = [_failures(reference, window), *_absent(reference, window)]
    found += [*_beyond(reference, window), *_new(reference, window)]
    corrected = adjusted_p_values({str(at): one.p_value for at, one in enumerate(found)})
    adjusted = [corrected[str(at)] for at in range(len(found))]
    return tuple(
        replace(one, adjusted=p, bad=p <= rate and one.window - one.reference > margin)
        for one, p in zip(found, adjusted)
    )


def _failures(reference: Profile, window: Profile) -> Quality:
    before, after = (reference.failed, reference.n + reference.failed), (window.failed, window.n + window.failed)
    return _judged("items", "failed", "failed", before=before, after=after)


def _absent(reference: Profile, window: Profile) -> Iterator[Quality]:
    """Columns that are gone altogether; for those that are rarer than before there are tests of drift."""
    for name, one in reference.numbers.items():
        there = window.numbers.get(name)
        if one.n and window.n and (there is None or not there.n):
            without, all_of_it = (one.missing, reference.n), (window.n, window.n)
            yield _judged(name, "absent", _GONE, before=without, after=all_of_it)
    for name, category in reference.categories.items():
        if category.n and window.n and name not in window.categories:
            without = (reference.n - category.n, reference.n)
            yield _judged(name, "absent", _GONE, before=without, after=(window.n, window.n))


def _beyond(reference: Profile, window: Profile) -> Iterator[Quality]:
    for name, sides in BOUNDS.items():
        before, after = _sampled(reference, name), _sampled(window, name)
        if not len(before) or not len(after):
            continue
        for side, meaning in sides.items():
            if side == "low":
                bound = float(np.quantile(before, TAIL, method="lower"))
                counts = [int((values < bound).sum()) for values in (before, after)]
            else:
                bound = float(np.quantile(before, 1 - TAIL, method="higher"))
                counts = [int((values > bound).sum()) for values in (before, after)]
            shares = (counts[0], len(before)), (counts[1], len(after))
            yield _judged(name, side, meaning, before=shares[0], after=shares[1], bound=bound)


def _new(reference: Profile, window: Profile) -> Iterator[Quality]:
    for name, meaning in NEW.items():
        before, after = reference.categories.get(name), window.categories.get(name)
        if before is None or after is None or not before.n or not after.n or not before.exact:
            continue
        new = sum(count for value, count in after.counts.items() if value not in before.counts)
        # A value seen once might as well not have been: such stand for what is still unseen (Good, 1953)
        once = sum(count == 1 for count in before.counts.values())
        yield _judged(name, "new", meaning, before=(once, before.n), after=(new, after.n))


def _sampled(profile: Profile, name: str) -> AnyArray:
    values = profile.sample.columns.get(name, np.zeros(0))
    return values[np.isfinite(values)]


def _judged(
    column: str,
    check: str,
    meaning: str,
    *,
    before: tuple[int, int],
    after: tuple[int, int],
    bound: float | None = None,
) -> Quality:
    (a, m), (b, n) = before, after
    # Fisher's exact test: of a + b such items among m + n, n drawn at random would hold b or more.
    p_value = float(require("scipy.stats", extra="all").hypergeom.sf(b - 1, m + n, a + b, n)) if b else 1.0
    shares = (a / m if m else 0.0, b / n if n else 0.0)
    return Quality(column, check, meaning, bound, *shares, p_value)
