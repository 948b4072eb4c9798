"""Long jobs under fire: workers, the job itself and a machine of the cluster are killed at random, ten times each.

20,000 generated JPEG files of 64 pixels go through the real MobileNetV2, 200,000 short texts through a trained TF-IDF
classifier. What each stream reads is counted in a file that outlives a kill, so the count is of all the work that was
begun, read ahead or done, and no less.
"""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from ray_cluster import TwoNodes, two_nodes

from shared.batch import merge, read
from shared.batch.sources import expand
from shared.tasks import find_task

pytestmark = [pytest.mark.slow, pytest.mark.weights]
KILLS = 10
MOST_WORK = 1.05


@dataclass(frozen=True)
class Case:
    """An input, its rows, and how many of them fail."""

    task: str
    source: Path
    rows: int
    failed: int
    options: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """20,000 crops of 64 pixels, 200 of them cut short."""
    from sklearn.datasets import load_sample_image

    find_task("vision.classification")  # brings the type of its results, for the toy task around it is not installed
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    bad = set(rng.choice(20_000, 200, replace=False).tolist())
    for i in range(20_000):
        photo = photos[i % 2]
        y, x = (int(rng.integers(side - 64)) for side in photo.shape[:2])
        buffer = io.BytesIO()
        Image.fromarray(photo[y : y + 64, x : x + 64]).save(buffer, "JPEG")
        path = folder / f"{i // 1000:02d}" / f"{i:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue()[: 300 if i in bad else None])
    return Case("test.pictures", folder, 20_000, 200)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[TwoNodes | None]:
    """A cluster, where ray is installed."""
    if find_spec("ray") is None:
        yield None
    else:
        yield from two_nodes(tmp_path / "cluster")


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """200,000 texts of a few words, 2,000 of them empty, and two that kill their process."""
    folder = tmp_path_factory.mktemp("moods")
    rng = np.random.default_rng(0)
    good, bad, rest = (
        ("fine", "lovely", "warm", "bright"),
        ("dull", "awful", "cold", "grey"),
        ("a", "day", "film", "so"),
    )
    words = np.array([*good, *bad, *rest])
    picks = rng.integers(0, len(words), (200_000, 8))
    texts = [" ".join(words[row]) for row in picks]
    with open(folder / "train.csv", "w", newline="") as file:
        labels = ((row < 4).sum() > ((row >= 4) & (row < 8)).sum() for row in picks[:2000])
        csv.writer(file).writerows([("text", "label"), *zip(texts[:2000], labels)])
    train = find_task("nlp.classification").train
    assert train is not None
    train(folder / "train.csv", folder / "model", format=None, seed=0, method="tfidf", c=1.0)
    for i in rng.choice(200_000, 2000, replace=False).tolist():
        texts[i] = ""
    texts[70_007] = texts[140_014] = "poison"
    with open(folder / "texts.csv", "w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text",), *((text,) for text in texts)])
    return Case("test.moods", folder / "texts.csv", 200_000, 2002, ("--model", str(folder / "model")))


Victims = Callable[[subprocess.Popen[str]], list[psutil.Process]]


def local_workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes of a local job; the process that watches over shared resources is none."""
    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in words(child)]


def words(process: psutil.Process) -> str:
    """The command of a process; nothing when it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def kill_one(process: subprocess.Popen[str], victims: Victims, rng: np.random.Generator) -> None:
    """Kill a victim, another one where it has just ended by itself."""
    while process.poll() is None:
        found = victims(process)
        with suppress(psutil.NoSuchProcess, IndexError):
            found[int(rng.integers(max(1, len(found))))].kill()
            return
        time.sleep(0.05)
    raise AssertionError(f"it ended early: {process.communicate()}")


def under_fire(run: object, rows: int, victims: Victims, *, seed: int, also: Callable[[], None] | None = None) -> float:
    """Run a job to its end with ten kills of workers and ten of itself; returns the seconds it took.

    ``also`` is called in the midst.
    """
    rng = np.random.default_rng(seed)
    moments = sorted(zip(rng.uniform(0.03, 0.95, 2 * KILLS), rng.permutation(["worker", "job"] * KILLS)))
    began, process = time.monotonic(), run.start()
    for number, (moment, what) in enumerate(moments):
        run.until(max(int(moment * rows), run.predicted() + 50), process, 1800.0)
        if number == KILLS and also is not None:
            also()
        if what == "worker":
            kill_one(process, victims, rng)
        else:
            process.kill()
            process.communicate()
            process = run.start()
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 1, err
    assert f"{rows:,} of {rows:,} items done" in out
    return time.monotonic() - began


def check_rows(case: Case, out: Path) -> None:
    """Every row once, in order, with its own input, and as many failures as were planted."""
    failed = rows = 0
    inputs: Iterator[str]
    if case.task == "test.pictures":
        inputs = expand(str(case.source))
    else:
        with open(case.source, newline="") as file:
            inputs = iter([row["text"] for row in csv.DictReader(file)])
    for outcome, expected in zip(read(out), inputs, strict=True):
        assert (outcome.index, outcome.input) == (rows, expected)
        failed += not outcome.ok
        rows += 1
    assert (rows, failed) == (case.rows, case.failed)


@pytest.mark.parametrize("name", ["pictures", "moods"])
def test_twenty_kills_of_a_long_job(
    name: str,
    job: type,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    nodes: TwoNodes | None,
) -> None:
    """Here, then on two Ray nodes of which one goes away, begun here and ended there: the merged bytes are the same."""
    case: Case = request.getfixturevalue(name)
    common = (*case.options, "--workers", "2", "--threads", "2", "--no-progress")
    local = job(case.task, case.source, tmp_path / "local", *common, count=tmp_path / "count")
    seconds = under_fire(local, case.rows, local_workers, seed=1)
    work = (tmp_path / "count").stat().st_size / case.rows
    print(f"\n{name}, local: {case.rows:,} rows, 20 kills, {seconds:.0f} s, work {work:.4f} passes")  # noqa: T201
    check_rows(case, tmp_path / "local")
    merge(tmp_path / "local", tmp_path / "local.parquet")
    assert work <= MOST_WORK
    if nodes is None:
        pytest.skip("ray is not installed: the part on a cluster was left out")

    both = job(case.task, case.source, tmp_path / "both", *common, count=tmp_path / "begun")
    process = both.start()
    both.until(case.rows // 20, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=180)
    both = job(case.task, case.source, tmp_path / "both", *common, "--engine", "ray", "--ray-address", nodes.address)

    def actors(process: subprocess.Popen[str]) -> list[psutil.Process]:
        family = psutil.Process(nodes.process.pid).children(recursive=True)
        return [child for child in family if "Answerer" in words(child)]

    seconds = under_fire(both, case.rows, actors, seed=2, also=lambda: nodes.kill(1))
    counted = nodes.count.stat().st_size + (tmp_path / "begun").stat().st_size
    work = counted / case.rows
    print(f"{name}, Ray: {case.rows:,} rows, 20 kills, {seconds:.0f} s, work {work:.4f} passes")  # noqa: T201
    check_rows(case, tmp_path / "both")
    merge(tmp_path / "both", tmp_path / "both.parquet")
    assert (tmp_path / "both.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()
    assert work <= MOST_WORK
