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
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from batch_by_hand import LOOPS, MODELS, by_hand, make_copies, make_crops
from batch_inputs import memory_of_inputs

from shared.batch import read, run
from shared.batch.sources import expand
from shared.settings import cpu_count
from shared.weights import resolve


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
