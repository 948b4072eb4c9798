"""Rules that say when somebody is to be told, in TOML; what they saw last stands in a small file.

::

    [[rules]]
    name = "dark pictures"
    column = "brightness"            # of the profile; left out for a statistic of the whole check
    statistic = "mean"               # a key of STATISTICS, or of WHOLE where there is no column
    below = 0.2                      # or above = ...; one of them
    windows = 3                      # in a row until it fires; 1 when not given
    severity = "critical"            # info, warning (when not given) or critical

A rule runs nothing: it is a row in the JSON of a check, a gauge, and the command's exit code. A statistic that a window
does not have (too few items, no such answer) breaks a row of windows like one within its bound.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from shared.errors import DataError, UnknownNameError, UsageError
from shared.monitoring.profile import Profile

if TYPE_CHECKING:
    from shared.monitoring.checking import Check

Severity: TypeAlias = Literal["info", "warning", "critical"]


def _drift(check: Check, window: Profile, column: str, what: str) -> float:
    found = [row[what] for row in check.drift.to_json()["columns"] if row["name"] == column]
    return float(max(found, default=math.nan) if what == "effect" else min(found, default=math.nan))


def _number(window: Profile, column: str, what: Callable[[Any], float]) -> float:
    one = window.numbers.get(column)
    return what(one) if one is not None and one.n else math.nan


STATISTICS: Mapping[str, Callable[[Check, Profile, str], float]] = MappingProxyType(
    {
        "effect": lambda check, window, column: _drift(check, window, column, "effect"),
        "p_value": lambda check, window, column: _drift(check, window, column, "adjusted"),
        "mean": lambda check, window, column: _number(window, column, lambda one: float(one.mean)),
        "median": lambda check, window, column: _number(window, column, lambda one: float(one.quantiles([0.5])[0])),
        "p95": lambda check, window, column: _number(window, column, lambda one: float(one.quantiles([0.95])[0])),
        "missing": lambda check, window, column: _number(
            window, column, lambda one: float(one.missing / (one.n + one.missing))
        ),
        "beyond": lambda check, window, column: max(
            (one.window for one in check.quality if one.column == column and one.check in ("low", "high")),
            default=math.nan,
        ),
    }
)
"""What a rule may ask of a column: the largest effect and the least adjusted p-value of its tests of drift, its mean,
median, 95th percentile, share of missing values, and share beyond a bound of quality."""
WHOLE: Mapping[str, Callable[[Check, Profile], float]] = MappingProxyType(
    {
        "items": lambda check, window: float(window.n),
        "failed": lambda check, window: window.failed / max(1, window.n + window.failed),
        "per_second": lambda check, window: window.per_second,
        "drifted_columns": lambda check, window: float(len(check.drifted)),
        "bad_checks": lambda check, window: float(sum(one.bad for one in check.quality)),
        "estimated_accuracy": lambda check, window: math.nan if check.estimate is None else check.estimate[0],
    }
)
"""What a rule may ask of a window as a whole."""


@dataclass(frozen=True)
class Rule:
    """When somebody is to be told.

    Attributes:
        name: unique among the rules.
        statistic: a key of :data:`STATISTICS`, or without a column of :data:`WHOLE`.
        column: whose statistic; ``None`` for the window as a whole.
        above: it is passed where the statistic is greater; exactly one of this and ``below`` is given.
        below: it is passed where the statistic is smaller.
        windows: how many windows in a row must pass it, at least 1.
        severity: of the alert.

    Raises:
        UsageError: a value is out of its range.
        UnknownNameError: there is no such statistic or severity.
    """

    name: str
    statistic: str
    column: str | None = None
    above: float | None = None
    below: float | None = None
    windows: int = 1
    severity: Severity = "warning"

    def __post_init__(self) -> None:
        known: Mapping[str, Any] = WHOLE if self.column is None else STATISTICS
        if self.statistic not in known:
            where = "whole windows" if self.column is None else "columns"
            raise UnknownNameError(f"statistic of {where}", self.statistic, known)
        if self.severity not in get_args(Severity):
            raise UnknownNameError("severity", self.severity, get_args(Severity))
        if (self.above is None) == (self.below is None) or self.windows < 1 or not self.name:
            raise UsageError(
                "a rule must have a name, either above or below, and windows of at least 1. "
                f"Got name={self.name!r}, above={self.above}, below={self.below}, windows={self.windows}"
            )

    def value(self, check: Check, window: Profile) -> float:
        """The statistic of a window; NaN where it has none."""
        if self.column is None:
            return WHOLE[self.statistic](check, window)
        return STATISTICS[self.statistic](check, window, self.column)

    def passed(self, value: float) -> bool:
        """Whether a value is beyond the bound; NaN is not."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)


