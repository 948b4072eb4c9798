"""Fit the counted-terms baseline: logistic regression, a linear support vector machine or gradient-boosted trees."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.classification.joined import Joined
from nlp.classification.noise import write_noise
from nlp.classification.tfidf import BACKEND, ESTIMATORS, FAMILY, GROUPS, Linear, Terms, Trees, counter, model_files
from nlp.tokenize import check_text
from nlp.training.calibrate import fit_temperature
from nlp.training.folds import folds_of, one_against_rest
from nlp.training.thresholds import judged, settled
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UsageError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.lazy import require
from shared.training.finish import Stated
from shared.training.options import BALANCED, check_choice
from shared.types import AnyArray, Float64, Int64
from shared.weights import write_model_folder
from shared.weights.exports import plain_name

GRID = (0.5, 2.0, 8.0)
FOLDS = 3
MOST_TERMS = 30_000
"""Terms of each group at most, the most frequent ones."""
LEAST_TEXTS = 2
TOLERANCE = 1e-3
TREE_TERMS = 1500
HALF = np.float32(0.5)
ROUNDS, DEPTH, RATE = 150, 4, 0.2


@dataclass(frozen=True)
class Learnt:
    """A fitted model, and what its cross-validation said.

    Attributes:
        terms: that texts are read by.
        fitted: scores of terms.
        c: inverse strength of the penalty that was taken.
        scores: the figure of each that was tried; see :func:`train_tfidf`.
        held: scores of each text by a model of other folds, shape (texts, labels), float64.
        folds: parts of the cross-validation.
    """

    terms: Terms
    fitted: Linear | Trees
    c: float
    scores: Mapping[float, float]
    held: Float64
    folds: int


def learn(
    data: Joined, *, estimator: str, c: float | None, class_weight: str, seed: int, threads: int | None
) -> Learnt:
    """Fit a model, with the best ``c`` by cross-validation; see :func:`train_tfidf`."""
    balanced = class_weight == BALANCED
    terms = find_terms(data.texts)
    seen = terms.reader()(data.texts)
    candidates = (c or GRID[1],) if c is not None or estimator == "trees" else GRID
    folds = folds_of(data.strata, FOLDS, seed=seed) if data.several else _folds(data.codes, seed)
    with require("threadpoolctl", extra="all").threadpool_limits(threads):
        held = {
            value: _held_out(seen, data, estimator, value, folds, balanced=balanced, seed=seed) for value in candidates
        }
    scores = {value: _score(data, found, balanced=balanced) for value, found in held.items()}
    best = max(scores, key=lambda value: scores[value])
    fitted = fit(seen, data.codes, estimator, best, balanced=balanced, seed=seed)
    return Learnt(terms, fitted, best, scores, held[best], len(folds))


def train_tfidf(
    data: Joined,
    out: Path,
    *,
    estimator: str,
    c: float | None,
    class_weight: str,
    stated: Stated,
    seed: int,
    threads: int | None,
    noise: bool = False,
) -> dict[str, Any]:
    """Fit a model and save it as a model folder, named like the folder.

    Args:
        data: labelled texts.
        out: the folder to write.
        estimator: one of :data:`nlp.classification.tfidf.ESTIMATORS`. The temperature of its probabilities is fitted
            on what folds of a cross-validation did not see.
        c: inverse strength of the penalty of the linear ones, above 0; ``None`` takes the best of :data:`GRID`.
        class_weight: ``"none"`` or ``"balanced"``.
        stated: what is said of it.
        seed: of folds and trees.
        threads: processor threads of the fits; ``None`` leaves that to the libraries.
        noise: write the labels that look wrong too; see :func:`nlp.classification.noise.write_noise`.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: there is no such estimator, or it does not take texts of several labels.
        DataError: a text cannot be used, or the texts share no term.
    """
    check_choice("estimator", estimator, ESTIMATORS)
    check_texts(data, estimator)
    began = time.monotonic()
    found = learn(data, estimator=estimator, c=c, class_weight=class_weight, seed=seed, threads=threads)
    options: dict[str, Any] = {
        "labels": list(data.labels),
        "estimator": estimator,
        "c": found.c,
        "class_weight": class_weight,
        "seed": seed,
        "texts": len(data.texts),
    }
    if data.several:
        temperature, thresholds = settled(found.held, data.codes)
        options |= {"multi_label": True, "temperature": temperature, "thresholds": thresholds}
    else:
        options["temperature"] = fit_temperature(found.held.astype(np.float32), data.codes)
    if data.label_map:
        options["label_map"] = dict(data.label_map)
    name = plain_name(out.resolve().name)
    said = stated.summary or f"text labels by counted terms ({estimator}): {', '.join(data.labels[:8])}"
    card = ModelCard(name, "nlp.classification", FAMILY, BACKEND, stated.licence, said, options=options)
    write_model_folder(out, card, model_files(found.terms, found.fitted))
    metric = "cross_validated_" + ("f1" if class_weight == BALANCED else "f1_micro" if data.several else "accuracy")
    doubtful = {"label_noise": write_noise(data, found.held, out)} if noise else {}
    report: dict[str, Any] = {
        "model": name,
        "folder": str(out),
        "texts": len(data.texts),
        "labels": data.counts(),
        "terms": len(found.terms.rarity),
        "c": found.c,
        "folds": found.folds,
        metric: {f"c={value:g}": round(score, 4) for value, score in found.scores.items()},
        "figures": {metric: round(found.scores[found.c], 4)},
        "recipe": {"estimator": estimator, "c": found.c, "folds": found.folds, "class_weight": class_weight},
        "seconds": round(time.monotonic() - began, 1),
    }
    return report | doubtful


def check_texts(data: Joined, estimator: str) -> None:
    """Refuse texts that cannot be used, and an estimator that cannot be had for them.

    Raises:
        UsageError: texts have several labels, and trees take one.
        DataError: a text is empty, or none.
    """
    for text, place in zip(data.texts, data.places):
        try:
            check_text(text)
        except InputError as error:
            raise DataError(f"{place}: [{error.kind}] {error}") from error
    if data.several and estimator == "trees":
        raise UsageError("trees take one label a text: give --estimator logistic or svm where texts have several")


def find_terms(texts: Sequence[str]) -> Terms:
    """The terms that two texts at least have, and how rare each is: 1 + ln((1 + n) / (1 + texts with it)).

    Raises:
        DataError: there are none.
    """
    library = require("sklearn.feature_extraction.text", extra="all")
    words: list[tuple[str, ...]] = []
    rarities: list[AnyArray] = []
    for kind in GROUPS:
        try:
            counts = counter(library, kind, None, min_df=min(LEAST_TEXTS, len(texts)), max_features=MOST_TERMS)
            found = counts.fit_transform(texts)
        except ValueError as error:
            raise DataError(f"the texts must share words. {error}") from error
        words.append(tuple(str(word) for word in counts.get_feature_names_out()))
        having = np.bincount(found.indices, minlength=found.shape[1])
        rarities.append(1 + np.log((1 + len(texts)) / (1 + having)))
    return Terms(tuple(words), np.concatenate(rarities).astype(np.float32))


def fit(seen: Any, codes: Int64, estimator: str, c: float, *, balanced: bool, seed: int) -> Linear | Trees:
    """Fit one model to a sparse matrix (texts, terms); where codes have a column a label, a linear one for each."""
    weighting = "balanced" if balanced else None
    if estimator == "trees":
        return _trees(seen, codes, weighting, seed)

    def rows(given: Int64) -> tuple[AnyArray, AnyArray]:
        if estimator == "svm":
            made = require("sklearn.svm", extra="all").LinearSVC(C=c, class_weight=weighting, random_state=seed)
        else:
            linear = require("sklearn.linear_model", extra="all")
            made = linear.LogisticRegression(C=c, class_weight=weighting, max_iter=1000, tol=TOLERANCE)
        made.fit(seen, given)
        return made.coef_.astype(np.float32), np.atleast_1d(made.intercept_).astype(np.float32)

    if codes.ndim == 2:
        return Linear(*one_against_rest(codes, seen.shape[1], rows))
    weights, bias = rows(codes)
    if len(weights) == 1:  # two labels share one row: half of it speaks for each
        weights, bias = np.concatenate([-weights, weights]) * HALF, np.concatenate([-bias, bias]) * HALF
    return Linear(weights, bias)


def _trees(seen: Any, codes: Int64, weighting: str | None, seed: int) -> Trees:
    """Gradient boosting (J. Friedman, 2001) over the terms that tell most of the labels by a chi-squared test."""
    ensemble = require("sklearn.ensemble", extra="all")
    selection = require("sklearn.feature_selection", extra="all")
    told = np.nan_to_num(selection.chi2(seen, codes)[0])
    columns = np.sort(np.argsort(-told, kind="stable")[:TREE_TERMS]).astype(np.int64)
    weights = None
    if weighting:
        weights = require("sklearn.utils.class_weight", extra="all").compute_sample_weight(weighting, codes)
    made = ensemble.GradientBoostingClassifier(
        n_estimators=ROUNDS, max_depth=DEPTH, learning_rate=RATE, subsample=0.8, max_features="sqrt", random_state=seed
    )
    made.fit(seen[:, columns], codes, sample_weight=weights)
    parts: dict[str, list[AnyArray]] = {name: [] for name in ("left", "right", "term", "threshold", "value")}
    roots = np.zeros(made.estimators_.shape, dtype=np.int64)
    at = 0
    for place, tree in np.ndenumerate(made.estimators_):
        nodes = tree.tree_
        leaf = nodes.children_left < 0
        roots[place] = at
        parts["left"].append(np.where(leaf, -1, nodes.children_left + at))
        parts["right"].append(np.where(leaf, -1, nodes.children_right + at))
        parts["term"].append(np.where(leaf, 0, nodes.feature))
        parts["threshold"].append(nodes.threshold)
        parts["value"].append(nodes.value[:, 0, 0] * RATE)
        at += len(leaf)
    start = np.asarray(made.decision_function(seen[:1, columns]), dtype=np.float64).reshape(-1)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    whole = {name: joined[name].astype(np.int64) for name in ("left", "right", "term")}
    bare = Trees(columns, roots, threshold=joined["threshold"], value=joined["value"], start=start * 0, **whole)
    added = bare.scores(seen[:1])[0]
    added = added[1:] - added[:1] if len(start) == 1 else added
    return Trees(columns, roots, threshold=joined["threshold"], value=joined["value"], start=start - added, **whole)


def _score(data: Joined, found: AnyArray, *, balanced: bool) -> float:
    if data.several:
        return judged(found, data.codes, balanced=balanced)
    return (macro_f1_score if balanced else accuracy_score)(data.codes, found.argmax(axis=1))


def _folds(codes: Int64, seed: int) -> list[tuple[Int64, Int64]]:
    count = min(FOLDS, int(np.bincount(codes).min()))
    splitter = require("sklearn.model_selection", extra="all").StratifiedKFold(count, shuffle=True, random_state=seed)
    return list(splitter.split(codes, codes))


def _held_out(
    seen: Any, data: Joined, estimator: str, c: float, folds: list[tuple[Int64, Int64]], *, balanced: bool, seed: int
) -> AnyArray:
    """Scores of each text by a model that did not see it, shape (texts, labels)."""
    found = np.zeros((len(data.texts), len(data.labels)))
    for learnt, unseen in folds:
        fitted = fit(seen[learnt], data.codes[learnt], estimator, c, balanced=balanced, seed=seed)
        found[unseen] = fitted.scores(seen[unseen])
    return found
