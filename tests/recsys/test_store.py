from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.testing import tastes
from shared.errors import DataError, UnknownNameError, UsageError, WeightsError
from shared.weights import read_model_folder, write_model_folder


class Trap:
    """Something whose unpickling would leave a mark."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recsys.fit_ease(tastes()).save(tmp_path / "model", name="tastes", licence="CC0-1.0")
    return tmp_path / "model"


def rewrite(folder: Path, **changes: Any) -> None:
    """Replace or (with ``None``) remove arrays, under a card whose hash is right again."""
    with np.load(folder / "model.npz") as archive:
        arrays = {key: archive[key] for key in archive.files} | changes
    content = io.BytesIO()
    np.savez(content, **{key: array for key, array in arrays.items() if array is not None})
    write_model_folder(folder, read_model_folder(folder), {"model.npz": content.getvalue()})


def test_the_card_says_what_it_is(folder: Path) -> None:
    card = read_model_folder(folder)
    assert (card.name, card.licence, card.family, card.backend) == ("tastes", "CC0-1.0", "ease", "numpy")
    assert card.summary == "ease of 9 users and 8 items"
    assert dict(card.options) == {
        "users": 9,
        "items": 8,
        "interactions": 32,
        "config": {
            "l2": 300.0,
            "weighting": "log",
            "activity_power": 0.4,
            "popularity_power": 0.4,
            "dropout": 0.0,
        },
    }


def test_a_pickle_is_refused_and_never_run(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    rewrite(folder, weights=np.array([Trap(mark)], dtype=object))
    with pytest.raises(DataError, match=r"must hold a saved recommender. ValueError: .*allow_pickle"):
        recsys.load(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, r"weights must be a finite float32 array of shape \(8, 8\)"),
        ({"weights": np.zeros((8, 7), np.float32)}, r"Got float32 \(8, 7\) instead"),
        ({"weights": np.full((8, 8), np.nan, np.float32)}, "finite"),
        ({"histories.data": None}, "histories must have three arrays"),
        ({"histories.data": np.ones(32)}, "finite float32 data and whole indices. Got float64"),
        ({"histories.indices": np.full(32, 8, np.int32)}, "histories must be a CSR matrix"),
        ({"histories.indptr": np.zeros(3, np.int32)}, "histories must be a CSR matrix"),
        ({"user.ends": np.array([1])}, "user.ends"),
        ({"item.utf8": None}, "must have item.ids, or item.utf8 and item.ends"),
    ],
)
def test_malformed_arrays_are_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(DataError, match=message):
        recsys.load(folder)


def test_changed_bytes_are_refused(folder: Path) -> None:
    content = bytearray((folder / "model.npz").read_bytes())
    content[-100] ^= 1
    (folder / "model.npz").write_bytes(content)
    with pytest.raises(WeightsError, match="model.npz"):
        recsys.load(folder)


def test_a_file_that_is_no_archive_is_refused(folder: Path) -> None:
    write_model_folder(folder, read_model_folder(folder), {"model.npz": b"not an archive"})
    with pytest.raises(DataError, match="must hold a saved recommender"):
        recsys.load(folder)


def test_an_unknown_family_lists_the_known_ones(folder: Path) -> None:
    card = folder / "card.toml"
    card.write_text(card.read_text().replace('family = "ease"', 'family = "eas"'))
    with pytest.raises(UnknownNameError, match="no algorithm is called 'eas'. Nearest: ease"):
        recsys.load(folder)


def test_options_that_do_not_fit_are_refused(folder: Path) -> None:
    card = folder / "card.toml"
    text = card.read_text()
    card.write_text(text.replace("l2 =", "l3 ="))
    with pytest.raises(DataError, match="must hold a saved recommender.*l3"):
        recsys.load(folder)
    card.write_text(text.replace("l2 = 300.0", "l2 = -1.0"))
    with pytest.raises(DataError, match="l2 must be above 0"):
        recsys.load(folder)


def test_a_folder_of_another_task_is_refused(folder: Path, tmp_path: Path) -> None:
    card = folder / "card.toml"
    card.write_text(card.read_text().replace("recsys.collaborative", "nlp.classification"))
    with pytest.raises(UsageError, match="must hold a model of a task of recsys. It holds one of nlp"):
        recsys.load(folder)
    with pytest.raises(DataError, match="must be a model folder"):
        recsys.load(tmp_path / "none")


def test_a_mapped_model_is_the_same_model(folder: Path) -> None:
    read, mapped = recsys.load(folder), recsys.load(folder, mmap=True)
    assert isinstance(mapped.weights, np.memmap)  # type: ignore[attr-defined]
    assert not mapped.weights.flags.writeable  # type: ignore[attr-defined]
    assert mapped.weights.ctypes.data % 64 == 0  # type: ignore[attr-defined]
    users = [*read.user_ids.ids, "stranger"]
    assert mapped.recommend(users) == read.recommend(users)
    assert mapped.fold_in(["latte"]) == read.fold_in(["latte"])
    mapped.save(folder.parent / "again", name="tastes", licence="CC0-1.0")
    assert (folder.parent / "again" / "model.npz").read_bytes() == (folder / "model.npz").read_bytes()


def test_mapping_checks_the_hash_unless_told_not_to(folder: Path) -> None:
    content = bytearray((folder / "model.npz").read_bytes())
    at = content.index(np.float32(recsys.load(folder).weights[0, 1]).tobytes())  # type: ignore[attr-defined]
    content[at : at + 4] = np.float32(np.nan).tobytes()
    (folder / "model.npz").write_bytes(content)
    with pytest.raises(WeightsError, match="model.npz"):
        recsys.load(folder, mmap=True)
    assert np.isnan(recsys.load(folder, mmap=True, verify=False).weights).sum() == 1  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="must hold a saved recommender"):
        recsys.load(folder, verify=False)


def test_a_compressed_archive_cannot_be_mapped(folder: Path) -> None:
    with np.load(folder / "model.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_model_folder(folder, read_model_folder(folder), {"model.npz": content.getvalue()})
    assert recsys.load(folder).recommend(["no mocha"], k=1)[0].items == ("mocha",)
    with pytest.raises(DataError, match="is compressed and cannot be mapped. Load it with mmap=False"):
        recsys.load(folder, mmap=True)


def test_mapping_never_runs_a_pickle(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    rewrite(folder, weights=np.array([Trap(mark)], dtype=object))
    with pytest.raises(DataError, match="needs a pickle"):
        recsys.load(folder, mmap=True)
    assert not mark.exists()


def test_a_folder_of_another_task_is_refused_unverified(folder: Path) -> None:
    card = folder / "card.toml"
    card.write_text(card.read_text().replace("recsys.collaborative", "nlp.classification"))
    with pytest.raises(UsageError, match="must hold a model of a task of recsys"):
        recsys.load(folder, verify=False)
