"""Text models in 8-bit integers: what counts as the same, what is refused, and by which name the kept form is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_text_graphs import PER_TOKEN, graph_bytes, table, text_folder

import nlp
from nlp.agreement import agreement
from nlp.optimize import optimize
from shared import catalogue
from shared.backends import onnxruntime as runtime
from shared.backends import open_backend
from shared.backends.integers import Product, evening, is_quantised, losses, measure, spared, to_integers
from shared.cli.main import triptych
from shared.errors import BackendError, DataError, UnknownNameError, UsageError

TASK = "nlp.classification"
ROWS = table({"good": [4, 0], "bad": [0, 4], "film": [1, 2]}, 2)
LINES = [
    "good film",
    "bad film",
    "",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "film",
    "good bad good",
]


def logits(*values: float) -> dict[str, Any]:
    return {"logits": np.float32([values])}


def tagged(*rows: list[float]) -> dict[str, Any]:
    return {"logits": np.float32([rows])}


def ends(start: list[float], end: list[float]) -> dict[str, Any]:
    return {"start_logits": np.float32([start]), "end_logits": np.float32([end])}


@pytest.mark.parametrize(
    ("family", "wanted", "got", "several", "figure"),
    [
        ("text-classifier", [logits(0, 1), logits(1, 0)], [logits(0, 3), logits(0, 1)], False, 0.5),
        ("text-classifier", [logits(-1, 1, 2)], [logits(-3, 1, -1)], True, 2 / 3),
        ("nli", [logits(0, 1, 2)], [logits(0, 1, 2)], False, 1.0),
        ("token-classifier", [tagged([1, 0], [0, 1], [1, 0])], [tagged([1, 0], [0, 2], [0, 1])], False, 2 / 3),
        ("pair-scorer", [logits(1), logits(2), logits(3)], [logits(1), logits(3), logits(2)], False, 2 / 3),
        ("pair-scorer", [logits(1)], [logits(2)], False, 1.0),
    ],
)
def test_agreement(family: str, wanted: Any, got: Any, several: bool, figure: float) -> None:
    assert agreement(family, wanted, got, several=several) == pytest.approx(figure)


@pytest.mark.parametrize(
    ("wanted", "got", "figure"),
    [
        (ends([0, 9, 1, 2, 0], [0, 9, 1, 2, 0]), ends([0, 0, 1, 3, 0], [0, 0, 1, 3, 0]), 1.0),
        (ends([0, 9, 1, 2, 0], [0, 9, 1, 2, 0]), ends([0, 0, 3, 1, 0], [0, 0, 3, 1, 0]), 0.0),
        (ends([5, 4, 1, 2, 5], [5, 4, 1, 2, 5]), ends([5, 6, 2, 1, 6], [5, 6, 2, 1, 6]), 1.0),
        (ends([5, 4, 1, 2, 5], [5, 4, 1, 2, 5]), ends([1, 6, 2, 1, 6], [1, 6, 2, 1, 6]), 0.0),
    ],
)
def test_readers_agree_by_the_stretch_of_the_context(wanted: Any, got: Any, figure: float) -> None:
    """Tokens 2 and 3 are the context; the first stands for no answer, and what the others score is of no matter."""
    assert agreement("extractive-reader", [wanted], [got], second=[slice(2, 4)]) == figure


@pytest.fixture
def mood(tmp_path: Path, empty_home: Path) -> Path:
    return text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=["good", "bad"])


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "texts.txt").write_text("\n".join(LINES), "utf-8")
    return tmp_path / "texts.txt"


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp.optimize.paired_speed", lambda original, form: 2.0)


@pytest.mark.usefixtures("fast")
def test_what_is_kept_is_known_by_name(mood: Path, texts: Path, empty_home: Path) -> None:
    arguments = ["models", "optimize", str(mood), "--texts", str(texts)]
    run = CliRunner().invoke(triptych, arguments, standalone_mode=False, catch_exceptions=False)
    folder = empty_home / "optimized" / "mood-int8"
    assert run.return_value == 0
    assert f"written: {folder} (open it with --model mood-int8)" in run.stdout
    card = catalogue.find("mood-int8")
    assert card.options["optimised_from"] == "mood"
    assert (card.options["agreement"], card.options["judged_on"], card.default) == (1.0, 5, False)
    assert is_quantised(folder / "model.onnx")
    listed = CliRunner().invoke(triptych, ["models", "list", "--task", TASK, "--json"], standalone_mode=False)
    assert "mood-int8" in [json.loads(line)["name"] for line in listed.stdout.splitlines()]
    small, whole = nlp.text_classifier("mood-int8"), nlp.text_classifier(mood)
    (one,), (other,) = small.predict(["good film"]), whole.predict(["good film"])
    assert isinstance(one, nlp.TextLabels)
    assert isinstance(other, nlp.TextLabels)
    assert one.labels == other.labels
    np.testing.assert_allclose(one.scores, other.scores, atol=0.02)
    with pytest.raises(UsageError, match="'mood-int8' must be in float32. Its graph is in 8-bit integers already"):
        optimize("mood-int8", task=TASK, texts=texts)


@pytest.mark.usefixtures("fast")
def test_a_folder_of_ones_own_is_written_and_not_listed(mood: Path, texts: Path, tmp_path: Path) -> None:
    report = optimize(mood, task=TASK, texts=texts, out=tmp_path / "small")
    assert (report["written"], report["name"]) == (str(tmp_path / "small"), None)
    with pytest.raises(UnknownNameError):
        catalogue.find("mood-int8")
    assert nlp.text_classifier(tmp_path / "small").card.name == "mood-int8"


def test_a_form_that_gains_nothing_or_answers_otherwise_is_refused(
    mood: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp.optimize.paired_speed", lambda original, form: 1.04)
    report = optimize(mood, task=TASK, texts=texts)
    assert report["tried"][0]["refused"].startswith("it is 1.04 times as fast as the original, and 1.05 is the least")
    assert (report["written"], report["name"]) == (None, None)
    other = graph_bytes(ROWS[:, ::-1])
    monkeypatch.setattr("nlp.optimize.to_integers", lambda measured, *, in_float: other)
    report = optimize(mood, task=TASK, texts=texts)
    assert [row["refused"] for row in report["tried"]] == ["it agrees with the original to 0.2000, less than 0.99"] * 4
    assert [row["in_float"] for row in report["tried"]] == [0.0, 0.15, 0.35, 0.6]
    assert report["written"] is None


@pytest.mark.usefixtures("fast")
def test_more_stays_in_float_until_a_form_answers_the_same(
    mood: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = graph_bytes(ROWS[:, ::-1])

    def refusing_integers(measured: Any, *, in_float: Any) -> bytes:
        return to_integers(measured, in_float=in_float) if in_float else other

    monkeypatch.setattr("nlp.optimize.to_integers", refusing_integers)
    report = optimize(mood, task=TASK, texts=texts)
    assert [(row["in_float"], row["agreement"]) for row in report["tried"]] == [(0.0, 0.2), (0.15, 1.0)]
    assert catalogue.find("mood-int8").options["in_float"] == 0.15


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("line", ["good film\tbad film", "good film"])
def test_a_line_may_hold_two_texts(line: str, tmp_path: Path, empty_home: Path) -> None:
    scorer = text_folder(tmp_path / "scorer", "pair-scorer", graph_bytes(ROWS[:, :1], types=True), task="nlp.reranking")
    (tmp_path / "pairs.txt").write_text("\n".join([line, "bad\tgood good good good good good good", "the\tfilm"]))
    report = optimize(scorer, task="nlp.reranking", texts=tmp_path / "pairs.txt")
    assert (report["texts"], report["bound"], report["tried"][0]["agreement"]) == (3, 0.97, 1.0)


def test_tags_are_compared_token_by_token(tmp_path: Path, texts: Path, empty_home: Path) -> None:
    tagger = text_folder(tmp_path / "tagger", "token-classifier", graph_bytes(ROWS, per=PER_TOKEN), task="nlp.ner")
    assert optimize(tagger, task="nlp.ner", texts=texts)["tried"][0]["agreement"] == 1.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "bf16"}, UnknownNameError, "no precision of text models is called 'bf16'"),
        ({"bound": 1.01}, UsageError, r"bound must lie in \[0, 1\]. Got 1.01"),
        ({"texts": Path("nowhere.txt")}, DataError, "nowhere.txt must be a file of UTF-8 text"),
    ],
)
def test_wrong_arguments_say_so(
    options: dict[str, Any], error: type[Exception], message: str, mood: Path, texts: Path
) -> None:
    with pytest.raises(error, match=message):
        optimize(mood, **({"task": TASK, "texts": texts} | options))


def test_texts_must_be_readable_and_the_family_comparable(mood: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\x00\n \n")
    with pytest.raises(UsageError, match="must hold a text that can be read. Got 1 lines, none of them usable"):
        optimize(mood, task=TASK, texts=tmp_path / "none.txt")
    with pytest.raises(
        UnknownNameError, match="no family of text models that can be optimised is called 'linear-head'"
    ):
        optimize("sst2-minilm", task=TASK, texts=tmp_path / "none.txt")


def answered(path: Path, tokens: int = 12) -> Any:
    feed = {"input_ids": np.arange(tokens)[None], "attention_mask": np.ones((1, tokens), np.int64)}
    return open_backend("onnxruntime", path).run([feed])[0]["logits"]


@pytest.mark.parametrize("whole", [True, False])
def test_integers_do_not_saturate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """The largest weights and values next to one another: two products do not fit into 16 bits."""
    real = runtime.adds_whole
    monkeypatch.setattr(runtime, "adds_whole", lambda described: whole and real(described))
    (tmp_path / "model.onnx").write_bytes(full_graph())
    measured = measure(tmp_path / "model.onnx", [FEED])
    (tmp_path / "small.onnx").write_bytes(to_integers(measured))
    exact, small = (answered(tmp_path / name) for name in ("model.onnx", "small.onnx"))
    np.testing.assert_allclose(small, exact, rtol=0.01)


FEED = {"input_ids": np.arange(12)[None], "attention_mask": np.ones((1, 12), np.int64)}


def full_graph(rows: Any = None, weights: Any = None) -> bytes:
    """Tokens' rows times weights, and a wave of the products: values and weights all large where none are given."""
    from onnx import TensorProto, helper, numpy_helper

    rows = np.full((12, 80), 100.0) if rows is None else rows
    weights = np.ones((80, 4)) if weights is None else weights
    names = ("input_ids", "attention_mask")
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in names]
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "tokens", 4])
    held = {"table": rows, "weights": weights, "same": np.eye(4) / 1000}
    tensors = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in held.items()]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sums"]),
        helper.make_node("Sin", ["sums"], ["waves"]),
        helper.make_node("MatMul", ["waves", "same"], ["more"]),
        helper.make_node("Add", ["sums", "more"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "g", takes, [gives], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def outlying() -> bytes:
    """Rows whose first channel is a hundred times as large as the others, and weighs as much less."""
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((12, 80)), rng.standard_normal((80, 4))
    rows[:, 0] *= 100
    weights[0] /= 100
    return full_graph(rows, weights)


def test_a_large_channel_costs_the_others_little(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(outlying())
    measured = measure(tmp_path / "model.onnx", [FEED])
    plain = replace(measured, products=tuple(replace(p, divisors=np.ones_like(p.divisors)) for p in measured.products))
    exact = answered(tmp_path / "model.onnx")
    wrong = {}
    for name, form in (("evened", measured), ("plain", plain)):
        (tmp_path / f"{name}.onnx").write_bytes(to_integers(form))
        wrong[name] = np.abs(answered(tmp_path / f"{name}.onnx") - exact).mean()
    assert wrong["evened"] < 0.1 * wrong["plain"]


def test_channels_are_evened_by_what_is_seen_of_them() -> None:
    weights = [np.float32([[1], [1], [1]])]
    found = evening(np.float32([100, 1, 0]), weights)
    np.testing.assert_allclose(found[0] / found[1], 100**0.85, rtol=1e-5)
    assert found[1] == found[2]
    np.testing.assert_allclose(evening(np.float32([0, 0, 0]), weights), 1.0)
    np.testing.assert_allclose(np.log(found).mean(), 0, atol=1e-6)


def test_those_that_lose_most_are_spared_first(tmp_path: Path) -> None:
    ones = np.float32([1])
    products = [Product(name, (), ones, cost) for name, cost in (("a", 10), ("b", 60), ("c", 30))]
    lost = {"a": 3.0, "b": 1.0, "c": 2.0}
    assert [spared(products, lost, share) for share in (0, 0.1, 0.2, 0.6, 1)] == [
        [], ["a"], ["a", "c"], ["a", "c", "b"], ["a", "c", "b"],
    ]  # fmt: skip
    (tmp_path / "model.onnx").write_bytes(outlying())
    measured = measure(tmp_path / "model.onnx", [FEED])
    assert [product.given for product in measured.products] == ["rows", "waves"]
    found = losses(measured, [FEED])
    assert set(found) == {"rows", "waves"}
    assert 0 < found["waves"] < 1e-6 < found["rows"]


def test_what_stays_in_float_is_exact(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(full_graph())
    measured = measure(tmp_path / "model.onnx", [FEED])
    (tmp_path / "same.onnx").write_bytes(to_integers(measured, in_float=["rows", "waves"]))
    np.testing.assert_array_equal(answered(tmp_path / "same.onnx"), answered(tmp_path / "model.onnx"))
    assert not is_quantised(tmp_path / "same.onnx")


@pytest.mark.parametrize(
    ("flags", "whole"), [("flags : sse avx2 avx512_vnni", True), ("flags: avx_vnni", True), ("flags: avx2", False)]
)
def test_what_the_processor_adds_whole(tmp_path: Path, flags: str, whole: bool) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert runtime.adds_whole(tmp_path / "cpuinfo") is whole
    assert runtime.adds_whole(tmp_path / "nothing") is False


def test_what_has_nothing_to_gain_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    takes, gives = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [takes], [gives])
    (tmp_path / "same.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(BackendError, match="must have matrix products for integers to serve"):
        measure(tmp_path / "same.onnx", [])
    (tmp_path / "no.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BackendError, match="must be an ONNX graph"):
        is_quantised(tmp_path / "no.onnx")
    (tmp_path / "model.onnx").write_bytes(full_graph())
    with pytest.raises(BackendError, match="cannot run the graph on typical inputs"):
        measure(tmp_path / "model.onnx", [{"input_ids": FEED["input_ids"]}])
