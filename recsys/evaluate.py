"""Figures of recommenders: fit on one part of the data, rank everything not yet seen, look for the other part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recsys.collaborative.algorithms import ALGORITHMS, DEFAULT, find_algorithm
from recsys.comparing import compare_users, describe_comparison, write_scores
from recsys.data import Interactions
from recsys.judged import judged_users
from recsys.model import Recommender
from recsys.ratings.evaluate import check_metric, check_rates, first_users, report_ratings
from recsys.reading import load_interactions
from recsys.scoring import UserScores, score_users
from recsys.split import Split, leave_last_out, random, stratified, temporal, temporal_by_user
from recsys.split import folds as deal
from recsys.store import load, model_folder
from recsys.threads import limit_threads
from shared.backends.base import check_threads
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Evaluation
from shared.weights.folder import is_model_folder

READING = ("columns", "user", "item", "rating", "time", "id_type", "duplicates")
"""Keywords of :func:`recsys.load_interactions` that evaluation and training pass on."""
SPLITS: dict[str, Callable[[Interactions, float, int], Split]] = {
    "stratified": lambda all_, train, seed: stratified(all_, train=train, rng=np.random.RandomState(seed)),
    "stratified-item": lambda all_, train, seed: stratified(
        all_, train=train, by="item", rng=np.random.RandomState(seed)
    ),
    "random": lambda all_, train, seed: random(all_, train=train, rng=np.random.default_rng(seed)),
    "temporal": lambda all_, train, seed: temporal(all_, train=train),
    "temporal-by-user": lambda all_, train, seed: temporal_by_user(all_, train=train),
    "leave-last-out": lambda all_, train, seed: leave_last_out(all_),
    "leave-last-row-out": lambda all_, train, seed: leave_last_out(all_, order="file"),
}
"""Splits by name. The stratified ones draw with NumPy's old generator, as the published ones did."""


def evaluate(
    dataset: Path,
    *,
    model: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    k: int | str = 10,
    include_seen: bool = False,
    titles: str | None = None,
    split: str | None = None,
    train: float = 0.75,
    positive: str = "all",
    against: str | None = None,
    per_user: str | None = None,
    auc: bool = False,
    metric: str = "ranking",
    folds: int | None = None,
    **options: Any,
) -> Evaluation:
    """Evaluate an algorithm on a ratings file, or a saved model on interactions that it has not seen.

    An algorithm's name fits it on the training part of a split of ``dataset``. A model folder is only asked, so
    ``dataset`` must be test interactions that were held out when it was trained: ``split`` must be ``"none"``, and any
    pair that the model saw is refused.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        model: a key of :data:`~recsys.collaborative.algorithms.ALGORITHMS`, or a model folder; ``None`` takes ``ease``.
        format: the file's format; ``None`` detects.
        limit: only the first test users, in the order of their ids.
        seed: of the split and of the bootstrap over users.
        device: ``"auto"`` or ``"cpu"``.
        threads: threads of the linear algebra; ``None`` uses every processor.
        k: how many places count; several by commas, like ``"5,10,20"``.
        include_seen: rank what the user interacted with in training too.
        titles: taken for the sake of the command; titles do not matter here.
        split: a key of :data:`SPLITS`, or ``"none"``; ``None`` takes ``"stratified"``.
        train: share of interactions that stays in training.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept, before the split.
        against: a second algorithm, fitted with its own defaults on the same part (or a second model folder that saw
            none of the test interactions); the notes then hold a paired comparison of every figure.
        per_user: a Parquet file to write with the figures of each user, of both models where there are two.
        auc: the area under the ROC curve of whole rankings too.
        metric: ``"ranking"``; or ``"ratings"``: how far predicted ratings are from those given, of models that predict
            them. The split is then ``"random"`` where none is named.
        folds: with ``"ratings"`` and an algorithm: deal the ratings into so many parts and test on each in its turn.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Raises:
        DataError: the data are malformed, too few, or were seen by the saved model.
        UsageError: an argument is wrong.
    """
    check_device(device)
    check_threads(threads)
    ks = read_ks(k)
    check_writable(per_user)
    minimum = read_positive(positive)
    name = model or DEFAULT
    if against == name:
        raise UsageError(f"against must be another model than {name}. Got the same")
    check_metric(metric, folds, split=split, fitted=name in ALGORITHMS, ranking_only={"per_user": per_user, "auc": auc})
    for system in (name, against):
        if metric == "ratings" and system in ALGORITHMS:
            check_rates(ALGORITHMS[system].model)
    usual = "stratified" if metric == "ranking" else "random"
    chosen = split or (usual if name in ALGORITHMS else None)
    reading, hyper = divide_options(options)
    whole = load_interactions(dataset, format=format, **reading)
    kept = whole if minimum is None else whole.at_least(minimum)
    if metric == "ratings":
        with limit_threads(threads):
            parts_of = _parts(kept, name, split=chosen, train=train, seed=seed, count=folds, limit=limit)
            return report_ratings(
                parts_of,
                lambda system, part: _obtain(
                    system, part, split=chosen, seed=seed, hyper=hyper if system == name else {}
                ),
                name=name,
                against=against,
                dataset=dataset.name,
                protocol=f"{folds}-fold by rating" if folds is not None else _cut_said(chosen, train),
                seed=seed,
            )
    scores: dict[str, UserScores] = {}
    settings: dict[str, dict[str, Any]] = {}
    with limit_threads(threads):
        parts = _cut(kept, name, chosen, train, seed)
        for system in [name] if against is None else [name, against]:
            given = hyper if system == name else {}
            fitted, settings[system] = _obtain(system, parts, split=chosen, seed=seed, hyper=given)
            start = perf_counter()
            scores[system] = score_users(fitted, parts.test, ks=ks, exclude_seen=not include_seen, limit=limit, auc=auc)
            settings[system]["rank_seconds"] = round(perf_counter() - start, 3)
            if system == name:
                items = judged_users(scores[name], parts, fitted)
    if per_user is not None:
        write_scores(per_user, scores)
    found = scores[name]
    notes = settings[name] | comparison_notes(scores, settings, name, against, seed)
    rng = np.random.default_rng(seed)
    return Evaluation(
        task=Recommender.task,
        model=name,
        dataset=dataset.name,
        n=len(found.users),
        failed=0,
        metrics={
            figure: mean_interval(values[~np.isnan(values)], rng=rng)
            for figure, values in found.scores.items()
            if not np.isnan(values).all()
        },
        notes={
            "protocol": _protocol(chosen, train, positive, include_seen),
            **notes,
            "test_interactions": len(parts.test),
            "test_interactions_with_unknown_items": found.unreachable,
            "unknown_users": found.strangers,
            "interval": "95 % percentile bootstrap over users, 1000 resamples",
            "seed": seed,
        },
        items=items,
    )


