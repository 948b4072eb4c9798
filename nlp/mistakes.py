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
        return [*_tables(slices), *whole, gallery, *failures_of([*map(shortened, texts)], results, things=THINGS)]

    return sections


def answered(result: TextLabels) -> str:
    """The label that a result gives, or those that hold, sorted, with ``|`` between.

    Example:
        >>> import numpy as np
        >>> answered(TextLabels(("b", "a", "c"), np.float32([0.9, 0.6, 0.1]), True))
        'a|b'
    """
    if not result.multi_label:
        return result.labels[0]
    return "|".join(sorted(label for label, score in zip(result.labels, result.scores.tolist()) if score >= 0.5))


def shortened(text: str) -> str:
    r"""A text on one line, cut where it is long.

    Example:
        >>> shortened("two\n lines")
        'two lines'
    """
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST and len(text) <= 4 * LONGEST else f"{line[:LONGEST]} …"


def _tables(slices: Mapping[str, Mapping[str, Metric]]) -> list[Section]:
    """One table for every set of figures that slices share."""
    kinds = dict.fromkeys(tuple(figures) for figures in slices.values())
    return [
        Table(
            "By label" if len(names) > 1 else "By length",
            ("slice", *(column for name in names for column in (name, "low", "high"))),
            tuple(
                (key, *(number for name in names for number in (found[name].value, found[name].low, found[name].high)))
                for key, found in slices.items()
                if tuple(found) == names
            ),
            "Each figure with the ends of its interval.",
        )
        for names in kinds
    ]
