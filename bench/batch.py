"""Batch jobs against the best loop that one would write by hand, several workers against one, and memory.

    python bench/batch.py [--task vision.detection] [--images FOLDER] [--count 1000] [--repeats 7]
    python bench/batch.py --memory [--task vision.detection] [--images FOLDER]
    python bench/batch.py --memory --inputs
    python bench/batch.py --workers 2 [--engine ray] [--task vision.detection] [--images FOLDER] [--count 1000]

The loop by hand has the same files and the same compiled graph: a thread for each processor, each with a copy of it,
takes a file, decodes it with Pillow (a JPEG at a fraction of its size where that is enough), has OpenVINO answer and
decodes the answer; results are kept in a list and written as one Parquet file at the end. It survives no crash, no
broken file and no long input; the job does. Both open their model within the time that is taken. The two take turns,
each first in every other turn, and the figure is the median of the ratios of the turns. Processor seconds are said too:
they hold on a machine that does other work meanwhile.

``--memory`` gives the peak resident memory over 2,000 and over 20,000 images. ``--memory --inputs`` has a task that
does nothing read a query of 10,000 and of 1,000,000 rows (SQLite into SQLite) and an archive of 20 MB and of 2 GB, each
in a process of its own. ``--workers N`` gives the rows a second of N workers of one thread each and of one worker held
to one thread on one processor, and of the workers' memory what each has alone (USS) and its share with the rest (PSS).
What the machine itself allows is said beside it: N loops by hand at once, each with its part of the files and a
processor of its own, over one such loop with all of them.

Files of a smaller folder are copied until there are ``--count``. Without ``--images`` they are crops of the two
photographs inside scikit-learn, 640 pixels wide at most.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.backends.openvino import compile_copies
from shared.batch import read, run
from shared.batch.sources import expand
from shared.settings import cpu_count
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


def compare(task: str, images: Path, repeats: int, scratch: Path) -> None:
    """Print the seconds of both and the median of their paired ratios."""
    files = list(expand(str(images)))
    seconds: dict[str, list[float]] = {"job": [], "hand": []}
    processor: dict[str, list[float]] = {"job": [], "hand": []}
    hand: list[dict[str, Any]] = []
    for turn in range(repeats + 1):  # the first warms both up and does not count
        for who in ("job", "hand") if turn % 2 else ("hand", "job"):
            if who == "job":
                shutil.rmtree(scratch / "job", ignore_errors=True)
            began, work = time.perf_counter(), time.process_time()
            if who == "job":
                run(task, images, scratch / "job", model=MODELS[task], progress=False)
            else:
                hand = by_hand(task, files, scratch / "hand.parquet")
            taken, worked = time.perf_counter() - began, time.process_time() - work
            if turn:
                seconds[who].append(taken)
                processor[who].append(worked)
    ours = [outcome.result.to_json() for outcome in read(scratch / "job")]
    same = statistics.mean(o["labels"][:1] == h["labels"][:1] for o, h in zip(ours, hand, strict=True))
    ratios = [h / j for h, j in zip(seconds["hand"], seconds["job"])]
    print(f"{task}: {len(files)} files, {cpu_count()} threads, {repeats} turns; the same best label in {same:.1%}")
    for who, name in (("job", "triptych batch"), ("hand", "loop by hand")):
        middle = statistics.median(seconds[who])
        worked = statistics.median(processor[who])
        print(f"  {name:<15} median {middle:6.2f} s  {len(files) / middle:7.1f} images/s  processor {worked:6.2f} s")
    print(f"  speed of the job over that of the loop: median {statistics.median(ratios):.3f}", end="")
    print(f", turns {' '.join(f'{ratio:.3f}' for ratio in sorted(ratios))}")


MEMORY = """
import json, resource, sys
from shared.batch import run
if __name__ == "__main__":
    report = run(*sys.argv[1:4], model=sys.argv[4], progress=False)
    print(json.dumps([report.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def memory(task: str, images: Path, scratch: Path) -> None:
    """Print the peak resident memory of a job over 2,000 files and of one over 20,000, in processes of their own."""
    found: dict[int, float] = {}
    files = list(expand(str(images)))
    for count in (2000, 20000):
        listing = scratch / f"{count}.txt"
        listing.write_text("".join(f"{Path(files[i % len(files)]).resolve()}\n" for i in range(count)))
        command = [sys.executable, "-c", MEMORY, task, str(listing), str(scratch / f"{task}-{count}"), MODELS[task]]
        done, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert done == count
        found[count] = peak
    short, long = found.values()
    print(f"{task}: peak resident memory")
    print(f"  2,000 images {short:.1f} MiB, 20,000 images {long:.1f} MiB: {long / short:.3f} times")


ONE_JOB = """
import json, os, resource, sys, time
from shared.batch import run
if __name__ == "__main__":
    task, images, out, model, engine, workers = sys.argv[1:]
    if workers == "1" and engine == "local":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began = time.perf_counter()
    how = {"engine": engine, "workers": int(workers), "threads": int(workers)}
    report = run(task, images, out, model=model, progress=False, **how)
    taken = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([report.done, taken, sum(u.ru_utime + u.ru_stime for u in used)]))
"""


def one_job(task: str, images: Path, out: Path, engine: str, workers: int) -> tuple[float, float, dict[int, Any]]:
    """A job in a process of its own: seconds, processor seconds, and the last look at the memory of its workers."""
    import psutil

    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", ONE_JOB, task, str(images), str(out), MODELS[task], engine, str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seen: dict[int, Any] = {}
    while process.poll() is None:
        time.sleep(0.5)
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                ours = child.ppid() == process.pid and "spawn_main" in " ".join(child.cmdline())
                if ours or "Answerer" in " ".join(child.cmdline()):
                    seen[child.pid] = child.memory_full_info()
        except psutil.Error:
            continue
    done, taken, worked = json.loads(process.communicate()[0])
    assert done == sum(1 for _ in expand(str(images)))
    return taken, worked, seen


HAND_LOOP = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from batch import by_hand, expand
from pathlib import Path
if __name__ == "__main__":
    task, images, out, part, parts = sys.argv[2:]
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[int(part)]})
    by_hand(task, list(expand(images))[int(part) :: int(parts)], Path(out))
"""


def hand_loops(task: str, images: Path, scratch: Path, parts: int) -> float:
    """Seconds of ``parts`` loops by hand at once, each over its part of the files, in a process and on a processor."""
    bench = str(Path(__file__).parent)
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                HAND_LOOP,
                bench,
                task,
                str(images),
                str(scratch / f"{part}.parquet"),
                str(part),
                str(parts),
            ]
        )
        for part in range(parts)
    ]
    codes = [process.wait() for process in running]
    assert not any(codes)
    return time.perf_counter() - began


def scaling(task: str, images: Path, scratch: Path, *, repeats: int, workers: int, engine: str) -> None:
    """Print how several workers do beside one."""
    count = sum(1 for _ in expand(str(images)))
    taken: dict[int, list[float]] = {1: [], workers: []}
    worked: dict[int, list[float]] = {1: [], workers: []}
    held: dict[int, Any] = {}
    allowed = []
    for turn in range(repeats):
        one, all_at_once = (hand_loops(task, images, scratch, parts) for parts in (1, workers))
        allowed.append(one / all_at_once)
        for number in (1, workers) if turn % 2 else (workers, 1):
            seconds, processor, seen = one_job(
                task, images, scratch / "job", "local" if number == 1 else engine, number
            )
            taken[number].append(seconds)
            worked[number].append(processor)
            held = seen or held
    size = sum(path.stat().st_size for path in resolve(MODELS[task], task=task, progress=False).files.values())
    print(f"{task}: {count} files, engine {engine}, {repeats} turns, opening the model included")
    for number in (1, workers):
        middle = statistics.median(taken[number])
        spent = statistics.median(worked[number])
        print(
            f"  {number} worker(s): {count / middle:7.1f} images/s, processor {1000 * spent / count:6.2f} ms an image"
        )
    ratios = [one / several for one, several in zip(taken[1], taken[workers])]
    print(f"  on the clock {statistics.median(ratios):.2f} times one worker, ", end="")
    spared = statistics.median(worked[1]) / statistics.median(worked[workers])
    print(
        f"in processor time an image {spared:.2f} times as thrifty: {workers * spared:.2f} times with a processor each"
    )
    print(f"  {workers} loops by hand, each with a processor: {statistics.median(allowed):.2f} times one such loop")
    for info in held.values():
        print(
            f"  a worker's memory: {info.uss / 2**20:.0f} MiB alone, {info.pss / 2**20:.0f} MiB with its share", end=""
        )
        print(f"; the model's files have {size / 2**20:.0f} MiB")


INPUTS = """
import json, resource, sys
from dataclasses import dataclass
from shared.batch import run
from shared.predictor import Pipeline
from shared.tasks import Task
from shared.testing import fake_card
from shared.types import Result

@dataclass(frozen=True, eq=False)
class Length(Result):
    length: int

def open(model, *, device, threads):
    length = lambda item: len(item if isinstance(item, str) else item.read_bytes())
    return Pipeline(fake_card(), length, list, lambda raw, mid: Length(raw), batch_size=256, threads=2)

if __name__ == "__main__":
    source, out, kind, options = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    report = run(Task("bench.length", "", kind, open), source, out, progress=False, **options)
    print(json.dumps([report.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, report.seconds]))
"""


def make_query(path: Path, rows: int) -> tuple[str, str, dict[str, Any]]:
    """A table of short texts, and how a job reads it into another."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text)")
        connection.executemany("INSERT INTO texts VALUES (?, ?)", ((n, f"text number {n} " * 5) for n in range(rows)))
    connection.close()
    sink = {"sink": "sql", "sink_url": f"sqlite:///{path}.out", "table": "lengths"}
    return (
        f"sqlite:///{path}",
        "text",
        {"sql": "SELECT id, text FROM texts", "id_column": "id", "shard_size": 5000, **sink},
    )