def read_ks(k: int | str) -> tuple[int, ...]:
    """How many places count, from a number or numbers by commas.

    Raises:
        UsageError: it is something else.

    Example:
        >>> read_ks("5,10")
        (5, 10)
    """
    try:
        found = tuple(dict.fromkeys(int(part) for part in str(k).split(",")))
    except ValueError:
        raise UsageError(f"k must be a whole number, or several by commas like 5,10,20. Got {k!r} instead") from None
    if min(found) < 1:
        raise UsageError(f"k must be at least 1. Got {k} instead")
    return found


def divide_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of reading, and those of the algorithm; what was not given is left out of the first."""
    reading = {key: value for key, value in options.items() if key in READING and value is not None}
    if isinstance(reading.get("columns"), str):
        reading["columns"] = [column.strip() for column in reading["columns"].split(",")]
    return reading, {key: value for key, value in options.items() if key not in READING}


def read_positive(text: str) -> float | None:
    """The least value that counts, from ``"all"`` or ``">=4"``.

    Raises:
        UsageError: it is neither.
    """
    if text == "all":
        return None
    try:
        return float(text.removeprefix(">="))
    except ValueError:
        raise UsageError(f"positive must be 'all' or like '>=4'. Got {text!r} instead") from None


def check_device(device: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless the device is one that recommenders run on."""
    if device not in ("auto", "cpu"):
        raise UsageError(f"device must be auto or cpu: these recommenders run on the processor. Got {device!r} instead")


def _cut(kept: Interactions, name: str, split: str | None, train: float, seed: int) -> Split:
    """The parts to fit and to test on; for a saved model everything is test."""
    if name not in ALGORITHMS:
        return Split(kept.take(np.zeros(0, np.int64)), kept)
    if split == "none":
        raise UsageError("split 'none' is for a saved model, --model FOLDER. An algorithm needs a part to be fitted on")
    if split not in SPLITS:
        raise UnknownNameError("split", str(split), [*SPLITS, "none"])
    return SPLITS[split](kept, train, seed)


