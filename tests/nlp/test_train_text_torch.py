"""Fine-tuning itself, on a tiny encoder: what comes of it, that it repeats, that a kill costs nothing. Needs torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_base import SHAPE, base_folder, reference, tensors

import nlp
from nlp.classification.train import train
from nlp.graphs.parts import Base
from shared.errors import DataError, PlanMismatchError, UsageError
from shared.weights import read_model_folder

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
GOOD, BAD = ("good", "fine"), ("bad", "awful")
COMMON: dict[str, Any] = {"base": base_folder(), "threads": 1, "batch_size": 4, "label_map": "0=sad,1=glad"}


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 is good, 0 is bad; the words between mean nothing, and one text is longer than a window."""
    rng = np.random.default_rng(0)
    rows = []
    for at in range(48):
        words = rng.choice(["film", "the", ",", "films"], size=rng.integers(1, 7)).tolist()
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(GOOD if at % 2 else BAD)))
        rows.append(f'"{" ".join(words)}",{at % 2}')
    rows.append(f'"{"good film , " * 9}",1')
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return path


def network(torch: Any, head: str, outputs: int, features: int = 0) -> Any:
    from nlp.training.network import Adapting, build_network

    base = Base(SHAPE, tensors(), "", "tiny", Path())
    torch.manual_seed(0)
    return build_network(base, Adapting(2, 1, 0.1), head=head, outputs=outputs, features=features).eval()


class TestNetwork:
    def test_padded_rows_equal_the_formulas(self, torch: Any) -> None:
        made = network(torch, "tokens", 3)
        rows = [np.array([2, 4, 8, 3]), np.array([2, 5, 9, 8, 10, 3])]
        ids = torch.zeros(2, 6, dtype=torch.long)
        for row, values in zip(ids, rows):
            row[: len(values)] = torch.from_numpy(values)
        mask = torch.arange(6)[None] < torch.tensor([4, 6])[:, None]
        with torch.no_grad():
            found = made.encode(ids, torch.zeros_like(ids), mask).numpy()
        for values, row in zip(found, rows):
            np.testing.assert_allclose(values[: len(row)], reference(tensors(), row), atol=2e-5)

    def test_it_equals_transformers(self, torch: Any) -> None:
        library = pytest.importorskip("transformers")
        config = library.BertConfig(
            vocab_size=12,
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=24,
        )
        theirs = library.BertModel(config, add_pooling_layer=False).eval()
        theirs.load_state_dict({name: torch.from_numpy(values) for name, values in tensors().items()})
        ids = torch.tensor([[2, 4, 8, 11, 10, 5, 9, 3]])
        types = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
        with torch.no_grad():
            wanted = theirs(input_ids=ids, token_type_ids=types).last_hidden_state
            found = network(torch, "tokens", 3).encode(ids, types, None)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)

    def test_only_what_is_adapted_is_trained(self, torch: Any) -> None:
        from nlp.training.network import trained_tensors

        names = set(trained_tensors(network(torch, "text", 2, features=3)))
        assert {"features.weight", "head.weight", "encoder.layer.1.output.dense.lora_A.weight"} <= names
        assert not any(name.startswith(("encoder.layer.0", "embeddings")) for name in names)
        assert not any(name.endswith("dense.weight") for name in names)


