"""Several predictors of ratings as one: a weighted sum whose weights were learned on ratings that were held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Csr, Interactions
from recsys.histories import Parts
from recsys.packing import read_array
from recsys.ratings.baseline import USER_L2, Baseline, BaselineConfig, biases_of, fit_baseline, fold_user_biases
from recsys.ratings.factors import (
    RatingFactorsConfig,
    Svd,
    Svdpp,
    SvdppConfig,
    fit_svd,
    fit_svdpp,
    ridge,
)
from recsys.ratings.gaussian import Gaussian, GaussianConfig, fit_gaussian
from recsys.ratings.model import RatingConfig, RatingModel, rating_parts, read_biases
from recsys.ratings.neighbours import KnnBaseline, KnnBaselineConfig, fit_knn_baseline
from recsys.ratings.nmf import Nmf, NmfConfig, fit_nmf
from recsys.ratings.slope_one import SlopeOne, SlopeOneConfig, fit_slope_one
from recsys.split import folds
from shared.errors import UnknownNameError, UsageError
from shared.types import AnyArray, Float32, Float64, Int32, Int64


@dataclass(frozen=True)
class Member:
    """One predictor of a blend.

    Attributes:
        config: its options there.
        fit: ``fit(interactions, config, rng=...)``.
        model: what it is restored as.
    """

    config: Any
    fit: Callable[..., RatingModel]
    model: type[RatingModel]


MEMBERS: Mapping[str, Member] = {
    "gaussian": Member(GaussianConfig(), fit_gaussian, Gaussian),
    "knn_baseline": Member(KnnBaselineConfig(), fit_knn_baseline, KnnBaseline),
    "svd": Member(RatingFactorsConfig(iterations=60, l2=0.1), fit_svd, Svd),
    "svdpp": Member(SvdppConfig(), fit_svdpp, Svdpp),
    "nmf": Member(NmfConfig(), fit_nmf, Nmf),
    "slope_one": Member(SlopeOneConfig(), fit_slope_one, SlopeOne),
    "baseline": Member(BaselineConfig(), fit_baseline, Baseline),
}
"""What a blend may hold, by name."""


@dataclass(frozen=True, kw_only=True)
class RatingBlendConfig(RatingConfig):
    """Options of :func:`fit_rating_blend`.

    Attributes:
        members: keys of :data:`MEMBERS` by commas; SVD, SVD++ and NMF need Surprise to be fitted.
        parts: into how many parts the ratings are dealt to learn the weights, at least 2.
        rounds: how many of these parts are held out, one after the other, each costing a fit of every member; 0 learns
            nothing and weighs all alike.
        l2: strength with which weights are held to equal ones, in ratings, at least 0.
    """

    members: str = field(
        default="gaussian,knn_baseline,svd,svdpp", metadata={"help": f"some of {', '.join(MEMBERS)}, by commas"}
    )
    parts: int = field(default=10, metadata={"help": "parts that interactions are dealt into to learn, at least 2"})
    rounds: int = field(default=2, metadata={"help": "how many of the parts are held out to learn; 0 learns nothing"})
    l2: float = field(default=5.0, metadata={"help": "penalty on squared weights, above 0"})

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in MEMBERS:
                raise UnknownNameError("member of a blend", name, MEMBERS)
        if len(set(self.names)) < len(self.names):
            raise UsageError(f"members must be different. Got {self.members}")
        if self.parts < 2:
            raise UsageError(f"parts must be at least 2. Got {self.parts} instead")
        if not 0 <= self.rounds <= self.parts:
            raise UsageError(f"rounds must lie in 0..parts, {self.parts}. Got {self.rounds} instead")
        if not 0 <= self.l2 < np.inf:
            raise UsageError(f"l2 must be at least 0 and finite. Got {self.l2} instead")

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names."""
        return tuple(name.strip() for name in self.members.split(","))


