"""Two towers: a vector of a person from their history, a vector of an item, and their inner product.

X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019: a softmax
over the items of a batch, each corrected by the logarithm of how often it is drawn. That frequency, which they estimate
on a stream, is counted here. P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations",
RecSys 2016, for the tower over the mean of a history, so that people who come with a history alone need no vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from recsys.collaborative.factors import Factors, check_positive, read_factors
from recsys.data import Csr, Interactions
from recsys.deep.answering import centred, cosines, mean_rows, row_numbers
from recsys.deep.training import (
    HELP,
    TrainingConfig,
    Validation,
    at_least,
    below_one,
    hold_out,
    session,
    to_numpy,
    train,
)
from recsys.features import Features
from recsys.histories import WEIGHTING_HELP, Parts, Weighting, check_weighting, training_parts
from recsys.ids import Vocabulary
from recsys.packing import read_array
from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Bool, Float32, Int32, Int64

Similarity: TypeAlias = Literal["dot", "cosine"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "cosine")


@dataclass(frozen=True, kw_only=True)
class TwoTowerConfig(TrainingConfig):
    """Options of :func:`fit_two_tower`, and those of :class:`~recsys.deep.training.TrainingConfig`.

    Attributes:
        factors: length of the vectors, at least 1.
        hidden: width of the hidden layer of each tower, at least 1.
        dropout: share of a history that is hidden from the network in each step, in [0, 1).
        similarity: ``"dot"``, or ``"cosine"``, which says nothing of how popular an item is.
        temperature: what similarities are divided by before the softmax, above 0.
        weighting: what an interaction weighs in the mean of a history: ``"binary"``, ``"value"`` or ``"log"``.
    """

    factors: int = field(default=64, metadata={"help": HELP["factors"]})
    hidden: int = field(default=128, metadata={"help": HELP["hidden"]})
    dropout: float = field(default=0.5, metadata={"help": HELP["dropout"]})
    similarity: Similarity = field(default="dot", metadata={"help": "of user and item: dot or cosine"})
    temperature: float = field(default=1.0, metadata={"help": "what similarities are divided by, above 0"})
    epochs: int = field(default=20, metadata={"help": HELP["epochs"]})
    patience: int = field(default=3, metadata={"help": HELP["patience"]})
    learning_rate: float = field(default=0.003, metadata={"help": HELP["learning_rate"]})
    batch_size: int = field(default=1024, metadata={"help": HELP["batch_size"]})
    weighting: Weighting = field(default="log", metadata={"help": WEIGHTING_HELP})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weighting(self.weighting)
        at_least(self, 1, "factors", "hidden")
        below_one(self, "dropout")
        if self.similarity not in SIMILARITIES:
            raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}. Got {self.similarity!r} instead")
        if not 0 < self.temperature < np.inf:
            raise UsageError(f"temperature must be above 0 and finite. Got {self.temperature} instead")


@dataclass(frozen=True, eq=False, repr=False)
class TwoTower(Factors):
    """Scores an item by the similarity of its vector with that of the history.

    Vectors of items are divided by the temperature, so that the inner product is the whole score. Those of the people
    of training are what the user tower says of their histories.

    Attributes:
        weights: of the user tower by name, float32. ``history.weight``, shape (items, factors): what an item says in a
            history; ``user.0.weight`` (hidden, factors), ``user.0.bias`` (hidden,), ``user.2.weight`` (factors, hidden)
            and ``user.2.bias`` (factors,): its layers, with max(0, .) between.
    """

    family: ClassVar[str] = "two_tower"
    config: TwoTowerConfig
    weights: Mapping[str, Float32]

    def fold_users(self, histories: Csr) -> Float32:
        """See :meth:`recsys.collaborative.factors.Factors.fold_users`: by the user tower."""
        return user_vectors(self.weights, histories, self.config)

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of their vectors.

        Under ``"dot"`` of centred ones, see :func:`recsys.deep.answering.centred`.
        """
        vectors = self.item_factors
        return cosines(centred(vectors) if self.config.similarity == "dot" else vectors, items)

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), **self.weights}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> TwoTower:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = TwoTowerConfig(**config)
        shapes: dict[str, tuple[int, ...]] = {
            "history.weight": (len(parts[1]), options.factors),
            "user.0.weight": (options.hidden, options.factors),
            "user.0.bias": (options.hidden,),
            "user.2.weight": (options.factors, options.hidden),
            "user.2.bias": (options.factors,),
        }
        weights = {name: read_array(name, arrays, shape) for name, shape in shapes.items()}
        return cls(options, *parts, *read_factors(parts, arrays, options.factors), weights)


