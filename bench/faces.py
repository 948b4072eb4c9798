"""Faces from JPEG files to embeddings against OpenCV and DeepFace, and galleries of 100,000 against LanceDB.

    python bench/faces.py --images FOLDER [--count 200] [--repeats 7] [--threads N]
    python bench/faces.py --gallery [--enrolled 100000] [--folder FOLDER]

*Pipeline.* All run the same two networks, YuNet 2023mar and SFace 2021dec, on the same files, with the same number of
threads: find every face, align it, embed it. The peers are OpenCV's own FaceDetectorYN and FaceRecognizerSF in a plain
loop, as its documentation shows it, and DeepFace's `represent` with the same two, which brings faces to the square by
code of its own. A peer that is not installed is left out with a word. They take turns, in another order each turn; a
figure is the median over the turns of the peer's seconds / Triptych's seconds, on the wall clock and in processor time.
Agreement: which share of the peer's faces Triptych has too (an overlap of at least 0.5), and the mean cosine between
the two embeddings of one face; they differ by alignment, for Triptych looks at each face twice. "One look" is Triptych
without that, and has the peers' alignment; what a peer's seconds are over its own is said too.

*Gallery.* Random persons, unit vectors of 128 numbers. A query is a photo of an enrolled person, noise added. Recall is
against brute force in NumPy; after 1,000 persons are forgotten every file of the store is searched for the bytes of
their ids and vectors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.batch.sources import expand
from shared.errors import MissingDependencyError
from shared.lazy import require
from shared.settings import cpu_count
from shared.weights import resolve
from vision.boxes import box_iou
from vision.faces.gallery import open_gallery

Faces = tuple[Any, Any]
System = Callable[[list[str]], list[Faces]]
DIMENSION, FORGOTTEN, QUERIES = 128, 1000, 500
OURS = ("triptych", "one look")


def triptych(threads: int, **options: Any) -> System:
    recognizer = vision.face_recognizer(threads=threads, **options)
    return lambda files: [(found.xyxy, found.embeddings) for found in recognizer.predict(files)]


def model_files() -> tuple[str, str]:
    """The very files that Triptych runs."""
    found = [resolve(name, task="vision.faces", progress=False).files for name in ("yunet", "sface")]
    paths = [str(next(path for name, path in files.items() if name.endswith(".onnx"))) for files in found]
    return paths[0], paths[1]


def opencv(threads: int) -> System:
    cv2 = require("cv2", extra="bench")
    cv2.setNumThreads(threads)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    seer, namer = model_files()
    detector = cv2.FaceDetectorYN.create(seer, "", (320, 320), 0.6, 0.3, 5000)
    embedder = cv2.FaceRecognizerSF.create(namer, "")

    def one(path: str) -> Faces:
        image = cv2.imread(path)
        height, width = image.shape[:2]
        detector.setInputSize((width, height))
        rows = detector.detect(image)[1]
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        vectors = [embedder.feature(embedder.alignCrop(image, row))[0].copy() for row in rows]
        boxes = np.c_[rows[:, :2], rows[:, :2] + rows[:, 2:4]]
        return boxes, np.array([v / np.linalg.norm(v) for v in vectors]).reshape(-1, DIMENSION)

    return lambda files: [one(path) for path in files]


def deepface(threads: int, home: Path) -> System:
    os.environ.update(DEEPFACE_HOME=str(home), TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS=str(threads))
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    for path in model_files():
        (weights / Path(path).name).symlink_to(path)
    represent = require("deepface.DeepFace", extra="bench").represent

    def one(path: str) -> Faces:
        rows = represent(path, model_name="SFace", detector_backend="yunet", enforce_detection=False)
        areas = [row["facial_area"] for row in rows]
        boxes = np.array([[a["x"], a["y"], a["x"] + a["w"], a["y"] + a["h"]] for a in areas], np.float64)
        vectors = np.array([row["embedding"] for row in rows])
        return boxes, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return lambda files: [one(path) for path in files]


def agreement(ours: list[Faces], theirs: list[Faces]) -> str:
    matched, total, cosines = 0, 0, []
    for (boxes, vectors), (others, other_vectors) in zip(ours, theirs, strict=True):
        total += len(others)
        if not len(boxes) or not len(others):
            continue
        overlaps = box_iou(others, boxes)
        for at, best in enumerate(overlaps.argmax(axis=1)):
            if overlaps[at, best] >= 0.5:
                matched += 1
                cosines.append(float(other_vectors[at] @ vectors[best]))
    mean = float(np.mean(cosines)) if cosines else float("nan")
    return f"{matched} of {total} faces are ours too, mean cosine {mean:.3f}"


def measure(systems: dict[str, System], files: list[str], repeats: int, threads: int) -> None:
    names = list(systems)
    wall: dict[str, list[float]] = {name: [] for name in names}
    work: dict[str, list[float]] = {name: [] for name in names}
    answers: dict[str, list[Faces]] = {}
    for turn in range(repeats + 1):  # the first warms all up and does not count
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = systems[name](files)
            if turn:
                wall[name].append(time.perf_counter() - began)
                work[name].append(time.process_time() - worked)
    faces = sum(len(boxes) for boxes, _ in answers["triptych"])
    print(f"{len(files)} files with {faces} faces, {threads} threads, {repeats} turns")
    for name in names:
        seconds, processor = (statistics.median(table[name]) / len(files) * 1000 for table in (wall, work))
        line = f"  {name:<10} {seconds:7.1f} ms/image  processor {processor:7.1f} ms"
        for ours in OURS:
            for label, table in (("wall", wall), ("processor", work)):
                ratio = statistics.median(other / own for other, own in zip(table[name], table[ours]))
                line += f"  {label} ratio {ratio:.2f}"
            line += "" if name in OURS else f" to {ours} ({agreement(answers[ours], answers[name])})"
        print(line)


def people(count: int) -> tuple[list[str], Any]:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    return [f"person-{rng.integers(1 << 60):x}-{at}" for at in range(count)], _unit(vectors)


def _unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Own:
    """This project's gallery."""

    def __init__(self, folder: Path) -> None:
        self.gallery = open_gallery(folder, embedder="bench", dimension=DIMENSION)

    def enroll(self, ids: list[str], vectors: Any) -> None:
        self.gallery.enroll(ids, vectors)

    def search(self, vector: Any) -> str:
        return self.gallery.identify(vector[None], k=1)[0][0].person

    def forget(self, ids: list[str]) -> None:
        self.gallery.forget(ids)