def make_archive(path: Path, members: int) -> tuple[str, str, dict[str, Any]]:
    """An archive of members of 100 kB."""
    content = np.random.default_rng(0).bytes(100_000)
    with tarfile.open(path, "w") as archive:
        for number in range(members):
            info = tarfile.TarInfo(f"{number:06d}.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path), "image", {"shard_size": 100}


def memory_of_inputs(scratch: Path) -> None:
    """Print the peak resident memory of jobs that do nothing over short and long inputs."""
    makers = {
        "query": (make_query, "sqlite.db", (10_000, 1_000_000)),
        "archive": (make_archive, "data.tar", (200, 20_000)),
    }
    for name, (make, file, counts) in makers.items():
        peaks = []
        for count in counts:
            folder = scratch / f"{name}-{count}"
            folder.mkdir()
            source, kind, options = make(folder / file, count)
            command = [sys.executable, "-c", INPUTS, source, str(folder / "out"), kind, json.dumps(options)]
            done, peak, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert done == count
            peaks.append(peak)
            print(f"{name} of {count:,} rows: peak resident memory {peak:.1f} MiB, {seconds:.1f} s")
            shutil.rmtree(folder)
        print(f"  {peaks[1] / peaks[0]:.3f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(LOOPS), help="both when not given")
    parser.add_argument("--images", type=Path, help="folder of good images")
    parser.add_argument("--count", type=int, default=1000, help="files of the job")
    parser.add_argument("--repeats", type=int, default=7, help="turns")
    parser.add_argument("--memory", action="store_true", help="measure memory in the place of speed")
    parser.add_argument("--inputs", action="store_true", help="with --memory: long queries and archives, no model")
    parser.add_argument("--workers", type=int, help="measure so many workers beside one")
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="of the several workers")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if given.memory and given.inputs:
            memory_of_inputs(scratch)
            return
        files = scratch / "files"
        images = make_copies(given.images, files, given.count) if given.images else make_crops(files, given.count)
        for task in [given.task] if given.task else list(LOOPS):
            if given.memory:
                memory(task, images, scratch)
            elif given.workers:
                scaling(task, images, scratch, repeats=given.repeats, workers=given.workers, engine=given.engine)
            else:
                compare(task, images, given.repeats, scratch)


if __name__ == "__main__":
    main()
