"""Names of models that are in no catalogue: graphs beside a small card, checkpoints, and what is said of the rest."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_text_graphs import graph_bytes, pair_tokenizer_json, table, text_folder

import nlp
from nlp.families import find, is_checkpoint, open_model
from shared.cli.main import triptych
from shared.errors import DataError, MissingDependencyError, UnknownNameError, UsageError

TASK = "nlp.classification"
ROWS = table({"good": [4, 0], "bad": [0, 4]}, 2)
CARD = """
[models.own]
task = "nlp.classification"
family = "text-classifier"
backend = "onnxruntime"
licence = "MIT"
summary = "one of my own"
options = { labels = ["glad", "sad"], max_tokens = 8 }
"""


@pytest.fixture
def bare(tmp_path: Path, empty_home: Path) -> Path:
    """A graph with its tokeniser and card beside it."""
    (tmp_path / "own.onnx").write_bytes(graph_bytes(ROWS))
    (tmp_path / "tokenizer.json").write_text(pair_tokenizer_json())
    (tmp_path / "own.card.toml").write_text(CARD)
    return tmp_path / "own.onnx"


def test_a_graph_with_a_card_beside_it_opens(bare: Path, empty_home: Path) -> None:
    classifier = nlp.text_classifier(bare)
    assert (classifier.card.name, classifier.card.licence) == ("own", "MIT")
    (result,) = classifier.predict(["good film"])
    assert isinstance(result, nlp.TextLabels)
    assert result.labels[0] == "glad"
    folder = find(bare, task=TASK)
    assert folder is not None
    assert folder.parent == empty_home / "exports"
    (bare.parent / "own.card.toml").write_text(CARD.replace("glad", "merry"))
    assert nlp.text_classifier(str(bare)).predict(["good"])[0].labels[0] == "merry"  # type: ignore[union-attr]


def test_a_graph_of_a_model_folder_is_that_folder(tmp_path: Path, empty_home: Path) -> None:
    folder = text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=["glad", "sad"])
    assert find(folder / "model.onnx", task=TASK) == folder
    assert find(folder, task=TASK) is None
    assert open_model(folder, task=TASK).card.name == "mood"


def test_what_a_graph_lacks_is_said(bare: Path) -> None:
    with pytest.raises(UsageError, match="must be a model of nlp.ner. Its card says nlp.classification"):
        open_model(bare, task="nlp.ner")
    (bare.parent / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"must have its tokenizer.json beside it"):
        open_model(bare, task=TASK)
    (bare.parent / "own.card.toml").write_text(CARD + CARD.replace("own", "other"))
    with pytest.raises(DataError, match=r"must describe one model. Got \['own', 'other'\]"):
        open_model(bare, task=TASK)
    (bare.parent / "own.card.toml").unlink()
    with pytest.raises(UsageError, match="must have a small card beside it.*triptych models show --card NAME"):
        open_model(bare, task=TASK)
    with pytest.raises(UsageError, match="a graph must be an existing file"):
        open_model(bare.parent / "none.onnx", task=TASK)


def test_a_card_to_copy_from_is_printed(tmp_path: Path, empty_home: Path) -> None:
    folder = text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=["glad", "sad"])
    run = CliRunner().invoke(triptych, ["models", "show", "--card", str(folder)], standalone_mode=False)
    assert run.stdout.startswith("[models.mood]\n")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "own.onnx").write_bytes(graph_bytes(ROWS))
    (tmp_path / "again" / "tokenizer.json").write_text(pair_tokenizer_json())
    (tmp_path / "again" / "own.card.toml").write_text(run.stdout)
    assert nlp.text_classifier(tmp_path / "again" / "own.onnx").card.options["labels"] == ["glad", "sad"]


def test_a_checkpoint_is_known_by_its_configuration(tmp_path: Path, empty_home: Path) -> None:
    assert is_checkpoint("hf:owner/name")
    assert not is_checkpoint("sst2-minilm")
    (tmp_path / "own").mkdir()
    assert not is_checkpoint(tmp_path / "own")
    (tmp_path / "own" / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    assert is_checkpoint(tmp_path / "own")
    with pytest.raises(DataError, match=r"must hold config.json and tensors as model.safetensors"):
        open_model(tmp_path / "own", task=TASK)


def test_names_that_lead_nowhere(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="no nlp.classification model is called 'sst2'. Nearest: sst2-minilm"):
        open_model("sst2", task=TASK)
    with pytest.raises(UsageError, match="must be hf:OWNER/NAME or hf:OWNER/NAME@COMMIT. Got 'name' instead"):
        open_model("hf:name", task=TASK)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is not None, reason="the extra torch is installed")
def test_an_export_without_its_extra_names_the_command(tmp_path: Path, empty_home: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    (tmp_path / "own" / "model.safetensors").write_bytes(b"tensors")
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[torch\]'"):
        nlp.text_classifier(tmp_path / "own")
