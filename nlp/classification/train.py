"""Fit a linear head over a frozen encoder: scikit-learn's logistic regression, saved without pickle.

How strongly it is held back (``c``) is chosen by stratified cross-validation on the training data itself.
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.classification.heads import FAMILY, HEAD, Head, head_bytes
from nlp.datasets import COLUMNS, LabelledTexts, read_labelled_texts
from nlp.encoder import DEFAULT_ENCODER, GRAPH, POOLINGS, TEXTS_AT_ONCE, Encoder, check_poolings, open_encoder
from nlp.labels import LABEL_MAP, parse_label_map
from shared.batch.progress import Progress
from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.lazy import require
from shared.predictor import Pipeline
from shared.tasks import Option, check_dataset
from shared.types import AnyArray, Failure, Float32, Int64
from shared.weights import write_model_folder

GRID = (0.25, 1.0, 4.0, 16.0)
FOLDS = 5
MAX_ITERATIONS = 2000
WEIGHTINGS = ("none", "balanced")

TRAIN_OPTIONS = (
    Option("encoder", str, DEFAULT_ENCODER, "sentence encoder under the head: catalogue name, or a model folder"),
    Option("also", str, (), "a further data set of the same layout, joined to DATASET", multiple=True),
    *COLUMNS,
    LABEL_MAP,
    Option(
        "pooling", str, (), f"what the head sees of the encoder: {', '.join(POOLINGS)}; all by default", multiple=True
    ),
    Option("c", float, None, "inverse strength of the L2 penalty; chosen by cross-validation when not given"),
    Option("class_weight", str, "none", "none, or balanced: every label counts the same however many texts it has"),
    Option("licence", str, "Apache-2.0", "SPDX identifier of the head's licence, for its card"),
    Option("summary", str, None, "one line for its card"),
    Option("device", str, "auto", "auto, cpu or gpu"),
    Option("threads", int, None, "processor threads; all when not given"),
)


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Attributes:
        c: inverse strength of the L2 penalty that was taken.
        metric: what was compared, the higher the better.
        folds: parts of the data, 0 where ``c`` was given.
        scores: mean over the folds by ``c``.
    """

    c: float
    metric: str
    folds: int
    scores: dict[float, float]


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    encoder: str | Path = DEFAULT_ENCODER,
    also: Sequence[str | Path] = (),
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    label_map: str | None = None,
    pooling: Sequence[str] = (),
    c: float | None = None,
    class_weight: str = "none",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Fit a head and save it as a model folder, named like the folder.

    The same data, seed and library versions give the same bytes on the same kind of processor.

    Args:
        dataset: labelled texts; see :func:`nlp.datasets.read_labelled_texts`.
        out: the folder to write.
        format: of the data sets; ``None`` looks.
        seed: of the folds.
        encoder: as :func:`nlp.encoder.open_encoder` takes it. The head keeps its name and the hash of its graph.
        also: further data sets.
        text_column: see :func:`nlp.datasets.read_labelled_texts`.
        label_column: see :func:`nlp.datasets.read_labelled_texts`.
        encoding: see :func:`nlp.datasets.read_labelled_texts`.
        label_map: the head's label for each label of the data, ``"DATA=HEAD,..."``, which also says their order;
            ``None`` keeps the data's own, sorted.
        pooling: keys of :data:`nlp.encoder.POOLINGS`; all of them when empty.
        c: inverse strength of the L2 penalty, above 0; ``None`` takes the best of :data:`GRID`.
        class_weight: ``"none"`` or ``"balanced"``.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range.
        DataError: a data set is malformed, has a text that cannot be used, or has fewer than two labels, or than two
            texts of one.
    """
    if class_weight not in WEIGHTINGS:
        raise UsageError(f"class_weight must be one of {', '.join(WEIGHTINGS)}. Got {class_weight!r} instead")
    if c is not None and not 0 < c < float("inf"):
        raise UsageError(f"c must be above 0. Got {c} instead")
    poolings = check_poolings(pooling or POOLINGS)
    began = time.monotonic()
    paths = [dataset, *(check_dataset(Path(path)) for path in also)]
    parts = [
        read_labelled_texts(path, format=format, text_column=text_column, label_column=label_column, encoding=encoding)
        for path in paths
    ]
    mapping = parse_label_map(label_map)
    found = [label for part in parts for label in part.labels]
    labels = _labels(found, mapping)
    codes = np.array([labels.index(mapping.get(label, label)) for label in found])
    opened = open_encoder(encoder, device=device, threads=threads)
    vectors = np.concatenate([_vectors(opened, part, path, poolings, threads) for part, path in zip(parts, paths)])
    balanced = class_weight == "balanced"
    choice = _choose(vectors, codes, c, balanced=balanced, seed=seed)
    head = _fit(vectors, codes, choice.c, balanced=balanced, labels=labels, poolings=poolings)
    options: dict[str, Any] = {
        "encoder": str(encoder),
        "encoder_sha256": opened.card.file(GRAPH).sha256,
        "labels": list(labels),
        "poolings": list(poolings),
        "c": choice.c,
        "class_weight": class_weight,
        "seed": seed,
        "texts": len(found),
    }
    if mapping:
        options["label_map"] = mapping
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", out.resolve().name).lstrip("-._+") or "text-head"
    said = summary or f"text labels over {opened.card.name}: {', '.join(labels)}"
    card = ModelCard(name, "nlp.classification", FAMILY, opened.card.backend, licence, said, options=options)
    write_model_folder(out, card, {HEAD: head_bytes(head)})
    counts = Counter(codes.tolist())
    return {
        "model": name,
        "folder": str(out),
        "texts": len(found),
        "labels": {label: counts[code] for code, label in enumerate(labels)},
        "encoder": opened.card.name,
        "poolings": list(poolings),
        "c": choice.c,
        "folds": choice.folds,
        choice.metric: {f"c={value:g}": round(score, 4) for value, score in choice.scores.items()},
        "seconds": round(time.monotonic() - began, 1),
    }


def _labels(found: Sequence[str], mapping: dict[str, str]) -> tuple[str, ...]:
    """The head's labels in order, once every one of them is known to have texts enough."""
    if mapping:
        unknown = sorted(set(found) - set(mapping))
        if unknown:
            raise DataError(
                f"the label map must name every label of the data. It does not name {', '.join(unknown[:12])}"
            )
    counts = Counter(mapping.get(label, label) for label in found)
    labels = tuple(dict.fromkeys(mapping.values())) if mapping else tuple(sorted(counts, key=_numbers_first))
    few = [label for label in labels if counts[label] < 2]
    if few or len(labels) < 2:
        raise DataError(
            f"training needs two labels at least, and two texts of each. "
            f"Got { ({label: counts[label] for label in (few or labels)[:12]}) }"
        )
    return labels