class TestTraining:
    def test_an_adapter_learns_and_is_opened_by_the_task(self, torch: Any, moods: Path, tmp_path: Path) -> None:
        options = {
            **COMMON,
            "method": "lora",
            "epochs": 12,
            "learning_rate": 0.02,
            "rank": 2,
            "val_share": 0.25,
            "dropout": 0.0,
        }
        report = train(moods, tmp_path / "moods", **options)
        assert report["figures"]["accuracy"]["value"] >= 0.9
        assert report["data"]["train"] + report["data"]["val"] == 49
        card = read_model_folder(tmp_path / "moods")
        assert (card.family, [file.name for file in card.files]) == ("text-classifier", ["adapter.safetensors"])
        assert card.options["labels"] == ["sad", "glad"]
        assert 0.05 <= card.options["temperature"] <= 20
        model = nlp.text_classifier(tmp_path / "moods", threads=1)
        found = model.predict(["the good film", "the awful films", "fine , " * 40])
        assert [result.labels[0] for result in found] == ["glad", "sad", "glad"]
        assert train(moods, tmp_path / "moods", **options) == report
        with pytest.raises(PlanMismatchError, match="recipe.rank"):
            train(moods, tmp_path / "moods", **{**options, "rank": 3})

    def test_all_of_an_encoder_becomes_a_graph(self, torch: Any, moods: Path, tmp_path: Path) -> None:
        report = train(moods, tmp_path / "whole", **COMMON, method="full", epochs=10, learning_rate=0.01)
        card = read_model_folder(tmp_path / "whole")
        assert {file.name for file in card.files} == {"model.onnx", "tokenizer.json"}
        assert "base" not in card.options
        assert report["figures"]["accuracy"]["value"] >= 0.75
        assert nlp.text_classifier(tmp_path / "whole", threads=1).predict(["the good film"])[0].labels[0] == "glad"

    @pytest.mark.parametrize(("method", "rate"), [("lora", 0.02), ("full", 0.01)])
    @pytest.mark.parametrize("class_weight", ["none", "balanced"])
    def test_texts_may_have_several_labels_or_none(
        self, torch: Any, tmp_path: Path, method: str, rate: float, class_weight: str
    ) -> None:
        rng = np.random.default_rng(1)
        rows = []
        for _ in range(80):
            glad, film = (bool(rng.random() < 0.5) for _ in range(2))
            words = [str(rng.choice(GOOD if glad else BAD)), *["film"] * film, *["the", ","][: rng.integers(3)]]
            rows.append({"text": " ".join(words), "labels": ["glad"] * glad + ["film"] * film})
        path = tmp_path / "several.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        report = train(
            path,
            tmp_path / "model",
            **{**COMMON, "label_map": None, "val_share": 0.25, "epochs": 16, "dropout": 0.0, "rank": 4},
            method=method,
            learning_rate=rate,
            class_weight=class_weight,
        )
        assert report["best_macro_f1" if class_weight == "balanced" else "best_micro_f1"] > 0.85
        assert report["figures"]["micro_f1"]["value"] > 0.85
        assert set(report["figures"]) == {"accuracy", "micro_f1", "macro_f1"}
        card = read_model_folder(tmp_path / "model")
        assert card.options["multi_label"] is True
        assert all(0 < threshold < 1 for threshold in card.options["thresholds"])
        found = nlp.text_classifier(tmp_path / "model", threads=1).predict(["good", "awful film", "fine film", "bad"])
        assert [sorted(result.held) for result in found] == [["glad"], ["film"], ["film", "glad"], []]

    def test_the_binary_loss_is_of_each_label(self, torch: Any) -> None:
        from nlp.training.examples import Example, collate
        from nlp.training.learner import loss, run_batch

        made = network(torch, "text", 3)
        truth = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
        batch = collate([Example(np.array([2, 4, 3]), row) for row in truth], torch.device("cpu"))
        factors = np.array([2.0, 1.0, 0.5])
        chances = 1 / (1 + np.exp(-run_batch(made, batch).detach().numpy()))
        wanted = -(factors * truth * np.log(chances) + (1 - truth) * np.log(1 - chances)).mean()
        assert loss(made, batch, weights=torch.tensor(factors)).item() == pytest.approx(wanted, abs=1e-5)

    def test_few_texts_are_enough_for_pairs(self, torch: Any, tmp_path: Path) -> None:
        path = tmp_path / "few.csv"
        path.write_text("text,label\ngood film,1\nfine,1\nthe good films,1\nbad film,0\nawful,0\nthe bad films,0\n")
        report = train(path, tmp_path / "few", **COMMON, method="few-shot", epochs=3, learning_rate=0.02)
        assert report["best_separation"] > 0.5
        model = nlp.text_classifier(tmp_path / "few", threads=1)
        assert [row.labels[0] for row in model.predict(["the fine film", "awful films"])] == ["glad", "sad"]

    def test_labels_that_weigh_the_same_are_judged_by_f1(self, torch: Any, moods: Path, tmp_path: Path) -> None:
        report = train(moods, tmp_path / "moods", **COMMON, method="lora", epochs=1, class_weight="balanced")
        assert "best_macro_f1" in report

    def test_another_file_validates(self, torch: Any, moods: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        other.write_text("text,label\ngood,1\nbad,0\n")
        report = train(moods, tmp_path / "moods", **COMMON, method="lora", epochs=1, validation=other)
        assert (report["data"]["val"], report["data"]["split"]) == (2, "of other.csv")
        other.write_text("text,label\ngood,1\nbad,2\n")
        with pytest.raises(DataError, match="must have the labels sad, glad. It also has 2"):
            train(moods, tmp_path / "more", **COMMON, method="lora", epochs=1, validation=other)

    def test_a_text_that_cannot_be_read_is_left_out_and_told_of(self, torch: Any, tmp_path: Path) -> None:
        path = tmp_path / "moods.csv"
        path.write_text("text,label\n" + "good,1\nbad,0\n" * 4 + "\u200b,1\n")
        report = train(path, tmp_path / "moods", **COMMON, method="lora", epochs=1)
        (row,) = report["skipped"]
        assert (row["kind"], row["input"]) == ("empty", f"{path}, line 10")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rank": 0}, "rank must be at least 1. Got 0 instead"),
            ({"layers": 3}, "layers must be at most 2, as many as the base has. Got 3 instead"),
            ({"dropout": 1.0}, r"dropout must be in \[0, 1\). Got 1.0 instead"),
            ({"epochs": 0}, "epochs must be at least 1. Got 0 instead"),
            ({"val_share": 1.0}, r"val_share must lie in \(0, 1\). Got 1.0 instead"),
        ],
    )
    def test_options_out_of_range_are_refused(
        self, torch: Any, moods: Path, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            train(moods, tmp_path / "moods", **{**COMMON, "method": "lora", **options})


SCRIPT = """
import sys, time
from pathlib import Path
from shared.training.folder import TrainFolder
save = TrainFolder.save
def waits(folder, reached, *given):
    while reached.epoch == 4 and sys.argv[4:]:  # until it is killed, anywhere from the second epoch's end to here
        time.sleep(0.02)
    save(folder, reached, *given)
TrainFolder.save = waits
from nlp.classification.train import train
train(Path(sys.argv[1]), Path(sys.argv[2]), base=sys.argv[3], method="lora", epochs=6, batch_size=4, rank=2, threads=1)
"""


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(torch: Any, moods: Path, tmp_path: Path) -> None:
    def command(out: str) -> list[str]:
        return [sys.executable, "-c", SCRIPT, str(moods), str(tmp_path / out), str(base_folder())]

    state = tmp_path / "broken/_train/state.json"
    process = subprocess.Popen([*command("broken"), "waits"], stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while not (state.exists() and json.loads(state.read_bytes())["reached"]["epoch"] >= 2):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    error = process.communicate()[1].decode()
    assert state.exists(), error
    assert 2 <= json.loads(state.read_bytes())["reached"]["epoch"] < 4
    for out in ("broken", "whole"):
        subprocess.run(command(out), check=True, env={**os.environ})
    for name in ("adapter.safetensors", "README.md"):
        files = [(tmp_path / out / name).read_bytes().replace(b"broken", b"whole") for out in ("broken", "whole")]
        if name == "README.md":
            files = [content.split(b"Best epoch")[0] for content in files]
        assert files[0] == files[1]


def test_a_training_that_is_told_to_end_keeps_its_best_epoch(torch: Any, moods: Path, tmp_path: Path) -> None:
    (tmp_path / "model/_train").mkdir(parents=True)
    (tmp_path / "model/_train/end").touch()
    report = train(moods, tmp_path / "model", method="lora", epochs=5, **COMMON)
    assert (report["epochs"], report["best_epoch"]) == (1, 1)
    assert not (tmp_path / "model/_train/end").exists()
    assert nlp.text_classifier(tmp_path / "model").predict(["good film"])[0].labels[0] in ("sad", "glad")
