"""What is watched of a picture and of what was said of it.

A JPEG is decoded once more, at a half to an eighth of its size. Its light is looked at with a longer side of
:data:`SIDE` pixels at most, as a smaller one hides blur; its colours with :data:`COLOURS`. Of every task:

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
from PIL import Image

from shared.monitoring.signals import Observed, shares
from shared.types import Float32, Result
from vision.images import ImageSource, glance
from vision.types import Classification, Detections, Faces, Segmentation

SIDE, COLOURS = 256, 64
"""Pixels of the longer side at which light and colours are looked at."""
THUMBNAIL, DIMENSIONS = 16, 64
_LEVELS = np.arange(256.0)


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


def signals(picture: Image.Image) -> dict[str, float]:
    """Numbers of an RGB picture; see this module.

    Example:
        >>> signals(Image.new("RGB", (8, 8)))["saturated"]
        1.0
    """
    return _light(picture) | _colourfulness(_colours(picture))


def _light(picture: Image.Image) -> dict[str, float]:
    luma = picture.convert("L")
    if max(luma.size) > SIDE:
        luma = luma.resize(_within(luma.size, SIDE), Image.Resampling.BILINEAR)
    counts = np.array(luma.histogram()) / (luma.width * luma.height)
    mean = float(counts @ _LEVELS)
    return {
        "brightness": mean / 255,
        "contrast": float(np.sqrt(counts @ (_LEVELS - mean) ** 2)) / 255,
        "saturated": float(counts[:3].sum() + counts[253:].sum()),
        "sharpness": _sharpness(np.asarray(luma, np.float32)),
    }


def _colourfulness(colours: Image.Image) -> dict[str, float]:
    planes = np.asarray(colours, np.float32)
    red_green = planes[..., 0] - planes[..., 1]
    yellow_blue = 0.5 * (planes[..., 0] + planes[..., 1]) - planes[..., 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return {"colourfulness": float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))}


def _sharpness(luma: Float32) -> float:
    if min(luma.shape) < 3:
        return float("nan")
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * luma[1:-1, 1:-1]).var())


def thumbnail_vector(picture: Image.Image) -> Float32:
    """The embedding of an RGB picture, shape (64,), float32; see this module."""
    small = np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32)
    return np.asarray((small.reshape(-1) / 127.5 - 1) @ _signs(), np.float32)


def _colours(picture: Image.Image) -> Image.Image:
    """The picture with a longer side of :data:`COLOURS` pixels at most."""
    if max(picture.size) <= COLOURS:
        return picture
    # A gap: most of the way by whole pixels, which is cheap, and the rest exactly.
    return picture.resize(_within(picture.size, COLOURS), Image.Resampling.BOX, reducing_gap=1.5)


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    share = side / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


@lru_cache(maxsize=1)
def _signs() -> Float32:
    """The projection, shape (768, 64): signs out of a hash, the same on every machine and for ever."""
    length = THUMBNAIL * THUMBNAIL * 3
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(b"triptych thumbnail").digest(length * DIMENSIONS // 8), "u1"))
    signs = bits.reshape(length, DIMENSIONS).astype(np.float32) * 2 - 1
    return np.asarray(signs / np.sqrt(DIMENSIONS), np.float32)


def _picture(item: ImageSource) -> tuple[dict[str, float], Float32]:
    picture, (height, width) = glance(item, SIDE)
    size = {"width": float(width), "height": float(height), "aspect": width / height}
    colours = _colours(picture)
    return size | _light(picture) | _colourfulness(colours), thumbnail_vector(colours)


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
