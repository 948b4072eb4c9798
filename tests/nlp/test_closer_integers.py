"""Integers that come closer to float: weights rounded for typical inputs, scales a row, biases added on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.backends import open_backend
from shared.backends.closer import LARGEST, MOST_BYTES, passes, rounded, unlike
from shared.backends.integers import losses, measure, spared, to_integers

CHANNELS, COLUMNS, TOKENS = 40, 8, 24


def product_graph(rows: Any, weights: Any, *, bias: Any = None, twice: bool = False, kept: str = "answers") -> bytes:
    """Tokens' rows times weights, and where it is given a bias added to that; ``twice`` adds the product once more."""
    from onnx import TensorProto, helper, numpy_helper

    held = {"table": rows, "weights": weights} | ({} if bias is None else {"bias": bias})
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["product"]),
        helper.make_node("Add", ["bias", "product"], ["sum"]) if bias is not None else None,
        helper.make_node("Add" if twice else "Identity", ["sum" if bias is not None else "product"] +
                         (["product"] if twice else []), ["answers"]),
    ]  # fmt: skip
    takes = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
    gives = helper.make_tensor_value_info(kept, TensorProto.FLOAT, [1, "tokens", weights.shape[1]])
    tensors = [numpy_helper.from_array(np.asarray(values, np.float32), name) for name, values in held.items()]
    graph = helper.make_graph([node for node in nodes if node], "g", [takes], [gives], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


FEED = {"input_ids": np.arange(TOKENS)[None]}


def answers(content: bytes, path: Path) -> Any:
    path.write_bytes(content)
    (found,) = open_backend("onnxruntime", path).run([FEED])[0].values()
    return found


def operators(content: bytes) -> list[str]:
    import onnx

    return [node.op_type for node in onnx.load_from_string(content).graph.node]


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(7)


def test_rounded_weights_answer_typical_inputs_better_than_the_nearest(chance: np.random.Generator) -> None:
    mixed = chance.normal(size=(3, CHANNELS)) + 0.3 * chance.normal(size=(1, CHANNELS))
    values = chance.normal(size=(400, 3)) @ mixed + 0.05 * chance.normal(size=(400, CHANNELS))
    weight = chance.normal(size=(CHANNELS, COLUMNS)).astype(np.float32)
    integers, scale = rounded(weight, values.T @ values)
    assert integers.dtype == np.int8
    np.testing.assert_allclose(scale, np.abs(weight).max(axis=0) / LARGEST, rtol=1e-6)
    nearest = np.rint(weight / scale)
    lost = [np.square(values @ (whole * scale - weight)).mean() for whole in (integers, nearest)]
    assert lost[0] < 0.3 * lost[1]
    assert np.abs(integers - weight / scale).max() < 12  # the errors that are handed on stay small


def test_where_channels_have_nothing_in_common_the_nearest_are_kept(chance: np.random.Generator) -> None:
    weight = chance.normal(size=(130, COLUMNS)).astype(np.float32)
    weight[:, 3] = 0
    integers, scale = rounded(weight, np.eye(130))
    np.testing.assert_array_equal(integers, np.rint(weight / scale))
    assert scale[3] == 1
    np.testing.assert_array_equal(rounded(weight, np.zeros((130, 130)))[0], integers)


def test_errors_are_handed_on_from_block_to_block(chance: np.random.Generator) -> None:
    """More channels than are rounded together: the same as one by one, which is what the algorithm says."""
    n = 150
    values = chance.normal(size=(500, 6)) @ chance.normal(size=(6, n)) + 0.2 * chance.normal(size=(500, n))
    weight = chance.normal(size=(n, 2)).astype(np.float32)
    moments = values.T @ values
    damped = moments + 0.01 * np.diag(moments).mean() * np.eye(n)
    left, scale, plain = weight.astype(np.float64), np.abs(weight).max(axis=0) / LARGEST, np.zeros((n, 2))
    inverse = np.linalg.inv(damped)
    for at in range(n):
        plain[at] = np.clip(np.rint(left[at] / scale), -LARGEST, LARGEST)
        error = (left[at] - plain[at] * scale) / inverse[at, at]
        left -= np.outer(inverse[:, at], error)
        inverse -= np.outer(inverse[:, at], inverse[at]) / inverse[at, at]
        inverse[at] = inverse[:, at] = 0
        inverse[at, at] = 1
    # a value on the edge between two integers may fall to either side
    assert np.mean(rounded(weight, moments)[0] == plain) > 0.99


@pytest.mark.parametrize(("rows", "found"), [([1, 1, 1, 2], True), ([1, 1, 1, 1.9], False), ([3], False)])
def test_rows_of_unlike_sizes(rows: list[float], found: bool) -> None:
    assert unlike(np.float32(rows)) is found


def test_moments_are_gathered_in_passes_that_fit() -> None:
    wide = int((MOST_BYTES / 8) ** 0.5)
    assert list(passes({"a": 10, "b": 10})) == [["a", "b"]]
    assert list(passes({"a": wide, "b": 100, "c": 2 * wide, "d": 1})) == [["a"], ["b"], ["c"], ["d"]]
    assert list(passes({})) == []


def test_one_large_row_costs_the_others_little(tmp_path: Path, chance: np.random.Generator) -> None:
    rows = np.maximum(chance.normal(size=(TOKENS, CHANNELS)), -0.17)
    rows[5] *= 200
    rows[6] = 0
    weights = chance.normal(size=(CHANNELS, COLUMNS))
    content = product_graph(rows, weights)
    exact = answers(content, tmp_path / "model.onnx")
    wrong = {}
    for closely in (False, True):
        measured = measure(tmp_path / "model.onnx", [FEED], closely=closely)
        assert [product.by_rows for product in measured.products] == [closely]
        small = answers(to_integers(measured), tmp_path / "small.onnx")
        wrong[closely] = np.abs(small - exact)[0, np.arange(TOKENS) != 5].mean()
    assert wrong[True] < 0.05 * wrong[False]
    assert answers(to_integers(measured), tmp_path / "small.onnx")[0, 6] == pytest.approx(0, abs=1e-6)


def test_a_scale_a_row_is_what_numpy_makes_of_it(tmp_path: Path, chance: np.random.Generator) -> None:
    rows = chance.normal(size=(TOKENS, CHANNELS)).astype(np.float32)
    rows[1] = np.abs(rows[1]) + 1  # never negative
    rows[2] = -np.abs(rows[2]) - 1  # never positive
    rows[3] *= 50
    (tmp_path / "model.onnx").write_bytes(product_graph(rows, chance.normal(size=(CHANNELS, COLUMNS))))
    measured = measure(tmp_path / "model.onnx", [FEED], closely=True)
    ((whole, step),) = measured.rounded.values()
    low, high = np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 1e-9)
    scale = ((high - low) / 255)[:, None]
    zero = np.rint(-low[:, None] / scale)
    integers = np.clip(np.rint(rows / scale) + zero, 0, 255)
    wanted = (integers - zero) * scale @ (whole * step)
    np.testing.assert_allclose(answers(to_integers(measured), tmp_path / "s.onnx")[0], wanted, rtol=1e-3, atol=2e-3)


