"""Who gets which arm: a salted hash decides, so the same unit gets the same arm everywhere, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.experiments.allocation import state_at
from shared.experiments.definition import Experiment, Plan, in_utc
from shared.experiments.units import Units, positions, text_of, units
from shared.types import Bool, Int64, Result, array_field

REASONS = ("assigned", "stored", "holdout", "traffic", "rollout")
"""Why a unit has its arm, or none: drawn now, kept from before, held out, outside the experiment's room, or inside it
and not reached by the rollout yet."""


@dataclass(frozen=True)
class Kept:
    """An assignment that was made before.

    Attributes:
        arm: name of the arm.
        propensity: the chance that the unit had of it then, in (0, 1].
    """

    arm: str
    propensity: float

    def __post_init__(self) -> None:
        if not 0 < self.propensity <= 1:
            raise UsageError(f"the propensity of a stored arm must lie in (0, 1]. Got {self.propensity!r} instead")


@dataclass(frozen=True, eq=False)
class Assignments(Result):
    """Which arm each unit gets.

    Attributes:
        experiment: its name.
        arms: names of its arms; codes count in this order.
        units: the canonical encoding of each id.
        codes: shape (n,), int64, the arm of each unit, -1 where it gets none.
        propensities: shape (n,), float64, the chance that a unit of the experiment had of its arm, in [0, 1]; 0 where
            it gets none.
        reasons: shape (n,), int64, places in :data:`REASONS`.
    """

    experiment: str
    arms: tuple[str, ...]
    units: tuple[str, ...]
    codes: Int64 = array_field("int64", ("n",), -1)
    propensities: np.ndarray[Any, np.dtype[np.float64]] = array_field("float64", ("n",), 0, 1)
    reasons: Int64 = array_field("int64", ("n",), 0, len(REASONS) - 1)

    def check(self, axes: Mapping[str, int]) -> None:
        if len(self.units) != axes["n"] or (self.codes >= len(self.arms)).any():
            raise UsageError(
                f"Assignments must have {axes['n']} units and codes below {len(self.arms)}. Got {len(self.units)} "
                f"units and codes up to {self.codes.max(initial=-1)} instead"
            )

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON-ready row a unit: unit, experiment, arm (``None`` without), propensity and reason."""
        names = (*self.arms, None)  # code -1 is the last
        for unit, code, propensity, reason in zip(
            self.units, self.codes.tolist(), self.propensities.tolist(), self.reasons.tolist()
        ):
            yield {
                "unit": unit,
                "experiment": self.experiment,
                "arm": names[code],
                "propensity": propensity,
                "reason": REASONS[reason],
            }


