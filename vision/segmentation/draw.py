"""Segmentations drawn on pictures, and foregrounds cut out of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from shared.errors import UsageError
from shared.types import AnyArray, UInt8
from vision.polygons import mask_polygons
from vision.types import Segmentation

COLOURS = (
    (11, 114, 133), (194, 37, 92), (43, 138, 62), (217, 72, 15), (95, 61, 196), (240, 140, 0), (24, 100, 171),
    (156, 54, 181), (127, 79, 36), (54, 79, 199),
)  # fmt: skip
"""A class keeps its colour in every picture; things of one class take turns."""
OPACITY = 0.5


def colour_of(segmentation: Segmentation, at: int) -> tuple[int, int, int]:
    """The colour of one segment: that of its class, or for things and prompts that of its position."""
    number = int(segmentation.class_ids[at]) if segmentation.kind == "semantic" else at
    return COLOURS[number % len(COLOURS)]


def draw_segmentation(
    image: UInt8 | Image.Image, segmentation: Segmentation, *, opacity: float = OPACITY, outlines: bool = True
) -> Image.Image:
    """The picture with each segment in a colour of its own; a foreground shows the rest of the picture faded.

    Where the picture came smaller or larger than it was segmented, the masks are scaled with it.

    Args:
        image: shape (height, width, 3), uint8, RGB, or a PIL image; upright. It is not changed.
        segmentation: what was found in it.
        opacity: of the colours, in [0, 1].
        outlines: whether the segments' outlines are drawn too.

    Returns:
        An RGB image of the picture's size.

    Raises:
        UsageError: ``opacity`` is out of its range, or the picture's shape is not that of the picture that was
            segmented.

    Example:
        >>> from vision.masks import encode_mask
        >>> left = encode_mask(np.array([[1, 0], [1, 0]]))
        >>> box, score, number, area = np.float32([[0, 0, 1, 2]]), np.float32([0.9]), np.int32([1]), np.int64([2])
        >>> found = Segmentation("semantic", (2, 2), ("cat",), (left,), box, score, number, area)
        >>> np.asarray(draw_segmentation(np.zeros((2, 2, 3), np.uint8), found, outlines=False))[0].tolist()
        [[97, 18, 46], [0, 0, 0]]
    """
    if not 0 <= opacity <= 1:
        raise UsageError(f"opacity must lie in [0, 1]. Got {opacity} instead")
    picture = _fitting(image, segmentation)
    pixels = np.asarray(picture).astype(np.float32)
    if segmentation.alpha is not None:
        shown = _scaled(segmentation.alpha, picture).astype(np.float32)[..., None] / 255
        faded = pixels * (1 - opacity) + 255 * opacity
        return Image.fromarray(np.rint(pixels * shown + faded * (1 - shown)).astype(np.uint8))
    for at in reversed(range(len(segmentation.masks))):
        inside = _scaled(segmentation.mask(at).astype(np.uint8), picture) > 0
        pixels[inside] = pixels[inside] * (1 - opacity) + np.array(colour_of(segmentation, at), np.float32) * opacity
    drawn = Image.fromarray(np.rint(pixels).astype(np.uint8))
    if outlines:
        _draw_outlines(drawn, segmentation)
    return drawn


def cut_out(image: UInt8 | Image.Image, segmentation: Segmentation) -> Image.Image:
    """The picture with everything else transparent: the foreground by its alpha, else what is in any segment.

    Args:
        image: as in :func:`draw_segmentation`.
        segmentation: what was found in it.

    Returns:
        An RGBA image of the picture's size, to be saved as PNG or WebP. Colours are the picture's own.

    Raises:
        UsageError: the picture's shape is not that of the picture that was segmented.
    """
    picture = _fitting(image, segmentation)
    alpha = segmentation.alpha
    if alpha is None:
        inside = np.zeros(segmentation.image_size, np.bool_)
        for at in range(len(segmentation.masks)):
            inside |= segmentation.mask(at)
        alpha = inside.astype(np.uint8) * np.uint8(255)
    picture.putalpha(Image.fromarray(_scaled(alpha, picture)))
    return picture


def _draw_outlines(picture: Image.Image, segmentation: Segmentation) -> None:
    height, width = segmentation.image_size
    scale = np.array([picture.width / width, picture.height / height])
    line = max(1, round(max(picture.size) / 480))
    draw = ImageDraw.Draw(picture)
    for at in reversed(range(len(segmentation.masks))):
        for ring in mask_polygons(segmentation.masks[at], tolerance=0.5, holes=True):
            corners = [tuple(corner) for corner in (ring * scale).tolist()]
            draw.line([*corners, corners[0]], fill=colour_of(segmentation, at), width=line)


def _fitting(image: UInt8 | Image.Image, segmentation: Segmentation) -> Image.Image:
    """The picture as an RGB image of its own, if it can be the one that was segmented."""
    picture = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    height, width = segmentation.image_size
    if abs(picture.width * height - picture.height * width) > height + width:  # more than rounding to whole pixels
        raise UsageError(
            f"the picture must have the shape that the segments belong to, {width} x {height} or scaled evenly. "
            f"Got {picture.width} x {picture.height} instead"
        )
    return picture.copy()


def _scaled(values: AnyArray, picture: Image.Image) -> UInt8:
    if values.shape == (picture.height, picture.width):
        return values
    smooth = values.max(initial=0) > 1
    filter_ = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(values).resize(picture.size, filter_))
