"""Content models over the suite's own encoders with their real weights, found by their tasks' names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import recsys
from recsys.content.catalogue import find_encoder
from shared.cli.main import triptych

pytestmark = [pytest.mark.weights, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
BOOKS = {
    "a1": "Two detectives hunt a murderer through foggy London",
    "a2": "An inspector and a corpse in the library",
    "a3": "A killer leaves riddles for the police",
    "b1": "A starship reaches a planet of strange life",
    "b2": "Robots build a colony on Mars",
    "b3": "The last astronaut drifts between galaxies",
}
"""No two share a word that tells their kind apart, so words alone cannot match them."""
READERS = [("ann", "a1"), ("ann", "a2"), ("bob", "b1"), ("bob", "b2"), ("eve", "a2")]


def said(*arguments: str) -> str:
    result = CliRunner().invoke(triptych, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def table(path: Path, rows: Sequence[tuple[str, ...]]) -> str:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return str(path)


def test_sentence_embeddings_recommend_new_books_by_what_they_mean(tmp_path: Path) -> None:
    ratings = table(tmp_path / "ratings.csv", [("user", "item"), *READERS])
    books = table(tmp_path / "books.csv", [("item", "about"), *BOOKS.items()])
    model = str(tmp_path / "model")
    report = json.loads(
        said("train", "recsys.content", ratings, model, "--items", books, "--encoder", "nlp.classification")
    )
    assert (report["items"], report["new_items"]) == (6, 2)
    for user, wanted in (("ann", {"a3"}), ("bob", {"b3"}), ("eve", {"a1", "a3"})):
        row = json.loads(said("recommend", model, "--user", user, "-k", "1", "--json"))
        assert row["items"][0] in wanted
    why = said("recommend", model, "--user", "bob", "-k", "1", "--explain").splitlines()[2]
    assert why.strip().startswith("because you liked b")


@pytest.mark.data
def test_picture_embeddings_recommend_new_pictures(data_root: Path, tmp_path: Path) -> None:
    """Pictures of ants and bees: people who took some of one kind are given new ones of it."""
    kept, taken = tmp_path / "pictures", []
    kept.mkdir()
    for part, kind in ((part, kind) for part in ("train", "val") for kind in ("ants", "bees")):
        folder = data_root / "vision" / "hymenoptera" / part / kind
        for number, file in enumerate(sorted(folder.iterdir())[:12]):
            (kept / f"{part}-{kind}-{number}{file.suffix}").symlink_to(file)
            if part == "train" and number < 8:
                taken.append((f"{kind} {number // 2}", f"{part}-{kind}-{number}"))
    ratings = table(tmp_path / "ratings.csv", [("user", "item"), *taken])
    options = ("--pictures", str(kept), "--picture-encoder", "vision.classification")
    report = json.loads(said("train", "recsys.content", ratings, str(tmp_path / "model"), *options))
    assert (report["items"], report["new_items"], report["users"]) == (48, 32, 8)
    model = recsys.load(tmp_path / "model")
    new = [item for item in model.item_ids.ids if item not in {item for _, item in taken}]
    right = [
        str(user).split()[0] == str(item).split("-")[1]
        for user, answer in zip(model.user_ids.ids, model.recommend(model.user_ids.ids, k=8, among=new))
        for item in answer.items
    ]
    assert len(right) == 64
    assert np.mean(right) > 0.8  # a guess is right in half of them


def test_parts_of_one_photo_are_more_alike_than_two_photos() -> None:
    from sklearn.datasets import load_sample_image

    encode = find_encoder("vision.classification")
    china, flower = (np.asarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower"))
    left, right, blossom = encode([china[:, :400], china[:, 240:], flower])
    assert left.shape == (1000,)
    assert np.linalg.norm(left) == pytest.approx(1, abs=1e-5)
    assert left @ right > 0.5 > left @ blossom
