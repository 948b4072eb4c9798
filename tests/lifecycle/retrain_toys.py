"""A task that learns which label a word has, made messages, plans over them, and kills at a moment of a run."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.catalogue import ModelCard
from shared.evaluation.intervals import wilson
from shared.evaluation.items import Items, Mean
from shared.evaluation.report import Evaluation
from shared.lifecycle import engines, pipeline, promoting
from shared.lifecycle.history import RunRow, outcomes, read_runs
from shared.lifecycle.pipeline import Places, run
from shared.lifecycle.plan import Plan, plan_of
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry
from shared.tasks import Option, Task
from shared.weights import write_model_folder

NAME = "test.words"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def train(dataset: Path, out: Path, *, format: str | None = None, seed: int = 0, forget: str = "") -> dict[str, Any]:
    """Learn the label that each word has most often; words that begin with a letter of ``forget`` are not learnt."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(dataset):
        if row["text"][0] not in forget:
            counts[row["text"]][row["label"]] += 1
    known = {word: found.most_common(1)[0][0] for word, found in sorted(counts.items())}
    card = ModelCard(out.name, NAME, "words", "numpy", "MIT", "labels of words", options={"labels": ["even", "odd"]})
    write_model_folder(out, card, {"words.json": json.dumps(known).encode()})
    return {"words": len(known)}


def evaluate(dataset: Path, *, model: str, seed: int = 0, **_: Any) -> Evaluation:
    """A word that is not known counts as wrong."""
    known = json.loads((Path(model) / "words.json").read_text())
    data = rows(dataset)
    right = np.array([float(known.get(row["text"]) == row["label"]) for row in data])
    items = Items(
        tuple(map(str, range(len(data)))),
        {"accuracy": Mean(right)},
        "accuracy",
        {"kind": np.array([row["text"][0] for row in data])},
    )
    figures = {"accuracy": wilson(int(right.sum()), len(right))}
    return Evaluation(NAME, Path(model).name, dataset.name, len(data), 0, figures, items=lambda: items)


TASK = Task(
    NAME,
    "labels of words",
    "text",
    lambda *_, **__: None,  # type: ignore[arg-type,return-value]
    evaluate=evaluate,
    train=train,
    formats=("csv",),
    train_options=(Option("forget", str, "", "letters whose words are not learnt"),),
)


def messages(path: Path, letters: str, n: int = 1200, *, seed: int = 0) -> Path:
    """Made messages of one word: a letter and a number below 10, labelled by whether the number is even."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text", "label"))
        for number in range(n):
            digit = int(rng.integers(10))
            word = f"{letters[int(rng.integers(len(letters)))]}{digit}"
            right = rng.random() < 0.97
            writer.writerow((f"{seed}-{number}", word, ("even", "odd")[digit % 2 if right else 1 - digit % 2]))
    return path


def plan(base: Path, *, forget: str = "", **changes: Any) -> Plan:
    """A plan over ``messages.csv`` with traffic in ``traffic.csv``, both in ``base``; its runs are there too."""
    table: dict[str, Any] = {
        "task": NAME,
        "name": "words",
        "runs": "runs",
        "data": {"source": "messages.csv"},
        "validate": {"rows": 500, "columns": ["text", "label"], "label": "label", "labels": ["even", "odd"]},
        "split": {"test": 0.3},
        "train": {"forget": forget},
        "gate": {
            "figures": {"accuracy": {"need": "not worse", "margin": 0.02, "floor": 0.4}},
            "slices": {"support": 50},
        },
        "canary": {
            "share": 0.4,
            "planned": 2000,
            "traffic": "traffic.csv",
            "metrics": {"right": {"kind": "proportion", "column": "right", "margin": 0.1}},
        },
    }
    return plan_of(table | changes, base=base)


def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pipeline know this task and no other."""
    for module in (pipeline, promoting, engines):
        monkeypatch.setattr(module, "find_task", lambda name: TASK)


class Room:
    """A folder of one plan, with a registry and records of its own."""

    def __init__(self, base: Path, empty_store: Path) -> None:
        (base / "registry" / "runs").mkdir(parents=True)
        shutil.copy(empty_store, base / "registry" / "mlflow.db")
        self.base, self.registry = base, registry(base / "registry")
        self.records = Records(base / "decisions", key=base / "signing.key")
        messages(base / "messages.csv", "ab")
        messages(base / "traffic.csv", "ab", 400, seed=9)

    def places(self, **more: Any) -> Places:
        return Places(self.registry, self.records, **more)

    def run(self, **changes: Any) -> RunRow:
        return run(plan(self.base, **changes), self.places())

    def aliases(self) -> dict[str, int]:
        versions = self.registry.versions("words")
        return {alias: version.number for version in versions for alias in version.aliases}

    def champion(self) -> int | None:
        return self.aliases().get("champion")

    def verdicts(self) -> list[tuple[str, str]]:
        return [(str(row.body["kind"]), str(row.body["verdict"])) for row in self.records.all()]

    def digests(self) -> dict[str, Any]:
        """What the one run made and decided, without times."""
        (row,) = read_runs(self.base / "runs")
        done = {name: content["outcome"] for name, content in outcomes(row.folder).items()}
        moves = [(move.alias, move.number, move.why) for move in self.registry.history("words")]
        return {
            "state": row.state,
            "steps": row.steps,
            "sides": {side: done["split"][side]["sha256"] for side in ("train", "test")},
            "model": done["train"]["digest"],
            "figures": done["evaluate"]["metrics"],
            "canary": {key: done["canary"][key] for key in ("action", "units", "effects")},
            "registered": [(version.number, version.digest) for version in self.registry.versions("words")],
            "moves": moves,
            "verdicts": self.verdicts(),
            "chain": self.records.verify().faults,
        }


def prepared(base: Path, empty_store: Path) -> Room:
    """A room with a champion, about to be given a better one."""
    room = Room(base, empty_store)
    train(base / "messages.csv", base / "first" / "words", forget="a")
    room.registry.register(base / "first" / "words", name="words")
    room.registry.alias("words", "champion", 1)
    return room


class Killed(BaseException):
    """What a kill is to a test in one process: nothing of ours catches it."""


def killing(step: str, moment: str) -> Callable[[str, str], None]:
    """A listener that ends the run at a moment of a step."""

    def tell(at: str, when: str) -> None:
        if (at, when) == (step, moment):
            raise Killed

    return tell
