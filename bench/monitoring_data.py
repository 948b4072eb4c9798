"""What the models of this suite say of real items, as they are and spoilt: the ground of `bench/monitoring.py`.

    python bench/monitoring_data.py vision|nlp FOLDER      # writes FOLDER/vision-blur-2.npz and its like, once
    ... --stories                                          # only what the stories of drift need

Each file holds, for the items of one condition in one order, what the tasks' own observers tell of them: `numbers`
[n, columns] float32 with `names`, `categories` [n, columns] with `category_names`, `embedding` [n, 64] float32; and
`confidence` [n] float32 (of the best class), `label` [n] (the best class) and `correct` [n] bool. Images: MobileNetV2
on 500 images of ImageNet's training set, each spoilt by `vision.spoiling`. Texts: SST-2 test, movie reviews (MR
is left out, as SST is made of it), TREC and AG News, with letters typed wrongly, words lost, and texts of another kind.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nlp.spoiling import SPOILT as TEXTS_SPOILT
from shared.monitoring.signals import Observed
from vision.spoiling import SPOILT

ROOT = Path(os.environ.get("TRIPTYCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if not ROOT.is_dir():
    ROOT = Path(__file__).resolve().parents[3] / "shared" / "data"

TESTED: dict[str, tuple[float, ...]] = {
    "dark": (0.5, 0.25, 0.12),
    "blur": (1.5, 3.0, 5.0),
    "noise": (20.0, 45.0, 80.0),
    "small": (3.0, 5.0, 8.0),
}
"""Strengths at which kinds of `vision.spoiling` are windows; those that are learnt from are `SPOILT`'s own."""
TEXTS_TESTED: dict[str, tuple[float, ...]] = {"typed": (0.03, 0.08), "lost": (0.3, 0.5)}
"""The same of `nlp.spoiling`."""
KNOWN = "_known"
"""Behind a kind that is tested too, in the name of what is learnt from."""


def learnt(spoilt: Mapping[str, tuple[Any, tuple[float, ...]]], tested: Mapping[str, Any]) -> dict[str, str]:
    """From each kind that is learnt from to the beginning of its files' names."""
    return {kind: kind + KNOWN * (kind in tested) for kind in spoilt}


STORIES = {
    "vision": ("plain", "dark", "blur"),
    "nlp": ("sst2-plain-0", "sst2-imdb-1", "sst2-typed-1", "other-question"),
}


def pictures(folder: Path, *, stories: bool) -> None:
    import vision
    from vision.datasets import read_labelled_images
    from vision.evaluate import _class_numbers
    from vision.labels import label_set
    from vision.monitoring import observe

    data = read_labelled_images(ROOT / "vision" / "imagenet500")
    model = vision.classifier("mobilenetv2", threads=1)
    known = label_set(model.card.options["labels"])
    numbers = _class_numbers(set(data.labels), known, ROOT)
    truth = np.array([numbers[label] for label in data.labels])
    kinds: list[tuple[str, int, Any, float]] = [("plain", 0, None, 0.0)]
    kinds += [(kind, k, SPOILT[kind][0], v) for kind, levels in TESTED.items() for k, v in enumerate(levels, 1)]
    for kind, name in learnt(SPOILT, TESTED).items():
        spoil, levels = SPOILT[kind]
        kinds += [(name, k, spoil, v) for k, v in enumerate(levels, 1)]
    for name, k, spoil, value in kinds:
        path = folder / f"vision-{name}-{k}.npz"
        if path.exists() or (stories and name not in STORIES["vision"]):
            continue
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))

        def items(spoil=spoil, value=value, rng=rng) -> Iterator[Image.Image]:
            for file in data.paths:
                image = Image.open(file).convert("RGB")
                yield image if spoil is None else spoil(image, value, rng)

        given, shown = tee(items())
        told = [(r, observe(item, r, predictor=model)) for item, r in zip(shown, model.stream(given), strict=True)]
        write(path, [seen for _, seen in told], [str(int(r.class_ids[0])) for r, _ in told], truth.astype(str))


def sentences(name: str) -> tuple[list[str], list[str]]:
    path = ROOT / "nlp" / "sent_conv" / "data" / name
    rows = [line.split(" ", 1) for line in path.read_text("utf-8", "replace").splitlines() if " " in line]
    return [text.strip() for _, text in rows], [label for label, _ in rows]


