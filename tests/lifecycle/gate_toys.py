"""A task that answers from its model folder, and evaluations with known items, for gate tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.catalogue import ModelCard
from shared.evaluation.intervals import wilson
from shared.evaluation.items import Items, Mean
from shared.evaluation.report import Evaluation
from shared.lifecycle.gates import Contender
from shared.tasks import Option, Task
from shared.weights import write_model_folder

NAME = "test.right"


def evaluation(right: Any, *, kind: Any = None, more: Mapping[str, Any] | None = None) -> Evaluation:
    """An evaluation whose items were right (1) or wrong (0); ``more`` are other figures' items."""
    values = np.asarray(right, np.float64)
    n = len(values)
    figures = {"accuracy": Mean(values), **{name: Mean(np.asarray(one, float)) for name, one in (more or {}).items()}}
    attributes = {} if kind is None else {"kind": np.asarray(kind)}
    items = Items(tuple(map(str, range(n))), figures, "accuracy", attributes)
    metrics = {name: wilson(int(one.values.sum()), n) for name, one in figures.items()}
    return Evaluation(NAME, "m", "data", n, 0, metrics, items=lambda: items)


def card(**changes: Any) -> ModelCard:
    made = ModelCard("toy", NAME, "toy", "numpy", "MIT", "a toy", options={"labels": ["a", "b"]})
    return replace(made, **changes)


def contender(folder: Path, name: str, right: Any, *, size: int = 1000, **more: Any) -> Contender:
    """A contender with a folder of so many bytes beside its card; ``card_*`` go to the card, the rest to the items."""
    changes = {key.removeprefix("card_"): more.pop(key) for key in list(more) if key.startswith("card_")}
    place = folder / name.replace("/", "-")
    made = write_model_folder(place, card(**changes), {"weights.bin": b"x" * size})
    return Contender(name, place, replace(made, **changes, files=made.files), name, evaluation(right, **more))


def write_model(folder: Path, right: list[int], **changes: Any) -> Path:
    """A model folder that the toy task evaluates: it says which items it has right."""
    write_model_folder(folder, card(**changes), {"right.json": json.dumps(right).encode()})
    return folder


class Echo:
    """A predictor that answers nothing, at no speed."""

    def predict(self, items: Any, /, *, on_error: str = "raise") -> list[Any]:
        return list(items)


def evaluate(dataset: Path, *, model: str, seed: int = 0, kinds: bool = False, **_: Any) -> Evaluation:
    right = json.loads((Path(model) / "right.json").read_text())
    return evaluation(right, kind=["x", "y"] * (len(right) // 2) if kinds else None)


TASK = Task(
    NAME,
    "toys",
    "text",
    lambda *_, **__: Echo(),  # type: ignore[arg-type,return-value]
    evaluate=evaluate,
    evaluate_options=(Option("kinds", bool, False, "tell kinds of the items"),),
)
