"""What a search of options chooses from: a file of TOML, checked against what the task's training takes.

::

    metric = "accuracy"            a figure of `triptych evaluate TASK`
    direction = "maximize"         or "minimize"; known by itself for the suite's own metrics

    [space]
    estimator = ["svm", "logistic"]                  one of several values
    c = { low = 0.01, high = 100.0, log = true }     a range, both ends in it; whole numbers where the option is whole

    [fixed]                        options of every trial, as `triptych train TASK` takes them
    method = "tfidf"

    [evaluate]                     options of every evaluation, as `triptych evaluate TASK` takes them
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.metrics import METRICS
from shared.tasks import Option, Task

Direction: TypeAlias = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")
LOWER = frozenset({"rmse", "mae", "mse", "ter", "eer", "calibration_error", "log_loss", "brier", "perplexity"})
"""Figures of evaluations that are better when lower and whose names do not say so."""
SEED = "seed"
"""The option of a training that the search sets itself."""
OF_THE_MACHINE = frozenset({"threads", "device"})
"""Options that may be fixed and not searched: they change no model."""
_KEYS = {"metric", "direction", "space", "fixed", "evaluate"}


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes:
        low: the least.
        high: the greatest.
        log: whether equal ratios are equally likely, rather than equal differences.
        whole: whether only whole numbers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise UsageError(
                f"a range must have low < high, and 0 < low where it is log. Got {self.low} to {self.high}"
            )


Space: TypeAlias = Mapping[str, Range | tuple[Any, ...]]
"""For each option a range, or the values to choose from."""


@dataclass(frozen=True)
class Wanted:
    """What a search looks for.

    Attributes:
        metric: a figure of the task's evaluation.
        direction: whether more or less of it is better.
        space: what is chosen from.
        fixed: options of every training.
        evaluate: options of every evaluation.
    """

    metric: str
    direction: Direction
    space: Space
    fixed: Mapping[str, Any]
    evaluate: Mapping[str, Any]


def read_space(path: Path, task: Task) -> Wanted:
    """Read a file of what to choose from; see this module's docstring.

    Raises:
        DataError: it is no TOML, or of another form.
        UnknownNameError: it names an option that the task does not have; the message lists near ones.
        UsageError: a value does not fit its option.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} must be TOML that says what to search. {error}") from error
    return check_space(table, task, origin=str(path))


def check_space(table: Mapping[str, Any], task: Task, *, origin: str = "the space") -> Wanted:
    """What a table of :mod:`this form <shared.lifecycle.space>` asks for.

    Args:
        table: as TOML gives it.
        task: whose training is searched.
        origin: where the table came from, for messages.

    Raises:
        DataError: the table is of another form.
        UnknownNameError: it names an option that the task does not have.
        UsageError: a value does not fit its option.

    Example:
        >>> from shared.tasks import Task
        >>> toy = Task("test.toy", "", "text", print, train=dict, train_options=(Option("c", float, 1.0, ""),))
        >>> check_space({"metric": "accuracy", "space": {"c": {"low": 0.1, "high": 10.0}}}, toy).space["c"]
        Range(low=0.1, high=10.0, log=False, whole=False)
    """
    for name in table:
        if name not in _KEYS:
            raise UnknownNameError(f"part of {origin}", name, _KEYS)
    metric, space = table.get("metric"), table.get("space")
    if not isinstance(metric, str) or not metric:
        raise DataError(f'{origin} must name the figure to search for: metric = "accuracy". Got {metric!r} instead')
    if not isinstance(space, Mapping) or not space:
        raise DataError(f"{origin} must have a table [space] with at least one option. Got {space!r:.60} instead")
    known = {option.name: option for option in task.train_options}
    free = {name: option for name, option in known.items() if name != SEED}
    machine = sorted(OF_THE_MACHINE & set(space))
    if machine:
        raise UsageError(f"{machine[0]} is of the machine and not of the model: give it in [fixed]")
    chosen = {
        name: _wanted(_option(name, free, f"option of training {task.name}"), value) for name, value in space.items()
    }
    fixed = _values(table, "fixed", free, f"option of training {task.name}", origin)
    both = sorted(set(fixed) & set(chosen))
    if both:
        raise UsageError(f"{origin}: an option is searched or fixed, not both. Got {', '.join(both)} in both")
    judging = {option.name: option for option in (*task.options, *task.evaluate_options)}
    evaluate = _values(table, "evaluate", judging, f"option of evaluating {task.name}", origin)
    return Wanted(metric, direction_of(metric, table.get("direction")), chosen, fixed, evaluate)


