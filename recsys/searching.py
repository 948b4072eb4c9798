"""Hyper-parameter search: options are chosen on a validation part, and the test part is read once, at the end.

Sampling is by Optuna's tree-structured Parzen estimator (J. Bergstra et al., NeurIPS 2011; T. Akiba et al., "Optuna",
KDD 2019). The algorithm's own defaults are always the first trial, so what is chosen is never worse on validation than
they are.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from recsys.collaborative.algorithms import Algorithm, find_algorithm
from recsys.data import Interactions
from recsys.evaluate import SPLITS
from recsys.model import Recommender
from recsys.scoring import score_users
from recsys.spaces import Space, check_space, holds, space_of
from recsys.split import Split
from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.lifecycle.study import suggest


@dataclass(frozen=True)
class Trial:
    """One choice of options.

    Attributes:
        options: what was chosen; the rest are the algorithm's defaults.
        score: the mean of the metric over validation users; ``None`` where the options were refused.
        refused: why, or empty.
    """

    options: Mapping[str, Any]
    score: float | None
    refused: str = ""


@dataclass(frozen=True, eq=False)
class Search:
    """What a search found.

    Attributes:
        algorithm: its name.
        config: the best options on validation.
        model: fitted with them on the training and validation parts together.
        metric: what was searched for.
        validation: the best trial's metric with its interval over validation users. It reads high, for it was chosen.
        test: the model's figures on the test part, which nothing was chosen on.
        trials: all of them, in order.
    """

    algorithm: str
    config: Any
    model: Recommender
    metric: str
    validation: Metric
    test: Mapping[str, Metric]
    trials: tuple[Trial, ...]


def search(
    interactions: Interactions,
    algorithm: str = "ease",
    *,
    space: Space | None = None,
    trials: int = 30,
    metric: str = "ndcg@10",
    split: str = "stratified",
    train: float = 0.8,
    storage: str | Path | None = None,
    rng: np.random.Generator,
) -> Search:
    """Choose an algorithm's options.

    ``split`` cuts the test part off first, and then the validation part off what is left, both with the share
    ``train``. Each trial fits on the training part and is scored on validation. The best options are fitted on both,
    and that model is scored on the test part: the only time that it is read.

    Args:
        interactions: all of them.
        algorithm: a key of :data:`recsys.collaborative.algorithms.ALGORITHMS`.
        space: what to choose from; ``None`` takes :func:`recsys.spaces.space_of`.
        trials: how many in all, those in ``storage`` included, at least 1.
        metric: a figure that is better when higher, like ``"ndcg@10"`` or ``"recall@20"``.
        split: a key of :data:`recsys.evaluate.SPLITS`.
        train: share that stays at each of the two cuts, in (0, 1).
        storage: an SQLite file. A search that was broken off goes on there, and a longer one adds to it.
        rng: source of randomness. A search goes on only with the generator that it began with, seeded alike.

    Raises:
        DataError: the data are too few for two cuts, or every trial was refused.
        MissingDependencyError: Optuna is not installed.
        PlanMismatchError: ``storage`` holds a search of other data, another algorithm, metric, split, space or seed.
        UsageError: an argument is wrong.
    """
    optuna = require("optuna", extra="search")
    row = find_algorithm(algorithm)
    wanted = check_space(algorithm, space if space is not None else space_of(algorithm))
    k = _places(metric)
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise UsageError(f"trials must be a whole number of at least 1. Got {trials!r} instead")
    seeds = [int(seed) for seed in rng.integers(0, 2**31, 4)]
    outer = SPLITS[split](interactions, train, seeds[0])
    inner = SPLITS[split](outer.train, train, seeds[1])
    plan = {
        "algorithm": algorithm,
        "metric": metric,
        "split": f"{split} {train:g}",
        "space": repr(sorted(wanted.items())),
        "data": _fingerprint(interactions),
        "seed": str(seeds),
    }

    def score(config: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        model = row.fit(inner.train, config, rng=np.random.default_rng(seeds[2]))
        return score_users(model, inner.test, k=k).scores[metric]

    with _study(optuna, storage, plan, seeds[3]) as study:
        options: dict[str, Any] = {"algorithm": algorithm, "space": wanted, "trials": trials}
        _run(optuna, study, row, score=lambda config: float(score(config).mean()), **options)
        done = tuple(_trial(one) for one in study.get_trials(deepcopy=False) if one.state.is_finished())
    return _finish(algorithm, row, outer, done, metric=metric, k=k, seeds=seeds, score=score)


def _run(
    optuna: ModuleType,
    study: Any,
    row: Algorithm,
    *,
    algorithm: str,
    space: Space,
    trials: int,
    score: Callable[[Any], float],
) -> None:
    if not study.get_trials(deepcopy=False):
        fields = {field.name: field.default for field in dataclasses.fields(row.config)}  # type: ignore[arg-type]
        if all(holds(wanted, fields[name]) for name, wanted in space.items()):
            study.enqueue_trial({name: fields[name] for name in space})
    finished = sum(one.state.is_finished() for one in study.get_trials(deepcopy=False))
    for _ in range(finished, trials):
        trial = study.ask()
        options = {name: suggest(trial, name, wanted) for name, wanted in space.items()}
        try:
            value = score(row.configure(algorithm, options))
        except (UsageError, DataError) as error:  # options that do not fit together, or not these data
            trial.set_user_attr("refused", str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, value)


def _finish(
    algorithm: str,
    row: Algorithm,
    outer: Split,
    done: tuple[Trial, ...],
    *,
    metric: str,
    k: int,
    seeds: list[int],
    score: Callable[[Any], Any],
) -> Search:
    scored = [one for one in done if one.score is not None]
    if not scored:
        raise DataError(f"every trial of {algorithm} was refused. The first said: {done[0].refused}")
    best = max(scored, key=lambda one: one.score or 0.0)
    config = row.configure(algorithm, best.options)
    rng = np.random.default_rng(seeds[2])
    validation = mean_interval(score(config), rng=rng)
    model = row.fit(outer.train, config, rng=np.random.default_rng(seeds[2]))
    figures = score_users(model, outer.test, k=k).scores
    test = {name: mean_interval(values, rng=rng) for name, values in figures.items()}
    return Search(algorithm, config, model, metric, validation, test, done)


@contextmanager
def _study(optuna: ModuleType, storage: str | Path | None, plan: Mapping[str, str], seed: int) -> Iterator[Any]:
    """The study, new or as it was left; Optuna's own messages are held back meanwhile."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = None if storage is None else optuna.storages.RDBStorage(f"sqlite:///{Path(storage).absolute()}")
    try:
        study = optuna.create_study(storage=kept, study_name="search", direction="maximize", load_if_exists=True)
        for key, value in plan.items():
            known = study.user_attrs.get(key)
            if known is None:
                study.set_user_attr(key, value)
            elif known != value:
                raise PlanMismatchError(
                    f"{storage} holds a search with another {key}. It has {known}; now it would be {value}. "
                    "Take another file, or the arguments and the seed that it began with"
                )
        # Begun again with the same seed a sampler would repeat itself, so what is there already moves it on.
        study.sampler = optuna.samplers.TPESampler(seed=(seed + len(study.get_trials(deepcopy=False))) % 2**32)
        yield study
    finally:
        optuna.logging.set_verbosity(before)
        if kept is not None:
            kept.remove_session()
            kept.engine.dispose()


def _trial(found: Any) -> Trial:
    return Trial(dict(found.params), found.value, found.user_attrs.get("refused", ""))


def _places(metric: str) -> int:
    name, _, k = metric.partition("@")
    if name not in ("ndcg", "precision", "recall", "map", "mrr", "hit", "f1") or not k.isdigit() or int(k) < 1:
        raise UsageError(f"metric must be like ndcg@10: ndcg, precision, recall, map, mrr, hit or f1. Got {metric!r}")
    return int(k)


def _fingerprint(interactions: Interactions) -> str:
    total = 0
    for array in (interactions.users, interactions.items, interactions.values, interactions.times):
        total = zlib.crc32(np.ascontiguousarray(array).tobytes() if array is not None else b"", total)
    return f"{len(interactions)} interactions, {total:08x}"