def _numbers_first(label: str) -> tuple[int, str]:
    return (int(label) if label.isascii() and label.isdigit() else 1 << 62, label)


def _vectors(
    encoder: Encoder, data: LabelledTexts, path: Path, poolings: tuple[str, ...], threads: int | None
) -> Float32:
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
                raise DataError(f"{path}, line {data.lines[at]}: [{result.kind}] {result.message}")
            vectors[at] = result
            progress.add(1, 0)
    return vectors


def _choose(vectors: Float32, codes: Int64, c: float | None, *, balanced: bool, seed: int) -> Choice:
    """The value of :data:`GRID` with the best mean score over stratified folds; the smallest of equals."""
    score = macro_f1_score if balanced else accuracy_score
    metric = "cross_validated_" + ("f1" if balanced else "accuracy")
    if c is not None:
        return Choice(c, metric, 0, {})
    count = min(FOLDS, int(np.bincount(codes).min()))
    splitter = require("sklearn.model_selection", extra="all").StratifiedKFold(count, shuffle=True, random_state=seed)
    folds = list(splitter.split(vectors, codes))
    scores: dict[float, float] = {}
    with Progress(len(GRID) * count, done=0) as progress:
        for value in GRID:
            reached = []
            for seen, unseen in folds:
                weights, bias = _regression(vectors[seen], codes[seen], value, balanced=balanced)
                reached.append(score(codes[unseen], np.argmax(vectors[unseen] @ weights.T + bias, axis=1)))
                progress.add(1, 0)
            scores[value] = float(np.mean(reached))
    return Choice(max(scores, key=lambda value: scores[value]), metric, count, scores)


def _fit(
    vectors: Float32, codes: Int64, c: float, *, balanced: bool, labels: tuple[str, ...], poolings: tuple[str, ...]
) -> Head:
    weights, bias = _regression(vectors, codes, c, balanced=balanced)
    return Head(labels, weights.astype(np.float32), bias.astype(np.float32), poolings)


def _regression(vectors: Float32, codes: Int64, c: float, *, balanced: bool) -> tuple[AnyArray, AnyArray]:
    """Weights, shape (labels, dim), and bias, shape (labels,), of a softmax regression.

    One thread does the sums, so that their order, and with it the last bit, does not depend on the machine's load.

    Raises:
        DataError: the fit did not settle.
    """
    linear = require("sklearn.linear_model", extra="all")
    convergence = require("sklearn.exceptions", extra="all").ConvergenceWarning
    model = linear.LogisticRegression(C=c, class_weight="balanced" if balanced else None, max_iter=MAX_ITERATIONS)
    with require("threadpoolctl", extra="all").threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", convergence)
        try:
            model.fit(vectors, codes)
        except convergence as error:
            raise DataError(
                f"the fit did not settle in {MAX_ITERATIONS} steps at c={c:g}: give a smaller --c"
            ) from error
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # two labels share one row: half of it speaks for each
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias
