"""The task ``recsys.sequential`` as commands, pages and batch jobs see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from recsys.collaborative.task import OPENING_OPTIONS, POSITIVE_OPTION, READING_OPTIONS, hyper_options
from recsys.collaborative.task import open_model as open_saved
from recsys.comparing import write_scores
from recsys.data import Interactions
from recsys.evaluate import check_writable, comparison_notes, divide_options, read_ks
from recsys.fitting import SAVING_OPTIONS, fit_and_save, read_kept
from recsys.judged import judged_users
from recsys.model import Recommender
from recsys.monitoring import observe
from recsys.predictor import RecommenderPredictor
from recsys.reading import FORMATS
from recsys.scoring import UserScores
from recsys.sequential.algorithms import ALGORITHMS, DEFAULT, NETWORKS, find_algorithm
from recsys.sequential.scoring import score_next
from recsys.split import Split, leave_last_out
from recsys.store import load, model_folder
from recsys.threads import limit_threads
from shared.backends.base import check_threads
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import mean_interval
from shared.evaluation.report import Evaluation
from shared.tasks import Option, Task
from shared.weights.folder import is_model_folder

NAME = "recsys.sequential"
LAST, SECOND, NONE = "leave-last-out", "leave-second-last-out", "none"
"""How evaluation cuts: the last of each user is asked for; or the last is put aside and the second-last is asked for,
to choose options by; or everything is asked of a saved model."""


def open_model(
    model: str | Path | None,
    *,
    device: str = "auto",
    threads: int | None = None,
    k: int = 10,
    include_seen: bool = False,
    titles: str | None = None,
) -> RecommenderPredictor:
    """Open a model folder for ids that come through text; see :func:`recsys.recommender`.

    A person is a user's id or a history, oldest item first. Networks answer by NumPy on the processor, whatever they
    were trained on.

    Raises:
        UsageError: no model is named, or an argument is wrong.
    """
    if model is None:
        raise UsageError(
            f"{NAME} has no default model: what comes next is learned from your own data. "
            f"Train one with 'triptych train {NAME} EVENTS.csv FOLDER' and give --model FOLDER"
        )
    return open_saved(model, device=device, threads=threads, k=k, include_seen=include_seen, titles=titles)


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
    device: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Fit a sequential algorithm on a whole file of events and save it.

    Args:
        dataset: as :func:`recsys.load_interactions` reads it. Order goes by time, and by row where times are equal or
            none are known; pairs that come again stay, unless ``duplicates`` says otherwise.
        out: the model folder to write.
        format: the file's format; ``None`` detects.
        seed: of whatever the algorithm draws.
        algorithm: a key of :data:`~recsys.sequential.algorithms.ALGORITHMS`.
        positive: ``"all"``, or ``">=4"``: only events of at least that value are kept.
        name: the model's name; ``None`` takes the algorithm's.
        licence: SPDX identifier of the data's licence.
        device: where networks are trained: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Returns:
        What was fitted, on how much, and how long it took.
    """
    check_threads(threads)
    reading, hyper = divide_options(options)
    config = find_algorithm(algorithm).configure(algorithm, hyper)
    kept = _read(dataset, format, positive, reading)
    _, report = fit_and_save(
        lambda part: _fit(algorithm, device)(part, config, rng=np.random.default_rng(seed)),
        kept,
        out,
        name=name,
        licence=licence,
        threads=threads,
        algorithm=algorithm,
    )
    return report


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
    positive: str = "all",
    against: str | None = None,
    per_user: str | None = None,
    **options: Any,
) -> Evaluation:
    """Ask for each user's next item in the whole catalogue: of an algorithm that is fitted on what came before, or of a
    saved model, whose ``dataset`` must hold the one next event of each user, held out when it was trained.

    Args:
        dataset: as :func:`recsys.load_interactions` reads it; see :func:`train` for the rule of order.
        model: a key of :data:`~recsys.sequential.algorithms.ALGORITHMS`, or a model folder; ``None`` takes
            ``markov``.
        format: the file's format; ``None`` detects.
        limit: only the first test users, in the order of their ids.
        seed: of whatever the algorithm draws, and of the bootstrap over users.
        device: where networks are trained: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor.
        k: how many places count; several by commas, like ``"5,10,20"``.
        include_seen: rank what the user has had too: right where people come back to things.
        titles: taken for the sake of the command; titles do not matter here.
        split: :data:`LAST`, :data:`SECOND` or :data:`NONE`; ``None`` takes the first for an algorithm.
        positive: as in :func:`train`.
        against: a second algorithm with its own defaults, or a second model folder; the notes then hold a paired
            comparison of every figure.
        per_user: a Parquet file to write with the figures of each user, of both models where there are two.
        options: keywords of :func:`recsys.load_interactions`, and options of the algorithm.

    Raises:
        DataError: the data are malformed or too few.
        UsageError: an argument is wrong.
    """
    check_threads(threads)
    ks, name = read_ks(k), model or DEFAULT
    if against == name:
        raise UsageError(f"against must be another model than {name}. Got the same")
    check_writable(per_user)
    reading, hyper = divide_options(options)
    systems = [name] if against is None else [name, against]
    chosen = split or (LAST if name in ALGORITHMS else NONE)
    parts = _cut(_read(dataset, format, positive, reading), chosen, systems)
    scores: dict[str, UserScores] = {}
    settings: dict[str, dict[str, Any]] = {}
    with limit_threads(threads):
        for system in systems:
            given = hyper if system == name else {}
            fitted, settings[system] = _obtain(system, parts.train, given, device=device, seed=seed)
            start = perf_counter()
            scores[system] = score_next(fitted, parts.test, ks=ks, exclude_seen=not include_seen, limit=limit)
            settings[system]["rank_seconds"] = round(perf_counter() - start, 3)
            if system == name:
                items = judged_users(scores[name], parts, fitted)
    if per_user is not None:
        write_scores(per_user, scores)
    notes = settings[name] | comparison_notes(scores, settings, name, against, seed)
    rng = np.random.default_rng(seed)
    return Evaluation(
        task=NAME,
        model=name,
        dataset=dataset.name,
        n=len(scores[name].users),
        failed=0,
        metrics={figure: mean_interval(values, rng=rng) for figure, values in scores[name].scores.items()},
        notes={
            "protocol": _protocol(chosen, positive, include_seen),
            **notes,
            "test_items_that_cannot_be_ranked": scores[name].unreachable,
            "unknown_users": scores[name].strangers,
            "interval": "95 % percentile bootstrap over users, 1000 resamples",
            "seed": seed,
        },
        items=items,
    )


