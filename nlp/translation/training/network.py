"""The network: an encoder-decoder transformer with a deep encoder and a shallow decoder, norms first.

A. Vaswani et al., "Attention is all you need", NeurIPS 2017; norms before each part: R. Xiong et al., ICML 2020; one
table of embeddings for source, target and output: O. Press and L. Wolf, EACL 2017; a shallow decoder: J. Kasai et al.,
ICLR 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.training.attention import attend
from shared.types import Float32

LONGEST = 256
"""Tokens of a side for which positions are known."""


@dataclass(frozen=True)
class Shape:
    """How large the network is.

    Attributes:
        vocabulary: tokens of both sides together.
        width: numbers of a token, divisible by ``heads``.
        heads: of every attention.
        hidden: numbers between the two halves of a feed-forward part.
        encoder_layers: of the source side.
        decoder_layers: of the target side.
        dropout: share of the outputs of every part that is dropped in training, in [0, 1).

    Raises:
        UsageError: a value is out of its range.
    """

    vocabulary: int
    width: int = 256
    heads: int = 4
    hidden: int = 1024
    encoder_layers: int = 6
    decoder_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "heads", "hidden", "encoder_layers", "decoder_layers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1. Got {getattr(self, name)} instead")
        if self.width % (2 * self.heads):
            raise UsageError(f"width must be divisible by twice the heads. Got {self.width} and {self.heads} instead")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be in [0, 1). Got {self.dropout} instead")


def positions(length: int, width: int) -> Float32:
    """Codes of places, shape (length, width), float32: sines in the first half of the width, cosines in the second."""
    half = width // 2
    rates = np.exp(np.arange(half) * (-math.log(10000.0) / (half - 1)))
    angles = np.arange(length)[:, None] * rates[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1, dtype=np.float32)


def build_network(shape: Shape) -> Any:
    """The network with random weights from torch's generator as it stands.

    Its ``forward(source, source_real, target)`` takes int64 ids (n, source tokens), a bool mask of the same shape that
    is true for real tokens, and int64 ids (n, target tokens) that begin with the start token; it returns float32 (n,
    target tokens, width), which ``logits`` turns into (..., vocabulary).
    """
    torch = require("torch", extra="torch")
    nn, functional = torch.nn, torch.nn.functional
    module: Any = nn.Module

    class Attention(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Linear(shape.width, shape.width)
            self.keys_values = nn.Linear(shape.width, 2 * shape.width)
            self.out = nn.Linear(shape.width, shape.width)

        def forward(self, x: Any, memory: Any, mask: Any, *, causal: bool) -> Any:
            def heads(y: Any) -> Any:  # (n, tokens, width) -> (n, heads, tokens, width / heads)
                return y.view(*y.shape[:2], shape.heads, -1).transpose(1, 2)

            keys, values = self.keys_values(memory).chunk(2, dim=-1)
            mixed = attend(heads(self.query(x)), heads(keys), heads(values), mask, causal=causal)
            return self.out(mixed.transpose(1, 2).reshape(x.shape))

    class Layer(module):  # type: ignore[misc]
        def __init__(self, *, crossed: bool) -> None:
            super().__init__()
            self.attention_norm, self.attention = nn.LayerNorm(shape.width), Attention()
            if crossed:
                self.cross_norm, self.cross = nn.LayerNorm(shape.width), Attention()
            self.norm = nn.LayerNorm(shape.width)
            self.grow, self.shrink = nn.Linear(shape.width, shape.hidden), nn.Linear(shape.hidden, shape.width)
            self.drop = nn.Dropout(shape.dropout)

        def forward(self, x: Any, mask: Any, memory: Any = None, memory_mask: Any = None) -> Any:
            normed = self.attention_norm(x)
            x = x + self.drop(self.attention(normed, normed, mask, causal=memory is not None))
            if memory is not None:
                x = x + self.drop(self.cross(self.cross_norm(x), memory, memory_mask, causal=False))
            return x + self.drop(self.shrink(self.grow(self.norm(x)).relu()))

    class Network(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(shape.vocabulary, shape.width)
            nn.init.normal_(self.embedding.weight, std=shape.width**-0.5)
            self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
            self.encoder = nn.ModuleList(Layer(crossed=False) for _ in range(shape.encoder_layers))
            self.decoder = nn.ModuleList(Layer(crossed=True) for _ in range(shape.decoder_layers))
            self.encoder_norm, self.decoder_norm = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
            self.drop = nn.Dropout(shape.dropout)
            self.register_buffer("positions", torch.from_numpy(positions(LONGEST, shape.width)), persistent=False)
            for linear in self.modules():
                if isinstance(linear, nn.Linear):
                    nn.init.xavier_uniform_(linear.weight)
                    nn.init.zeros_(linear.bias)

        def embedded(self, ids: Any) -> Any:
            return self.drop(self.embedding(ids) * math.sqrt(shape.width) + self.positions[: ids.shape[1]])

        def encode(self, source: Any, source_real: Any) -> Any:
            x, mask = self.embedded(source), source_real[:, None, None, :]
            for layer in self.encoder:
                x = layer(x, mask)
            return self.encoder_norm(x)

        def decode(self, target: Any, memory: Any, source_real: Any) -> Any:
            x, mask = self.embedded(target), source_real[:, None, None, :]
            for layer in self.decoder:
                x = layer(x, None, memory, mask)
            return self.decoder_norm(x)

        def logits(self, x: Any) -> Any:
            return functional.linear(x, self.embedding.weight, self.bias)

        def forward(self, source: Any, source_real: Any, target: Any) -> Any:
            return self.decode(target, self.encode(source, source_real), source_real)

    return Network()
