"""What each text says of a classifier's figures, and what is known of a text beside any model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from nlp.datasets import SEVERAL
from nlp.label_figures import areas_of_labels, f1_of_labels
from nlp.types import TextLabels
from shared.evaluation.bca import ratio
from shared.evaluation.item_figures import calibration_total
from shared.evaluation.items import Chances, ItemFigure, Items, Mean, Total
from shared.types import AnyArray, Bool, Failure, Float64

_URL = re.compile(r"https?://|www\.", re.IGNORECASE)
_LETTERS = 64
"""Letters of a text that its script is told by."""


@dataclass(frozen=True)
class LabelTable:
    """Truth and answers of n texts over L labels.

    Attributes:
        truth: shape (n, L).
        given: shape (n, L).
        scores: shape (n, L), in [0, 1]; 0 where a label was not among those that the model named.
        sure: score of each text's best label, shape (n,), in [0, 1].
        failed: shape (n,).
        several: whether several labels may hold.
    """

    truth: Bool
    given: Bool
    scores: Float64
    sure: Float64
    failed: Bool
    several: bool

    @property
    def right(self) -> Bool:
        """Whether each text's answer is the truth, shape (n,)."""
        same: Bool = (self.truth == self.given).all(axis=1) & ~self.failed
        return same


def label_table(
    truth: Sequence[Sequence[str]], results: Sequence[TextLabels | Failure], known: Sequence[str]
) -> LabelTable:
    """Truth and answers side by side.

    Args:
        truth: the true labels of each text, length n, in the model's words.
        results: the answers, length n.
        known: the model's labels, length L.
    """
    place = {name: at for at, name in enumerate(known)}
    shape = (len(truth), len(known))
    true, given, scores = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape)
    several = any(isinstance(result, TextLabels) and result.multi_label for result in results)
    for row, (names, result) in enumerate(zip(truth, results)):
        true[row, [place[name] for name in names]] = True
        if isinstance(result, Failure):
            continue
        for name, score in zip(result.labels, result.scores.tolist()):
            if name in place:
                scores[row, place[name]] = min(score, 1.0)
        given[row, [place[name] for name in result.held if name in place]] = True
    failed = np.array([isinstance(result, Failure) for result in results], np.bool_)
    sure = np.array([0.0 if isinstance(result, Failure) else min(float(result.scores[0]), 1.0) for result in results])
    return LabelTable(true, given, scores, sure, failed, several)


def text_attributes(texts: Sequence[str]) -> dict[str, AnyArray]:
    """What a text shows of itself: its length, its letters, whether it holds an address of the web.

    Args:
        texts: length n.

    Returns:
        By name, each of shape (n,): ``characters`` and ``words`` (int64), ``upper case`` (share of its letters) and
        ``digits`` (share of its characters), float64 in [0, 1] and 0 where there are none, ``URL`` (bool) and
        ``script`` (str), such as ``"latin"``, that of most of its first letters, ``"none"`` where it has no letter.

    Example:
        >>> {name: values.tolist() for name, values in text_attributes(["See www.a.org", "Да"]).items()}["script"]
        ['latin', 'cyrillic']
    """
    letters = [sum(map(str.isalpha, text)) for text in texts]
    upper = [sum(map(str.isupper, text)) for text in texts]
    digits = [sum(map(str.isdigit, text)) for text in texts]
    characters = np.array([len(text) for text in texts], np.int64)
    return {
        "characters": characters,
        "words": np.array([len(text.split()) for text in texts], np.int64),
        "upper case": np.array(upper, np.float64) / np.maximum(letters, 1),
        "digits": np.array(digits, np.float64) / np.maximum(characters, 1),
        "URL": np.array([bool(_URL.search(text)) for text in texts], np.bool_),
        "script": np.array([_script(text) for text in texts], np.str_),
    }


def classification_items(
    texts: Sequence[str],
    lines: Sequence[int],
    sets: Sequence[Sequence[str]],
    results: Sequence[TextLabels | Failure],
    *,
    known: Sequence[str],
    words: Mapping[str, str],
    names: Collection[str],
) -> Items:
    """The items of an evaluation of a classifier.

    Labels are called as the data calls them, so that models whose own words differ can be compared.

    Args:
        texts: length n.
        lines: where each stands in its file.
        sets: the true labels of each, in the data's words.
        results: the answers.
        known: the model's labels.
        words: the model's label for each of the data's.
        names: the figures that there are.
    """
    table = label_table([sorted({words[name] for name in held}) for held in sets], results, known)
    called = _called(known, words)
    # Labels that the data has not have no area; those it has are in one order whatever the model.
    own = [at for _, at in sorted((name, at) for at, name in enumerate(called) if name in words)]
    held, sure = (table.truth, table.scores) if table.several else (table.right[:, None], table.sure[:, None])
    figures: dict[str, ItemFigure] = {
        "accuracy": Mean(table.right.astype(np.float64)),
        "f1": f1_of_labels(_pairs(table, called)),
        "f1_micro": Total(_both_and_either(table), ratio),
        **areas_of_labels(table.truth[:, own], table.scores[:, own], table.failed),
        "calibration_error": calibration_total(held, np.where(table.failed[:, None], np.nan, sure)),
    }
    known_of_all = {"label": np.array([SEVERAL.join(sorted(held)) for held in sets], np.str_)} | text_attributes(texts)
    if table.several:
        known_of_all["labels"] = np.array([len(held) for held in sets], np.int64)
    return Items(
        tuple(f"line {line}" for line in lines),
        {name: figure for name, figure in figures.items() if name in names},
        "accuracy",
        known_of_all,
        chances=_chances(table, called),
    )


def _called(known: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """The data's name of each of the model's labels, or its own where the data has no such label."""
    back = {words[name]: name for name in sorted(words, reverse=True)}  # of several names the first
    return [back.get(name) or (f"{name} (the model's)" if name in words else name) for name in known]


def _pairs(table: LabelTable, called: Sequence[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [
        (_named(true, called), _named(given, called)) for true, given in zip(table.truth.tolist(), table.given.tolist())
    ]


def _named(row: Sequence[bool], called: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, held in zip(called, row) if held)


def _both_and_either(table: LabelTable) -> Float64:
    both = (table.truth & table.given).sum(axis=1)
    return np.column_stack([2.0 * both, table.truth.sum(axis=1) + table.given.sum(axis=1)])


def _chances(table: LabelTable, called: Sequence[str]) -> Chances | None:
    """The probabilities of all labels, where one holds and the model told them all."""
    whole = table.scores[~table.failed].sum(axis=1)
    if table.several or len(called) < 2 or not (table.truth.sum(axis=1) == 1).all() or (abs(whole - 1) > 1e-3).any():
        return None
    found: Any = table.scores.astype(np.float32)
    found[table.failed] = np.nan
    return Chances(tuple(called), table.truth.argmax(axis=1), found)


def _script(text: str) -> str:
    found = Counter(_script_of(letter) for letter in [letter for letter in text if letter.isalpha()][:_LETTERS])
    return max(sorted(found), key=lambda name: found[name]) if found else "none"


@lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "other").split()[0].lower()
