"""What a challenger must show before it may take the champion's place, as frozen data, read from TOML.

::

    alpha = 0.05                 # error of each claim
    items = 100                  # least items of the data

    [figures.accuracy]
    need = "not worse"           # or "better"
    margin = 0.01                # by how much it may be worse at most, in the figure's own unit
    floor = 0.8                  # what its interval must reach, champion or none

    [slices]
    drop = 0.0                   # a slice shown to lose more than this refuses
    floor = 0.6                  # a slice shown to lie below this refuses
    support = 30                 # items that a slice needs
    [slices.floors]
    "label = spam" = 0.8         # this slice must be there and its interval must reach this

    [latency]
    ratio = 1.5                  # of the champion's, median over the same items, measured in turns

    [size]
    ratio = 2.0                  # of the champion's bytes
    megabytes = 200

    [licence]
    allowed = ["Apache-2.0", "MIT"]
    opt_in = false               # whether a model may be one that is only chosen by name

    [labels]
    same = true                  # whether both must have one set of labels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.slicing import SUPPORT
from shared.lifecycle.tables import made, read_toml

NEEDS = ("not worse", "better")
MARGIN = 0.01
"""By how much the task's own figure may be worse where no rules are given."""
_TABLES = ("figures", "slices", "latency", "size", "licence", "labels")


@dataclass(frozen=True)
class FigureRule:
    """What one figure must show.

    Attributes:
        name: of the figure.
        need: ``"not worse"``: the paired interval of the difference lies wholly above ``-margin``; ``"better"``: above
            0, by a p-value corrected over all figures that must be better; empty for the floor alone.
        margin: of ``"not worse"``, above 0, in the figure's own unit.
        floor: what the worse end of the challenger's own interval must reach; a ceiling where lower is better.

    Raises:
        UsageError: nothing is asked, or a margin is missing or out of range.
    """

    name: str
    need: str = ""
    margin: float | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.need and self.need not in NEEDS:
            raise UnknownNameError(f"need of figure {self.name!r}", self.need, NEEDS)
        if (self.margin is not None) != (self.need == "not worse"):
            raise UsageError(f"figure {self.name!r}: 'not worse', and only that, must have a margin")
        if self.margin is not None and not self.margin > 0:
            raise UsageError(
                f"figure {self.name!r}: margin must be above 0, for no number of items shows that nothing was lost. "
                f"Got {self.margin} instead"
            )
        if not self.need and self.floor is None:
            raise UsageError(f"figure {self.name!r} must have a need or a floor. It has neither")


@dataclass(frozen=True)
class SliceRules:
    """What slices must show.

    Attributes:
        drop: what a slice may lose: one that is worse by a p-value corrected over the slices, and whose interval of the
            difference lies wholly below ``-drop``, refuses; ``None`` to not look.
        floor: a slice whose own interval, at a level corrected over the slices, lies wholly below this refuses.
        support: items that a slice needs, and as many outside it.
        floors: by name slices that must be there and whose own interval must reach the floor with its lower end.
    """

    drop: float | None = 0.0
    floor: float | None = None
    support: int = SUPPORT
    floors: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.support < 2 or (self.drop is not None and self.drop < 0):
            raise UsageError(f"[slices]: support must be at least 2, drop at least 0. Got {self.support}, {self.drop}")
        wrong = [name for name, floor in self.floors.items() if isinstance(floor, bool) or not _is_number(floor)]
        if wrong:
            raise UsageError(f"[slices.floors]: each must be a number. Got another for {', '.join(wrong)}")


@dataclass(frozen=True)
class LatencyRule:
    """How much slower a challenger may be.

    Attributes:
        ratio: of its time to the champion's on the same item, median over items, at most this.
        items: how many items are asked, at least 1.
        rounds: how often each is asked of each model, at least 1.
        inputs: where the items are read from; the data of the evaluation when empty.
        column: which column of a table holds them; the first that is known when empty.
    """

    ratio: float
    items: int = 50
    rounds: int = 3
    inputs: str = ""
    column: str = ""

    def __post_init__(self) -> None:
        if not self.ratio > 0 or self.items < 1 or self.rounds < 1:
            raise UsageError("[latency]: ratio must be above 0, items and rounds at least 1")


