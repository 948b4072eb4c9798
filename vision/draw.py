"""Results drawn on pictures."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from shared.errors import UsageError
from shared.types import UInt8
from vision.types import Detections

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
    picture = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    height, width = detections.image_size
    across, down = picture.width / width, picture.height / height
    if abs(picture.width * height - picture.height * width) > height + width:  # more than rounding to whole pixels
        raise UsageError(
            f"the picture must have the shape that the detections belong to, {width} x {height} or scaled evenly. "
            f"Got {picture.width} x {picture.height} instead"
        )
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    longest = max(picture.size)
    line = max(1, round(longest / 320))
    font = ImageFont.load_default(size=max(11, round(longest / 45)))
    rows = zip(detections.xyxy.tolist(), detections.labels, detections.scores.tolist(), detections.class_ids.tolist())
    for (x1, y1, x2, y2), label, score, class_id in reversed(list(rows)):
        if score < min_score:
            continue
        box = (round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down))
        colour = _COLOURS[class_id % len(_COLOURS)]
        draw.rectangle(box, outline=colour, width=line)
        if labels:
            _write(draw, f"{label} {score:.0%}", box[:2], colour, font)
    return picture


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A label on a plate of the box's colour: above the box, or inside its top where there is no room above."""
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, round((bottom - top) / 5))
    wide, high = round(right - left) + 2 * pad, round(bottom - top) + 2 * pad
    x = max(0, min(corner[0], draw.im.size[0] - wide))
    y = corner[1] - high if corner[1] >= high else corner[1]
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    draw.text((x + pad - left, y + pad - top), text, fill="white", font=font)
