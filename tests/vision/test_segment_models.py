"""The catalogue's segmenters with their real weights, on real pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_sample_image

import vision
from shared.catalogue import ModelCard, ModelFile
from shared.cli.main import triptych
from shared.errors import UnknownNameError
from shared.testing.contracts import PredictorContract
from shared.types import AnyArray, Failure
from shared.weights import ensure, resolve
from vision.images import load
from vision.segmentation.draw import cut_out, draw_segmentation
from vision.segmentation.evaluate import evaluate_segmentation
from vision.segmentation.promptable import prompting_at_hand
from vision.segmentation.prompts import Prompts
from vision.types import Segmentation

pytestmark = pytest.mark.weights

BUS = ModelFile(
    "bus.jpg",
    137419,
    "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
    ("index:ultralytics==8.4.190/ultralytics/assets/bus.jpg",),
)
"""A street photo that a wheel on the package index carries: a bus, and people in front of it."""
BUS_BOX = (10, 225, 805, 745)


@pytest.fixture(scope="module")
def bus() -> Path:
    card = ModelCard("street-photo", "vision.segmentation", "photo", "none", "AGPL-3.0", "a picture for tests", (BUS,))
    return ensure(card, progress=False)["bus.jpg"]


def photos() -> list[Any]:
    flower, china = load_sample_image("flower.jpg"), load_sample_image("china.jpg")
    return [flower, np.ascontiguousarray(china[:, :300])]


class TestSegmenter(PredictorContract):
    def build(self) -> Any:
        return vision.segmenter()

    def good(self) -> list[Any]:
        return photos()

    def bad(self) -> Any:
        return b"<html>"


def overlap(first: AnyArray, second: AnyArray) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


def box_mask(box: tuple[int, int, int, int], size: tuple[int, int]) -> AnyArray:
    mask = np.zeros(size, np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def test_the_street_photo_is_bus_and_people(bus: Path) -> None:
    found = vision.segmenter().predict([bus])[0]
    assert isinstance(found, Segmentation)
    assert (found.kind, found.image_size) == ("semantic", (1080, 810))
    assert found.labels[:2] == ("bus", "person")
    inside = found.mask(0)
    assert inside[300:700].mean() > 3 * inside[:200].mean()
    assert 0.2 < found.shares[0] < 0.35
    assert draw_segmentation(load(bus), found).size == (810, 1080)
    only = vision.segmenter(classes=["Person"]).predict([bus])[0]
    assert isinstance(only, Segmentation)
    assert only.labels == ("person",)


def test_the_pipeline_equals_one_written_plainly(bus: Path) -> None:
    """The same graph by hand: Pillow, all 21 maps enlarged, then the best class of each pixel."""
    import openvino

    path = next(iter(resolve("deeplabv3-257", task="vision.segmentation", progress=False).files.values()))
    graph = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    segmenter = vision.segmenter("deeplabv3-257")
    for item in (bus, *photos()):
        picture = Image.fromarray(load(item))
        scale = 257 / max(picture.size)
        width, height = round(picture.width * scale), round(picture.height * scale)
        square = Image.new("RGB", (257, 257), (127, 127, 127))
        corner = (257 - width) // 2, (257 - height) // 2
        square.paste(picture.resize((width, height), Image.Resampling.BILINEAR), corner)
        scores = graph((np.asarray(square, np.float32) / 127.5 - 1)[None])[0][0]
        part = (corner[0], corner[1], corner[0] + width, corner[1] + height)
        maps = [Image.fromarray(np.ascontiguousarray(m)) for m in scores.transpose(2, 0, 1)]
        large = [np.asarray(m.resize(picture.size, Image.Resampling.BILINEAR, part)) for m in maps]
        found, of_file = segmenter.predict([np.array(picture), item])
        assert isinstance(found, Segmentation)
        assert isinstance(of_file, Segmentation)
        assert (found.class_map() == np.argmax(large, axis=0)).mean() > 0.999
        assert (of_file.class_map() == found.class_map()).mean() > 0.985  # a large JPEG is decoded smaller


@pytest.mark.parametrize("model", ["u2netp", "modnet"])
def test_a_foreground_is_cut_out(bus: Path, model: str) -> None:
    flower = photos()[0]
    found, street = vision.segmenter(model).predict([flower, bus])
    assert isinstance(found, Segmentation)
    assert isinstance(street, Segmentation)
    assert found.alpha is not None
    assert street.alpha is not None
    assert found.alpha.shape == flower.shape[:2]
    assert street.alpha[500:700, 80:160].mean() > 200  # the man in front
    assert street.alpha[:100].mean() < 40  # the house behind
    assert cut_out(flower, found).mode == "RGBA"
    if model == "u2netp":
        assert found.alpha[180:260, 280:360].mean() > 230
        assert found.alpha[:40, :40].mean() < 10
    assert len(json.dumps(found.to_json())) < flower.size // 4


def test_wrong_names_say_so() -> None:
    with pytest.raises(UnknownNameError, match=r"no vision.segmentation model is called 'mobile-sam'"):
        vision.segmenter("mobile-sam")
    with pytest.raises(UnknownNameError, match=r"no vision.prompting model is called 'deeplabv3'"):
        vision.promptable_segmenter("deeplabv3")


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (b"", "empty"),
        (b"<html></html>", "unsupported"),
        (b"\xff\xd8\xff\xe0 and no more", "corrupt"),
        (np.zeros((4, 4), np.uint8), "wrong-type"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        ("no-such-file.png", "not-found"),
        (None, "wrong-type"),
    ],
)
def test_what_cannot_be_used_is_a_failure(item: Any, kind: str) -> None:
    failed = vision.segmenter().predict([item], on_error="keep")[0]
    assert isinstance(failed, Failure)
    assert failed.kind == kind


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 257)])
@pytest.mark.parametrize("model", ["deeplabv3", "u2netp"])
def test_odd_shapes_have_an_answer(shape: tuple[int, int], model: str) -> None:
    found = vision.segmenter(model).predict([np.full((*shape, 3), 128, np.uint8)])[0]
    assert isinstance(found, Segmentation)
    assert found.image_size == shape


def test_the_command_prints_compact_lines(bus: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(triptych, ["predict", "vision.segmentation", str(bus), str(tmp_path / "none.jpg")])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["ok"] for row in rows] == [True, False]
    assert rows[0]["result"]["labels"][0] == "bus"
    assert len(done.stdout) < 10_000
    assert Segmentation.from_json(rows[0]["result"]).image_size == (1080, 810)


@pytest.mark.skipif(not prompting_at_hand(), reason="MobileSAM was not exported here, which needs the extra torch")
def test_a_click_and_a_box_find_the_bus(bus: Path) -> None:
    model = vision.promptable_segmenter()
    photo = model.embed(bus)
    click = photo.segment(points=[[620, 460]])
    box = photo.segment(boxes=BUS_BOX)
    both = photo.segment(points=[[[620, 460], [110, 560]]], point_labels=[[1, 0]], boxes=[BUS_BOX])
    for found in (click, box, both):
        assert found.scores[0] > 0.8
        assert overlap(found.mask(0), click.mask(0)) > 0.85
        x1, y1, x2, y2 = found.xyxy[0].tolist()
        assert (
            overlap(box_mask((int(x1), int(y1), int(x2), int(y2)), (1080, 810)), box_mask(BUS_BOX, (1080, 810))) > 0.85
        )
    person = photo.segment(boxes=[[50, 400, 245, 905], BUS_BOX])
    assert overlap(person.mask(0), person.mask(1)) < 0.05
    answered = model.predict([(bus, Prompts(boxes=BUS_BOX))])[0]
    assert isinstance(answered, Segmentation)
    assert overlap(answered.mask(0), box.mask(0)) > 0.999


@pytest.mark.data
@pytest.mark.slow
def test_coco128_reaches_its_figures(data_root: Path) -> None:
    figures = evaluate_segmentation(data_root / "vision" / "coco128").metrics
    assert figures["miou"].value >= 0.43
    assert figures["pixel_accuracy"].value >= 0.84
