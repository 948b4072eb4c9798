"""What is watched of a picture and of what was said of it.

A picture is looked at no larger than :data:`SIDE` pixels, which for a JPEG costs a part of its decoding. Of every task:

- ``width``, ``height`` (pixels, upright), ``aspect`` (width / height);
- ``brightness`` and ``contrast``: mean and standard deviation of the luma (ITU-R BT.601), in [0, 1];
- ``saturated``: share of pixels whose luma is at most 2 or at least 253 of 255, in [0, 1]: crushed or blown out;
- ``sharpness``: variance of the luma's Laplacian (luma in 0..255), low for a blurred picture (Pech-Pacheco et al.,
  "Diatom autofocusing in brightfield microscopy", ICPR 2000);
- ``colourfulness``: Hasler and Süsstrunk, "Measuring Colourfulness in Natural Images" (2003), 0 of a grey picture;
- an *embedding* of 64 numbers: a thumbnail of 16 x 16 x 3 values in [-1, 1] under a fixed projection of random signs
  (Achlioptas, "Database-friendly random projections", 2003), which keeps distances between thumbnails. It sees
  composition and colour, not meaning; :func:`vision.embedder` gives vectors that do.

Of the answers: the best label with its score as the confidence, the entropy of classes, and how many boxes, segments or
faces there are and how much of the picture they cover.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np

from shared.monitoring.signals import Observed, shares
from shared.types import Float32, Result, UInt8
from vision.images import ImageSource, View, load_view
from vision.types import Classification, Detections, Faces, Segmentation

SIDE = 128
"""Pixels of the longer side at which a picture is looked at."""
THUMBNAIL, DIMENSIONS = 16, 64
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def observe(item: Any, result: Result, *, predictor: Any = None) -> Observed:
    """What is watched of a picture and its result; see this module.

    An address is not fetched again: of such a picture the result alone is observed.

    Args:
        item: the picture, as the predictor was given it.
        result: what the predictor answered.
        predictor: is not asked anything here.

    Raises:
        InputError: the picture cannot be read any more.

    Example:
        >>> grey, cat = np.full((40, 20, 3), 51, np.uint8), Classification(("cat",), np.float32([0.9]), np.int32([3]))
        >>> seen = observe(grey, cat)
        >>> round(seen.numbers["brightness"], 3), seen.numbers["aspect"], seen.label
        (0.2, 0.5, 'cat')
    """
    numbers, embedding = ({}, None) if _elsewhere(item) else _picture(item)
    numbers |= _answer(result)
    label, confidence = _best(result)
    return Observed(numbers, {}, embedding, confidence, label)


def signals(pixels: UInt8) -> dict[str, float]:
    """Numbers of a small picture, shape (height, width, 3), uint8, RGB; see this module.

    Example:
        >>> signals(np.zeros((8, 8, 3), np.uint8))["saturated"]
        1.0
    """
    planes = pixels.astype(np.float32)
    luma = planes @ _LUMA
    red_green = planes[..., 0] - planes[..., 1]
    yellow_blue = 0.5 * (planes[..., 0] + planes[..., 1]) - planes[..., 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return {
        "brightness": float(luma.mean()) / 255,
        "contrast": float(luma.std()) / 255,
        "saturated": float(((luma <= 2) | (luma >= 253)).mean()),
        "sharpness": _sharpness(luma),
        "colourfulness": float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())),
    }


def _sharpness(luma: Float32) -> float:
    if min(luma.shape) < 3:
        return float("nan")
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * luma[1:-1, 1:-1]).var())


def thumbnail_vector(pixels: UInt8) -> Float32:
    """The embedding of a picture, shape (64,), float32; see this module."""
    rows = np.linspace(0, pixels.shape[0], THUMBNAIL + 1).astype(int)[:-1]
    columns = np.linspace(0, pixels.shape[1], THUMBNAIL + 1).astype(int)[:-1]
    tall, wide = np.diff([*rows, pixels.shape[0]]), np.diff([*columns, pixels.shape[1]])
    if min(tall.min(), wide.min()) < 1:
        small = pixels[rows.clip(0, pixels.shape[0] - 1)][:, columns.clip(0, pixels.shape[1] - 1)].astype(np.float32)
    else:
        sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float32), rows, 0), columns, 1)
        small = sums / (tall[:, None, None] * wide[None, :, None])
    return np.asarray((small.reshape(-1) / 127.5 - 1) @ _signs(), np.float32)


@lru_cache(maxsize=1)
def _signs() -> Float32:
    """The projection, shape (768, 64): signs out of a hash, the same on every machine and for ever."""
    length = THUMBNAIL * THUMBNAIL * 3
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(b"triptych thumbnail").digest(length * DIMENSIONS // 8), "u1"))
    signs = bits.reshape(length, DIMENSIONS).astype(np.float32) * 2 - 1
    return np.asarray(signs / np.sqrt(DIMENSIONS), np.float32)


def _picture(item: ImageSource) -> tuple[dict[str, float], Float32]:
    pixels, (height, width) = load_view(item, _view)
    size = {"width": float(width), "height": float(height), "aspect": width / height}
    return size | signals(pixels), thumbnail_vector(pixels)


def _view(height: int, width: int) -> View:
    scale = min(1.0, SIDE / max(height, width))
    return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))


def _elsewhere(item: Any) -> bool:
    return isinstance(item, str) and "://" in item[:12]


def _answer(result: Result) -> dict[str, float]:
    """Numbers of a result."""
    if isinstance(result, Classification):
        entropy, margin = shares(result.scores.tolist())
        return {"entropy": entropy, "margin": margin}
    if isinstance(result, Detections | Faces):
        sides = np.diff(result.xyxy.reshape(-1, 2, 2), axis=1)
        covered = float(sides.prod(axis=-1).sum()) / (result.image_size[0] * result.image_size[1])
        quality = {"quality": float(result.quality[0])} if isinstance(result, Faces) and len(result) else {}
        return {"count": float(len(result.scores)), "covered": covered} | quality
    if isinstance(result, Segmentation):
        return {"count": float(len(result.scores)), "covered": float(result.shares.sum())}
    return {}


def _best(result: Result) -> tuple[str | None, float | None]:
    """The best label and its score."""
    if isinstance(result, Classification | Detections | Segmentation) and len(result.scores):
        best = int(np.argmax(result.scores))
        return result.labels[best], float(result.scores[best])
    if isinstance(result, Faces) and len(result):
        return None, float(result.scores[0])
    return None, None
