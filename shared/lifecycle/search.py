"""Search of a trainer's options: any task that trains and evaluates, with pruning, resumable, and honest at its end.

The data are cut in three. Trials learn from the first part and are judged on the second; the third is read once, when
everything is chosen. The best of many figures reads high, so what a search may be believed is that third part's figure,
of the kept model and of trainings from other seeds (G. Cawley and N. Talbot, "On over-fitting in model selection and
subsequent selection bias in performance evaluation", JMLR 11 (2010)).

::

    OUT/study.db       every trial: options, figure, what it reported on its way
    OUT/parts/         the three parts, where the search cut them
    OUT/trials/0007/   log.txt of a trial, and while it matters its model
    OUT/confirm/       figures of the best options from other seeds
    OUT/model/         the best trial's model folder
    OUT/report.json    what the search came to; written last
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.errors import UsageError
from shared.lifecycle.confirming import Found
from shared.lifecycle.parts import TEST, TRAIN, VALIDATION, cut, read_whole
from shared.lifecycle.places import NOWHERE
from shared.lifecycle.running import AUTO, PRUNING, Data, Parts, Run
from shared.lifecycle.search_log import KIND, SearchLog, parameters
from shared.lifecycle.space import Wanted, defaults
from shared.lifecycle.study import open_study
from shared.lifecycle.tracking import tracked
from shared.lifecycle.workers import side_by_side, started
from shared.tasks import Task
from shared.training.options import check_choice, check_seed

_PIECE = 1 << 20


def search(
    task: Task,
    data: Data,
    out: Path,
    wanted: Wanted,
    *,
    trials: int = 20,
    prune: str = AUTO,
    seeds: int = 3,
    workers: int = 1,
    seed: int = 0,
    say: Callable[[str], object] = lambda _: None,
    url: str | Path | None = NOWHERE,
    run_name: str | None = None,
) -> Found:
    """Choose a trainer's options, or go on choosing where a kill broke it off.

    Args:
        task: one that trains and evaluates.
        data: what to learn from, choose by and measure with.
        out: the search's folder: new, empty, or of this very search. More ``trials`` go on from what stands there.
        wanted: what to choose from, by which figure.
        trials: how many in all; those that fail or are pruned count.
        prune: ``"epochs"``: break off trials whose epochs score below the median of those before; ``"data"``: train on
            a quarter and a half of the data first and break off by those; ``"auto"``: the former where the first
            trial's training told of its epochs, else the latter; ``"none"``.
        seeds: trainings of the best options from other seeds, at least 2.
        workers: trials at once, each a process with its share of the processors.
        seed: of everything random.
        say: hears a line for people after each trial.
        url: where the search is logged as a run, as :func:`shared.lifecycle.tracking.tracker` takes it. A search that
            goes on goes on with its run.
        run_name: what that run is called.

    Raises:
        DataError: data are malformed, or every trial failed.
        MissingDependencyError: Optuna is not installed.
        PlanMismatchError: ``out`` holds another search.
        UnknownNameError: the evaluation has no such figure.
        UsageError: an argument is wrong, or the data cannot be cut.
    """
    if task.train is None or task.evaluate is None:
        raise UsageError(f"a search needs a task that trains and evaluates. {task.name} does not")
    for name, value, least in (("trials", trials, 1), ("seeds", seeds, 2), ("workers", workers, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}. Got {value} instead")
    check_choice("prune", prune, PRUNING)
    check_seed(seed)
    own = {"study.db", "parts", "trials", "confirm", "model", "kept.json", "report.json", "lock"}
    if out.exists() and (
        not out.is_dir() or {path.name.removesuffix("-wal").removesuffix("-shm") for path in out.iterdir()} - own
    ):
        raise UsageError(f"OUT must be a new or empty folder, or one of a search. Something else stands in {out}")
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"one search works in a folder at a time. Another one works in {out}: wait for it") from None
    try:
        parts = _parts(data, out, seed=seed)
        plan = {
            "task": task.name,
            "metric": f"{wanted.metric}, {wanted.direction}",
            "space": sorted(wanted.space.items()),
            "fixed": sorted(wanted.fixed.items()),
            "evaluate": sorted(wanted.evaluate.items()),
            "data": {
                "whole": _digest(data.dataset),
                **{name: _digest(getattr(parts, name)) for name in (TRAIN, VALIDATION, TEST)},
            },
            "parts": [data.validation_share, data.test_share, data.group, data.stratify],
            "seed": seed,
            "prune": prune,
        }
        first = defaults(wanted.space, task.train_options)
        how = {"direction": wanted.direction, "seed": seed, "first": first}
        told = parameters(wanted, parts=_named(data), prune=prune, seed=seed)
        with (
            open_study(out / "study.db", plan, wanted.space, **how) as study,  # type: ignore[arg-type]
            tracked(
                KIND,
                run_name,
                task=task.name,
                params=told,
                dataset=data.dataset,
                tags={"dataset": data.dataset.name, "model": out.name},
                url=url,
                again=study.run,
            ) as logged,
            started(workers) as hands,
        ):
            study.logged_in(logged.id)
            log = SearchLog(logged, wanted.metric)
            run = Run(
                task=task,
                data=data,
                parts=parts,
                out=out,
                wanted=wanted,
                study=study,
                prune=prune,
                seed=seed,
                trials=trials,
                workers=workers,
                say=say,
                log=log,
            )
            run.drop()
            try:
                side_by_side(hands, run.one)
                found = run.finish(hands, seeds)
            finally:
                run.tabulate()
            log.found(found, out)
        if log.run:
            say(f"logged as run {log.run[:8]}; triptych runs show {log.run[:8]}")
        return found
    finally:
        lock.release()


def _parts(data: Data, out: Path, *, seed: int) -> Parts:
    """The three parts, cut where they are not given."""
    if data.validation is not None and data.test is not None:
        try:
            whole = read_whole(data.dataset, group=data.group, stratify=data.stratify)
        except UsageError:
            whole = None  # only pruning by parts of the data would need it
        return Parts(data.dataset, data.validation, data.test, whole)
    for name, share in (("validation_share", data.validation_share), ("test_share", data.test_share)):
        if not 0 < share < 1:
            raise UsageError(f"{name} must lie in (0, 1). Got {share} instead")
    names = [TRAIN, *(name for name in (VALIDATION, TEST) if getattr(data, name) is None)]
    shares = {
        "validation": data.validation_share if VALIDATION in names else 0.0,
        "test": data.test_share if TEST in names else 0.0,
    }
    whole = read_whole(data.dataset, group=data.group, stratify=data.stratify)
    places = cut(whole, out / "parts", seed=seed, names=names, **shares)
    train = read_whole(places[TRAIN], group=data.group, stratify=data.stratify)
    return Parts(places[TRAIN], data.validation or places[VALIDATION], data.test or places[TEST], train)


def _named(data: Data) -> dict[str, Any]:
    """Where the parts come from, for people."""
    return {
        "format": data.format,
        "group": data.group,
        "stratify": data.stratify,
        VALIDATION: data.validation or f"{data.validation_share:g} of the data",
        TEST: data.test or f"{data.test_share:g} of the data",
    }


def _digest(path: Path) -> str:
    """Of a file's bytes; of a folder's names and sizes, which is quick where it holds many pictures."""
    total = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                total.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
    else:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                total.update(piece)
    return total.hexdigest()[:16]
