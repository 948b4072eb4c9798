"""Prepare and decode of both tasks, labels, results and drawing, on cases small enough to know the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.backends import TensorSpec, open_backend
from shared.errors import BackendError, UnknownNameError, UsageError
from shared.types import Result
from vision import Classification, Detections
from vision.classification.decode import decode, fingerprint, softmax
from vision.classification.prepare import ClassifierInput
from vision.detection.decode import Decoder, decode_boxes, make_anchors
from vision.detection.limits import MAX_CANDIDATES, Limits
from vision.detection.prepare import Letterbox, letterbox
from vision.draw import draw_detections
from vision.labels import LABEL_SETS, LabelSet, label_set
from vision.tensors import feeder


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_fingerprint_is_the_direction_of_the_logits(shift: float) -> None:
    logits = np.array([2.0, -1.0, 0.5, -3.0])
    found = fingerprint(softmax(logits + shift))
    centred = logits - logits.mean()
    np.testing.assert_allclose(found, centred / np.linalg.norm(centred), rtol=1e-5)
    assert found.dtype == np.float32


def test_a_fingerprint_of_nothing_is_zero_and_that_of_certainty_is_finite() -> None:
    assert not fingerprint(np.full(4, 0.25, dtype=np.float32)).any()
    certain = fingerprint(np.float32([1, 0, 0, 0]))
    assert np.isfinite(certain).all()
    assert certain.argmax() == 0


def detections(**changes: Any) -> Detections:
    facts: dict[str, Any] = {
        "labels": ("cat", "dog"),
        "image_size": (40, 60),
        "xyxy": np.float32([[1, 2, 30, 40], [0, 0, 60, 40]]),
        "scores": np.float32([0.9, 0.25]),
        "class_ids": np.int32([17, 18]),
    }
    return Detections(**(facts | changes))


def classification(**changes: Any) -> Classification:
    facts: dict[str, Any] = {
        "labels": ("tabby", "lynx"),
        "scores": np.float32([0.7, 0.1]),
        "class_ids": np.int32([281, 287]),
    }
    return Classification(**(facts | changes))


NOTHING = {"labels": (), "xyxy": np.zeros((0, 4), np.float32), "scores": np.zeros(0, np.float32)} | {
    "class_ids": np.zeros(0, np.int32)
}


@pytest.mark.parametrize("result", [detections(), detections(**NOTHING), classification()], ids=lambda r: r.labels)
def test_results_survive_json(result: Result) -> None:
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"xyxy": np.float32([[1, 2, 30, 40]])}, "must have shape"),
        ({"xyxy": np.float32([[1, 2, 61, 40], [0, 0, 60, 40]])}, r"x1 <= x2 <= 60 .* Got \[1.0, 2.0, 61.0, 40.0\]"),
        ({"xyxy": np.float32([[9, 2, 8, 40], [0, 0, 60, 40]])}, "x1 <= x2"),
        ({"xyxy": np.float32([[-1, 2, 8, 40], [0, 0, 60, 40]])}, "must lie in"),
        ({"xyxy": np.zeros((2, 4))}, "must be a float32 array"),
        ({"scores": np.float32([0.25, 0.9])}, "scores must never rise"),
        ({"scores": np.float32([1.5, 0.9])}, "must lie in"),
        ({"labels": ("cat",)}, "a label for each score. Got 1 labels, 2 scores"),
        ({"image_size": (0, 60)}, "must be \\(height, width\\)"),
    ],
)
def test_detections_are_checked_at_birth(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        detections(**changes)


def test_a_classification_is_checked_at_birth() -> None:
    with pytest.raises(UsageError, match="a label for each score"):
        classification(labels=("tabby",))
    with pytest.raises(UsageError, match="never rise"):
        classification(scores=np.float32([0.1, 0.7]))


def test_label_sets_are_complete_and_lead_back() -> None:
    imagenet, coco = label_set("imagenet1k"), label_set("coco")
    assert sorted(imagenet.names) == list(range(1000))
    assert list(imagenet.wnids.values()) == sorted(imagenet.wnids.values())
    assert (len(coco.names), min(coco.names), max(coco.names)) == (80, 1, 90)
    for name in LABEL_SETS:
        classes = label_set(name)
        assert len(set(classes.names.values())) == len(classes.names)
        assert all(classes.find(text) == number for number, text in classes.names.items())
    assert (imagenet.find("Cardigan"), imagenet.find("cardigan")) == (264, 474)
    with pytest.raises(UnknownNameError, match="no class of this model is called .CARDIGAN."):
        imagenet.find("CARDIGAN")
    assert coco.find("Traffic_Light") == coco.find("traffic light") == 10


def test_unknown_labels_list_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="golden retriever"):
        label_set("imagenet1k").find("goldn retriever")
    with pytest.raises(UnknownNameError, match="Known: coco, coco80, imagenet1k"):
        label_set("pets")


@pytest.mark.parametrize("shape", [(256, 256), (300, 257), (1000, 250), (7, 900), (1, 1)])
def test_the_classifier_sees_the_centre(shape: tuple[int, int]) -> None:
    height, width = shape
    view = ClassifierInput(size=224, resize=256).view(height, width)
    left, top, right, bottom = view.box
    side = min(shape) * 224 / 256
    assert view.size == (224, 224)
    assert right - left == pytest.approx(side)
    assert bottom - top == pytest.approx(side)
    pixel = min(shape) / 256
    assert abs((left + right) / 2 - width / 2) <= pixel / 2 + 1e-9
    assert abs((top + bottom) / 2 - height / 2) <= pixel / 2 + 1e-9


def test_the_classifier_normalises_each_channel() -> None:
    feed = feeder(TensorSpec("x", (1, 3, 2, 2), "float32"), {"mean": [0.5, 0.4, 0.2], "std": [0.5, 0.2, 0.1]})
    image = np.array([[[255, 0, 51], [0, 102, 51]], [[255, 0, 51], [0, 102, 51]]], np.uint8)
    got = feed(ClassifierInput(size=2, resize=2).prepare(image))
    assert (got.shape, got.dtype) == ((1, 3, 2, 2), np.float32)
    np.testing.assert_allclose(got[0, :, 0], [[1, -1], [-2, 0], [0, 0]], atol=1e-6)


def test_softmax_and_top_k() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.3]))
    np.testing.assert_allclose(softmax(logits + 700), [0.1, 0.6, 0.3], rtol=1e-5)
    classes = LabelSet({0: "ant", 1: "bee", 2: "cat"})
    found = decode(softmax(logits), classes, top_k=2)
    assert found.labels == ("bee", "cat")
    assert found.class_ids.tolist() == [1, 2]
    assert len(decode(softmax(logits), classes, top_k=9).labels) == 3


def test_letterbox_keeps_the_aspect_and_pads_right_and_bottom() -> None:
    image = np.full((100, 50, 3), 200, np.uint8)
    got = letterbox(image, size=64, pad=127)
    assert (got.pixels.shape, got.pixels.dtype) == ((1, 64, 64, 3), np.uint8)
    assert (got.inner, got.outer) == ((64, 32), (100, 50))
    assert (got.pixels[0, :, :32] == 200).all()
    assert (got.pixels[0, :, 32:] == 127).all()
    assert letterbox(np.zeros((1, 999, 3), np.uint8), size=64, pad=127).inner == (1, 64)


def test_anchors_are_those_of_the_lite_models() -> None:
    anchors = make_anchors(320)
    assert anchors.shape == (9 * (40**2 + 20**2 + 10**2 + 5**2 + 3**2), 4)
    root = np.sqrt(2)
    np.testing.assert_allclose(anchors[1], [4, 4, 24 / root, 24 * root])  # twice as wide as high
    np.testing.assert_allclose(anchors[2], [4, 4, 24 * root, 24 / root])
    np.testing.assert_allclose(anchors[3], [4, 4, 24 * 2 ** (1 / 3), 24 * 2 ** (1 / 3)])  # the next octave
    np.testing.assert_allclose(anchors[9, :2], [4, 12])  # the next cell to the right
    np.testing.assert_allclose(anchors[9 * 40, :2], [12, 4])  # the next row
    np.testing.assert_allclose(anchors[9 * 1600], [8, 8, 48, 48])  # the next level
    np.testing.assert_allclose(anchors[-9], [320, 320, 384, 384])
    np.testing.assert_allclose(anchors[:, 2] * anchors[:, 3], np.round(anchors[:, 2] * anchors[:, 3], 6))


def test_box_codes_by_hand() -> None:
    anchors = np.array([[100.0, 50.0, 20.0, 40.0]] * 2)
    codes = np.float32([[0, 0, 0, 0], [0.5, -0.25, np.log(0.5), np.log(2)]])
    np.testing.assert_allclose(decode_boxes(codes, anchors), [[30, 90, 70, 110], [0, 105, 80, 115]], atol=1e-4)


GIVEN = Letterbox(np.zeros((1, 64, 64, 3), np.uint8), (32, 64), (320, 640))
"""A picture of 640 x 320 in a square of 64: ten pixels of it are one of the square."""


def run_decoder(scores: np.ndarray[Any, Any], anchors: list[list[float]], **options: Any) -> Detections:
    facts: dict[str, Any] = {"score_threshold": 0.3, "iou_threshold": 0.5, "max_detections": 100}
    decoder = Decoder(np.array(anchors), Limits(LabelSet({1: "cat", 3: "dog"}), **(facts | options)))
    candidates = decoder.candidates(scores.astype(np.float32), np.zeros((len(anchors), 4), np.float32))
    return decoder(candidates, GIVEN)


def test_the_decoder_scales_filters_and_suppresses_within_a_class() -> None:
    anchors = [[10.0, 10.0, 10.0, 10.0], [11.0, 10.0, 10.0, 10.0], [20.0, 50.0, 8.0, 40.0], [50.0, 50.0, 10.0, 10.0]]
    scores = np.array([[0.9, 0.99, 0.8], [0.95, 0.99, 0.1], [0.0, 0.0, 0.6], [0.7, 0.0, 0.0]])
    found = run_decoder(scores, anchors)
    assert found.labels == ("cat", "dog", "dog")  # class 2 has no name; the other cat overlaps; the last is in the pad
    np.testing.assert_allclose(found.xyxy, [[50, 60, 150, 160], [50, 50, 150, 150], [300, 160, 640, 240]])
    np.testing.assert_allclose(found.scores, [0.95, 0.8, 0.6])
    assert found.class_ids.tolist() == [1, 3, 3]
    assert found.image_size == (320, 640)
    assert len(run_decoder(scores, anchors, iou_threshold=1.0).labels) == 4
    assert run_decoder(scores, anchors, max_detections=1).labels == ("cat",)
    assert run_decoder(scores, anchors, score_threshold=0.96).labels == ()


def test_many_candidates_are_cut_to_the_best() -> None:
    anchors = [[float(i % 32), float(i % 64), 4.0, 4.0] for i in range(2 * MAX_CANDIDATES)]
    scores = np.zeros((len(anchors), 3))
    scores[:, 0] = np.linspace(0.4, 0.9, len(anchors))
    found = run_decoder(scores, anchors, iou_threshold=1.0, max_detections=len(anchors))
    assert len(found.labels) == MAX_CANDIDATES
    assert found.scores.min() > 0.64


def test_drawing_marks_the_boxes_and_leaves_the_picture() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = draw_detections(image, detections(), labels=False)
    assert drawn.size == (60, 40)
    assert not image.any()
    pixels = np.asarray(drawn)
    assert pixels[20, 1].any()  # on the cat's left edge
    assert not pixels[20, 15].any()  # inside it
    assert not np.asarray(draw_detections(image, detections(), min_score=0.95)).any()
    assert np.asarray(draw_detections(image, detections())).sum() > pixels.sum()  # the labels


def test_drawing_scales_the_boxes_with_the_picture_and_refuses_another() -> None:
    drawn = draw_detections(Image.new("L", (120, 80)), detections(), labels=False)
    assert np.asarray(drawn)[40, 2].any()
    with pytest.raises(UsageError, match="60 x 40 or scaled evenly. Got 40 x 60"):
        draw_detections(Image.new("RGB", (40, 60)), detections())


def quantised_convolution(path: Path, weights: np.ndarray[Any, Any], scale: float) -> None:
    """A 1 x 1 convolution of values in 0..1 in 8 bits, whose weights are int8 or, where they are float, quantised."""
    import openvino

    ops = openvino.opset13
    given = ops.parameter([1, weights.shape[1], 8, 8], name="x", dtype=np.float32)
    values = ops.fake_quantize(given, np.float32(0), np.float32(1), np.float32(0), np.float32(1), 256)
    factor = np.full((len(weights), 1, 1, 1), scale, np.float32)
    if weights.dtype == np.int8:
        times = ops.multiply(ops.convert(ops.constant(weights), "f32"), ops.constant(factor))
    else:
        bounds = [ops.constant(np.float32(end * scale)) for end in (-127, 127, -127, 127)]
        times = ops.fake_quantize(ops.constant(weights), *bounds, 255)
    sums = ops.relu(ops.convolution(values, times, [1, 1], [0, 0], [0, 0], [1, 1]))
    openvino.save_model(openvino.Model([sums], [given], "graph"), str(path), compress_to_fp16=False)


@pytest.mark.parametrize("kind", ["integers", "quantised floats"])
def test_int8_sums_do_not_saturate(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(60, 128, (8, 32, 1, 1)).astype(np.int8)
    integers[:2] //= 4
    scale = 0.01
    path = tmp_path / "graph.xml"
    quantised_convolution(path, integers if kind == "integers" else (integers * scale).astype(np.float32), scale)
    backend = open_backend("openvino", path)
    image = rng.integers(200, 256, (1, 32, 8, 8)) / np.float32(255)
    got = next(iter(backend.run([{backend.inputs[0].name: image.astype(np.float32)}])[0].values()))
    wanted = np.einsum("oi,nihw->nohw", integers[:, :, 0, 0] * scale, image)
    np.testing.assert_allclose(got, wanted, rtol=0.004)


def test_a_graph_may_be_given_another_input_shape(tmp_path: Path) -> None:
    import openvino

    ops = openvino.opset13
    given = ops.parameter([1, 3, 8, 8], name="x", dtype=np.float32)
    path = tmp_path / "graph.xml"
    mean = ops.reduce_mean(given, np.array([2, 3]), keep_dims=False)
    openvino.save_model(openvino.Model([mean], [given], "graph"), str(path))
    backend = open_backend("openvino", path, input_shape=(1, 3, 16, 16))
    assert backend.inputs[0].shape == (1, 3, 16, 16)
    assert backend.outputs[0].shape == (1, 3)
    with pytest.raises(BackendError, match="must run on openvino"):
        open_backend("onnxruntime", path, input_shape=(1, 3, 16, 16))
    with pytest.raises(BackendError, match="cannot load"):
        open_backend("openvino", path, input_shape=(3, 3))
