"""A second look at the best candidates of several models, by a model that was taught which of them were right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts, Weighting
from recsys.hybrid.blend import DEFAULT_MEMBERS, Hybrid, check_hybrid, read_members
from recsys.hybrid.members import Fit, Members, assemble, ranks, seen_mask
from recsys.hybrid.stacking import Lesson, best_candidates, lessons
from recsys.model import Recommender
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Float32, Float64, Int32, Int64

Ranker: TypeAlias = Literal["logistic", "lambdarank"]
RANKERS: tuple[Ranker, ...] = ("logistic", "lambdarank")
PERSON_FEATURES = ("log popularity", "log activity", "mean log popularity of the history", "mean value of the item")


@dataclass(frozen=True, kw_only=True)
class RerankConfig:
    """Options of :func:`fit_rerank`.

    Attributes:
        ranker: ``"logistic"`` is scikit-learn's logistic regression; ``"lambdarank"`` is LightGBM's gradient boosted
            trees, C. Burges, "From RankNet to LambdaRank to LambdaMART" (2010), which needs the extra ``rerank``.
        candidates: how many items are looked at twice, at least 1: the best by the mean of the members.
        folds: how many parts the interactions are dealt into to learn, at least 2.
        people: how many people a fold teaches by, at most.
        trees: of ``"lambdarank"``, at least 1.
        leaves: of each tree, at least 2.
        learning_rate: of ``"lambdarank"``, above 0.
        weighting: ``"value"``: a hybrid keeps values as they are, and each member weighs them in its own way.
    """

    ranker: Ranker = field(default="logistic", metadata={"help": f"one of {', '.join(RANKERS)}"})
    candidates: int = field(default=100, metadata={"help": "how many items are looked at twice, at least 1"})
    folds: int = field(default=5, metadata={"help": "parts that interactions are dealt into to learn, at least 2"})
    people: int = field(default=2000, metadata={"help": "people that a fold teaches by, at most"})
    trees: int = field(default=150, metadata={"help": "trees of lambdarank, at least 1"})
    leaves: int = field(default=7, metadata={"help": "leaves of each tree of lambdarank, at least 2"})
    learning_rate: float = field(default=0.05, metadata={"help": "of lambdarank, above 0"})
    weighting: Weighting = field(default="value", metadata={"help": "value: members weigh in their own way"})

    def __post_init__(self) -> None:
        if self.ranker not in RANKERS:
            raise UsageError(f"ranker must be one of {', '.join(RANKERS)}. Got {self.ranker!r} instead")
        check_hybrid(self, {"candidates": 1, "folds": 2, "people": 1, "trees": 1, "leaves": 2})
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be above 0. Got {self.learning_rate} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Reranked(Hybrid):
    """The candidates by what was learned of them, then all other items by the mean of the members.

    Attributes:
        linear: shape (1 + features,), float64: intercept and coefficients of a logistic ranker; empty for trees.
        trees: a LightGBM model in its own text form, as UTF-8 bytes, uint8; empty for a logistic ranker.
    """

    family: ClassVar[str] = "rerank"
    config: RerankConfig
    linear: Float64
    trees: AnyArray

    def combine(self, values: Csr, users: Int32 | None) -> Float32:
        """See :meth:`recsys.hybrid.blend.Hybrid.combine`."""
        standard = self.members.standard(values, users)
        base: Float32 = standard.mean(axis=0)
        seen = seen_mask(values)
        chosen = best_candidates(base, seen, self.config.candidates)
        scores = np.stack([np.take_along_axis(one, chosen, axis=1) for one in standard])
        inputs = describe(scores, chosen, values, self.popularity, self._means)
        if len(self.linear):
            judged = inputs.reshape(-1, inputs.shape[-1]) @ self.linear[1:] + self.linear[0]
        else:
            booster = require("lightgbm", extra="rerank").Booster(model_str=self.trees.tobytes().decode())
            judged = booster.predict(inputs.reshape(-1, inputs.shape[-1]), num_threads=1)
        worth = judged.reshape(chosen.shape)
        worth = worth - worth.min(axis=1, keepdims=True) + base.max(axis=1, keepdims=True) + 1
        np.put_along_axis(base, chosen, worth.astype(np.float32), axis=1)
        return base

    @cached_property
    def _means(self) -> Float64:
        return mean_values(self.histories)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "linear": self.linear, "trees": self.trees}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Reranked:
        """See :meth:`recsys.model.Recommender.restore`."""
        members = read_members(parts, arrays)
        linear, trees = arrays.get("linear", np.zeros(0)), arrays.get("trees", np.zeros(0, dtype=np.uint8))
        wide = 1 + 2 * len(members.models) + len(PERSON_FEATURES)
        if (len(linear) == wide) == bool(len(trees)) or trees.dtype != np.uint8 or len(linear) not in (0, wide):
            raise DataError(f"a re-ranker must hold {wide} coefficients or trees. Got {len(linear)} and {len(trees)}")
        return cls(RerankConfig(**config), *parts, members, linear, trees)


def describe(scores: Float32, chosen: Int32, values: Csr, popularity: Int64 | Float64, means: Float64) -> Float64:
    """What a ranker sees of each candidate.

    Args:
        scores: shape (members, n, c), the members' standardised scores of the candidates.
        chosen: shape (n, c), codes of the candidates.
        values: CSR, shape (n, items), histories.
        popularity: shape (items,), how many people have each item.
        means: shape (items,), the mean value of each item.

    Returns:
        Shape (n, c, 2 members + 4), float64: each member's score, each member's 10 / (10 + place among the candidates),
        then :data:`PERSON_FEATURES`.
    """
    n, c = chosen.shape
    share = np.log1p(1e5 * popularity / max(1, int(popularity.sum())))  # as a share: folds hold fewer interactions
    count = np.diff(values.indptr)
    known = np.zeros(n)
    np.add.at(known, np.repeat(np.arange(n), count), share[values.indices])
    nothing = np.zeros((n, c), dtype=np.bool_)
    places = [10 / (10 + ranks(one, nothing)) for one in scores]
    about = [
        share[chosen],
        np.broadcast_to(np.log1p(count)[:, None], (n, c)),
        np.broadcast_to((known / np.maximum(count, 1))[:, None], (n, c)),
        means[chosen],
    ]
    return np.stack([*scores, *places, *about], axis=-1).astype(np.float64)


def mean_values(values: Csr) -> Float64:
    """The mean value of each item, shape (items,); the mean of all where an item has none."""
    count = values.getnnz(axis=0)
    total = np.asarray(values.sum(axis=0, dtype=np.float64)).ravel()
    overall = float(total.sum() / max(1, count.sum()))
    return np.where(count > 0, total / np.maximum(count, 1), overall)


def fit_rerank(
    interactions: Interactions,
    config: RerankConfig | None = None,
    *,
    members: Mapping[str, Fit] | None = None,
    rng: np.random.Generator | None = None,
) -> Reranked:
    """Fit members on everything, and a ranker on what members fitted on a part say of the rest.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        members: how each member is made, by name; ``None`` takes
            :data:`~recsys.hybrid.blend.DEFAULT_MEMBERS`.
        rng: deals interactions into folds; ``None`` always deals alike.

    Raises:
        DataError: there are no interactions, or a member cannot take their values.
        MissingDependencyError: ``"lambdarank"`` without LightGBM.
    """
    config = config or RerankConfig()
    fits = members or DEFAULT_MEMBERS
    models: dict[str, Recommender] = {name: fit(interactions) for name, fit in fits.items()}
    parts, side_by_side = assemble(interactions, models)
    dealt = lessons(
        interactions,
        fits,
        folds=config.folds,
        candidates=config.candidates,
        people=config.people,
        rng=rng or np.random.default_rng(0),
    )
    found = [one for one in dealt if one.held.any() and not one.held.all()]
    linear, trees = _learn(found, config, side_by_side)
    return Reranked(config, *parts, side_by_side, linear, trees)


def _learn(found: Sequence[Lesson], config: RerankConfig, members: Members) -> tuple[Float64, AnyArray]:
    count = len(members.models)
    if not found:  # too few interactions to hold any out: the mean of the members, as a linear ranker
        mean = np.r_[0.0, np.full(count, 1 / count), np.zeros(count + len(PERSON_FEATURES))]
        return mean, np.zeros(0, dtype=np.uint8)
    inputs = np.concatenate([_flat(one) for one in found])
    held = np.concatenate([one.held.ravel() for one in found])
    if config.ranker == "logistic":
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy, and asked for by few

        centre, width = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9)
        fitted = LogisticRegression(C=1.0, max_iter=500).fit((inputs - centre) / width, held)
        slope = fitted.coef_[0] / width
        return np.r_[fitted.intercept_[0] - slope @ centre, slope], np.zeros(0, dtype=np.uint8)
    lightgbm = require("lightgbm", extra="rerank")
    groups = [one.held.shape[1] for one in found for _ in range(len(one.held))]
    options = {
        "objective": "lambdarank",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": max(1, min(500, len(held) // 50)),
        "lambdarank_truncation_level": 15,
        "feature_fraction": 0.5,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbose": -1,
    }
    booster = lightgbm.train(options, lightgbm.Dataset(inputs, held, group=groups), config.trees)
    return np.zeros(0), np.frombuffer(booster.model_to_string().encode(), dtype=np.uint8)


def _flat(lesson: Lesson) -> Float64:
    popularity = lesson.histories.getnnz(axis=0).astype(np.int64)
    means = mean_values(lesson.histories)
    rows = describe(lesson.scores, lesson.candidates, lesson.values, popularity, means)
    return rows.reshape(-1, rows.shape[-1])