@dataclass(frozen=True)
class Alert:
    """What a rule says of a window.

    Attributes:
        rule: its name.
        severity: its severity.
        value: of its statistic; NaN where the window has none.
        bound: that it is held against.
        row: windows in a row that passed it, this one included.
        firing: whether that is enough.
    """

    rule: str
    severity: Severity
    value: float
    bound: float
    row: int
    firing: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values; a value that is not there is ``null``."""
        return asdict(self) | {"value": self.value if math.isfinite(self.value) else None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Alert:
        """The alert that :meth:`to_json` wrote."""
        value = math.nan if row["value"] is None else float(row["value"])
        return cls(row["rule"], row["severity"], value, row["bound"], row["row"], row["firing"])


@dataclass(frozen=True)
class Rules:
    """Rules, and the file that remembers what they saw.

    Attributes:
        rules: in their order.
        state: the file; ``None`` remembers nothing, so that only rules of one window can fire.
    """

    rules: tuple[Rule, ...]
    state: Path | None = None

    def judge(self, check: Check, window: Profile, *, identity: str) -> tuple[Alert, ...]:
        """What each rule says of a window; one that was judged last is not counted again.

        Args:
            check: of the window.
            window: its profile.
            identity: what tells this window from others.

        Raises:
            UsageError: the state cannot be written.
        """
        before = self._remembered()
        again, alerts = before.get("window") == identity, []
        rows: dict[str, int] = {}
        for rule in self.rules:
            value, row = rule.value(check, window), int(before.get("rows", {}).get(rule.name, 0))
            if not again:
                row = row + 1 if rule.passed(value) else 0
            rows[rule.name] = row
            bound = rule.above if rule.above is not None else rule.below
            alerts.append(Alert(rule.name, rule.severity, value, float(bound or 0.0), row, row >= rule.windows))
        if not again:
            self._remember({"window": identity, "rows": rows})
        return tuple(alerts)

    def _remembered(self) -> dict[str, Any]:
        if self.state is None or not self.state.exists():
            return {}
        try:
            found = json.loads(self.state.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.state} must be the state of alert rules. {error}: delete it to begin anew"
            ) from error
        return found if isinstance(found, dict) else {}

    def _remember(self, state: Mapping[str, Any]) -> None:
        if self.state is None:
            return
        temporary = self.state.with_name(f"{self.state.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(state), "utf-8")
            os.replace(temporary, self.state)
        except OSError as error:
            raise UsageError(f"the state of alert rules must be a file that can be written. {error}") from error


def read_rules(path: str | Path, *, columns: Iterable[str], state: str | Path | None = None) -> Rules:
    """The rules of a TOML file; see this module's docstring.

    Args:
        path: the file.
        columns: names of the profile's columns; a rule of another is refused.
        state: the file that remembers windows; beside ``path``, with ``.state.json`` in the place of its ending, when
            not given.

    Raises:
        DataError: it cannot be read, or a rule is malformed; the message says which and lists near names.
    """
    place, known = Path(path), {"name", "statistic", "column", "above", "below", "windows", "severity"}
    try:
        table = tomllib.loads(place.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{place} must be a TOML file of alert rules. {error}") from error
    if set(table) != {"rules"} or not isinstance(table["rules"], list):
        raise DataError(f"{place} must be rows of [[rules]] and nothing else. Got {sorted(table)}")
    rules: list[Rule] = []
    for at, row in enumerate(table["rules"], 1):
        where = f"{place}: rule {at}"
        try:
            for key in row:
                if key not in known:
                    raise UnknownNameError("key of a rule", key, known)
            _check_kinds(row)
            if row.get("column") is not None and row["column"] not in set(columns):
                raise UnknownNameError("column of the profile", row["column"], columns)
            rules.append(Rule(**row))
        except (UsageError, TypeError) as error:
            raise DataError(f"{where}: {error}") from error
    if len({rule.name for rule in rules}) < len(rules):
        raise DataError(f"{place}: rules must have names of their own. Got {[rule.name for rule in rules]}")
    return Rules(tuple(rules), Path(state) if state is not None else place.with_suffix(".state.json"))


def _check_kinds(row: Mapping[str, Any]) -> None:
    kinds = {"above": (int, float), "below": (int, float), "windows": (int,)}
    for key, value in row.items():
        wanted = kinds.get(key, (str,))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise UsageError(f"{key} must be a {wanted[-1].__name__}. Got {value!r} instead")
    for key in ("name", "statistic"):
        if key not in row:
            raise UsageError(f"a rule must have {key}. Got {sorted(row)}")
