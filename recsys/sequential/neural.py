"""What networks over paths share: options, weights as arrays, and answers by NumPy alone."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from recsys.data import Interactions
from recsys.histories import Parts, Weighting
from recsys.packing import read_array
from recsys.sequential.model import Sequential
from recsys.sequential.paths import Paths, order, read_paths
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Int32

_ROWS = 64
"""Paths that go through a network together, sorted by length, so that a long one does not stretch all others."""
M = TypeVar("M", bound="Neural")
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class NeuralConfig:
    """Options of every network over paths.

    Attributes:
        factors: length of the vector of each item and of the network's state, at least 1.
        length: how many of the newest items of a path are looked at, at least 1; older ones are cut off.
        dropout: share of values that are dropped in training, in [0, 1).
        epochs: passes over the paths at most, at least 1.
        batch_size: next items of one step, about, at least 1.
        learning_rate: of AdamW, above 0.
        item_rate: factor on it for the items' vectors, above 0.
        weight_decay: of AdamW, at least 0.
        negatives: items that the softmax is taken over beside the right one, at least 0; 0 takes the whole catalogue.
        patience: epochs without a better validation after which training stops, at least 0; 0 never stops early.
        refit: train anew on the newest items too, for as many epochs as were best without them: twice the time.
    """

    weighting: ClassVar[Weighting] = "binary"
    factors: int = field(default=64, metadata={"help": "length of each item's vector, at least 1"})
    length: int = field(default=50, metadata={"help": "newest items of a path that are looked at, at least 1"})
    dropout: float = field(default=0.3, metadata={"help": "share of values dropped in training, in [0, 1)"})
    epochs: int = field(default=30, metadata={"help": "passes over the data at most, at least 1"})
    batch_size: int = field(default=512, metadata={"help": "next items of one step, about, at least 1"})
    learning_rate: float = field(default=0.002, metadata={"help": "of AdamW, above 0"})
    item_rate: float = field(default=2.5, metadata={"help": "factor on it for the items' vectors, above 0"})
    weight_decay: float = field(default=0.0, metadata={"help": "of AdamW, at least 0"})
    negatives: int = field(default=1024, metadata={"help": "items in a sampled softmax; 0 for the whole catalogue"})
    patience: int = field(default=3, metadata={"help": "epochs without a better score before the end; 0 for never"})
    refit: bool = field(
        default=True, metadata={"help": "train anew on the newest items too, for as many epochs as were best"}
    )

    def __post_init__(self) -> None:
        bounds: tuple[tuple[str, float, bool, str], ...] = (
            ("factors", self.factors, self.factors >= 1, "at least 1"),
            ("length", self.length, self.length >= 1, "at least 1"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "in [0, 1)"),
            ("epochs", self.epochs, self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0"),
            ("item_rate", self.item_rate, 0 < self.item_rate < math.inf, "above 0"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "at least 0"),
            ("negatives", self.negatives, self.negatives >= 0, "at least 0"),
            ("patience", self.patience, self.patience >= 0, "at least 0"),
        )
        for name, value, right, wanted in bounds:
            if not right:
                raise UsageError(f"{name} must be {wanted}. Got {value} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Neural(Sequential):
    """Scores an item by the product of its vector and the state that a network is in after a path.

    Attributes:
        options: makes ``config`` of what a card holds; a family has its own.
        weights: the network's arrays by name, float32; ``"item.weight"``, shape (items, factors), holds the vectors,
            and ``"bias"``, shape (items,), is added where there is one.
    """

    options: ClassVar[Callable[..., NeuralConfig]]
    config: Any
    weights: Mapping[str, Float32]

    @abstractmethod
    def states(self, codes: Int32) -> Float32:
        """The state after the last item of each path: shape (n, factors), float32.

        Args:
            codes: shape (n, m) with m at most ``config.length``, int32; -1 after the end of a path, none of which is
                empty.
        """

    @classmethod
    @abstractmethod
    def shapes(cls, config: Any, count: int) -> dict[str, Shape]:
        """The names and shapes of the weights for a catalogue of ``count`` items."""

    def score_paths(self, paths: Paths) -> Float32:
        """See :meth:`recsys.sequential.model.Sequential.score_paths`."""
        short = paths.newest(self.config.length)
        found = np.empty((len(paths), self.config.factors), dtype=np.float32)
        by_length = np.argsort(short.lengths, kind="stable")
        for start in range(0, len(paths), _ROWS):
            people = by_length[start : start + _ROWS]
            found[people] = self.states(short.take(people).padded(int(short.lengths[people[-1]])))
        scores: Float32 = found @ self.weights["item.weight"].T
        if "bias" in self.weights:
            scores += self.weights["bias"]
        return scores

    def item_similarities(self, items: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.item_similarities`: the cosine of the items' vectors."""
        vectors = self.weights["item.weight"]
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        scores: Float32 = (vectors[items] / lengths[items]) @ (vectors / lengths).T
        return scores

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {**super().arrays(), **{f"weights.{name}": array for name, array in self.weights.items()}}

    @classmethod
    def restore(cls: type[M], config: Mapping[str, Any], parts: Parts, arrays: Mapping[str, AnyArray]) -> M:
        """See :meth:`recsys.model.Recommender.restore`."""
        options = cls.options(**config)
        paths = read_paths(arrays, len(parts[0]), len(parts[1]))
        wanted = cls.shapes(options, len(parts[1]))
        weights = {name: read_array(f"weights.{name}", arrays, shape) for name, shape in wanted.items()}
        return cls(options, *parts, paths, weights)


def fit_network(
    family: type[M],
    interactions: Interactions,
    config: NeuralConfig,
    build: Callable[[int], Any],
    *,
    rng: np.random.Generator | None,
    device: str,
) -> M:
    """Train a network on what people did in order, and keep its arrays.

    Args:
        family: the model to make.
        interactions: what happened.
        config: the family's options.
        build: from the number of items to a torch module, as :func:`recsys.sequential.training.train` takes it.
        rng: source of randomness; ``None`` takes seed 0.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.

    Raises:
        DataError: there are no interactions, or the loss is no longer a number.
        MissingDependencyError: torch is not installed.
        UsageError: torch sees no such device.
    """
    from recsys.sequential.training import Plan, seeded, train  # noqa: PLC0415 - what asks for torch
    from shared.training.loop import choose_device  # noqa: PLC0415

    users, items, paths = order(interactions)
    rng = rng or np.random.default_rng(0)
    place = choose_device(device, None)
    plan = Plan(
        length=config.length,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        item_rate=config.item_rate,
        weight_decay=config.weight_decay,
        negatives=config.negatives,
        patience=config.patience,
    )
    with seeded(rng):
        trained = train(build(len(items)), paths, plan, rng=rng, device=place)
        if config.refit and trained.best_epoch:
            whole = dataclasses.replace(plan, epochs=trained.best_epoch)
            trained = train(build(len(items)), paths, whole, rng=rng, device=place, validate=False)
    return family(config, users, items, paths.matrix(len(items)), paths, trained.weights)


def normalise(states: Float32, scale: Float32, shift: Float32) -> Float32:
    """Layer normalisation over the last axis, with torch's epsilon (J. L. Ba et al., arXiv:1607.06450)."""
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    found: Float32 = centred / np.sqrt(variance + np.float32(1e-5)) * scale + shift
    return found
