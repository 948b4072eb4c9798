"""Counted words and letters under a linear model or trees: the baseline that an encoder must beat.

A text becomes the counts of its words and word pairs, and of its runs of 2 to 5 letters within words; each count is
damped to 1 + ln(count), weighed by how rare the term is, and each of the two groups scaled to length 1 (G. Salton and
C. Buckley, 1988). Nothing of a saved model is code: terms are text lines, numbers an ``.npz`` read without pickle.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np

from nlp.classification.decode import labelled
from nlp.classification.heads import temperature_of, thresholds_of
from nlp.tokenize import check_text
from nlp.types import TextLabels
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.lazy import require
from shared.predictor import Pipeline
from shared.types import AnyArray, Float32, Float64, Int64
from shared.weights import Opened

FAMILY = "tfidf"
TERMS, NUMBERS = "terms.txt", "model.npz"
ESTIMATORS = ("logistic", "svm", "trees")
GROUPS = (("word", (1, 2), r"(?u)\b\w+\b|[^\w\s]"), ("char_wb", (2, 5), None))
"""Kinds of terms: scikit-learn's analyser, sizes of the runs, and what a word is."""
BACKEND = "onnxruntime"
TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Linear:
    """Scores as a linear function of the terms: weights (labels, terms), bias (labels,), both float32."""

    weights: Float32
    bias: Float32

    def scores(self, terms: Any) -> Float64:
        """From a sparse matrix (texts, terms) to (texts, labels)."""
        return np.asarray(terms @ self.weights.T, dtype=np.float64) + self.bias


@dataclass(frozen=True)
class Trees:
    """Sums of regression trees over a few of the terms.

    Attributes:
        columns: which terms they look at, shape (m,), int64.
        roots: where each tree begins among the nodes, shape (rounds, outputs), int64.
        left: where a node leads if the term's weight is at most its threshold, shape (nodes,), int64; -1 at a leaf.
        right: where it leads else, shape (nodes,), int64.
        term: which of ``columns`` a node looks at, shape (nodes,), int64.
        threshold: shape (nodes,), float64.
        value: of a leaf, times the learning rate, shape (nodes,), float64.
        start: shape (outputs,), float64: the scores before any tree.
    """

    columns: Int64
    roots: Int64
    left: Int64
    right: Int64
    term: Int64
    threshold: Float64
    value: Float64
    start: Float64

    def scores(self, terms: Any) -> Float64:
        """From a sparse matrix (texts, terms) to (texts, labels)."""
        seen = terms[:, self.columns].toarray().astype(np.float32)
        rows = np.arange(len(seen))
        found = np.tile(self.start, (len(seen), 1))
        for trees in self.roots:
            for output, root in enumerate(trees):
                at = np.full(len(seen), root)
                while (self.left[at] >= 0).any():
                    below = seen[rows, self.term[at]] <= self.threshold[at]
                    at = np.where(self.left[at] < 0, at, np.where(below, self.left[at], self.right[at]))
                found[:, output] += self.value[at]
        return found if found.shape[1] > 1 else np.hstack([-found / 2, found / 2])


@dataclass(frozen=True)
class Terms:
    """From texts to the weights of their terms.

    Attributes:
        words: terms of each of :data:`GROUPS`, in the order of their columns.
        rarity: weight of each term, shape (terms,), float32.
    """

    words: tuple[tuple[str, ...], ...]
    rarity: Float32

    def reader(self) -> Callable[[Sequence[str]], Any]:
        """The function from texts to a sparse matrix (texts, terms), float32."""
        text = require("sklearn.feature_extraction.text", extra="all")
        sparse = require("scipy.sparse", extra="all")
        normalize = require("sklearn.preprocessing", extra="all").normalize
        counters = [counter(text, kind, words) for kind, words in zip(GROUPS, self.words)]
        ends = np.cumsum([len(words) for words in self.words])[:-1]
        rarities = np.split(self.rarity, ends)

        def read(texts: Sequence[str]) -> Any:
            parts = []
            for count, rarity in zip(counters, rarities):
                part = count.transform(texts).astype(np.float32)
                part.data = (1 + np.log(part.data)) * rarity[part.indices]
                parts.append(normalize(part))
            return sparse.hstack(parts, format="csr")

        return read


