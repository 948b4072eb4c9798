"""Adapters: what fine-tuning changed of an encoder, small enough to be kept beside the code.

``adapter.safetensors`` holds float16 tensors by the checkpoint's own names:

- ``LAYER.lora_A.weight`` (rank, in) and ``LAYER.lora_B.weight`` (out, rank): the layer's weight is the base's plus
  B A, with no further factor (E. J. Hu and others, "LoRA", ICLR 2022);
- any other name of the base: the tensor in its place (biases and norms);
- ``head.weight`` and ``head.bias``: the head; ``features.weight``: vectors of the codes that stand beside the words.

Its card's ``options`` name the ``base`` and ``base_sha256``, the hash of its weights, and the ``head``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nlp.graphs.parts import Base, shapes
from shared.errors import DataError
from shared.lazy import require
from shared.types import AnyArray, Float32

ADAPTER = "adapter.safetensors"
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
_OWN = ("head.weight", "head.bias", "features.weight")


def adapter_bytes(tensors: Mapping[str, AnyArray]) -> bytes:
    """The file of an adapter; equal tensors give equal bytes.

    Raises:
        DataError: a value is no number, or too large for float16.
    """
    made = {}
    for name in sorted(tensors):
        with np.errstate(over="ignore"):
            made[name] = np.ascontiguousarray(tensors[name], dtype=np.float16)
        if not np.isfinite(made[name]).all():
            raise DataError(f"{name} must hold numbers below 65,504. The training went astray: lower the learning rate")
    content: bytes = require("safetensors.numpy", extra="all").save(made)
    return content


def read_adapter(path: Path) -> dict[str, Float32]:
    """The tensors of an adapter.

    Raises:
        DataError: the file is none.
    """
    library = require("safetensors", extra="all")
    try:
        tensors = require("safetensors.numpy", extra="all").load(path.read_bytes())
    except (OSError, library.SafetensorError, KeyError) as error:
        raise DataError(f"{path} must be an adapter in safetensors form. {error}") from error
    return {name: np.asarray(values, dtype=np.float32) for name, values in tensors.items()}


def merge(base: Base, adapter: Mapping[str, Float32], *, origin: str) -> dict[str, Float32]:
    """The base's tensors with the adapter's in them, and those of the head.

    Args:
        base: the encoder.
        adapter: as :func:`read_adapter` gives it.
        origin: of the adapter, for messages.

    Raises:
        DataError: a tensor is of no part of the base, or of another shape.
    """
    wanted = shapes(base.shape)
    merged = dict(base.tensors)
    for name, values in adapter.items():
        if name.endswith(DOWN):
            part = name.removesuffix(DOWN)
            up = adapter.get(part + UP)
            place = f"{part}.weight"
            added = (
                up @ values if up is not None and up.ndim == values.ndim == 2 and up.shape[1] == len(values) else None
            )
            if added is None or place not in wanted or added.shape != wanted[place]:
                raise DataError(f"{origin}: {name} must fit a layer of the base, with {part}{UP} beside it")
            merged[place] = base.tensors[place] + added
        elif name.endswith(UP):
            if name.removesuffix(UP) + DOWN not in adapter:
                raise DataError(f"{origin}: {name} must have its {DOWN[1:]} beside it")
        elif name in _OWN or wanted.get(name) == values.shape:
            merged[name] = values
        else:
            raise DataError(f"{origin}: {name} of shape {values.shape} must be a tensor of the base or of a head")
    return merged
