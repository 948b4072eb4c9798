"""The task ``recsys.hybrid`` as commands, pages and batch jobs see it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recsys.collaborative.task import OPENING_OPTIONS, POSITIVE_OPTION, READING_OPTIONS, open_model
from recsys.data import Interactions
from recsys.evaluate import SPLITS, divide_options, read_positive
from recsys.evaluate import evaluate as evaluate_saved
from recsys.features import load_features
from recsys.hybrid.recipe import fit_hybrid
from recsys.hybrid.rerank import RerankConfig, Reranked
from recsys.reading import FORMATS, load_interactions
from recsys.scoring import score_users
from recsys.threads import limit_threads
from shared.errors import UnknownNameError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Evaluation
from shared.tasks import Option, Task

NAME = "recsys.hybrid"


def fit(interactions: Interactions, options: dict[str, Any], *, id_type: Any = "str", seed: int = 0) -> Reranked:
    """A hybrid by :func:`recsys.hybrid.recipe.fit_hybrid`.

    Args:
        interactions: what happened.
        options: ``items`` and ``users``, files as :func:`recsys.load_features` reads them, and fields of
            :class:`~recsys.hybrid.rerank.RerankConfig`. ``None`` stands for what was not given.
        id_type: how ids of those files are read: as those of the interactions.
        seed: deals interactions into folds.

    Raises:
        DataError: a file is malformed, or holds other ids.
        UsageError: an option is wrong.
    """
    given = {key: value for key, value in options.items() if value is not None}
    about = {
        what: load_features(given.pop(key), what=what, id_type=id_type)
        for key, what in (("items", "item"), ("users", "user"))
        if key in given
    }
    config = RerankConfig(**given)
    rng = np.random.default_rng(seed)
    return fit_hybrid(interactions, config, items=about.get("item"), users=about.get("user"), rng=rng)


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    positive: str = "all",
    name: str | None = None,
    licence: str = "LicenseRef-own-data",
    threads: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Fit a hybrid on a whole ratings file and save it.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        out: the model folder to write.
        format: the file's format; ``None`` detects.
        seed: deals interactions into folds.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept.
        name: the model's name; ``None`` takes the family's.
        licence: SPDX identifier of the data's licence.
        threads: of the linear algebra; ``None`` uses every processor.
        options: keywords of :func:`recsys.load_interactions`, and those of :func:`fit`.

    Returns:
        What was fitted, on how much, and how long it took.
    """
    reading, own = divide_options(options)
    whole = load_interactions(dataset, format=format, **reading)
    minimum = read_positive(positive)
    kept = whole if minimum is None else whole.at_least(minimum)
    start = perf_counter()
    with limit_threads(threads):
        model = fit(kept, own, id_type=reading.get("id_type", "str"), seed=seed)
    seconds = round(perf_counter() - start, 3)
    card = model.save(out, name=name, licence=licence)
    return {
        "model": card.name,
        "folder": str(out),
        "members": list(model.members.names),
        "options": dataclasses.asdict(model.config),
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": len(kept),
        "fit_seconds": seconds,
        "bytes": card.size,
    }


def evaluate(
    dataset: Path,
    *,
    model: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    k: int = 10,
    include_seen: bool = False,
    titles: str | None = None,
    split: str | None = None,
    train: float = 0.75,
    positive: str = "all",
    **options: Any,
) -> Evaluation:
    """Evaluate a hybrid on a split of a ratings file, or a saved model on interactions that it has not seen.

    See :func:`recsys.evaluate.evaluate`, whose protocol this is; without a model one is fitted as by :func:`fit`.

    Raises:
        DataError: the data are malformed or too few.
        UsageError: an argument is wrong.
    """
    reading, own = divide_options(options)
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
        return dataclasses.replace(found, task=NAME)
    cut = split or "stratified"
    if cut not in SPLITS:
        raise UnknownNameError("split", cut, SPLITS)
    minimum = read_positive(positive)
    whole = load_interactions(dataset, format=format, **reading)
    parts = SPLITS[cut](whole if minimum is None else whole.at_least(minimum), train, seed)
    with limit_threads(threads):
        fitted = fit(parts.train, own, id_type=reading.get("id_type", "str"), seed=seed)
        scores = score_users(fitted, parts.test, k=k, exclude_seen=not include_seen, limit=limit)
    rng = np.random.default_rng(seed)
    return Evaluation(
        task=NAME,
        model=fitted.family,
        dataset=dataset.name,
        n=len(scores.users),
        failed=0,
        metrics={key: mean_interval(values, rng=rng) for key, values in scores.scores.items()},
        notes={
            "protocol": f"{cut} split, positive {positive}, binary relevance, mean over users with test interactions",
            "members": list(fitted.members.names),
            "options": dataclasses.asdict(fitted.config),
            "train_interactions": len(parts.train),
            "test_interactions": len(parts.test),
            "unknown_users": scores.strangers,
            "seed": seed,
        },
    )


_SHARED = (
    Option("items", str, None, "a file of what is known of items, like u.item, movies.csv, or any with a header"),
    Option("users", str, None, "a file of what is known of users, like u.user, or any with a header"),
    POSITIVE_OPTION,
    *(
        Option(field.name, type(field.default), None, f"{field.metadata['help']} (default: {field.default})")
        for field in dataclasses.fields(RerankConfig)
    ),
    *READING_OPTIONS,
)

TASK = Task(
    name=NAME,
    summary="What a user would like next, by many recommenders and what is known of users and items",
    inputs="id",
    open=open_model,
    options=OPENING_OPTIONS,
    evaluate=evaluate,
    formats=tuple(FORMATS),
    train=train,
    train_options=(
        *_SHARED,
        Option("name", str, None, "the model's name; the family's when not given"),
        Option("licence", str, "LicenseRef-own-data", "SPDX identifier of the data's licence"),
        Option("threads", int, None, "processor threads; all when not given"),
    ),
    evaluate_options=(
        Option("split", str, None, f"one of {', '.join(SPLITS)}; none for a saved model"),
        Option("train", float, 0.75, "share of interactions that stays in training, between 0 and 1"),
        *_SHARED,
    ),
)
