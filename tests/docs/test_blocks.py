"""Every command and every Python block of the README and the docs runs as it stands, in a folder like a reader's."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = ("make ", "git ", "cd ", "pip ", "triptych demo")
"""Commands that set up a checkout or serve until they are stopped; `.ci/run` and the page tests run those."""

pytestmark = pytest.mark.weights


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    found = (line[2:].strip() for line in text.splitlines() if line.startswith("$ "))
    return [command for command in found if not command.startswith(NOT_RUN)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages' examples name: pictures, texts and ratings, made here."""
    folder = tmp_path_factory.mktemp("reader")
    photo = load_sample_image("china.jpg")
    Image.fromarray(photo).save(folder / "street.jpg")
    photos = folder / "photos"
    photos.mkdir()
    for number in range(6):
        Image.fromarray(photo[:, 40 * number : 40 * number + 320]).save(photos / f"{number}.jpg")
    (photos / "broken.jpg").write_bytes((photos / "0.jpg").read_bytes()[:900])
    rows = [("a delight from start to end", "positive"), ("dull and far too long", "negative")] * 8
    with (folder / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    (folder / "letter.txt").write_text("Ada Lovelace asks you to write to ada@example.org.\n", "utf-8")
    (folder / "handbook").mkdir()
    for page in ("faces.md", "training.md"):
        (folder / "handbook" / page).write_text((ROOT / "docs" / page).read_text("utf-8"), "utf-8")
    rng = np.random.default_rng(0)
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("label", "guess", "country", "user", "rating", "predicted", "clicked", "p"))
        for n in range(40):
            label, guess = rng.choice(["cat", "dog"], 2)
            writer.writerow(
                (label, guess, ("de", "fr")[n % 2], n // 4, n % 5, n % 7, n % 3 == 0, round(rng.random(), 3))
            )
    ratings = {
        (int(u), int(i)): int(rng.integers(1, 6)) for u, i in zip(rng.integers(1, 40, 900), rng.integers(1, 60, 900))
    }
    with (folder / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "rating", "time"))
        writer.writerows((f"u{u}", f"i{i}", r, n) for n, ((u, i), r) in enumerate(ratings.items()))
    experiment(folder)
    (folder / "films.toml").write_text(blocks(ROOT / "docs" / "retraining.md", "toml")[0], "utf-8")
    return folder


def experiment(folder: Path) -> None:
    """The page's own configuration, and a table of 8,000 users with one to three visits each."""
    (folder / "checkout.toml").write_text(blocks(ROOT / "docs" / "experiments.md", "toml")[0], "utf-8")
    rng = np.random.default_rng(7)
    with (folder / "checkout.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "arm", "country", "revenue", "revenue_before", "orders", "visits", "seconds"))
        for user in range(8000):
            arm, visits = ("control", "new")[user % 2], int(rng.integers(1, 4))
            before = float(rng.gamma(2, 10))
            revenue = max(0.0, 0.7 * before + rng.normal(6 + 1.5 * (user % 2), 10))
            country = ("de", "fr", "us")[int(rng.integers(0, 3))]
            for _ in range(visits):
                seconds, orders = rng.exponential(2), int(rng.random() < 0.2)
                row = (round(revenue / visits, 2), round(before, 2), orders, 1, round(seconds, 3))
                writer.writerow((f"u{user}", arm, country, *row))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_blocks_run_in_their_order(page: Path, folder: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands(page):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        with_failed_items = done.returncode == 1 and "failed" in done.stderr
        assert done.returncode == 0 or with_failed_items, f"$ {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for block in blocks(page, "python"):
        done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_says_something_of_everything() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for word in ("make demo", "make test", "import vision", "triptych batch", "TRIPTYCH_OFFLINE"):
        assert word in text
