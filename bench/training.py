"""The three recipes of vision on real data, each from the command's own task to the figure of its saved model.

    python bench/training.py --data FOLDER [--only bees cells roads] [--out FOLDER] [--threads N]

Needs the extra `torch`. FOLDER holds `vision/hymenoptera`, `vision/bccd`, `vision/camvid`. Each model is trained on the
training part, its best epoch is chosen on the validation part, and the figure is that of the exported graph, through
the task's opener and evaluation: for bees on the validation part (the data has no other), for cells and roads on the
test part, which the training never saw. A recipe that was stopped goes on when `--out` names the same folder again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.evaluation.report import Evaluation
from shared.tasks import find_task


@dataclass(frozen=True)
class Recipe:
    """One training and how it is judged."""

    task: str
    dataset: str
    judged_on: str
    metric: str
    wanted: float
    options: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "bees": Recipe("vision.classification", "hymenoptera", "hymenoptera/val", "top1", 0.93, {}, {"top_k": 1}),
    "cells": Recipe(
        "vision.detection",
        "bccd",
        "bccd",
        "map50",
        0.75,
        {"epochs": 20, "flips": "both", "data_licence": "MIT"},
        {"split": "test"},
    ),
    "roads": Recipe(
        "vision.segmentation",
        "camvid",
        "camvid",
        "miou",
        0.45,
        {"epochs": 24, "size": 384, "data_licence": "non-commercial research"},
        {"split": "test"},
    ),
}


def run(name: str, recipe: Recipe, data: Path, out: Path, threads: int | None) -> dict[str, Any]:
    """Train and judge one recipe."""
    task = find_task(recipe.task)
    if task.train is None or task.evaluate is None:
        raise SystemExit(f"{recipe.task} can be trained and evaluated in this version no more")
    wall, processor = time.perf_counter(), time.process_time()
    report = task.train(data / recipe.dataset, out, threads=threads, **recipe.options)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    judged: Evaluation = task.evaluate(data / recipe.judged_on, model=out, threads=threads, **recipe.evaluation)
    figure = judged.metrics[recipe.metric]
    return {
        "recipe": name,
        "metric": recipe.metric,
        "value": round(figure.value, 4),
        "low": round(figure.low, 4),
        "high": round(figure.high, 4),
        "wanted": recipe.wanted,
        "reached": figure.value >= recipe.wanted,
        "n": judged.n,
        "best_epoch": report["best_epoch"],
        "epochs": report["epochs"],
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(processor, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        for name in given.only:
            print(json.dumps(run(name, RECIPES[name], given.data / "vision", out / name, given.threads)), flush=True)


if __name__ == "__main__":
    main()