def user_vectors(weights: Mapping[str, Float32], histories: Csr, config: TwoTowerConfig) -> Float32:
    """What the user tower says of histories of shape (n, items): shape (n, factors), float32."""
    mean = mean_rows(histories) @ weights["history.weight"]
    hidden = np.maximum(mean @ weights["user.0.weight"].T + weights["user.0.bias"], 0)
    vectors: Float32 = hidden @ weights["user.2.weight"].T + weights["user.2.bias"]
    if config.similarity == "cosine":
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return vectors


def fit_two_tower(
    interactions: Interactions,
    config: TwoTowerConfig | None = None,
    *,
    features: Features | None = None,
    device: str = "auto",
    threads: int | None = None,
    rng: np.random.Generator | None = None,
) -> TwoTower:
    """Minimise -ln of the softmax of s(u, i) / temperature - ln q_i over the items of a batch, q_i an item's frequency.

    The person of a pair (u, i) is the mean of the history without i, some of it hidden; items that the person took
    stand in no denominator but their own.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        features: of items: numbers, categories and tags go into the item tower beside the id. They shape the vectors of
            the items of training; an item that nobody took has none.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``, where it is trained.
        threads: of the processor; ``None`` takes one up to 4096 items, beyond as many as the linear algebra may use.
        rng: draws weights, batches and dropout; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions, one counts against an item, no item has features, or the loss is no longer
            a number.
        MissingDependencyError: torch is not installed.
        UsageError: there is no such device, or ``threads`` is below 1.
    """
    config, rng = config or TwoTowerConfig(), rng or np.random.default_rng(0)
    users, items, histories = training_parts(interactions, config.weighting)
    check_positive(histories, "two_tower")
    known = feature_matrix(features, items)
    validation = hold_out(histories, config.val_share, rng)
    learnt = histories if validation is None else validation.learnt
    people, taken = row_numbers(learnt), learnt.indices.astype(np.int64)
    often = np.bincount(taken, minlength=len(items)) / len(taken)
    with session(rng, items=len(items), device=device, threads=threads) as place:
        torch = require("torch", extra="torch")
        network = make_network(known, config).to(place)
        correction = torch.from_numpy(np.log(np.maximum(often, 1e-12)).astype(np.float32)).to(place)

        def loss(rows: Int64, _: float) -> Any:
            whole, wanted = learnt[people[rows]], taken[rows]
            targets = torch.from_numpy(wanted).to(place)
            given = hidden(whole, wanted, config.dropout, rng)
            said = score_vectors(user_tower(network, given, config), item_tower(network, targets, config), config)
            return loss_of(said, correction[targets], barred(whole, wanted))

        def everything() -> Any:
            return item_tower(network, torch.arange(len(items), device=place), config)

        def answer(asked: Validation) -> Float32:
            vectors = user_tower(network, asked.learnt[asked.people], config)
            return to_numpy(score_vectors(vectors, everything(), config))

        train(network, loss, rows=len(taken), config=config, rng=rng, validation=validation, answer=answer)
        kept = {name: to_numpy(of) for name, of in network.state_dict().items() if name.split(".")[0] in _KEPT}
        with torch.no_grad():
            vectors = to_numpy(everything() / config.temperature)
    return TwoTower(config, users, items, histories, user_vectors(kept, histories, config), vectors, kept)


_KEPT = ("history", "user")
"""Parts of the network that a model answers with; the item tower has said what it had to say."""


