"""The task ``recsys.collaborative`` as commands, pages and batch jobs see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.collaborative.algorithms import ALGORITHMS, DEFAULT, Algorithm, find_algorithm
from recsys.evaluate import SPLITS, check_device, divide_options, evaluate
from recsys.fitting import SAVING_OPTIONS, fit_and_save, read_kept
from recsys.growing import GROWING_OPTIONS, grow_recommender
from recsys.monitoring import observe
from recsys.predictor import RecommenderPredictor, recommender
from recsys.reading import FORMATS
from shared.backends.base import check_threads
from shared.errors import UsageError
from shared.tasks import Option, Task

NAME = "recsys.collaborative"


def open_model(
    model: str | Path | None,
    *,
    device: str = "auto",
    threads: int | None = None,
    k: int = 10,
    include_seen: bool = False,
    titles: str | None = None,
    task: str = NAME,
) -> RecommenderPredictor:
    """Open a model folder for ids that come through text; see :func:`recsys.recommender`.

    ``threads`` does not matter: ranking takes the threads that the linear algebra has anyway. ``task`` is the one that
    a message names.

    Raises:
        UsageError: no model is named, or an argument is wrong.
    """
    check_device(device)
    check_threads(threads)
    if model is None:
        raise UsageError(
            f"{task} has no default model: taste is learned from your own data. "
            f"Train one with 'triptych train {task} RATINGS.csv FOLDER' and give --model FOLDER"
        )
    return recommender(model, k=k, exclude_seen=not include_seen, text_ids=True, titles=titles)


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    algorithm: str = DEFAULT,
    positive: str = "all",
    name: str | None = None,
    licence: str = "LicenseRef-own-data",
    threads: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Fit an algorithm on a whole ratings file and save it.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        out: the model folder to write.
        format: the file's format; ``None`` detects.
        seed: of whatever the algorithm draws.
        algorithm: a key of :data:`~recsys.collaborative.algorithms.ALGORITHMS`.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept.
        name: the model's name; ``None`` takes the algorithm's.
        licence: SPDX identifier of the data's licence.
        threads: threads of the linear algebra; ``None`` uses every processor.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Returns:
        What was fitted, on how much, and how long it took.
    """
    check_threads(threads)
    row = find_algorithm(algorithm)
    reading, hyper = divide_options(options)
    config = row.configure(algorithm, hyper)
    kept = read_kept(dataset, format, positive, reading)
    _, report = fit_and_save(
        lambda part: row.fit(part, config, rng=np.random.default_rng(seed)),
        kept,
        out,
        name=name,
        licence=licence,
        threads=threads,
        algorithm=algorithm,
    )
    return report


def hyper_options(algorithms: Mapping[str, Algorithm]) -> Iterator[Option]:
    """Every option of every algorithm once; which algorithms take it, and what each takes by default."""
    fields: dict[str, list[tuple[str, Any]]] = {}
    for algorithm, row in algorithms.items():
        for field in dataclasses.fields(row.config):  # type: ignore[arg-type]  # a dataclass
            fields.setdefault(field.name, []).append((algorithm, field))
    for name, takers in fields.items():
        kind = type(takers[0][1].default)
        defaults = ", ".join(f"{field.default} for {algorithm}" for algorithm, field in takers)
        yield Option(name, kind, None, f"{takers[0][1].metadata['help']} (default: {defaults})")


OPENING_OPTIONS = (
    Option("k", int, 10, "how many items, at least 1"),
    Option("include_seen", bool, False, "rank what the user interacted with in training too"),
    Option("titles", str, None, "a file with item ids and titles; answers then carry titles"),
)
"""What every task of recommendation opens a model with."""
POSITIVE_OPTION = Option("positive", str, "all", "all, or like '>=4': keep only interactions of at least that value")
READING_OPTIONS = (
    Option("columns", str, None, "what the columns of a file without a header are, like user,item,-,time"),
    Option("user", str, None, "the header's name of the column of users"),
    Option("item", str, None, "the header's name of the column of items"),
    Option("rating", str, None, "the header's name of the column of ratings"),
    Option("time", str, None, "the header's name of the column of times"),
    Option("id_type", str, "str", "str keeps ids as they are written; int reads whole numbers"),
    Option("duplicates", str, "last", "a pair that comes again: last (by time), sum, mean, error or keep"),
)
"""How every task of recommendation reads a ratings file."""
_SHARED = (
    POSITIVE_OPTION,
    *hyper_options(ALGORITHMS),
    *READING_OPTIONS,
)

TASK = Task(
    name=NAME,
    summary="What a user would like next, from who liked what",
    inputs="id",
    open=open_model,
    observe=observe,
    options=OPENING_OPTIONS,
    evaluate=evaluate,
    formats=tuple(FORMATS),
    train=train,
    train_options=(
        Option("algorithm", str, DEFAULT, f"one of {', '.join(ALGORITHMS)}"),
        *_SHARED,
        *SAVING_OPTIONS,
    ),
    evaluate_options=(
        Option(
            "split",
            str,
            None,
            f"for --model {', '.join(ALGORITHMS)}: one of {', '.join(SPLITS)}; for a saved model: none",
        ),
        Option("train", float, 0.75, "share of interactions that stays in training, between 0 and 1"),
        Option("k", str, "10", "how many places count, at least 1; several by commas, like 5,10,20"),
        Option("against", str, None, "a second algorithm or model folder: every figure is compared user by user"),
        Option("auc", bool, False, "the area under the ROC curve of whole rankings too"),
        Option("per_user", str, None, "a Parquet file to write with the figures of each user"),
        Option("metric", str, "ranking", "ranking, or ratings: how far predicted ratings are from those given"),
        Option("folds", int, None, "with --metric ratings: test on each of so many parts in its turn"),
        *_SHARED,
    ),
    grow=grow_recommender,
    grow_options=(
        Option("algorithm", str, DEFAULT, f"one of {', '.join(ALGORITHMS)}"),
        *GROWING_OPTIONS,
        *_SHARED,
    ),
)
