"""A second look at the best candidates of several models, by a model that was taught which of them were right."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.collaborative.popularity import PopularityConfig, fit_popularity
from recsys.data import Csr, Interactions
from recsys.features import Features
from recsys.histories import Parts, Weighting
from recsys.hybrid.blend import DEFAULT_MEMBERS, Hybrid, check_hybrid, read_members
from recsys.hybrid.describing import describe, mean_values, width_of
from recsys.hybrid.groups import lift_tables, person_groups
from recsys.hybrid.members import Fit, assemble, seen_mask
from recsys.hybrid.stacking import Lesson, best_candidates, lessons, mean_ndcg
from recsys.ids import Vocabulary
from recsys.model import Recommender, count_users
from recsys.packing import read_array
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray, Bool, Float32, Float64, Int32, Int64

Ranker: TypeAlias = Literal["logistic", "lambdarank"]
RANKERS: tuple[Ranker, ...] = ("logistic", "lambdarank")


@dataclass(frozen=True, kw_only=True)
class RerankConfig:
    """Options of :func:`fit_rerank`.

    Attributes:
        ranker: ``"logistic"`` is scikit-learn's logistic regression; ``"lambdarank"`` is LightGBM's gradient boosted
            trees, C. Burges, "From RankNet to LambdaRank to LambdaMART" (2010), which needs the extra ``rerank``.
        candidates: how many items are looked at twice, at least 1: the best by the mean of the members.
        folds: how many parts the interactions are dealt into to learn, at least 2.
        people: how many people a fold teaches by, at most.
        l2: of ``"logistic"``, above 0: strength of the penalty on squared coefficients of standardised inputs, beside
            the mean loss of a candidate.
        mix: how much the leading members count beside what was learned, at least 0: their mean and the ranker's
            judgement are both standardised over a person's candidates. The leading half of the members, by their own
            NDCG on what was held out, are those.
        half_life: days after which an interaction counts half in what strangers are given, at least 0; 0 lets all
            count alike. Above 0 the interactions need times.
        trees: of ``"lambdarank"``, at least 1.
        leaves: of each tree, at least 2.
        learning_rate: of ``"lambdarank"``, above 0.
        weighting: ``"value"``: a hybrid keeps values as they are, and each member weighs them in its own way.
    """

    ranker: Ranker = field(default="logistic", metadata={"help": f"one of {', '.join(RANKERS)}"})
    candidates: int = field(default=100, metadata={"help": "how many items are looked at twice, at least 1"})
    folds: int = field(default=5, metadata={"help": "parts that interactions are dealt into to learn, at least 2"})
    people: int = field(default=2000, metadata={"help": "people that a fold teaches by, at most"})
    l2: float = field(default=1e-3, metadata={"help": "penalty on squared weights, above 0"})
    mix: float = field(default=0.4, metadata={"help": "what the leading members' mean counts beside it, at least 0"})
    half_life: float = field(default=0.0, metadata={"help": "days after which an interaction counts half; 0 for never"})
    trees: int = field(default=150, metadata={"help": "trees of lambdarank, at least 1"})
    leaves: int = field(default=7, metadata={"help": "leaves of each tree of lambdarank, at least 2"})
    learning_rate: float = field(default=0.05, metadata={"help": "of lambdarank, above 0"})
    weighting: Weighting = field(default="value", metadata={"help": "value: members weigh in their own way"})

    def __post_init__(self) -> None:
        if self.ranker not in RANKERS:
            raise UsageError(f"ranker must be one of {', '.join(RANKERS)}. Got {self.ranker!r} instead")
        check_hybrid(self, {"candidates": 1, "folds": 2, "people": 1, "trees": 1, "leaves": 2})
        for name in ("learning_rate", "l2"):
            if not 0 < getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be above 0 and finite. Got {getattr(self, name)} instead")
        for name in ("mix", "half_life"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} must be at least 0 and finite. Got {getattr(self, name)} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Reranked(Hybrid):
    """The candidates by what was learned of them, then all other items by the mean of the members.

    Attributes:
        linear: shape (1 + inputs,), float64: intercept and coefficients of a logistic ranker; empty for trees.
        trees: a LightGBM model in its own text form, as UTF-8 bytes, uint8; empty for a logistic ranker.
        leaders: shape (members,), float32: the share of each member in the mean that is mixed in.
        groups: shape (columns, users), int32: the group of each person by what is known of them, -1 where nothing is.
        recent: shape (items,), float32, never rising: decayed popularity, in whose order ``item_ids`` then stand; empty
            without a half life.
    """

    family: ClassVar[str] = "rerank"
    config: RerankConfig
    linear: Float64
    trees: AnyArray
    leaders: Float32
    groups: Int32
    recent: Float32

    @cached_property
    def popularity(self) -> Int64 | Float64:
        """See :attr:`recsys.model.Recommender.popularity`: the decayed one, where there is a half life."""
        return self.recent.astype(np.float64) if self.config.half_life else self._counts

    def combine(self, values: Csr, users: Int32 | None) -> Float32:
        """See :meth:`recsys.hybrid.blend.Hybrid.combine`."""
        standard = self.members.standard(values, users)
        base: Float32 = standard.mean(axis=0)
        chosen = best_candidates(base, seen_mask(values), self.config.candidates)
        scores = np.stack([np.take_along_axis(one, chosen, axis=1) for one in standard])
        groups = None if users is None else self.groups[:, users]
        inputs = describe(
            scores,
            chosen,
            values=values,
            popularity=self._counts,
            means=self._means,
            tables=self._tables,
            groups=groups,
        )
        flat = inputs.reshape(-1, inputs.shape[-1])
        if len(self.linear):
            judged = flat @ self.linear[1:] + self.linear[0]
        else:
            judged = self._booster.predict(flat, num_threads=1)
        worth = judged.reshape(chosen.shape)
        if self.config.mix:
            mean = np.einsum("m,mnc->nc", self.leaders, scores)
            worth = _standardised(worth) + self.config.mix * _standardised(mean)
        worth = worth - worth.min(axis=1, keepdims=True) + base.max(axis=1, keepdims=True) + 1
        np.put_along_axis(base, chosen, worth.astype(np.float32), axis=1)
        return base

    @cached_property
    def _counts(self) -> Int64:
        return count_users(self.histories)

    @cached_property
    def _means(self) -> Float64:
        return mean_values(self.histories)

    @cached_property
    def _tables(self) -> list[Float32]:
        return lift_tables(self.groups, self.histories)

    @cached_property
    def _booster(self) -> Any:
        return require("lightgbm", extra="rerank").Booster(model_str=self.trees.tobytes().decode())

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        names = ("linear", "trees", "leaders", "groups", "recent")
        return {**super().arrays(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Reranked:
        """See :meth:`recsys.model.Recommender.restore`."""
        members = read_members(parts, arrays)
        linear, trees = arrays.get("linear", np.zeros(0)), arrays.get("trees", np.zeros(0, dtype=np.uint8))
        leaders = read_array("leaders", arrays, (len(members.models),))
        groups = arrays.get("groups", np.zeros(0))
        fits = groups.ndim == 2 and groups.dtype == np.int32 and groups.shape[1] == len(parts[0])
        if not fits or groups.min(initial=0) < -1:
            raise DataError(f"groups must be int32, at least -1 for each user. Got {groups.dtype} {groups.shape}")
        wide = 1 + width_of(len(members.models), len(groups))
        if (len(linear) == wide) == bool(len(trees)) or trees.dtype != np.uint8 or len(linear) not in (0, wide):
            raise DataError(f"a re-ranker must hold {wide} coefficients or trees. Got {len(linear)} and {len(trees)}")
        options = RerankConfig(**config)
        recent = read_array("recent", arrays, (len(parts[1]) if options.half_life else 0,))
        return cls(options, *parts, members, linear, trees, leaders, groups, recent)


def fit_rerank(
    interactions: Interactions,
    config: RerankConfig | None = None,
    *,
    members: Mapping[str, Fit] | None = None,
    users: Features | None = None,
    rng: np.random.Generator | None = None,
) -> Reranked:
    """Fit members on everything, and a ranker on what members fitted on a part say of the rest.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        members: how each member is made, by name; ``None`` takes
            :data:`~recsys.hybrid.blend.DEFAULT_MEMBERS`.
        users: what is known of people. The ranker then sees what their groups (each category, and each column of
            numbers in seven parts) have more than others; people who come with a history alone are of no group.
        rng: deals interactions into folds; ``None`` always deals alike.

    Raises:
        DataError: there are no interactions, a member cannot take their values, nothing is known of any user, or there
            is a half life and no times are known.
        MissingDependencyError: ``"lambdarank"`` without LightGBM.
    """
    config = config or RerankConfig()
    fits = members or DEFAULT_MEMBERS
    models: dict[str, Recommender] = {name: fit(interactions) for name, fit in fits.items()}
    parts, side_by_side = assemble(interactions, models)
    recent = np.zeros(0, dtype=np.float32)
    if config.half_life:
        parts, recent = _by_recency(interactions, parts, config.half_life)
        side_by_side = dataclasses.replace(side_by_side, item_ids=parts[1])
    groups = person_groups(users, parts[0])
    dealt = lessons(
        interactions,
        fits,
        folds=config.folds,
        candidates=config.candidates,
        people=config.people,
        rng=rng or np.random.default_rng(0),
    )
    found = [one for one in dealt if one.held.any() and not one.held.all()]
    if not found:  # too few interactions to hold any out: the mean of the members, as a linear ranker
        count = len(models)
        equal = np.full(count, 1 / count)
        linear = np.r_[0.0, equal, np.zeros(width_of(count, len(groups)) - count)]
        nothing = np.zeros(0, dtype=np.uint8)
        return Reranked(config, *parts, side_by_side, linear, nothing, equal.astype(np.float32), groups, recent)
    inputs = np.concatenate([_flat(one, groups[:, parts[0].encode(one.user_ids.ids)]) for one in found])
    held = np.concatenate([one.held.ravel() for one in found])
    linear, trees = np.zeros(0), np.zeros(0, dtype=np.uint8)
    if config.ranker == "logistic":
        linear = _linear(inputs, held, config)
    else:
        trees = _trees(inputs, held, [one.held.shape[1] for one in found for _ in range(len(one.held))], config)
    return Reranked(config, *parts, side_by_side, linear, trees, _leaders(found), groups, recent)


def _by_recency(interactions: Interactions, parts: Parts, half_life: float) -> tuple[Parts, Float32]:
    """The same parts with their items in the order of decayed popularity, and that popularity; new items at the end."""
    popular = fit_popularity(interactions, PopularityConfig(half_life=half_life))
    users, items, histories = parts
    new = [item for item in items.ids if popular.item_ids.find(item) is None]
    whole = Vocabulary("item", (*popular.item_ids.ids, *new))
    ordered = histories[:, items.encode(whole.ids)].sorted_indices()
    return (users, whole, ordered), np.r_[popular.sums, np.zeros(len(new), dtype=np.float32)]


def _linear(inputs: Float64, held: Bool, config: RerankConfig) -> Float64:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy, and asked for by few

    centre, width = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9)
    fitted = LogisticRegression(C=1 / (config.l2 * len(held)), max_iter=500).fit((inputs - centre) / width, held)
    slope = fitted.coef_[0] / width
    found: Float64 = np.r_[fitted.intercept_[0] - slope @ centre, slope]
    return found


def _trees(inputs: Float64, held: Bool, sizes: list[int], config: RerankConfig) -> AnyArray:
    lightgbm = require("lightgbm", extra="rerank")
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
    booster = lightgbm.train(options, lightgbm.Dataset(inputs, held, group=sizes), config.trees)
    return np.frombuffer(booster.model_to_string().encode(), dtype=np.uint8)


def _leaders(found: Sequence[Lesson]) -> Float32:
    """Equal shares of the better half of the members, by their own NDCG@10 on what was held out."""
    count = len(found[0].scores)
    alone = [mean_ndcg([one.scores[at].astype(np.float64) for one in found], list(found), 10) for at in range(count)]
    best = np.argsort(-np.array(alone), kind="stable")[: (count + 1) // 2]
    shares = np.zeros(count, dtype=np.float32)
    shares[best] = 1 / len(best)
    return shares


def _flat(lesson: Lesson, groups: Int32) -> Float64:
    rows = describe(
        lesson.scores,
        lesson.candidates,
        values=lesson.values,
        popularity=lesson.histories.getnnz(axis=0).astype(np.int64),
        means=mean_values(lesson.histories),
        tables=lift_tables(groups, lesson.histories),
        groups=groups[:, lesson.users],
    )
    return rows.reshape(-1, rows.shape[-1])


def _standardised(worth: AnyArray) -> Float64:
    """Rows moved and scaled to mean 0 and deviation 1; a flat row becomes 0."""
    centred: Float64 = worth - worth.mean(axis=1, keepdims=True, dtype=np.float64)
    width = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    found: Float64 = centred / np.maximum(width, 1e-9)
    return found