def _parts(
    kept: Interactions,
    name: str,
    *,
    split: str | None,
    train: float,
    seed: int,
    count: int | None,
    limit: int | None,
) -> list[Split]:
    """The parts that ratings are predicted in, perhaps the first test users' alone."""
    if count is not None:
        parts = list(deal(kept, count=count, rng=np.random.default_rng(seed)))
    else:
        parts = [_cut(kept, name, split, train, seed)]
    return first_users(parts, limit)


def _obtain(
    name: str, parts: Split, *, split: str | None, seed: int, hyper: Mapping[str, Any]
) -> tuple[Recommender, dict[str, Any]]:
    """The model to ask, and what there is to say of it."""
    if name in ALGORITHMS and split == "none":
        raise UsageError(f"{name} needs a part to be fitted on. Compare a saved model with another saved model")
    if name not in ALGORITHMS:
        fitted = _open_saved(name, split, hyper)
        _refuse_seen(fitted, parts.test)
        return fitted, {"options": dataclasses.asdict(fitted.config)}
    algorithm = find_algorithm(name)
    config = algorithm.configure(name, hyper)
    start = perf_counter()
    fitted = algorithm.fit(parts.train, config, rng=np.random.default_rng(seed))
    seconds = round(perf_counter() - start, 3)
    said = {"options": dataclasses.asdict(config), "train_interactions": len(parts.train), "fit_seconds": seconds}
    return fitted, said


def comparison_notes(
    scores: Mapping[str, UserScores], settings: Mapping[str, Any], name: str, against: str | None, seed: int
) -> dict[str, Any]:
    """Notes on the second model: its figures and the paired differences, first - second."""
    if against is None:
        return {}
    found = compare_users(scores[name], scores[against], rng=np.random.default_rng(seed))
    return {
        "against": against,
        "against_settings": settings[against],
        "comparison_says": f"{name} minus {against}, user by user: bootstrap interval, randomisation test, sign test",
        "comparison": describe_comparison(found),
    }


def check_writable(per_user: str | None) -> None:
    """Refuse before the long work what could not be written after it."""
    if per_user is not None and (Path(per_user).is_dir() or not Path(per_user).absolute().parent.is_dir()):
        raise UsageError(f"per_user must be a file in a folder that exists. Got {per_user}")


def _open_saved(model: str, split: str | None, hyper: Mapping[str, Any]) -> Recommender:
    if not is_model_folder(model_folder(model)):
        raise UnknownNameError("algorithm or model folder", model, ALGORITHMS)
    given = sorted(key for key, value in hyper.items() if value is not None)
    if given:
        raise UsageError(f"a saved model was fitted with its own options. Got {', '.join(given)}: leave them out")
    if split != "none":
        raise UsageError(
            f"{model} is a saved model, and splitting the data now would test it on what it was trained on. "
            "Give interactions that were held out when it was trained, with --split none; "
            f"or name an algorithm to fit: {', '.join(ALGORITHMS)}"
        )
    return load(model)


def _refuse_seen(model: Recommender, test: Interactions) -> None:
    users = model.user_ids.encode(test.user_ids.ids)[test.users]
    items = model.item_ids.encode(test.item_ids.ids)[test.items]
    both = (users >= 0) & (items >= 0)
    width = len(model.item_ids)
    rows = np.repeat(np.arange(len(model.user_ids), dtype=np.int64), np.diff(model.histories.indptr))
    seen = np.isin(users[both].astype(np.int64) * width + items[both], rows * width + model.histories.indices)
    if seen.any():
        raise DataError(
            f"test interactions must be new to the model. {int(seen.sum())} of {len(test)} were in its training data: "
            "train on the other part alone"
        )


def _protocol(split: str | None, train: float, positive: str, include_seen: bool) -> str:
    cut = _cut_said(split, train)
    kept = "all interactions count" if positive == "all" else f"only values {positive} are kept"
    ranked = "all items" if include_seen else "all items not seen in training"
    return (
        f"{cut}, {kept}, {ranked} ranked, binary relevance, mean over users with test interactions; "
        "map divides by the number of relevant items"
    )


def _cut_said(split: str | None, train: float) -> str:
    """The split, as people read it."""
    if split == "none":
        return "interactions held out beforehand"
    return f"{split} split" + ("" if str(split).startswith("leave") else f" {train:g} train")
