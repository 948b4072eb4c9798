"""The default models with their real weights, on real pictures."""

from __future__ import annotations

import contextlib
import io
import json
import os
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
from shared.errors import DataError, UsageError
from shared.evaluation.detection import FIGURES
from shared.testing.contracts import PredictorContract
from shared.types import Failure
from shared.weights import ensure, resolve
from vision.boxes import box_iou
from vision.datasets import read_boxed_images
from vision.draw import draw_detections
from vision.evaluate import evaluate_detection
from vision.images import load

pytestmark = pytest.mark.weights

BUS = ModelFile(
    "bus.jpg",
    137419,
    "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
    ("index:ultralytics==8.4.190/ultralytics/assets/bus.jpg",),
)
"""A street photo that a wheel on the package index carries: a bus, and people in front of it."""


@pytest.fixture(scope="module")
def bus() -> Path:
    card = ModelCard("street-photo", "vision.detection", "photo", "none", "AGPL-3.0", "a picture for tests", (BUS,))
    return ensure(card, progress=False)["bus.jpg"]


def photos() -> list[Any]:
    china, flower = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    return [china, flower, np.ascontiguousarray(china[:, :300])]


@pytest.fixture(scope="module")
def here() -> str:
    """The folders of the default models' files, as ``TRIPTYCH_WEIGHTS`` names them."""
    opened = [resolve(None, task=f"vision.{task}", progress=False) for task in ("classification", "detection")]
    return os.pathsep.join(str(path.parent) for model in opened for path in model.files.values())


@pytest.fixture(scope="module")
def detector() -> Any:
    return vision.detector()


class TestClassifier(PredictorContract):
    def build(self) -> Any:
        return vision.classifier()

    def good(self) -> list[Any]:
        return photos()

    def bad(self) -> Any:
        return b"<html>"


class TestDetector(PredictorContract):
    def build(self) -> Any:
        return vision.detector()

    def good(self) -> list[Any]:
        return photos()

    def bad(self) -> Any:
        return b"<html>"


def test_classes_of_known_photos() -> None:
    china, flower = vision.classifier(top_k=3).predict(photos()[:2])
    assert isinstance(china, vision.Classification)
    assert isinstance(flower, vision.Classification)
    assert china.labels[0] in ("palace", "stupa", "bell cote")
    assert flower.labels[0] == "daisy"
    assert len(flower.scores) == 3
    everything = vision.classifier("mobilenetv2-224", top_k=1000).predict(photos()[:1])[0]
    assert isinstance(everything, vision.Classification)
    small = vision.classifier("efficientnet-lite0", top_k=1).predict(photos()[1:2])[0]
    assert isinstance(small, vision.Classification)
    assert small.labels == ("daisy",)
    assert everything.scores.sum() == pytest.approx(1, abs=1e-4)


def test_the_street_photo_has_a_bus_and_people(bus: Path, detector: Any) -> None:
    found = detector.predict([bus])[0]
    assert isinstance(found, vision.Detections)
    assert found.image_size == (1080, 810)
    assert found.labels.count("bus") == 1
    assert found.labels.count("person") >= 3
    wanted = {"bus": (10, 225, 805, 745), "person": (50, 400, 245, 905)}
    for label, box in wanted.items():
        overlaps = box_iou(found.xyxy[[name == label for name in found.labels]], np.array([box]))
        assert overlaps.max() > 0.8, (label, found.xyxy)
    assert draw_detections(load(bus), found).size == (810, 1080)


def test_boxes_belong_to_the_upright_picture_at_any_size(bus: Path, detector: Any) -> None:
    upright = Image.open(bus)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=95, exif=exif)
    half = upright.resize((405, 540), Image.Resampling.LANCZOS)
    plain, turned, small = detector.predict([bus, file.getvalue(), half])
    for other, factor in ((turned, 1), (small, 2)):
        assert sorted(other.labels[:3]) == sorted(plain.labels[:3])
        assert box_iou(other.xyxy[:3] * factor, plain.xyxy[:3]).max(axis=1).min() > 0.85


