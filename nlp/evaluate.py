"""How good a model is on labelled texts: data, predictor and metrics brought together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.classification.prepare import parse_labels
from nlp.datasets import read_labelled_texts
from nlp.labels import match_labels, parse_label_map
from shared.batch.progress import Progress
from shared.errors import UsageError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, bootstrap
from shared.evaluation.report import Evaluation
from shared.types import AnyArray, Failure, Int64


def evaluate_classification(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    label_map: str | None = None,
    **options: Any,
) -> Evaluation:
    """Share of texts whose best label is the true one (``accuracy``), and the labels' mean F1 (``f1``).

    Args:
        dataset: a file; see :func:`nlp.datasets.read_labelled_texts`.
        model: as :func:`nlp.text_classifier` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many texts.
        seed: of the bootstrap.
        device: as :func:`nlp.text_classifier` takes it.
        threads: as :func:`nlp.text_classifier` takes it.
        text_column: see :func:`nlp.datasets.read_labelled_texts`.
        label_column: see :func:`nlp.datasets.read_labelled_texts`.
        encoding: see :func:`nlp.datasets.read_labelled_texts`.
        label_map: ``"DATA=MODEL,..."``; without it labels are matched as :func:`nlp.labels.match_labels` says.
        options: further options of :func:`nlp.text_classifier`.

    Raises:
        UsageError: an argument is out of its range.
        DataError: the data set is malformed, or has labels that the model does not know.
    """
    data = read_labelled_texts(
        dataset, format=format, text_column=text_column, label_column=label_column, encoding=encoding
    )
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    given = parse_label_map(label_map)
    predictor = nlp.text_classifier(model, device=device, threads=threads, **options)
    known = list(parse_labels(options["labels"])) if options.get("labels") else predictor.card.options["labels"]
    words, how = match_labels(set(data.labels), known, given=given, trained=predictor.card.options.get("label_map"))
    truth = np.array([words[label] for label in data.labels][:limit], dtype=object)
    predicted = np.empty(len(truth), dtype=object)
    with Progress(len(truth), done=0) as progress:
        for at, result in enumerate(predictor.stream(data.texts[:limit])):
            predicted[at] = None if isinstance(result, Failure) else result.labels[0]
            progress.add(1, isinstance(result, Failure))
    figures = {
        name: bootstrap(
            partial(_drawn, score, truth, predicted),
            len(truth),
            rng=np.random.default_rng(seed),
            resamples=RESAMPLES,
            confidence=CONFIDENCE,
        )
        for name, score in (("accuracy", accuracy_score), ("f1", macro_f1_score))
    }
    failed = sum(label is None for label in predicted)
    notes = {
        "interval": f"percentile bootstrap over texts, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
        "labels": how + ": " + ", ".join(f"{label}={words[label]}" for label in words),
    }
    return Evaluation("nlp.classification", predictor.card.name, str(dataset), len(truth), failed, figures, notes)


def _drawn(score: Callable[[AnyArray, AnyArray], float], truth: AnyArray, predicted: AnyArray, at: Int64) -> float:
    return score(truth[at], predicted[at])
