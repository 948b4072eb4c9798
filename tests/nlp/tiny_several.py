"""Texts whose words say which of three topics they are about: several, one or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

TOPICS = {"sport": ("match", "goal", "team"), "money": ("bank", "shares", "profit"), "film": ("scene", "actor", "plot")}


def rows(count: int, seed: int = 0) -> list[tuple[str, list[str]]]:
    """Texts with a word of each of their topics among words of none."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        chosen = sorted(topic for topic in TOPICS if rng.random() < 0.4)
        words = rng.choice(["the", "a", "new", "said", "Monday"], 3).tolist()
        words += [rng.choice(TOPICS[topic]) for topic in chosen]
        made.append((" ".join(map(str, rng.permutation(words))), chosen))
    return made


def written(path: Path, given: list[tuple[str, list[str]]]) -> Path:
    """The texts as JSON lines."""
    path.write_text("".join(json.dumps({"text": text, "labels": names}) + "\n" for text, names in given))
    return path
