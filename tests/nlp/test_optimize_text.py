"""Text models in 8-bit integers: what counts as the same, what is refused, and by which name the kept form is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_text_graphs import PER_TOKEN, graph_bytes, table, text_folder

import nlp
from nlp.optimize import agreement, optimize
from shared import catalogue
from shared.backends import open_backend
from shared.backends.integers import is_quantised, to_integers
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
        ("extractive-reader", [ends([0, 1], [0, 1])], [ends([0, 5], [0, 5])], False, 1.0),
        ("extractive-reader", [ends([0, 1], [0, 1])], [ends([0, 5], [5, 0])], False, 0.0),
        ("pair-scorer", [logits(1), logits(2), logits(3)], [logits(1), logits(3), logits(2)], False, 2 / 3),
        ("pair-scorer", [logits(1)], [logits(2)], False, 1.0),
    ],
)
def test_agreement(family: str, wanted: Any, got: Any, several: bool, figure: float) -> None:
    assert agreement(family, wanted, got, several=several) == pytest.approx(figure)


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
    other = to_integers(
        text_folder(mood.parent / "other", "text-classifier", graph_bytes(ROWS[:, ::-1])) / "model.onnx"
    )
    monkeypatch.setattr("nlp.optimize.to_integers", lambda path: other)
    report = optimize(mood, task=TASK, texts=texts)
    assert report["tried"][0]["refused"] == "it agrees with the original to 0.2000, less than 0.99"
    assert report["written"] is None


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


def test_integers_do_not_saturate(tmp_path: Path) -> None:
    """The largest weights and values next to one another: two products must fit into 16 bits."""
    rows = np.float32(np.tile([[100.0], [-100.0]], (6, 40)))
    (tmp_path / "model.onnx").write_bytes(graph_bytes(rows, per=PER_TOKEN))
    content = to_integers(tmp_path / "model.onnx")
    (tmp_path / "small.onnx").write_bytes(content)
    feed = {"input_ids": np.arange(12)[None], "attention_mask": np.ones((1, 12), np.int64)}
    exact, small = (
        open_backend("onnxruntime", tmp_path / name).run([feed])[0]["logits"] for name in ("model.onnx", "small.onnx")
    )
    np.testing.assert_allclose(small, exact, atol=1.0)


def test_what_has_nothing_to_gain_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    takes, gives = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [takes], [gives])
    (tmp_path / "same.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(BackendError, match="must have matrix products for integers to serve"):
        to_integers(tmp_path / "same.onnx")
    (tmp_path / "no.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BackendError, match="must be an ONNX graph"):
        is_quantised(tmp_path / "no.onnx")
