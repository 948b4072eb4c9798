"""Two recommenders on the same test users: figures kept user by user, and the differences tested in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import DataError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.paired import Comparison, adjusted_p_values, compare_paired
from shared.lazy import require
from shared.types import Float64, Id

if TYPE_CHECKING:
    from recsys.scoring import UserScores


def compare_users(
    first: UserScores,
    second: UserScores,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Comparison]:
    """Compare two models figure by figure over the users that both have figures of.

    Args:
        first: what :func:`recsys.scoring.score_users` said of the first model.
        second: the same of the second, on the same test interactions.
        rng: source of randomness.
        resamples: of the bootstrap and of the randomisation test.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        A :class:`~shared.evaluation.paired.Comparison` by figure. Their p-values are of one question each: where many
        are looked at, :func:`~shared.evaluation.paired.adjusted_p_values` corrects for that.

    Raises:
        UsageError: the users or the figures differ.
    """
    if first.users != second.users:
        raise UsageError(
            "two models are compared on the same users in the same order. "
            f"Got {len(first.users)} and {len(second.users)} others: score both on one test part"
        )
    names = [name for name in first.scores if name in second.scores]
    if not names:
        raise UsageError(
            f"two models must share a figure. Got {', '.join(first.scores)} and {', '.join(second.scores)}"
        )
    options: dict[str, Any] = {"rng": rng, "resamples": resamples, "confidence": confidence}
    return {name: compare_paired(first.scores[name], second.scores[name], **options) for name in names}


class Described(dict[str, dict[str, Any]]):
    """A comparison as a report holds it: JSON-ready, and as text one line a figure."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        return "".join(
            f"\n    {name:<{width}}  {one['difference']:+.4f}  [{one['low']:+.4f}, {one['high']:+.4f}]"
            f"  p {one['p_value']:.2g}, by Holm {one['p_value_holm']:.2g}"
            f"  won {one['wins']}, lost {one['losses']}, tied {one['ties']}, sign test p {one['sign_p_value']:.2g}"
            for name, one in self.items()
        )


def describe_comparison(found: Mapping[str, Comparison]) -> Described:
    """JSON-ready: for each figure both means, the difference with its interval, raw and by Holm's law its p-value."""
    adjusted = adjusted_p_values({name: one.p_value for name, one in found.items()})
    rows = {
        name: {
            "first": round(one.first, 6),
            "second": round(one.second, 6),
            "difference": round(one.difference.value, 6),
            "low": round(one.difference.low, 6),
            "high": round(one.difference.high, 6),
            "p_value": round(one.p_value, 6),
            "p_value_holm": round(adjusted[name], 6),
            "wins": one.wins,
            "losses": one.losses,
            "ties": one.ties,
            "sign_p_value": round(one.sign_p_value, 6),
        }
        for name, one in found.items()
    }
    return Described(rows)


def write_scores(path: str | Path, scores: Mapping[str, UserScores]) -> None:
    """Write the figures of each user of each model as Parquet: columns ``model``, ``user`` and one a figure.

    Args:
        path: the file; one that stands there is replaced.
        scores: by the models' names, all with the same figures.

    Raises:
        UsageError: nothing was given, or the figures differ.
    """
    arrow, parquet = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    names = {tuple(one.scores) for one in scores.values()}
    if len(names) != 1:
        raise UsageError(f"all models must have the same figures. Got {sorted(names)}")
    columns: dict[str, Any] = {
        "model": [model for model, one in scores.items() for _ in one.users],
        "user": arrow.array([user for one in scores.values() for user in one.users]),
    }
    for name in names.pop():
        columns[name] = np.concatenate([one.scores[name] for one in scores.values()])
    parquet.write_table(arrow.table(columns), path)


def read_scores(path: str | Path) -> dict[str, tuple[tuple[Id, ...], dict[str, Float64]]]:
    """What :func:`write_scores` wrote: for each model its users, and their figures by name.

    Raises:
        DataError: the file holds something else.
    """
    parquet = require("pyarrow.parquet", extra="all")
    table = parquet.ParquetFile(path).read(use_threads=False)  # Arrow's own threads can abort a process that ends early
    if not {"model", "user"} <= set(table.column_names):
        raise DataError(f"{path} must have columns model and user. It has {', '.join(table.column_names)}")
    models = np.array(table["model"].to_pylist())
    users = table["user"].to_pylist()
    figures = [name for name in table.column_names if name not in ("model", "user")]
    arrays = {name: np.asarray(table[name].to_pylist(), np.float64) for name in figures}
    found = {}
    for model in dict.fromkeys(models.tolist()):
        rows = np.flatnonzero(models == model)
        found[model] = tuple(users[row] for row in rows), {name: arrays[name][rows] for name in figures}
    return found
