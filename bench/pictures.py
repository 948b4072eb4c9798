"""Pictures from JPEG files to results, against the libraries that a user would pick instead, on the same weights.

    python bench/pictures.py [--images FOLDER] [--only detection|classification] [--model yolo11n-pt] [--repeats 7]

*Detection, same weights:* Triptych's `yolo11n-pt` against ultralytics' own `predict` of that file in PyTorch and of its
own OpenVINO export, both as its command runs them. *Detection, defaults:* Triptych's own default, EfficientDet-Lite0,
in the same run, and the best loop that one would write by hand around that graph: a thread for each processor decodes a
file with Pillow, has OpenVINO answer and decodes the answer. *Classification:* `mobilenetv2-torchvision` against
torchvision's eager module with the same weights and its own transforms, one picture after the other, as its
documentation shows it, and in batches of 32.

All have the same files and number of threads and open their models beforehand. They take turns, in another order each
turn. A figure is the median over the turns of the peer's seconds / Triptych's seconds, on the wall clock and in
processor time; the second hardly feels what else the machine is doing. Agreement is said beside it. The extras `torch`
and `ultralytics` are needed. Without `--images` the files are crops of the two photographs inside scikit-learn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from batch import detection as pieces_by_hand
from batch import make_crops

import vision
from shared.backends.openvino import compile_copies
from shared.batch.sources import expand
from shared.lazy import require
from shared.settings import cpu_count
from shared.weights import resolve
from vision.boxes import box_iou

System = Callable[[list[str]], list[Any]]
Said = list[tuple[list[str], np.ndarray]]
"""For each file the labels and boxes that a detector answered."""


def by_hand(threads: int) -> System:
    """The best loop that one would write by hand: a copy of the graph for each thread, no pipeline between them."""
    opened = resolve(None, task="vision.detection", progress=False)
    prepare, decode = pieces_by_hand(dict(opened.card.options))
    copies = iter(compile_copies(next(iter(opened.files.values())), threads=threads))
    own = threading.local()

    def begin() -> None:
        own.request = next(copies).create_infer_request()

    def one(path: str) -> dict[str, Any]:
        array, sizes = prepare(path)
        answers = own.request.infer({0: array}, share_inputs=True, share_outputs=True)
        return decode(list(answers.values()), sizes)

    pool = ThreadPoolExecutor(threads, initializer=begin)
    return lambda files: list(pool.map(one, files))


def ultralytics(weights: Path, threads: int, scratch: Path, *, exported: bool) -> System:
    """Its `predict`, in PyTorch or of its own OpenVINO export; each file is an item, as its own command does it."""
    os.environ.update(YOLO_CONFIG_DIR=str(scratch), YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    torch = require("torch", extra="ultralytics")
    torch.set_num_threads(threads)
    library = require("ultralytics", extra="ultralytics")
    place = scratch / "yolo11n.pt"
    place.write_bytes(weights.read_bytes())
    model = library.YOLO(str(place), task="detect")
    if exported:
        model = library.YOLO(model.export(format="openvino", verbose=False), task="detect")
    listing = scratch / f"files-{exported}.txt"

    def predict(files: list[str]) -> list[Any]:
        listing.write_text("\n".join(files))
        options = {"device": "cpu", "verbose": False, "save": False, "stream": True, "conf": 0.3}
        return list(model.predict(str(listing), **options))

    return predict


def torchvision(weights: Path, threads: int, batch: int) -> System:
    """The eager module with its weights' own transforms."""
    torch = require("torch", extra="torch")
    torch.set_num_threads(threads)
    models = require("torchvision.models", extra="torch")
    from PIL import Image

    model = models.mobilenet_v2().eval()
    model.load_state_dict(torch.load(weights, weights_only=True))
    transforms = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()

    def predict(files: list[str]) -> list[Any]:
        best: list[Any] = []
        for at in range(0, len(files), batch):
            pictures = [transforms(Image.open(file).convert("RGB")) for file in files[at : at + batch]]
            with torch.inference_mode():
                best += model(torch.stack(pictures)).softmax(1).argmax(1).tolist()
        return best

    return predict


def said(answers: list[Any]) -> Said:
    """Labels and boxes of any detector's answers here."""
    found = []
    for answer in answers:
        if isinstance(answer, vision.Detections):
            found.append((list(answer.labels), answer.xyxy))
        elif isinstance(answer, dict):
            found.append((answer["labels"], np.array(answer["boxes"]).reshape(-1, 4)))
        else:
            boxes = answer.boxes.numpy()
            found.append(([answer.names[int(number)] for number in boxes.cls], boxes.xyxy))
    return found


