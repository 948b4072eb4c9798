"""How much slower one model is than another, whatever the machine does meanwhile: both on the same items in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from shared.batch.inputs import open_source
from shared.errors import DataError, UsageError
from shared.evaluation.intervals import CONFIDENCE, bootstrap
from shared.evaluation.report import Metric
from shared.predictor import Predictor
from shared.tasks import InputKind


@dataclass(frozen=True)
class Latency:
    """Two models on the same items.

    Attributes:
        champion: median seconds an item.
        challenger: median seconds an item.
        ratio: median over items of the challenger's time to the champion's, with its bootstrap interval over items.
        items: how many were asked.
        rounds: how often each.
    """

    champion: float
    challenger: float
    ratio: Metric
    items: int
    rounds: int


def compared_latency(
    champion: Predictor[Any, Any],
    challenger: Predictor[Any, Any],
    items: Sequence[Any],
    *,
    rng: np.random.Generator,
    rounds: int = 3,
    confidence: float = CONFIDENCE,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Ask both models for each item one after the other, the one that goes first changing every time.

    What slows the machine for a while slows both, so that the ratio of each item's two times means more than either
    time. Each model answers the first item once before, untimed. Of the rounds the least time of an item counts.

    Args:
        champion: the model that is there.
        challenger: the one that is to take its place.
        items: what both are asked, at least 1, one a call.
        rng: source of the bootstrap.
        rounds: how often each item is asked.
        confidence: coverage of the interval.
        clock: seconds.

    Raises:
        UsageError: there is no item or no round.

    Example:
        >>> class Echo:
        ...     def predict(self, items, /, *, on_error="raise"):
        ...         return list(items)
        >>> ticks = iter(range(100))
        >>> rng, clock = np.random.default_rng(0), lambda: next(ticks)
        >>> found = compared_latency(Echo(), Echo(), ["a", "b"], rng=rng, clock=clock)
        >>> found.ratio.value
        1.0
    """
    if not items or rounds < 1:
        raise UsageError(f"latency needs an item and a round at least. Got {len(items)} items and {rounds} rounds")
    models = (champion, challenger)
    for model in models:
        model.predict([items[0]], on_error="keep")
    seconds = np.full((2, len(items)), np.inf)
    turn = 0
    for _ in range(rounds):
        for at, item in enumerate(items):
            for which in ((0, 1), (1, 0))[turn % 2]:
                began = clock()
                models[which].predict([item], on_error="keep")
                seconds[which, at] = min(seconds[which, at], clock() - began)
            turn += 1
    ratios = seconds[1] / np.maximum(seconds[0], 1e-9)
    ratio = bootstrap(lambda i: float(np.median(ratios[i])), len(items), rng=rng, confidence=confidence)
    one, other = np.median(seconds, axis=1).tolist()
    return Latency(one, other, ratio, len(items), rounds)


def first_items(path: Path, kind: InputKind, count: int, *, column: str | None = None) -> list[Any]:
    """The first items of whatever a batch job reads.

    Args:
        path: a table, a list, or a folder of images.
        kind: what the task takes.
        count: at most so many.
        column: which column holds them; the first that is known when not given.

    Raises:
        UsageError: nothing stands there, or it is of no known kind.
        DataError: it holds no item that can be read.
    """
    source = open_source(str(path), kind, column=column)
    found = list(islice((row.item for row in source.rows() if row.fault is None), count))
    if not found:
        raise DataError(f"{path} must hold an item to measure latency on. It holds none")
    return found
