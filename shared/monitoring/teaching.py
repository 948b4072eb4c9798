"""What a model's accuracy does when its items are spoilt, learnt from labelled items: for estimates without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, tee
from typing import Any

import numpy as np

from shared.errors import InputError, UsageError
from shared.monitoring.estimate import Calibration, Labelled, calibration
from shared.monitoring.profiling import Truth, observed, opened, readable, true_label
from shared.monitoring.signals import Observed, batch_of
from shared.predictor import Predictor
from shared.tasks import Task

MOST = 1000
"""Labelled items that are spoilt, in each way and strength."""
OF_ANSWERS = frozenset({"confidence", "entropy", "margin", "held"})
"""Columns that are of the answer, and so tell nothing of what the items look like."""


def taught(
    task: Task,
    predictor: Predictor[Any, Any],
    items: Sequence[Any],
    labels: Sequence[str],
    *,
    rng: np.random.Generator,
    batch_size: int | None = None,
) -> Calibration:
    """Spoil labelled items in every way that the task knows, let the model answer, and calibrate on it.

    Each way and strength costs as much as answering the items once.

    Args:
        task: the model's; its tools have ``spoilt``: by kind of spoiling, for each strength a function from an item and
            an ``rng`` to the spoilt item.
        predictor: the opened model, which must not have learnt from these items.
        items: at most :data:`MOST` are taken.
        labels: the true label of each.
        rng: of that choice and of the spoiling.
        batch_size: items that run together; the model's own when not given.

    Raises:
        UsageError: the task knows no ways to spoil items, or fewer than 20 items had an answer.
    """
    if "spoilt" not in task.tools:
        raise UsageError(f"items can be spoilt of tasks that say how. Got {task.name}, which does not")
    kept = np.sort(rng.permutation(len(items))[:MOST]).tolist()
    pairs = [(items[k], labels[k]) for k in kept]

    def copies(spoil: Callable[[Any, np.random.Generator], Any]) -> Iterator[tuple[Any, str]]:
        for item, label in pairs:
            try:
                yield spoil(item, rng), label
            except InputError:
                continue  # it cannot be read, so that the model could not answer it either

    plain = _labelled(task, predictor, pairs, batch_size)
    shifts = {
        kind: [_labelled(task, predictor, copies(spoil), batch_size) for spoil in strengths]
        for kind, strengths in task.tools["spoilt"]().items()
    }
    return calibration(
        plain.confidence, plain.correct, labels=plain.labels, numbers=plain.numbers, shifts=shifts, rng=rng
    )


def taught_source(
    task: Task,
    predictor: Predictor[Any, Any],
    source: str,
    *,
    truth: Truth,
    rng: np.random.Generator,
    column: str | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
) -> Calibration:
    """The same of labelled inputs in a folder or table, in bounded memory; see :func:`taught`.

    Args:
        task: as in :func:`taught`.
        predictor: as in :func:`taught`.
        source: what :func:`shared.batch.inputs.open_source` opens.
        truth: where true labels stand.
        rng: as in :func:`taught`.
        column: of items in a table; found by its name when not given.
        limit: the first so many items only.
        batch_size: as in :func:`taught`.

    Raises:
        UsageError: as in :func:`taught`, or there is no such input or column.
        DataError: it cannot be read.
    """
    kept: list[tuple[Any, str]] = []
    rows = readable(islice(opened(task, source, truth, column).rows(), limit), [])
    labels = ((row.item, true_label(row, truth)) for row in rows)
    for seen, (item, label) in enumerate((item, label) for item, label in labels if label is not None):
        at = seen if seen < MOST else int(rng.integers(seen + 1))  # each of those seen is kept with the same chance
        if at < MOST:
            kept[at : at + 1] = [(item, str(label))]
    items, known = [item for item, _ in kept], [label for _, label in kept]
    return taught(task, predictor, items, known, rng=rng, batch_size=batch_size)


def _labelled(
    task: Task, predictor: Predictor[Any, Any], pairs: Iterable[tuple[Any, str]], batch_size: int | None
) -> Labelled:
    """Answers to items whose labels are known; those without an answer that says how sure it is are left out."""
    found, right = list[Observed](), list[bool]()
    given, known = tee(pairs)
    answers = observed(task, predictor, (item for item, _ in given), batch_size=batch_size)
    for one, (_, label) in zip(answers, known):
        if one is not None and one.confidence is not None and one.label is not None:
            found.append(one)
            right.append(one.label == label)
    numbers = {name: values for name, values in batch_of(found).numbers.items() if name not in OF_ANSWERS}
    return Labelled(
        np.array([one.confidence for one in found]), np.array(right), [str(one.label) for one in found], numbers
    )