def direction_of(metric: str, said: object = None) -> Direction:
    """Whether more or less of a figure is better, where nothing is said of it.

    Raises:
        UnknownNameError: what is said is neither.

    Example:
        >>> direction_of("f1"), direction_of("rmse"), direction_of("log_loss"), direction_of("mine", "minimize")
        ('maximize', 'minimize', 'minimize', 'minimize')
    """
    if said is not None:
        for known in DIRECTIONS:
            if said == known:
                return known
        raise UnknownNameError("direction", str(said), DIRECTIONS)
    plain = metric.partition("@")[0]
    card = METRICS.get(metric)
    lower = plain in LOWER or plain.endswith(("_error", "_loss")) or (card is not None and card.better == "lower")
    return "minimize" if lower else "maximize"


def defaults(space: Space, options: Iterable[Option]) -> dict[str, Any]:
    """The trainer's own value of each searched option, where it states one that may be chosen.

    Example:
        >>> defaults({"c": Range(0.1, 10)}, [Option("c", float, 1.0, "")])
        {'c': 1.0}
    """
    own = {option.name: option.default for option in options}
    return {name: own[name] for name, wanted in space.items() if holds(wanted, own.get(name))}


def holds(wanted: Range | tuple[Any, ...], value: Any) -> bool:
    """Whether a value may be chosen."""
    if isinstance(wanted, tuple):
        return value in wanted
    return isinstance(value, int | float) and not isinstance(value, bool) and wanted.low <= value <= wanted.high


def _option(name: str, known: Mapping[str, Option], what: str) -> Option:
    if name == SEED:
        raise UsageError("the seed is set by the search itself: give it to the command (--seed)")
    if name not in known:
        raise UnknownNameError(what, name, known)
    return known[name]


def _wanted(option: Option, value: Any) -> Range | tuple[Any, ...]:
    if option.multiple:
        raise UsageError(f"{option.name} takes several values at once, which is not searched: give it in [fixed]")
    if isinstance(value, list) and value:
        return tuple(_checked(option, one) for one in value)
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if option.type not in (int, float) or not isinstance(log, bool):
            raise UsageError(f"{option.name} must be searched among values, for it is no number: {option.name} = [...]")
        return Range(_checked(option, low), _checked(option, high), log, option.type is int)
    raise UsageError(
        f"space.{option.name} must be a list of values, or {{ low = ..., high = ..., log = true }}. "
        f"Got {value!r:.80} instead"
    )


def _values(table: Mapping[str, Any], part: str, known: Mapping[str, Option], what: str, origin: str) -> dict[str, Any]:
    rows = table.get(part, {})
    if not isinstance(rows, Mapping):
        raise DataError(f"{origin}: {part} must be a table of options. Got {rows!r:.60} instead")
    found: dict[str, Any] = {}
    for name, value in rows.items():
        option = _option(name, known, what)
        if option.multiple:
            parts = value if isinstance(value, list) else [value]
            found[name] = [_checked(option, one) for one in parts]
        else:
            found[name] = _checked(option, value)
    return found


def _checked(option: Option, value: Any) -> Any:
    """The value as the option's type; a whole number serves where a float is wanted."""
    if option.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not option.type:
        raise UsageError(f"{option.name} must be of type {option.type.__name__}. Got {value!r} instead")
    return value
