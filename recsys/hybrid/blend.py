"""Several models as one, by a weighted sum of their standardised scores or of their ranks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.data import Csr, Interactions
from recsys.histories import Parts, Weighting
from recsys.hybrid.members import Fit, Members, assemble, ranks, restore_members, seen_mask
from recsys.hybrid.stacking import learn_logistic, learn_ndcg, lessons
from recsys.model import Recommender
from shared.errors import DataError, UsageError
from shared.types import AnyArray, Float32, Int32

Method: TypeAlias = Literal["standard", "rrf", "borda"]
METHODS: tuple[Method, ...] = ("standard", "rrf", "borda")
Learn: TypeAlias = Literal["ndcg", "logistic", "equal"]
LEARN: tuple[Learn, ...] = ("ndcg", "logistic", "equal")
DEFAULT_MEMBERS: Mapping[str, Fit] = {
    "ease": fit_ease,
    "ease-wide": lambda part: fit_ease(part, EaseConfig(l2=800.0)),
    "item-knn": fit_item_knn,
    "popularity": fit_popularity,
}


@dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Options of :func:`fit_blend` and :func:`fuse`.

    Attributes:
        method: ``"standard"`` adds scores, each person's scores by each member standardised first; ``"rrf"`` adds
            1 / (60 + rank), G. Cormack et al., "Reciprocal rank fusion outperforms Condorcet and individual rank
            learning methods", SIGIR 2009; ``"borda"`` adds (items - rank) / items, J. Aslam and M. Montague, "Models
            for metasearch", SIGIR 2001.
        learn: how the weights of a ``"standard"`` blend are found on interactions that the members were not shown:
            ``"ndcg"`` by forward selection, ``"logistic"`` by logistic regression, which makes a score the log-odds
            that the item would have been among those held out; ``"equal"`` learns nothing. The other methods take
            equal weights.
        k: how many places the NDCG looks at.
        folds: how many parts the interactions are dealt into to learn, at least 2.
        candidates: how many items a person is taught by, at least 1.
        people: how many people a fold teaches by, at most.
        weighting: ``"value"``: a hybrid keeps values as they are, and each member weighs them in its own way.
    """

    method: Method = field(default="standard", metadata={"help": f"one of {', '.join(METHODS)}"})
    learn: Learn = field(default="ndcg", metadata={"help": f"how weights are found: one of {', '.join(LEARN)}"})
    k: int = field(default=10, metadata={"help": "how many places the learned NDCG looks at, at least 1"})
    folds: int = field(default=5, metadata={"help": "parts that interactions are dealt into to learn, at least 2"})
    candidates: int = field(default=100, metadata={"help": "items that a person is taught by, at least 1"})
    people: int = field(default=2000, metadata={"help": "people that a fold teaches by, at most"})
    weighting: Weighting = field(default="value", metadata={"help": "value: members weigh in their own way"})

    def __post_init__(self) -> None:
        for name, value, known in (("method", self.method, METHODS), ("learn", self.learn, LEARN)):
            if value not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}. Got {value!r} instead")
        check_hybrid(self, {"k": 1, "folds": 2, "candidates": 1, "people": 1})


def check_hybrid(config: Any, least: Mapping[str, int]) -> None:
    """Raise a :class:`~shared.errors.UsageError` where an option is below its least, or members may not weigh."""
    for name, bound in least.items():
        if getattr(config, name) < bound:
            raise UsageError(f"{name} must be at least {bound}. Got {getattr(config, name)} instead")
    if config.weighting != "value":
        raise UsageError(f"weighting of a hybrid must be 'value'. Got {config.weighting!r}: set it for the members")


@dataclass(frozen=True, eq=False, repr=False)
class Hybrid(Recommender):
    """What hybrids have in common: members, of which they ask everything.

    Attributes:
        members: the models.
    """

    task: ClassVar[str] = "recsys.hybrid"
    members: Members

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`."""
        return self.combine(histories, None)

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.score_users`."""
        return self.combine(self.histories[codes], codes)

    def combine(self, values: Csr, users: Int32 | None) -> Float32:
        """Scores, shape (n, items), for histories of raw values, by members that may know the people by their codes."""
        raise NotImplementedError

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the mean over the members that know any, each scaled
        to a largest value of 1 in a row.

        Raises:
            UsageError: no member knows similarities.
        """
        total = np.zeros((len(items), len(self.item_ids)), dtype=np.float32)
        said = np.zeros(total.shape, dtype=np.bool_)
        known = 0
        for model in self.members.models:
            own = model.item_ids.encode(self.item_ids.decode(items))
            columns = self.item_ids.encode(model.item_ids.ids)
            try:
                found = model.item_similarities(np.maximum(own, 0))
            except UsageError:
                continue
            known += 1
            finite = np.isfinite(found) & (own >= 0)[:, None]
            finite[np.arange(len(own)), np.maximum(own, 0)] = False
            values = np.where(finite, found, 0)
            top = np.maximum(values.max(axis=1, keepdims=True), 1e-30)
            total[:, columns] += values / top
            said[:, columns] |= finite
        if not known:
            raise UsageError("no member of this hybrid knows similar items. Add one that does, ease or item_knn say")
        return np.where(said, total / known, np.float32(-np.inf))

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        described = json.dumps(self.members.describe(), sort_keys=True).encode()
        return {**self.members.arrays(), "members.json": np.frombuffer(described, dtype=np.uint8)}


