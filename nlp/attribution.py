"""Which words made a classifier say what it says: each is left out, and the answer asked for again.

Occlusion, as M. D. Zeiler and R. Fergus, ECCV 2014, do it with pictures and J. Li, W. Monroe and D. Jurafsky,
"Understanding neural networks through representation erasure" (2016), with words. It needs nothing of a model but its
answers, so every classifier is explained the same way. What it says is of one word at a time: of two words that say the
same each may seem to matter little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nlp.ner.words import split_words
from nlp.tokenize import check_text
from nlp.types import Attribution, TextLabels
from shared.errors import InputError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.types import AnyArray, Failure, Int64

MOST_STRETCHES = 200
"""Stretches that are left out of a text; where it has more words, each is several words long."""
MOST_CHARACTERS = 50_000
_FLOOR = 1e-7


def explain(
    classifier: Predictor[str, TextLabels],
    text: str,
    label: str | None = None,
    *,
    spans: Sequence[tuple[int, int]] | AnyArray | None = None,
) -> Attribution:
    """What each word of a text adds to a label.

    Args:
        classifier: what :func:`nlp.text_classifier` opened.
        text: at most :data:`MOST_CHARACTERS` characters.
        label: one of the classifier's; ``None`` takes its best.
        spans: the stretches to judge, first character and one past the last of each, shape (n, 2); ``None`` takes the
            words, as :func:`nlp.ner.words.split_words` finds them, and of more than :data:`MOST_STRETCHES` words
            neighbours together.

    Returns:
        The stretches and their weights. Where nothing is left when a stretch is gone, all labels count as equally
        likely without it.

    Raises:
        InputError: the text cannot be used (see :mod:`nlp.tokenize`), or is too long (``"too-large"``).
        UnknownNameError: the classifier has no such label.
        UsageError: a span lies outside the text or is empty.
    """
    if len(check_text(text)) > MOST_CHARACTERS:
        raise InputError(
            "too-large",
            f"a text that is to be explained must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}: "
            "give the part of it that matters",
        )
    places = _checked(spans, text) if spans is not None else _stretches(split_words(text).spans)
    whole, *without = classifier.predict([text, *(text[:a] + text[b:] for a, b in places.tolist())], on_error="keep")
    if isinstance(whole, Failure):
        raise InputError(whole.kind, whole.message)
    if label is not None and label not in whole.labels:
        raise UnknownNameError("label of the classifier", label, whole.labels)
    chosen = whole.labels[0] if label is None else label
    unknown = 0.5 if whole.multi_label else 1 / max(2, len(whole.labels))
    full = _score(whole, chosen)
    left = [unknown if isinstance(result, Failure) else _score(result, chosen) for result in without]
    weights = np.array([_log_odds(full) - _log_odds(score) for score in left], dtype=np.float32)
    return Attribution(chosen, full, tuple(text[a:b] for a, b in places.tolist()), places, weights)


def _stretches(words: Int64) -> Int64:
    """The words, or as many runs of neighbouring words as are left out at most."""
    if len(words) <= MOST_STRETCHES:
        return words
    cuts = np.linspace(0, len(words), MOST_STRETCHES + 1).astype(np.int64)
    return np.stack([words[cuts[:-1], 0], words[cuts[1:] - 1, 1]], axis=1)


def _checked(spans: Sequence[tuple[int, int]] | AnyArray, text: str) -> Int64:
    places = np.asarray(spans, dtype=np.int64).reshape(-1, 2) if len(spans) else np.zeros((0, 2), np.int64)
    if ((places < 0) | (places > len(text))).any() or (places[:, 0] >= places[:, 1]).any():
        raise UsageError(
            f"spans must be pairs start < end within the text's {len(text)} characters. "
            f"Got {places.tolist()[:10]} instead"
        )
    return places.copy()


def _score(result: TextLabels, label: str) -> float:
    """A label's probability; where it is not among those that the model named, that of the last of them."""
    return float(result.scores[result.labels.index(label) if label in result.labels else -1])


def _log_odds(score: float) -> float:
    inside = min(max(score, _FLOOR), 1 - _FLOOR)
    return math.log(inside / (1 - inside))
