"""What each item of an evaluation says of its figures: what two models are compared by, and slices are searched in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.evaluation.bca import Figure
from shared.types import AnyArray, Float32, Float64, Int64


@dataclass(frozen=True)
class Mean:
    """A figure that is a mean over items.

    Attributes:
        values: shape (n,), float64, each item's own figure; NaN where it has none.
        higher_is_better: whether a greater value is a better one.
    """

    values: Float64
    higher_is_better: bool = True

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Total:
    """A figure of totals over items, such as F1 of counts.

    Attributes:
        rows: shape (n, d), float64, what each item adds to the totals.
        figure: from totals, shape (..., d), to the figure, shape (...).
        higher_is_better: whether a greater value is a better one.
    """

    rows: Float64
    figure: Figure
    higher_is_better: bool = True

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Pooled:
    """A figure of all items' records together, such as average precision or BLEU.

    Attributes:
        records: one record an item, of any type.
        figure: from records of any number of items, one of which may come several times, to the figure.
        higher_is_better: whether a greater value is a better one.
        weighed: the same for many resamples in one call, where that is cheaper: from the records and how often each
            counts, float64, shape (resamples, records), to the figures, shape (resamples,).
    """

    records: Sequence[Any]
    figure: Callable[[Sequence[Any]], float]
    higher_is_better: bool = True
    weighed: Callable[[Sequence[Any], Float64], Float64] | None = None

    def __len__(self) -> int:
        return len(self.records)


ItemFigure: TypeAlias = Mean | Total | Pooled


@dataclass(frozen=True)
class Chances:
    """How likely a classifier held each class to be.

    Attributes:
        classes: names of the c classes.
        truth: shape (n,), int64, the true class of each item, in 0..c-1.
        probabilities: shape (n, c), float32, in [0, 1]; NaN in the rows of items that failed.

    Raises:
        UsageError: the shapes do not go together.
    """

    classes: tuple[str, ...]
    truth: Int64
    probabilities: Float32

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.truth), len(self.classes)):
            raise UsageError(
                f"probabilities must have shape {(len(self.truth), len(self.classes))}. Got {self.probabilities.shape}"
            )

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Items:
    """The items of one evaluation.

    Attributes:
        ids: what each item is called, in the order of the data set; equal for every model on the same data.
        figures: figures by the names that :attr:`shared.evaluation.report.Evaluation.metrics` has. An item that failed
            is in them, as wrong.
        main: the name of the figure that slices are compared by, a :class:`Mean`; empty where there is none.
        attributes: what is known of each item beside the model, by name, each of shape (n,): labels and kinds as
            strings, sizes and lengths as numbers.
        groups: the group of each item that is drawn together with its like, such as its article or user; ``None``
            where items are drawn alone.
        chances: what a classifier of one class an item held likely; ``None`` elsewhere.

    Raises:
        UsageError: lengths differ, or the main figure is not a mean over items.
    """

    ids: tuple[str, ...]
    figures: Mapping[str, ItemFigure]
    main: str = ""
    attributes: Mapping[str, AnyArray] = field(default_factory=dict)
    groups: AnyArray | None = None
    chances: Chances | None = None

    def __post_init__(self) -> None:
        parts: dict[str, Any] = {**self.figures, **self.attributes}
        parts |= {name: part for name in ("groups", "chances") if (part := getattr(self, name)) is not None}
        wrong = {name: len(part) for name, part in parts.items() if len(part) != len(self.ids)}
        if wrong:
            raise UsageError(f"every figure and attribute must have {len(self.ids)} items. Got {wrong}")
        if self.main and not isinstance(self.figures.get(self.main), Mean):
            raise UsageError(f"the main figure must be a mean over items. Got {self.main!r} of {sorted(self.figures)}")

    def __len__(self) -> int:
        return len(self.ids)

    def right(self) -> Float64:
        """The main figure of each item, the higher the better, shape (n,).

        Raises:
            UsageError: there is no main figure.
        """
        figure = self.figures.get(self.main)
        if not isinstance(figure, Mean):
            raise UsageError("these items must have a figure of their own. They have only figures of all together")
        return figure.values if figure.higher_is_better else np.negative(figure.values)
