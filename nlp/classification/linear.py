"""Fit a linear head over a frozen encoder: scikit-learn's logistic regression, saved without pickle.

How strongly it is held back (``c``) is chosen by stratified cross-validation on the training data itself.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nlp.classification.heads import FAMILY, HEAD, Head, head_bytes
from nlp.classification.joined import Joined
from nlp.classification.noise import write_noise
from nlp.encoder import GRAPH, POOLINGS, TEXTS_AT_ONCE, Encoder, check_poolings, open_encoder
from nlp.training.folds import folds_of, one_against_rest
from nlp.training.thresholds import judged, settled
from shared.batch.progress import Progress
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.lazy import require
from shared.predictor import Pipeline
from shared.training.finish import Stated
from shared.training.options import BALANCED
from shared.types import AnyArray, Failure, Float32, Float64, Int64
from shared.weights import write_model_folder
from shared.weights.exports import plain_name

GRID = (0.25, 1.0, 4.0, 16.0)
FOLDS = 5
MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Attributes:
        c: inverse strength of the L2 penalty that was taken.
        metric: what was compared, the higher the better.
        folds: parts of the data, 0 where ``c`` was given.
        scores: mean over the folds by ``c``; of several labels over all texts at once.
        settled: where a text may have several labels, the ``temperature`` and the ``thresholds`` of the probabilities,
            by the folds.
    """

    c: float
    metric: str
    folds: int
    scores: dict[float, float]
    settled: Mapping[str, Any] = field(default_factory=dict)


def train_linear(
    data: Joined,
    out: Path,
    *,
    encoder: str | Path,
    pooling: Sequence[str],
    c: float | None,
    class_weight: str,
    stated: Stated,
    seed: int,
    device: str,
    threads: int | None,
    noise: bool = False,
) -> dict[str, Any]:
    """Fit a head and save it as a model folder, named like the folder.

    Where a text may have several labels there is one regression a label, and folds of a cross-validation choose from
    which probability on each holds. The same data, seed and library versions give the same bytes on the same kind of
    processor.

    Args:
        data: labelled texts.
        out: the folder to write.
        encoder: as :func:`nlp.encoder.open_encoder` takes it. The head keeps its name and the hash of its graph.
        pooling: keys of :data:`nlp.encoder.POOLINGS`; all of them when empty.
        c: inverse strength of the L2 penalty, above 0; ``None`` takes the best of :data:`GRID`.
        class_weight: ``"none"`` or ``"balanced"``.
        stated: what is said of it.
        seed: of the folds.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        noise: write the labels that look wrong too; see :func:`nlp.classification.noise.write_noise`.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: the model or a pooling is unknown.
        DataError: a text cannot be used.
    """
    poolings = check_poolings(pooling or POOLINGS)
    began = time.monotonic()
    opened = open_encoder(encoder, device=device, threads=threads)
    vectors = text_vectors(opened, data, poolings, threads)
    head, choice = fit_head(vectors, data, c, class_weight=class_weight, seed=seed, poolings=poolings)
    options: dict[str, Any] = {
        "encoder": str(encoder),
        "encoder_sha256": opened.card.file(GRAPH).sha256,
        "labels": list(data.labels),
        "poolings": list(poolings),
        "c": choice.c,
        "class_weight": class_weight,
        "seed": seed,
        "texts": len(data.texts),
        **choice.settled,
    }
    if data.label_map:
        options["label_map"] = dict(data.label_map)
    name = plain_name(out.resolve().name)
    said = stated.summary or f"text labels over {opened.card.name}: {', '.join(data.labels)}"
    card = ModelCard(name, "nlp.classification", FAMILY, opened.card.backend, stated.licence, said, options=options)
    write_model_folder(out, card, {HEAD: head_bytes(head)})
    doubtful = {}
    if noise:
        held = out_of_fold(vectors, data.codes, choice.c, class_weight=class_weight, seed=seed)
        doubtful = {"label_noise": write_noise(data, held, out)}
    report: dict[str, Any] = {
        "model": name,
        "folder": str(out),
        "texts": len(data.texts),
        "labels": data.counts(),
        "encoder": opened.card.name,
        "poolings": list(poolings),
        "c": choice.c,
        "folds": choice.folds,
        choice.metric: {f"c={value:g}": round(score, 4) for value, score in choice.scores.items()},
        "figures": {choice.metric: round(choice.scores[choice.c], 4)} if choice.scores else {},
        "recipe": {"poolings": list(poolings), "c": choice.c, "folds": choice.folds, "class_weight": class_weight},
        "seconds": round(time.monotonic() - began, 1),
    }
    return report | doubtful


def text_vectors(encoder: Encoder, data: Joined, poolings: tuple[str, ...], threads: int | None) -> Float32:
    """What the head sees of each text, shape (texts, len(poolings) * dim)."""
    reader = Pipeline(
        encoder.card,
        encoder.ids,
        lambda batch: list(encoder.vectors(batch, poolings=poolings)),
        lambda vector, _: vector,
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
    )
    vectors = np.empty((len(data.texts), encoder.dim * len(poolings)), dtype=np.float32)
    with Progress(len(data.texts), done=0) as progress:
        for at, result in enumerate(reader.stream(data.texts)):
            if isinstance(result, Failure):
                raise DataError(f"{data.places[at]}: [{result.kind}] {result.message}")
            vectors[at] = result
            progress.add(1, 0)
    return vectors