def counter(text: Any, kind: tuple[str, tuple[int, int], str | None], words: Sequence[str] | None, **more: Any) -> Any:
    """scikit-learn's counter of one of :data:`GROUPS`."""
    analyser, sizes, pattern = kind
    vocabulary = None if words is None else {word: at for at, word in enumerate(words)}
    facts = more if pattern is None else {**more, "token_pattern": pattern}
    return text.CountVectorizer(analyzer=analyser, ngram_range=sizes, vocabulary=vocabulary, **facts)


def model_files(terms: Terms, model: Linear | Trees) -> dict[str, bytes]:
    """The files of a model; equal numbers give equal bytes."""
    file = io.BytesIO()
    arrays: dict[str, Any] = vars(model)
    np.savez(file, rarity=terms.rarity, **arrays)
    lines = [f"{group}\t{word}" for group, words in enumerate(terms.words) for word in words]
    return {TERMS: ("\n".join(lines) + "\n").encode(), NUMBERS: file.getvalue()}


def read_model(opened: Opened) -> tuple[Terms, Linear | Trees]:
    """The terms and the model of a folder.

    Raises:
        DataError: a file is no such thing, or they do not fit each other.
    """
    card, path = opened.card, opened.files[NUMBERS]
    words: tuple[list[str], ...] = tuple([] for _ in GROUPS)
    try:
        for line in opened.files[TERMS].read_text("utf-8").split("\n")[:-1]:
            group, _, word = line.partition("\t")
            words[int(group)].append(word)
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in arrays.files}
        rarity = values.pop("rarity")
        model = (Trees if "roots" in values else Linear)(**values)
    except (OSError, ValueError, KeyError, EOFError, IndexError, TypeError, BadZipFile) as error:
        raise DataError(
            f"model {card.name!r} ({card.origin}): its files must hold terms and weights. {error}"
        ) from error
    labels, count = len(_labels(card)), sum(map(len, words))
    if not _fits(model, labels, count) or rarity.shape != (count,):
        raise DataError(
            f"model {card.name!r} ({card.origin}): {path} must hold numbers for {labels} labels and {count} terms"
        )
    return Terms(tuple(map(tuple, words)), rarity), model


def _fits(model: Linear | Trees, labels: int, terms: int) -> bool:
    if isinstance(model, Linear):
        return model.weights.shape == (labels, terms) and model.bias.shape == (labels,)
    nodes = len(model.left)
    outputs = 1 if labels == 2 else labels
    inside = (model.left < nodes) & (model.right < nodes) & (model.term < len(model.columns)) & (model.term >= 0)
    onward = (model.left < 0) | ((model.left > np.arange(nodes)) & (model.right > np.arange(nodes)))
    return bool(
        model.start.shape == (outputs,)
        and model.roots.ndim == 2
        and model.roots.shape[1] == outputs
        and all(len(part) == nodes for part in (model.right, model.term, model.threshold, model.value))
        and (inside & onward).all()
        and ((model.columns >= 0) & (model.columns < terms)).all()
        and ((model.roots >= 0) & (model.roots < nodes)).all()
    )


def _labels(card: ModelCard) -> tuple[str, ...]:
    labels = card.options.get("labels")
    if not isinstance(labels, Sequence) or isinstance(labels, str) or len(labels) < 2:
        raise DataError(
            f"model {card.name!r} ({card.origin}): options.labels must be two names at least. Got {labels!r}"
        )
    return tuple(str(label) for label in labels)


def open_tfidf(opened: Opened, *, threads: int | None = None) -> Pipeline[str, str, AnyArray, TextLabels]:
    """A classifier of this family.

    Args:
        opened: its card and files.
        threads: as every opener takes it.

    Raises:
        DataError: its files are not those of such a model.
    """
    terms, model = read_model(opened)
    card, labels, read = opened.card, _labels(opened.card), terms.reader()
    temperature, thresholds = temperature_of(card), thresholds_of(card)
    multi_label = bool(card.options.get("multi_label", False))

    def answer(texts: Sequence[str]) -> list[AnyArray]:
        return list(model.scores(read(texts)))

    def decode(scores: AnyArray, _: str) -> TextLabels:
        return labelled(scores, labels, multi_label=multi_label, temperature=temperature, thresholds=thresholds)

    return Pipeline(card, check_text, answer, decode, batch_size=TEXTS_AT_ONCE, threads=threads)
