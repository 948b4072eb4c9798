"""A process that trains and evaluates as it is told: ``python -m shared.lifecycle.trying``; :mod:`.workers` starts it.

Orders come as lines of JSON on standard input and answers go as lines of JSON to what was standard output; whatever a
trainer prints goes to the log of its trial. It reads on until its input ends, and ends when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock

from shared.errors import TriptychError
from shared.evaluation.report import Evaluation
from shared.tasks import Task, find_task
from shared.training.watching import EndedEarly, watched

LOCK_SECONDS = 30.0
"""How long an order waits for an earlier process that has not noticed yet that its search is gone."""
_LOOK_SECONDS = 0.2
Talk = Callable[[Mapping[str, Any]], dict[str, Any]]


def work(order: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """Do one order.

    Args:
        order: ``task``, ``place`` (a folder for the log and what is dropped again), ``model`` (where it is saved),
            ``train`` (a data set; none where the model stands already), ``format``, ``seed``, ``options``, ``steps``
            (pairs of a step's number and a smaller data set to begin with), ``watch`` (whether epochs may end it),
            ``judge`` (by name the data sets that the model is evaluated on), ``by`` (which of them the steps are judged
            by), ``metric``, and ``evaluate`` (options of that).
        talk: says something and gives the answer: ``{"go": bool}``.

    Returns:
        ``{"figures": {NAME: {METRIC: {"value", "low", "high"}}}, "epochs": N}``, or ``{"pruned": STEP}``, or
        ``{"refused": MESSAGE}`` where the options or the data are at fault.
    """
    task, place, model = find_task(order["task"]), Path(order["place"]), Path(order["model"])
    epochs: list[int] = []

    def counted(epoch: int, score: float) -> bool:
        epochs.append(epoch)
        return True

    def heard(epoch: int, score: float) -> bool:
        epochs.append(epoch)
        return bool(talk({"step": epoch, "score": score})["go"])

    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "trial.lock", timeout=LOCK_SECONDS):
        try:
            for step, dataset in order["steps"]:
                part = place / f"part-{step}"
                _train(task, Path(dataset), part, order)
                value = _figures(task, Path(order["judge"][order["by"]]), part, order).get(order["metric"])
                shutil.rmtree(part)
                if value is not None and not talk({"step": step, "value": value["value"]})["go"]:
                    return {"pruned": step}
            with watched(heard if order["watch"] else counted):
                if order["train"] is not None:
                    _train(task, Path(order["train"]), model, order)
            figures = {name: _figures(task, Path(data), model, order) for name, data in order["judge"].items()}
        except EndedEarly as ended:
            return {"pruned": ended.epoch}
        except TriptychError as error:
            return {"refused": f"{type(error).__name__}: {error}"}
    return {"figures": figures, "epochs": len(epochs)}


def _train(task: Task, dataset: Path, out: Path, order: Mapping[str, Any]) -> None:
    if out.exists() and not task.train_resumes:
        shutil.rmtree(out)
    train: Any = task.train
    train(dataset, out, format=order["format"], seed=order["seed"], **_options(task.train_options, order["options"]))


def _options(declared: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the command would give them: every default, and tuples where several may be."""
    found = {option.name: option.default for option in declared}
    several = {option.name for option in declared if option.multiple}
    return found | {name: tuple(value) if name in several else value for name, value in given.items()}


def _figures(task: Task, dataset: Path, model: Path, order: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    evaluate: Any = task.evaluate
    options = _options((*task.options, *task.evaluate_options), order["evaluate"])
    common = {"format": order["format"], "limit": None, "seed": order["seed"]}
    found: Evaluation = evaluate(dataset, model=str(model), **common, **options)
    return dict(found.to_json()["metrics"])


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Standard output and error of this process, its libraries' too, into a file for a while.

    An error ends the process, so they stay there, and its traceback with them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept):
            os.dup2(copy, number)
            os.close(copy)


def _end_with(parent: int) -> None:
    """End this process when whoever started it is gone: nobody would hear its answers."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def main(orders: TextIO, answers: TextIO) -> None:
    """Read orders until there are no more."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()

    def say(row: Mapping[str, Any]) -> None:
        answers.write(json.dumps(row) + "\n")
        answers.flush()

    def talk(row: Mapping[str, Any]) -> dict[str, Any]:
        say(row)
        return dict(json.loads(orders.readline()))

    while line := orders.readline():
        order = json.loads(line)
        with _logged(Path(order["place"]) / "log.txt"):
            done = work(order, talk)
        say({"done": done})


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as private:
        os.dup2(2, 1)
        main(sys.stdin, private)
