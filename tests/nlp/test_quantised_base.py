"""Weights read back out of a graph with 8-bit integers: the formula, what is refused, the bases of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from nlp.graphs import open_base
from nlp.graphs.build import build_graph
from nlp.graphs.parts import VALUE, layer
from nlp.graphs.quantised import read_quantised
from shared.errors import DataError
from shared.types import Float32
from shared.weights import resolve

QUERY = "encoder.layer.0.attention.self.query"


def graph_file(folder: Path, *, without: str = "") -> Path:
    """A graph with a quantised table, a quantised linear layer, a plain bias, and names as an export gives them."""
    arrays: dict[str, Any] = {
        "bert.embeddings.word_embeddings.weight_quantized": np.array([[0, 2], [10, 255]], np.uint8),
        "bert.embeddings.word_embeddings.weight_scale": np.float32(0.5),
        "bert.embeddings.word_embeddings.weight_zero_point": np.uint8(2),
        "onnx::MatMul_7_quantized": np.array([[-3, 1], [4, 0], [2, 2]], np.int8),
        "onnx::MatMul_7_scale": np.float32(0.25),
        "onnx::MatMul_7_zero_point": np.int8(1),
        f"bert.{QUERY}.bias": np.array([1.0, 2.0], np.float32),
    }
    kept = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items() if name != without]
    inputs = ["x", "onnx::MatMul_7_quantized", "x_zero_point", "onnx::MatMul_7_zero_point"]
    name = "/bert/encoder/layer.0/attention/self/query/MatMul_quant"
    node = helper.make_node("MatMulInteger", inputs, ["y"], name=name)
    made = helper.make_model(helper.make_graph([node], "g", [], [], kept))
    path = folder / "model.onnx"
    onnx.save(made, path)
    return path


def test_integers_become_what_onnx_says_they_are(tmp_path: Path) -> None:
    found = read_quantised(graph_file(tmp_path))
    assert found["bert.embeddings.word_embeddings.weight"].tolist() == [[-1.0, 0.0], [4.0, 126.5]]
    assert found[f"{QUERY}.weight"].tolist() == [[-1.0, 0.75, 0.25], [0.0, -0.25, 0.25]]  # (out, in)
    assert found[f"bert.{QUERY}.bias"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("part", ["weight_scale", "weight_zero_point"])
def test_an_integer_without_its_scale_is_refused(tmp_path: Path, part: str) -> None:
    path = graph_file(tmp_path, without=f"bert.embeddings.word_embeddings.{part}")
    with pytest.raises(DataError, match=r"word_embeddings\.weight as integers with a scale and a zero point"):
        read_quantised(path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x00no graph")
    with pytest.raises(DataError, match="must be an ONNX graph"):
        read_quantised(tmp_path / "model.onnx")


@pytest.mark.weights
@pytest.mark.parametrize(
    ("base", "origin", "task"),
    [("bge-small-base", "bge-small-en", "nlp.embedding"), ("minilm-l12-base", "ms-marco-minilm-l12", "nlp.reranking")],
)
def test_a_base_answers_as_the_graph_that_it_was_read_from(base: str, origin: str, task: str) -> None:
    """The graph rounds what goes into each layer to 8 bits, so directions of vectors are compared, with a control."""
    read = open_base(resolve(base, task="nlp.base"))
    ids = np.array([[101, 1037, 2204, 3185, 1010, 1998, 2028, 2000, 2156, 2153, 102]])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    theirs = _last_states(resolve(origin, task=task).files["model.onnx"], feeds)

    def likeness(tensors: Mapping[str, Float32]) -> Float32:
        graph = build_graph(read.shape, tensors, head="vectors", types=True, int8=False)
        ours = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(["vectors"], feeds)[0][0]
        found: Float32 = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        return found

    values = [layer(number, VALUE) + ".weight" for number in range(read.shape.layers)]
    turned = {**read.tensors, **{name: np.ascontiguousarray(read.tensors[name].T) for name in values}}
    assert likeness(read.tensors).min() > 0.97
    assert likeness(turned).min() < 0.9


def _last_states(path: Path, feeds: dict[str, Any]) -> Float32:
    """What the last layer of a graph gives, wherever its own head goes on from there."""
    model = onnx.load(str(path))
    last = max(
        (node.output[0] for node in model.graph.node if node.name.endswith("/output/LayerNorm/Add_1")),
        key=lambda name: int(name.split("layer.")[1].split("/")[0]) if "layer." in name else -1,
    )
    model.graph.output.append(helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    taken = {value.name: feeds[value.name] for value in session.get_inputs()}
    states: Float32 = session.run([last], taken)[0][0]
    return states
