"""The task ``recsys.hybrid`` as commands, pages and batch jobs see it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsys.collaborative.task import OPENING_OPTIONS, POSITIVE_OPTION, READING_OPTIONS, open_model
from recsys.data import Interactions
from recsys.evaluate import divide_options
from recsys.features import load_features
from recsys.fitting import SAVING_OPTIONS, SPLIT_OPTIONS, evaluate_fit, fit_and_save, read_kept
from recsys.hybrid.recipe import fit_hybrid
from recsys.hybrid.rerank import RerankConfig, Reranked
from recsys.monitoring import observe
from recsys.reading import FORMATS
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
    kept = read_kept(dataset, format, positive, reading)

    def make(part: Interactions) -> Reranked:
        return fit(part, own, id_type=reading.get("id_type", "str"), seed=seed)

    model, report = fit_and_save(make, kept, out, name=name, licence=licence, threads=threads)
    return report | _members(model)


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
    return evaluate_fit(
        lambda part: fit(part, own, id_type=reading.get("id_type", "str"), seed=seed),
        dataset,
        task=NAME,
        model=model,
        format=format,
        limit=limit,
        seed=seed,
        device=device,
        threads=threads,
        k=k,
        include_seen=include_seen,
        split=split,
        train=train,
        positive=positive,
        reading=reading,
        own=own,
        told=_members,
        about=own.get("users"),
    )


def _members(model: Any) -> dict[str, Any]:
    return {"members": list(model.members.names)}


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
    open=partial(open_model, task=NAME),
    observe=observe,
    options=OPENING_OPTIONS,
    evaluate=evaluate,
    formats=tuple(FORMATS),
    train=train,
    train_options=(*_SHARED, *SAVING_OPTIONS),
    evaluate_options=(*SPLIT_OPTIONS, *_SHARED),
)
