"""Approximate search for the best items of models with factors, and how much of the exact answer it finds.

An index of usearch (Apache-2.0): a navigable small world graph, Y. Malkov and D. Yashunin, IEEE TPAMI 42 (2020). The
greatest inner product becomes the nearest neighbour by one more column, the square root of M^2 - |y|^2 where M is the
length of the longest item, which stands against 0 in a user's vector (Y. Bachrach et al., "Speeding up the Xbox
recommender system", RecSys 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.collaborative.factors import Factors
from recsys.model import Recommender
from recsys.ranking import check_k
from recsys.types import Recommendations
from shared.errors import UsageError
from shared.lazy import require
from shared.types import Float32, Id, Int32


@dataclass(frozen=True, eq=False)
class ApproximateRecommender:
    """A model of factors behind an approximate index. Use :func:`approximate`.

    Attributes:
        model: the model, whose ids, histories and scores these are.
        index: the index over its items.
        recall: share of the exact k best items that the index found for the users that it was measured on, in 0..1.
        k: the k of that measurement.
        sampled: how many users it was measured on.
    """

    model: Factors
    index: Any
    recall: float
    k: int
    sampled: int

    def recommend(self, users: Sequence[Id], k: int = 10, *, exclude_seen: bool = True) -> list[Recommendations]:
        """As :meth:`recsys.model.Recommender.recommend`; scores are exact, items may be missed.

        Somebody unknown gets the popular items, which are exact too.
        """
        check_k(k)
        codes = self.model.user_ids.encode(users)
        known = iter(_search(self.model, self.index, codes[codes >= 0], k, exclude_seen))
        answers = self.model.recommend([user for user, code in zip(users, codes) if code < 0], k)
        strangers = iter(answers)
        return [self._answer(user, *next(known)) if code >= 0 else next(strangers) for user, code in zip(users, codes)]

    def _answer(self, user: Id, items: Int32, scores: Float32) -> Recommendations:
        reason = "personal: approximate" if len(items) else "personal: no item was found that was not seen"
        return Recommendations(user, self.model.item_ids.decode(items), reason, scores)


def approximate(
    model: Recommender,
    *,
    k: int = 10,
    sample: int = 1000,
    connectivity: int = 16,
    effort: int = 128,
    rng: np.random.Generator | None = None,
) -> ApproximateRecommender:
    """Build an index over a model's items, and measure it against the exact answer.

    Args:
        model: one of factors, like those of :func:`recsys.fit_als`.
        k: places of the answers that recall is measured on, at least 1.
        sample: users that it is measured on, at least 1; all of them when there are fewer.
        connectivity: neighbours that each item keeps in the graph, at least 2.
        effort: how many items are looked at in building and in searching, at least 1: the more, the better and slower.
        rng: draws the sample; ``None`` stands for ``default_rng(0)``.

    Raises:
        MissingDependencyError: usearch is not installed.
        UsageError: the model has no factors, or an argument is wrong.
    """
    check_k(k)
    if not isinstance(model, Factors):
        raise UsageError(
            f"approximate search needs a vector for each user and item. A {model.family} model has none: "
            "fit als, bpr or logistic_mf, or use its exact ranking"
        )
    for name, value, least in (("sample", sample, 1), ("connectivity", connectivity, 2), ("effort", effort, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}. Got {value} instead")
    usearch = require("usearch.index", extra="recsys")
    items = model.item_factors
    squares = np.einsum("nd,nd->n", items, items, dtype=np.float64)
    level = np.sqrt(np.maximum(squares.max() - squares, 0)).astype(np.float32)
    index = usearch.Index(
        ndim=items.shape[1] + 1,
        metric="l2sq",
        dtype="f32",
        connectivity=connectivity,
        expansion_add=effort,
        expansion_search=effort,
    )
    index.add(np.arange(len(items)), np.column_stack([items, level]), threads=1)  # one, so that the graph is the same
    rng = rng or np.random.default_rng(0)
    count = min(sample, len(model.user_ids))
    codes = np.sort(rng.choice(len(model.user_ids), size=count, replace=False)).astype(np.int32)
    exact = model.rank(model.user_ids.decode(codes), k).items
    found = _search(model, index, codes, k, True)
    hits = sum(len(np.intersect1d(items_, row[row >= 0])) for (items_, _), row in zip(found, exact))
    wanted = int((exact >= 0).sum())
    return ApproximateRecommender(model, index, hits / wanted if wanted else 1.0, k, count)


def _search(model: Factors, index: Any, codes: Int32, k: int, exclude_seen: bool) -> list[tuple[Int32, Float32]]:
    """Items and exact scores of each user, best first. So many more are looked for as the user has seen."""
    answers: list[tuple[Int32, Float32]] = []
    for code, user in zip(codes, model.user_factors[codes]):
        seen = model.histories.indices[model.histories.indptr[code] : model.histories.indptr[code + 1]]
        wanted = min(len(model.item_ids), k + (len(seen) if exclude_seen else 0))
        found = np.asarray(index.search(np.append(user, np.float32(0)), wanted, threads=1).keys).astype(np.int32)
        if exclude_seen:
            found = found[~np.isin(found, seen)]
        scores = model.item_factors[found] @ user
        order = np.lexsort((found, -scores))[:k]
        answers.append((found[order], scores[order]))
    return answers
