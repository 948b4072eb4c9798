"""Forms of a model: what counts as the same answer, what is refused, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from graph_builders import card_text, constant_graph
from PIL import Image

import vision
from shared.backends import open_backend
from shared.backends.forms import convert
from shared.cli.main import triptych
from shared.errors import UnknownNameError, UsageError
from shared.types import Failure
from vision.optimize import agreement, optimize
from vision.types import Classification, Detections

NO_BOXES = np.zeros((0, 4), np.float32)


def detections(boxes: list[list[float]], labels: tuple[str, ...]) -> Detections:
    count = len(labels)
    numbers = np.array([{"cat": 1, "dog": 2}[label] for label in labels], np.int32)
    corners = np.float32(boxes) if boxes else NO_BOXES
    return Detections(labels, (100, 100), corners, np.full(count, 0.5, np.float32), numbers)


def classification(label: str) -> Classification:
    return Classification((label,), np.float32([0.9]), np.int32([ord(label[0])]))


A, B = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 70.0]
HALF = [0.0, 0.0, 10.0, 5.0]


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (detections([A, B], ("cat", "dog")), detections([B, A], ("dog", "cat")), 1.0),
        (detections([A], ("cat",)), detections([HALF], ("cat",)), 0.5),
        (detections([A], ("cat",)), detections([A], ("dog",)), 0.0),
        (detections([A], ("cat",)), detections([A, B], ("cat", "dog")), 2 / 3),
        (detections([], ()), detections([], ()), 1.0),
        (detections([A], ("cat",)), detections([], ()), 0.0),
        (classification("cat"), classification("cat"), 1.0),
        (classification("cat"), classification("dog"), 0.0),
        (classification("cat"), Failure(0, "corrupt", "x"), 0.0),
        (Failure(0, "corrupt", "x"), Failure(0, "corrupt", "x"), 1.0),
    ],
)
def test_agreement(first: Any, second: Any, wanted: float) -> None:
    assert agreement([first], [second]) == pytest.approx(wanted)


@pytest.fixture
def tiny(tmp_path: Path, empty_home: Path) -> Path:
    constant_graph(tmp_path / "tiny.onnx", {"scores": np.float32([[0.0, 9.0]])})
    options = '{ size = 64, resize = 64, labels = ["cat", "dog"] }'
    (tmp_path / "tiny.card.toml").write_text(card_text("vision.classification", "image-classifier", options))
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.fromarray(np.full((70, 80, 3), 60 * number, np.uint8)).save(images / f"{number}.png")
    (images / "broken.png").write_bytes(b"\x89PNG no picture")
    return tmp_path


def test_a_form_that_is_no_faster_is_not_written_and_the_command_says_why(tiny: Path) -> None:
    # a graph that does nothing has nothing to gain, whatever the form
    arguments = ["models", "optimize", str(tiny / "tiny.onnx"), "--task", "vision.classification"]
    run = CliRunner().invoke(triptych, [*arguments, "--images", str(tiny / "images"), "--precision", "fp32", "--json"],
                             standalone_mode=False)  # fmt: skip
    report = json.loads(run.stdout)
    (row,) = report["tried"]
    assert (report["images"], report["bound"], row["precision"], row["agreement"]) == (2, 0.99, "fp32", 1.0)
    if row["refused"]:  # timing of nothing may come out either way
        assert "times as fast as the original" in row["refused"]
        assert (report["written"], run.return_value) == (None, 1)
    else:
        assert vision.classifier(report["written"]).card.options["optimised_from"] == "tiny"


def test_a_form_that_answers_otherwise_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = constant_graph(tiny / "other.onnx", {"scores": np.float32([[9.0, 0.0]])})
    (tiny / "other.card.toml").write_text((tiny / "tiny.card.toml").read_text())

    def opener(name: Any, **options: Any) -> Any:
        return vision.classifier(other if Path(name).name.startswith("tmp") else name, **options)

    report = optimize(tiny / "tiny.onnx", task="vision.classification", open=opener, images=tiny / "images",
                      precision="fp32", out=tiny / "out")  # fmt: skip
    assert report["tried"][0]["refused"] == "it agrees with the original to 0.0000, less than 0.99"
    assert report["written"] is None
    assert not (tiny / "out").exists()
    report = optimize(tiny / "tiny.onnx", task="vision.classification", open=opener, images=tiny / "images",
                      precision="fp32", bound=0.0, out=tiny / "out")  # fmt: skip
    assert report["tried"][0]["agreement"] == 0.0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": "int4"}, UnknownNameError, "no precision is called 'int4'"),
        ({"bound": 1.5}, UsageError, r"bound must lie in \[0, 1\]. Got 1.5"),
        ({"task": "vision.faces"}, UnknownNameError, "task whose models can be optimised"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], error: type[Exception], words: str, tiny: Path) -> None:
    facts = {"task": "vision.classification", "open": vision.classifier, "images": tiny / "images"}
    with pytest.raises(error, match=words):
        optimize(tiny / "tiny.onnx", **(facts | options))
    (tiny / "none").mkdir()
    (tiny / "none" / "broken.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="must hold images that can be read. Got 1 files, none of them usable"):
        optimize(tiny / "tiny.onnx", **(facts | {"images": tiny / "none"}))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("recsys.collaborative", "takes models of the vision and text tasks. x is one of recsys.collaborative"),
        ("nlp.classification", "judges models of nlp.classification on typical texts: say where"),
    ],
)
def test_the_command_says_what_it_takes(task: str, message: str, empty_home: Path) -> None:
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(
            triptych, ["models", "optimize", "x", "--task", task, "--images", "."],
            standalone_mode=False, catch_exceptions=False,
        )  # fmt: skip


def test_eight_bits_without_saturation_answer_nearly_the_same(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    import openvino

    ops, rng = openvino.opset13, np.random.default_rng(0)
    given = ops.parameter([1, 3, 16, 16], name="x", dtype=np.float32)
    values = given
    for channels, before in ((32, 3), (16, 32)):
        weights = rng.normal(size=(channels, before, 3, 3)).astype(np.float32) / np.float32(np.sqrt(9 * before))
        values = ops.relu(ops.convolution(values, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    path = tmp_path / "graph.xml"
    openvino.save_model(openvino.Model([values], [given], "graph"), str(path), compress_to_fp16=False)
    feeds = [rng.random((1, 3, 16, 16), np.float32) for _ in range(8)]
    for name, content in convert(path, "int8", feeds).items():
        (tmp_path / "int8").mkdir(exist_ok=True)
        (tmp_path / "int8" / name).write_bytes(content)
    exact, small = open_backend("openvino", path), open_backend("openvino", tmp_path / "int8" / "model.xml")
    for feed in feeds:
        wanted, got = (next(iter(b.run([{b.inputs[0].name: feed}])[0].values())) for b in (exact, small))
        assert np.abs(got - wanted).mean() < 0.02 * np.abs(wanted).mean()
        assert not np.array_equal(got, wanted)
    assert (tmp_path / "int8" / "model.bin").stat().st_size < 0.5 * (tmp_path / "graph.bin").stat().st_size
    with pytest.raises(UsageError, match="int8 needs typical inputs"):
        convert(path, "int8", [])
