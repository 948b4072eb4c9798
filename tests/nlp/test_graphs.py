"""Encoder graphs from weights: equal to the formulas, in int8 nearly so; adapters merged once and kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import save
from tiny_base import SHAPE, base_folder, reference, tensors
from tiny_encoder import tokenizer_json

from nlp.graphs import build, merged_folder, open_base
from nlp.graphs.adapters import adapter_bytes, merge, read_adapter
from nlp.graphs.build import build_graph, evening, quantised
from nlp.graphs.parts import layer, read_tensors, shape_of, shape_of_config
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import AnyArray, Float32
from shared.weights import Opened, resolve, write_model_folder

IDS = np.array([2, 4, 8, 11, 10, 5, 9, 3])
TYPES = np.array([0, 0, 0, 0, 1, 1, 1, 1])
CODES = np.array([0, 3, 1, 2, 1, 1, 2, 0])
QUERY = layer(1, "attention.self.query")


def with_head(outputs: int, **more: Float32) -> dict[str, Float32]:
    rng = np.random.default_rng(5)
    head = {"head.weight": rng.normal(size=(outputs, SHAPE.hidden)), "head.bias": rng.normal(size=outputs)}
    return {**tensors(), **{name: values.astype(np.float32) for name, values in head.items()}, **more}


def run(graph: bytes, **feeds: AnyArray) -> dict[str, Float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": IDS, "attention_mask": np.ones_like(IDS), **feeds}
    names = [answer.name for answer in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: values[None] for name, values in feeds.items()})))


class TestAgainstTheFormulas:
    @pytest.mark.parametrize("types", [False, True])
    def test_token_vectors(self, types: bool) -> None:
        graph = build_graph(SHAPE, tensors(), head="vectors", types=types, int8=False)
        given = {"token_type_ids": TYPES} if types else {}
        wanted = reference(tensors(), IDS, types=TYPES if types else None)
        np.testing.assert_allclose(run(graph, **given)["vectors"][0], wanted, atol=2e-5)

    def test_a_text_is_judged_by_the_mean_of_its_tokens(self) -> None:
        given = with_head(3)
        found = run(build_graph(SHAPE, given, head="text", types=False, int8=False))["logits"]
        wanted = reference(given, IDS).mean(0) @ given["head.weight"].T + given["head.bias"]
        np.testing.assert_allclose(found, wanted[None], atol=2e-5)

    def test_codes_beside_the_words_and_a_head_on_every_token(self) -> None:
        codes = np.random.default_rng(1).normal(size=(4, SHAPE.hidden)).astype(np.float32)
        given = with_head(5, **{"features.weight": codes})
        found = run(build_graph(SHAPE, given, head="tokens", types=False, int8=False), features=CODES)["logits"]
        wanted = reference(given, IDS, features=CODES) @ given["head.weight"].T + given["head.bias"]
        np.testing.assert_allclose(found[0], wanted, atol=2e-5)

    def test_start_and_end(self) -> None:
        given = with_head(2)
        found = run(build_graph(SHAPE, given, head="spans", types=True, int8=False), token_type_ids=TYPES)
        wanted = reference(given, IDS, types=TYPES) @ given["head.weight"].T + given["head.bias"]
        np.testing.assert_allclose(found["start_logits"][0], wanted[:, 0], atol=2e-5)
        np.testing.assert_allclose(found["end_logits"][0], wanted[:, 1], atol=2e-5)


def test_int8_is_near_and_a_quarter_of_the_size() -> None:
    shape = dataclasses.replace(SHAPE, hidden=64, heads=4, inner=128)
    given = tensors(shape, 0.1)
    floats = build_graph(shape, given, head="vectors", types=False, int8=False)
    integers = build_graph(shape, given, head="vectors", types=False, int8=True)
    right, near = run(floats)["vectors"][0], run(integers)["vectors"][0]
    cosines = (right * near).sum(1) / np.linalg.norm(right, axis=1) / np.linalg.norm(near, axis=1)
    assert cosines.min() > 0.995
    assert len(integers) < 0.4 * len(floats)
    assert integers == build_graph(shape, given, head="vectors", types=False, int8=True)


def test_quantised_weights_are_within_half_a_step_and_seven_bits() -> None:
    weight = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    weight[3] = 0
    values, scale = quantised(weight)
    assert (np.abs(values * scale[:, None] - weight) <= scale[:, None] * 0.5001).all()
    assert values.dtype == np.int8
    assert np.abs(values).max() == 63
    assert not values[3].any()


def test_channels_that_a_norm_makes_large_are_evened(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = dataclasses.replace(SHAPE, hidden=64, heads=4, inner=128)
    given = {name: values.copy() for name, values in tensors(shape, 0.1).items()}
    for name, values in given.items():
        if name.endswith("LayerNorm.weight"):
            values[[3, 17]] *= 30
    for number in range(shape.layers):
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "intermediate.dense"):
            given[f"{layer(number, part)}.weight"][:, [3, 17]] /= 30
    sizes = evening(np.ones((5, 64), np.float32), given["embeddings.LayerNorm.weight"], np.zeros(64, np.float32))
    assert sizes[3] > 5 * np.median(sizes)
    assert np.log(sizes).mean() == pytest.approx(0, abs=1e-5)

    def error() -> float:
        floats, integers = (
            run(build_graph(shape, given, head="vectors", types=False, int8=int8))["vectors"][0]
            for int8 in (False, True)
        )
        return float(np.square(np.delete(floats - integers, [3, 17], axis=1)).mean())

    evened = error()
    monkeypatch.setattr(build, "evening", lambda weight, *_: np.ones(weight.shape[1], np.float32))
    assert evened < 0.5 * error()


@pytest.mark.parametrize("int8", [False, True])
def test_sums_and_norms_are_two_steps_which_run_faster_than_the_joint_one(int8: bool) -> None:
    graph = onnx.load_from_string(build_graph(SHAPE, tensors(), head="vectors", types=False, int8=int8)).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("LayerNormalization") == 1 + 2 * SHAPE.layers
    assert "SkipLayerNormalization" not in kinds


class TestAdapters:
    def test_what_is_written_comes_back_in_float16(self, tmp_path: Path) -> None:
        given = {"head.bias": np.float32([1.5, -2.25]), f"{QUERY}.bias": np.full(8, 0.1, dtype=np.float32)}
        path = tmp_path / "adapter.safetensors"
        path.write_bytes(adapter_bytes(given))
        found = read_adapter(path)
        assert found["head.bias"].tolist() == [1.5, -2.25]
        np.testing.assert_allclose(found[f"{QUERY}.bias"], 0.1, rtol=1e-3)
        assert adapter_bytes(dict(reversed(given.items()))) == path.read_bytes()

    def test_low_rank_parts_are_added_and_others_replaced(self) -> None:
        rng = np.random.default_rng(2)
        down, up = (rng.normal(size=size).astype(np.float32) for size in ((3, 8), (8, 3)))
        base = open_base(resolve(base_folder(), task="nlp.base"))
        given = {
            f"{QUERY}.lora_A.weight": down,
            f"{QUERY}.lora_B.weight": up,
            f"{QUERY}.bias": np.ones(8, dtype=np.float32),
            "head.bias": np.zeros(2, dtype=np.float32),
        }
        merged = merge(base, given, origin="here")
        np.testing.assert_allclose(merged[f"{QUERY}.weight"], tensors()[f"{QUERY}.weight"] + up @ down, rtol=1e-6)
        assert merged[f"{QUERY}.bias"].tolist() == [1] * 8
        assert merged["head.bias"].tolist() == [0, 0]
        assert set(merged) - set(tensors()) == {"head.bias"}

    @pytest.mark.parametrize(
        ("name", "size", "message"),
        [
            (f"{QUERY}.lora_A.weight", (3, 8), "must fit a layer of the base, with"),
            (f"{QUERY}.lora_B.weight", (8, 3), "must have its lora_A.weight beside it"),
            (f"{QUERY}.weight", (4, 8), r"of shape \(4, 8\) must be a tensor of the base or of a head"),
            ("elsewhere.weight", (8, 8), "must be a tensor of the base or of a head"),
        ],
    )
    def test_what_does_not_fit_is_said(self, name: str, size: tuple[int, ...], message: str) -> None:
        base = open_base(resolve(base_folder(), task="nlp.base"))
        with pytest.raises(DataError, match=message):
            merge(base, {name: np.zeros(size, dtype=np.float32)}, origin="here")

    def test_numbers_beyond_float16_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"head.bias must hold numbers below 65,504"):
            adapter_bytes({"head.bias": np.float32([1e6])})

    @pytest.mark.parametrize("content", [b"", b"no tensors", save({"a": np.zeros(2)})[:-4]])
    def test_a_file_that_is_none_is_refused(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "adapter.safetensors"
        path.write_bytes(content)
        with pytest.raises(DataError, match="must be an adapter in safetensors form"):
            read_adapter(path)


def adapted(folder: Path, **options: Any) -> Opened:
    base = resolve(base_folder(), task="nlp.base")
    told = {
        "base": str(base_folder()),
        "base_sha256": base.card.file("model.safetensors").sha256,
        "head": "text",
        "labels": ["bad", "good"],
        "max_tokens": 16,
        **options,
    }
    card = ModelCard("moods", "nlp.classification", "text-classifier", "onnxruntime", "MIT", "moods", options=told)
    given = with_head(2)
    adapter = {"head.weight": given["head.weight"], "head.bias": given["head.bias"]}
    write_model_folder(folder, card, {"adapter.safetensors": adapter_bytes(adapter)})
    return resolve(folder, task="nlp.classification")


class TestMergedFolder:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path / "home"))
        return tmp_path / "home"

    def test_it_is_made_once_and_answers_as_the_formulas(self, tmp_path: Path, home: Path) -> None:
        opened = adapted(tmp_path / "moods")
        merged = merged_folder(opened)
        assert set(merged.files) == {"model.onnx", "tokenizer.json"}
        assert merged.card.options == opened.card.options
        assert merged.files["tokenizer.json"].read_text() == tokenizer_json()
        given = with_head(2)
        wanted = reference(given, IDS).mean(0) @ given["head.weight"].T + given["head.bias"]
        np.testing.assert_allclose(run(merged.files["model.onnx"].read_bytes())["logits"][0], wanted, atol=0.15)
        (before,) = [path.stat().st_mtime_ns for path in home.glob("exports/*/model.onnx")]
        assert merged_folder(opened).files == merged.files
        assert [path.stat().st_mtime_ns for path in home.glob("exports/*/model.onnx")] == [before]

    def test_other_options_are_another_graph(self, tmp_path: Path) -> None:
        first = merged_folder(adapted(tmp_path / "moods"))
        second = merged_folder(adapted(tmp_path / "other", types=True))
        assert first.files["model.onnx"] != second.files["model.onnx"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"base_sha256": "0" * 64}, "was trained over a base with sha256 0000"),
            ({"head": "knees"}, "its head as one of text, tokens, spans, vectors. Got base=.*head='knees'"),
            ({"base": None}, "must name the adapter's base"),
            ({"head": "tokens", "base": 3}, "must name the adapter's base"),
        ],
    )
    def test_a_card_that_does_not_fit_is_said(self, options: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=message):
            merged_folder(adapted(tmp_path / "moods", **options))


class TestParts:
    def test_prefixes_are_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        path.write_bytes(save({f"bert.{name}": values for name, values in tensors().items()}))
        assert set(read_tensors(path, SHAPE)) == set(tensors())

    def test_a_missing_tensor_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        path.write_bytes(save({name: values for name, values in tensors().items() if name != f"{QUERY}.bias"}))
        with pytest.raises(DataError, match=r"must hold encoder.layer.1.attention.self.query.bias of shape \(8,\)"):
            read_tensors(path, SHAPE)

    def test_options_that_are_no_encoder_are_said(self) -> None:
        with pytest.raises(DataError, match=r"must state layers, hidden, .* Got \{'heads': 0\}"):
            shape_of({**vars(SHAPE), "heads": 0}, "the card")
        with pytest.raises(DataError, match="heads must divide hidden. Got 3 and 8"):
            shape_of({**vars(SHAPE), "heads": 3}, "the card")

    def test_another_architecture_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_text(
            '{"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8, '
            '"max_position_embeddings": 8, "layer_norm_eps": 1e-5, "model_type": "roberta", "hidden_act": "gelu"}'
        )
        with pytest.raises(DataError, match=r"must tell of a bert model with gelu and absolute positions. Got \('rob"):
            shape_of_config(path)
        path.write_text("{}")
        with pytest.raises(DataError, match="must be the configuration of a BERT encoder"):
            shape_of_config(path)

    def test_another_family_is_no_base(self, tmp_path: Path) -> None:
        card = ModelCard("x", "nlp.base", "gpt", "onnxruntime", "MIT", "x")
        write_model_folder(tmp_path, card, {"model.safetensors": b"x"})
        with pytest.raises(UnknownNameError, match="gpt"):
            open_base(resolve(tmp_path, task="nlp.base"))

    def test_an_unknown_head_lists_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match="head must be one of text, tokens, spans, vectors. Got 'x' instead"):
            build_graph(SHAPE, tensors(), head="x", types=False, int8=False)
