"""Results of every task drawn on their pictures, and annotated pictures written to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from shared.errors import UsageError
from shared.types import Result, UInt8
from vision.draw import draw_classification, draw_detections, draw_faces
from vision.images import ImageSource, load
from vision.types import Classification, Detections, Faces, Segmentation

QUALITY = 90


def draw_result(image: UInt8 | Image.Image, result: Result) -> Image.Image:
    """The picture with a result of any vision task drawn on it.

    Args:
        image: shape (height, width, 3), uint8, RGB, or a PIL image; upright. It is not changed.
        result: what was answered for it.

    Raises:
        UsageError: it is no result that can be drawn, or one of another picture.
    """
    if isinstance(result, Detections):
        return draw_detections(image, result)
    if isinstance(result, Classification):
        return draw_classification(image, result)
    if isinstance(result, Faces):
        return draw_faces(image, result)
    if isinstance(result, Segmentation):
        from vision.segmentation.draw import draw_segmentation  # noqa: PLC0415 - masks are drawn by few

        return draw_segmentation(image, result)
    raise UsageError(f"a result that is drawn must be one of a vision task. Got {type(result).__name__} instead")


def annotate(item: ImageSource, result: Result, folder: Path, *, allow_urls: bool = False, **_: Any) -> Path:
    """Write the picture with its result drawn, named as the picture; where that name is taken, with a number.

    A foreground's alpha map gives the cut-out, a PNG with the rest transparent; everything else is drawn on a JPEG.

    Args:
        item: the picture, a path or an address.
        result: what was answered for it.
        folder: where to; it is made.
        allow_urls: whether an ``http(s)`` address is fetched.

    Returns:
        The file that was written.

    Raises:
        InputError: the picture cannot be read.
        UsageError: the result cannot be drawn.
    """
    image = load(item, allow_urls=allow_urls)
    if isinstance(result, Segmentation) and result.alpha is not None:
        from vision.segmentation.draw import cut_out  # noqa: PLC0415 - as above

        picture, ending, settings = cut_out(image, result), "png", {}
    else:
        picture, ending, settings = draw_result(image, result), "jpg", {"quality": QUALITY}
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(str(item)).stem or "picture"
    number = 1
    while True:
        file = folder / (f"{stem}.{ending}" if number == 1 else f"{stem}-{number}.{ending}")
        try:
            with file.open("xb") as out:
                picture.save(out, "PNG" if ending == "png" else "JPEG", **settings)
        except FileExistsError:
            number += 1
            continue
        return file
