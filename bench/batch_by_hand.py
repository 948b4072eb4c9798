"""The best loop over pictures that one would write by hand, for ``bench/batch.py``, and pictures for it."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.backends.openvino import compile_copies
from shared.batch.sources import expand
from shared.weights import resolve

Prepared = tuple[np.ndarray, Any]
Loop = tuple[Callable[[str], Prepared], Callable[[list[np.ndarray], Any], dict[str, Any]]]


def classification(options: dict[str, Any]) -> Loop:
    """Prepare and decode of the classifier, plainly."""
    from vision.labels import label_set

    names = label_set(options["labels"]).names
    size, resize = options["size"], options["resize"]
    scale = (1 / (255 * np.array(options["std"]))).astype(np.float32)[:, None, None]
    shift = (np.array(options["mean"]) / np.array(options["std"])).astype(np.float32)[:, None, None]

    def prepare(path: str) -> Prepared:
        image = Image.open(path)
        width, height = image.size
        share = resize / min(width, height)
        left, top = (round((length * share - size) / 2) / share for length in (width, height))
        image.draft("RGB", (int(width * share), int(height * share)))
        image = image.convert("RGB")
        across, down, side = image.width / width, image.height / height, size / share
        box = (left * across, top * down, min(left + side, width) * across, min(top + side, height) * down)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box)
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1) * scale - shift)[None], None

    def decode(outputs: list[np.ndarray], _: Any) -> dict[str, Any]:
        logits = outputs[0].reshape(-1)
        powers = np.exp(logits - logits.max())
        best = np.argsort(-logits)[:5]
        return {"labels": [names[i] for i in best.tolist()], "scores": (powers[best] / powers.sum()).tolist()}

    return prepare, decode


def detection(options: dict[str, Any]) -> Loop:
    """Prepare and decode of the detector: plain Pillow before, the same arithmetic as the task's after."""
    from vision.detection.decode import Decoder, make_anchors
    from vision.detection.graphs import FAMILIES
    from vision.detection.limits import Limits
    from vision.detection.prepare import Letterbox
    from vision.detection.task import MAX_DETECTIONS, SCORE_THRESHOLD
    from vision.labels import label_set

    size = options["size"]
    labels = label_set(options["labels"])
    overlap = FAMILIES["efficientdet"].options["iou_threshold"]
    decoder = Decoder(make_anchors(size), Limits(labels, SCORE_THRESHOLD, overlap, MAX_DETECTIONS))

    def prepare(path: str) -> Prepared:
        image = Image.open(path)
        width, height = image.size
        scale = size / max(width, height)
        inner = round(width * scale), round(height * scale)
        image.draft("RGB", inner)
        image = image.convert("RGB").resize(inner, Image.Resampling.BILINEAR)
        square = np.full((1, size, size, 3), options["pad"], np.uint8)
        square[0, : inner[1], : inner[0]] = np.asarray(image)
        return square, (inner[::-1], (height, width))

    def decode(outputs: list[np.ndarray], sizes: Any) -> dict[str, Any]:
        codes, scores = sorted((output[0] for output in outputs), key=lambda array: array.shape[1])
        found = decoder(decoder.candidates(scores, codes), Letterbox(np.empty((1, 0, 0, 3), np.uint8), *sizes))
        return {"boxes": found.xyxy.tolist(), "scores": found.scores.tolist(), "labels": list(found.labels)}

    return prepare, decode


LOOPS = {"vision.classification": classification, "vision.detection": detection}
MODELS = {"vision.classification": "mobilenetv2-224", "vision.detection": "efficientdet-lite0"}


def by_hand(task: str, files: list[str], out: Path) -> list[dict[str, Any]]:
    """The loop by hand over files that are all good; returns its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = resolve(MODELS[task], task=task, progress=False)
    prepare, decode = LOOPS[task](dict(opened.card.options))
    shape = prepare(files[0])[0].shape
    copies = compile_copies(next(iter(opened.files.values())), input_shape=shape)
    free, own = iter(copies), threading.local()

    def begin() -> None:
        own.request = next(free).create_infer_request()

    def row(path: str) -> dict[str, Any]:
        array, facts = prepare(path)
        answers = own.request.infer({0: array}, share_inputs=True, share_outputs=True)
        return {"input": path} | decode(list(answers.values()), facts)

    with ThreadPoolExecutor(len(copies), initializer=begin) as pool:
        rows = list(pool.map(row, files))
    pq.write_table(pa.Table.from_pylist(rows), out)
    return rows


def make_crops(folder: Path, count: int) -> Path:
    """JPEG crops of two photographs, of many sizes."""
    from sklearn.datasets import load_sample_image

    photos = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(count):
        photo = photos[i % 2]
        width, height = int(rng.integers(240, photo.width + 1)), int(rng.integers(240, photo.height + 1))
        x, y = int(rng.integers(photo.width - width + 1)), int(rng.integers(photo.height - height + 1))
        buffer = io.BytesIO()
        photo.crop((x, y, x + width, y + height)).save(buffer, "JPEG", quality=90)
        (folder / f"{i:05d}.jpg").write_bytes(buffer.getvalue())
    return folder


def make_copies(images: Path, folder: Path, count: int) -> Path:
    """``count`` files, those of a folder again and again."""
    files = list(expand(str(images)))
    folder.mkdir(parents=True)
    for i in range(count):
        file = Path(files[i % len(files)])
        shutil.copy(file, folder / f"{i:05d}{file.suffix}")
    return folder
