"""What is watched of a text and of what was said of it.

Of every task, over the first :data:`READ` characters (``characters`` counts all):

- ``characters``, ``words``, ``word_length`` (mean characters of a word);
- ``digits``, ``capitals``: shares of all characters and of letters, in [0, 1];
- ``foreign_letters``: share of the letters that are not of the Latin script, in [0, 1];
- ``unusual``: share of characters that are neither letter, mark, digit, space nor punctuation: markup, emoji, and what
  a wrong encoding leaves (U+FFFD, controls, private use), in [0, 1];
- ``language`` by the installed detector, and ``language_score``, how sure it is, which falls on what is no language;
- an *embedding* of 64 numbers of length 1: lower-case words, each hashed to a place and a sign (Weinberger et al.,
  "Feature Hashing for Large Scale Multitask Learning", ICML 2009). Texts of other words lie elsewhere; for meaning give
  ``triptych monitor profile --embedder`` a model.

Of the answers: label, confidence, entropy, counts and lengths, as far as a result has them. A question and its context
are observed by the context, with ``question_characters`` beside; what a language model is asked, by the words of its
messages or of the prompt's variables.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from nlp.generation.types import Generated
from nlp.language import detect_language
from nlp.types import Answers, Entities, TextLabels, Translation
from shared.errors import InputError
from shared.monitoring.signals import Observed, shares
from shared.types import Float32, Result

READ = 2000
"""Characters that are looked at."""
DIMENSIONS = 64
_WORD = re.compile(r"\w+")
_USUAL = frozenset("LMNPZ")
_SPACES = frozenset("\n\r\t\f\v")


def observe(item: Any, result: Result, *, predictor: Any = None) -> Observed:
    """What is watched of a text and its result; see this module.

    Args:
        item: the text, or a question with its context.
        result: what the predictor answered.
        predictor: is not asked anything here.

    Raises:
        InputError: the item holds no text (``"wrong-type"``).
        WeightsError: the language detector's model cannot be had.

    Example:
        >>> seen = observe("Room 101 is free.", TextLabels(("yes", "no"), np.float32([0.75, 0.25])))
        >>> seen.numbers["words"], seen.categories["language"], seen.label, seen.confidence
        (4.0, 'en', 'yes', 0.75)
    """
    if isinstance(result, Generated):
        item = _asked(_question(item))
    text, numbers = _text_of(_question(item) if isinstance(result, Answers) else item)
    numbers |= signals(text)
    categories = {}
    language, score = _language(text)
    if language is not None:
        categories["language"] = language
        numbers["language_score"] = score
    _add_answer(result, text, numbers, categories)
    label, confidence = _best(result)
    return Observed(numbers, categories, word_vector(text), confidence, label)


def signals(text: str) -> dict[str, float]:
    """Numbers of a text; see this module.

    Example:
        >>> signals("Ab 12")["digits"]
        0.4
    """
    seen = text[:READ]
    words = _WORD.findall(seen)
    kinds = [_kind(character) for character in seen]
    letters = sum(kind[0] == "L" for kind in kinds)
    n = max(1, len(seen))
    # Characters up to U+024F are Latin where they are letters; the further Latin blocks are rare enough to be foreign.
    foreign = sum(kind[0] == "L" and character > "\u024f" for kind, character in zip(kinds, seen))
    usual = sum(kind[0] in _USUAL or character in _SPACES for kind, character in zip(kinds, seen))
    return {
        "characters": float(len(text)),
        "words": float(len(words)) * (len(text) / n if len(text) > READ else 1.0),
        "word_length": sum(map(len, words)) / len(words) if words else 0.0,
        "digits": sum(kind == "Nd" for kind in kinds) / n,
        "capitals": sum(kind == "Lu" for kind in kinds) / max(1, letters),
        "foreign_letters": foreign / max(1, letters),
        "unusual": 1 - usual / n if seen else 0.0,
    }


def word_vector(text: str) -> Float32:
    """The embedding of a text, shape (64,), float32, of length 1; zeros of a text without a word. See this module."""
    places, signs = _hashed(text[:READ])
    vector = np.bincount(places, weights=signs, minlength=DIMENSIONS).astype(np.float32)
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _hashed(text: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    codes = np.fromiter((_code(word) for word in _WORD.findall(text.lower())), np.uint32)
    return (codes % DIMENSIONS).astype(np.intp), (codes >> 31).astype(np.float64) * 2 - 1


@lru_cache(maxsize=20_000)
def _code(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace"))


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    return unicodedata.category(character)


def _language(text: str) -> tuple[str | None, float]:
    try:
        found = detect_language(text[:READ])
    except InputError:
        return None, 0.0  # not one letter: no language
    return (found.labels[0], float(found.scores[0])) if found.labels else (None, 0.0)


def _question(item: Any) -> Any:
    """A question with its context, which the command writes as JSON."""
    if not isinstance(item, str):
        return item
    try:
        return json.loads(item)
    except ValueError:
        return item


def _asked(item: Any) -> Any:
    """The words of messages or of a prompt's variables; anything else as it is."""
    if not isinstance(item, Mapping):
        return item
    messages = item.get("messages")
    parts = [one.get("content") for one in messages if isinstance(one, Mapping)] if messages else list(item.values())
    return "\n".join(part for part in parts if isinstance(part, str))


def _text_of(item: Any) -> tuple[str, dict[str, float]]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and isinstance(item.get("context"), str):
        return item["context"], {"question_characters": float(len(str(item.get("question", ""))))}
    context = getattr(item, "context", None)
    if isinstance(context, str):
        return context, {"question_characters": float(len(str(getattr(item, "question", ""))))}
    raise InputError("wrong-type", f"an observed item must be a text. Got {type(item).__name__} instead")


def _add_answer(result: Result, text: str, numbers: dict[str, float], categories: dict[str, str]) -> None:
    """The numbers and categories of a result."""
    if isinstance(result, TextLabels):
        if not result.multi_label:
            numbers["entropy"], numbers["margin"] = shares(result.scores.tolist())
        else:
            numbers["held"] = float(len(result.held))
    elif isinstance(result, Entities):
        numbers["count"] = float(len(result.entities))
        numbers["entities_per_word"] = len(result.entities) / max(1.0, numbers["words"])
    elif isinstance(result, Translation):
        numbers["answer_characters"] = float(len(result.text))
        numbers["length_ratio"] = len(result.text) / max(1, len(text))
        numbers["warnings"] = float(len(result.warnings))
        categories["source"], categories["target"] = result.source, result.target
    elif isinstance(result, Generated):
        numbers["answer_characters"] = float(len(result.text))
        categories["stopped"] = result.stopped
    elif isinstance(result, Answers):
        numbers["no_answer"] = result.no_answer
        numbers["answer_characters"] = float(len(result.best.text)) if result.best else 0.0


def _best(result: Result) -> tuple[str | None, float | None]:
    """The answer in a word, and how sure the model is of it."""
    if isinstance(result, TextLabels) and result.labels:
        return result.labels[0], float(result.scores[0])
    if isinstance(result, Entities) and result.entities:
        return result.entities[0].label, float(np.mean([entity.score for entity in result.entities]))
    if isinstance(result, Translation):
        return None, result.score
    if isinstance(result, Answers):
        return ("answer", result.answers[0].score) if result.best else ("no answer", result.no_answer)
    return None, None
