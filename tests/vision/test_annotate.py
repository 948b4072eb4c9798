"""Results drawn on files: what is written, and under which name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny_segmenters as tiny
from PIL import Image

import vision
from vision.annotate import annotate
from vision.types import Classification, Segmentation


def grey_picture(folder: Path) -> Path:
    file = folder / "photo.png"
    Image.new("RGB", (6, 4), (90, 120, 150)).save(file)
    return file


def test_a_drawn_result_is_a_jpeg_and_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    photo = grey_picture(tmp_path)
    found = Classification(("cat", "dog"), np.float32([0.75, 0.25]), np.int32([0, 1]))
    first, second = (annotate(photo, found, tmp_path / "out") for _ in range(2))
    assert (first.name, second.name) == ("photo.jpg", "photo-2.jpg")
    with Image.open(first) as picture:
        assert picture.format == "JPEG"


def test_a_foreground_is_written_as_a_cut_out_with_its_alpha(tmp_path: Path) -> None:
    photo = grey_picture(tmp_path)
    found = vision.segmenter(tiny.by_light(tmp_path / "model", stretch=True)).predict([photo])[0]
    assert isinstance(found, Segmentation)
    assert found.alpha is not None
    file = annotate(photo, found, tmp_path / "out")
    with Image.open(file) as picture, Image.open(photo) as original:
        assert (file.name, picture.format, picture.mode) == ("photo.png", "PNG", "RGBA")
        np.testing.assert_array_equal(np.asarray(picture)[..., 3], found.alpha)
        np.testing.assert_array_equal(np.asarray(picture)[..., :3], np.asarray(original))
