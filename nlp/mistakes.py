"""What a text classifier's report says beyond its figures: by length, by label, and the texts that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nlp.types import TextLabels
from shared.evaluation.report import Gallery, Metric, Section, Shown, Table
from shared.evaluation.sections import confusion_of, failures_of, reliability_table
from shared.types import Failure

THINGS = "texts"
LONGEST = 300
"""Characters of a text that a report shows."""


def classification_sections(
    texts: Sequence[str],
    truth: Sequence[str],
    results: Sequence[TextLabels | Failure],
    slices: Mapping[str, Mapping[str, Metric]],
) -> Callable[[int], list[Section]]:
    """The sections of a text classifier's report.

    Args:
        texts: length n.
        truth: the model's own name of each one's label; of several labels their names with ``|`` between.
        results: what was answered.
        slices: figures of each label and of each length.
    """

    def sections(worst: int) -> list[Section]:
        several = any(isinstance(r, TextLabels) and r.multi_label for r in results)
        answers = [None if isinstance(r, Failure) else answered(r) for r in results]
        scores = [0.0 if isinstance(r, Failure) else float(r.scores[0]) for r in results]
        mistaken = [at for at, answer in enumerate(answers) if answer is not None and answer != truth[at]]
        mistaken.sort(key=lambda at: -scores[at])

        def shown(at: int) -> Shown:
            result = results[at]
            best = [] if isinstance(result, Failure) else list(zip(result.labels, result.scores.tolist()))[:3]
            said = ", ".join(f"{label} {score:.0%}" for label, score in best)
            return Shown(shortened(texts[at]), (f"true: {truth[at] or 'none'}", f"answered: {said}"))

        note = f"{len(mistaken)} of {len(truth)} texts; those that the model was surest of come first."
        whole: list[Section] = (
            [] if several else [reliability_table(truth, answers, scores, things=THINGS), confusion_of(truth, answers)]
        )
        gallery = Gallery("Texts that went wrong", tuple(map(shown, mistaken[:worst])), note)
        return [*slice_tables(slices), *whole, gallery, *failures_of([*map(shortened, texts)], results, things=THINGS)]

    return sections


def answered(result: TextLabels) -> str:
    """The label that a result gives, or those that hold, sorted, with ``|`` between.

    Example:
        >>> import numpy as np
        >>> answered(TextLabels(("b", "a", "c"), np.float32([0.9, 0.6, 0.1]), True))
        'a|b'
    """
    return "|".join(sorted(result.held))


def shortened(text: str) -> str:
    r"""A text on one line, cut where it is long.

    Example:
        >>> shortened("two\n lines")
        'two lines'
    """
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST and len(text) <= 4 * LONGEST else f"{line[:LONGEST]} …"


def slice_tables(slices: Mapping[str, Mapping[str, Metric]]) -> list[Section]:
    """A table of labels and one of lengths, which have one figure each; one that a label lacks leaves a blank."""
    found: list[Section] = []
    lengths = {name for name, row in slices.items() if len(row) == 1}
    for title, chosen in (("By label", slices.keys() - lengths), ("By length", lengths)):
        names = list(dict.fromkeys(figure for key, row in slices.items() if key in chosen for figure in row))
        columns = ("slice", *(column for name in names for column in (name, "low", "high")))
        rows = tuple((key, *_cells(row, names)) for key, row in slices.items() if key in chosen)
        if rows:
            found.append(Table(title, columns, rows, "Each figure with the ends of its interval."))
    return found


def _cells(row: Mapping[str, Metric], names: Sequence[str]) -> list[str | float]:
    cells: list[str | float] = []
    for name in names:
        metric = row.get(name)
        cells += ["", "", ""] if metric is None else [metric.value, metric.low, metric.high]
    return cells
