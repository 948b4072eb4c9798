"""The figures of one evaluation, each with its interval, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UsageError


@dataclass(frozen=True)
class Metric:
    """A figure and its confidence interval.

    Attributes:
        value: the figure.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise UsageError(f"an interval must have low <= high. Got low={self.low}, high={self.high} instead")


@dataclass(frozen=True)
class Evaluation:
    """What ``triptych evaluate`` prints.

    Attributes:
        task: the task, for example ``"vision.detection"``.
        model: the model's name.
        dataset: what it was evaluated on.
        n: items in the data set.
        failed: items that could not be predicted; they count as wrong in every metric.
        metrics: figures by name, fractions in 0..1 unless the metric's own scale differs.
        notes: what a reader must know to repeat it: protocol, confidence level, resamples, seed.
    """

    task: str
    model: str
    dataset: str
    n: int
    failed: int
    metrics: Mapping[str, Metric]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        metrics = {name: {"value": m.value, "low": m.low, "high": m.high} for name, m in self.metrics.items()}
        head = {"task": self.task, "model": self.model, "dataset": self.dataset, "n": self.n, "failed": self.failed}
        return head | {"metrics": metrics, "notes": dict(self.notes)}

    def to_text(self) -> str:
        """A small table for a terminal."""
        width = max(map(len, self.metrics), default=0)
        lines = [f"{self.task}  {self.model}  on {self.dataset}: {self.n} items, {self.failed} failed"]
        lines += [f"  {k:<{width}}  {m.value:8.4f}  [{m.low:.4f}, {m.high:.4f}]" for k, m in self.metrics.items()]
        lines += [f"  {key}: {value}" for key, value in self.notes.items()]
        return "\n".join(lines)