def cut_last(interactions: Interactions) -> Split:
    """Each user's newest event as test, all others as train: by time where times are known, else by row."""
    return leave_last_out(interactions, order="file" if interactions.times is None else "time")


def _read(dataset: Path, format: str | None, positive: str, reading: Mapping[str, Any]) -> Interactions:
    return read_kept(dataset, format, positive, {"duplicates": "keep", **reading})


def _cut(kept: Interactions, split: str, systems: list[str]) -> Split:
    if split not in (LAST, SECOND, NONE):
        raise UnknownNameError("split", split, (LAST, SECOND, NONE))
    for system in systems:
        if system not in ALGORITHMS and not is_model_folder(model_folder(system)):
            raise UnknownNameError("algorithm or model folder", system, ALGORITHMS)
    fitted = [system for system in systems if system in ALGORITHMS]
    if split == NONE:
        if fitted:
            raise UsageError(f"split {NONE!r} is for saved models. {fitted[0]} needs a part to be fitted on")
        return Split(kept.take(np.zeros(0, np.int64)), kept)
    if len(fitted) < len(systems):
        raise UsageError(f"a saved model is asked for held-out events: split must be {NONE!r}. Got {split!r} instead")
    parts = cut_last(kept)
    return cut_last(parts.train) if split == SECOND else parts


def _obtain(
    name: str, seen: Interactions, hyper: Mapping[str, Any], *, device: str, seed: int
) -> tuple[Recommender, dict[str, Any]]:
    """The model to ask, and what there is to say of it."""
    if name not in ALGORITHMS:
        given = sorted(key for key, value in hyper.items() if value is not None)
        if given:
            raise UsageError(f"a saved model was fitted with its own options. Got {', '.join(given)}: leave them out")
        saved = load(name)
        return saved, {"options": dataclasses.asdict(saved.config)}
    config = find_algorithm(name).configure(name, hyper)
    start = perf_counter()
    fitted = _fit(name, device)(seen, config, rng=np.random.default_rng(seed))
    seconds = round(perf_counter() - start, 3)
    return fitted, {"options": dataclasses.asdict(config), "train_interactions": len(seen), "fit_seconds": seconds}


def _fit(algorithm: str, device: str) -> Callable[..., Recommender]:
    fit = find_algorithm(algorithm).fit
    if algorithm in NETWORKS:
        return partial(fit, device=device)
    if device not in ("auto", "cpu"):
        raise UsageError(f"device must be auto or cpu: {algorithm} is fitted on the processor. Got {device!r} instead")
    return fit


def _protocol(split: str, positive: str, include_seen: bool) -> str:
    cut = "one event of each user held out beforehand" if split == NONE else split
    kept = "all events count" if positive == "all" else f"only values {positive} are kept"
    ranked = "all items" if include_seen else "all items that the user has not had"
    return f"{cut}, {kept}, {ranked} ranked, the one next item looked for, mean over users"


_READING = tuple(
    dataclasses.replace(option, default="keep") if option.name == "duplicates" else option for option in READING_OPTIONS
)
_SHARED = (POSITIVE_OPTION, *hyper_options(ALGORITHMS), *_READING)

TASK = Task(
    name=NAME,
    summary="What a user does next, from who did what in which order",
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
        Option("device", str, "auto", f"where {' and '.join(NETWORKS)} are trained: auto, cpu or gpu"),
        *SAVING_OPTIONS,
    ),
    evaluate_options=(
        Option("split", str, None, f"{LAST}, {SECOND} to choose options by, or {NONE} for saved models"),
        Option("k", str, "10", "how many places count, at least 1; several by commas, like 5,10,20"),
        Option("against", str, None, "a second algorithm or model folder: every figure is compared user by user"),
        Option("per_user", str, None, "a Parquet file to write with the figures of each user"),
        *_SHARED,
    ),
)
