"""A study of Optuna in an SQLite file with a write-ahead journal, that goes on after a kill with the same trials.

Sampling is by the tree-structured Parzen estimator (J. Bergstra et al., NeurIPS 2011), pruning by the median of the
trials before (T. Akiba et al., "Optuna", KDD 2019). Each trial draws from a generator of its own, seeded by the
search's seed and the trial's number, so what it draws depends on the trials before it and on nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import PlanMismatchError
from shared.lazy import require
from shared.lifecycle.space import Direction, Range, Space

NAME = "search"
UNPRUNED = 4
"""Trials that are never broken off: those after them are compared with their median."""
DATA_STEP = 1_000_000
"""Steps that count data, not epochs, begin here."""
REFUSED, EPOCHS, FIGURES, RUN = "refused", "epochs", "figures", "run"


@dataclass(frozen=True)
class Trial:
    """One choice of options.

    Attributes:
        number: from 0.
        options: what was chosen; the rest are fixed, or the trainer's own.
        state: ``"complete"``, ``"pruned"``, ``"fail"`` or ``"running"``.
        value: the figure on the validation part; ``None`` where there is none.
        refused: why it failed, or empty.
        steps: what it reported on its way, by step.
    """

    number: int
    options: Mapping[str, Any]
    state: str
    value: float | None
    refused: str
    steps: Mapping[int, float]


class Study:
    """An open study. Its methods are for one thread at a time; use :func:`open_study`."""

    def __init__(self, study: Any, space: Space, *, seed: int, first: Mapping[str, Any]) -> None:
        self._optuna = require("optuna", extra="search")
        self._study, self._space, self._seed = study, space, seed
        if not self._all() and first:
            study.enqueue_trial(dict(first))
        self._left = [one.number for one in self._all() if one.state.name == "RUNNING"]
        self._open: dict[int, Any] = {}

    def next(self, trials: int) -> tuple[int, dict[str, Any]] | None:
        """The next trial's number and options: one that a kill broke off, else a new one; ``None`` after so many."""
        if self._left:
            number = self._left.pop(0)
            self._sample_as(number)
            trial = self._optuna.trial.Trial(self._study, self._all()[number]._trial_id)
        else:
            begun = sum(one.state.name != "WAITING" for one in self._all())
            if begun >= trials:
                return None
            self._sample_as(begun)
            trial = self._study.ask()
        self._open[trial.number] = trial
        return trial.number, {name: suggest(trial, name, wanted) for name, wanted in self._space.items()}

    def report(self, number: int, step: int, value: float) -> bool:
        """Note how far a trial has come; returns whether it is to go on."""
        trial = self._open[number]
        if step not in self._all()[number].intermediate_values:  # a training that goes on says its old epochs again
            trial.report(value, step)
        return not trial.should_prune()

    def complete(self, number: int, value: float, *, epochs: int, figures: Mapping[str, Any]) -> None:
        """End a trial with its figure."""
        self._open[number].set_user_attr(EPOCHS, epochs)
        self._open[number].set_user_attr(FIGURES, dict(figures))
        self._study.tell(number, value)

    def prune(self, number: int) -> None:
        """End a trial that was broken off."""
        self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED)

    def fail(self, number: int, why: str) -> None:
        """End a trial that failed."""
        self._open[number].set_user_attr(REFUSED, why)
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def trials(self) -> list[Trial]:
        """All trials, in order."""
        return [
            Trial(
                one.number,
                dict(one.params),
                one.state.name.lower(),
                one.value if one.state.name == "COMPLETE" else None,
                str(one.user_attrs.get(REFUSED, "")),
                dict(one.intermediate_values),
            )
            for one in self._all()
            if one.state.name != "WAITING"
        ]

    def best(self) -> Trial | None:
        """The best complete trial, the earliest of equals; ``None`` before there is one."""
        sign = 1 if self._study.direction.name == "MAXIMIZE" else -1
        done = [one for one in self.trials() if one.state == "complete" and one.value is not None]
        return max(done, key=lambda one: (sign * (one.value or 0.0), -one.number), default=None)

    def figures(self, number: int) -> dict[str, Any]:
        """What :meth:`complete` was told of a trial."""
        return dict(self._all()[number].user_attrs[FIGURES])

    def rows(self, metric: str) -> list[dict[str, Any]]:
        """A row for a table of each trial: its options, its figure with the interval, how long it took."""
        found = []
        for one in self._all():
            if one.state.name == "WAITING":
                continue
            figure = one.user_attrs.get(FIGURES, {}).get(metric, {})
            options = {f"option.{name}": one.params.get(name) for name in self._space}
            took = None if one.duration is None else round(one.duration.total_seconds(), 3)
            row = {"trial": one.number, "state": one.state.name.lower(), metric: figure.get("value")}
            ends = {"low": figure.get("low"), "high": figure.get("high")}
            found.append(row | ends | options | {"seconds": took, REFUSED: one.user_attrs.get(REFUSED, "")})
        return found

    @property
    def run(self) -> str:
        """The id of the run that the study is logged in, or empty."""
        return str(self._study.user_attrs.get(RUN, ""))

    def logged_in(self, run: str) -> None:
        """Note the run that the study is logged in, so that it goes on with that."""
        if run and run != self.run:
            self._study.set_user_attr(RUN, run)

    def counts_epochs(self) -> bool | None:
        """Whether the first complete trial's training told of epochs; ``None`` before there is one."""
        done = [one for one in self._all() if one.state.name == "COMPLETE"]
        return bool(done[0].user_attrs.get(EPOCHS)) if done else None

    def _all(self) -> list[Any]:
        return list(self._study.get_trials(deepcopy=False))

    def _sample_as(self, number: int) -> None:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)


