"""What an experiment is: arms and their weights, the part of a layer that it has, and how both change with time.

Layers and rooms follow D. Tang et al., "Overlapping experiment infrastructure: more, better, faster experimentation",
KDD 2010. Experiments of one exclusive layer never share a unit: each has a room of its own in it. Experiments of
different layers are independent, and so are those of a layer that is not exclusive, or that name no layer. A holdout
is a share of all units that no experiment gets, unless it says that it does not heed that holdout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType

from shared.errors import UnknownNameError, UsageError

TOLERANCE = 1e-9
"""How far weights may be from a sum of 1."""
_DIGITS = 12


@dataclass(frozen=True)
class Arm:
    """One way to treat a unit.

    Attributes:
        name: of the arm.
        weight: share of the experiment's units that it gets, in [0, 1]. An arm of weight 0 is one that a step adds.
    """

    name: str
    weight: float

    def __post_init__(self) -> None:
        check_name("an arm", self.name)
        check_share(f"the weight of arm {self.name!r}", self.weight)


@dataclass(frozen=True)
class Step:
    """From one moment on the experiment has another share of its room, or other weights.

    Attributes:
        at: when it begins; a time without a zone is UTC.
        share: of the experiment's room that is in from then on, in [0, 1]; the share before when not given.
        weights: of every arm from then on; the weights before when not given.
    """

    at: datetime
    share: float | None = None
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", in_utc(self.at))
        if self.share is None and self.weights is None:
            raise UsageError(f"the step at {self.at.isoformat()} must change share or weights. It changes neither")
        if self.share is not None:
            check_share(f"the share of the step at {self.at.isoformat()}", self.share)
        if self.weights is not None:
            object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))


@dataclass(frozen=True)
class Layer:
    """A way to divide all units among experiments.

    Attributes:
        name: of the layer.
        exclusive: whether its experiments never share a unit. Otherwise each draws on its own.
        salt: what its units are hashed with; its name when empty.
    """

    name: str
    exclusive: bool = True
    salt: str = ""

    def __post_init__(self) -> None:
        check_name("a layer", self.name)
        object.__setattr__(self, "salt", self.salt or self.name)


@dataclass(frozen=True)
class Holdout:
    """A share of all units that no experiment gets, to see what all experiments do together.

    Attributes:
        name: of the holdout.
        share: of all units, in [0, 1].
        salt: what its units are hashed with; its name when empty.
    """

    name: str
    share: float
    salt: str = ""

    def __post_init__(self) -> None:
        check_name("a holdout", self.name)
        check_share(f"the share of holdout {self.name!r}", self.share)
        object.__setattr__(self, "salt", self.salt or self.name)


@dataclass(frozen=True)
class Experiment:
    """An experiment as it is planned, with every later change of it.

    Attributes:
        name: of the experiment.
        arms: at least 2, with weights that sum to 1.
        salt: what its units are hashed with; its name when empty. Another salt draws everything anew.
        layer: name of its layer; one of its own when not given.
        traffic: the room that it has in its layer: a share of the layer's units, in (0, 1].
        start: where in an exclusive layer its room begins, in [0, 1); rooms must not overlap.
        holdouts: names of those that it heeds; all when not given.
        steps: changes in the order of their times. Shares only grow, so that who is in stays in.
        sticky: whether a stored assignment wins, see :func:`shared.experiments.assignment.assign`.
    """

    name: str
    arms: tuple[Arm, ...]
    salt: str = ""
    layer: str | None = None
    traffic: float = 1.0
    start: float = 0.0
    holdouts: tuple[str, ...] | None = None
    steps: tuple[Step, ...] = ()
    sticky: bool = False

    def __post_init__(self) -> None:
        check_name("an experiment", self.name)
        object.__setattr__(self, "salt", self.salt or self.name)
        object.__setattr__(self, "arms", tuple(self.arms))
        object.__setattr__(self, "steps", tuple(self.steps))
        where = f"experiment {self.name!r}"
        check_once(f"arms of {where}", [arm.name for arm in self.arms])
        if len(self.arms) < 2:
            raise UsageError(f"{where} must have at least 2 arms. Got {len(self.arms)} instead")
        check_weights(where, {arm.name: arm.weight for arm in self.arms})
        check_share(f"traffic of {where}", self.traffic)
        check_share(f"start of {where}", self.start)
        if self.traffic == 0 or self.room[1] > 1:
            raise UsageError(
                f"the room of {where} must lie within its layer: traffic above 0, and start + traffic at most 1. "
                f"Got start={self.start} and traffic={self.traffic} instead"
            )
        self._check_steps(where)

    def _check_steps(self, where: str) -> None:
        times = [step.at for step in self.steps]
        if any(after <= before for before, after in pairwise(times)):
            raise UsageError(f"the steps of {where} must follow one another in time. Got {_listed(times)} instead")
        shares = [step.share for step in self.steps if step.share is not None]
        if any(after < before for before, after in pairwise(shares)):
            raise UsageError(
                f"the shares of the steps of {where} must not fall, for that would throw units out. Got {shares} "
                "instead: begin an experiment of another name"
            )
        known = self.arm_names
        for step in self.steps:
            if step.weights is None:
                continue
            for name in step.weights:
                if name not in known:
                    raise UnknownNameError(f"arm of {where}", name, known)
            missing = [name for name in known if name not in step.weights]
            if missing:
                raise UsageError(
                    f"the step of {where} at {step.at.isoformat()} must give every arm a weight, 0 where it gets no "
                    f"new units. It gives none to {', '.join(missing)}"
                )
            check_weights(f"the step of {where} at {step.at.isoformat()}", step.weights)

    @property
    def room(self) -> tuple[float, float]:
        """Where in its layer it begins and ends; rounded, so that 0.1 + 0.2 ends where 0.3 begins."""
        return round(self.start, _DIGITS), round(self.start + self.traffic, _DIGITS)

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of the arms; codes of arms count in this order."""
        return tuple(arm.name for arm in self.arms)


