"""Results drawn on pictures."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from shared.errors import UsageError
from shared.types import UInt8
from vision.types import Classification, Detections, Faces

_COLOURS = (
    "#0b7285", "#c2255c", "#2b8a3e", "#d9480f", "#5f3dc4", "#5c940d", "#1864ab", "#862e9c", "#7f4f24", "#364fc7",
)  # fmt: skip
"""Dark enough for white letters (a contrast of at least 3.5 to 1); a class keeps its colour in every picture."""


def draw_detections(
    image: UInt8 | Image.Image, detections: Detections, *, min_score: float = 0.0, labels: bool = True
) -> Image.Image:
    """The picture with a box around each thing, and its label and score on the box.

    Lines and letters grow with the picture. Where the picture came smaller or larger than it was detected on, the
    boxes are scaled with it. The best boxes are drawn last, on top of the others.

    Args:
        image: shape (height, width, 3), uint8, RGB, or a PIL image; upright. It is not changed.
        detections: what was found in it.
        min_score: boxes below this score are left out.
        labels: whether the labels are written.

    Returns:
        An RGB image of the picture's size.

    Raises:
        UsageError: the picture's shape is not that of the picture that the detections belong to.

    Example:
        >>> import numpy as np
        >>> cat = Detections(("cat",), (8, 8), np.float32([[1, 1, 6, 6]]), np.float32([0.5]), np.int32([17]))
        >>> draw_detections(np.zeros((8, 8, 3), np.uint8), cat).size
        (8, 8)
    """
    picture = _fitting(image, detections.image_size)
    ids = getattr(detections, "track_ids", None)
    names = [f"{label} {score:.0%}" for label, score in zip(detections.labels, detections.scores.tolist())]
    if ids is not None:
        names = [f"#{at} {name}" if at >= 0 else name for at, name in zip(ids.tolist(), names)]
    numbers = detections.class_ids.tolist() if ids is None else ids.tolist()
    keep = [at for at, score in enumerate(detections.scores.tolist()) if score >= min_score]
    rows = [(detections.xyxy[at].tolist(), names[at] if labels else "", numbers[at]) for at in keep]
    return _draw_boxes(picture, detections.image_size, rows)


def draw_faces(image: UInt8 | Image.Image, faces: Faces) -> Image.Image:
    """The picture with a box around each face, its five landmarks, and its score and quality.

    Args:
        image: shape (height, width, 3), uint8, RGB, or a PIL image; upright. It is not changed.
        faces: what was found in it.

    Raises:
        UsageError: the picture's shape is not that of the picture that the faces belong to.
    """
    pairs = zip(faces.scores.tolist(), faces.quality.tolist())
    names = [f"{score:.0%} quality {quality:.0%}" for score, quality in pairs]
    rows = [(box, name, 0) for box, name in zip(faces.xyxy.tolist(), names)]
    picture = _draw_boxes(_fitting(image, faces.image_size), faces.image_size, rows)
    draw = ImageDraw.Draw(picture)
    radius = max(1, round(max(picture.size) / 320))
    across, down = picture.width / faces.image_size[1], picture.height / faces.image_size[0]
    for x, y in faces.landmarks.reshape(-1, 2).tolist():
        draw.circle((x * across, y * down), radius, fill=_COLOURS[1])
    return picture


def draw_classification(image: UInt8 | Image.Image, classification: Classification, *, most: int = 3) -> Image.Image:
    """The picture with the likeliest classes written in its corner.

    Args:
        image: shape (height, width, 3), uint8, RGB, or a PIL image; upright. It is not changed.
        classification: what it is of.
        most: classes that are written at most.

    Example:
        >>> import numpy as np
        >>> best = Classification(("cat",), np.float32([0.9]), np.int32([1]))
        >>> draw_classification(np.zeros((40, 60, 3), np.uint8), best).size
        (60, 40)
    """
    picture = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    picture = picture.copy()
    draw, font = ImageDraw.Draw(picture), _font(picture)
    y = 0
    for label, score in list(zip(classification.labels, classification.scores.tolist()))[:most]:
        y += _write(draw, f"{label} {score:.0%}", (0, y), _COLOURS[0], font, above=False)
    return picture


def _fitting(image: UInt8 | Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture as one of its own that may be drawn on, where its shape is that of ``size`` (height, width)."""
    picture = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    height, width = size
    if abs(picture.width * height - picture.height * width) > height + width:  # more than rounding to whole pixels
        raise UsageError(
            f"the picture must have the shape that the detections belong to, {width} x {height} or scaled evenly. "
            f"Got {picture.width} x {picture.height} instead"
        )
    return picture.copy()


def _draw_boxes(
    picture: Image.Image, size: tuple[int, int], rows: Sequence[tuple[Sequence[float], str, int]]
) -> Image.Image:
    """Boxes, texts (or empty ones) and numbers of colours, best first; the best are drawn last, on top."""
    draw, font = ImageDraw.Draw(picture), _font(picture)
    across, down = picture.width / size[1], picture.height / size[0]
    line = max(1, round(max(picture.size) / 320))
    for (x1, y1, x2, y2), text, number in reversed(rows):
        box = (round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down))
        colour = _COLOURS[number % len(_COLOURS)]
        draw.rectangle(box, outline=colour, width=line)
        if text:
            _write(draw, text, box[:2], colour, font)
    return picture


def _font(picture: Image.Image) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(11, round(max(picture.size) / 45)))


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    *,
    above: bool = True,
) -> int:
    """A label on a plate of the box's colour: above the box, or inside its top where there is no room; its height."""
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, round((bottom - top) / 5))
    wide, high = round(right - left) + 2 * pad, round(bottom - top) + 2 * pad
    x = max(0, min(corner[0], draw.im.size[0] - wide))
    y = corner[1] - high if above and corner[1] >= high else corner[1]
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    draw.text((x + pad - left, y + pad - top), text, fill="white", font=font)
    return high
