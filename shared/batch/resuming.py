"""Continuing a job from what its folder says, without the command that began it."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

from shared.batch.folder import Layout
from shared.batch.job import GRACE, Report, run
from shared.errors import DataError
from shared.tasks import Task, find_task


def resume(
    out: str | Path,
    *,
    task: Task | None = None,
    progress: bool = True,
    stop: Event | None = None,
    grace: float = GRACE,
    **how: Any,
) -> Report:
    """Continue the job in a folder: task, input, model and options are those that it was begun with.

    Args:
        out: the job's folder.
        task: the task itself, where it is none that is installed.
        progress: whether progress is shown on standard error.
        stop: see :func:`shared.batch.run`.
        grace: see :func:`shared.batch.run`.
        how: ``device``, ``threads``, ``workers``, ``batch_size``, ``engine`` or ``ray_address``, where the work is to
            be done in another way than before; ``None`` leaves it as it was.

    Raises:
        DataError: no job was begun there, or its input is named relative to another folder than this one.
        PlanMismatchError: the input, the model or this distribution is no longer what it was.
        UsageError: another process works there.
    """
    layout = Layout(Path(out))
    call = layout.read_call()
    found = layout.read_plan()
    if found is None:
        raise DataError(f"{out} must be the folder of a batch job. It holds none")
    plan, _ = found
    folder = call.pop("folder")
    if folder != os.getcwd() and not os.path.isabs(call["source"]) and "://" not in call["source"]:
        raise DataError(
            f"the job in {out} reads {call['source']}, relative to {folder}. Go there to continue it, for this is "
            f"{os.getcwd()}"
        )
    chosen = find_task(plan.task) if task is None else task
    many = {option.name for option in chosen.options if option.multiple}
    options: dict[str, Any] = {name: tuple(value) if name in many else value for name, value in plan.options.items()}
    call |= {name: value for name, value in how.items() if value is not None}
    return run(
        chosen,
        call.pop("source"),
        out,
        sink=plan.sink,
        shard_size=plan.shard_size,
        progress=progress,
        stop=stop,
        grace=grace,
        **call,
        **options,
    )
