"""The adapters that ship: their rows say what training wrote, name their base's files, and have a page for people."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import nlp
from nlp.graphs.adapters import ADAPTER, merge, read_adapter
from nlp.graphs.parts import BASE_TASK, Base, shape_of, shapes
from shared import catalogue
from shared.weights import read_model_folder

WEIGHTS = Path(nlp.__file__).parent / "weights"
ADAPTERS = sorted(path.parent.name for path in WEIGHTS.glob(f"*/{ADAPTER}"))
LARGEST, LARGEST_TOGETHER = 15_000_000, 60_000_000


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_row_is_the_folder_that_training_wrote(name: str) -> None:
    row, folder = catalogue.find(name), read_model_folder(WEIGHTS / name)
    for field in ("task", "family", "backend", "licence", "summary"):
        assert getattr(row, field) == getattr(folder, field)
    assert row.options == {key: value for key, value in folder.options.items() if key != "training"}
    sha256 = hashlib.sha256((WEIGHTS / name / ADAPTER).read_bytes()).hexdigest()
    assert row.file(ADAPTER).sha256 == folder.file(ADAPTER).sha256 == sha256
    assert row.file(ADAPTER).sources == (f"package:nlp/weights/{name}/{ADAPTER}",)


@pytest.mark.parametrize("name", ADAPTERS)
def test_fetching_it_fetches_its_base(name: str) -> None:
    row = catalogue.find(name)
    base = catalogue.find(row.options["base"], task=BASE_TASK)
    assert [file for file in row.files if file.name != ADAPTER] == list(base.files)
    assert row.options["base_sha256"] in {file.sha256 for file in base.files}


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_has_its_card_for_people(name: str) -> None:
    text = (WEIGHTS / name / "README.md").read_text("utf-8")
    row = catalogue.find(name)
    for part in (f"triptych train {row.task}", f"triptych evaluate {row.task}", "seed 0", "## Data", "## Limits"):
        assert part in text
    assert row.file(ADAPTER).sha256 in text


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_fits_the_shape_of_its_base(name: str) -> None:
    card = catalogue.find(catalogue.find(name).options["base"], task=BASE_TASK)
    shape = shape_of(card.options, card.name)
    zeros = {part: np.zeros([size[0] or 1, *size[1:]], np.float32) for part, size in shapes(shape).items()}
    merged = merge(Base(shape, zeros, "", card.name, Path()), read_adapter(WEIGHTS / name / ADAPTER), origin=name)
    assert {"head.weight", "head.bias"} <= set(merged)
    assert any(np.abs(merged[part]).max() > 0 for part in zeros)


def test_weights_in_the_repository_stay_small() -> None:
    sizes = {path: path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= LARGEST
    assert sum(sizes.values()) <= LARGEST_TOGETHER