def test_one_bad_picture_costs_only_itself(tmp_path: Path, detector: Any) -> None:
    china = tmp_path / "china.jpg"
    Image.fromarray(photos()[0]).save(china)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(china.read_bytes()[:5000])
    results = list(detector.stream([china, broken, tmp_path, tmp_path / "none.jpg", china]))
    assert [r.kind if isinstance(r, Failure) else None for r in results] == [
        None, "corrupt", "wrong-type", "not-found", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("opener", "options", "words"),
    [
        (vision.classifier, {"top_k": 0}, "top_k must be at least 1"),
        (vision.detector, {"score_threshold": 30}, "score_threshold must lie in \\[0, 1\\]. Got 30"),
        (vision.detector, {"iou_threshold": -1}, "iou_threshold must lie in"),
        (vision.detector, {"max_detections": 0}, "max_detections must be at least 1"),
        (vision.detector, {"device": "tpu"}, "device must be one of"),
        (vision.detector, {"threads": 0}, "threads must be at least 1"),
        (vision.detector, {"name": "mobilenetv2"}, "no vision.detection model is called 'mobilenetv2'"),
    ],
)
def test_wrong_arguments_say_so(opener: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        opener(**options)


def test_a_card_that_does_not_fit_its_graph_says_so(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    row = (Path(vision.__file__).parent / "models.toml").read_text("utf-8")
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", here)
    (empty_home / "models.toml").write_text(row.replace("size = 320", "size = 384").replace('"imagenet1k"', '"coco"'))
    with pytest.raises(DataError, match=r"of its size \(384, 384\), fit 'corner'. Its graph reads \(320, 320\)"):
        vision.detector()
    with pytest.raises(DataError, match="must answer for the 80 classes of its labels"):
        vision.classifier()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value if done.return_value is not None else done.exit_code, done.stdout


def test_the_command_predicts(bus: Path, tmp_path: Path) -> None:
    _, said = run("predict", "vision.detection", str(bus), str(tmp_path / "none.jpg"), "--score-threshold", "0.5")
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["ok"] for row in rows] == [True, False]
    assert {"bus", "person"} <= set(rows[0]["result"]["labels"])
    assert rows[1]["error"]["kind"] == "not-found"


def labelled(folder: Path) -> Path:
    for name, image in (("daisy", photos()[1]), ("palace", photos()[0])):
        (folder / name).mkdir()
        Image.fromarray(image).save(folder / name / "a.jpg")
    (folder / "daisy" / "broken.jpg").write_bytes(b"no image")
    return folder


def test_the_command_evaluates_and_failed_images_count_as_wrong(tmp_path: Path) -> None:
    _, said = run("evaluate", "vision.classification", str(labelled(tmp_path)), "--json")
    report = json.loads(said)
    assert (report["n"], report["failed"], report["notes"]["classes"]) == (3, 1, 2)
    assert report["metrics"]["top5"]["value"] == pytest.approx(2 / 3)


def test_classes_that_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / "daisy").rename(tmp_path / "daisie")
    with pytest.raises(DataError, match=r"1 of 2 are not: .*'daisie'. Nearest: daisy"):
        run("evaluate", "vision.classification", str(tmp_path))


@pytest.mark.data
@pytest.mark.slow
def test_imagenet500_reaches_its_figures(data_root: Path) -> None:
    _, said = run("evaluate", "vision.classification", str(data_root / "vision" / "imagenet500"), "--json")
    metrics = json.loads(said)["metrics"]
    assert metrics["top1"]["value"] >= 0.845
    assert metrics["top5"]["value"] >= 0.965


@pytest.mark.data
@pytest.mark.slow
def test_coco128_reaches_its_figures_and_equals_the_reference_code(data_root: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    dataset = data_root / "vision" / "coco128"
    metrics = evaluate_detection(dataset).metrics
    ours = {name: metrics[name].value for name in FIGURES}
    assert ours["map"] >= 0.41
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(dataset / "instances.json"))
        rows = []
        predictor = vision.detector(score_threshold=0.001)
        for number, found in zip(sorted(truth.imgs), predictor.stream(read_boxed_images(dataset).paths)):
            assert isinstance(found, vision.Detections)
            for (x1, y1, x2, y2), score, class_id in zip(found.xyxy.tolist(), found.scores, found.class_ids):
                box = [x1, y1, x2 - x1, y2 - y1]
                rows.append({"image_id": number, "category_id": int(class_id), "bbox": box, "score": float(score)})
        judged = COCOeval(truth, truth.loadRes(rows), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert list(ours.values()) == pytest.approx(judged.stats.tolist(), abs=1e-4)