def same_boxes(ours: list[Any], theirs: list[Any]) -> float:
    """Share of their boxes that we have too: the same label, and an overlap of at least 0.9."""
    found = total = 0
    for (labels, boxes), (wanted, where) in zip(said(ours), said(theirs), strict=True):
        same = np.array([[a == b for a in labels] for b in wanted], bool).reshape(len(wanted), len(labels))
        found += int(((box_iou(where, boxes) >= 0.9) & same).any(axis=1).sum())
        total += len(wanted)
    return found / max(total, 1)


def same_classes(ours: list[Any], theirs: list[Any]) -> float:
    """Share of pictures with the same best class."""
    return statistics.mean(int(a.class_ids[0]) == b for a, b in zip(ours, theirs, strict=True))


def detection(files: list[str], model: str, threads: int, repeats: int, scratch: Path) -> None:
    weights = next(iter(resolve("yolo11n-pt", task="vision.detection").files.values()))
    systems = {
        "triptych": vision.detector(model, threads=threads).predict,
        "ultralytics PyTorch": ultralytics(weights, threads, scratch, exported=False),
        "ultralytics OpenVINO": ultralytics(weights, threads, scratch, exported=True),
    }
    print(f"detection, the same weights ({model})")
    measure(systems, files, repeats, same_boxes)
    print("detection, the default model (EfficientDet-Lite0), and ultralytics' smallest in PyTorch")
    defaults = {
        "triptych": vision.detector(threads=threads).predict,
        "loop by hand": by_hand(threads),
        "ultralytics PyTorch": systems["ultralytics PyTorch"],
    }
    measure(defaults, files, repeats, same_boxes)


def classification(files: list[str], threads: int, repeats: int) -> None:
    name = "mobilenetv2-torchvision"
    weights = next(iter(resolve(name, task="vision.classification").files.values()))
    systems = {
        "triptych": vision.classifier(name, threads=threads).predict,
        "torchvision eager": torchvision(weights, threads, 1),
        "torchvision, 32": torchvision(weights, threads, 32),
    }
    print(f"classification, the same weights ({name})")
    measure(systems, files, repeats, same_classes)


def measure(
    systems: dict[str, System], files: list[str], repeats: int, agree: Callable[[list[Any], list[Any]], float]
) -> None:
    names = list(systems)
    wall: dict[str, list[float]] = {name: [] for name in names}
    work: dict[str, list[float]] = {name: [] for name in names}
    answers: dict[str, list[Any]] = {}
    for turn in range(repeats + 1):  # the first warms all up and does not count
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = systems[name](files)
            seconds, processor = time.perf_counter() - began, time.process_time() - worked
            assert len(answers[name]) == len(files)
            if turn:
                wall[name].append(seconds)
                work[name].append(processor)
    for name in names:
        seconds, processor = (statistics.median(table[name]) / len(files) * 1000 for table in (wall, work))
        line = f"  {name:<20} {seconds:7.1f} ms/image  processor {processor:7.1f} ms"
        for label, table in (("wall", wall), ("processor", work)):
            ratio = statistics.median(other / own for other, own in zip(table[name], table["triptych"]))
            line += f"  {label} ratio {ratio:.2f}"
        print(line + ("" if name == "triptych" else f"  agreement {agree(answers['triptych'], answers[name]):.1%}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of good JPEG files")
    parser.add_argument("--count", type=int, default=128, help="how many of them")
    parser.add_argument("--only", choices=("detection", "classification"), help="both when not given")
    parser.add_argument("--model", default="yolo11n-pt", help="a form of yolo11n: a name or a model folder")
    parser.add_argument("--repeats", type=int, default=7, help="turns")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="for each system")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        found = expand(str(given.images or make_crops(scratch / "crops", given.count)))
        files = [str(Path(file).resolve()) for file, _ in zip(found, range(given.count))]
        print(f"{len(files)} files, {given.threads} threads, {given.repeats} turns")
        if given.only != "classification":
            detection(files, given.model, given.threads, given.repeats, scratch)
        if given.only != "detection":
            classification(files, given.threads, given.repeats)


if __name__ == "__main__":
    main()
