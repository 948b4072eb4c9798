"""Would more data help: a model learnt from growing parts of the data, each measured on items that were held out.

Every run holds out another part and puts the rest into another order, of which each size takes the first items, so that
what a size adds is what more data adds. :mod:`shared.evaluation.learning_curves` says what follows from the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from shared.errors import DataError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.learning_curves import LEAST_SIZES, LearningCurve, learning_curve
from shared.evaluation.report import Metric
from shared.types import Float64, Int64

STEPS, RUNS = 6, 3
Learn: TypeAlias = Callable[[int], Mapping[str, float]]
"""From how many items to learn from to the figures on what was held out."""


@dataclass(frozen=True)
class Growing:
    """What a learning curve is measured on.

    Attributes:
        task: for example ``"nlp.classification"``.
        model: what is learnt.
        dataset: from what.
        unit: what it is counted in, for people, such as ``"texts"``.
        size: how many there are to learn from in each run.
        held_out: how many are held out in each run.
        least: how many a model needs, at least 1.
        best: the figures by name, and what none can pass: 1 of shares that are right, 0 of errors, which rise to it or
            fall to it.
        draw: holds out a part at random, and gives what learns from so many of the others.

    Raises:
        DataError: there are too few to learn from, or none is held out.
    """

    task: str
    model: str
    dataset: str
    unit: str
    size: int
    held_out: int
    least: int
    best: Mapping[str, float]
    draw: Callable[[np.random.Generator], Learn]

    def __post_init__(self) -> None:
        if self.size < self.least or self.held_out < 1:
            raise DataError(
                f"a learning curve needs {self.least} {self.unit} to learn from at least, and 1 held out. "
                f"Got {self.size} and {self.held_out}: give more data, or hold out another share"
            )


@dataclass(frozen=True)
class Grown:
    """Figures at growing sizes.

    Attributes:
        of: what was measured.
        sizes: shape (k,), int64, rising.
        figures: by name, shape (k, runs), float64.
        curves: by name, the law through each figure's means; a figure that has no number somewhere has none.
    """

    of: Growing
    sizes: Int64
    figures: Mapping[str, Float64]
    curves: Mapping[str, LearningCurve]

    def to_json(self, *, times: float = 2.0) -> dict[str, Any]:
        """One JSON-ready object, with what so many times the data would bring."""
        head = {"task": self.of.task, "model": self.of.model, "dataset": self.of.dataset, "unit": self.of.unit}
        return head | {
            "held_out": self.of.held_out,
            "sizes": self.sizes.tolist(),
            "figures": {name: _curve_json(curve, self.figures[name], times) for name, curve in self.curves.items()},
        }

    def to_text(self, *, times: float = 2.0) -> str:
        """A table a figure for a terminal, and in a sentence what more data would bring."""
        runs = next(iter(self.figures.values())).shape[1]
        drawn = f"{self.of.held_out} others held out in each of {runs} runs"
        lines = [f"{self.of.task}  {self.of.model}  on {self.of.dataset}: up to {self.of.size} {self.of.unit}, {drawn}"]
        for name, curve in self.curves.items():
            lines.append(f"  {self.of.unit:>12}  {name}")
            for size, found in zip(curve.sizes.tolist(), curve.figures):
                lines.append(f"  {size:>12}  {found.value:8.4f}  [{found.low:.4f}, {found.high:.4f}]")
            law = f"limit {_said(curve.limit)}, exponent {_said(curve.exponent)}"
            fits = {True: "yes", False: "no", None: "not asked, there are too few sizes"}[curve.fits]
            lines += [
                f"  power law: {law}; the smaller sizes foretold the largest: {fits}",
                f"  {curve.sentence(times)}",
            ]
        return "\n".join(lines)


def grow(
    growing: Growing,
    *,
    steps: int = STEPS,
    runs: int = RUNS,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    told: Callable[[], None] = lambda: None,
) -> Grown:
    """Learn from 1 / 2, 1 / 4 and so on of the data, several times each, and draw curves through the figures.

    Args:
        growing: what is measured.
        steps: sizes, each twice the one before it, at least 4.
        runs: how often, each with another part held out, at least 2.
        rng: source of randomness.
        resamples: of the curves.
        confidence: coverage of the intervals, in (0, 1).
        told: called after each model.

    Raises:
        DataError: the smallest size would be too small.
        UsageError: an argument is out of range.

    Example:
        >>> def draw(rng):
        ...     return lambda count: {"error": 0.1 + 2 / count + rng.normal(0, 1e-4)}
        >>> made = Growing("a.task", "a model", "a file", "texts", 3200, 100, 2, {"error": 0.0}, draw)
        >>> found = grow(made, rng=np.random.default_rng(0))
        >>> found.sizes.tolist(), round(found.curves["error"].limit.value, 2)
        ([100, 200, 400, 800, 1600, 3200], 0.1)
    """
    if steps < LEAST_SIZES or runs < 2:
        raise UsageError(f"steps must be at least {LEAST_SIZES} and runs at least 2. Got {steps} and {runs} instead")
    smallest = growing.size // 2 ** (steps - 1)
    if smallest < growing.least:
        raise DataError(
            f"the smallest size must be {growing.least} {growing.unit} at least. Of {growing.size} in {steps} steps it "
            f"would be {smallest}: take fewer steps ({LEAST_SIZES} at least), or give more data"
        )
    sizes = np.array([growing.size // 2 ** (steps - 1 - at) for at in range(steps)], np.int64)
    figures = {name: np.full((steps, runs), np.nan) for name in growing.best}
    for run in range(runs):
        learn = growing.draw(rng)
        for at, size in enumerate(sizes.tolist()):
            for name, value in learn(size).items():
                figures[name][at, run] = value
            told()
    curves = {}
    for name, best in growing.best.items():
        if not np.isnan(figures[name]).all(axis=1).any():
            curves[name] = learning_curve(
                sizes,
                figures[name],
                higher_is_better=best > 0,
                best=best,
                rng=rng,
                resamples=resamples,
                confidence=confidence,
            )
    return Grown(growing, sizes, figures, curves)


def _curve_json(curve: LearningCurve, figures: Float64, times: float) -> dict[str, Any]:
    return {
        "runs": [[None if np.isnan(value) else value for value in row] for row in figures.tolist()],
        "means": [_plain(one) for one in curve.figures],
        "limit": _plain(curve.limit),
        "exponent": _plain(curve.exponent),
        "foretold": None if curve.foretold is None else _plain(curve.foretold),
        "fits": curve.fits,
        "times": times,
        "at": _plain(curve.at(times * int(curve.sizes[-1]))),
        "gain": _plain(curve.gain(times)),
        "says": curve.sentence(times),
    }


def _plain(metric: Metric) -> dict[str, float]:
    return {"value": metric.value, "low": metric.low, "high": metric.high}


def _said(metric: Metric) -> str:
    return f"{metric.value:.3g} [{metric.low:.3g}, {metric.high:.3g}]"
