"""Estimated accuracy without labels beside the true one, on shifted data; and NannyML's on the same windows.

The labelled items are halved: one half calibrates, windows are of the other, then the other way round. Shifts to learn
from are spoilt copies of the calibrating half in ways of their own (`MADE`); windows are spoilt in other ways.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.monitoring.estimate import Estimate, Labelled, calibration, estimated_accuracy

PEERS = Path(__file__).with_name("monitoring_peers.py")
LEARNT = {
    "vision": ("jpeg", "fog", "moved", "speckle", "turned", "grey"),
    "sst2": ("cut", "tail", "replaced", "shuffled"),
    "trec": ("cut", "tail", "replaced", "shuffled"),
    "agnews": ("cut", "tail", "replaced", "shuffled"),
}
"""Kinds of shift that the line is learnt from, by task; all others are windows."""
OWN = ("plain", "dark", "blur", "noise", "small", "typed", "lost", "imdb", "opening")
Items = Mapping[str, np.ndarray]


@dataclass
class Window:
    """A window, what the labels say of it, and what was estimated."""

    task: str
    kind: str
    calibrating: Items
    items: Items
    found: dict[str, Estimate]

    @property
    def true(self) -> float:
        return float(self.items["correct"].mean())


def load(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: file[key] for key in file.files if not key.endswith("names")}


def part(items: Items, at: np.ndarray) -> dict[str, np.ndarray]:
    return {key: values[at] for key, values in items.items()}


def labelled(items: Items) -> Labelled:
    return Labelled(items["confidence"].astype(np.float64), items["correct"], items["label"])


def windows(folder: Path, task: str, seed: int) -> Iterator[Window]:
    names = sorted(path.stem[len(task) + 1 :] for path in folder.glob(f"{task}-*.npz"))
    sets = {name: load(folder, f"{task}-{name}") for name in names}
    plain = sets["plain-0"]
    n = len(plain["correct"])
    halves = np.array_split(np.random.default_rng(seed).permutation(n), 2)
    for turn in (0, 1):
        rng = np.random.default_rng([seed, turn])
        known, rest = halves[turn], halves[1 - turn]
        own = part(plain, known)
        shifts = {
            kind: [labelled(part(sets[name], known)) for name in names if name.split("-")[0] == kind]
            for kind in LEARNT[task]
        }
        given = labelled(own)
        alone = calibration(given.confidence, given.correct, rng=rng)
        taught = calibration(given.confidence, given.correct, labels=own["label"], shifts=shifts, rng=rng)
        for name in names:
            if name.split("-")[0] not in OWN:
                continue
            copies = name.split("-")[0] not in ("imdb", "opening")
            items = part(sets[name], rest) if copies else sets[name]
            sure = items["confidence"].astype(np.float64)
            rows = [np.column_stack([one["numbers"], one["embedding"]]) for one in (own, items)]
            yield Window(
                task,
                name,
                own,
                items,
                {
                    "confidence": estimated_accuracy(alone, sure, rng=rng),
                    "weighted": estimated_accuracy(alone, sure, reference_rows=rows[0], window_rows=rows[1], rng=rng),
                    "shifts": estimated_accuracy(taught, sure, labels=items["label"], rng=rng),
                },
            )


def nannyml(python: str, found: list[Window]) -> list[list[float]]:
    """Estimate, low and high of each window."""
    arrays: dict[str, np.ndarray] = {}
    for k, one in enumerate(found):
        arrays[f"reference_confidence_{k}"] = one.calibrating["confidence"]
        arrays[f"reference_correct_{k}"] = one.calibrating["correct"]
        arrays[f"confidence_{k}"] = one.items["confidence"]
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("in.npz", "out.json")]
        np.savez(paths[0], **arrays)
        quiet = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1"}
        subprocess.run([python, str(PEERS), "nannyml", *paths], check=True, env=quiet)
        return json.loads(Path(paths[1]).read_text("utf-8"))["estimates"]


def accuracy(folder: Path, *, peer: str | None, seed: int, tasks: list[str]) -> None:
    found = [one for task in tasks for one in windows(folder, task, seed)]
    theirs = nannyml(peer, found) if peer else [[float("nan")] * 3 for _ in found]
    ways = ("shifts", "confidence", "weighted")
    print("Accuracy without labels, in points: the mean of both halves; errors are estimated less true")
    print("| task | window | items | true | shifts | its interval | error | confidence | weighted | NannyML CBPE |")
    print("| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    errors: dict[str, list[float]] = {way: [] for way in (*ways, "nannyml")}
    held = 0
    kinds = list(dict.fromkeys((one.task, one.kind) for one in found))
    for task, kind in kinds:
        at = [k for k, one in enumerate(found) if (one.task, one.kind) == (task, kind)]
        true = np.mean([found[k].true for k in at])
        mean = {way: np.mean([found[k].found[way].value for k in at]) for way in ways}
        mean["nannyml"] = np.mean([theirs[k][0] for k in at])
        for way, value in mean.items():
            errors[way].append(100 * (value - true))
        held += sum(found[k].found["shifts"].low <= found[k].true <= found[k].found["shifts"].high for k in at)
        ends = [np.mean([getattr(found[k].found["shifts"], end) for k in at]) for end in ("low", "high")]
        off = {way: f"{values[-1]:+.1f}" for way, values in errors.items()}
        print(
            f"| {task} | {kind} | {sum(len(found[k].items['correct']) for k in at)} | {100 * true:.1f} | "
            f"{100 * mean['shifts']:.1f} | {100 * ends[0]:.1f} to {100 * ends[1]:.1f} | {off['shifts']} | "
            f"{off['confidence']} | {off['weighted']} | {off['nannyml']} |"
        )
    for task in (*tasks, "all"):
        own = [k for k, (one, _) in enumerate(kinds) if task in (one, "all")]
        said = ", ".join(
            f"{way} {np.mean(np.abs(values)[own]):.1f} ({int((np.abs(values)[own] <= 3).sum())} of {len(own)} within 3)"
            for way, values in ((way, np.array(values)) for way, values in errors.items())
        )
        print(f"{task}: mean absolute error: {said}")
    print(f"the interval of shifts holds the true accuracy of {held} of {len(found)} windows (95 % stated)")
