"""From aligned faces to embeddings, for any graph that reads one square picture of a face.

What a graph wants is data on its card, under ``options``::

    size = 112                         # side of the square in pixels; the graph's own when not given
    template = [[38.3, 51.7], ...]     # where the five landmarks lie in it; ArcFace's, scaled, when not given
    channels = "rgb"                   # or "bgr"
    mean = [0.5, 0.5, 0.5]             # on the scale 0..1, as std; 0 and 1 when not given
    std = [0.5, 0.5, 0.5]
    mirror = true                      # whether the embeddings of a face and its mirror image are added
    thresholds = { "0.001" = 0.36 }    # similarity at which the false-accept rate is so much
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.backends import Backend
from shared.catalogue import ModelCard
from shared.errors import BackendError, DataError
from shared.types import Float32, Float64, UInt8
from vision.faces.align import ARCFACE, ARCFACE_SIDE
from vision.opening import GRAPHS, answers
from vision.tensors import Feed, feeder, rows_and_columns

_CHANNELS = ("rgb", "bgr")
_SHAPING = ("size", "template", "channels", "mean", "std", "mirror")
"""Options that change an embedding."""


@dataclass(frozen=True)
class Embedder:
    """A graph that turns faces into vectors. Use :func:`make_embedder`.

    Attributes:
        backend: the loaded graph.
        size: side of the square that it reads, in pixels.
        template: shape (5, 2), where the landmarks lie in the square, in pixels.
        dimension: numbers in an embedding.
        mirror: whether a face's mirror image is embedded too.
        channels: ``"rgb"`` or ``"bgr"``.
        feed: from pixels to what the graph reads.
    """

    backend: Backend
    size: int
    template: Float64
    dimension: int
    mirror: bool
    channels: str
    feed: Feed

    def __call__(self, crops: Sequence[UInt8]) -> Float32:
        """Embeddings of aligned faces.

        Args:
            crops: n arrays of shape (size, size, 3), uint8, RGB.

        Returns:
            Shape (n, dimension), float32, each of unit length.

        Raises:
            BackendError: the graph answers with a vector that has no direction.
        """
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        ordered = [crop[..., ::-1] if self.channels == "bgr" else crop for crop in crops]
        given = [*ordered, *(crop[:, ::-1] for crop in ordered)] if self.mirror else ordered
        found = answers(self.backend, [self.feed(crop[None]) for crop in given])
        raw = np.stack([next(iter(answer.values())).reshape(-1) for answer in found]).astype(np.float64)
        if self.mirror:
            raw = raw[: len(crops)] + raw[len(crops) :]
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise BackendError("an embedding must have a direction. The graph answered with zeros or no numbers")
        embeddings: Float32 = (raw / lengths).astype(np.float32)
        return embeddings


def make_embedder(card: ModelCard, backend: Backend) -> Embedder:
    """An embedder by its card.

    Raises:
        DataError: the card's options, or the graph's shapes, are not those of an embedder.
    """
    where = f"{card.origin}: model {card.name!r}"
    if len(backend.inputs) != 1 or len(backend.outputs) != 1:
        raise DataError(
            f"{where} must have a graph of one input and one output. "
            f"Got {len(backend.inputs)} inputs and {len(backend.outputs)} outputs instead"
        )
    feed = feeder(backend.inputs[0], card.options)
    rows, columns = rows_and_columns(backend.inputs[0])
    size = card.options.get("size", rows)
    if not isinstance(size, int) or size < 1 or (rows or size, columns or size) != (size, size):
        raise DataError(f"{where}: option size must be the side of the graph's square input. Got {size!r} instead")
    template = np.array(card.options.get("template", np.array(ARCFACE) * (size / ARCFACE_SIDE)), np.float64)
    if template.shape != (5, 2):
        raise DataError(f"{where}: option template must be five points x, y. Got shape {template.shape} instead")
    channels = card.options.get("channels", "rgb")
    if channels not in _CHANNELS:
        raise DataError(f"{where}: option channels must be 'rgb' or 'bgr'. Got {channels!r} instead")
    dimension = _dimension(where, backend)
    return Embedder(backend, size, template, dimension, bool(card.options.get("mirror", False)), channels, feed)


def embedder_id(card: ModelCard) -> str:
    """What embeddings must share to be compared: the graph's bytes, and how faces are shown to it.

    Neither the model's name nor its thresholds count, so that a model calibrated anew reads the same galleries.
    """
    shaping = {name: card.options[name] for name in _SHAPING if name in card.options}
    graphs = [file for file in card.files if file.name.endswith(GRAPHS)]
    files = sorted(file.sha256 or ",".join(file.sources) for file in graphs)
    return hashlib.sha256(json.dumps([files, shaping], sort_keys=True).encode()).hexdigest()[:32]


def _dimension(where: str, backend: Backend) -> int:
    sides = [side for side in backend.outputs[0].shape[1:] if side != 1]
    if len(sides) != 1 or not sides[0]:
        raise DataError(
            f"{where} must answer with one vector for a face, of a fixed length. "
            f"Got shape {backend.outputs[0].shape} instead"
        )
    return int(sides[0])
