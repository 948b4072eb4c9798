"""What a recommender's learning curve is measured on: figures for people held out, as more others are learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.collaborative.algorithms import DEFAULT, Algorithm, find_algorithm
from recsys.data import Interactions
from recsys.evaluate import divide_options, read_ks
from recsys.fitting import read_kept
from recsys.ratings.evaluate import check_metric, check_rates, predict_parts
from recsys.scoring import score_held_out
from recsys.split import Split, UserSplit, hold_out_users
from recsys.threads import limit_threads
from shared.backends.base import check_threads
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.growing import Growing, Learn
from shared.evaluation.rating import mae_error, rmse_error
from shared.tasks import Option
from shared.types import Int32

HELD_OUT, GIVEN = 0.2, 0.8
ORDERS = ("random", "time")
LEAST = 10
GROWING_OPTIONS = (
    Option("held_out", float, HELD_OUT, "share of users, or of ratings, that is held out in each run, in (0, 1)"),
    Option("given", float, GIVEN, "share of a held-out user's interactions that is folded in, in (0, 1)"),
    Option("order", str, ORDERS[0], "which are folded in: random, or time for the earliest"),
    Option("k", str, "10", "how many places count, at least 1; several by commas, like 5,10,20"),
    Option("metric", str, "ranking", "ranking, or ratings: errors of ratings held out, as more others are learnt from"),
    Option("threads", int, None, "processor threads; all when not given"),
)
"""How people are held out, and what is measured."""
_FIGURES = ("ndcg", "recall", "hit", "mrr")


def grow_recommender(
    dataset: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    algorithm: str = DEFAULT,
    positive: str = "all",
    held_out: float = HELD_OUT,
    given: float = GIVEN,
    order: str = ORDERS[0],
    k: str = "10",
    metric: str = "ranking",
    threads: int | None = None,
    **options: Any,
) -> Growing:
    """What the learning curve of a collaborative algorithm is measured on.

    Each run holds out whole people, who are folded in when the model is asked (:func:`recsys.split.hold_out_users`), so
    that what grows is the number of other people, each with all that is known of them. With ``metric="ratings"`` single
    ratings are held out at random, and what grows is the number of others.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        format: the file's format; ``None`` detects.
        seed: of whatever the algorithm draws.
        algorithm: a key of :data:`~recsys.collaborative.algorithms.ALGORITHMS`.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept.
        held_out: share of users, or of ratings, that is held out in each run, in (0, 1).
        given: share of a held-out user's interactions that is folded in, in (0, 1).
        order: ``"random"``, or ``"time"``: the earliest are folded in and the latest asked for.
        k: how many places count; several by commas.
        metric: ``"ranking"``; or ``"ratings"``, of models that predict them.
        threads: of the linear algebra; ``None`` uses every processor.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Raises:
        DataError: the data are malformed or too few.
        UsageError: an option is wrong.
    """
    check_threads(threads)
    if order not in ORDERS:
        raise UnknownNameError("order", order, ORDERS)
    if not (0 < held_out < 1 and 0 < given < 1):
        raise UsageError(f"held_out and given must lie in (0, 1). Got {held_out} and {given} instead")
    ks, row = read_ks(k), find_algorithm(algorithm)
    check_metric(metric, None, split=None, fitted=True, ranking_only={})
    if metric == "ratings":
        check_rates(row.model)
    reading, hyper = divide_options(options)
    config = row.configure(algorithm, hyper)
    kept = read_kept(dataset, format, positive, reading)
    told: dict[str, Any] = {"task": "recsys.collaborative", "model": algorithm, "dataset": dataset.name, "least": LEAST}
    if metric == "ratings":
        size = round((1 - held_out) * len(kept))
        return Growing(
            **told,
            unit="ratings",
            size=size,
            held_out=len(kept) - size,
            best={"rmse": 0.0, "mae": 0.0},
            draw=lambda rng: _draw_ratings(row, config, kept, size, rng, seed=seed, threads=threads),
        )
    people = len(np.unique(kept.users))
    size = round((1 - held_out) * people)

    def draw(rng: np.random.Generator) -> Learn:
        parts = hold_out_users(kept, train=1 - held_out, given=given, order=order, rng=rng)  # type: ignore[arg-type]
        users = rng.permutation(np.unique(parts.train.users))
        return lambda count: _figures(row, config, parts, users[:count], ks=ks, seed=seed, threads=threads)

    return Growing(
        **told,
        unit="users",
        size=size,
        held_out=people - size,
        best={f"{name}@{cut}": 1.0 for cut in ks for name in _FIGURES},
        draw=draw,
    )


def _figures(
    row: Algorithm,
    config: Any,
    parts: UserSplit,
    users: Int32,
    *,
    ks: tuple[int, ...],
    seed: int,
    threads: int | None,
) -> Mapping[str, float]:
    train: Interactions = parts.train.take(np.isin(parts.train.users, users))
    with limit_threads(threads):
        model = row.fit(train, config, rng=np.random.default_rng(seed))
        found = score_held_out(model, UserSplit(train, parts.given, parts.asked), ks=ks)
    return {name: float(np.nanmean(values)) for name, values in found.scores.items() if name.split("@")[0] in _FIGURES}


def _draw_ratings(
    row: Algorithm,
    config: Any,
    kept: Interactions,
    size: int,
    rng: np.random.Generator,
    *,
    seed: int,
    threads: int | None,
) -> Learn:
    order = rng.permutation(len(kept))
    test = kept.take(np.sort(order[size:]))

    def learn(count: int) -> dict[str, float]:
        train = kept.take(np.sort(order[:count]))
        with limit_threads(threads):
            model = row.fit(train, config, rng=np.random.default_rng(seed))
            found = predict_parts([model], [Split(train, test)])
        return {
            "rmse": rmse_error(found.truth, found.predicted),
            "mae": mae_error(found.truth, found.predicted),
        }

    return learn
