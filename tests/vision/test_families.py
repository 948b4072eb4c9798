"""Families of graphs, and names outside the catalogue: what is found, what is said, and what an opening answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_builders import card_text, constant_graph

import vision
from shared.errors import DataError, HashMismatchError, SourceError, UnknownNameError, UsageError
from shared.types import AnyArray
from shared.weights import cache
from shared.weights.checkpoints import architecture
from shared.weights.exports import Checkpoint, Exported, alias, exported, remember
from vision.detection.decode_boxes import candidates as boxes_candidates
from vision.detection.decode_detr import candidates as detr_candidates
from vision.detection.decode_yolo import candidates as yolo_candidates
from vision.detection.limits import Limits
from vision.detection.prepare import letterbox
from vision.families import find, open_model
from vision.families.agreement import same_boxes
from vision.families.bare import card_of_metadata
from vision.families.labels import labels_option
from vision.labels import LabelSet, label_set

CATS = LabelSet({0: "cat", 1: "dog"})
LIMITS = Limits(CATS, 0.3, 0.5, 10)
PICTURE = np.zeros((100, 200, 3), np.uint8)


def test_yolo_keeps_every_class_that_reaches_the_threshold() -> None:
    answer = np.float32([[32, 8], [16, 8], [20, 4], [10, 4], [0.9, 0.1], [0.4, 0.2]])  # rows: cx cy w h cat dog
    found = yolo_candidates(answer, LIMITS)
    assert found["class_ids"].tolist() == [0, 1]
    np.testing.assert_allclose(found["scores"], [0.9, 0.4])
    np.testing.assert_allclose(found["boxes"], [[32, 16, 20, 10]] * 2)
    assert yolo_candidates(answer, Limits(LabelSet({1: "dog"}), 0.3, 0.5, 10))["class_ids"].tolist() == [1]


def test_detr_reads_both_kinds_of_scores() -> None:
    boxes = np.float32([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]])
    sigmoid = detr_candidates(np.float32([[2, 2], [-9, -900]]), boxes, LIMITS, softmax=False)
    assert sigmoid["class_ids"].tolist() == [0, 1]
    np.testing.assert_allclose(sigmoid["scores"], 1 / (1 + np.exp(-2)), rtol=1e-6)
    softmax = detr_candidates(np.log(np.float32([[0.35, 0.45, 0.2], [0.1, 0.1, 0.8]])), boxes, LIMITS, softmax=True)
    assert softmax["class_ids"].tolist() == [1]  # one class a query, and the second says nothing is there
    np.testing.assert_allclose(softmax["scores"], [0.45], rtol=1e-6)


def test_finished_boxes_are_only_filtered() -> None:
    found = boxes_candidates(
        np.float32(np.arange(12).reshape(3, 4)), np.float32([0.9, 0.2, 0.5]), np.int64([0, 1, 7]), LIMITS
    )
    assert (found["class_ids"].tolist(), found["boxes"].tolist()) == ([0], [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("fit", "size", "shape", "inner", "offset"),
    [
        ("corner", 64, (64, 64), (32, 64), (0, 0)),
        ("centre", 64, (64, 64), (32, 64), (16, 0)),
        ("rectangle", 80, (64, 96), (40, 80), (12, 8)),
        ("rectangle", 64, (64, 96), (32, 64), (16, 16)),
        ("stretch", (32, 96), (32, 96), (32, 96), (0, 0)),
        ("shortest", (50, 80), (40, 80), (40, 80), (0, 0)),
        ("shortest", (50, 800), (50, 100), (50, 100), (0, 0)),
    ],
)
def test_a_picture_comes_back_from_every_fit(
    fit: Any, size: Any, shape: tuple[int, int], inner: tuple[int, int], offset: tuple[int, int]
) -> None:
    given = letterbox(PICTURE, size=size, pad=9, fit=fit)
    assert (given.pixels.shape, given.inner, given.offset) == ((1, *shape, 3), inner, offset)
    (top, left), (rows, columns) = offset, inner
    whole = given.to_picture(np.array([[left, top, left + columns, top + rows]]))
    np.testing.assert_allclose(whole, [[0, 0, 200, 100]])
    assert (given.pixels == 9).sum() == 3 * (shape[0] * shape[1] - rows * columns)


YOLO = np.zeros((1, 6, 3), np.float32)
YOLO[0, :, 0] = [32, 32, 32, 16, 0.9, 0.0]  # in the square of 64, the picture fills rows 16 to 48
DETR = {
    "logits": np.float32([[[-9, 3], [-9, -9]]]),
    "pred_boxes": np.float32([[[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 1, 1]]]),
}
BOXES = {"boxes": np.float32([[16, 8, 48, 24]]), "scores": np.float32([0.8]), "labels": np.int64([1])}
NAMES = 'labels = ["cat", "dog"]'


@pytest.mark.parametrize(
    ("family", "answers", "options", "label"),
    [
        ("yolo", {"output0": YOLO}, f"{{ size = 64, {NAMES} }}", "cat"),
        ("detr", DETR, f'{{ size = 64, {NAMES}, activation = "sigmoid" }}', "dog"),
        ("boxes", BOXES, f"{{ size = [32, 64], {NAMES} }}", "dog"),
    ],
)
def test_each_family_of_detectors_answers_in_pixels_of_the_picture(
    family: str, answers: Mapping[str, AnyArray], options: str, label: str, tmp_path: Path, empty_home: Path
) -> None:
    shape = (1, 32, 64, 3) if family == "boxes" else (1, 64, 64, 3)
    path = constant_graph(tmp_path / "tiny.onnx", answers, shape=shape)
    (tmp_path / "tiny.card.toml").write_text(card_text("vision.detection", family, options))
    found = vision.detector(path).predict([PICTURE])[0]
    assert isinstance(found, vision.Detections)
    assert (found.labels, found.image_size) == ((label,), (100, 200))
    np.testing.assert_allclose(found.xyxy, [[50, 25, 150, 75]], atol=1e-3)
    other = "dog" if label == "cat" else "cat"
    assert vision.detector(path, classes=[other]).predict([PICTURE])[0].labels == ()
    with pytest.raises(UnknownNameError, match="no class of this model is called 'cow'"):
        vision.detector(path, classes=["cow"])


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("yolo", f"{{ size = 32, {NAMES} }}", r"must read pictures of its size \(32, 32\).*Its graph reads \(64, 64\)"),
        ("yolo", '{ size = 64, labels = ["cat"] }', r"one array \(1, 5, boxes\)"),
        ("detr", f'{{ size = 64, {NAMES}, activation = "softmax" }}', "must answer with logits"),
        ("boxes", f"{{ size = 64, {NAMES} }}", "must answer with boxes, scores and labels"),
        ("efficientdet", f"{{ size = 64, {NAMES} }}", "must answer with scores"),
    ],
)
def test_a_graph_of_another_family_is_refused(
    family: str, options: str, words: str, tmp_path: Path, empty_home: Path
) -> None:
    path = constant_graph(tmp_path / "tiny.onnx", {"output0": YOLO})
    (tmp_path / "card.toml").write_text(card_text("vision.detection", family, options))
    with pytest.raises(DataError, match=words):
        vision.detector(path)


@pytest.mark.parametrize(
    ("answers", "value", "best"), [("logits", [0.0, 9.0], 0.99987), ("probabilities", [0.2, 0.8], 0.8)]
)
def test_a_bare_classifier(answers: str, value: list[float], best: float, tmp_path: Path, empty_home: Path) -> None:
    path = constant_graph(
        tmp_path / "tiny.onnx", {"scores": np.float32([value])}, shape=(1, 3, 64, 64), dtype="float32"
    )
    options = f'{{ size = 64, resize = 64, {NAMES}, answers = "{answers}" }}'
    (tmp_path / "tiny.card.toml").write_text(card_text("vision.classification", "image-classifier", options))
    found = vision.classifier(path).predict([PICTURE])[0]
    assert isinstance(found, vision.Classification)
    assert found.labels == ("dog", "cat")
    assert found.scores[0] == pytest.approx(best, abs=1e-4)
    assert vision.classifier(path, classes=["cat"]).predict([PICTURE])[0].labels == ("cat",)
    with pytest.raises(UsageError, match=r"must be a model of vision.detection. Its card says vision.classification"):
        vision.detector(path)


def test_a_bare_graph_without_a_card_says_what_is_missing(tmp_path: Path, empty_home: Path) -> None:
    path = constant_graph(tmp_path / "tiny.onnx", {"output0": YOLO})
    with pytest.raises(UsageError, match=r"must have a small card beside it.*tiny\.card\.toml"):
        vision.detector(path)
    with pytest.raises(UsageError, match="Nothing stands at"):
        vision.detector(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match="must be an ONNX graph"):
        vision.detector(tmp_path / "broken.onnx")


def test_an_export_of_ultralytics_tells_of_itself(
    tmp_path: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = constant_graph(tmp_path / "own.onnx", {"output0": YOLO})
    model = onnx.load(str(path))
    facts = {"author": "Ultralytics", "task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[64, 64]"}
    onnx.helper.set_model_props(model, facts | {"license": "AGPL-3.0 License (https://example.org)"})
    onnx.save(model, str(path))
    detector = vision.detector(path)
    assert detector.predict([PICTURE])[0].labels == ("cat",)
    assert (detector.card.licence, detector.card.opt_in) == ("AGPL-3.0", "AGPL-3.0")
    vision.detector(f"ultralytics:{path}")
    assert capsys.readouterr().err.count("AGPL-3.0") == 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"task": "detect", "names": "[", "imgsz": "[64, 64]"}, "must say its names and imgsz"),
        ({"task": "detect", "imgsz": "[64, 64]"}, "must say its names and imgsz"),
        ({"task": "pose", "names": "{0: 'a'}", "imgsz": "[64, 64]"}, "detect, classify, segment. Its task is 'pose'"),
    ],
)
def test_metadata_that_cannot_be_read_is_named(facts: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        card_of_metadata(facts, "own")


def one_file(path: Path) -> Checkpoint:
    return Checkpoint("elsewhere", "thing", {"weights": path}, {"size": 3})


def test_a_checkpoint_is_exported_once_for_its_bytes_and_settings(tmp_path: Path, empty_home: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"one")
    graph = constant_graph(tmp_path / "tiny.onnx", {"output0": YOLO})
    (tmp_path / "tiny.card.toml").write_text(card_text("vision.detection", "yolo", f"{{ size = 64, {NAMES} }}"))
    card = open_model(graph, task="vision.detection").card
    made = []

    def export(checkpoint: Checkpoint, task: str) -> Exported:
        made.append(checkpoint)
        return Exported(card, {"tiny.onnx": graph.read_bytes()})

    first = exported(one_file(weights), task="vision.detection", export=export)
    assert exported(one_file(weights), task="vision.detection", export=export) == first
    assert len(made) == 1
    remember("hf:some/thing", first, task="vision.detection")
    assert find("hf:some/thing", task="vision.detection") == first  # neither the network nor the library was asked
    assert alias("hf:some/thing", task="vision.classification") is None
    weights.write_bytes(b"two")
    assert exported(one_file(weights), task="vision.detection", export=export) != first
    (first / "tiny.onnx").unlink()
    assert alias("hf:some/thing", task="vision.detection") is None
    weights.write_bytes(b"one")
    assert exported(one_file(weights), task="vision.detection", export=export) == first
    assert len(made) == 3


def test_names_that_lead_nowhere_say_so(tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"torchvision:NAME:.*b0353104.pth"):
        vision.classifier("mobilenet_v2-b0353104.pth")
    with pytest.raises(UnknownNameError, match="no ultralytics checkpoint for vision.detection is called 'yolo99'"):
        vision.detector("ultralytics:yolo99")
    with pytest.raises(UsageError, match="must be an existing .pt file"):
        vision.detector(tmp_path / "none.pt")
    with pytest.raises(UsageError, match="hf:OWNER/NAME"):
        vision.detector("hf:nothing")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match="did not answer"):
        vision.detector("hf:some/thing")


def test_a_transformers_folder_must_be_safe(tmp_path: Path, empty_home: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"pytorch_model.bin may run code when read, so save it as safetensors"):
        vision.classifier(tmp_path)
    for config, words in [
        ({}, "with its architectures"),
        ({"architectures": ["A"], "auto_map": {}}, "code of its own"),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(DataError, match=words):
            architecture(tmp_path / "config.json")


def test_class_names_become_a_shipped_table_where_they_are_one() -> None:
    imagenet = label_set("imagenet1k").names
    synonyms = [f"{imagenet[number]}, another name" for number in range(1000)]
    assert labels_option(synonyms) == "imagenet1k"
    coco = label_set("coco").names
    assert labels_option([coco.get(number, "") for number in range(91)]) == "coco"
    assert labels_option([coco[number] for number in sorted(coco)]) == "coco80"
    assert labels_option(["cat", "dog"]) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"scores": np.array([0.9, 0.5, 0.4])}, "scores differ by up to 0.1"),
        ({"boxes": np.arange(12.0).reshape(3, 4) + 5}, "3 of 3 boxes are not among those"),
        ({"labels": np.array([1, 2, 9])}, "1 of 3 boxes"),
        ({"labels": np.array([1]), "boxes": np.zeros((1, 4)), "scores": np.array([0.9])}, "1 boxes came where 3"),
    ],
)
def test_agreement_of_boxes(changes: dict[str, AnyArray], words: str) -> None:
    wanted = {
        "boxes": np.arange(12.0).reshape(3, 4),
        "scores": np.array([0.9, 0.6, 0.4]),
        "labels": np.array([1, 2, 3]),
    }
    assert same_boxes(wanted, wanted | changes).startswith(words)
    assert bool(same_boxes(wanted, wanted | changes)) == bool(words)


def test_weights_that_are_not_those_of_their_name_are_refused(tmp_path: Path) -> None:
    from vision.families.torchvision import _check_promise

    right = tmp_path / f"net-{cache.sha256_of(_file(tmp_path / 'x', b'abc'))[:8]}.pth"
    assert _check_promise(_file(right, b"abc"), right.name) == right
    with pytest.raises(
        HashMismatchError, match="its name promises one that begins with deadbeef. Fetch the file again"
    ):
        _check_promise(_file(tmp_path / "net-deadbeef.pth", b"abc"), "net-deadbeef.pth")


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
