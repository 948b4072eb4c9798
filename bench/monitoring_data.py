"""What the models of this suite say of real items, as they are and spoilt: the ground of `bench/monitoring.py`.

    python bench/monitoring_data.py vision|nlp FOLDER      # writes FOLDER/vision-blur-2.npz and its like, once
    ... --stories                                          # only what the stories of drift need

Each file holds, for the items of one condition in one order, what the tasks' own observers tell of them: `numbers`
[n, columns] float32 with `names`, `categories` [n, columns] with `category_names`, `embedding` [n, 64] float32; and
`confidence` [n] float32 (of the best class), `label` [n] (the best class) and `correct` [n] bool. Images: MobileNetV2
on 500 images of ImageNet's training set, each spoilt by this file's own functions. Texts: SST-2 test, movie reviews (MR
is left out, as SST is made of it), TREC and AG News, with letters typed wrongly, words lost, and texts of another kind.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import tee
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from shared.monitoring.signals import Observed

ROOT = Path(os.environ.get("TRIPTYCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if not ROOT.is_dir():
    ROOT = Path(__file__).resolve().parents[3] / "shared" / "data"

Picture = Image.Image
Spoil = Callable[[Picture, float, np.random.Generator], Picture]


def noise(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    pixels = np.asarray(image, np.float32) + rng.normal(0, level, (image.height, image.width, 3)).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def speckle(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    pixels = np.array(image)
    spots = rng.random(pixels.shape[:2])
    pixels[spots < level / 2] = 0
    pixels[spots > 1 - level / 2] = 255
    return Image.fromarray(pixels)


def smaller(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    size = (max(8, round(image.width / level)), max(8, round(image.height / level)))
    return image.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


def jpeg(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(level))
    return Image.open(file).convert("RGB")


def moved(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    """The blur of a camera that moves along."""
    pixels, k = np.asarray(image, np.float32), int(level)
    padded = np.pad(pixels, ((0, 0), (k // 2, k - 1 - k // 2), (0, 0)), mode="edge")
    total = padded.cumsum(axis=1)
    total = np.concatenate([np.zeros_like(total[:, :1]), total], axis=1)
    return Image.fromarray(((total[:, k:] - total[:, :-k]) / k).clip(0, 255).astype(np.uint8))


def fog(image: Picture, level: float, rng: np.random.Generator) -> Picture:
    return Image.blend(image, Image.new("RGB", image.size, (220, 220, 225)), level)


TESTED: dict[str, tuple[Spoil, tuple[float, ...]]] = {
    "dark": (lambda i, v, _: ImageEnhance.Brightness(i).enhance(v), (0.5, 0.25, 0.12)),
    "blur": (lambda i, v, _: i.filter(ImageFilter.GaussianBlur(v * i.width / 500)), (1.5, 3.0, 5.0)),
    "noise": (noise, (20.0, 45.0, 80.0)),
    "small": (smaller, (3.0, 5.0, 8.0)),
}
"""Figures are reported on these; nothing is fitted to them."""
MADE: dict[str, tuple[Spoil, tuple[float, ...]]] = {
    "jpeg": (jpeg, (12.0, 5.0)),
    "fog": (fog, (0.5, 0.8)),
    "moved": (moved, (9.0, 21.0)),
    "speckle": (speckle, (0.05, 0.2)),
    "turned": (lambda i, v, _: i.rotate(v, Image.Resampling.BILINEAR), (25.0, 70.0)),
    "grey": (lambda i, v, _: ImageEnhance.Contrast(ImageEnhance.Color(i).enhance(0)).enhance(v), (0.6, 0.2)),
}
"""Calibration under shift is fitted to these, which are of other kinds."""


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
    kinds = [("plain", 0, None, 0.0)]
    kinds += [(name, k, spoil, v) for name, (spoil, vs) in (TESTED | MADE).items() for k, v in enumerate(vs, 1)]
    for name, k, spoil, value in kinds:
        path = folder / f"vision-{name}-{k}.npz"
        if path.exists() or (stories and name not in STORIES["vision"]):
            continue
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))

        def items(spoil=spoil, value=value, rng=rng) -> Iterator[Picture]:
            for file in data.paths:
                image = Image.open(file).convert("RGB")
                yield image if spoil is None else spoil(image, value, rng)

        given, shown = tee(items())
        told = [(r, observe(item, r, predictor=model)) for item, r in zip(shown, model.stream(given), strict=True)]
        write(path, [seen for _, seen in told], [str(int(r.class_ids[0])) for r, _ in told], truth.astype(str))


def typed(text: str, level: float, rng: np.random.Generator) -> str:
    """Neighbouring letters exchanged, letters lost and doubled, at a rate of ``level`` a letter."""
    out, k = [], 0
    while k < len(text):
        if text[k].isalpha() and rng.random() < level:
            how = rng.integers(3)
            if how == 0 and k + 1 < len(text):
                out.append(text[k + 1] + text[k])
                k += 1
            elif how == 1:
                out.append(text[k] * 2)
        else:
            out.append(text[k])
        k += 1
    return "".join(out) or text


def lost(text: str, level: float, rng: np.random.Generator) -> str:
    kept = [word for word in text.split() if rng.random() >= level]
    return " ".join(kept) or text


def cut(text: str, level: float, rng: np.random.Generator) -> str:
    words = text.split()
    return " ".join(words[: max(1, round(len(words) * level))])


def tail(text: str, level: float, rng: np.random.Generator) -> str:
    words = text.split()
    return " ".join(words[-max(1, round(len(words) * level)) :])


ENGLISH = ("the", "of", "and", "to", "in", "that", "it", "was", "for", "on", "with", "as", "at", "by", "from", "his")
ENGLISH += ("her", "they", "which", "one", "all", "would", "there")


def replaced(text: str, level: float, rng: np.random.Generator) -> str:
    """Words replaced by frequent ones that mean little."""
    return " ".join(str(rng.choice(ENGLISH)) if rng.random() < level else word for word in text.split())


def shuffled(text: str, level: float, rng: np.random.Generator) -> str:
    words = np.array(text.split(), object)
    at = np.flatnonzero(rng.random(words.size) < level)
    words[at] = words[rng.permutation(at)]
    return " ".join(words)


TYPED: dict[str, tuple[Callable[[str, float, np.random.Generator], str], tuple[float, ...]]] = {
    "typed": (typed, (0.03, 0.08)),
    "lost": (lost, (0.3, 0.5)),
}
TEXT_MADE: dict[str, tuple[Callable[[str, float, np.random.Generator], str], tuple[float, ...]]] = {
    "cut": (cut, (0.7, 0.4)),
    "tail": (tail, (0.7, 0.4)),
    "replaced": (replaced, (0.2, 0.4)),
    "shuffled": (shuffled, (0.5,)),
}


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
        for key, (spoil, values) in (TYPED | TEXT_MADE).items():
            for k, value in enumerate(values, 1):
                own = np.random.default_rng(zlib.crc32(f"{task}{key}{k}".encode()))
                conditions[f"{key}-{k}"] = ([spoil(text, value, own) for text in plain[0]], plain[1])
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