class Lance:
    """LanceDB without an index, so that it is exact too; forgetting compacts its table and prunes old versions."""

    def __init__(self, folder: Path) -> None:
        self.database = require("lancedb", extra="bench").connect(folder)
        self.table: Any = None

    def enroll(self, ids: list[str], vectors: Any) -> None:
        import pyarrow as pa

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSION)
        self.table = self.database.create_table("faces", pa.table({"person": ids, "vector": flat}))

    def search(self, vector: Any) -> str:
        found: str = self.table.search(vector).distance_type("cosine").limit(1).to_list()[0]["person"]
        return found

    def forget(self, ids: list[str]) -> None:
        from datetime import timedelta

        self.table.delete("person IN ({})".format(", ".join(f"'{name}'" for name in ids)))
        self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)


def traces(folder: Path, ids: list[str], vectors: Any) -> str:
    """How many of the forgotten ids, and of their vectors, still stand in some file."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    named = sum(any(name.encode() in content for content in contents) for name in ids)
    shown = sum(any(vector[:4].tobytes() in content for content in contents) for vector in vectors)
    return f"{named} ids and {shown} vectors of {len(ids)} found in {sum(map(len, contents)) / 1e6:.0f} MB"


def galleries(enrolled: int, folder: Path) -> None:
    ids, vectors = people(enrolled)
    rng = np.random.default_rng(1)
    chosen = rng.integers(0, enrolled, QUERIES)
    noise = rng.standard_normal((QUERIES, DIMENSION)).astype(np.float32)
    queries = _unit(vectors[chosen] + 0.08 * noise)
    truth = [ids[at] for at in (queries @ vectors.T).argmax(axis=1)]
    stores: dict[str, Callable[[Path], Any]] = {"triptych": Own, "lancedb": Lance}
    gone = sorted(rng.choice(enrolled, FORGOTTEN, replace=False).tolist())
    for name, begin in stores.items():
        try:
            store = begin(folder / name)
        except MissingDependencyError as error:
            print(f"without {name}: {error}")
            continue
        began = time.perf_counter()
        store.enroll(ids, vectors)
        enrolling = time.perf_counter() - began
        store.search(queries[0])
        taken, worked, right = [], [], 0
        for query, wanted in zip(queries, truth):
            began, began_work = time.perf_counter(), time.process_time()
            right += store.search(query) == wanted
            taken.append((time.perf_counter() - began) * 1000)
            worked.append((time.process_time() - began_work) * 1000)
        began = time.perf_counter()
        store.forget([ids[at] for at in gone])
        forgetting = time.perf_counter() - began
        left = traces(folder / name, [ids[at] for at in gone], vectors[gone])
        print(
            f"{name:<9} enrol {enrolled} in {enrolling:.1f} s; query median {statistics.median(taken):.2f} ms, "
            f"95 % within {np.quantile(taken, 0.95):.2f} ms, "
            f"processor {statistics.median(worked):.2f} ms, recall {right / QUERIES:.3f}; "
            f"forget {FORGOTTEN} in {forgetting:.2f} s: {left}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of good picture files with faces")
    parser.add_argument("--count", type=int, default=200, help="files at most, evenly chosen")
    parser.add_argument("--repeats", type=int, default=7, help="turns")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="for each system")
    parser.add_argument("--gallery", action="store_true", help="measure galleries instead")
    parser.add_argument("--enrolled", type=int, default=100_000, help="faces of the gallery")
    given = parser.parse_args()
    if not given.gallery and given.images is None:
        parser.error("--images must name a folder of pictures with faces; no installed package carries any")
    with tempfile.TemporaryDirectory() as name:
        if given.gallery:
            galleries(given.enrolled, Path(name))
            return
        files = [str(Path(file).resolve()) for file in expand(str(given.images))]
        files = files[:: max(1, len(files) // given.count)][: given.count]
        systems: dict[str, System] = {
            "triptych": triptych(given.threads),
            "one look": triptych(given.threads, close_look=False),
        }
        peers = {"opencv": opencv, "deepface": lambda threads: deepface(threads, Path(name))}
        for peer, begin in peers.items():
            try:
                systems[peer] = begin(given.threads)
            except MissingDependencyError as error:
                print(f"without {peer}: {error}")
        measure(systems, files, given.repeats, given.threads)


if __name__ == "__main__":
    main()