@contextmanager
def open_study(
    file: Path, plan: Mapping[str, Any], space: Space, *, direction: Direction, seed: int, first: Mapping[str, Any]
) -> Iterator[Study]:
    """Begin a study, or go on with the one in the file.

    Args:
        file: of SQLite.
        plan: what decides the result, as texts.
        space: what is chosen from.
        direction: whether more or less is better.
        seed: of the draws.
        first: the options that the first trial has, where they are known.

    Raises:
        MissingDependencyError: Optuna is not installed.
        PlanMismatchError: the file holds a study under another plan.
    """
    optuna = require("optuna", extra="search")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    journal = sqlite3.connect(file)
    journal.execute("PRAGMA journal_mode=WAL")
    journal.close()
    storage = optuna.storages.RDBStorage(f"sqlite:///{file.absolute()}")
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction=direction,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
        )
        _agree(study, {name: str(value) for name, value in plan.items()}, file)
        yield Study(study, space, seed=seed, first=first)
    finally:
        optuna.logging.set_verbosity(before)
        storage.remove_session()
        storage.engine.dispose()


def _agree(study: Any, plan: Mapping[str, str], file: Path) -> None:
    known = study.user_attrs
    different = [
        f"{name} (was {known[name]}, now {value})" for name, value in plan.items() if known.get(name, value) != value
    ]
    if different:
        raise PlanMismatchError(
            f"{file.parent} holds a search under another plan. Different: {'; '.join(different)}. "
            "Go on as it was begun, or choose another folder"
        )
    for name, value in plan.items():
        if name not in known:
            study.set_user_attr(name, value)


def suggest(trial: Any, name: str, wanted: Range | tuple[Any, ...]) -> Any:
    """The value of one option for a trial of Optuna."""
    if isinstance(wanted, tuple):
        return trial.suggest_categorical(name, wanted)
    if wanted.whole:
        return trial.suggest_int(name, int(wanted.low), int(wanted.high), log=wanted.log)
    return trial.suggest_float(name, wanted.low, wanted.high, log=wanted.log)
