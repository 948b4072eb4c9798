"""One folder that opens anywhere and answers the same: on an empty machine, offline, with the light install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lifecycle_toys import toy_model
from PIL import Image

from shared.errors import DataError, HashMismatchError, UnknownNameError, UsageError
from shared.lifecycle.portable import export, read_portable, task_of
from shared.lifecycle.registry import registry
from shared.tasks import find_task
from shared.weights import resolve
from shared.weights.named import companion

EMPTY_MACHINE = """
import json, os, sys
for heavy in ("torch", "transformers", "mlflow", "sqlalchemy", "implicit", "pandas", "gradio", "ray", "optuna"):
    sys.modules[heavy] = None
from lifecycle_toys import no_sockets
no_sockets()
from shared.tasks import find_task
for task, folder, item in json.loads(sys.argv[1]):
    predictor = find_task(task).open(folder, device="auto", threads=1)
    print(json.dumps(predictor.predict([item])[0].to_json()))
"""


def answer(task: str, model: str | Path, item: str) -> str:
    return json.dumps(find_task(task).open(model, device="auto", threads=1).predict([item])[0].to_json())


@pytest.mark.weights
def test_registered_models_copied_to_an_empty_machine_answer_identically(empty_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    shutil.copy(empty_store, store / "mlflow.db")
    rng = np.random.default_rng(0)
    picture = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (180, 240, 3), dtype=np.uint8)).save(picture)
    ratings = [(f"u{u}", f"i{i}") for u, i in zip(rng.integers(0, 30, 300), rng.integers(0, 20, 300))]
    table = tmp_path / "ratings.csv"
    table.write_text("user,item\n" + "\n".join(",".join(row) for row in dict.fromkeys(ratings)) + "\n")
    fitted = tmp_path / "fitted"
    find_task("recsys.collaborative").train(table, fitted, algorithm="ease")  # type: ignore[misc]
    text = "a delight from start to end, if a little long"
    models = [
        ("vision.classification", "mobilenetv2-224", str(picture)),
        ("vision.faces", "sface", str(picture)),
        ("nlp.classification", "sst2-minilm", text),
        ("nlp.classification", "sst2-bge-lora", text),
        ("recsys.collaborative", str(fitted), "u3"),
    ]
    expected = [answer(task, model, item) for task, model, item in models]
    there = registry(store)
    elsewhere = tmp_path / "elsewhere"
    rows = []
    for task, model, item in models:
        name = Path(model).name
        folder = there.fetch(there.register(model, name=name))
        shutil.copytree(folder, elsewhere / name)
        rows.append((task, str(elsewhere / name), item))
    store.rename(tmp_path / "moved-away")
    shutil.rmtree(fitted)

    empty = tmp_path / "empty"
    environment = os.environ | {
        "TRIPTYCH_HOME": str(empty),
        "TRIPTYCH_OFFLINE": "1",
        "TRIPTYCH_WEIGHTS": "",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", EMPTY_MACHINE, json.dumps(rows)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
    assert not (empty / "weights").exists(), "nothing was fetched"


def test_a_companion_stands_in_the_models_own_folder(tmp_path: Path) -> None:
    other = toy_model(tmp_path / "detector", b"finds", name="finder")
    model = toy_model(tmp_path / "model", options={"stands_on": "finder"})
    shutil.copytree(other, model / "with" / "finder")
    card = resolve(model, task="test.fake").card
    assert companion(card, "finder") == model / "with" / "finder"
    assert companion(card, str(tmp_path / "finder")) == model / "with" / "finder"
    assert [companion(card, name) for name in ("other", None, "..", "a/..")] == [None] * 4
    assert resolve("finder", task="test.fake", beside=card).files["weights.bin"].read_bytes() == b"finds"


def test_the_same_model_has_the_same_digest_and_carries_its_pages(tmp_path: Path) -> None:
    model = toy_model(tmp_path / "model")
    (model / "README.md").write_text("of a model\n")
    (model / ".hidden").write_text("no")
    (model / "_train").mkdir()
    first, second = (export(model, tmp_path / name, task="test.fake") for name in ("a", "b"))
    assert first.digest == second.digest
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "README.md", "card.toml", "manifest.json", "weights.bin",
    ]  # fmt: skip
    again = export(first.folder, tmp_path / "c")
    assert again.digest == first.digest, "a portable folder is a model folder, and stays what it is"
    (model / "README.md").write_text("of another\n")
    assert export(model, tmp_path / "d").digest != first.digest
    assert first.size == sum(path.stat().st_size for path in first.folder.iterdir() if path.name != "manifest.json")


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), DataError, "must be a portable folder"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), DataError, "must be the manifest that an export"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 2, "files": {}}'), DataError, "format 1"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                '{"format": 1, "files": {"card.toml": {"sha256": "a", "size": 1}, "../x": {"sha256": "a", "size": 1}}}'
            ),
            DataError,
            "of files in its folder",
        ),
        (lambda folder: (folder / "weights.bin").write_bytes(b"abd"), HashMismatchError, "weights.bin is missing"),
        (lambda folder: (folder / "weights.bin").unlink(), HashMismatchError, "weights.bin is missing or changed"),
    ],
)
def test_a_folder_that_is_not_what_was_written_is_refused(
    tmp_path: Path, spoil: object, error: type[Exception], said: str
) -> None:
    made = export(toy_model(tmp_path / "model"), tmp_path / "out")
    spoil(made.folder)  # type: ignore[operator]
    with pytest.raises(error, match=said):
        read_portable(made.folder)


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    model = toy_model(tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(UsageError, match="must be new or empty. Something stands in"):
        export(model, tmp_path / "full")
    with pytest.raises(UnknownNameError, match=r"Say the task of a name of another kind \(--task\)"):
        export("hf:someone/something", tmp_path / "out")
    with pytest.raises(UsageError, match="say the model, or the task whose default it is"):
        task_of(None)
    with pytest.raises(UsageError, match="must have files of its own. 'rules' has none"):
        export("rules", tmp_path / "out", task="nlp.ner")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*")), "nothing half is left"