@dataclass(frozen=True, eq=False, repr=False)
class RatingBlend(RatingModel):
    """Predicts mean + sum of w_m (prediction of member m - mean), members not clipped.

    Attributes:
        models: the members, in the order of ``config.names``, of the same users and items.
        shares: shape (2, members), float32: w where no moment is known, and w where it is.
    """

    family: ClassVar[str] = "rating_blend"
    models: tuple[RatingModel, ...]
    shares: Float32

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.score_users`."""
        return self._mixed([model.score_users(codes) for model in self.models])

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: members fold in, each in its way."""
        return self._mixed([model.score_histories(histories) for model in self.models])

    def fold_biases(self, histories: Csr) -> Float32:
        """See :meth:`recsys.ratings.model.RatingModel.fold_biases`."""
        return fold_user_biases(histories, self.scale, self.item_biases, USER_L2)

    def predict_pairs(self, users: Int32, items: Int32, *, times: Int64 | None = None) -> Float64:
        """See :meth:`recsys.ratings.model.RatingModel.predict_pairs`."""
        found = [model.predict_pairs(users, items, times=times) for model in self.models]
        shares = self.shares[0 if times is None else 1].astype(np.float64)
        mean = float(self.scale[0])
        mixed: Float64 = mean + (np.array(found) - mean).T @ shares
        return mixed

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: those of the first member."""
        return self.models[0].item_similarities(items)

    def _mixed(self, scores: list[Float32]) -> Float32:
        mixed = np.full_like(scores[0], self.scale[0])
        for share, found in zip(self.shares[0], scores):
            mixed += share * (found - self.scale[0])
        return mixed

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`; each member's under its name."""
        found = {**super().arrays(), "shares": self.shares}
        for name, model in zip(self.config.names, self.models):
            found |= {f"{name}.{key}": array for key, array in model.arrays().items()}
        return found

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> RatingBlend:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = RatingBlendConfig(**config)
        models: list[Any] = []
        for name in options.names:
            own = {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}
            row = MEMBERS[name]
            models.append(row.model.restore(dataclasses.asdict(row.config), parts, own))
        shares = read_array("shares", arrays, (2, len(models)))
        return cls(options, *parts, *read_biases(parts, arrays), tuple(models), shares)


def fit_rating_blend(
    interactions: Interactions, config: RatingBlendConfig | None = None, *, rng: np.random.Generator | None = None
) -> RatingBlend:
    """Fit every member on all ratings, and their weights on ratings that copies of the members were not shown.

    The weights are the ridge regression of the held-out ratings on the members' predictions, held to equal ones; with
    times and without times apart, because what the moment tells changes whom to trust.

    Args:
        interactions: who rated what how, and when.
        config: options; ``None`` takes the defaults.
        rng: deals the ratings into parts, and is the members' own; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions.
        MissingDependencyError: a member needs Surprise, which is not installed.
    """
    config = config or RatingBlendConfig()
    rng = rng or np.random.default_rng(0)
    ratings = rating_parts(interactions)
    seed = int(rng.integers(2**31))
    models = _fitted(interactions, config, seed)
    shares = np.full((2, len(models)), 1 / len(models), dtype=np.float32)
    if config.rounds and len(interactions) >= 2 * config.parts:
        shares = _learn(interactions, config, seed, rng)
    users, items = biases_of(ratings)
    biases = users.astype(np.float32), items.astype(np.float32)
    return RatingBlend(config, *ratings.parts, ratings.scale, *biases, models, shares)


def _fitted(part: Interactions, config: RatingBlendConfig, seed: int) -> tuple[RatingModel, ...]:
    rows = (MEMBERS[name] for name in config.names)
    return tuple(row.fit(part, row.config, rng=np.random.default_rng(seed)) for row in rows)


def _learn(interactions: Interactions, config: RatingBlendConfig, seed: int, rng: np.random.Generator) -> Float32:
    """Weights, shape (2, members): without moments, and with."""
    inputs: tuple[list[Float64], list[Float64]] = ([], [])
    targets: list[Float64] = []
    for part in folds(_in_order(interactions), count=config.parts, rng=rng)[: config.rounds]:
        models = _fitted(part.train, config, seed)
        mean = float(models[0].scale[0])
        users = models[0].user_ids.encode(part.test.user_ids.ids)[part.test.users]
        items = models[0].item_ids.encode(part.test.item_ids.ids)[part.test.items]
        for kept, times in zip(inputs, (None, part.test.times)):
            found = [model.predict_codes(users, items, times=times) - mean for model in models]
            kept.append(np.array(found).T)
        targets.append(part.test.values.astype(np.float64) - mean)
    equal = 1 / len(config.names)
    truth, shares = np.concatenate(targets), []
    for kept in inputs:
        known = np.concatenate(kept)
        shares.append(equal + ridge(known, truth - known.sum(axis=1) * equal, config.l2))
    return np.array(shares, dtype=np.float32)


def _in_order(interactions: Interactions) -> Interactions:
    """The same ratings in an order that does not depend on that of the rows, so that the parts do not either."""
    return interactions.take(np.lexsort((interactions.items, interactions.users)))
