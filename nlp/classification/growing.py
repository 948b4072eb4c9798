"""What a text classifier's learning curve is measured on: the methods that need no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nlp.classification.decode import probabilities
from nlp.classification.joined import Joined, read_joined
from nlp.classification.linear import fit_head, text_vectors
from nlp.classification.tfidf import ESTIMATORS
from nlp.classification.train_tfidf import check_texts, learn
from nlp.datasets import COLUMNS
from nlp.encoder import DEFAULT_ENCODER, POOLINGS, check_poolings, open_encoder
from nlp.labels import LABEL_MAP
from nlp.training.thresholds import settled
from shared.errors import UsageError
from shared.evaluation.growing import Growing, Learn
from shared.evaluation.ranked import labels_f1_score, micro_f1_score
from shared.evaluation.splits import split
from shared.tasks import Option
from shared.training.options import WEIGHTINGS, check_choice
from shared.types import AnyArray, Bool, Float64, Int64

TFIDF, LINEAR = "tfidf", "linear-head"
METHODS = (TFIDF, LINEAR)
HELD_OUT = 0.2
GROW_OPTIONS = (
    Option("method", str, LINEAR, f"one of {', '.join(METHODS)}, as train has them"),
    Option("also", str, (), "a further data set of the same layout, joined to DATASET", multiple=True),
    Option("held_out", float, HELD_OUT, "share of every label that is held out in each run, in (0, 1)"),
    *COLUMNS,
    LABEL_MAP,
    Option("class_weight", str, "none", "none, or balanced: every label counts the same however many texts it has"),
    Option("encoder", str, DEFAULT_ENCODER, "linear-head: sentence encoder under it, catalogue name or model folder"),
    Option("pooling", str, (), f"linear-head: what it sees, of {', '.join(POOLINGS)}; all by default", multiple=True),
    Option("c", float, None, "inverse strength of the penalty; cross-validated in each model when not given"),
    Option("estimator", str, ESTIMATORS[0], f"tfidf: one of {', '.join(ESTIMATORS)}"),
    Option("device", str, "auto", "linear-head: auto, cpu or gpu"),
    Option("threads", int, None, "processor threads; all when not given"),
)
Fit: TypeAlias = Callable[[Int64, Int64], tuple[Float64, Mapping[str, Any]]]
"""From positions to learn from and positions to answer for to the scores of those, shape (m, labels), and where several
labels may hold the temperature and the thresholds of their probabilities."""


def grow_classification(
    dataset: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    method: str = LINEAR,
    also: Sequence[str | Path] = (),
    held_out: float = HELD_OUT,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    label_map: str | None = None,
    label_separator: str | None = None,
    class_weight: str = "none",
    encoder: str | Path = DEFAULT_ENCODER,
    pooling: Sequence[str] = (),
    c: float | None = None,
    estimator: str = ESTIMATORS[0],
    device: str = "auto",
    threads: int | None = None,
) -> Growing:
    """What the learning curve of :func:`nlp.classification.train.train` is measured on.

    Each run holds out a share of every label (of all texts where one may have several). What grows keeps the labels'
    shares, its first texts being two of each. A text that stands several times is taken once, so that none is on both
    sides.

    Args:
        dataset: as :func:`nlp.classification.train.train` takes it, like all but the next two.
        format: of the data sets.
        seed: of each fit.
        method: ``"tfidf"`` or ``"linear-head"``.
        also: further data sets.
        held_out: share of the texts that is held out in each run, in (0, 1).
        text_column: where a row keeps its text.
        label_column: where a row keeps its label.
        encoding: of the files.
        label_map: the model's label for each of the data's.
        label_separator: what stands between the labels of one text.
        class_weight: ``"none"`` or ``"balanced"``.
        encoder: under a linear head; texts go through it once.
        pooling: of the encoder.
        c: inverse strength of the penalty; ``None`` chooses in each model anew.
        estimator: of counted terms.
        device: of the encoder.
        threads: processor threads.

    Raises:
        UsageError: an option is out of its range.
        DataError: a data set is malformed, or has too few texts.
    """
    check_choice("method", method, METHODS)
    check_choice("class_weight", class_weight, WEIGHTINGS)
    check_choice("estimator", estimator, ESTIMATORS)
    poolings = check_poolings(pooling or POOLINGS)
    if not 0 < held_out < 1:
        raise UsageError(f"held_out must lie in (0, 1). Got {held_out} instead")
    layout = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "label_map": label_map}
    paths = [dataset, *(Path(path) for path in also)]
    read = read_joined(paths, format=format, label_separator=label_separator, **layout)  # type: ignore[arg-type]
    data = read.part(sorted({text: row for row, text in reversed(list(enumerate(read.texts)))}.values()))
    if method == TFIDF:
        check_texts(data, estimator)
        fit = _counted(data, estimator, c, class_weight, seed=seed, threads=threads)
    else:
        vectors = text_vectors(open_encoder(encoder, device=device, threads=threads), data, poolings, threads)

        def fit(rows: Int64, asked: Int64) -> tuple[Float64, Mapping[str, Any]]:
            part = data.part(rows.tolist())
            head, choice = fit_head(vectors[rows], part, c, class_weight=class_weight, seed=seed, poolings=poolings)
            return np.asarray(vectors[asked] @ head.weights.T + head.bias, np.float64), choice.settled

    n = len(data.texts)
    asked = min(n - 1, max(1, round(held_out * n)))
    best = {"accuracy": 1.0, "f1": 1.0} | ({"f1_micro": 1.0} if data.several else {})
    return Growing(
        task="nlp.classification",
        model=method if method == LINEAR else f"{method} ({estimator})",
        dataset=str(dataset),
        unit="texts",
        size=n - asked,
        held_out=asked,
        least=2 * len(data.labels),
        best=best,
        draw=lambda rng: _draw(data, fit, asked, rng),
    )


def _counted(
    data: Joined, estimator: str, c: float | None, class_weight: str, *, seed: int, threads: int | None
) -> Fit:
    def fit(rows: Int64, asked: Int64) -> tuple[Float64, Mapping[str, Any]]:
        part = data.part(rows.tolist())
        learnt = learn(part, estimator=estimator, c=c, class_weight=class_weight, seed=seed, threads=threads)
        texts = [data.texts[at] for at in asked.tolist()]
        scores = learnt.fitted.scores(learnt.terms.reader()(texts))
        if not data.several:
            return scores, {}
        temperature, thresholds = settled(learnt.held, part.codes)
        return scores, {"temperature": temperature, "thresholds": thresholds}

    return fit


def _draw(data: Joined, fit: Fit, asked: int, rng: np.random.Generator) -> Learn:
    n = len(data.texts)
    share = asked / n
    parts = split(n, train=1 - share, validation=0.0, strata=None if data.several else data.strata, rng=rng)
    test = parts.test
    order = _proportional(parts.train, data.strata, rng)

    def learn_from(count: int) -> dict[str, float]:
        scores, said = fit(np.sort(order[:count]), test)
        return _figures(_truth(data, test), _given(scores, said), several=data.several)

    return learn_from


def _proportional(rows: Int64, strata: Int64, rng: np.random.Generator) -> Int64:
    """The rows in an order of which every beginning has the strata in their shares, two of each first of all."""
    rows = rng.permutation(rows)
    place = np.empty(len(rows))
    for code in np.unique(strata[rows]):
        own = np.flatnonzero(strata[rows] == code)
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
        place[own[:2]] = -1
    ordered: Int64 = rows[np.argsort(place, kind="stable")]
    return ordered


def _truth(data: Joined, rows: Int64) -> Bool:
    codes = data.codes[rows]
    truth: Bool = codes == 1 if data.several else codes[:, None] == np.arange(len(data.labels))
    return truth


def _given(scores: Float64, said: Mapping[str, Any]) -> Bool:
    if not said:
        best: Bool = scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
        return best
    found: AnyArray = probabilities(scores, multi_label=True, temperature=said["temperature"])
    held: Bool = found >= np.array(said["thresholds"])
    return held


def _figures(truth: Bool, given: Bool, *, several: bool) -> dict[str, float]:
    found = {"accuracy": float((truth == given).all(axis=1).mean()), "f1": labels_f1_score(truth, given)}
    return found | ({"f1_micro": micro_f1_score(truth, given)} if several else {})
