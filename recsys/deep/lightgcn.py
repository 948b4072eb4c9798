"""LightGCN: factors that are smoothed over the graph of who took what.

X. He, K. Deng, X. Wang, Y. Li, Y. Zhang and M. Wang, "LightGCN: simplifying and powering graph convolution network for
recommendation", SIGIR 2020: no weights but the vectors of layer 0, the mean of all layers, and the loss of BPR.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import bmat

from recsys.collaborative.factors import Factors, read_factors
from recsys.data import Csr, Interactions
from recsys.deep.answering import row_numbers, scaled_rows
from recsys.deep.training import (
    HELP,
    TrainingConfig,
    Validation,
    at_least,
    hold_out,
    session,
    to_numpy,
    train,
)
from recsys.histories import Parts, Weighting, training_parts
from recsys.packing import read_array
from shared.lazy import require
from shared.types import AnyArray, Float32, Int64


@dataclass(frozen=True, kw_only=True)
class LightGcnConfig(TrainingConfig):
    """Options of :func:`fit_lightgcn`, and those of :class:`~recsys.deep.training.TrainingConfig`.

    Weights do not matter to it: an interaction is an edge.

    Attributes:
        factors: length of the vectors, at least 1.
        layers: how many steps along edges are looked, at least 1; 3 in the paper.
        l2: strength of the penalty on the squared vectors of layer 0 that a step takes part in, at least 0.
    """

    weighting: ClassVar[Weighting] = "binary"
    factors: int = field(default=128, metadata={"help": HELP["factors"]})
    layers: int = field(default=1, metadata={"help": "steps along the edges of the graph, at least 1"})
    l2: float = field(default=0.003, metadata={"help": "penalty on squared weights, above 0"})
    batch_size: int = field(default=2048, metadata={"help": HELP["batch_size"]})
    learning_rate: float = field(default=0.005, metadata={"help": HELP["learning_rate"]})

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "factors", "layers")
        at_least(self, 0, "l2")


@dataclass(frozen=True, eq=False, repr=False)
class LightGcn(Factors):
    """Factors that are means over the layers of a graph.

    Somebody new is a node that was added to the graph without changing it: with n items of n_i people each, the vector
    is the sum over items and layers 0 to ``layers`` - 1 of e_i / (n n_i)^1/2, divided by ``layers`` + 1. For a person
    of training that is the vector that was learnt, less the person's own vector of layer 0, divided so too: for
    somebody new nothing was learnt, and its expectation, 0, stands there.

    Attributes:
        item_folds: shape (items, factors), float32: what an item adds to such a vector, times n^1/2.
    """

    family: ClassVar[str] = "lightgcn"
    config: LightGcnConfig
    item_folds: Float32

    def fold_users(self, histories: Csr) -> Float32:
        """See :meth:`recsys.collaborative.factors.Factors.fold_users`."""
        vectors: Float32 = _by_degree(histories) @ self.item_folds
        return vectors

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), "item_folds": self.item_folds}

    @classmethod
    def restore(cls, config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> LightGcn:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = LightGcnConfig(**config)
        found = read_factors(parts, arrays, options.factors)
        return cls(options, *parts, *found, read_array("item_folds", arrays, (len(parts[1]), options.factors)))


def fit_lightgcn(
    interactions: Interactions,
    config: LightGcnConfig | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    rng: np.random.Generator | None = None,
) -> LightGcn:
    """Minimise -ln sigma(x_u'(y_i - y_j)) + l2 |e|^2 over i that u took and j that u did not, drawn evenly.

    The whole graph is walked in every step, so large batches cost little.

    Args:
        interactions: what happened.
        config: options; ``None`` takes the defaults.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``, where it is trained.
        threads: of the processor; ``None`` takes one up to 4096 items, beyond as many as the linear algebra may use.
        rng: draws vectors, batches and items; ``None`` stands for ``default_rng(0)``.

    Raises:
        DataError: there are no interactions, or the loss is no longer a number.
        MissingDependencyError: torch is not installed.
        UsageError: there is no such device, or ``threads`` is below 1.
    """
    config, rng = config or LightGcnConfig(), rng or np.random.default_rng(0)
    users, items, histories = training_parts(interactions, config.weighting)
    validation = hold_out(histories, config.val_share, rng)
    learnt = histories if validation is None else validation.learnt
    pairs, taken = pairs_with_others(learnt)
    people = len(users)
    with session(rng, items=len(items), device=device, threads=threads) as place:
        torch = require("torch", extra="torch")
        table = torch.nn.Embedding(people + len(items), config.factors, device=place)
        torch.nn.init.normal_(table.weight, std=0.1)
        smooth = smoothing(learnt, config.layers, place)

        def loss(rows: Int64, _: float) -> Any:
            known, items_ = pairs[rows], taken[rows]
            named = torch.from_numpy(np.stack([known, people + items_, people + others(learnt, known, rng)])).to(place)
            user, positive, negative = smooth(table.weight)[named]
            worse = (user * (negative - positive)).sum(1)
            penalty = table(named).square().sum() / len(rows)
            return torch.nn.functional.softplus(worse).mean() + config.l2 * penalty

        def answer(asked: Validation) -> Float32:
            vectors = smooth(table.weight)
            return to_numpy(vectors[:people][torch.from_numpy(asked.people).to(place)] @ vectors[people:].T)

        train(table, loss, rows=len(pairs), config=config, rng=rng, validation=validation, answer=answer)
        first = to_numpy(table.weight)
    layers = _layers(_adjacency(histories), first, config.layers)
    mean: Float32 = np.stack(layers).mean(axis=0)
    degrees = np.sqrt(np.maximum(histories.getnnz(axis=0), 1)).astype(np.float32)
    below: Float32 = np.stack(layers[:-1]).sum(axis=0)
    folds = below[people:] / degrees[:, None] / np.float32(config.layers + 1)
    return LightGcn(config, users, items, histories, mean[:people].copy(), mean[people:].copy(), folds)


def pairs_with_others(histories: Csr) -> tuple[Int64, Int64]:
    """Users and items of all interactions of people for whom an item is left that they did not take."""
    rows = row_numbers(histories)
    left = np.diff(histories.indptr)[rows] < histories.shape[1]
    return rows[left], histories.indices[left].astype(np.int64)


def others(histories: Csr, users: Int64, rng: np.random.Generator) -> Int64:
    """For each of some users an item that the user did not take, every such item as likely, shape (n,).

    Of the items that a user left, the one of rank r is r plus the number of those taken that stand before it: taken
    item number t at place h_t stands before it exactly when h_t - t <= r.
    """
    width = histories.shape[1]
    counts = np.diff(histories.indptr).astype(np.int64)
    rows = row_numbers(histories)
    before = histories.indices - (np.arange(histories.nnz) - histories.indptr[rows])  # h_t - t, never falling
    rank = (rng.random(len(users)) * (width - counts[users])).astype(np.int64)
    passed = np.searchsorted(rows * width + before, users * width + rank, side="right")
    found: Int64 = rank + passed - histories.indptr[users]
    return found


def smoothing(histories: Csr, layers: int, place: Any) -> Callable[[Any], Any]:
    """From vectors of layer 0, users first, to the mean of all layers, as a function that torch can differentiate.

    The map is linear and symmetric, so the gradient goes back through the same products.
    """
    torch = require("torch", extra="torch")
    whole = _adjacency(histories)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its CSR a beta
        parts = (torch.from_numpy(part.astype(np.int64)) for part in (whole.indptr, whole.indices))
        edges = torch.sparse_csr_tensor(*parts, torch.from_numpy(whole.data), whole.shape, device=place)

    def mean(vectors: Any) -> Any:
        total = vectors
        for _ in range(layers):
            vectors = edges @ vectors
            total = total + vectors
        return total / (layers + 1)

    class Smoothing(torch.autograd.Function):  # type: ignore[name-defined,misc]  # torch is imported late
        @staticmethod
        def forward(ctx: Any, vectors: Any) -> Any:
            return mean(vectors)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return mean(gradient)

    apply: Callable[[Any], Any] = Smoothing.apply
    return apply


def _adjacency(histories: Csr) -> Csr:
    """The graph of users and then items: an edge of 1 / (n_u n_i)^1/2 for each interaction, CSR, float32."""
    degrees = np.maximum(histories.getnnz(axis=0), 1)
    half = _by_degree(histories)
    half.data /= np.sqrt(degrees[half.indices]).astype(np.float32)
    return bmat([[None, half], [half.T, None]], format="csr", dtype=np.float32)


def _by_degree(histories: Csr) -> Csr:
    """1 / n^1/2 for each of the n interactions of a row, CSR, float32."""
    edges = histories.astype(np.float32)
    edges.data = np.ones(histories.nnz, dtype=np.float32)
    return scaled_rows(edges, 1 / np.sqrt(np.maximum(np.diff(histories.indptr), 1)))


def _layers(edges: Csr, vectors: Float32, count: int) -> list[Float32]:
    """The vectors of layer 0 to ``count``."""
    found = [vectors]
    for _ in range(count):
        found.append(edges @ found[-1])
    return found
