"""Family ``matting``: one map that says how much of each cell is foreground.

The map is (1, 1, rows, columns), in [0, 1]; of a graph of several outputs the card names it as ``output``, else it is
the first. With ``stretch = true`` its least and greatest value become 0 and 1, as U²-Net's authors do (X. Qin et al.,
Pattern Recognition 106, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Float32, UInt8
from vision.detection.prepare import Letterbox
from vision.masks import encode_mask, rle_area, rle_box
from vision.reader import Kept, Reader
from vision.segmentation.readers import Asked
from vision.segmentation.resample import part_of_map, resample
from vision.types import Segmentation

OPAQUE = 128
"""Least alpha of the pixels that the foreground's mask holds: half of it or more is foreground."""
_FLAT = 1e-6
"""A map whose values differ by no more is not stretched: noise would become a foreground."""


def reader(card: ModelCard, outputs: Sequence[TensorSpec], asked: Asked) -> Reader[Segmentation]:
    """How a graph of this family is read; see :data:`vision.segmentation.graphs.FAMILIES`.

    Raises:
        DataError: it has no such output.
    """
    wanted = card.options.get("output")
    named = [output for output in outputs if wanted in (None, output.name)]
    if not named or named[0].dtype != "float32" or len(named[0].shape) < 2:
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with a float32 map {wanted or ''} of the foreground. "
            f"Got {[(output.name, output.dtype, output.shape) for output in outputs]} instead"
        )
    name, stretch = named[0].name, card.options.get("stretch", False)

    def keep(answer: dict[str, AnyArray]) -> Kept:
        values = answer[name]
        return {"alpha": opacity(values.reshape(values.shape[-2:]), stretch=stretch)}

    def decode(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        part = part_of_map(given, found["alpha"].shape)
        return foreground(resample(found["alpha"], part, given.outer), asked)

    return Reader(keep, decode)


def opacity(values: AnyArray, *, stretch: bool) -> Float32:
    """A network's map in [0, 1], in an array of its own.

    Example:
        >>> opacity(np.float32([[0.25, 0.5, 0.75]]), stretch=True)
        array([[0. , 0.5, 1. ]], dtype=float32)
    """
    alpha: Float32 = np.clip(values, 0, 1).astype(np.float32)
    if stretch:
        low, high = float(alpha.min()), float(alpha.max())
        if high - low > _FLAT:
            alpha = (alpha - np.float32(low)) / np.float32(high - low)
    return alpha


def foreground(alpha: AnyArray, asked: Asked) -> Segmentation:
    """The result of one picture.

    Args:
        alpha: shape (height, width), in [0, 1], at the picture's own size.
        asked: what the user asked for; its one class is the foreground.
    """
    opaque: UInt8 = np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
    mask = encode_mask(opaque >= OPAQUE)
    area = rle_area(mask)
    number, name = next(iter(asked.classes.names.items()))
    score = float(opaque[opaque >= OPAQUE].mean() / 255) if area else 0.0
    there = area > 0 and score >= asked.score_threshold
    n = int(there)
    return Segmentation(
        "foreground",
        (opaque.shape[0], opaque.shape[1]),
        (name,) * n,
        (mask,) * n,
        rle_box(mask).reshape(1, 4)[:n],
        np.array([score], np.float32)[:n],
        np.array([number], np.int32)[:n],
        np.array([area], np.int64)[:n],
        opaque,
    )
