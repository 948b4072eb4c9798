"""What is measured of each arm, and its standard error from moments.

Ratios by the delta method, quantiles of rows clustered by unit by the same on the share below: A. Deng, U. Knoblich and
J. Lu, "Applying the delta method in metric analytics: a practical guide with novel ideas", KDD 2018.

The unit of analysis is the unit of assignment. A metric is one number a unit or a ratio of two; several rows of a unit
are aggregated first, so that rows of one person never count as independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np

from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.moments import Moments
from shared.types import Float64

Kind: TypeAlias = Literal["mean", "proportion", "ratio", "quantile", "retention"]
KINDS: Mapping[str, str] = {
    "mean": "sum",
    "proportion": "max",
    "ratio": "sum",
    "quantile": "rows",
    "retention": "max",
}
"""By kind how several rows of a unit become one number, unless the metric says otherwise."""
AGGREGATES = ("sum", "mean", "max", "min")
ROLES = ("primary", "secondary", "guardrail")
DIRECTIONS = ("increase", "decrease")
MISSING = ("raise", "zero", "drop")


@dataclass(frozen=True)
class Metric:
    """One metric of an experiment.

    Attributes:
        name: what it is called.
        kind: ``"mean"`` of one number a unit; ``"proportion"`` of units with 1 in any row, of 0 and 1; ``"ratio"`` of
            two sums; ``"quantile"`` of all rows; ``"retention"``, the share of units active in a window of days.
        column: the values; of retention the days since the unit's first exposure.
        denominator: column of a ratio's denominator.
        quantile: which, in (0, 1).
        window: first and last day since the unit's first exposure, both inside. Of retention the days on which it must
            be active; of any other kind only rows of these days count, so that a novelty has faded, every unit is
            measured over the same time, and a window of whole weeks holds every weekday.
        day: column of the days since the first exposure, for a window of another kind than retention.
        observed: column with the days that a unit has been observed; units observed for less than the window's last day
            wait: they are left out and counted, and come in when their window is over.
        aggregate: how several rows of a unit become one: sum, mean, max or min.
        covariates: columns measured before the experiment, for CUPED and regression.
        missing: what a missing value is: ``"raise"`` an error, ``"zero"`` a 0, ``"drop"`` a unit that is left out when
            it has no value at all. Of retention a missing day is a row without activity.
        role: primary, secondary or guardrail.
        direction: which change is good.
        margin: how much worse is still acceptable, as a share of the control's value (0.01 is 1 %).

    Raises:
        UsageError: an attribute is out of its range, or one that the kind needs is missing.

    Example:
        >>> Metric("clicks a view", "ratio", "clicks", denominator="views").aggregate
        'sum'
    """

    name: str
    kind: Kind
    column: str
    denominator: str | None = None
    quantile: float | None = None
    window: tuple[int, int] | None = None
    day: str | None = None
    observed: str | None = None
    aggregate: str = ""
    covariates: tuple[str, ...] = ()
    missing: str = "raise"
    role: str = "primary"
    direction: str = "increase"
    margin: float | None = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("kind of metric", self.kind, KINDS),
            ("role of a metric", self.role, ROLES),
            ("direction", self.direction, DIRECTIONS),
            ("rule for missing values", self.missing, MISSING),
        ):
            if value not in known:
                raise UnknownNameError(what, value, known)
        object.__setattr__(self, "aggregate", self.aggregate or KINDS[self.kind])
        if self.aggregate not in AGGREGATES and self.kind != "quantile":
            raise UnknownNameError("aggregate", self.aggregate, AGGREGATES)
        if self.kind == "proportion" and self.aggregate not in ("max", "min"):
            raise UsageError(
                f"metric {self.name!r}: rows of a proportion become one by max or min. Got {self.aggregate}"
            )
        if (self.denominator is not None) != (self.kind == "ratio"):
            raise UsageError(f"metric {self.name!r}: a ratio, and only a ratio, must have a denominator")
        if (self.quantile is not None) != (self.kind == "quantile"):
            raise UsageError(f"metric {self.name!r}: a quantile, and only that kind, must say which in 'quantile'")
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise UsageError(f"metric {self.name!r}: quantile must lie between 0 and 1. Got {self.quantile}")
        self._check_window()
        if self.margin is not None and not 0 < self.margin < 1:
            raise UsageError(f"metric {self.name!r}: margin must be a share of the control's value in (0, 1)")

    def _check_window(self) -> None:
        if self.kind == "retention" and self.window is None:
            raise UsageError(f"metric {self.name!r}: retention must have a window of days")
        if (self.day is not None) != (self.window is not None and self.kind != "retention"):
            raise UsageError(
                f"metric {self.name!r}: a window of another kind than retention must have a column 'day' of the days "
                f"since exposure, and nothing else may. Got window {self.window} and day {self.day!r}"
            )
        if self.day is not None and self.missing == "raise":
            raise UsageError(
                f"metric {self.name!r}: with a window 'missing' must say what a unit without rows in it is: "
                '"zero" counts it as 0, "drop" leaves it out'
            )
        if self.window is not None and not 0 <= self.window[0] <= self.window[1]:
            raise UsageError(f"metric {self.name!r}: window must be two days, 0 <= first <= last. Got {self.window}")
        if self.observed is not None and self.window is None:
            raise UsageError(f"metric {self.name!r}: 'observed' belongs to a window of days, and there is none")

    @property
    def outcomes(self) -> int:
        """How many of a unit's variables are outcomes; covariates follow them."""
        return 2 if self.kind in ("ratio", "quantile") else 1

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "increase" else -1


