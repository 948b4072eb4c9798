"""The shipped rows themselves: complete, permissive by default, small where they ship with the code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from shared import catalogue
from shared.backends import BACKENDS
from shared.tasks import find_task, task_names

PERMISSIVE = {"Apache-2.0", "MIT", "BSD-3-Clause", "BSD-2-Clause", "CC-BY-4.0", "CC0-1.0"}
CARDS = [card for card in catalogue.cards() if card.origin in {f"{name}/models.toml" for name in catalogue.DOMAINS}]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_row_is_complete(card: catalogue.ModelCard) -> None:
    assert card.summary
    assert card.files
    assert all(file.sources for file in card.files)
    assert card.backend in {*BACKENDS, "numpy", "ctranslate2", "fasttext", "spacy"}


@pytest.mark.parametrize("card", [c for c in CARDS if c.default], ids=lambda card: card.name)
def test_a_default_has_a_permissive_licence_and_needs_no_opt_in(card: catalogue.ModelCard) -> None:
    assert card.licence in PERMISSIVE
    assert card.opt_in == ""
    assert card.task in task_names()


def test_names_are_unique_over_all_domains() -> None:
    names = [row.name for domain in catalogue.DOMAINS for row in _rows(domain)]
    assert sorted(names) == sorted(set(names))


def test_files_that_ship_with_the_code_stay_small() -> None:
    folders = [Path(str(files(domain))) for domain in catalogue.DOMAINS]
    sizes = [path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) <= 15_000_000
    assert sum(sizes) <= 60_000_000


@pytest.mark.parametrize("name", task_names())
def test_every_entry_point_leads_to_its_task(name: str) -> None:
    assert find_task(name).name == name


def _rows(domain: str) -> list[catalogue.ModelCard]:
    return catalogue.read(Path(str(files(domain))) / "models.toml")
