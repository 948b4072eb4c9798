"""Surprise (BSD), which fits what it fits well: our ratings in its form, and its algorithms by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.ratings.model import Ratings
from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Float32


def fit_surprise(ratings: Ratings, name: str, rng: np.random.Generator | None, **options: Any) -> Any:
    """Surprise's algorithm of that name, fitted; its inner ids are our codes."""
    surprise = require("surprise", extra="recsys")
    seed = int((rng or np.random.default_rng(0)).integers(2**31))
    algorithm = getattr(surprise, name)(random_state=seed, **options)
    return algorithm.fit(trainset_of(ratings))


def trainset_of(ratings: Ratings) -> Any:
    """The ratings as Surprise's ``Trainset``, whose inner ids are the codes of the model.

    Raises:
        MissingDependencyError: Surprise is not installed.
    """
    surprise = require("surprise", extra="recsys")
    n, m = ratings.parts[2].shape
    by_user: dict[int, list[tuple[int, float]]] = {user: [] for user in range(n)}
    by_item: dict[int, list[tuple[int, float]]] = {item: [] for item in range(m)}
    for user, item, value in zip(ratings.rows.tolist(), ratings.columns.tolist(), ratings.values.tolist()):
        by_user[user].append((item, value))
        by_item[item].append((user, value))
    scale = float(ratings.scale[1]), float(ratings.scale[2])
    users, items = {user: user for user in range(n)}, {item: item for item in range(m)}
    return surprise.Trainset(by_user, by_item, n, m, len(ratings.values), scale, users, items)


def finite(values: AnyArray) -> Float32:
    """Learned numbers as float32.

    Raises:
        UsageError: one is not finite.
    """
    found = np.asarray(values, dtype=np.float32)
    if not np.isfinite(found).all():
        raise UsageError("the factors are not finite: the steps were too long. Lower learning_rate, or raise l2")
    return found