@dataclass(frozen=True)
class Estimate:
    """A metric's value in one arm.

    Attributes:
        n: units.
        value: the figure.
        variance: the squared standard error of the figure.
    """

    n: int
    value: float
    variance: float


def gradient(metric: Metric, mean: Float64) -> tuple[float, Float64]:
    """The figure at a mean of the outcomes, and its derivative by each of them.

    Raises:
        DataError: a ratio's denominator is 0 on average.
    """
    if metric.outcomes == 1:
        return float(mean[0]), np.ones(1)
    top, bottom = float(mean[0]), float(mean[1])
    if bottom == 0:
        raise DataError(f"metric {metric.name!r}: the denominator must not be 0 on average. It is in one arm")
    return top / bottom, np.array([1 / bottom, -top / bottom**2])


def estimate(metric: Metric, moments: Moments) -> Estimate:
    """The figure of one arm by the delta method: variance g' S g / n with g the derivative at the mean.

    For a quantile this is the share of rows at or below the point that was counted; see :func:`quantile_estimate`.

    Args:
        metric: what is measured.
        moments: of the arm's units; outcomes first, covariates after them are not looked at.

    Raises:
        DataError: fewer than two units, or a denominator of 0.

    Example:
        >>> from shared.experiments.moments import moments_of
        >>> ratio = Metric("ctr", "ratio", "clicks", denominator="views")
        >>> found = estimate(ratio, moments_of([[1.0, 2.0], [2.0, 4.0], [1.5, 3.0]]))
        >>> found.value, found.variance < 1e-30
        (0.5, True)
    """
    if moments.n < 2:
        raise DataError(f"metric {metric.name!r}: each arm must have at least 2 units. One has {moments.n}")
    k = metric.outcomes
    value, slope = gradient(metric, moments.mean[:k])
    variance = float(slope @ moments.covariance[:k, :k] @ slope) / moments.n
    return Estimate(moments.n, value, max(0.0, variance))


def quantile_reach(metric: Metric, moments: Moments, *, confidence: float) -> tuple[float, float]:
    """The two probabilities whose quantiles enclose the metric's quantile: Deng et al. 2018, section 4.

    Args:
        metric: of kind quantile.
        moments: of each unit's rows at or below the arm's quantile, and of its rows.
        confidence: coverage of the interval between them.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    half = z * math.sqrt(estimate(metric, moments).variance)
    q = float(metric.quantile or 0.5)
    if not 0 < q - half < q + half < 1:
        raise DataError(
            f"metric {metric.name!r}: too few rows lie beyond the {q:g} quantile to say how sure it is. "
            "Take a quantile nearer to the middle, or wait for more rows"
        )
    return q - half, q + half


def quantile_estimate(n: int, value: float, low: float, high: float, *, confidence: float) -> Estimate:
    """A quantile with the standard error that its interval implies.

    Args:
        n: units.
        value: the quantile.
        low: the quantile at the lower probability of :func:`quantile_reach`.
        high: the one at the higher.
        confidence: coverage of that interval.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return Estimate(n, value, ((high - low) / (2 * z)) ** 2)


_SCALARS: Mapping[str, type | tuple[type, ...]] = {"str": str, "Kind": str, "int": int, "float": (int, float)}


def typed(owner: Any, row: Mapping[str, Any], *, what: str, without: Sequence[str]) -> dict[str, Any]:
    """The values of a table of TOML for the fields of a dataclass, lists as tuples.

    Args:
        owner: the dataclass.
        row: the table.
        what: what it describes, for messages.
        without: fields that come from elsewhere.

    Raises:
        UnknownNameError: a key is no field.
        UsageError: a value has another type than its field.
    """
    known = {field.name: str(field.type) for field in fields(owner) if field.name not in without}
    found = {}
    for key, value in row.items():
        if key not in known:
            raise UnknownNameError(f"key of {what}", key, known)
        kind = known[key].removesuffix(" | None")
        many = kind.startswith("tuple[")
        inner = _SCALARS[kind.removeprefix("tuple[").partition(",")[0].rstrip("]")]
        parts = value if many and isinstance(value, list) else [value]
        fits = isinstance(value, list) == many and (", ..." in kind or not many or len(parts) == kind.count(",") + 1)
        if not fits or not all(isinstance(part, inner) and not isinstance(part, bool) for part in parts):
            raise UsageError(f"{key} of {what} must be of type {kind}. Got {value!r} instead")
        found[key] = tuple(value) if many else value
    return found


def from_table(name: str, row: Mapping[str, Any]) -> Metric:
    """A metric from a table of the configuration.

    Raises:
        UnknownNameError: a key is none of a metric's.
        UsageError: a value is wrong.
    """
    values = typed(Metric, row, what=f"metric {name!r}", without=("name",))
    for key in ("kind", "column"):
        if key not in values:
            raise UsageError(f"metric {name!r} must have {key!r}. It has {', '.join(values) or 'nothing'}")
    return Metric(name, **values)