def news(name: str) -> tuple[list[str], list[str]]:
    import csv

    path = ROOT / "nlp" / "ag_news_jointmatch" / "data" / "ag_news" / name
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row[0].strip().isdigit()]
    return [". ".join(row[1:]) for row in rows], [row[0] for row in rows]


def reviews() -> tuple[list[str], list[str]]:
    with gzip.open(ROOT / "nlp" / "imdb" / "train_sample.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.startswith("{") and line.endswith("}\n")]  # some are torn
    return [row["text"] for row in rows], [str(int(row["label"] == "pos")) for row in rows]


def texts(folder: Path, *, stories: bool) -> None:
    import nlp
    from nlp.monitoring import observe

    rng = np.random.default_rng(0)

    def some(pair: tuple[list[str], list[str]], n: int) -> tuple[list[str], list[str]]:
        at = rng.permutation(len(pair[0]))[:n]
        return [pair[0][k] for k in at], [pair[1][k] for k in at]

    def opening(pair: tuple[list[str], list[str]], n: int) -> tuple[list[str], list[str]]:
        """The first sentences of a review, up to 40 words."""
        return [" ".join(text.replace("<br />", " ").split()[:n]) for text in pair[0]], pair[1]

    film = sentences("stsa.binary.test")
    question = sentences("TREC.test.all")
    piece = some(news("test.csv"), 2000)
    sets = {
        ("sst2", "sst2-bge-lora"): (
            film,
            {"imdb": some(reviews(), 400), "opening": opening(some(reviews(), 1500), 40)},
        ),
        ("trec", "trec-minilm-lora"): (question, {}),
        ("agnews", "agnews-minilm-lora"): (piece, {}),
    }
    for (task, name), (plain, others) in sets.items():
        model = nlp.text_classifier(name, threads=1)
        names: dict[str, str] = {str(k): v for k, v in dict(model.card.options["label_map"]).items()}
        conditions = {"plain-0": plain} | {f"{key}-1": pair for key, pair in others.items()}
        ways = [(kind, kind, levels) for kind, levels in TEXTS_TESTED.items()]
        ways += [(kind, key, TEXTS_SPOILT[kind][1]) for kind, key in learnt(TEXTS_SPOILT, TEXTS_TESTED).items()]
        for kind, key, levels in ways:
            for k, level in enumerate(levels, 1):
                own = np.random.default_rng(zlib.crc32(f"{task}{key}{k}".encode()))
                spoilt = [TEXTS_SPOILT[kind][0](text, level, own) for text in plain[0]]
                conditions[f"{key}-{k}"] = (spoilt, plain[1])
        for key, (said, labels) in conditions.items():
            path = folder / f"{task}-{key}.npz"
            if path.exists() or (stories and path.stem not in STORIES["nlp"]):
                continue
            found = list(model.stream(said))
            seen = [observe(*pair, predictor=model) for pair in zip(said, found, strict=True)]
            write(path, seen, [r.labels[0] for r in found], np.array([names[label] for label in labels]))
    path = folder / "other-question-0.npz"
    if not path.exists():
        said, _ = some(sentences("TREC.train.all"), 2000)
        model = nlp.text_classifier("sst2-bge-lora", threads=1)
        found = list(model.stream(said))
        seen = [observe(*pair, predictor=model) for pair in zip(said, found, strict=True)]
        write(path, seen, [r.labels[0] for r in found], np.full(len(found), ""))


def write(path: Path, seen: Sequence[Observed], labels: Sequence[str], truth: np.ndarray) -> None:
    said = np.array(labels)
    names = sorted({name for one in seen for name in one.numbers})
    kinds = sorted({name for one in seen for name in one.categories})
    np.savez(
        path,
        numbers=np.array([[one.numbers.get(name, np.nan) for name in names] for one in seen], np.float32),
        names=np.array(names),
        categories=np.array([[one.categories.get(kind, "") for kind in kinds] for one in seen], np.str_),
        category_names=np.array(kinds, np.str_),
        embedding=np.array([one.embedding for one in seen], np.float32),
        confidence=np.array([one.confidence for one in seen], np.float32),
        label=said,
        correct=said == truth,
    )
    print(f"{path.name}: {len(said)} items, {np.mean(said == truth):.3f} right", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", choices=("vision", "nlp"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stories", action="store_true", help="only what the stories of drift need")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    (pictures if asked.domain == "vision" else texts)(asked.folder, stories=asked.stories)
