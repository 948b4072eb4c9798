"""How fast each page's first model answers on this machine: a small, fixed input, when somebody asks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from demos.models import Models
from demos.opening import Model
from shared.errors import TriptychError

RUNS = 3
_TEXT = "Ada Lovelace wrote the first program while she lived in London."
_TO_TRANSLATE = {"en": _TEXT, "zh": "第一个程序是在伦敦写的。"}


@dataclass(frozen=True)
class Measured:
    """What one model took.

    Attributes:
        job: the page that uses it.
        model: its name.
        milliseconds: for one input, median of :data:`RUNS` after a first one; ``None`` where it could not be had.
        why: in words, where it could not be had; else empty.

    Example:
        >>> Measured("Text", "hello", None, "not on this machine").why
        'not on this machine'
    """

    job: str
    model: str
    milliseconds: float | None
    why: str = ""


def measured(models: Models) -> Iterator[Measured]:
    """Open the first model of each page that is on this machine, and time it; none is fetched for that."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    question = {"question": "Where did Ada Lovelace live?", "context": _TEXT}
    first: list[tuple[Model[Any], Any]] = [
        (models.classifiers.first, picture),
        (models.detectors.first, picture),
        (next(iter(models.segmenters.values())).first, picture),
        (models.faces, picture),
        (next(iter(models.heads.values())).first, _TEXT),
        (models.recognisers.first, _TEXT),
        *[
            (choice.first, text)
            for language, text in _TO_TRANSLATE.items()
            for way, choice in models.translators.items()
            if way.startswith(f"{language} ")
        ][:1],
        (models.readers.first, question),
    ]
    for model, item in first:
        yield _timed(model, lambda opened, item=item: opened.predict([item]))  # type: ignore[misc]
    yield _timed(next(iter(models.recommenders.values())), lambda opened: opened.fold_in(["emma"], 10))


def _timed(model: Model[Any], answer: Callable[[Any], object]) -> Measured:
    name = model.card.name
    if model.missing():
        return Measured(model.job, name, None, "not on this machine")
    try:
        opened = model.get(str)
        answer(opened)
        taken = []
        for _ in range(RUNS):
            begun = time.perf_counter()
            answer(opened)
            taken.append((time.perf_counter() - begun) * 1000)
    except TriptychError as error:
        return Measured(model.job, name, None, str(error))
    return Measured(model.job, name, statistics.median(taken))
