"""Bandits on the disk: one npz file of arrays, with the class and its options as JSON text. No pickle."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.bandits import EpsilonGreedy, Ucb1
from shared.experiments.linear_bandit import LinUcb
from shared.experiments.thompson import ThompsonBeta, ThompsonNormal

AnyBandit: TypeAlias = EpsilonGreedy | Ucb1 | ThompsonBeta | ThompsonNormal | LinUcb
BANDITS: dict[str, type[AnyBandit]] = {
    "epsilon-greedy": EpsilonGreedy,
    "ucb1": Ucb1,
    "thompson-beta": ThompsonBeta,
    "thompson-normal": ThompsonNormal,
    "linucb": LinUcb,
}
FORMAT = 1


def save_bandit(bandit: AnyBandit, path: str | Path) -> None:
    """Write a bandit to a file; a kill meanwhile leaves the file of before.

    Args:
        bandit: one of :data:`BANDITS`.
        path: of the file, ending in ``.npz``.

    Raises:
        UsageError: the path does not end so.
        DataError: the file cannot be written.
    """
    place = Path(path)
    if place.suffix != ".npz":
        raise UsageError(f"a bandit's file must end in .npz. Got {place} instead")
    values = {one.name: getattr(bandit, one.name) for one in fields(bandit)}
    arrays: dict[str, Any] = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    options = {name: value for name, value in values.items() if name not in arrays}
    kind = next(name for name, cls in BANDITS.items() if type(bandit) is cls)
    head = json.dumps({"format": FORMAT, "bandit": kind, "options": options})
    temporary = place.with_name(f"{place.name}.tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                np.savez(file, head=np.array(head), **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"the bandit could not be written to {place}: {error.strerror}") from error


def load_bandit(path: str | Path) -> AnyBandit:
    """The bandit that :func:`save_bandit` wrote.

    Raises:
        DataError: the file is missing, damaged or of something else.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            values: dict[str, Any] = {name: file[name] for name in file.files}
        head = json.loads(str(values.pop("head")))
        if head["format"] != FORMAT:
            raise DataError(f"{path} must hold a bandit in format {FORMAT}. Got {head['format']} instead")
        if head["bandit"] not in BANDITS:
            raise UnknownNameError("bandit", str(head["bandit"]), BANDITS)
        return BANDITS[head["bandit"]](**values, **head["options"])
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} must be a file that save_bandit wrote. {error}") from error
