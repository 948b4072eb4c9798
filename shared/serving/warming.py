"""A model opened, and asked before anybody else asks it: what it answers first, and how long an answer takes."""

from __future__ import annotations

import math
import time
from typing import Any

from shared.errors import BackendError, TriptychError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.serving.config import Config, ServedModel
from shared.serving.faults import is_callers
from shared.serving.items import example_item, form_of, read_item
from shared.settings import cpu_count
from shared.tasks import Task
from shared.types import Failure

WARM_UPS = 3


def warmed(task: Task, spec: ServedModel, config: Config) -> tuple[Predictor[Any, Any], dict[str, Any] | None, float]:
    """Open a model.

    Args:
        task: what it is for.
        spec: the model and its options.
        config: what else the server was told.

    Returns:
        The predictor, its answer to the task's example, where that is one, and the seconds that the fastest of some
        answers took.

    Raises:
        UnknownNameError: the task has no such option.
        BackendError: the first answer failed for another reason than the example's being unfit.
        TriptychError: it cannot be opened.
    """
    options = dict(spec.options)
    known = {option.name for option in task.options} | {"device", "threads"}
    for name in options:
        if name not in known:
            raise UnknownNameError(f"option of {spec.task}", name, known)
    options.setdefault("device", config.device)
    options.setdefault("threads", config.threads)
    predictor = task.open(spec.model, **options)
    form = form_of(task)
    item = read_item(form, example_item(form), config.limits)
    seconds, first = math.inf, None
    for _ in range(WARM_UPS):
        began = time.perf_counter()
        first = predictor.predict([item], on_error="keep")[0]
        seconds = min(seconds, time.perf_counter() - began)
    if isinstance(first, Failure):
        if not is_callers(first.kind):
            raise BackendError(
                f"{spec.task}: model {spec.model or 'of the task'} fails on its first item: {first.message}"
            )
        first = None
    return predictor, None if first is None else first.to_json(), seconds


def threads_of(spec: ServedModel, config: Config) -> int:
    """The processor threads that a served model may use."""
    threads = spec.options.get("threads", config.threads)
    return int(threads) if threads else cpu_count()


def as_error(error: BaseException) -> TriptychError:
    """What a failed start is reported as."""
    return error if isinstance(error, TriptychError) else UsageError(f"{type(error).__name__}: {error}")
