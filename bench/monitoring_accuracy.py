"""Estimated accuracy without labels beside the true one, on shifted data; and NannyML's on the same windows.

The labelled items are halved: one half calibrates, windows are of the other, then the other way round. What is learnt
from are copies of the calibrating half, spoilt as `--spoilt` of `triptych monitor profile` spoils them. *taught*:
windows are spoilt at other strengths, or of another world (whole reviews, their first 40 words). *unseen*: each
window's own kind is left out of what is learnt from besides.
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
from monitoring_data import TESTED, TEXTS_SPOILT, TEXTS_TESTED, learnt

from shared.monitoring.estimate import Calibration, Estimate, Labelled, calibration, estimated_accuracy
from shared.monitoring.teaching import OF_ANSWERS
from vision.spoiling import SPOILT

PEERS = Path(__file__).with_name("monitoring_peers.py")
TABLES = {"vision": (SPOILT, TESTED)} | dict.fromkeys(("sst2", "trec", "agnews"), (TEXTS_SPOILT, TEXTS_TESTED))
LEARNT = {task: learnt(*tables) for task, tables in TABLES.items()}
"""Kinds of shift that are learnt from, by task, each with the beginning of its files' names."""
OTHERS = ("plain", "imdb", "opening")
"""Windows of no kind that can be learnt from; the further ones are of the tested kinds, at strengths of their own."""
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


def columns(folder: Path, task: str) -> dict[str, int]:
    """Columns of the items, and their places among the numbers."""
    with np.load(folder / f"{task}-plain-0.npz") as file:
        return {name: k for k, name in enumerate(file["names"].tolist()) if name not in OF_ANSWERS}


def part(items: Items, at: np.ndarray) -> dict[str, np.ndarray]:
    return {key: values[at] for key, values in items.items()}


def labelled(items: Items, names: Mapping[str, int]) -> Labelled:
    numbers = {name: items["numbers"][:, k] for name, k in names.items()}
    return Labelled(items["confidence"].astype(np.float64), items["correct"], items["label"], numbers)


def windows(folder: Path, task: str, seed: int) -> Iterator[Window]:
    files = sorted(path.stem[len(task) + 1 :] for path in folder.glob(f"{task}-*.npz"))
    sets = {name: load(folder, f"{task}-{name}") for name in files}
    names = columns(folder, task)
    plain = sets["plain-0"]
    n = len(plain["correct"])
    halves = np.array_split(np.random.default_rng(seed).permutation(n), 2)
    for turn in (0, 1):
        rng = np.random.default_rng([seed, turn])
        known, rest = halves[turn], halves[1 - turn]
        own = part(plain, known)
        shifts = {
            kind: [labelled(part(sets[name], known), names) for name in files if name.rsplit("-", 1)[0] == first]
            for kind, first in LEARNT[task].items()
        }
        given = labelled(own, names)
        alone = calibration(given.confidence, given.correct, rng=rng)

        def taught(left_out: str = "", given=given, shifts=shifts, rng=rng) -> Calibration:
            kept = {kind: ones for kind, ones in shifts.items() if kind != left_out}
            about = {"labels": given.labels, "numbers": given.numbers, "shifts": kept}
            return calibration(given.confidence, given.correct, **about, rng=rng)

        whole = taught()
        unseen = {kind: taught(kind) for kind in TABLES[task][1]}
        for name in files:
            kind = name.rsplit("-", 1)[0]
            if kind not in (*OTHERS, *TABLES[task][1]):
                continue
            items = sets[name] if kind in ("imdb", "opening") else part(sets[name], rest)
            window = labelled(items, names)
            sure = window.confidence
            rows = [np.column_stack([one["numbers"], one["embedding"]]) for one in (own, items)]
            about = {"labels": window.labels, "numbers": window.numbers, "rng": rng}
            yield Window(
                task,
                name,
                own,
                items,
                {
                    "taught": estimated_accuracy(whole, sure, **about),
                    "unseen": estimated_accuracy(unseen.get(kind, whole), sure, **about),
                    "confidence": estimated_accuracy(alone, sure, rng=rng),
                    "weighted": estimated_accuracy(alone, sure, reference_rows=rows[0], window_rows=rows[1], rng=rng),
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
    ways = ("taught", "unseen", "confidence", "weighted")
    print("Accuracy without labels, in points: the mean of both halves; errors are estimated less true")
    print("| task | window | items | true | taught | its interval | error | unseen | confidence | weighted | NannyML |")
    print("| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    errors: dict[str, list[float]] = {way: [] for way in (*ways, "nannyml")}
    held = dict.fromkeys(ways, 0)
    kinds = list(dict.fromkeys((one.task, one.kind) for one in found))
    for task, kind in kinds:
        at = [k for k, one in enumerate(found) if (one.task, one.kind) == (task, kind)]
        true = np.mean([found[k].true for k in at])
        mean = {way: np.mean([found[k].found[way].value for k in at]) for way in ways}
        mean["nannyml"] = np.mean([theirs[k][0] for k in at])
        for way, value in mean.items():
            errors[way].append(100 * (value - true))
        for way in ways:
            held[way] += sum(found[k].found[way].low <= found[k].true <= found[k].found[way].high for k in at)
        ends = [np.mean([getattr(found[k].found["taught"], end) for k in at]) for end in ("low", "high")]
        off = {way: f"{values[-1]:+.1f}" for way, values in errors.items()}
        for way in ways[:2]:
            off[way] += " not trusted" * any(found[k].found[way].note for k in at)
        print(
            f"| {task} | {kind} | {sum(len(found[k].items['correct']) for k in at)} | {100 * true:.1f} | "
            f"{100 * mean['taught']:.1f} | {100 * ends[0]:.1f} to {100 * ends[1]:.1f} | {off['taught']} | "
            f"{off['unseen']} | {off['confidence']} | {off['weighted']} | {off['nannyml']} |"
        )
    for task in (*tasks, "all"):
        own = [k for k, (one, _) in enumerate(kinds) if task in (one, "all")]
        said = ", ".join(
            f"{way} {np.mean(np.abs(values)[own]):.1f} ({int((np.abs(values)[own] <= 3).sum())} of {len(own)} within 3)"
            for way, values in ((way, np.array(values)) for way, values in errors.items())
        )
        print(f"{task}: mean absolute error: {said}")
    said = ", ".join(f"{way} {count}" for way, count in held.items())
    print(f"intervals that hold the true accuracy, of {len(found)} half windows (95 % stated): {said}")
