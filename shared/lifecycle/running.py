"""One search under way: trials in their order, what is kept of them, and the best one confirmed."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.report import Metric
from shared.lifecycle.confirming import Confirmed, Found
from shared.lifecycle.parts import TEST, VALIDATION, Whole, portion
from shared.lifecycle.search_log import SearchLog
from shared.lifecycle.space import Wanted
from shared.lifecycle.study import DATA_STEP, Study
from shared.lifecycle.workers import Worker, side_by_side, threads_each
from shared.tasks import Task
from shared.weights.cache import write_bytes

AUTO, BY_EPOCHS, BY_DATA, NEVER = "auto", "epochs", "data", "none"
PRUNING = (AUTO, BY_EPOCHS, BY_DATA, NEVER)
SHARES = (0.25, 0.5)
"""Of the data to learn from: what a trial begins with where its training tells of no epochs."""


@dataclass(frozen=True)
class Data:
    """What a search works on.

    Attributes:
        dataset: to learn from, or to be cut.
        validation: to choose by; ``None`` to cut it off ``dataset``.
        test: to measure the chosen with; ``None`` to cut it off ``dataset``.
        format: of all; ``None`` detects.
        validation_share: of what is cut, in (0, 1).
        test_share: of what is cut, in (0, 1).
        group: column of rows that stay together.
        stratify: column that is spread evenly.
    """

    dataset: Path
    validation: Path | None = None
    test: Path | None = None
    format: str | None = None
    validation_share: float = 0.2
    test_share: float = 0.2
    group: str | None = None
    stratify: str | None = None


@dataclass(frozen=True)
class Parts:
    """The three parts, and the first of them as it can be cut further."""

    train: Path
    validation: Path
    test: Path
    whole: Whole | None


class Run:
    """One search under way: what its workers' threads share."""

    def __init__(
        self,
        *,
        task: Task,
        data: Data,
        parts: Parts,
        out: Path,
        wanted: Wanted,
        study: Study,
        prune: str,
        seed: int,
        trials: int,
        workers: int,
        say: Callable[[str], object],
        log: SearchLog,
    ) -> None:
        self._task, self._data, self._parts, self._out = task, data, parts, out
        self._wanted, self._study, self._prune, self._seed = wanted, study, prune, seed
        self._trials, self._workers, self._say, self._log = trials, workers, say, log
        self._lock = threading.Lock()  # of the study and the folders

    def one(self, worker: Worker) -> bool:
        """Do the next trial; returns whether there was one."""
        with self._lock:
            following = self._study.next(self._trials)
            if following is None:
                return False
            number, options = following
            way = self._way()
            steps = self._steps() if way == BY_DATA else []
        order = self._order(
            self._place(number), options, seed=self._seed, judge={VALIDATION: self._parts.validation}, steps=steps
        ) | {"watch": way in (BY_EPOCHS, AUTO), "by": VALIDATION}
        done = worker.do(order, lambda row: self._heard(number, row, way))
        with self._lock:
            self._told(number, options, done)
            self.drop()
        return True

    def _heard(self, number: int, row: Mapping[str, Any], way: str) -> bool:
        value = row.get("value")
        if value is None:  # an epoch's score is better when higher, whatever the figure is
            value = row["score"] if self._wanted.direction == "maximize" else -row["score"]
        with self._lock:
            go_on = self._study.report(number, int(row["step"]), float(value))
        return go_on or way == AUTO  # before it is known what trials are pruned by, none is

    def _told(self, number: int, options: Mapping[str, Any], done: Mapping[str, Any]) -> None:
        chosen = ", ".join(f"{name}={_short(value)}" for name, value in options.items())
        if "refused" in done:
            self._study.fail(number, done["refused"])
            outcome = f"failed: {done['refused']:.200}"
        elif "pruned" in done:
            self._study.prune(number)
            outcome = f"pruned at {_step(int(done['pruned']))}"
        else:
            figures = done["figures"][VALIDATION]
            if self._wanted.metric not in figures:
                raise UnknownNameError(f"figure of {self._task.name}", self._wanted.metric, figures)
            value = figures[self._wanted.metric]["value"]
            self._study.complete(number, value, epochs=done["epochs"], figures=figures)
            outcome = f"{self._wanted.metric} {value:.4f}"
        best, so_far = self._study.best(), ""
        if best is not None and best.value is not None:
            so_far = f" (best {best.value:.4f}, trial {best.number})"
            self._log.best(sum(one.state != "running" for one in self._study.trials()), best.value)
        self._say(f"trial {number + 1} of {self._trials}: {outcome}{so_far}; {chosen}")

    def drop(self) -> None:
        """Keep the best trial's model alone, of those that are done."""
        best = self._study.best()
        for trial in self._study.trials():
            if trial.state != "running" and (best is None or trial.number != best.number):
                for path in self._place(trial.number).glob("*"):
                    if path.is_dir():
                        shutil.rmtree(path)

    def tabulate(self) -> None:
        """Log every trial as it stands."""
        with self._lock:
            self._log.trials(self._study.rows(self._wanted.metric))

    def finish(self, hands: list[Worker], seeds: int) -> Found:
        """Keep the best model, train its options from other seeds, and read the test part."""
        best = self._study.best()
        done = tuple(self._study.trials())
        if best is None:
            said = next((one.refused for one in done if one.refused), "all were pruned")
            raise DataError(f"no trial of {self._task.name} came to a figure. The first said: {said}")
        self._keep(best.number)
        jobs = [("kept", None), *((f"seed-{self._seed + at}", self._seed + at) for at in range(1, seeds + 1))]
        left = [job for job in jobs if not self._confirmed(best.number, job[0]).is_file()]

        def confirm(worker: Worker) -> bool:
            with self._lock:
                if not left:
                    return False
                name, seed = left.pop(0)
            judge = {VALIDATION: self._parts.validation, TEST: self._parts.test}
            place = self._out / "confirm" / f"{best.number:04d}-{name}"
            order = self._order(place, best.options, seed=self._seed if seed is None else seed, judge=judge, steps=[])
            answer = worker.do(
                order | ({"train": None, "model": str(self._out / "model")} if seed is None else {}), lambda _: True
            )
            if "figures" not in answer:
                raise DataError(f"the best options could not be confirmed ({name}): {answer.get('refused')}")
            write_bytes(self._confirmed(best.number, name), json.dumps(answer["figures"]).encode())
            shutil.rmtree(place)
            value = answer["figures"][TEST][self._wanted.metric]["value"]
            self._say(f"{name}: {self._wanted.metric} {value:.4f} on the test part")
            return True

        side_by_side(hands, confirm)
        read = {name: json.loads(self._confirmed(best.number, name).read_bytes()) for name, _ in jobs}
        found = Found(
            task=self._task.name,
            dataset=str(self._data.dataset),
            metric=self._wanted.metric,
            direction=self._wanted.direction,
            folder=str(self._out / "model"),
            best=best,
            fixed=dict(self._wanted.fixed),
            validation=_metric(read["kept"][VALIDATION][self._wanted.metric]),
            test=_metric(read["kept"][TEST][self._wanted.metric]),
            confirmed=tuple(
                Confirmed(seed, *(_metric(read[name][part][self._wanted.metric]) for part in (VALIDATION, TEST)))
                for name, seed in jobs
                if seed is not None
            ),
            trials=done,
        )
        write_bytes(
            self._out / "report.json", (json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n").encode()
        )
        return found

    def _keep(self, number: int) -> None:
        note, model, chosen = self._out / "kept.json", self._out / "model", self._place(number) / "model"
        if chosen.is_dir():
            if model.is_dir():
                shutil.rmtree(model)
            chosen.rename(model)
        write_bytes(note, json.dumps({"trial": number}).encode())

    def _confirmed(self, number: int, name: str) -> Path:
        return self._out / "confirm" / f"{number:04d}-{name}.json"

    def _place(self, number: int) -> Path:
        return self._out / "trials" / f"{number:04d}"

    def _way(self) -> str:
        if self._prune != AUTO:
            return self._prune
        counts = self._study.counts_epochs()
        if counts is None:
            return AUTO
        return BY_EPOCHS if counts else BY_DATA if self._parts.whole is not None else NEVER

    def _steps(self) -> list[tuple[int, str]]:
        if self._parts.whole is None:
            raise UsageError("trials cannot be pruned by parts of data that cannot be cut: --prune epochs or none")
        folder = self._out / "parts"
        return [
            (
                DATA_STEP + round(100 * share),
                str(portion(self._parts.whole, folder / f"share-{share:g}", share, seed=self._seed)),
            )
            for share in SHARES
        ]

    def _order(
        self,
        place: Path,
        options: Mapping[str, Any],
        *,
        seed: int,
        judge: Mapping[str, Path],
        steps: list[tuple[int, str]],
    ) -> dict[str, Any]:
        known = {option.name for option in self._task.train_options}
        threads = {"threads": threads_each(self._workers)} if "threads" in known and self._workers > 1 else {}
        return {
            "task": self._task.name,
            "place": str(place),
            "model": str(place / "model"),
            "train": str(self._parts.train),
            "format": self._data.format,
            "seed": seed,
            "options": {**threads, **self._wanted.fixed, **options},
            "evaluate": dict(self._wanted.evaluate),
            "metric": self._wanted.metric,
            "judge": {name: str(path) for name, path in judge.items()},
            "steps": steps,
            "watch": False,
            "by": VALIDATION,
        }


def _metric(row: Mapping[str, float]) -> Metric:
    return Metric(row["value"], row["low"], row["high"])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _step(step: int) -> str:
    return f"{step - DATA_STEP} % of the data" if step >= DATA_STEP else f"epoch {step}"
