"""What each pair of faces says of an evaluation's figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shared.evaluation.items import ItemFigure, Items, Mean, Pooled
from shared.evaluation.verification import auc_score, decisions_right, eer_error, tar_at_far_score
from shared.types import AnyArray, Float64
from vision.faces.pairs import FacePairs
from vision.items import picture_attributes


def pair_items(
    pairs: FacePairs, similarity: Float64, thresholds: Float64, *, far: float, threshold: float | None
) -> Callable[[], Items]:
    """The items of an evaluation on pairs.

    Args:
        pairs: what was compared.
        similarity: shape (n,), NaN where a picture could not be used or shows no face.
        thresholds: shape (n,), what each pair was judged at by its fold.
        far: of ``tar_at_far``.
        threshold: of ``accuracy_at_threshold``; ``None`` leaves that figure out.
    """

    def items() -> Items:
        same, records = pairs.same, list(zip(pairs.same.tolist(), similarity.tolist()))
        judged = (
            {"accuracy": thresholds}
            if threshold is None
            else {
                "accuracy": thresholds,
                "accuracy_at_threshold": np.full(len(same), threshold),
            }
        )
        figures: dict[str, ItemFigure] = {
            name: Mean(decisions_right(same, similarity, threshold=at).astype(np.float64))
            for name, at in judged.items()
        }
        figures["eer"] = Pooled(records, _of(eer_error), higher_is_better=False)
        figures["tar_at_far"] = Pooled(records, _of(lambda truth, values: tar_at_far_score(truth, values, far=far)))
        figures["auc"] = Pooled(records, _of(auc_score))
        ids = [f"{pairs.paths[a]} and {pairs.paths[b]}" for a, b in zip(pairs.first, pairs.second)]
        return Items(_distinct(ids), figures, "accuracy", _attributes(pairs))

    return items


def _attributes(pairs: FacePairs) -> dict[str, AnyArray]:
    """What is known of each pair: its sort, and the worse of its two pictures."""
    known = picture_attributes(pairs.paths)
    area, grey = known["area"], known["brightness"]
    return {
        "pair": np.where(pairs.same, "one person", "two persons"),
        "smaller area": np.minimum(area[pairs.first], area[pairs.second]),
        "darker brightness": np.minimum(grey[pairs.first], grey[pairs.second]),
        "difference of brightness": np.abs(grey[pairs.first] - grey[pairs.second]),
    }


def _distinct(ids: Sequence[str]) -> tuple[str, ...]:
    """The names, with its turn after one that stands again: a file may list a pair twice."""
    seen: dict[str, int] = {}
    found = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}, {seen[name]}")
    return tuple(found)


def _of(figure: Callable[[AnyArray, AnyArray], float]) -> Callable[[Sequence[tuple[bool, float]]], float]:
    """A figure of records; NaN where a resample has pairs of one sort alone."""

    def pooled(records: Sequence[tuple[bool, float]]) -> float:
        rows = np.array(records, np.float64)
        truth = rows[:, 0] == 1
        return figure(truth, rows[:, 1]) if truth.any() and not truth.all() else float("nan")

    return pooled
