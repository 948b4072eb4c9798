"""Where training and evaluation of a retraining are done: in this process, or as tasks of a Ray cluster.

On a cluster the folder of runs must be one that every machine sees at the same place: what is trained is written there
by the machine that trains it, and the process that holds the lock goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.report import Evaluation
from shared.monitoring.profile_files import save_profile
from shared.monitoring.profiling import Truth, profile_source
from shared.tasks import find_task

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Calls a function, here or elsewhere."""

    def __call__(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any: ...


def train_model(
    task: str, data: str, out: str, /, *, format: str | None, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Train by a task's own trainer; returns its report."""
    train = find_task(task).train
    if train is None:
        raise UsageError(f"a task that is retrained must train. {task} does not")
    return train(Path(data), Path(out), format=format, seed=seed, **options)


def figures_of(task: str, model: str, data: str, /, *, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a model with their intervals, JSON-ready."""
    evaluate = find_task(task).evaluate
    if evaluate is None:
        raise UsageError(f"a task that is retrained must evaluate. {task} does not")
    found: Evaluation = evaluate(Path(data), model=model, seed=seed, **options)
    whole = found.to_json()
    return {name: whole[name] for name in ("n", "failed", "metrics")}


def profile_of(task: str, model: str, data: str, out: str, /, *, seed: int, label: str, column: str) -> None:
    """Save what a model sees and says of data, as the reference that windows of its log are held against."""
    row, truth = find_task(task), Truth(label) if label else None
    predictor = row.open(model, device="auto", threads=None)
    rng = np.random.default_rng(seed)
    save_profile(profile_source(row, predictor, data, rng=rng, truth=truth, column=column or None), out)


def local(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """In this process."""
    return function(*arguments, **options)


def open_engine(name: str, *, address: str | None = None) -> AbstractContextManager[Engine]:
    """An engine by name, open while inside.

    Args:
        name: one of :data:`ENGINES`.
        address: of a Ray cluster, host:port or auto; one on this machine when not given.

    Raises:
        UnknownNameError: no engine is called that.
        UsageError: an address is given for the local one.
        BackendError: the cluster does not answer.
        MissingDependencyError: Ray is not installed.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if name == "local" and address is not None:
        raise UsageError("an address is that of a Ray cluster: give --engine ray with it")
    return _here() if name == "local" else _on_ray(address)


@contextmanager
def _here() -> Any:
    yield local


@contextmanager
def _on_ray(address: str | None) -> Any:
    from shared.batch.ray_engine import cluster  # noqa: PLC0415 - Ray is asked for when it is wanted

    with cluster(address) as ray:

        def call(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
            remote = ray.remote(max_retries=0)(function).remote(*arguments, **options)
            try:
                return ray.get(remote)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error

        yield call
