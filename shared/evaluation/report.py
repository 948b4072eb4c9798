"""The figures of one evaluation, each with its interval, as one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.evaluation.items import Items


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
class Forest:
    """Intervals under each other on one axis.

    Attributes:
        rows: what each interval is of, and the interval.
        reference: where a line stands through all of them, such as 0 for differences; ``None`` for none.
    """

    rows: tuple[tuple[str, Metric], ...]
    reference: float | None = None


@dataclass(frozen=True)
class Curve:
    """Points in the unit square beside its diagonal, such as how sure a classifier is and how often right.

    Attributes:
        points: across and up, each in [0, 1], and how many items stand behind the point.
        across: name of the axis across.
        up: name of the axis up.
    """

    points: tuple[tuple[float, float, int], ...]
    across: str
    up: str


Plot: TypeAlias = Forest | Curve


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        title: what it is.
        columns: names of the columns.
        rows: one tuple of cells a row; numbers are aligned right.
        note: a sentence under the title, or empty.
        plot: the same drawn, for where a report can show it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    note: str = ""
    plot: Plot | None = None


@dataclass(frozen=True)
class Matrix:
    """Counts of answers (columns) by truth (rows).

    Attributes:
        title: what it is.
        rows: names of the rows.
        columns: names of the columns.
        counts: one tuple a row.
        note: a sentence under the title, or empty.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """One item that went wrong.

    Attributes:
        title: which item.
        lines: what is true, what was answered.
        jpeg: a small picture of it, or empty.
    """

    title: str
    lines: tuple[str, ...]
    jpeg: bytes = b""


@dataclass(frozen=True)
class Gallery:
    """Items that went wrong, worst first.

    Attributes:
        title: what they are.
        items: the items.
        note: a sentence under the title: what is drawn how.
    """

    title: str
    items: tuple[Shown, ...]
    note: str = ""


Section: TypeAlias = Table | Matrix | Gallery


@dataclass(frozen=True)
class Page:
    """A report before it is written in one form or another.

    Attributes:
        title: what it is of.
        lead: paragraphs under the title.
        figures: what comes first.
        notes: paragraphs under the figures.
        sections: what follows.
    """

    title: str
    lead: tuple[str, ...]
    figures: Table
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()


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
        by_class: figures of each class by its name, where the task has classes.
        sections: what a page says beyond the figures, made when it is asked for: from the most items that a gallery may
            show to its sections.
        items: what each item says of the figures, made when it is asked for; ``None`` where the task cannot tell.
    """

    task: str
    model: str
    dataset: str
    n: int
    failed: int
    metrics: Mapping[str, Metric]
    notes: Mapping[str, Any] = field(default_factory=dict)
    by_class: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    sections: Callable[[int], Sequence[Section]] | None = field(default=None, compare=False, repr=False)
    items: Callable[[], Items] | None = field(default=None, compare=False, repr=False)

    def to_json(self, *, by_class: bool = False) -> dict[str, Any]:
        """One JSON-ready object; with ``by_class`` the figures of each class too."""
        head = {"task": self.task, "model": self.model, "dataset": self.dataset, "n": self.n, "failed": self.failed}
        classes = {"by_class": {name: _plain(metrics) for name, metrics in self.by_class.items()}} if by_class else {}
        return head | {"metrics": _plain(self.metrics), "notes": dict(self.notes)} | classes

    def to_text(self, *, by_class: bool = False) -> str:
        """A small table for a terminal; with ``by_class`` the figures of each class too."""
        rows = dict(self.metrics)
        if by_class:
            rows |= {f"{name}: {key}": m for name, found in self.by_class.items() for key, m in found.items()}
        width = max(map(len, rows), default=0)
        lines = [f"{self.task}  {self.model}  on {self.dataset}: {self.n} items, {self.failed} failed"]
        lines += [f"  {k:<{width}}  {m.value:8.4f}  [{m.low:.4f}, {m.high:.4f}]" for k, m in rows.items()]
        lines += [f"  {key}: {value}" for key, value in self.notes.items()]
        return "\n".join(lines)


def _plain(metrics: Mapping[str, Metric]) -> dict[str, dict[str, float]]:
    return {name: {"value": m.value, "low": m.low, "high": m.high} for name, m in metrics.items()}
