"""What two models say of one item, side by side: where they agree, and what one alone says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from demos.tables import Cell, table
from nlp.types import Answers, Entities, TextLabels, Translation
from shared.evaluation.answers import normalise_answer
from vision.boxes import box_iou
from vision.masks import rle_iou
from vision.types import Classification, Detections, Segmentation

SAME_BOX = 0.5
"""The overlap from which two boxes of one class are one thing."""
_MOST = 5


@dataclass(frozen=True)
class Side:
    """What is shown of two answers.

    Attributes:
        line: in words, Markdown.
        html: a table.
    """

    line: str
    html: str


def differing(answers: Mapping[str, Any]) -> Side:
    """Two answers of one kind beside each other, by the names of their models.

    Example:
        >>> told = {"a": TextLabels(("good",), np.float32([0.9])), "b": TextLabels(("bad",), np.float32([0.6]))}
        >>> differing(told).line
        '**They disagree**: a says good, b says bad'
    """
    first = next(iter(answers.values()))
    for kind, shown in _SHOWN.items():
        if isinstance(first, kind):
            return shown(answers)  # type: ignore[no-any-return]
    raise TypeError(f"answers must be of {', '.join(kind.__name__ for kind in _SHOWN)}. Got {type(first).__name__}")


def matched(first: Detections, second: Detections) -> list[tuple[int, int]]:
    """Pairs of boxes that are one thing: of one class, overlapping by :data:`SAME_BOX`, the best overlaps first.

    Example:
        >>> box = Detections(("cat",), (9, 9), np.float32([[1, 1, 8, 8]]), np.float32([0.9]), np.int32([16]))
        >>> matched(box, box)
        [(0, 0)]
    """
    overlaps = box_iou(first.xyxy, second.xyxy)
    same = np.array([[a == b for b in second.labels] for a in first.labels], np.bool_).reshape(overlaps.shape)
    overlaps = np.where(same, overlaps, 0.0)
    pairs: list[tuple[int, int]] = []
    while overlaps.size and overlaps.max() >= SAME_BOX:
        a, b = (int(at) for at in np.unravel_index(int(overlaps.argmax()), overlaps.shape))
        pairs.append((a, b))
        overlaps[a], overlaps[:, b] = 0.0, 0.0
    return sorted(pairs)


def _labels(answers: Mapping[str, Any]) -> Side:
    best = {name: found.labels[0] for name, found in answers.items()}
    line = f"**Both say {next(iter(best.values()))}**"
    if len(set(best.values())) > 1:
        line = f"**They disagree**: {', '.join(f'{name} says {label}' for name, label in best.items())}"
    rows: list[list[Cell | str]] = []
    for at in range(min(_MOST, *(len(found.labels) for found in answers.values()))):
        row: list[Cell | str] = [str(at + 1)]
        row += [Cell(f"{found.labels[at]} {found.scores[at]:.1%}") for found in answers.values()]
        rows.append(row)
    return Side(line, table("Best guesses", ["Rank", *answers], rows))


def _boxes(answers: Mapping[str, Any]) -> Side:
    (one, first), (other, second) = answers.items()
    both = Counter(first.labels[at] for at, _ in matched(first, second))
    counts = Counter(first.labels), Counter(second.labels)
    names = sorted({*first.labels, *second.labels}, key=lambda name: (-counts[0][name] - counts[1][name], name))
    alone = [(count - both).total() for count in counts]
    line = f"**{both.total()} boxes in both**, {alone[0]} of {one} alone, {alone[1]} of {other} alone"
    if not names:
        line = "**Neither finds anything**"
    numbers = [[both[name], *(count[name] - both[name] for count in counts)] for name in names]
    rows: list[list[Cell | str]] = [
        [name, *(Cell(str(n), tag="number") for n in row)] for name, row in zip(names, numbers)
    ]
    return Side(line, table("Boxes", ["Thing", "Both", f"{one} alone", f"{other} alone"], rows) if rows else "")


def _pixels(answers: Mapping[str, Any]) -> Side:
    (one, first), (other, second) = answers.items()
    labels = [dict(zip(found.labels, range(len(found.labels)))) for found in (first, second)]
    names = sorted({*labels[0], *labels[1]})
    rows: list[list[Cell | str]] = []
    for name in names:
        at = [of.get(name) for of in labels]
        shares = [0.0 if i is None else float(found.shares[i]) for i, found in zip(at, (first, second))]
        overlap = 0.0
        if at[0] is not None and at[1] is not None:
            overlap = float(rle_iou([first.masks[at[0]]], [second.masks[at[1]]])[0, 0])
        rows.append([name, *(Cell(f"{value:.1%}", tag="number") for value in (*shares, overlap))])
    line = f"**The same on {_agreement(first, second):.1%} of the pixels**"
    return Side(line, table("Areas", ["What", one, other, "Overlap"], rows) if rows else "")


def _agreement(first: Segmentation, second: Segmentation) -> float:
    """The share of pixels on which both have one label, or none."""
    numbers = {name: at for at, name in enumerate(dict.fromkeys((*first.labels, *second.labels)), 1)}
    maps = []
    for found in (first, second):
        labels = np.zeros(found.image_size, np.int32)
        for at, name in enumerate(found.labels):
            labels[found.mask(at)] = numbers[name]
        maps.append(labels)
    return float((maps[0] == maps[1]).mean())


def _entities(answers: Mapping[str, Any]) -> Side:
    (one, first), (other, second) = answers.items()
    found = [{(e.start, e.end): e for e in side.entities} for side in (first, second)]
    places = sorted({*found[0], *found[1]})
    rows: list[list[Cell | str]] = []
    for place in places:
        here = [side.get(place) for side in found]
        text = next(entity.text for entity in here if entity is not None)
        rows.append([text, *("—" if entity is None else entity.label for entity in here)])
    both = len(found[0].keys() & found[1].keys())
    line = f"**{both} of {len(places)} names in both**" if places else "**Neither finds a name**"
    return Side(line, table("Names", ["Text", one, other], rows) if rows else "")


def _translations(answers: Mapping[str, Any]) -> Side:
    same = len({found.text for found in answers.values()}) == 1
    rows: list[list[Cell | str]] = [[name, Cell(found.text)] for name, found in answers.items()]
    return Side(
        f"**{'The same words' if same else 'Different words'}**", table("Side by side", ["Model", "Text"], rows)
    )


def _answers(answers: Mapping[str, Any]) -> Side:
    """Two readers' answers: the same where SQuAD's own script finds them the same."""
    said = {name: "no answer" if found.best is None else found.best.text for name, found in answers.items()}
    refused = [found.best is None for found in answers.values()]
    if all(refused):
        line = "**Neither finds an answer**"
    elif not any(refused) and len({normalise_answer(text) for text in said.values()}) == 1:
        line = f"**Both answer “{next(iter(said.values()))}”**"
    else:
        told = (f"{name} {'finds no answer' if no else f'answers “{said[name]}”'}" for name, no in zip(said, refused))
        line = f"**They disagree**: {', '.join(told)}"
    rows: list[list[Cell | str]] = []
    for name, found in answers.items():
        place = "—" if found.best is None else f"{found.best.start} to {found.best.end}"
        rows.append([name, Cell(said[name]), place, Cell(f"{found.no_answer:.1%}", tag="number")])
    return Side(line, table("Answers", ["Reader", "Answer", "Characters", "That there is none"], rows))


_SHOWN: dict[type, Any] = {
    Answers: _answers,
    TextLabels: _labels,
    Classification: _labels,
    Detections: _boxes,
    Segmentation: _pixels,
    Entities: _entities,
    Translation: _translations,
}
