"""What the models of this suite say of real items, as they are and spoilt: the ground of `bench/monitoring.py`.

    python bench/monitoring_data.py vision|nlp FOLDER      # writes FOLDER/vision-blur-2.npz and its like, once

Each file holds, for the items of one condition in one order: `numbers` [n, columns] float32 with `names`, `embedding`
[n, d] float32, `confidence` [n] float32 (of the best class), `doubt` [n] float32 (the entropy of all classes in nats),
`label` [n] (the best class) and `correct` [n] bool. Images: MobileNetV2 on 500 images of ImageNet's training set, each
spoilt by this file's own functions. Texts: SST-2 test, movie reviews (MR is left out, as SST is made of it), TREC and
AG News, with letters typed wrongly, words lost, and texts of another kind.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

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


def picture_numbers(image: Picture) -> list[float]:
    grey = np.asarray(image.convert("L").resize((224, 224), Image.Resampling.BILINEAR), np.float32) / 255
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    colour = np.asarray(image.resize((32, 32)).convert("HSV"), np.float32) / 255
    return [
        float(grey.mean()),
        float(grey.std()),
        float(np.log(edges.var() + 1e-6)),
        float(colour[..., 1].mean()),
        float((grey < 0.05).mean()),
        float((grey > 0.95).mean()),
        float(np.log(image.width * image.height)),
    ]


PICTURE_NAMES = ("brightness", "contrast", "sharpness", "saturation", "black", "white", "pixels")


def picture_vector(image: Picture) -> np.ndarray:
    """Colours of an 8 x 8 picture: (192,)."""
    return (np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float32) / 255).ravel()


def pictures(folder: Path) -> None:
    import vision
    from vision.datasets import read_labelled_images
    from vision.evaluate import _class_numbers
    from vision.labels import label_set

    data = read_labelled_images(ROOT / "vision" / "imagenet500")
    model = vision.classifier("mobilenetv2", top_k=1000, threads=1)
    known = label_set(model.card.options["labels"])
    numbers = _class_numbers(set(data.labels), known, ROOT)
    truth = np.array([numbers[label] for label in data.labels])
    kinds = [("plain", 0, None, 0.0)]
    kinds += [(name, k, spoil, v) for name, (spoil, vs) in (TESTED | MADE).items() for k, v in enumerate(vs, 1)]
    for name, k, spoil, value in kinds:
        path = folder / f"vision-{name}-{k}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))
        seen: list[list[float]] = []
        vectors: list[np.ndarray] = []

        def items(spoil=spoil, value=value, rng=rng, seen=seen, vectors=vectors) -> Iterator[Picture]:
            for file in data.paths:
                image = Image.open(file).convert("RGB")
                image = image if spoil is None else spoil(image, value, rng)
                seen.append(picture_numbers(image))
                vectors.append(picture_vector(image))
                yield image

        found = list(model.stream(items()))
        write(
            path,
            np.array(seen),
            PICTURE_NAMES,
            np.array(vectors),
            [r.scores for r in found],
            [str(int(r.class_ids[0])) for r in found],
            truth.astype(str),
        )


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
TEXT_NAMES = ("words", "letters", "word_length", "capitals", "signs", "digits")


def text_numbers(text: str) -> list[float]:
    words = text.split() or [""]
    n = max(len(text), 1)
    return [
        float(len(words)),
        float(len(text)),
        float(np.mean([len(word) for word in words])),
        sum(c.isupper() for c in text) / n,
        sum(not c.isalnum() and not c.isspace() for c in text) / n,
        sum(c.isdigit() for c in text) / n,
    ]


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


def texts(folder: Path) -> None:
    import nlp

    encoder = nlp.embedder(threads=1)
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
            if path.exists():
                continue
            found = list(model.stream(said))
            # Only windows that are tested are weighted by their vectors.
            made = key.split("-")[0] in TEXT_MADE
            vectors = np.zeros((len(said), 1)) if made else np.array(list(encoder.stream(said)))
            write(
                path,
                np.array([text_numbers(text) for text in said]),
                TEXT_NAMES,
                vectors,
                [r.scores for r in found],
                [r.labels[0] for r in found],
                np.array([names[label] for label in labels]),
            )
    for key, pair in {
        "subj": some(sentences("subj.all"), 2000),
        "question": some(sentences("TREC.train.all"), 2000),
    }.items():
        path = folder / f"other-{key}-0.npz"
        if not path.exists():
            model = nlp.text_classifier("sst2-bge-lora", threads=1)
            found = list(model.stream(pair[0]))
            write(
                path,
                np.array([text_numbers(text) for text in pair[0]]),
                TEXT_NAMES,
                np.array(list(encoder.stream(pair[0]))),
                [r.scores for r in found],
                [r.labels[0] for r in found],
                np.full(len(found), ""),
            )


def write(  # noqa: PLR0917
    path: Path,
    numbers: np.ndarray,
    names: Sequence[str],
    vectors: np.ndarray,
    scores: Sequence[np.ndarray],
    labels: Sequence[str],
    truth: np.ndarray,
) -> None:
    said = np.array(labels)
    np.savez(
        path,
        numbers=numbers.astype(np.float32),
        names=np.array(names),
        embedding=vectors.astype(np.float32),
        confidence=np.array([s[0] for s in scores], np.float32),
        second=np.array([s[1] for s in scores], np.float32),
        doubt=np.array([-(s * np.log(np.maximum(s, 1e-12))).sum() for s in scores], np.float32),
        label=said,
        correct=said == truth,
    )
    print(f"{path.name}: {len(said)} items, {np.mean(said == truth):.3f} right", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", choices=("vision", "nlp"))
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    (pictures if asked.domain == "vision" else texts)(asked.folder)