def feature_matrix(features: Features | None, items: Vocabulary) -> Float32:
    """What is known of each item, shape (items, d), float32: labels as 0 and 1, numbers in standard units, else 0.

    Raises:
        DataError: no item has features.
        UsageError: there are no columns of numbers, categories or tags.
    """
    if features is None:
        return np.zeros((len(items), 0), dtype=np.float32)
    aligned = features.for_ids(items)
    columns = [aligned.one_hot()[0].toarray()]
    for values in aligned.numbers.values():
        held = values[~np.isnan(values)].astype(np.float64)
        if len(held):
            units = (values - held.mean()) / max(float(held.std()), 1e-6)
            columns.append(np.nan_to_num(units, nan=0.0)[:, None])
    matrix: Float32 = np.concatenate(columns, axis=1, dtype=np.float32)
    if not matrix.shape[1]:
        raise UsageError(f"features must have numbers, categories or tags. Got {features!r}: texts say nothing here")
    return matrix


def make_network(known: Float32, config: TwoTowerConfig) -> Any:
    """Both towers as a torch module; ``known`` is of shape (items, d)."""
    torch = require("torch", extra="torch")
    nn = torch.nn
    items, width = known.shape
    network = nn.ModuleDict(
        {
            "history": nn.Embedding(items, config.factors),
            "user": _layers(nn, config.factors, config),
            "id": nn.Embedding(items, config.factors),
            "item": _layers(nn, config.factors + width, config),
        }
    )
    for name in ("history", "id"):
        nn.init.normal_(network[name].weight, std=0.1)  # torch's own, 1, is noise that training never covers
    network.register_buffer("known", torch.from_numpy(known), persistent=False)
    return network


def user_tower(network: Any, histories: Csr, config: TwoTowerConfig) -> Any:
    """Vectors of people, shape (n, factors), from histories: CSR, shape (n, items)."""
    torch = require("torch", extra="torch")
    place, scaled = network["history"].weight.device, mean_rows(histories)
    mean = torch.nn.functional.embedding_bag(
        torch.from_numpy(scaled.indices.astype(np.int64)).to(place),
        network["history"].weight,
        torch.from_numpy(scaled.indptr[:-1].astype(np.int64)).to(place),
        mode="sum",
        per_sample_weights=torch.from_numpy(scaled.data).to(place),
    )
    return _scaled(network["user"](mean), config)


def item_tower(network: Any, items: Any, config: TwoTowerConfig) -> Any:
    """Vectors of items, shape (n, factors), from their codes: a torch tensor of shape (n,), int64."""
    torch = require("torch", extra="torch")
    return _scaled(network["item"](torch.cat([network["id"](items), network.known[items]], 1)), config)


def score_vectors(users: Any, items: Any, config: TwoTowerConfig) -> Any:
    """Scores of shape (users, items)."""
    return users @ items.T / config.temperature


def loss_of(said: Any, log_often: Any, out: Bool) -> Any:
    """The mean over n pairs of the cross-entropy of the own item among those of the batch.

    Args:
        said: scores of shape (n, n), row for row a person, column for column an item.
        log_often: shape (n,), the logarithm of how often each item is drawn; it is taken off the scores (equation 3).
        out: shape (n, n), which items are no rivals; see :func:`barred`.
    """
    torch = require("torch", extra="torch")
    place = said.device
    left = (said - log_often).masked_fill(torch.from_numpy(out).to(place), -torch.inf)
    return torch.nn.functional.cross_entropy(left, torch.arange(len(said), device=place))


def _layers(nn: Any, width: int, config: TwoTowerConfig) -> Any:
    return nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.factors))


def _scaled(vectors: Any, config: TwoTowerConfig) -> Any:
    functional = require("torch.nn.functional", extra="torch")
    return functional.normalize(vectors) if config.similarity == "cosine" else vectors


def barred(histories: Csr, items: Int64) -> Bool:
    """Whether the person of each row took the item of each column, shape (n, n), bool, but for the row's own item.

    Where an item was drawn for several people, a person who took it is asked for it in their own column alone.
    """
    found: Bool = (histories[:, items].toarray() != 0) | (items[:, None] == items)
    np.fill_diagonal(found, False)
    return found


def hidden(histories: Csr, items: Int64, share: float, rng: np.random.Generator) -> Csr:
    """Histories without the row's item, and without a share of the rest that is drawn anew."""
    rows = row_numbers(histories)
    kept = histories.indices != items[rows]
    if share:
        kept &= rng.random(histories.nnz) >= share
    given = histories.copy()
    given.data = np.where(kept, histories.data, 0).astype(np.float32)
    given.eliminate_zeros()
    return given
