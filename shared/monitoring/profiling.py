"""Profiles of what lies somewhere: inputs run through a model, the folder of a batch job, or a prediction log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np

from shared.batch.inputs import open_source
from shared.batch.reader import read as read_job
from shared.batch.rows import Row, Source
from shared.errors import InputError, UsageError
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.profile_files import model_digest
from shared.monitoring.signals import Observe, Observed
from shared.predictor import Predictor
from shared.tasks import Task
from shared.types import Failure

FOLDER = "folder"
"""In the place of a column of true labels: the name of the folder in which a picture lies is its label."""


@dataclass(frozen=True)
class Truth:
    """Where true labels stand.

    Attributes:
        column: of a table, or :data:`FOLDER`.
    """

    column: str


def observer_of(task: Task) -> Observe:
    """What the task tells of items.

    Raises:
        UsageError: it tells nothing.
    """
    if task.observe is None:
        raise UsageError(f"a task that is monitored must say what is watched of an item. {task.name} says nothing")
    return task.observe


def profile_items(
    task: Task,
    predictor: Predictor[Any, Any],
    items: Iterable[Any],
    *,
    rng: np.random.Generator,
    truth: Iterable[str | None] | None = None,
    embed: Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
) -> Profile:
    """Run items through a model and profile them, in bounded memory.

    Args:
        task: the model's.
        predictor: the opened model.
        items: as it takes them.
        rng: what samples are drawn with.
        truth: the true label of each item, ``None`` where it is not known: how sure the model was and whether it was
            right is kept, for estimates of accuracy without labels.
        embed: from an item to the vector that takes the place of the observer's.
        batch_size: items that run together; the model's own when not given.

    Raises:
        UsageError: the task tells nothing of its items.
    """
    builder = ProfileBuilder(task.name, rng, model=model_digest(predictor.card))
    labels: Iterator[str | None] = iter(truth) if truth is not None else iter(())

    def watched() -> Iterator[Observed]:
        for one in observed(task, predictor, items, embed=embed, batch_size=batch_size):
            label = next(labels, None)
            if one is None:
                builder.add_failed()
                continue
            if label is not None and one.confidence is not None:
                builder.add_judged([one.confidence], [one.label == label])
            yield one

    builder.add(watched())
    return builder.done()


def observed(
    task: Task,
    predictor: Predictor[Any, Any],
    items: Iterable[Any],
    *,
    embed: Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
) -> Iterator[Observed | None]:
    """What is observed of each item and its answer, in order; ``None`` of one that has no answer or cannot be read.

    Args:
        task: the model's.
        predictor: the opened model.
        items: as it takes them; a bounded number of them is held.
        embed: as in :func:`profile_items`.
        batch_size: as in :func:`profile_items`.

    Raises:
        UsageError: the task tells nothing of its items.
    """
    observe = observer_of(task)
    given, shown = tee(items)
    for item, result in zip(shown, predictor.stream(given, batch_size=batch_size)):
        one = None
        if not isinstance(result, Failure):
            try:
                one = observe(item, result, predictor=predictor)
                one = one if embed is None else replace(one, embedding=embed(item))
            except InputError:
                one = None
        yield one


def profile_source(
    task: Task,
    predictor: Predictor[Any, Any],
    source: str,
    *,
    rng: np.random.Generator,
    truth: Truth | None = None,
    column: str | None = None,
    limit: int | None = None,
    embed: Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
) -> Profile:
    """Profile the inputs of a folder, table or archive, as batch jobs read them; see :func:`profile_items`.

    Args:
        task: the model's.
        predictor: the opened model.
        source: what :func:`shared.batch.inputs.open_source` opens.
        rng: what samples are drawn with.
        truth: where true labels stand.
        column: of items in a table; found by its name when not given.
        limit: the first so many items only.
        embed: as in :func:`profile_items`.
        batch_size: as in :func:`profile_items`.

    Raises:
        UsageError: there is no such input or column, or the task tells nothing of its items.
        DataError: it cannot be read.
    """
    found = opened(task, source, truth, column)
    unread: list[str] = []
    rows, beside = tee(readable(islice(found.rows(), limit), unread))
    told = None if truth is None else (true_label(row, truth) for row in beside)
    items = (row.item for row in rows)
    profile = profile_items(task, predictor, items, rng=rng, truth=told, embed=embed, batch_size=batch_size)
    return replace(profile, failed=profile.failed + len(unread))


def profile_job(
    task: Task, predictor: Predictor[Any, Any] | None, folder: str | Path, *, rng: np.random.Generator
) -> Profile:
    """Profile the rows of a batch job without running the model again.

    Args:
        task: the job's.
        predictor: the model that answered, where what is watched needs it; ``None`` watches the rest.
        folder: of the job, which must be finished.
        rng: what samples are drawn with.

    Raises:
        DataError: no finished job stands there.
        UsageError: the task tells nothing of its items.
    """
    observe = observer_of(task)
    builder = ProfileBuilder(task.name, rng, model="" if predictor is None else model_digest(predictor.card))

    def watched() -> Iterator[Observed]:
        for row in read_job(folder):
            if isinstance(row.result, Failure):
                builder.add_failed()
                continue
            try:
                yield observe(row.input, row.result, predictor=predictor)
            except InputError:
                yield Observed()  # the item is no longer there; that it was answered is known

    builder.add(watched())
    return builder.done()


def opened(task: Task, source: str, truth: Truth | None, column: str | None) -> Source:
    """The source of inputs, with true labels as the ids of its rows where a column holds them.

    Raises:
        UsageError: there is no such input or column.
        DataError: it cannot be read.
    """
    named = truth.column if truth is not None and truth.column != FOLDER else None
    return open_source(source, task.inputs, column=column, id_column=named)


def is_job(folder: str | Path) -> bool:
    """Whether a batch job's folder stands there."""
    return (Path(folder) / "_job").is_dir()


def readable(rows: Iterable[Row], unread: list[str]) -> Iterator[Row]:
    """The rows that have an item; the kinds of faults of the others are put into ``unread``."""
    for row in rows:
        if row.fault is None:
            yield row
        else:
            unread.append(row.fault.kind)


def true_label(row: Row, truth: Truth) -> str | None:
    """The label of a row of a source that was opened with the truth's column as its ids."""
    if truth.column == FOLDER:
        return os.path.basename(os.path.dirname(row.input)) or None
    return row.id
