"""Figures of predictions that do not fit into memory: chunks in, totals kept, figures with intervals out.

A :class:`Stream` holds totals, never items, so its memory does not grow with them; it gives what the functions over
whole arrays give, whatever the chunks, and streams of parts of the data merge into that of the whole. Areas under
curves are exact up to 65,536 distinct scores and lie between stated bounds beyond (:mod:`.streaming_curves`). What
needs all items at once says so, and what to do instead.

Intervals are percentile intervals of a Poisson bootstrap over blocks of items or of groups
(:mod:`.streaming_parts`); a share of items that come alone has Wilson's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval, wilson
from shared.evaluation.metric_rows import WHOLE
from shared.evaluation.metrics import METRICS
from shared.evaluation.report import Metric
from shared.evaluation.streaming_curves import (
    ScoreCounts,
    average_precision,
    average_precision_bounds,
    roc_auc,
    roc_auc_bounds,
)
from shared.evaluation.streaming_figures import Figure
from shared.evaluation.streaming_labels import LabelSums
from shared.evaluation.streaming_parts import BLOCKS, Part, blocks_of
from shared.evaluation.streaming_rows import STREAMED
from shared.types import AnyArray, Float64, Int64

CURVES: dict[str, tuple[Figure, Callable[[Float64], tuple[float, float]]]] = {
    "roc_auc": (roc_auc, roc_auc_bounds),
    "auc": (roc_auc, roc_auc_bounds),
    "no_answer_auc": (roc_auc, roc_auc_bounds),
    "average_precision": (average_precision, average_precision_bounds),
}
"""What streams between bounds."""
KINDS = {
    **{name: "labels" for name, row in STREAMED.items() if row.part == "labels"},
    **{name: "numbers" for name, row in STREAMED.items() if row.part.startswith("numbers")},
    **{name: card.kind for name, card in METRICS.items() if name in STREAMED or name in CURVES},
}
"""The kind of each figure that streams, a key of :data:`shared.evaluation.metric_rows.INPUTS`."""
_HELD = 1 << 22
"""Numbers of drawn totals held at once."""


class Stream:
    """Totals of the items so far. Every figure of it takes the same inputs.

    Args:
        names: figures of one kind, keys of :data:`KINDS`.
        seed: of the hash that gives items or groups their blocks.
        first: the number of the first item. Streams over parts of one table are the stream of the whole once merged
            if each begins where its part does.
        options: of the figures, as :func:`shared.evaluation.metrics.measure` takes them.

    Raises:
        UnknownNameError: no figure is called that.
        UsageError: a figure needs all items at once, the figures take different inputs, or none takes an option.

    Example:
        >>> found = Stream("accuracy", "macro_f1")
        >>> found.add(["a", "a"], ["a", "b"])
        >>> found.add(["b", "b"], ["b", "b"])
        >>> {name: metric.value for name, metric in found.results(rng=np.random.default_rng(0)).items()}
        {'accuracy': 0.75, 'macro_f1': 0.7333333333333334}
    """

    def __init__(self, *names: str, seed: int = 0, first: int = 0, **options: Any) -> None:
        for name in names:
            if name not in KINDS:
                raise UsageError(why_whole(name))
        kinds = dict.fromkeys(KINDS[name] for name in names)
        if len(kinds) != 1:
            raise UsageError(f"the figures of a stream must take the same inputs. Got {', '.join(kinds) or 'none'}")
        taken = {option for name in names if name in STREAMED for option in STREAMED[name].options}
        if strange := sorted(set(options) - taken):
            raise UnknownNameError(f"option of {', '.join(names)}", strange[0], sorted(taken))
        self.names = tuple(dict.fromkeys(names))
        self.kind = next(iter(kinds))
        self.n = 0
        self._seed, self._first, self._grouped = seed, first, False
        self._options = {**(METRICS[names[0]].options if names[0] in METRICS else {}), **options}
        self._curve = ScoreCounts() if self.names[0] in CURVES else None
        rows = {} if self._curve else {name: STREAMED[name] for name in self.names}
        self._parts: dict[str, Part] = {}
        for name, row in rows.items():
            self._parts.setdefault(row.part or name, row.build(self._options))

    def add(self, *inputs: Any, groups: Sequence[Any] | AnyArray | None = None) -> None:
        """Take a chunk in.

        Args:
            inputs: what the kind takes, in its order; the truth before the prediction.
            groups: the group of each item (author, user, document), where items of one group are alike: intervals
                then are over groups. Give them for every chunk or for none.

        Raises:
            UsageError: as the functions over whole arrays, or groups came for a part of the items only.
        """
        n = _length(inputs[0])
        if _length(inputs[-1]) != n and self.kind != "lists beyond accuracy":
            raise UsageError(f"truth and prediction must have one length. Got {n} and {_length(inputs[-1])} instead")
        if not n:
            return
        if self.n and self._grouped != (groups is not None):
            raise UsageError("groups must be given for every chunk or for none. Got both")
        if self._curve is not None:
            if groups is not None:
                raise UsageError(
                    "areas under curves have no intervals over groups in a stream: leave the groups out, or take "
                    "shared.evaluation.bca over all items at once"
                )
            self._curve.add(inputs if self.kind != "no answer" else inputs[::-1])
        else:
            blocks = blocks_of(n, groups=groups, first=self._first + self.n, seed=self._seed)
            for part in self._parts.values():
                part.add(inputs, blocks)
        self._grouped = groups is not None
        self.n += n

    def merge(self, other: Stream) -> None:
        """Take in what a stream of other items has.

        Raises:
            UsageError: it is of other figures, options or seed, or one has groups and the other has not.
        """
        if (self.names, self._options, self._seed) != (other.names, other._options, other._seed):
            raise UsageError(
                f"streams to merge must be of the same figures, options and seed. Got {', '.join(self.names)} and "
                f"{', '.join(other.names)}"
            )
        if self.n and other.n and self._grouped != other._grouped:
            raise UsageError("streams to merge must both have groups, or neither. Got one with them")
        if self._curve is not None and other._curve is not None:
            self._curve.merge(other._curve)
        for name, part in self._parts.items():
            part.merge(other._parts[name])
        self._grouped = other._grouped if other.n else self._grouped
        self.n += other.n

    def values(self) -> dict[str, float]:
        """The figures alone; NaN where the items give none."""
        if self._curve is not None:
            return {name: float(CURVES[name][0](self._curve.counts())) for name in self.names}
        found = {}
        for name, (figure, part) in self._figures().items():
            with np.errstate(invalid="ignore"):
                found[name] = float(figure(part.totals())) if self.n else float("nan")
        return found

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Where the figure of the whole data surely lies, for those that a stream need not know exactly."""
        if self._curve is None:
            return {}
        counts, values = self._curve.counts(), self.values()
        if self._curve.exact:
            return {name: (value, value) for name, value in values.items()}
        return {name: CURVES[name][1](counts) for name in self.names}

    def results(
        self, *, rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
    ) -> dict[str, Metric]:
        """The figures with their intervals; those that the items do not give are left out.

        Intervals of figures with :meth:`bounds` are widened by them.

        Args:
            rng: source of randomness.
            resamples: how often blocks are weighed anew, at least 1.
            confidence: coverage of the intervals, in (0, 1).

        Raises:
            UsageError: there are no items, or an argument is out of its range.
        """
        if not self.n:
            raise UsageError("figures must be of at least 1 item. Got none: is the table empty")
        if resamples < 1 or not 0 < confidence < 1:
            raise UsageError(
                f"resamples must be at least 1 and confidence in (0, 1). Got {resamples} and {confidence} instead"
            )
        values = self.values()
        there = {name: value for name, value in values.items() if not np.isnan(value)}
        if self._curve is not None:
            return self._curve_results(self._curve, there, rng, resamples, confidence)
        weights = rng.poisson(1.0, (resamples, BLOCKS)).astype(np.float64)
        found = {}
        for name, (figure, part) in self._figures().items():
            if name not in there:
                continue
            if STREAMED[name].hits and not self._grouped:
                found[name] = wilson(round(there[name] * self.n), self.n, confidence=confidence)
                continue
            step = max(1, _HELD // max(1, part.totals().size))
            pieces = [weights[at : at + step] for at in range(0, resamples, step)]
            with np.errstate(invalid="ignore", divide="ignore"):
                draws = np.concatenate([figure(part.totals(piece)) for piece in pieces])
            found[name] = percentile_interval(there[name], draws, confidence=confidence)
        return found

    def labels(self) -> list[Any]:
        """The labels that were met, in that order.

        Raises:
            UsageError: the figures are not of labels.
        """
        return self._labelled().labels

    def confusion(self) -> Int64:
        """How often each label (rows, as :meth:`labels`) was answered with each; the last column: with none.

        Raises:
            UsageError: the figures are not of labels, or there are more than 1,000.
        """
        return self._labelled().confusion()

    def _labelled(self) -> LabelSums:
        part = self._parts.get("labels")
        if not isinstance(part, LabelSums):
            raise UsageError(f"a confusion matrix must be of labels. Got figures of {self.kind}")
        return part

    def _figures(self) -> dict[str, tuple[Figure, Part]]:
        rows = {name: STREAMED[name] for name in self.names}
        return {name: (row.figure(self._options), self._parts[row.part or name]) for name, row in rows.items()}

    def _curve_results(
        self, curve: ScoreCounts, there: dict[str, float], rng: np.random.Generator, resamples: int, confidence: float
    ) -> dict[str, Metric]:
        coarse, bounds, found = curve.coarse(), self.bounds(), {}
        step = max(1, _HELD // max(1, coarse.size))
        drawn = [
            rng.poisson(coarse, (min(step, resamples - at), *coarse.shape)).astype(np.float64)
            for at in range(0, resamples, step)
        ]
        for name, value in there.items():
            figure = CURVES[name][0]
            draws = np.concatenate([figure(piece) for piece in drawn]) - float(figure(coarse)) + value
            interval, (low, high) = percentile_interval(value, draws, confidence=confidence), bounds[name]
            ends = max(0.0, interval.low - (value - low)), min(1.0, interval.high + (high - value))
            found[name] = Metric(value, *ends)
        return found


def why_whole(name: str) -> str:
    """Why a figure does not stream, and what to do instead.

    Raises:
        UnknownNameError: no figure is called that.

    Example:
        >>> why_whole("median_absolute").split(":")[0]
        'median_absolute must have all items at once'
    """
    if name not in METRICS:
        raise UnknownNameError("figure that streams", name, [*KINDS, *METRICS])
    card = METRICS[name]
    return f"{name} must have all items at once: {WHOLE.get(name) or WHOLE[card.kind]}"


def _length(values: Any) -> int:
    return int(values.shape[0]) if hasattr(values, "shape") else len(values)
