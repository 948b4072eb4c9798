"""Continuing a job from what its folder says, without the command that began it."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Any

from shared.batch.folder import Layout
from shared.batch.job import GRACE, run
from shared.batch.report import Report
from shared.errors import DataError
from shared.tasks import Task, find_task


def resume(
    out: str | Path,
    *,
    task: Task | None = None,
    device: str | None = None,
    threads: int | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    engine: str | None = None,
    ray_address: str | None = None,
    progress: bool = True,
    stop: Event | None = None,
    grace: float = GRACE,
) -> Report:
    """Continue the job in a folder: task, input, model and options are those that it was begun with.

    Args:
        out: the job's folder.
        task: the task itself, where it is none that is installed.
        device: see :func:`shared.batch.run`, as are the others; ``None`` leaves each as the job was begun.
        threads: processor threads in all.
        workers: processes.
        batch_size: items that run together.
        engine: ``"local"`` or ``"ray"``.
        ray_address: the cluster.
        progress: whether progress is shown on standard error.
        stop: once set, no shard is begun and those under way are finished.
        grace: seconds that they have for it.

    Raises:
        DataError: no job was begun there, or its input or model is named relative to another folder than this one.
        PlanMismatchError: the input, the model or this distribution is no longer what it was.
        UsageError: another process works there, or the input is gone.
    """
    layout = Layout(Path(out))
    call = layout.read_call()
    found = layout.read_plan()
    if found is None:
        raise DataError(f"{out} must be the folder of a batch job. It holds none")
    plan, _ = found
    _check_place(str(out), call)
    chosen = find_task(plan.task) if task is None else task
    many = {option.name for option in chosen.options if option.multiple}
    options: dict[str, Any] = {
        name: tuple(value) if name in many and isinstance(value, list) else value
        for name, value in plan.options.items()
    }
    engine = engine or call["engine"]
    address = ray_address or call["ray_address"]
    return run(
        chosen,
        call["source"],
        out,
        model=call["model"],
        column=call["column"],
        id_column=call["id_column"],
        device=device or call["device"],
        threads=threads or call["threads"],
        workers=workers or call["workers"],
        shard_size=plan.shard_size,
        sink=plan.sink,
        batch_size=batch_size or call["batch_size"],
        engine=engine,
        ray_address=address if engine == "ray" else ray_address,
        progress=progress,
        stop=stop,
        grace=grace,
        **options,
    )


def _check_place(out: str, call: dict[str, Any]) -> None:
    """Check that the names of the input and the model mean here what they meant where the job was begun."""
    folder = call["folder"]
    if call["source"] is None:
        raise DataError(f"the job in {out} reads items of a script: run the script again to continue it")
    if folder == os.getcwd():
        return
    source, model = call["source"], call["model"] or ""
    astray = [] if os.path.isabs(source) or "://" in source else [source]
    astray += [model] if model and not os.path.isabs(model) and os.path.exists(os.path.join(folder, model)) else []
    if astray:
        raise DataError(
            f"the job in {out} reads {' and '.join(astray)}, relative to {folder}. Go there to continue it: this is "
            f"{os.getcwd()}"
        )
