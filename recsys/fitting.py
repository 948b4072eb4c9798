"""What tasks share whose models are fitted on a ratings file: reading, fitting and saving, and the test on a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recsys.data import Interactions
from recsys.evaluate import SPLITS, read_positive
from recsys.evaluate import evaluate as evaluate_saved
from recsys.features import load_features
from recsys.judged import judged_users
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.scoring import score_users
from recsys.threads import limit_threads
from shared.errors import UnknownNameError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Evaluation
from shared.tasks import Option

Fit = Callable[[Interactions], Recommender]
SAVING_OPTIONS = (
    Option("name", str, None, "the model's name; the family's when not given"),
    Option("licence", str, "LicenseRef-own-data", "SPDX identifier of the data's licence"),
    Option("threads", int, None, "processor threads; all when not given"),
)
"""What every task of recommendation saves a model with."""
SPLIT_OPTIONS = (
    Option("split", str, None, f"one of {', '.join(SPLITS)}; none for a saved model"),
    Option("train", float, 0.75, "share of interactions that stays in training, between 0 and 1"),
)
"""How :func:`evaluate_fit` cuts."""


def read_kept(dataset: Path, format: str | None, positive: str, reading: Mapping[str, Any]) -> Interactions:
    """The interactions of a ratings file that count.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        format: the file's format; ``None`` detects.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept.
        reading: further keywords of :func:`recsys.load_interactions`.

    Raises:
        DataError: the file is malformed.
        UsageError: an option is wrong.
    """
    minimum = read_positive(positive)
    whole = load_interactions(dataset, format=format, **reading)
    return whole if minimum is None else whole.at_least(minimum)


def fit_and_save(
    fit: Fit, kept: Interactions, out: Path, *, name: str | None, licence: str, threads: int | None, **told: Any
) -> tuple[Recommender, dict[str, Any]]:
    """Fit a model and save it.

    Args:
        fit: makes the model.
        kept: what it learns from.
        out: the model folder to write.
        name: the model's name; ``None`` takes the family's.
        licence: SPDX identifier of the data's licence.
        threads: of the linear algebra; ``None`` uses every processor.
        told: what else the report is to say.

    Returns:
        The model; and what was fitted, on how much, and how long it took.
    """
    start = perf_counter()
    with limit_threads(threads):
        model = fit(kept)
    seconds = round(perf_counter() - start, 3)
    card = model.save(out, name=name, licence=licence)
    return model, {
        "model": card.name,
        "folder": str(out),
        **told,
        "options": dataclasses.asdict(model.config),
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": len(kept),
        "fit_seconds": seconds,
        "bytes": card.size,
    }


def evaluate_fit(
    fit: Fit,
    dataset: Path,
    *,
    task: str,
    model: str | None,
    format: str | None,
    limit: int | None,
    seed: int,
    device: str,
    threads: int | None,
    k: int,
    include_seen: bool,
    split: str | None,
    train: float,
    positive: str,
    reading: Mapping[str, Any],
    own: Mapping[str, Any],
    told: Callable[[Any], Mapping[str, Any]] = lambda model: {},
    about: str | Path | None = None,
) -> Evaluation:
    """Evaluate a fit on a split of a ratings file, or a saved model on interactions that it has not seen.

    See :func:`recsys.evaluate.evaluate`, whose protocol this is.

    Args:
        fit: makes a model of the training part.
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        task: that the figures are of.
        model: the folder of a saved one; ``None`` fits.
        format: the file's format; ``None`` detects.
        limit: only the first test users, in the order of their ids.
        seed: of the split, and of the bootstrap over users.
        device: ``"auto"`` or ``"cpu"``.
        threads: of the linear algebra; ``None`` uses every processor.
        k: how many places count.
        include_seen: rank what the user had in training too.
        split: a key of :data:`recsys.evaluate.SPLITS`; ``None`` for ``"stratified"``, or none for a saved model.
        train: share of interactions that stays in training.
        positive: as in :func:`read_kept`.
        reading: further keywords of :func:`recsys.load_interactions`.
        own: options of the fit, of which a saved model takes none.
        told: what of a fitted model the notes are to say.
        about: a file of what is known of users, as :func:`recsys.load_features` reads it, to slice the figures by.

    Raises:
        DataError: the data are malformed or too few.
        UsageError: an argument is wrong.
    """
    if model is not None:
        found = evaluate_saved(
            dataset,
            model=model,
            format=format,
            limit=limit,
            seed=seed,
            device=device,
            threads=threads,
            k=k,
            include_seen=include_seen,
            split=split or "none",
            positive=positive,
            **{**reading, **own},
        )
        return dataclasses.replace(found, task=task)
    name = split or "stratified"
    if name not in SPLITS:
        raise UnknownNameError("split", name, SPLITS)
    parts = SPLITS[name](read_kept(dataset, format, positive, reading), train, seed)
    with limit_threads(threads):
        fitted = fit(parts.train)
        scores = score_users(fitted, parts.test, k=k, exclude_seen=not include_seen, limit=limit)
    users = load_features(about, what="user", id_type=reading.get("id_type", "str")) if about is not None else None
    rng = np.random.default_rng(seed)
    return Evaluation(
        task=task,
        model=fitted.family,
        dataset=dataset.name,
        n=len(scores.users),
        failed=0,
        metrics={key: mean_interval(values, rng=rng) for key, values in scores.scores.items()},
        notes={
            "protocol": f"{name} split, positive {positive}, binary relevance, mean over users with test interactions",
            **told(fitted),
            "options": dataclasses.asdict(fitted.config),
            "train_interactions": len(parts.train),
            "test_interactions": len(parts.test),
            "unknown_users": scores.strangers,
            "seed": seed,
        },
        items=judged_users(scores, parts, fitted, about=users),
    )
