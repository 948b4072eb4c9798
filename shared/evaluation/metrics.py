"""Every metric of the suite in one table: what it is called, takes and means, and one way to call them all.

The functions are pure and can be called where they stand; :func:`measure` calls any of them by name with the truth
first and gives one number, the mean over users or questions where a function gives a figure for each. Libraries are
imported when a metric that needs them is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.metric_rows import INPUTS, ROWS, Better, Streams

MetricFunction = Callable[..., Any]


@dataclass(frozen=True)
class MetricCard:
    """What is known of a metric.

    Attributes:
        name: what :func:`measure` knows it by.
        kind: what it is a figure of, a key of :data:`shared.evaluation.metric_rows.INPUTS`.
        home: ``module:function`` within ``shared.evaluation``.
        low: the least value it can take.
        high: the greatest.
        better: ``"higher"``, ``"lower"`` or ``"nearer 0"``.
        keeps: what leaves it as it is, besides another order of the items: ``names`` (labels or ids renamed one to
            one), ``monotone`` (a rising function of the scores), ``scale`` and ``shift`` (both sides times a positive
            number, plus a number). ``proportional``: it grows by that number with both sides.
        library: what computes it; ``triptych`` where no kept library does with this contract.
        source: the paper or specification of its definition.
        options: what :func:`measure` passes unless told otherwise.
        streams: whether :class:`shared.evaluation.streaming.Stream` gives it chunk by chunk in bounded memory:
            ``"yes"``, ``"between bounds"`` or ``"no"``.
    """

    name: str
    kind: str
    home: str
    low: float
    high: float
    better: Better
    keeps: tuple[str, ...]
    library: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    streams: Streams = "no"

    @property
    def inputs(self) -> str:
        """What it takes, in order."""
        return INPUTS[self.kind]

    @property
    def function(self) -> MetricFunction:
        """The pure function itself, imported now."""
        module, name = self.home.split(":")
        function: MetricFunction = getattr(importlib.import_module(f"shared.evaluation.{module}"), name)
        return function


METRICS: Mapping[str, MetricCard] = {row[0]: MetricCard(*row) for row in ROWS}
"""All of them by name, in the order of the table in ``docs/evaluation-metrics.md``."""


def find_metric(name: str) -> MetricCard:
    """The card of a metric.

    Raises:
        UnknownNameError: none is called that; the nearest names are listed.

    Example:
        >>> card = find_metric("rmse")
        >>> card.better, card.home
        ('lower', 'rating:rmse_error')
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]


def measure(name: str, *inputs: Any, **options: Any) -> float:
    """Any metric in one number.

    Args:
        name: a key of :data:`METRICS`.
        inputs: what its card says in ``inputs``, in that order; the truth before the prediction.
        options: of its function, in place of those of its card.

    Raises:
        UnknownNameError: no metric is called that.
        UsageError: as the function.

    Example:
        >>> measure("accuracy", ["a", "b"], ["a", "a"]), measure("recall@k", [{"x"}, {"y"}], [["x"], ["z"]], k=1)
        (0.5, 0.5)
    """
    card = find_metric(name)
    call = _CALLS.get(card.kind, _plain)
    return call(card, inputs, {**card.options, **options})


def markdown() -> str:
    """The table of all metrics, as it stands in ``docs/evaluation-metrics.md``."""
    lines = []
    for kind, inputs in INPUTS.items():
        lines += [f"### {kind}", "", f"Takes {inputs}.", ""]
        lines += ["| name | function | range | better | keeps | streams | computed by | defined in |", "|" + "---|" * 8]
        for card in METRICS.values():
            if card.kind == kind:
                keeps = ", ".join(card.keeps) or "-"
                span = f"{card.low:g} to {card.high:g}"
                cells = (f"`{card.name}`", f"`{card.home.replace(':', '.')}`", span, card.better, keeps)
                lines.append("| " + " | ".join((*cells, card.streams, card.library, card.source)) + " |")
        lines.append("")
    return "\n".join(lines)


def _plain(card: MetricCard, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    """The function's number; of a figure for each user the mean of those that have one."""
    values = np.asarray(card.function(*inputs, **options), np.float64).reshape(-1)
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def _written(card: MetricCard, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    return float(card.function(*reversed(inputs), **options))


def _answered(card: MetricCard, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    answers, predicted = inputs
    if len(answers) != len(predicted):
        raise UsageError(f"there must be an answer for each of {len(answers)} questions. Got {len(predicted)} instead")
    scores = [card.function(given, golds, **options) for golds, given in zip(answers, predicted)]
    return float(np.mean(scores)) if scores else float("nan")


def _boxes(card: MetricCard, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    from shared.evaluation.matching import match_boxes  # noqa: PLC0415 - only this kind needs it

    return float(card.function(match_boxes(*inputs, **options))[card.name][0])


def _pixels(card: MetricCard, inputs: tuple[Any, ...], options: dict[str, Any]) -> float:
    from shared.evaluation.segmentation import pixel_confusion  # noqa: PLC0415 - only this kind needs it

    return float(card.function(pixel_confusion(*inputs, **options)))


_CALLS = {"written text": _written, "answers": _answered, "boxes": _boxes, "pixels": _pixels}
"""Kinds whose functions take something else than truth and prediction."""