@dataclass(frozen=True, eq=False, repr=False)
class Blend(Hybrid):
    """Scores by a weighted sum over members.

    Attributes:
        weights: shape (members,), float32, finite.
        intercept: added to every score; it matters only where the score is read as a log-odds.
    """

    family: ClassVar[str] = "blend"
    config: BlendConfig
    weights: Float32
    intercept: float = 0.0

    @cached_property
    def shares(self) -> dict[str, float]:
        """The weight of each member by its name."""
        return dict(zip(self.members.names, self.weights.tolist()))

    def combine(self, values: Csr, users: Int32 | None) -> Float32:
        """See :meth:`Hybrid.combine`."""
        standard = self.members.standard(values, users)
        if self.config.method == "standard":
            found: Float32 = np.einsum("m,mni->ni", self.weights, standard) + np.float32(self.intercept)
            return found
        seen = seen_mask(values)
        total = np.zeros(values.shape, dtype=np.float32)
        for weight, scores in zip(self.weights, standard):
            places = ranks(scores, seen)
            width = places.shape[1]
            total += weight * (1 / (60 + places) if self.config.method == "rrf" else (width - places) / width)
        return total

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "weights": self.weights, "intercept": np.array([self.intercept])}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> Blend:
        """See :meth:`recsys.model.Recommender.restore`."""
        members = read_members(parts, arrays)
        weights, intercept = arrays.get("weights", np.zeros(0)), arrays.get("intercept", np.zeros(0))
        if weights.shape != (len(members.models),) or weights.dtype != np.float32 or intercept.shape != (1,):
            raise DataError(f"weights must be float32, one for each member. Got {weights.dtype} {weights.shape}")
        return cls(BlendConfig(**config), *parts, members, weights, float(intercept[0]))


def read_members(parts: Parts, arrays: Mapping[str, AnyArray]) -> Members:
    """The members that :meth:`Hybrid.arrays` wrote.

    Raises:
        DataError: they do not fit.
    """
    described = json.loads(arrays["members.json"].astype(np.uint8).tobytes())
    return restore_members(described, parts, arrays)


def fuse(
    interactions: Interactions,
    models: Mapping[str, Recommender],
    config: BlendConfig | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> Blend:
    """A blend of models that stand, without learning.

    Args:
        interactions: what the models were fitted on.
        models: by name; their items may differ (a content model knows new ones).
        config: options, of which ``method`` matters; ``None`` is rank fusion (``"rrf"``).
        weights: one for each model; ``None`` makes them equal.

    Raises:
        DataError: ids are of different types.
        UsageError: there are no models, or the weights do not fit.
    """
    config = config or BlendConfig(method="rrf", learn="equal")
    parts, members = assemble(interactions, models)
    shares = np.full(len(models), 1 / len(models)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(models),) or not np.isfinite(shares).all():
        raise UsageError(f"weights must be finite, one for each of the {len(models)} models. Got {weights} instead")
    return Blend(config, *parts, members, shares.astype(np.float32))


def fit_blend(
    interactions: Interactions,
    config: BlendConfig | None = None,
    *,
    members: Mapping[str, Fit] | None = None,
    rng: np.random.Generator | None = None,
) -> Blend:
    """Fit members on everything, and their weights on what members fitted on a part say of the rest.

    Nothing but ``interactions`` is looked at: hold the test part out before.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        members: how each member is made, by name; ``None`` takes :data:`DEFAULT_MEMBERS`.
        rng: deals interactions into folds; ``None`` always deals alike.

    Raises:
        DataError: there are no interactions, or a member cannot take their values.
        UsageError: an option is wrong.

    Example:
        >>> from recsys.testing import tastes
        >>> model = fit_blend(tastes(), BlendConfig(learn="equal"))
        >>> model.recommend(["no mocha"], k=1)[0].items
        ('mocha',)
    """
    config = config or BlendConfig()
    fits = members or DEFAULT_MEMBERS
    whole = fuse(interactions, {name: fit(interactions) for name, fit in fits.items()}, config)
    if config.method != "standard" or config.learn == "equal" or len(fits) == 1:
        return whole
    dealt = lessons(
        interactions,
        fits,
        folds=config.folds,
        candidates=config.candidates,
        people=config.people,
        rng=rng or np.random.default_rng(0),
    )
    found = [one for one in dealt if one.held.any()]
    if not found:  # too few interactions to hold any out: nothing speaks against equal weights
        return whole
    intercept = 0.0
    if config.learn == "ndcg":
        weights = learn_ndcg(found, k=config.k)
    else:
        weights, intercept = learn_logistic(found)
    return Blend(
        config,
        whole.user_ids,
        whole.item_ids,
        whole.histories,
        whole.members,
        weights.astype(np.float32),
        intercept,
    )