def test_a_product_that_widens_keeps_one_scale(tmp_path: Path, chance: np.random.Generator) -> None:
    rows = chance.normal(size=(TOKENS, CHANNELS))
    rows[0] *= 50
    (tmp_path / "model.onnx").write_bytes(product_graph(rows, chance.normal(size=(CHANNELS, 2 * CHANNELS))))
    assert [one.by_rows for one in measure(tmp_path / "model.onnx", [FEED], closely=True).products] == [False]


@pytest.mark.parametrize(
    ("bias", "twice", "added"),
    [
        (np.linspace(-1, 1, COLUMNS), False, True),
        (np.linspace(-1, 1, COLUMNS), True, False),  # what was not added to is needed too
        (np.ones(1), False, False),  # one number for all columns
    ],
)
def test_a_bias_is_added_on_the_way_and_changes_nothing(
    tmp_path: Path, chance: np.random.Generator, bias: Any, twice: bool, added: bool
) -> None:
    rows, weights = chance.normal(size=(TOKENS, CHANNELS)), chance.normal(size=(CHANNELS, COLUMNS))
    with_bias, without = product_graph(rows, weights, bias=bias, twice=twice), product_graph(rows, weights)
    found = {}
    for name, content in (("with", with_bias), ("without", without)):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        found[name] = to_integers(measure(tmp_path / f"{name}.onnx", [FEED]))
    assert ("Add" not in operators(found["with"])) is added
    plain = answers(found["without"], tmp_path / "plain.onnx")
    wanted = plain * (2 if twice else 1) + np.float32(bias)
    np.testing.assert_allclose(answers(found["with"], tmp_path / "small.onnx"), wanted, rtol=1e-6, atol=1e-5)


def test_a_product_that_is_an_answer_keeps_its_own_bias(tmp_path: Path, chance: np.random.Generator) -> None:
    rows, weights = chance.normal(size=(TOKENS, CHANNELS)), chance.normal(size=(CHANNELS, COLUMNS))
    content = product_graph(rows, weights, bias=np.ones(COLUMNS), kept="product")
    exact = answers(content, tmp_path / "model.onnx")
    small = answers(to_integers(measure(tmp_path / "model.onnx", [FEED])), tmp_path / "small.onnx")
    np.testing.assert_allclose(small, exact, atol=0.2)


def test_what_loses_most_is_spared_of_close_integers_too(tmp_path: Path, chance: np.random.Generator) -> None:
    rows, weights = chance.normal(size=(TOKENS, CHANNELS)), chance.normal(size=(CHANNELS, COLUMNS))
    exact = answers(product_graph(rows, weights), tmp_path / "model.onnx")
    measured = measure(tmp_path / "model.onnx", [FEED], closely=True)
    left = spared(measured.products, losses(measured, [FEED]), 1.0)
    np.testing.assert_array_equal(answers(to_integers(measured, in_float=left), tmp_path / "same.onnx"), exact)


def test_a_product_that_is_next_to_nothing_stays_in_float(
    tmp_path: Path, chance: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, weights = chance.normal(size=(TOKENS, CHANNELS)), chance.normal(size=(CHANNELS, COLUMNS))
    (tmp_path / "model.onnx").write_bytes(product_graph(rows, weights))
    monkeypatch.setattr("shared.backends.integers.SLIGHT", 1.5)
    assert len(measure(tmp_path / "model.onnx", [FEED]).products) == 1
    measured = measure(tmp_path / "model.onnx", [FEED], closely=True)
    assert (measured.products, measured.rounded) == ((), {})
    assert "MatMulIntegerToFloat" not in operators(to_integers(measured))