@dataclass(frozen=True)
class SizeRule:
    """How large a challenger may be.

    Attributes:
        ratio: of its bytes to the champion's, at most this.
        megabytes: 1,000,000 bytes each, at most so many.
    """

    ratio: float | None = None
    megabytes: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.ratio, self.megabytes) if value is not None]
        if not given or min(given) <= 0:
            raise UsageError("[size] must have ratio or megabytes, above 0")


@dataclass(frozen=True)
class LicenceRule:
    """Whose licence will do.

    Attributes:
        allowed: SPDX identifiers; any when empty.
        opt_in: whether a model may be one that its card lets nobody take by default.
    """

    allowed: tuple[str, ...] = ()
    opt_in: bool = False


@dataclass(frozen=True)
class LabelRule:
    """Whose labels will do.

    Attributes:
        same: whether challenger and champion must have one set of labels.
    """

    same: bool = True


@dataclass(frozen=True)
class Rules:
    """All that is asked.

    Attributes:
        figures: at least one where given from a file; empty takes the task's own first figure, not worse by
            :data:`MARGIN`.
        slices: of slices.
        latency: ``None`` to not measure.
        size: ``None`` for any.
        licence: of licences; models that are only chosen by name are refused unless it says otherwise.
        labels: of labels.
        alpha: error of each claim, in (0, 0.5).
        items: the data must have at least so many.

    Raises:
        UsageError: a number is out of its range.
    """

    figures: tuple[FigureRule, ...] = ()
    slices: SliceRules = SliceRules()
    latency: LatencyRule | None = None
    size: SizeRule | None = None
    licence: LicenceRule = LicenceRule()
    labels: LabelRule = LabelRule()
    alpha: float = 0.05
    items: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5 or self.items < 2:
            raise UsageError(
                f"alpha must lie in (0, 0.5) and items be at least 2. Got alpha={self.alpha}, items={self.items}"
            )

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        parts = {name: None if (part := getattr(self, name)) is None else vars(part) for name in _TABLES[1:]}
        parts["slices"] = vars(self.slices) | {"floors": dict(self.slices.floors)}
        parts["licence"] = vars(self.licence) | {"allowed": list(self.licence.allowed)}
        return {"alpha": self.alpha, "items": self.items, "figures": [vars(rule) for rule in self.figures], **parts}


def read_rules(path: Path) -> Rules:
    """Rules from a TOML file.

    Raises:
        DataError: the file is not there or no TOML.
        UsageError: a key or a value is wrong.
    """
    return rules_of(read_toml(path, "the rules of a gate"))


def rules_of(table: Mapping[str, Any]) -> Rules:
    """Rules from the tables of a TOML file.

    Example:
        >>> rules_of({"figures": {"accuracy": {"need": "not worse", "margin": 0.02}}}).figures[0].margin
        0.02
    """
    head = {name: value for name, value in table.items() if name not in _TABLES}
    figures = table.get("figures", {})
    if not isinstance(figures, Mapping):
        raise UsageError(f"[figures] must hold a table a figure, [figures.NAME]. Got {figures!r} instead")
    parts: dict[str, Any] = {
        "figures": tuple(made(FigureRule, row, what=f"[figures.{name}]", name=name) for name, row in figures.items())
    }
    owners = {"slices": SliceRules, "latency": LatencyRule, "size": SizeRule, "licence": LicenceRule}
    owners |= {"labels": LabelRule}
    for name in _TABLES[1:]:
        parts[name] = made(owners[name], table[name], what=f"[{name}]") if name in table else getattr(Rules(), name)
    return made(Rules, head, what="the rules of a gate", **parts)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
