"""SASRec: self-attention over the items of a path; each place looks at all before it.

W.-C. Kang and J. McAuley, "Self-attentive sequential recommendation", ICDM 2018, trained with the cross entropy of A.
Klenitskiy and A. Vasilev (RecSys 2023; see :mod:`recsys.sequential.training`) in the place of one negative and a
binary loss. Layers are normalised before attention and before the pointwise network, places count from the oldest item
that is looked at, and scores are products with the same item vectors that go in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recsys.data import Interactions
from recsys.sequential.neural import Neural, NeuralConfig, Shape, fit_network, normalise
from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Float32, Int32


@dataclass(frozen=True, kw_only=True)
class SasrecConfig(NeuralConfig):
    """Options of :func:`fit_sasrec`, beside those of :class:`~recsys.sequential.neural.NeuralConfig`.

    Attributes:
        blocks: layers of attention and pointwise network, at least 1.
        heads: parts that each attention is cut into, at least 1; ``factors`` must be a multiple.
    """

    blocks: int = field(default=2, metadata={"help": "layers of attention, at least 1"})
    heads: int = field(default=1, metadata={"help": "parts of each attention, a divisor of factors"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("blocks", "heads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if self.factors % self.heads:
            raise UsageError(f"factors must be a multiple of heads. Got {self.factors} and {self.heads}")


@dataclass(frozen=True, eq=False, repr=False)
class Sasrec(Neural):
    """Scores an item by its vector times the state of self-attention at the newest item of a path."""

    family: ClassVar[str] = "sasrec"
    options: ClassVar[Callable[..., NeuralConfig]] = SasrecConfig
    config: SasrecConfig

    def states(self, codes: Int32) -> Float32:
        """See :meth:`recsys.sequential.neural.Neural.states`."""
        found = self.weights["item.weight"][np.maximum(codes, 0)] + self.weights["place.weight"][: codes.shape[1]]
        newest = (codes >= 0).sum(axis=1) - 1
        every = np.arange(codes.shape[1])
        later = every[None, :] > every[:, None]  # (m, m): who may not be looked at from where
        for block in range(self.config.blocks - 1):
            found = self._block(block, found, found, later[None])
        ends = np.take_along_axis(
            found, newest[:, None, None], axis=1
        )  # of the last block only the newest place counts
        found = self._block(self.config.blocks - 1, ends, found, every[None, None, :] > newest[:, None, None])
        return normalise(found[:, 0], self.weights["norm.weight"], self.weights["norm.bias"])

    def _block(self, number: int, asking: Float32, asked: Float32, hidden: AnyArray) -> Float32:
        """One layer: states (n, q, d) look at states (n, m, d) but for those ``hidden`` (1 or n, q or 1, m)."""
        own = {part: self.weights[f"blocks.{number}.{part}"] for part in _block_shapes(self.config.factors)}
        d, heads = self.config.factors, self.config.heads
        scale, shift = own["attention_norm.weight"], own["attention_norm.bias"]
        weight, bias = own["attention_in.weight"], own["attention_in.bias"]
        query = normalise(asking, scale, shift) @ weight[:d].T + bias[:d]
        both = normalise(asked, scale, shift) @ weight[d:].T + bias[d:]
        query, key, value = (_heads(part, heads) for part in (query, both[..., :d], both[..., d:]))
        likeness = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(d // heads))  # (n, heads, q, m)
        likeness = np.where(hidden[:, None], -np.inf, likeness)
        shares = np.exp(likeness - likeness.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ value).swapaxes(1, 2).reshape(asking.shape)
        states = asking + mixed @ own["attention_out.weight"].T + own["attention_out.bias"]
        inner = normalise(states, own["forward_norm.weight"], own["forward_norm.bias"])
        inner = np.maximum(inner @ own["forward_in.weight"].T + own["forward_in.bias"], 0)
        found: Float32 = states + inner @ own["forward_out.weight"].T + own["forward_out.bias"]
        return found

    @classmethod
    def shapes(cls, config: SasrecConfig, count: int) -> dict[str, Shape]:
        """See :meth:`recsys.sequential.neural.Neural.shapes`."""
        d = config.factors
        found: dict[str, Shape] = {"item.weight": (count, d), "place.weight": (config.length, d)}
        for block in range(config.blocks):
            found |= {f"blocks.{block}.{name}": shape for name, shape in _block_shapes(d).items()}
        return found | {"norm.weight": (d,), "norm.bias": (d,)}


def fit_sasrec(
    interactions: Interactions,
    config: SasrecConfig | None = None,
    *,
    rng: np.random.Generator | None = None,
    device: str = "auto",
) -> Sasrec:
    """Train SASRec for as long as the NDCG@10 of each person's newest item gets better, then anew on those items too.

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
    chosen = config or SasrecConfig()
    return fit_network(Sasrec, interactions, chosen, lambda count: build_network(chosen, count), rng=rng, device=device)


def build_network(config: SasrecConfig, count: int) -> Any:
    """The torch module whose arrays :class:`Sasrec` reads: codes (n, m), -1 at the end, to states (n, m, factors)."""
    torch, nn = require("torch", extra="torch"), require("torch.nn", extra="torch")
    module: Any = nn.Module
    d, heads, dropout = config.factors, config.heads, config.dropout

    class Block(module):  # type: ignore[misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.attention_norm, self.forward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
            self.attention_in, self.attention_out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.forward_in, self.forward_out = nn.Linear(d, d), nn.Linear(d, d)
            self.drop = nn.Dropout(dropout)

        def forward(self, states: Any) -> Any:
            n, m, _ = states.shape
            parts = self.attention_in(self.attention_norm(states)).view(n, m, 3, heads, -1).permute(2, 0, 3, 1, 4)
            share = dropout if self.training else 0.0
            mixed = nn.functional.scaled_dot_product_attention(*parts, is_causal=True, dropout_p=share)
            states = states + self.drop(self.attention_out(mixed.transpose(1, 2).reshape(n, m, d)))
            inner = self.drop(torch.relu(self.forward_in(self.forward_norm(states))))
            return states + self.drop(self.forward_out(inner))

    class Network(module):  # type: ignore[misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.item, self.place = nn.Embedding(count, d), nn.Embedding(config.length, d)
            self.blocks = nn.ModuleList(Block() for _ in range(config.blocks))
            self.norm, self.drop = nn.LayerNorm(d), nn.Dropout(dropout)
            for table in (self.item, self.place):
                nn.init.normal_(table.weight, std=d**-0.5)

        def forward(self, items: Any) -> Any:
            # What follows the end of a path is looked at by nothing before it, so that it needs no mask.
            states = self.drop(self.item(items.clamp(min=0)) + self.place.weight[: items.shape[1]])
            for block in self.blocks:
                states = block(states)
            return self.norm(states)

    return Network()


def _block_shapes(d: int) -> dict[str, Shape]:
    norms = {f"{name}.{part}": (d,) for name in ("attention_norm", "forward_norm") for part in ("weight", "bias")}
    widths = {"attention_in": 3 * d, "attention_out": d, "forward_in": d, "forward_out": d}
    found: dict[str, Shape] = {**norms}
    for name, width in widths.items():
        found |= {f"{name}.weight": (width, d), f"{name}.bias": (width,)}
    return found


def _heads(states: Float32, heads: int) -> Float32:
    n, m, d = states.shape
    return states.reshape(n, m, heads, d // heads).swapaxes(1, 2)
