"""Figures of recommenders: fit on one part of the data, rank everything not yet seen, look for the other part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recsys.collaborative.algorithms import ALGORITHMS, DEFAULT, find_algorithm
from recsys.data import Interactions
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.split import Split, leave_last_out, random, stratified, temporal
from recsys.store import TASK, load
from recsys.threads import limit_threads
from shared.backends.base import check_threads
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.ranking import ranking_scores
from shared.evaluation.report import Evaluation
from shared.types import Float64, Id
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
    "leave-last-out": lambda all_, train, seed: leave_last_out(all_),
    "leave-last-row-out": lambda all_, train, seed: leave_last_out(all_, order="file"),
}
"""Splits by name. The stratified ones draw with NumPy's old generator, as the published ones did."""


@dataclasses.dataclass(frozen=True)
class UserScores:
    """Figures of each test user.

    Attributes:
        users: the users' ids, n of them.
        scores: by figure (``"ndcg@10"``), shape (n,).
        strangers: how many of the users the model did not know, so that they got the popular items.
        unreachable: how many test interactions are with items that the model does not know; they stay in the truth.
    """

    users: tuple[Id, ...]
    scores: Mapping[str, Float64]
    strangers: int
    unreachable: int


def score_users(
    model: Recommender, test: Interactions, *, k: int = 10, exclude_seen: bool = True, limit: int | None = None
) -> UserScores:
    """Rank the whole catalogue for each user of ``test`` and compare with what the user did there.

    Args:
        model: what is evaluated. Items of its training histories are not ranked for their user again.
        test: held-out interactions; every one counts as relevant.
        k: how many places count, at least 1.
        exclude_seen: ``False`` lets the model name what it saw the user do.
        limit: only the first users, in the order of their ids.

    Raises:
        DataError: ``test`` is empty.
    """
    if not len(test):
        raise DataError("expected at least one test interaction. Got none: hold out a larger share")
    codes = np.unique(test.users)[:limit]
    matrix = test.matrix
    truth = [matrix.indices[matrix.indptr[code] : matrix.indptr[code + 1]] for code in codes]
    users = test.user_ids.decode(codes)
    ranking = model.rank(users, k, exclude_seen=exclude_seen)
    to_test = test.item_ids.encode(model.item_ids.ids)
    beyond = len(test.item_ids) + np.arange(len(to_test))  # items that the test data never heard of are misses
    to_test = np.where(to_test >= 0, to_test, beyond)
    ranked = np.where(ranking.items >= 0, to_test[ranking.items], -1)
    known = model.item_ids.encode(test.item_ids.ids) >= 0
    return UserScores(
        users,
        ranking_scores(truth, ranked, k=k),
        int((model.user_ids.encode(users) < 0).sum()),
        sum(int((~known[items]).sum()) for items in truth),
    )


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
        k: how many places count.
        include_seen: rank what the user interacted with in training too.
        titles: taken for the sake of the command; titles do not matter here.
        split: a key of :data:`SPLITS`, or ``"none"``; ``None`` takes ``"stratified"``.
        train: share of interactions that stays in training.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept, before the split.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Raises:
        DataError: the data are malformed, too few, or were seen by the saved model.
        UsageError: an argument is wrong.
    """
    check_device(device)
    check_threads(threads)
    minimum = read_positive(positive)
    chosen = split or ("stratified" if model is None or model in ALGORITHMS else None)
    reading, hyper = divide_options(options)
    whole = load_interactions(dataset, format=format, **reading)
    kept = whole if minimum is None else whole.at_least(minimum)
    notes: dict[str, Any] = {}
    with limit_threads(threads):
        if model is None or model in ALGORITHMS:
            fitted, test, notes = _fit_part(model or DEFAULT, kept, split=chosen, train=train, seed=seed, hyper=hyper)
        else:
            fitted, test = _open_saved(model, chosen, hyper), kept
            _refuse_seen(fitted, test)
        start = perf_counter()
        found = score_users(fitted, test, k=k, exclude_seen=not include_seen, limit=limit)
    rng = np.random.default_rng(seed)
    return Evaluation(
        task=TASK,
        model=model or DEFAULT,
        dataset=dataset.name,
        n=len(found.users),
        failed=0,
        metrics={name: mean_interval(values, rng=rng) for name, values in found.scores.items()},
        notes={
            "protocol": _protocol(chosen, train, positive, include_seen),
            "options": dataclasses.asdict(fitted.config),
            **notes,
            "test_interactions": len(test),
            "test_interactions_with_unknown_items": found.unreachable,
            "unknown_users": found.strangers,
            "interval": "95 % percentile bootstrap over users, 1000 resamples",
            "seed": seed,
            "rank_seconds": round(perf_counter() - start, 3),
        },
    )


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


def _fit_part(
    name: str, kept: Interactions, *, split: str | None, train: float, seed: int, hyper: Mapping[str, Any]
) -> tuple[Recommender, Interactions, dict[str, Any]]:
    if split == "none":
        raise UsageError("split 'none' is for a saved model, --model FOLDER. An algorithm needs a part to be fitted on")
    if split not in SPLITS:
        raise UnknownNameError("split", str(split), [*SPLITS, "none"])
    algorithm = find_algorithm(name)
    config = algorithm.configure(name, hyper)
    parts = SPLITS[split](kept, train, seed)
    start = perf_counter()
    fitted = algorithm.fit(parts.train, config, rng=np.random.default_rng(seed))
    seconds = round(perf_counter() - start, 3)
    return fitted, parts.test, {"train_interactions": len(parts.train), "fit_seconds": seconds}


def _open_saved(model: str, split: str | None, hyper: Mapping[str, Any]) -> Recommender:
    if not is_model_folder(Path(model)):
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
    cut = f"{split} split"
    if split == "none":
        cut = "interactions held out beforehand"
    elif not str(split).startswith("leave"):
        cut += f" {train:g} train"
    kept = "all interactions count" if positive == "all" else f"only values {positive} are kept"
    ranked = "all items" if include_seen else "all items not seen in training"
    return (
        f"{cut}, {kept}, {ranked} ranked, binary relevance, mean over users with test interactions; "
        "map divides by the number of relevant items"
    )