def assign(
    plan: Plan | Experiment,
    unit_ids: Iterable[Any] | Units,
    *,
    experiment: str | None = None,
    at: datetime | None = None,
    stored: Mapping[str, Kept] | None = None,
) -> Assignments:
    """Give each unit its arm.

    In this order: (1) in a sticky experiment a stored arm wins over everything, also over holdouts, steps and weight 0,
    as long as the experiment still has an arm of that name; the unit keeps the propensity that it had. (2) A unit of a
    holdout that the experiment heeds gets no arm. (3) Nor does one outside the experiment's room in its layer, (4) or
    outside the share of the room that the steps have opened. (5) Everybody else gets the arm that its position falls
    to. Rooms, shares and arms are drawn with hashes of their own, so none tells anything of another.

    A wider room or share only adds units. Other weights, written as a step, move exactly the share of units that they
    must (:mod:`shared.experiments.allocation`).

    Args:
        plan: the experiments, or one that stands alone.
        unit_ids: ids of one kind (:mod:`shared.experiments.units`), or units that were hashed before.
        experiment: name of the experiment; may be left out where there is only one.
        at: the moment; needed where the experiment has steps. Without a zone it is UTC.
        stored: assignments of before, by canonical encoding of the unit; only of a sticky experiment.

    Returns:
        One row for each id, in order; ids that come twice get the same row twice.

    Raises:
        DataError: ids are empty, missing, mixed or of a kind without an encoding.
        UnknownNameError: no experiment is called that.
        UsageError: ``at`` or ``experiment`` is missing, or ``stored`` is given and the experiment is not sticky.

    Example:
        >>> from shared.experiments.definition import Arm, Experiment
        >>> page = Experiment("new-page", (Arm("old", 0.5), Arm("new", 0.5)))
        >>> [row["arm"] for row in assign(page, ["ann", "bob", "sam"]).rows()]
        ['old', 'old', 'new']
    """
    whole = plan if isinstance(plan, Plan) else Plan((plan,))
    one = whole.find(experiment)
    if one.steps and at is None:
        raise UsageError(f"experiment {one.name!r} changes with time: say the moment, at=datetime.now(UTC) for example")
    if stored is not None and not one.sticky:
        raise UsageError(
            f"stored assignments win only in a sticky experiment. Set sticky of {one.name!r}, or pass none"
        )
    of = units(unit_ids)
    state = state_at(one, None if at is None else in_utc(at))
    reasons = np.zeros(len(of), np.int64)
    reasons[positions(of, f"share:{one.salt}") >= state.share] = REASONS.index("rollout")
    reasons[~_in_room(whole, one, of)] = REASONS.index("traffic")
    reasons[_held_out(whole, one, of)] = REASONS.index("holdout")
    codes = state.arms(positions(of, f"arm:{one.salt}"))
    codes[reasons > 0] = -1
    propensities = np.array((*state.weights, 0.0))[codes]
    for place, kept in _stored(of, stored, one):
        codes[place] = one.arm_names.index(kept.arm)
        propensities[place] = kept.propensity
        reasons[place] = REASONS.index("stored")
    return Assignments(one.name, one.arm_names, of.texts, codes, propensities, reasons)


def kept(assignments: Assignments) -> dict[str, Kept]:
    """The units that have an arm, in the form that ``assign(..., stored=...)`` takes."""
    rows = zip(assignments.units, assignments.codes.tolist(), assignments.propensities.tolist())
    return {unit: Kept(assignments.arms[code], propensity) for unit, code, propensity in rows if code >= 0}


def stored_of(rows: Iterable[Mapping[str, Any]], experiment: str) -> dict[str, Kept]:
    """The same from rows as :meth:`Assignments.rows` gives them; of a unit that comes twice the first counts.

    Raises:
        UsageError: a row of the experiment has no unit, arm or propensity.
    """
    found: dict[str, Kept] = {}
    for row in rows:
        if row.get("experiment") != experiment or ("arm" in row and row["arm"] is None):
            continue
        if not isinstance(row.get("arm"), str) or not isinstance(row.get("propensity"), int | float):
            raise UsageError(f"a stored row must have unit, experiment, arm and propensity. Got {dict(row)} instead")
        found.setdefault(text_of(row.get("unit")), Kept(row["arm"], float(row["propensity"])))
    return found


def _in_room(plan: Plan, experiment: Experiment, of: Units) -> Bool:
    layer = plan.exclusive_layer(experiment)
    at = positions(of, f"room:{experiment.salt}" if layer is None else f"layer:{layer.salt}")
    low, high = experiment.room
    within: Bool = (at >= low) & (at < high)
    return within


def _held_out(plan: Plan, experiment: Experiment, of: Units) -> Bool:
    out = np.zeros(len(of), np.bool_)
    for holdout in plan.holdouts:
        if experiment.holdouts is None or holdout.name in experiment.holdouts:
            out |= positions(of, f"holdout:{holdout.salt}") < holdout.share
    return out


def _stored(of: Units, stored: Mapping[str, Kept] | None, experiment: Experiment) -> Iterator[tuple[int, Kept]]:
    if not stored:
        return
    for place, unit in enumerate(of.texts):
        found = stored.get(unit)
        if found is not None and found.arm in experiment.arm_names:
            yield place, found
