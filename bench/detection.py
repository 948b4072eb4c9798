"""Detection from JPEG files to boxes, against ultralytics in PyTorch and against the best loop written by hand.

    python bench/detection.py [--images FOLDER] [--repeats 7] [--threads N]

Triptych runs its default, EfficientDet-Lite0 at 320 pixels. The peer is ultralytics' smallest model, YOLO11n, on the
processor in PyTorch, at its own 640 pixels and at 320 too; its weights are random, which costs no less time and leaves
its suppression nothing to do. It needs the extra `ultralytics`, and is left out with a word where that is missing. The
loop by hand has the same graph and the same settings of the runtime: a thread for each processor decodes a file with
Pillow, has OpenVINO answer and decodes the answer. All have the same files and the same number of threads, and open
their models beforehand.

They take turns, in another order each turn. A figure is the median over the turns of the other's seconds / Triptych's
seconds, on the wall clock and in processor time; the second hardly feels what else the machine is doing. Without
`--images` the files are crops of the two photographs inside scikit-learn.
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
from shared.backends.openvino import _CONFIG
from shared.backends.saturation import without_saturation
from shared.batch.sources import expand
from shared.errors import MissingDependencyError
from shared.lazy import require
from shared.settings import cpu_count
from shared.weights import resolve
from vision.boxes import box_iou

System = Callable[[list[str]], list[Any]]


def triptych(threads: int) -> System:
    return vision.detector(threads=threads).predict


def by_hand(threads: int) -> System:
    """The best loop that one would write by hand: a copy of the graph for each thread, no pipeline between them."""
    import openvino

    opened = resolve(None, task="vision.detection", progress=False)
    prepare, decode = pieces_by_hand(dict(opened.card.options))
    core, config = openvino.Core(), _CONFIG | {"INFERENCE_NUM_THREADS": 1}
    graph = without_saturation(core.read_model(str(next(iter(opened.files.values())))), openvino)
    own = threading.local()

    def begin() -> None:
        own.request = core.compile_model(graph, "CPU", config).create_infer_request()

    def one(path: str) -> dict[str, Any]:
        array, sizes = prepare(path)
        answers = own.request.infer({0: array}, share_inputs=True, share_outputs=True)
        return decode(list(answers.values()), sizes)

    pool = ThreadPoolExecutor(threads, initializer=begin)
    return lambda files: list(pool.map(one, files))


def ultralytics(threads: int, size: int, scratch: Path) -> System:
    """YOLO11n with random weights. Each file is a call's item, as its own command does it."""
    os.environ.update(YOLO_CONFIG_DIR=str(scratch), YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    torch = require("torch", extra="ultralytics")
    yolo = require("ultralytics", extra="ultralytics").YOLO("yolo11n.yaml", verbose=False)
    torch.set_num_threads(threads)

    def predict(files: list[str]) -> list[Any]:
        listing = scratch / "files.txt"
        listing.write_text("\n".join(files))
        return list(yolo.predict(str(listing), imgsz=size, device="cpu", verbose=False, save=False, stream=True))

    return predict


def agreement(ours: list[Any], theirs: list[dict[str, Any]]) -> float:
    """Share of our boxes that the loop by hand has too: the same label, and an overlap of at least 0.9."""
    found = total = 0
    for a, b in zip(ours, theirs, strict=True):
        boxes = np.array(b["boxes"]).reshape(-1, 4)
        overlaps = box_iou(a.xyxy, boxes)
        same = np.array([[x == y for y in b["labels"]] for x in a.labels], bool).reshape(overlaps.shape)
        found += int(((overlaps >= 0.9) & same).any(axis=1).sum())
        total += len(a.labels)
    return found / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of good JPEG files")
    parser.add_argument("--count", type=int, default=128, help="crops to make where no folder is given")
    parser.add_argument("--repeats", type=int, default=7, help="turns")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="for each system")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        files = [
            str(Path(f).resolve()) for f in expand(str(given.images or make_crops(scratch / "crops", given.count)))
        ]
        systems = {"triptych": triptych(given.threads), "loop by hand": by_hand(given.threads)}
        try:
            for size in (640, 320):
                systems[f"ultralytics {size} px"] = ultralytics(given.threads, size, scratch)
        except MissingDependencyError as error:
            print(f"without ultralytics: {error}")
        measure(systems, files, given.repeats, given.threads)


def measure(systems: dict[str, System], files: list[str], repeats: int, threads: int) -> None:
    names = list(systems)
    wall: dict[str, list[float]] = {name: [] for name in names}
    work: dict[str, list[float]] = {name: [] for name in names}
    answers: dict[str, list[Any]] = {}
    for turn in range(repeats + 1):  # the first warms all up and does not count
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = systems[name](files)
            assert len(answers[name]) == len(files)
            if turn:
                wall[name].append(time.perf_counter() - began)
                work[name].append(time.process_time() - worked)
    same = agreement(answers["triptych"], answers["loop by hand"])
    print(f"{len(files)} files, {threads} threads, {repeats} turns; the loop by hand has {same:.2%} of our boxes")
    for name in names:
        seconds, processor = (statistics.median(table[name]) / len(files) * 1000 for table in (wall, work))
        line = f"  {name:<20} {seconds:7.1f} ms/image  processor {processor:7.1f} ms"
        for label, table in (("wall", wall), ("processor", work)):
            ratio = statistics.median(other / own for other, own in zip(table[name], table["triptych"]))
            line += f"  {label} ratio {ratio:.2f}"
        print(line)


if __name__ == "__main__":
    main()
