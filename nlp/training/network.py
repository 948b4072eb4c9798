"""A BERT encoder with a head, on torch: whole layers trained, or low-rank additions to them.

LoRA: E. J. Hu and others, "LoRA: low-rank adaptation of large language models", ICLR 2022. Beside the low-rank
matrices the biases and norms are trained (E. Ben Zaken and others, "BitFit", ACL 2022): few numbers, no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from nlp.graphs.parts import (
    ATTENDED,
    DOWN,
    EMBEDDING_NORM,
    KEY,
    LINEARS,
    NORMS,
    POSITIONS,
    QUERY,
    TYPES,
    UP,
    VALUE,
    WORDS,
    Base,
    EncoderShape,
    layer,
)
from shared.lazy import require
from shared.training.attention import attend

HEADS = ("text", "tokens", "spans")
"""What the head answers: logits of labels for a text, of tags for each token, of start and end for each token."""


@dataclass(frozen=True)
class Adapting:
    """What of an encoder is trained.

    Attributes:
        rank: of the low-rank additions; 0 trains the layers whole.
        layers: how many of them, counted from the top; the others stay as they are.
        dropout: share of values that is dropped after each part, in [0, 1).
    """

    rank: int
    layers: int
    dropout: float


def build_network(base: Base, adapting: Adapting, *, head: str, outputs: int, features: int = 0) -> Any:
    """The network, its new parts drawn from torch's generator as it stands.

    Args:
        base: what it begins with.
        adapting: what of it is trained.
        head: one of :data:`HEADS`.
        outputs: logits of the head.
        features: how many codes a token can have beside its word; 0 where there are none.
    """
    return _class()(base.shape, base.tensors, adapting, head=head, outputs=outputs, features=features)


@cache
def _class() -> type[Any]:
    torch = require("torch", extra="torch")
    functional = torch.nn.functional

    class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
        """The encoder and its head; parameters are called as in the checkpoint, dots written as underscores twice."""

        def __init__(
            self,
            shape: EncoderShape,
            tensors: Mapping[str, Any],
            adapting: Adapting,
            *,
            head: str,
            outputs: int,
            features: int,
        ) -> None:
            super().__init__()
            self.shape, self.adapting, self.head_kind = shape, adapting, head
            self.values = torch.nn.ParameterDict()
            first = shape.layers - adapting.layers
            trained = {norm for number in range(first, shape.layers) for norm in _parts(number, NORMS)}
            linear = {part for number in range(first, shape.layers) for part in _parts(number, LINEARS)}
            for name, values in tensors.items():
                owner, _, kind = name.rpartition(".")
                moves = owner in trained or (owner in linear and (kind == "bias" or not adapting.rank))
                self.values[_key(name)] = torch.nn.Parameter(torch.tensor(values), requires_grad=moves)
            for part in sorted(linear) if adapting.rank else ():
                rows, columns = tensors[f"{part}.weight"].shape
                down = torch.randn(adapting.rank, columns) * columns**-0.5
                self.values[_key(f"{part}.lora_A.weight")] = torch.nn.Parameter(down)
                self.values[_key(f"{part}.lora_B.weight")] = torch.nn.Parameter(torch.zeros(rows, adapting.rank))
            if features:
                self.values[_key("features.weight")] = torch.nn.Parameter(torch.zeros(features, shape.hidden))
            self.values[_key("head.weight")] = torch.nn.Parameter(torch.randn(outputs, shape.hidden) * 0.02)
            self.values[_key("head.bias")] = torch.nn.Parameter(torch.zeros(outputs))

        def value(self, name: str) -> Any:
            return self.values[_key(name)]

        def linear(self, name: str, given: Any) -> Any:
            found = functional.linear(given, self.value(f"{name}.weight"), self.value(f"{name}.bias"))
            down = _key(f"{name}.lora_A.weight")
            if down not in self.values:
                return found
            return found + functional.linear(
                functional.linear(given, self.values[down]), self.value(f"{name}.lora_B.weight")
            )

        def norm(self, name: str, given: Any) -> Any:
            weight, bias = self.value(f"{name}.weight"), self.value(f"{name}.bias")
            return functional.layer_norm(given, (self.shape.hidden,), weight, bias, self.shape.eps)

        def drop(self, given: Any) -> Any:
            return functional.dropout(given, self.adapting.dropout, self.training)

        def embed(self, ids: Any, types: Any, features: Any) -> Any:
            found = functional.embedding(ids, self.value(WORDS)) + self.value(POSITIONS)[: ids.shape[1]]
            found = found + functional.embedding(types, self.value(TYPES))
            if features is not None:
                found = found + functional.embedding(features, self.value("features.weight"))
            return self.drop(self.norm(EMBEDDING_NORM, found))

        def encode(self, ids: Any, types: Any, mask: Any, features: Any = None) -> Any:
            """Token vectors, shape (n, tokens, hidden); ``mask`` is true where a token stands, or ``None``."""
            states = self.embed(ids, types, features)
            n, tokens, hidden = states.shape
            seen = None if mask is None else mask[:, None, None, :]
            heads = (n, tokens, self.shape.heads, hidden // self.shape.heads)
            for number in range(self.shape.layers):
                query, key, value = (
                    self.linear(layer(number, part), states).view(heads).transpose(1, 2) for part in (QUERY, KEY, VALUE)
                )
                met = attend(query, key, value, seen)
                met = self.linear(layer(number, ATTENDED), met.transpose(1, 2).reshape(n, tokens, hidden))
                states = self.norm(layer(number, NORMS[0]), states + self.drop(met))
                inner = functional.gelu(self.linear(layer(number, UP), states))
                outer = self.linear(layer(number, DOWN), inner)
                states = self.norm(layer(number, NORMS[1]), states + self.drop(outer))
            return states

        def pooled(self, ids: Any, types: Any, mask: Any, features: Any = None) -> Any:
            """The mean of each text's token vectors, shape (n, hidden)."""
            states = self.encode(ids, types, mask, features)
            if mask is None:
                return states.mean(1)
            share = mask.to(states.dtype)
            return (states * share[:, :, None]).sum(1) / share.sum(1, keepdim=True)

        def forward(self, ids: Any, types: Any, mask: Any, features: Any = None) -> Any:
            """Logits, shape (n, outputs) or (n, tokens, outputs)."""
            given = (ids, types, mask, features)
            states = self.pooled(*given) if self.head_kind == "text" else self.encode(*given)
            return functional.linear(self.drop(states), self.value("head.weight"), self.value("head.bias"))

    return Network


def _parts(number: int, parts: tuple[str, ...]) -> list[str]:
    return [layer(number, part) for part in parts]


def _key(name: str) -> str:
    """A tensor's name as torch takes it for a parameter."""
    return name.replace(".", "__")


def trained_tensors(network: Any) -> dict[str, Any]:
    """What training has changed, by name: torch tensors on the CPU."""
    return {
        name.replace("__", "."): value.detach().cpu() for name, value in network.values.items() if value.requires_grad
    }


def all_tensors(network: Any) -> dict[str, Any]:
    """Every tensor of the network by name, on the CPU."""
    return {name.replace("__", "."): value.detach().cpu() for name, value in network.values.items()}
