"""Figures of predicted ratings: fit on one part of the data, predict the ratings of the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, cast

import numpy as np

from recsys.judged import judged_ratings
from recsys.model import Recommender
from recsys.ratings.model import RatingModel
from recsys.split import Split
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.intervals import bootstrap
from shared.evaluation.report import Evaluation, Metric
from shared.types import AnyArray, Float64, Int64


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Test ratings and their predictions, perhaps of several folds.

    Attributes:
        users: shape (n,), codes of the people.
        folds: shape (n,), int64 from 0, the fold of each.
        truth: shape (n,), float64.
        predicted: shape (n,), float64.
        strangers: how many are of users that the model did not know.
        unreachable: how many are of items that it did not know.
        seconds: what the predictions took.
    """

    users: AnyArray
    folds: Int64
    truth: Float64
    predicted: Float64
    strangers: int
    unreachable: int
    seconds: float


def as_rating_model(model: Recommender) -> RatingModel:
    """The model, if it predicts ratings.

    Raises:
        UsageError: it only ranks.
    """
    check_rates(type(model))
    return cast(RatingModel, model)


def check_rates(kind: type[Recommender]) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless models of that class predict ratings."""
    if not issubclass(kind, RatingModel):
        raise UsageError(
            f"{kind.family} ranks, and predicts no ratings. Take one that does: "
            "baseline, gaussian, knn_baseline, nmf, rating_blend, slope_one, svd, svdpp"
        )


def predict_parts(models: Sequence[Recommender], parts: Sequence[Split], *, with_times: bool = True) -> Predicted:
    """Each model's predictions of its own part's test ratings.

    Args:
        models: one a part, fitted on ``part.train``.
        parts: the folds; their test parts share one vocabulary of users.
        with_times: tell the models when each rating was given, where that is known.

    Raises:
        DataError: there is nothing to predict.
        UsageError: a model predicts no ratings.
    """
    found: list[tuple[AnyArray, ...]] = []
    strangers = unreachable = 0
    start = perf_counter()
    for at, (one, part) in enumerate(zip(models, parts, strict=True)):
        model, test = as_rating_model(one), part.test
        users = model.user_ids.encode(test.user_ids.ids)[test.users]
        items = model.item_ids.encode(test.item_ids.ids)[test.items]
        strangers, unreachable = strangers + int((users < 0).sum()), unreachable + int((items < 0).sum())
        predicted = model.clip(model.predict_codes(users, items, times=test.times if with_times else None))
        found.append((test.users, np.full(len(test), at), test.values, predicted))
    seconds = perf_counter() - start
    users, folds, truth, predicted = (np.concatenate(column) for column in zip(*found))
    if not len(truth):
        raise DataError(
            "rating figures need at least one test rating. Got none: was the data filtered or split too far?"
        )
    exact = truth.astype(np.float64), predicted.astype(np.float64)
    return Predicted(users, folds.astype(np.int64), *exact, strangers, unreachable, seconds)


def rating_scores(found: Predicted, *, rng: np.random.Generator) -> dict[str, Metric]:
    """RMSE, MAE and R2: the mean over folds of each fold's figure, as in Surprise's table.

    The intervals draw people again, because the ratings of one person err together; with a person come the ratings of
    all folds. R2 is left out where a fold's ratings do not vary.

    Args:
        found: ratings and predictions.
        rng: draws the people.

    Example:
        >>> people, truth, predicted = np.array([0, 1]), np.array([4.0, 2.0]), np.array([5.0, 5.0])
        >>> two = Predicted(people, np.zeros(2, np.int64), truth, predicted, 0, 0, 0.0)
        >>> {name: round(metric.value, 3) for name, metric in rating_scores(two, rng=np.random.default_rng(0)).items()}
        {'rmse': 2.236, 'mae': 2.0, 'r2': -4.0}
    """
    people, rows = np.unique(found.users, return_inverse=True)
    count = int(found.folds.max()) + 1
    off = found.truth - found.predicted
    sums = {
        name: np.bincount(rows * count + found.folds, values, minlength=len(people) * count).reshape(-1, count)
        for name, values in {
            "n": np.ones_like(off),
            "squared": off**2,
            "absolute": np.abs(off),
            "truth": found.truth,
            "truth squared": found.truth**2,
        }.items()
    }

    def figure(name: str, drawn: Int64) -> float:
        total = {key: table[drawn].sum(axis=0) for key, table in sums.items()}
        held = total["n"] > 0
        n = total["n"][held]
        if name == "rmse":
            return float(np.sqrt(total["squared"][held] / n).mean())
        if name == "mae":
            return float((total["absolute"][held] / n).mean())
        whole = total["truth squared"][held] - total["truth"][held] ** 2 / n
        if not (whole > 1e-9 * n).all():
            return float("nan")
        return float((1 - total["squared"][held] / whole).mean())

    metrics = {}
    for name in ("rmse", "mae", "r2"):
        if not np.isnan(figure(name, np.arange(len(people)))):
            metrics[name] = bootstrap(lambda drawn, name=name: figure(name, drawn), len(people), rng=rng)  # type: ignore[misc]
    return metrics


def notes_of(found: Predicted, parts: Sequence[Split]) -> dict[str, Any]:
    """What there is to say of an evaluation of ratings beside its figures."""
    errors = [
        float(np.sqrt(np.mean((found.truth - found.predicted)[found.folds == at] ** 2))) for at in range(len(parts))
    ]
    return {
        "test_interactions": len(found.truth),
        "test_interactions_with_unknown_items": found.unreachable,
        "test_interactions_of_unknown_users": found.strangers,
        "fold_rmse": [round(error, 6) for error in errors],
        "predict_seconds": round(found.seconds, 3),
        "times": "told" if all(part.test.times is not None for part in parts) else "not known",
        "interval": "95 % percentile bootstrap over users, 1000 resamples",
    }


def compare_errors(one: Predicted, other: Predicted, *, rng: np.random.Generator) -> Mapping[str, Metric]:
    """Differences of RMSE and MAE of two models on the same ratings, first minus second, people drawn again together.

    Raises:
        UsageError: the ratings are not the same.
    """
    if not np.array_equal(one.truth, other.truth) or not np.array_equal(one.users, other.users):
        raise UsageError("two models are compared on the same ratings. Got different ones: predict the same parts")
    people, rows = np.unique(one.users, return_inverse=True)
    n = np.bincount(rows).astype(np.float64)
    off = [np.abs(found.truth - found.predicted) for found in (one, other)]
    squared = [np.bincount(rows, values**2) for values in off]
    absolute = [np.bincount(rows, values) for values in off]

    def rmse(drawn: Int64) -> float:
        first, second = (np.sqrt(table[drawn].sum() / n[drawn].sum()) for table in squared)
        return float(first - second)

    def mae(drawn: Int64) -> float:
        return float((absolute[0][drawn].sum() - absolute[1][drawn].sum()) / n[drawn].sum())

    return {"rmse": bootstrap(rmse, len(people), rng=rng), "mae": bootstrap(mae, len(people), rng=rng)}


def report_ratings(
    parts: Sequence[Split],
    obtain: Callable[[str, Split], tuple[Recommender, dict[str, Any]]],
    *,
    name: str,
    against: str | None,
    dataset: str,
    protocol: str,
    seed: int,
) -> Evaluation:
    """Fit, predict and compare; what ``triptych evaluate --metric ratings`` prints.

    Args:
        parts: the folds, or one split.
        obtain: from a model's name and a part to the model, and what there is to say of it.
        name: the model.
        against: another to compare it with; ``None`` for none.
        dataset: what the data is called.
        protocol: how the parts were made.
        seed: of the bootstrap.

    Raises:
        DataError: there is nothing to predict.
        UsageError: a model predicts no ratings.
    """
    predicted, notes = {}, {}
    for system in [name] if against is None else [name, against]:
        found = [obtain(system, part) for part in parts]
        predicted[system] = predict_parts([model for model, _ in found], parts)
        notes[system] = {**found[0][1], **notes_of(predicted[system], parts)}
        spent = [said["fit_seconds"] for _, said in found if "fit_seconds" in said]
        if spent:
            notes[system]["fit_seconds"] = round(sum(spent), 3)
    rng = np.random.default_rng(seed)
    said = {"protocol": f"{protocol}, each test rating predicted and clipped to the scale", **notes[name], "seed": seed}
    if against is not None:
        differences = compare_errors(predicted[name], predicted[against], rng=rng)
        said |= {
            "against": against,
            "against_settings": notes[against],
            "comparison_says": f"{name} minus {against}: bootstrap over users, ratings of all folds together",
            "comparison": {key: dataclasses.asdict(value) for key, value in differences.items()},
        }
    one = predicted[name]
    metrics = rating_scores(one, rng=rng)
    return Evaluation(
        task=Recommender.task,
        model=name,
        dataset=dataset,
        n=len(one.truth),
        failed=0,
        metrics=metrics,
        notes=said,
        items=judged_ratings(one, parts, metrics),
    )


def check_metric(
    metric: str, count: int | None, *, split: str | None, fitted: bool, ranking_only: Mapping[str, Any]
) -> None:
    """Refuse what does not go together with the kind of figures.

    Args:
        metric: ``"ranking"`` or ``"ratings"``.
        count: how many folds were asked for; ``None`` for none.
        split: the split that was asked for; ``None`` for none.
        fitted: whether an algorithm is to be fitted, and no saved model asked.
        ranking_only: options by name that only rankings have.

    Raises:
        UnknownNameError: there is no such metric.
        UsageError: the options do not go together.
    """
    if metric not in ("ranking", "ratings"):
        raise UnknownNameError("metric", metric, ("ranking", "ratings"))
    given = [key for key, value in ranking_only.items() if value]
    if metric == "ratings" and given:
        raise UsageError(f"{', '.join(given)} is of rankings. Leave it out with metric ratings")
    if count is not None and (metric != "ratings" or split is not None or not fitted):
        raise UsageError("folds is for metric ratings of an algorithm, in the place of a split. Leave one of them out")


def first_users(parts: list[Split], limit: int | None) -> list[Split]:
    """The parts, the first ``limit`` users of each test part alone; all where it is ``None``."""
    if limit is None:
        return parts
    return [
        Split(part.train, part.test.take(np.isin(part.test.users, np.unique(part.test.users)[:limit])))
        for part in parts
    ]
