"""A task whose training takes no time and whose figures are known: what searches are tested on, in other processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.evaluation.report import Evaluation, Metric
from shared.tasks import Option, Task
from shared.training.watching import tell_epoch


def _note(line: str) -> None:
    with Path(os.environ["TOY_LOG"]).open("a") as file:
        file.write(line + "\n")


def train(dataset: Path, out: Path, *, format: str | None, seed: int, **options: Any) -> dict[str, Any]:
    rows = dataset.read_text().split()
    x, kind = options["x"], options["kind"]
    if kind == "refused":
        raise DataError("this kind is refused")
    if kind == "dies":
        os._exit(7)
    if kind == "breaks":
        raise ZeroDivisionError("no kind divides")
    out.mkdir(parents=True, exist_ok=True)
    while os.environ.get("TOY_HANGS_IN") in out.parts:  # until it is killed
        time.sleep(0.02)
    for epoch in range(1, options["epochs"] + 1):
        time.sleep(options["seconds"])
        tell_epoch(epoch, -abs(x - 3) - 1 / epoch)
        with (out / "epochs.txt").open("a") as file:
            file.write(f"{epoch}\n")
    (out / "model.json").write_text(json.dumps({"x": x, "seed": seed, "rows": len(rows)}))
    _note(f"train {dataset.name} {seed}")
    return {"trained": len(rows)}


def evaluate(dataset: Path, *, model: str, format: str | None, limit: int | None, seed: int, **_: Any) -> Evaluation:
    made = json.loads((Path(model) / "model.json").read_text())
    _note(f"judge {dataset.name}")
    kind = 0.5 if "test" in dataset.name else 0.0  # the part that chose nothing is harder by a known amount
    value = 10 - abs(made["x"] - 3) - kind + 0.1 * (made["seed"] % 3)
    metric = Metric(value, value - 0.2, value + 0.2)
    error = Metric(-value, -value - 0.2, -value + 0.2)
    return Evaluation("test.toy", "toy", dataset.name, 10, 0, {"good": metric, "bad_error": error})


TASK = Task(
    name="test.toy",
    summary="learns nothing",
    inputs="text",
    open=print,
    evaluate=evaluate,
    formats=("txt",),
    train=train,
    train_options=(
        Option("x", float, 0.0, "any number"),
        Option("kind", str, "plain", "what happens"),
        Option("epochs", int, 0, "that are told of"),
        Option("seconds", float, 0.0, "that an epoch takes"),
        Option("names", str, (), "several", multiple=True),
        Option("threads", int, None, "of the processor"),
    ),
    evaluate_options=(Option("strict", bool, False, "whether"),),
)
