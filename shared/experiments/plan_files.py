"""Plans of experiments as TOML.

::

    [layers.ranking]                # experiments of one layer never share a unit; exclusive = false lets them
    [holdouts]
    global = 0.05                   # of all units; no experiment gets them

    [experiments.new-ranker]
    layer = "ranking"
    traffic = 0.4                   # its room: a share of the layer
    arms = { control = 0.5, treatment = 0.5 }
    sticky = true
    steps = [
      { at = 2026-03-02, share = 0.1 },
      { at = 2026-03-09T12:00:00Z, share = 1.0, weights = { control = 0.2, treatment = 0.8 } },
    ]

    [experiments.fresh-first]
    layer = "ranking"
    start = 0.4                     # where its room begins
    traffic = 0.6
    arms = { control = "1/3", day = "1/3", week = "1/3" }

The keys are the attributes of :mod:`shared.experiments.definition`. Shares are numbers, or fractions as text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.experiments.definition import Arm, Experiment, Holdout, Layer, Plan, Step

_LAYER: dict[str, type] = {"exclusive": bool, "salt": str}
_HOLDOUT: dict[str, type] = {"share": float, "salt": str}
_EXPERIMENT: dict[str, type] = {
    "arms": dict,
    "salt": str,
    "layer": str,
    "traffic": float,
    "start": float,
    "holdouts": list,
    "steps": list,
    "sticky": bool,
}
_STEP: dict[str, type] = {"at": date, "share": float, "weights": dict}


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file.

    Raises:
        DataError: it cannot be read, is no TOML, or does not describe experiments; the message says where.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise DataError(f"{path} must be a TOML file of experiments. {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}") from error
    return parse_plan(text, origin=str(path))


def parse_plan(text: str, *, origin: str = "the plan") -> Plan:
    r"""The plan in a TOML text.

    Args:
        text: see the module's head.
        origin: where it comes from, for messages.

    Raises:
        DataError: it is no TOML, or does not describe experiments; the message says where.

    Example:
        >>> plan = parse_plan('[experiments.page]\narms = { old = 0.5, new = 0.5 }')
        >>> plan.experiments[0].arm_names
        ('old', 'new')
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{origin} must be TOML. {error}") from error
    parts = _table(table, {"experiments": dict, "layers": dict, "holdouts": dict}, origin, needed=("experiments",))
    experiments, layers, holdouts = (parts.get(name, {}) for name in ("experiments", "layers", "holdouts"))
    if not experiments:
        raise DataError(f"{origin} must describe at least one experiment, as a table [experiments.NAME]. It has none")
    try:
        return Plan(
            tuple(_experiment(name, row, origin) for name, row in experiments.items()),
            tuple(Layer(name, **_table(row, _LAYER, f"{origin}: layer {name!r}")) for name, row in layers.items()),
            tuple(_holdout(name, row, origin) for name, row in holdouts.items()),
        )
    except UsageError as error:
        raise DataError(f"{origin}: {error}") from error


def _experiment(name: str, row: Any, origin: str) -> Experiment:
    where = f"{origin}: experiment {name!r}"
    values = _table(row, _EXPERIMENT, where, needed=("arms",))
    arms = _shares(values.pop("arms"), f"{where}: arms")
    steps = [_step(step, f"{where}: step {number}") for number, step in enumerate(values.pop("steps", []), 1)]
    if "holdouts" in values:
        values["holdouts"] = tuple(values["holdouts"])
        if not all(isinstance(one, str) for one in values["holdouts"]):
            raise DataError(f"{where}: holdouts must be a list of names. Got {list(values['holdouts'])} instead")
    return Experiment(name, tuple(Arm(arm, weight) for arm, weight in arms.items()), steps=tuple(steps), **values)


def _holdout(name: str, row: Any, origin: str) -> Holdout:
    where = f"{origin}: holdout {name!r}"
    if not isinstance(row, dict):
        row = {"share": row}
    return Holdout(name, **_table(row, _HOLDOUT, where, needed=("share",)))


def _step(row: Any, where: str) -> Step:
    values = _table(row, _STEP, where, needed=("at",))
    at = values.pop("at")
    if "weights" in values:
        values["weights"] = _shares(values["weights"], f"{where}: weights")
    return Step(at if isinstance(at, datetime) else datetime.combine(at, time()), **values)


def _table(row: Any, kinds: Mapping[str, type], where: str, *, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """A table whose keys are known and of the right kind; shares as floats."""
    if not isinstance(row, dict):
        raise DataError(f"{where} must be a table. Got {row!r} instead")
    unknown, missing = sorted(set(row) - set(kinds)), sorted(set(needed) - set(row))
    if unknown or missing:
        raise DataError(f"{where}: missing keys {missing}, unknown keys {unknown}. Known: {sorted(kinds)}")
    values = {key: _share(value, f"{where}: {key}") if kinds[key] is float else value for key, value in row.items()}
    for key, value in values.items():
        if not isinstance(value, kinds[key]):
            raise DataError(f"{where}: {key} must be a {kinds[key].__name__}. Got {value!r} instead")
    return values


def _shares(row: Any, where: str) -> dict[str, float]:
    if not isinstance(row, dict):
        raise DataError(f"{where} must be a table of names and weights. Got {row!r} instead")
    return {name: _share(value, f"{where}: {name}") for name, value in row.items()}


def _share(value: Any, where: str) -> float:
    try:
        if isinstance(value, str):
            return float(Fraction(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, ZeroDivisionError):
        pass
    raise DataError(f"{where} must be a number, or a fraction as text such as '1/3'. Got {value!r} instead")
