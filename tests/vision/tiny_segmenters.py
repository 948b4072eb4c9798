"""Model folders of tiny real graphs whose answers are known, one for each family of segmenters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.catalogue import ModelCard
from shared.types import AnyArray
from shared.weights import write_model_folder
from vision.segmentation.sam_export import DECODER, ENCODER

COLOURS = ("red", "green", "blue")
Shape = Sequence[int | str]


def graph(
    nodes: Sequence[Any], inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], values: Mapping[str, AnyArray]
) -> bytes:
    """An ONNX graph of float32 inputs and outputs (``labels`` are whole numbers where they come out)."""

    def port(name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    made = helper.make_graph(
        list(nodes),
        "tiny",
        [port(name, shape) for name, shape in inputs.items()],
        [port(n, s, TensorProto.INT64 if n == "labels" else TensorProto.FLOAT) for n, s in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def folder(place: Path, family: str, content: bytes, options: Mapping[str, Any], **changes: Any) -> Path:
    """A model folder of one graph."""
    facts = {"name": f"tiny-{family}", "task": "vision.segmentation", "family": family, "backend": "openvino"}
    card = ModelCard(**(facts | {"licence": "Apache-2.0", "summary": "for tests"} | changes), options=dict(options))
    write_model_folder(place, card, {"graph.onnx": content})
    return place


def by_colour(place: Path, **options: Any) -> Path:
    """Family ``semantic``, 8 px: a pixel is of the class red, green or blue whose channel is strongest."""
    conv = helper.make_node("Conv", ["x", "w"], ["logits"])
    content = graph(
        [conv], {"x": (1, 3, 8, 8)}, {"logits": (1, 3, 8, 8)}, {"w": 9 * np.eye(3, dtype=np.float32)[..., None, None]}
    )
    return folder(place, "semantic", content, {"size": 8, "labels": list(COLOURS)} | options)


def by_light(place: Path, **options: Any) -> Path:
    """Family ``matting``, 8 px: a pixel's alpha is its mean value."""
    mean = helper.make_node("ReduceMean", ["x"], ["alpha"], axes=[1], keepdims=1)
    return folder(
        place,
        "matting",
        graph([mean], {"x": (1, 3, 8, 8)}, {"alpha": (1, 1, 8, 8)}, {}),
        {"size": 8} | options,
    )


def constant(place: Path, family: str, answers: Mapping[str, AnyArray], options: Mapping[str, Any]) -> Path:
    """A graph of 8 px that gives the same answers to every picture."""
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name in answers]
    nodes += [helper.make_node("Identity", ["x"], ["unused"])]
    shapes: dict[str, Shape] = {name: value.shape for name, value in answers.items()}
    content = graph(
        nodes,
        {"x": (1, 3, 8, 8)},
        shapes | {"unused": (1, 3, 8, 8)},
        {f"{name}_value": value for name, value in answers.items()},
    )
    return folder(place, family, content, {"size": 8} | options)


def around_points(place: Path) -> Path:
    """Family ``sam``, 64 px: masks of radius 8, 4, 12 and 16 px around the mean of the points or corners.

    The expected overlaps are 0.5, 0.2, 0.9 and 0.1, so that a single point is answered with radius 12.
    """
    pool = helper.make_node("AveragePool", ["pixels"], ["embedding"], kernel_shape=[16, 16], strides=[16, 16])
    encoder = graph([pool], {"pixels": (1, 3, 64, 64)}, {"embedding": (1, 3, 4, 4)}, {})
    y, x = np.mgrid[:16, :16] * 4 + 2.0
    nodes = [
        helper.make_node("GreaterOrEqual", ["labels", "zero"], ["there"]),
        helper.make_node("Cast", ["there"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["weights3"]),
        helper.make_node("Mul", ["coordinates", "weights3"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights3", "one"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["centre"]),
        helper.make_node("Reshape", ["centre", "shape"], ["centre5"]),
        helper.make_node("Sub", ["grid", "centre5"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "four"], ["distance"], keepdims=0),
        helper.make_node("Sub", ["radii", "distance"], ["masks"]),
        helper.make_node("Mul", ["count", "nothing"], ["zeros"]),
        helper.make_node("ReduceMean", ["embedding"], ["light"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["light", "nothing"], ["dark"]),
        helper.make_node("Add", ["expected", "zeros"], ["expected_by_prompt"]),
        helper.make_node("Add", ["expected_by_prompt", "dark"], ["expected_iou"]),
    ]
    values = {
        "zero": np.float32(0),
        "nothing": np.float32(0),
        "last": np.int64([2]),
        "one": np.int64([1]),
        "four": np.int64([4]),
        "shape": np.int64([-1, 1, 1, 1, 2]),
        "grid": np.stack([x, y], axis=-1)[None, None].astype(np.float32),
        "radii": np.float32([8, 4, 12, 16]).reshape(1, 4, 1, 1) ** 2,
        "expected": np.float32([[0.5, 0.2, 0.9, 0.1]]),
    }
    inputs: dict[str, Shape] = {"embedding": (1, 3, 4, 4), "coordinates": ("n", "k", 2), "labels": ("n", "k")}
    decoder = graph(nodes, inputs, {"masks": ("n", 4, 16, 16), "expected_iou": ("n", 4)}, values)
    card = ModelCard("tiny-sam", "vision.prompting", "sam", "openvino", "Apache-2.0", "for tests", options={"size": 64})
    write_model_folder(place, card, {ENCODER: encoder, DECODER: decoder})
    return place
