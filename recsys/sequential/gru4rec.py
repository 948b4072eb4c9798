"""GRU4Rec: a recurrent network reads a path, and its state says what comes next.

B. Hidasi, A. Karatzoglou, L. Baltrunas and D. Tikk, "Session-based recommendations with recurrent neural networks",
ICLR 2016; cross entropy over sampled items, and item vectors that are the same before and after the network
("constrained embeddings"), after B. Hidasi and A. Karatzoglou, "Recurrent neural networks with top-k gains for
session-based recommendations", CIKM 2018. Whole paths are read at once rather than in parallel over sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Interactions
from recsys.sequential.neural import Neural, NeuralConfig, Shape, fit_network
from shared.errors import UsageError
from shared.lazy import require
from shared.types import Float32, Int32


@dataclass(frozen=True, kw_only=True)
class Gru4RecConfig(NeuralConfig):
    """Options of :func:`fit_gru4rec`, beside those of :class:`~recsys.sequential.neural.NeuralConfig`.

    Attributes:
        layers: recurrent layers one over the other, at least 1.
    """

    layers: int = field(default=1, metadata={"help": "recurrent layers, at least 1"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 1:
            raise UsageError(f"layers must be at least 1. Got {self.layers} instead")


@dataclass(frozen=True, eq=False, repr=False)
class Gru4Rec(Neural):
    """Scores an item by its vector times the state of gated recurrent units after a path, and its bias."""

    family: ClassVar[str] = "gru4rec"
    options: ClassVar[Callable[..., NeuralConfig]] = Gru4RecConfig
    config: Gru4RecConfig

    def states(self, codes: Int32) -> Float32:
        """See :meth:`recsys.sequential.neural.Neural.states`.

        A unit of K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014, as torch
        computes it: with r, z = s(W x + b + U h + c), n = tanh(W x + b + r (U h + c)), the state is (1 - z) n + z h.
        """
        there = codes >= 0
        inputs = self.weights["item.weight"][np.maximum(codes, 0)]
        d = self.config.factors
        for layer in range(self.config.layers):
            own = {part: self.weights[f"gru.{part}_l{layer}"] for part in _PARTS}
            given = inputs @ own["weight_ih"].T + own["bias_ih"]  # (n, m, 3 d): reset, update, new
            state = np.zeros((len(codes), d), dtype=np.float32)
            found = np.empty_like(inputs)
            for at in range(codes.shape[1]):
                held = state @ own["weight_hh"].T + own["bias_hh"]
                gates = _sigmoid(given[:, at, : 2 * d] + held[:, : 2 * d])
                new = np.tanh(given[:, at, 2 * d :] + gates[:, :d] * held[:, 2 * d :])
                state = np.where(there[:, at, None], new + gates[:, d:] * (state - new), state)
                found[:, at] = state
            inputs = found
        return state

    @classmethod
    def shapes(cls, config: Gru4RecConfig, count: int) -> dict[str, Shape]:
        """See :meth:`recsys.sequential.neural.Neural.shapes`."""
        d = config.factors
        found: dict[str, Shape] = {"bias": (count,), "item.weight": (count, d)}
        for layer in range(config.layers):
            found |= {f"gru.{part}_l{layer}": (3 * d, d) if part.startswith("w") else (3 * d,) for part in _PARTS}
        return found


_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def fit_gru4rec(
    interactions: Interactions,
    config: Gru4RecConfig | None = None,
    *,
    rng: np.random.Generator | None = None,
    device: str = "auto",
) -> Gru4Rec:
    """Train GRU4Rec for as long as the NDCG@10 of each person's newest item gets better, then anew on those items too.

    The same rng gives the same model on the same processor with as many threads.

    Args:
        interactions: what happened; see :func:`recsys.sequential.paths.order` for the rule of order.
        config: options; ``None`` takes the defaults.
        rng: source of randomness; ``None`` takes seed 0.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``, for training alone.

    Raises:
        DataError: there are no interactions, or the loss is no longer a number.
        MissingDependencyError: torch is not installed.
        UsageError: torch sees no such device.
    """
    chosen = config or Gru4RecConfig()
    return fit_network(
        Gru4Rec, interactions, chosen, lambda count: build_network(chosen, count), rng=rng, device=device
    )


def build_network(config: Gru4RecConfig, count: int) -> Any:
    """The torch module whose arrays :class:`Gru4Rec` reads: codes (n, m), -1 at the end, to states (n, m, factors)."""
    torch, nn = require("torch", extra="torch"), require("torch.nn", extra="torch")
    module: Any = nn.Module
    d = config.factors

    class Network(module):  # type: ignore[misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.item = nn.Embedding(count, d)
            nn.init.normal_(self.item.weight, std=d**-0.5)
            between = config.dropout if config.layers > 1 else 0.0
            self.gru = nn.GRU(d, d, num_layers=config.layers, batch_first=True, dropout=between)
            self.drop = nn.Dropout(config.dropout)
            self.bias = nn.Parameter(torch.zeros(count))

        def forward(self, items: Any) -> Any:
            return self.drop(self.gru(self.drop(self.item(items.clamp(min=0))))[0])

    return Network()


def _sigmoid(values: Float32) -> Float32:
    found: Float32 = 0.5 * (1 + np.tanh(0.5 * values))
    return found
