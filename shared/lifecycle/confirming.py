"""What a search came to, and how far its figures may be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.lifecycle.study import Trial


@dataclass(frozen=True)
class Confirmed:
    """The best options trained from another seed.

    Attributes:
        seed: of the training.
        validation: its figure on the part that the options were chosen by.
        test: its figure on the part that chose nothing.
    """

    seed: int
    validation: Metric
    test: Metric


def over_seeds(figures: list[Metric], *, confidence: float = 0.95) -> Metric:
    """The mean of figures of several trainings, with an interval for other seeds and other items.

    The half width is the root of the sum of two squares: Student's t over the seeds' figures, and the mean half width
    of their own intervals over items, which all trainings share.

    Args:
        figures: at least two, each with an interval over the same items.
        confidence: of the part over seeds; that over items is as it comes.

    Raises:
        UsageError: there are fewer than two.

    Example:
        >>> over_seeds([Metric(0.8, 0.7, 0.9), Metric(0.8, 0.7, 0.9)])
        Metric(value=0.8, low=0.7, high=0.9)
    """
    if len(figures) < 2:
        raise UsageError(f"an interval over seeds needs at least 2 trainings. Got {len(figures)} instead")
    values = np.array([one.value for one in figures])
    factor = float(require("scipy.stats", extra="all").t.ppf(0.5 + confidence / 2, len(values) - 1))
    among = factor * float(values.std(ddof=1)) / math.sqrt(len(values))
    items = float(np.mean([(one.high - one.low) / 2 for one in figures]))
    half = math.hypot(among, items)
    mean = float(values.mean())
    return Metric(mean, round(mean - half, 12), round(mean + half, 12))


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        task: whose trainer.
        dataset: what it learnt from.
        metric: by which it chose.
        direction: whether more or less of it is better.
        folder: the best trial's model.
        best: that trial.
        fixed: options of all trials.
        validation: the model's figure on the part that chose it, with an interval over items; it reads high.
        test: its figure on the part that chose nothing.
        confirmed: the same options from other seeds.
        trials: all of them, in order.
    """

    task: str
    dataset: str
    metric: str
    direction: str
    folder: str
    best: Trial
    fixed: Mapping[str, Any]
    validation: Metric
    test: Metric
    confirmed: tuple[Confirmed, ...]
    trials: tuple[Trial, ...]

    @property
    def nested(self) -> Metric:
        """The figure to believe: the best options from other seeds, on the part that chose nothing."""
        return over_seeds([one.test for one in self.confirmed])

    @property
    def optimism(self) -> float:
        """By how much the search's own best figure is better than that."""
        ahead = self.validation.value - self.nested.value
        return ahead if self.direction == "maximize" else -ahead

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are complete, pruned and failed."""
        return {state: sum(one.state == state for one in self.trials) for state in ("complete", "pruned", "fail")}

    @property
    def note(self) -> str:
        """What a reader must know of the figures."""
        ahead = f"{abs(self.optimism):.4f} {'ahead of' if self.optimism >= 0 else 'behind'} the nested one"
        return (
            f"The validation figure is the best of {self.counts['complete']} and chose itself, so it tends to read "
            f"high; here it is {ahead}. Believe the nested figure: the same options from {len(self.confirmed)} other "
            "seeds, on items that nothing was chosen by; its interval is over seeds and items."
        )

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "task": self.task,
            "dataset": self.dataset,
            "metric": self.metric,
            "direction": self.direction,
            "folder": self.folder,
            "best": {"trial": self.best.number, "options": dict(self.best.options), "fixed": dict(self.fixed)},
            "validation": asdict(self.validation),
            "test": asdict(self.test),
            "nested": asdict(self.nested),
            "optimism": self.optimism,
            "seeds": [asdict(one) for one in self.confirmed],
            "counts": self.counts,
            "note": self.note,
            "trials": [asdict(one) for one in self.trials],
        }

    def to_text(self) -> str:
        """A few lines for a terminal."""
        counts = self.counts
        options = ", ".join(f"{name}={value}" for name, value in self.best.options.items())
        rows = {"validation": self.validation, "test": self.test, "nested": self.nested}
        return "\n".join(
            [
                f"{self.task} on {self.dataset}: {len(self.trials)} trials, {counts['complete']} complete, "
                f"{counts['pruned']} pruned, {counts['fail']} failed",
                f"  best: trial {self.best.number + 1}, {options}",
                f"  kept in {self.folder}",
                *(f"  {name:<10} {self.metric} {m.value:.4f}  [{m.low:.4f}, {m.high:.4f}]" for name, m in rows.items()),
                f"  {self.note}",
            ]
        )