def _choose(vectors: Float32, data: Joined, c: float | None, *, balanced: bool, seed: int) -> Choice:
    """The value of :data:`GRID` with the best mean score over stratified folds; the smallest of equals."""
    score = macro_f1_score if balanced else accuracy_score
    metric, codes = "cross_validated_" + ("f1" if balanced else "accuracy"), data.codes
    if c is not None:
        return Choice(c, metric, 0, {})
    folds = _folds(codes, seed)
    count = len(folds)
    scores: dict[float, float] = {}
    with Progress(len(GRID) * count, done=0) as progress:
        for value in GRID:
            reached = []
            for seen, unseen in folds:
                weights, bias = softmax_regression(vectors[seen], codes[seen], value, balanced=balanced)
                reached.append(score(codes[unseen], np.argmax(vectors[unseen] @ weights.T + bias, axis=1)))
                progress.add(1, 0)
            scores[value] = float(np.mean(reached))
    return Choice(max(scores, key=lambda value: scores[value]), metric, count, scores)


def _folds(codes: Int64, seed: int) -> list[tuple[Int64, Int64]]:
    count = min(FOLDS, int(np.bincount(codes).min()))
    splitter = require("sklearn.model_selection", extra="all").StratifiedKFold(count, shuffle=True, random_state=seed)
    return list(splitter.split(codes, codes))


def out_of_fold(vectors: Float32, codes: Int64, c: float, *, class_weight: str, seed: int) -> Float64:
    """Scores of each text by a head of other folds, shape (texts, labels), float64.

    Args:
        vectors: of each text, shape (texts, dim), float32.
        codes: of each text's label, shape (texts,).
        c: inverse strength of the L2 penalty, above 0.
        class_weight: ``"none"`` or ``"balanced"``.
        seed: of the folds.
    """
    found = np.zeros((len(codes), int(codes.max()) + 1))
    for seen, unseen in _folds(codes, seed):
        weights, bias = softmax_regression(vectors[seen], codes[seen], c, balanced=class_weight == BALANCED)
        found[unseen] = vectors[unseen] @ weights.T + bias
    return found


def _choose_several(vectors: Float32, data: Joined, c: float | None, *, balanced: bool, seed: int) -> Choice:
    """The value of :data:`GRID` with the best F1 over texts that were not learnt from; the smallest of equals."""
    folds = folds_of(data.strata, FOLDS, seed=seed)
    held: dict[float, AnyArray] = {}
    grid = GRID if c is None else (c,)
    with Progress(len(grid) * len(folds), done=0) as progress:
        for value in grid:
            found = held[value] = np.zeros(data.codes.shape, np.float32)
            for seen, unseen in folds:
                weights, bias = softmax_regression(vectors[seen], data.codes[seen], value, balanced=balanced)
                found[unseen] = vectors[unseen] @ weights.T + bias
                progress.add(1, 0)
    scores = {value: judged(found, data.codes, balanced=balanced) for value, found in held.items()}
    best = max(scores, key=lambda value: scores[value])
    temperature, thresholds = settled(held[best], data.codes)
    told = {"multi_label": True, "temperature": temperature, "thresholds": thresholds}
    return Choice(best, "cross_validated_" + ("f1" if balanced else "f1_micro"), len(folds), scores, told)


def fit_head(
    vectors: Float32, data: Joined, c: float | None, *, class_weight: str, seed: int, poolings: tuple[str, ...]
) -> tuple[Head, Choice]:
    """Fit a head to vectors, and say how strongly it is held back; see :func:`train_linear`.

    Args:
        vectors: of each text, shape (texts, dim), float32.
        data: the texts' labels.
        c: inverse strength of the L2 penalty, above 0; ``None`` takes the best of :data:`GRID`.
        class_weight: ``"none"`` or ``"balanced"``.
        seed: of the folds.
        poolings: what the vectors are made of.

    Raises:
        DataError: the fit did not settle.
    """
    balanced = class_weight == BALANCED
    choice = (_choose_several if data.several else _choose)(vectors, data, c, balanced=balanced, seed=seed)
    weights, bias = softmax_regression(vectors, data.codes, choice.c, balanced=balanced)
    return Head(data.labels, weights.astype(np.float32), bias.astype(np.float32), poolings), choice


def softmax_regression(vectors: Float32, codes: Int64, c: float, *, balanced: bool) -> tuple[AnyArray, AnyArray]:
    """Weights, shape (labels, dim), and bias, shape (labels,), of a softmax regression.

    Where ``codes`` has a column for each label they are those of a logistic regression a label. One thread does the
    sums, so that their order, and with it the last bit, does not depend on the machine's load.

    Raises:
        DataError: the fit did not settle.
    """
    linear = require("sklearn.linear_model", extra="all")
    convergence = require("sklearn.exceptions", extra="all").ConvergenceWarning
    weighting = "balanced" if balanced else None

    def rows(given: Int64) -> tuple[AnyArray, AnyArray]:
        model = linear.LogisticRegression(C=c, class_weight=weighting, max_iter=MAX_ITERATIONS).fit(vectors, given)
        return model.coef_, model.intercept_

    with require("threadpoolctl", extra="all").threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", convergence)
        try:
            if codes.ndim == 2:
                return one_against_rest(codes, vectors.shape[1], rows)
            weights, bias = rows(codes)
        except convergence as error:
            raise DataError(
                f"the fit did not settle in {MAX_ITERATIONS} steps at c={c:g}: give a smaller --c"
            ) from error
    if len(weights) == 1:  # two labels share one row: half of it speaks for each
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias
