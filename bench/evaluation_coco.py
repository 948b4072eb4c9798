"""COCO's figures of boxes by three programs on the same detections: what they say, and what each costs."""

from __future__ import annotations

import contextlib
import io
import json
import resource
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from shared.evaluation.detection import FIGURES, Found, Things, detection_scores, match_boxes
from shared.types import Float64

Scene = tuple[list[Things], list[Found]]


def scene(rng: np.random.Generator, *, images: int, classes: int = 80, per_image: int = 100) -> Scene:
    """Images with COCO's numbers: 7.3 things an image, few classes in one, 1.5 % crowds, areas over four decades.

    Each thing is found 2.5 times on average, more or less far off and mostly as its own class; the rest of the
    ``per_image`` detections are of classes in the image or of any, with the low scores that detectors give them.
    """
    popularity = 1 / np.arange(1, classes + 1) ** 0.9
    popularity /= popularity.sum()
    truth, found = [], []
    for _ in range(images):
        n = int(rng.geometric(1 / 8.3)) - 1
        here = rng.choice(classes, min(1 + int(rng.poisson(1.9)), classes), replace=False, p=popularity)
        true = rng.choice(here, n)
        side = np.exp(rng.normal(4.0, 1.1, (n, 1))) * np.exp(rng.normal(0, 0.35, (n, 2)))
        side = np.clip(side, 4, 400)
        low = rng.uniform(0, 1, (n, 2)) * (np.array([640, 480]) - np.minimum(side, 440))
        boxes = np.concatenate([low, low + side], axis=1).round(2)
        areas = side.prod(axis=1) * rng.uniform(0.4, 0.9, n)
        truth.append(Things(boxes, true, areas, rng.random(n) < 0.015))
        tries = rng.poisson(2.5, n)
        copies = np.repeat(np.arange(n), tries)[:per_image]
        off = rng.gamma(1.2, 0.08, (copies.size, 1))
        shifted = boxes[copies] + rng.normal(0, 1, (copies.size, 4)) * off * np.tile(side[copies], 2)
        sure = np.clip(rng.beta(4, 2, copies.size) - 1.5 * off[:, 0], 0.001, 0.999)
        given = np.where(rng.random(copies.size) < 0.9, true[copies], rng.choice(classes, copies.size, p=popularity))
        more = per_image - copies.size
        size = np.exp(rng.normal(4.0, 1.1, (more, 2))).clip(4, 400)
        start = rng.uniform(0, 400, (more, 2))
        others = np.where(rng.random(more) < 0.5, rng.choice(here, more), rng.choice(classes, more, p=popularity))
        all_boxes = np.concatenate([shifted, np.concatenate([start, start + size], axis=1)])
        all_boxes[:, 2:] = np.maximum(all_boxes[:, 2:], all_boxes[:, :2] + 1)
        scores = np.concatenate([sure, rng.beta(0.6, 12, more)]).round(3)  # three digits, so that there are ties
        order = np.argsort(-scores, kind="stable")
        found.append(Found(all_boxes[order], np.concatenate([given, others])[order], scores[order]))
    return truth, found


def from_coco(path: Path, rng: np.random.Generator) -> Scene:
    """The truth of a COCO file, and detections made of it as :func:`scene` makes them of its own."""
    data = json.loads(path.read_text(encoding="utf-8"))
    truth, found = [], []
    for image in data["images"]:
        rows = [row for row in data["annotations"] if row["image_id"] == image["id"]]
        boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        ids = np.array([row["category_id"] for row in rows], np.int64)
        crowd = np.array([bool(row["iscrowd"]) for row in rows], np.bool_)
        truth.append(Things(boxes, ids, np.array([row["area"] for row in rows], np.float64), crowd))
        copies = np.repeat(np.arange(len(rows)), 3)
        off = rng.normal(0, 0.1, (copies.size, 4)) * np.tile(boxes[copies, 2:] - boxes[copies, :2], 2)
        near = boxes[copies] + off
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found.append(Found(near, ids[copies], (1 - np.abs(off).mean(axis=1) / 50).clip(0.01, 1).round(3)))
    return truth, found


def ours(scene: Scene) -> Float64:
    """The twelve figures."""
    scores = detection_scores(match_boxes(*scene))
    return np.array([scores[name][0] for name in FIGURES])


def theirs(scene: Scene, package: str) -> Callable[[], Float64]:
    """The twelve figures by pycocotools or by faster-coco-eval, from what both have read before."""
    if package == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Judge
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Judge
    truth, found = scene
    classes = sorted({int(c) for side in (*truth, *found) for c in side.class_ids})
    rows = [
        {"image_id": image, "category_id": int(c), "bbox": _xywh(box), "area": float(area), "iscrowd": int(crowd)}
        for image, t in enumerate(truth, 1)
        for box, c, area, crowd in zip(t.boxes, t.class_ids, t.areas, t.crowd)
    ]
    given = [
        {"image_id": image, "category_id": int(c), "bbox": _xywh(box), "score": float(score)}
        for image, p in enumerate(found, 1)
        for box, c, score in zip(p.boxes, p.class_ids, p.scores)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, len(truth) + 1)],
            "categories": [{"id": c, "name": str(c)} for c in classes],
            "annotations": [{"id": n, **row} for n, row in enumerate(rows, 1)],
        }
        coco.createIndex()
        results = coco.loadRes(given)

    def call() -> Float64:
        with contextlib.redirect_stdout(io.StringIO()):
            judge: Any = Judge(coco, results, "bbox")
            judge.evaluate()
            judge.accumulate()
            judge.summarize()
        return np.array(judge.stats[:12], np.float64)

    return call


def report(name: str, scene: Scene, turns: int) -> None:
    """Print the twelve figures of each program and the processor time of each, turn about in this process."""
    things, boxes = (sum(len(item.class_ids) for item in side) for side in scene)
    print(f"{name}: {len(scene[0]):,} images, {things:,} things, {boxes:,} detections, best of {turns} turns each")
    calls = {"triptych": lambda: ours(scene)}
    for package, module in (("pycocotools", "pycocotools"), ("faster-coco-eval", "faster_coco_eval")):
        if find_spec(module):
            calls[package] = theirs(scene, package)
        else:
            print(f"  {package} is not installed: pip install {package}")
    figures, seconds = {}, {program: float("inf") for program in calls}
    for _ in range(turns):
        for program, call in calls.items():
            began = process_time()
            figures[program] = call()
            seconds[program] = min(seconds[program], process_time() - began)
    for program, values in figures.items():
        print(f"  {program:<17} {seconds[program]:8.3f} s   " + " ".join(f"{v:.6f}" for v in values))
    for program in list(calls)[1:]:
        apart = np.abs(np.where(np.isnan(figures["triptych"]), -1, figures["triptych"]) - figures[program]).max()
        ratio = seconds[program] / seconds["triptych"]
        print(f"  {program} takes {ratio:.1f} times as long; the farthest of twelve figures differs by {apart:.1e}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  greatest memory of this process so far: {peak:.0f} MB")


def _xywh(box: Float64) -> list[float]:
    return [float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]
