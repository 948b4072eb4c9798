"""Two models on one labelled data set: the verdict, its figures, the slices that changed and where they differ most."""

from __future__ import annotations

import csv
import html
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demos.archives import unpack
from demos.examples import pictures
from demos.kinds import Kind
from demos.pages import for_visitors
from demos.tables import Cell, table
from nlp.datasets import read_labelled_texts
from shared.errors import DataError, InputError, TriptychError, UsageError
from shared.evaluation.compared_words import compared_json, figure_rows, slice_rows, verdict
from shared.evaluation.comparing import Compared, compare_evaluations
from shared.evaluation.plots import forest
from shared.evaluation.report import Evaluation, Forest
from shared.tasks import find_task

MOST_TEXTS = 500
MOST_PICTURES = 200
SEED = 0
_SHOWN = 20
_SAMPLE_PICTURES = {
    "n02129165": (("gradio", "media_assets/images/lion.jpg"),),
    "n02130308": (("gradio", "media_assets/images/cheetah1.jpg"), ("gradio", "test_data/cheetah2.jpg")),
    "n03877845": (("sklearn", "datasets/images/china.jpg"),),
    "n11939491": (("sklearn", "datasets/images/flower.jpg"),),
}
"""Pictures of a lion, two cheetahs, a palace and a flower, by WordNet's ids; far too few, which the verdict says."""
_SAMPLE = {
    "positive": (
        "A joy from the first scene to the last.", "I laughed until it hurt.", "Quiet, wise and beautifully played.",
        "The best thing that I have seen this year.", "It could have been dull, and it never is.",
        "Hardly a false note in two hours.", "You will not regret the ticket.", "Moving without ever being sweet.",
        "Nothing about it is lazy.", "A small film with a large heart.", "Who knew that chess could be this thrilling?",
        "I went in tired and came out glad.",
    ),
    "negative": (
        "Two hours that I will never get back.", "Loud, long and empty.", "The jokes were old when it was written.",
        "Not even the actors seem to believe it.", "A waste of a good idea.", "I have seen livelier furniture.",
        "It wants to be clever and is merely confused.", "Beautiful pictures cannot save a script this thin.",
        "I left before the end, and not early enough.", "Everything that the first one was not: dull.",
        "Hardly a scene that works.", "If this is fun, give me boredom.",
    ),
}  # fmt: skip
"""Short reviews written for this page; far too few to judge a model by, which the verdict says."""


@dataclass(frozen=True)
class Judged:
    """What a data set says of two models.

    Attributes:
        result: JSON-ready.
        line: the verdict in words, Markdown.
        html: the forest plot and the tables.
    """

    result: dict[str, Any]
    line: str
    html: str


def judge(
    kind: Kind, first: str, second: str, path: Path, *, name: str, say: Callable[[int, str], object] = lambda *_: None
) -> Judged:
    """Evaluate two models on the first items of a labelled file, or of a zip of pictures, and compare them.

    Args:
        kind: what both do.
        first: catalogue name of the one that is there.
        second: of the one that is to take its place.
        path: the file.
        name: what the visitor calls it.
        say: hears of each of three steps: its number from 0, and what begins.

    Raises:
        DataError: the data set is malformed, or a model cannot be had; the message has ``name`` for its place.
    """
    evaluate = find_task(kind.task).evaluate
    if evaluate is None:
        raise UsageError(f"{kind.task} must have an evaluation to be compared by. It has none")
    of_pictures = kind.task.startswith("vision.")
    most = MOST_PICTURES if of_pictures else MOST_TEXTS
    with tempfile.TemporaryDirectory(prefix="triptych-compare-") as folder:
        dataset = path
        found: list[Evaluation] = []
        try:
            if of_pictures:
                dataset = unpack(path, Path(folder))
            for number, model in enumerate((first, second)):
                say(number, f"Evaluating {model}")
                found.append(evaluate(dataset, model=model, limit=most, seed=SEED, **kind.options))
            if all(one.failed == one.n for one in found):
                raise DataError(f"none of the {found[0].n} items of {name} can be read")
            say(2, "Comparing")
            compared = compare_evaluations(found[0], found[1], rng=np.random.default_rng(SEED))
            texts = read_labelled_texts(path).texts if kind.task == "nlp.classification" else None
            parts = [_figures(compared), _changed(compared), _apart(found, compared, texts, dataset)]
        except (DataError, InputError) as error:
            told_off = for_visitors(_plain(str(error), dataset, path, name))
            raise DataError(f"{told_off}. Expected here: {kind.form}") from error
        except TriptychError as error:
            raise DataError(_plain(str(error), dataset, path, name)) from error
        told = html.escape(_plain(verdict(compared), dataset, path, name), quote=False)
    if compared.n == most:
        told += f" Only the first {most} were judged."
    first_said, *more = re.split(r"(?<=\.) (?=[A-Z])", told, maxsplit=1)
    line = " ".join([f"**{first_said}**", *more])
    return Judged(compared_json(compared) | {"dataset": name}, line, "<br>".join(filter(None, parts)))


