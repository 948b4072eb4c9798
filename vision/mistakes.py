"""The pictures that a model got wrong, drawn small for a report."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from shared.errors import InputError
from shared.evaluation.detection import Found, Things
from shared.evaluation.matching import judge
from shared.evaluation.report import Gallery, Section, Shown, Table
from shared.evaluation.sections import confusion_of, failures_of, reliability_table
from shared.types import AnyArray, Failure
from vision.images import View, load_view
from vision.types import Classification, Detections

LONGEST = 360
"""Pixels of the longer side of a picture in a report."""
SHOWN_FROM = 0.3
"""Least score of boxes that are drawn and judged."""
THINGS = "pictures"
_RIGHT, _WRONG, _MISSED, _BESIDE = "#2b8a3e", "#c2255c", "#e8590c", "#868e96"


def classification_sections(
    paths: Sequence[str], truth: Sequence[str], results: Sequence[Classification | Failure]
) -> Callable[[int], list[Section]]:
    """The sections of a classifier's report.

    Args:
        paths: the pictures, length n.
        truth: the model's own name of each one's class.
        results: what was answered.
    """

    def sections(worst: int) -> list[Section]:
        ranked = [[] if isinstance(r, Failure) else list(zip(r.labels, r.scores.tolist())) for r in results]
        answers = [row[0][0] if row else None for row in ranked]
        scores = [row[0][1] if row else 0.0 for row in ranked]
        mistaken = [at for at, answer in enumerate(answers) if answer is not None and answer != truth[at]]
        mistaken.sort(key=lambda at: -scores[at])

        def shown(at: int) -> Shown:
            said = ", ".join(f"{label} {score:.0%}" for label, score in ranked[at][:3])
            return Shown(Path(paths[at]).name, (f"true: {truth[at]}", f"answered: {said}"), _small(paths[at]))

        note = f"{len(mistaken)} of {len(truth)} pictures; those that the model was surest of come first."
        gallery = Gallery("Pictures that went wrong", tuple(map(shown, mistaken[:worst])), note)
        return [
            reliability_table(truth, answers, scores, things=THINGS),
            confusion_of(truth, answers),
            gallery,
            *failures_of(paths, results, things=THINGS),
        ]

    return sections


def detection_sections(
    paths: Sequence[str],
    truth: Sequence[Things],
    found: Sequence[Found],
    results: Sequence[Detections | Failure],
    names: Mapping[int, str],
) -> Callable[[int], list[Section]]:
    """The sections of a detector's report.

    Args:
        paths: the pictures, length n.
        truth: what is in each, in the model's numbers.
        found: what was found in each.
        results: what was answered.
        names: name of each class by the model's number.
    """

    def sections(worst: int) -> list[Section]:
        judged = [judge(t, f, min_score=SHOWN_FROM) for t, f in zip(truth, found)]
        wrong = [float(f.scores[j.wrong].sum()) + int(j.missed.sum()) for f, j in zip(found, judged)]
        order = [at for at in np.argsort(-np.array(wrong), kind="stable").tolist() if wrong[at] > 0]
        counts: dict[int, Counter[str]] = {}
        for t, f, j in zip(truth, found, judged):
            for key, numbers in (
                ("right", f.class_ids[j.right]),
                ("wrong", f.class_ids[j.wrong]),
                ("missed", t.class_ids[j.missed]),
            ):
                for number in numbers.tolist():
                    counts.setdefault(number, Counter())[key] += 1
        rows = [(names.get(n, str(n)), c["right"], c["wrong"], c["missed"]) for n, c in sorted(counts.items())]
        rows.sort(key=lambda row: -(row[2] + row[3]))
        how = f"boxes of a score of at least {SHOWN_FROM}, right where they overlap a thing of their class by half"
        table = Table("Found and missed", ("class", "right", "wrong", "missed"), tuple(rows), f"Counts of {how}.")

        def shown(at: int) -> Shown:
            t, f, j = truth[at], found[at], judged[at]
            said = [f"{int(j.right.sum())} right, {int(j.wrong.sum())} wrong, {int(j.missed.sum())} missed"]
            said += [f"wrong: {_names(f.class_ids[j.wrong], names)}"] if j.wrong.any() else []
            said += [f"missed: {_names(t.class_ids[j.missed], names)}"] if j.missed.any() else []
            boxes = [
                (t.boxes[t.beside_the_point], _BESIDE),
                (f.boxes[j.right], _RIGHT),
                (t.boxes[j.missed], _MISSED),
                (f.boxes[j.wrong], _WRONG),
            ]
            return Shown(Path(paths[at]).name, tuple(said), _small(paths[at], boxes))

        note = (
            f"{len(order)} of {len(truth)} pictures, most wrong first; {how}. Green: right; red: wrong; "
            "orange: missed; grey: crowds and difficult things, which do not count."
        )
        gallery = Gallery("Pictures that went wrong", tuple(map(shown, order[:worst])), note)
        return [table, gallery, *failures_of(paths, results, things=THINGS)]

    return sections


def _names(numbers: AnyArray, names: Mapping[int, str]) -> str:
    counts = Counter(names.get(number, str(number)) for number in numbers.tolist())
    return ", ".join(f"{name} x {count}" if count > 1 else name for name, count in counts.most_common(8))


def _small(path: str, boxes: Sequence[tuple[AnyArray, str]] = ()) -> bytes:
    """The picture as a small JPEG with boxes drawn; nothing where it cannot be read."""
    try:
        pixels, (height, width) = load_view(path, _fit)
    except InputError:
        return b""
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    scale = np.array([picture.width / width, picture.height / height] * 2)
    for corners, colour in boxes:
        for x1, y1, x2, y2 in (corners * scale).tolist():
            draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=2)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


def _fit(height: int, width: int) -> View:
    scale = min(1.0, LONGEST / max(height, width))
    return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))
