"""From pixels to the array that a graph reads, by what the graph itself says of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from shared.backends import TensorSpec
from shared.errors import DataError
from shared.types import AnyArray, UInt8

Feed: TypeAlias = Callable[[UInt8], AnyArray]
"""From pixels, shape (1, rows, columns, 3), uint8, RGB, to what the graph reads."""


def feeder(spec: TensorSpec, options: Mapping[str, Any]) -> Feed:
    """How pixels become the input of a graph.

    A graph that reads uint8 gets the pixels themselves. One that reads float32 gets (value / 255 - mean) / std, channel
    by channel. Which axis holds the channels is seen from the shape.

    Args:
        spec: the graph's input, of shape (1, 3, rows, columns) or (1, rows, columns, 3).
        options: of the card; ``mean`` and ``std`` are on the scale 0..1, and 0 and 1 where they are not given.

    Raises:
        DataError: the input is neither uint8 nor float32, or has no axis of three channels.

    Example:
        >>> feed = feeder(TensorSpec("x", (1, 3, None, None), "float32"), {"mean": [0.5] * 3, "std": [0.5] * 3})
        >>> feed(np.full((1, 2, 2, 3), 255, np.uint8)).shape
        (1, 3, 2, 2)
    """
    if len(spec.shape) != 4 or 3 not in (spec.shape[1], spec.shape[3]) or spec.dtype not in ("uint8", "float32"):
        raise DataError(
            "an image graph must read uint8 or float32 of shape (1, 3, rows, columns) or (1, rows, columns, 3). "
            f"Its input {spec.name!r} is {spec.dtype} of shape {spec.shape}"
        )
    planes = spec.shape[1] == 3
    if spec.dtype == "uint8":
        return _planes if planes else _plain
    mean = np.array(options.get("mean", (0.0, 0.0, 0.0)), np.float64)
    std = np.array(options.get("std", (1.0, 1.0, 1.0)), np.float64)
    factor, shift = (1 / (255 * std)).astype(np.float32), (mean / std).astype(np.float32)

    def by_channel(pixels: UInt8) -> AnyArray:
        values = np.multiply(pixels, factor, dtype=np.float32)
        if shift.any():
            values -= shift
        return _planes(values) if planes else values

    return by_channel


def rows_and_columns(spec: TensorSpec) -> tuple[int | None, int | None]:
    """Height and width of the pictures that a graph reads; ``None`` where any goes.

    Example:
        >>> rows_and_columns(TensorSpec("x", (1, 480, 640, 3), "uint8"))
        (480, 640)
    """
    shape = spec.shape[2:] if spec.shape[1] == 3 else spec.shape[1:3]
    return shape[0], shape[1]


def _plain(pixels: AnyArray) -> AnyArray:
    return pixels


def _planes(pixels: AnyArray) -> AnyArray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