def sample_texts(folder: str | None = None) -> str:
    """A file of short labelled reviews in a folder of the server's uploads, which goes when it stops."""
    path = _place(folder) / "short-reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "label"])
        rows.writerows([text, label] for label, texts in _SAMPLE.items() for text in texts)
    return str(path)


def sample_pictures(folder: str | None = None) -> str:
    """A zip of those labelled pictures that other packages carry, as :func:`sample_texts`."""
    path = _place(folder) / "few-pictures.zip"
    with zipfile.ZipFile(path, "w") as held:
        for label, wanted in _SAMPLE_PICTURES.items():
            for picture in pictures(wanted):
                held.write(picture, f"{label}/{Path(picture).name}")
    return str(path)


def _place(folder: str | None) -> Path:
    return Path(tempfile.mkdtemp(dir=folder or os.environ.get("GRADIO_TEMP_DIR")))


def _plain(text: str, dataset: Path, path: Path, name: str) -> str:
    for place in sorted({str(dataset), str(path)}, key=len, reverse=True):
        text = text.replace(place, name)
    return text


def _figures(found: Compared) -> str:
    columns, *rows = figure_rows(found)
    told: list[list[Cell | str]] = [[*row[:3], Cell(row[3], soft=row[4]), row[5]] for row in rows]
    near = [f for f in found.figures if max(abs(f.difference.low), abs(f.difference.high)) <= 1] or found.figures
    plot = forest(Forest(tuple((f.name, f.difference) for f in near), reference=0.0))
    return f'<div class="facts">{plot}</div><br>{table("Figures", [*columns[:4], "p"], told)}'


def _changed(found: Compared) -> str:
    if not found.changed:
        return ""
    columns, *rows = slice_rows(found, found.changed[:10])
    return table("Slices that changed", columns, rows)


def _apart(evaluations: list[Evaluation], found: Compared, texts: tuple[str, ...] | None, dataset: Path) -> str:
    """The items on which one model does better than the other, the largest differences first."""
    items = [one.items() for one in evaluations if one.items is not None]
    if not all(one.main for one in items):
        return ""
    first, second = (one.right() for one in items)
    apart = np.nan_to_num(second - first)
    at = [int(number) for number in np.argsort(-np.abs(apart), kind="stable")[:_SHOWN] if apart[number]]
    if not at:
        return ""
    labels = items[0].attributes.get("label", items[0].attributes.get("class"))
    names = [texts[number] if texts else _short(items[0].ids[number], dataset) for number in at]
    rows: list[list[Cell | str]] = []
    if np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        for number, name in zip(at, names):
            true = [] if labels is None else [Cell(str(labels[number]))]
            rows.append([name, *true, Cell(found.second if apart[number] > 0 else found.first)])
        return table("Where one alone is right", ["Item", *([] if labels is None else ["True"]), "Right"], rows)
    for number, name in zip(at, names):
        rows.append([name, *(Cell(f"{side[number]:.2f}", tag="number") for side in (first, second))])
    return table(f"Where they differ most, by {found.main}", ["Item", found.first, found.second], rows)


def _short(name: str, dataset: Path) -> str:
    return name.replace(f"{dataset.as_posix()}/", "")