@dataclass(frozen=True)
class Plan:
    """Experiments that run beside each other, with their layers and holdouts.

    Attributes:
        experiments: in any order.
        layers: those that experiments name.
        holdouts: shares of all units that are kept out.
    """

    experiments: tuple[Experiment, ...]
    layers: tuple[Layer, ...] = ()
    holdouts: tuple[Holdout, ...] = ()

    def __post_init__(self) -> None:
        for name in ("experiments", "layers", "holdouts"):
            rows = tuple(getattr(self, name))
            object.__setattr__(self, name, rows)
            check_once(name, [row.name for row in rows])
            check_once(f"salts of {name}, or two would be drawn alike,", [row.salt for row in rows])
        layers, holdouts = ([row.name for row in rows] for rows in (self.layers, self.holdouts))
        rooms: dict[str, list[Experiment]] = {}
        for one in self.experiments:
            if one.layer is not None and one.layer not in layers:
                raise UnknownNameError(f"layer (of experiment {one.name!r})", one.layer, layers)
            for name in one.holdouts or ():
                if name not in holdouts:
                    raise UnknownNameError(f"holdout (of experiment {one.name!r})", name, holdouts)
            layer = self.exclusive_layer(one)
            if layer is not None:
                rooms.setdefault(layer.name, []).append(one)
            elif one.start:
                raise UsageError(
                    f"start is the place of a room in an exclusive layer, and experiment {one.name!r} is in none. "
                    f"Got start={one.start}: leave it out"
                )
        for name, sharing in rooms.items():
            _check_rooms(name, sharing)

    def exclusive_layer(self, experiment: Experiment) -> Layer | None:
        """The layer that an experiment shares with others, if it excludes them."""
        return next((layer for layer in self.layers if layer.name == experiment.layer and layer.exclusive), None)

    def find(self, name: str | None) -> Experiment:
        """The experiment of that name; the only one when ``name`` is ``None``.

        Raises:
            UnknownNameError: nothing is called that.
            UsageError: no name is given and there is not exactly one experiment.
        """
        names = [one.name for one in self.experiments]
        if name is None:
            if len(names) != 1:
                raise UsageError(f"say which experiment: there are {len(names)}: {', '.join(names)}")
            return self.experiments[0]
        if name not in names:
            raise UnknownNameError("experiment", name, names)
        return self.experiments[names.index(name)]


def _check_rooms(layer: str, sharing: list[Experiment]) -> None:
    ordered = sorted(sharing, key=lambda one: one.room)
    for before, after in pairwise(ordered):
        low, high = before.room
        if high > after.room[0]:
            end = max(one.room[1] for one in sharing)
            raise UsageError(
                f"experiments of the exclusive layer {layer!r} must not share a room. {before.name!r} has {low:g} to "
                f"{high:g} and {after.name!r} begins at {after.room[0]:g}: give one another start, or less traffic "
                f"(the last room ends at {end:g})"
            )


def check_name(what: str, name: object) -> None:
    """Raise where a name is no text, empty, or has spaces around it or control characters in it."""
    if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
        raise UsageError(f"{what} must have a printable name without spaces around it. Got {name!r} instead")


def check_share(what: str, value: object) -> None:
    """Raise where a value is no number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{what} must be a number in [0, 1]. Got {value!r} instead")


def check_weights(where: str, weights: Mapping[str, float]) -> None:
    """Raise where weights are no shares of a whole."""
    for name, weight in weights.items():
        check_share(f"the weight of arm {name!r} in {where}", weight)
    total = math.fsum(weights.values())
    if abs(total - 1) > TOLERANCE:
        shown = " + ".join(f"{weight:g}" for weight in weights.values())
        raise UsageError(f"the weights of {where} must sum to 1. Got {shown} = {total:.12g} instead")


def check_once(what: str, names: Iterable[str]) -> None:
    """Raise where a name stands twice."""
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise UsageError(f"{what} must have each name once. Got {', '.join(map(repr, twice))} more than once")


def in_utc(time: object) -> datetime:
    """A time in UTC; one without a zone is taken to be.

    Raises:
        UsageError: it is no ``datetime``.
    """
    if not isinstance(time, datetime):
        raise UsageError(f"a time must be a datetime. Got {time!r} instead")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _listed(times: Iterable[datetime]) -> str:
    return ", ".join(time.isoformat() for time in times)
