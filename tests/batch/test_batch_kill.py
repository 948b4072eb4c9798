"""A job that is killed goes on: every row once, little work lost."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from batch_toy import Shout

from shared.batch import read, status

TOY = ("test.colours", "--pause-ms", "3")
REAL = ("vision.classification", "--model", "mobilenetv2-224")
Kill = Callable[[subprocess.Popen[str]], None]


def held_after(slow: int, n: int) -> list[str]:
    """Texts of which so many take a while, and the others wait for a gate: no job ends before it is opened."""
    return [f"{'sleep' if i < slow else 'hold'} {i}" for i in range(n)]


def heard(process: subprocess.Popen[str], words: str) -> str:
    """What a process says until it says that."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended and never said {words!r}: {said}")


def killed_five_times(
    job: type, make_images: Callable[..., int], tmp_path: Path, task: Sequence[str], *, n: int, broken: int
) -> int:
    """Run a job with five kills at random moments, check every row, and return the rows that were predicted in all."""
    make_images(tmp_path / "in", n, broken)
    run = job(task[0], tmp_path / "in", tmp_path / "out", *task[1:], "--no-progress", count=tmp_path / "prepared")
    rng = np.random.default_rng(5)
    committed = 0
    for moment in sorted(rng.uniform(0.05, 0.9, 5)):
        run.killed_at(max(int(moment * n), run.predicted() + 3))
        done = len(list((tmp_path / "out").glob("*.parquet")))
        assert done >= committed, "a committed shard went away"
        committed = done
    last = run.to_end()
    assert last.returncode == 1, last.stderr
    assert f"{n:,} of {n:,} items done, {broken} failed" in last.stdout

    outcomes = list(read(tmp_path / "out"))
    assert [o.index for o in outcomes] == list(range(n))
    assert [o.input for o in outcomes] == sorted(str(p) for p in (tmp_path / "in").rglob("*.jpg"))
    assert sum(not o.ok for o in outcomes) == broken
    table = pq.read_table(tmp_path / "out").to_pydict()
    assert sorted(table["index"]) == list(range(n))
    assert sum(kind is not None for kind in table["error_kind"]) == broken
    print(f"\n{n} images, {broken} broken, 5 kills: {run.predicted() / n:.4f} passes predicted", end="")  # noqa: T201
    if task is TOY:
        print(f", {(tmp_path / 'prepared').stat().st_size / n:.4f} prepared")  # noqa: T201
    return run.predicted()


def test_five_kills_lose_nothing(job: type, make_images: Callable[..., int], tmp_path: Path) -> None:
    shard, batch, n = 8, 8, 160
    predicted = killed_five_times(job, make_images, tmp_path, TOY, n=n, broken=4)
    assert n <= predicted <= n + 5 * (2 * shard + 2 * batch)


@pytest.mark.slow
@pytest.mark.parametrize("task", [TOY, pytest.param(REAL, marks=pytest.mark.weights)], ids=lambda task: task[0])
def test_five_kills_of_two_thousand_cost_less_than_a_tenth(
    job: type, make_images: Callable[..., int], tmp_path: Path, task: Sequence[str]
) -> None:
    predicted = killed_five_times(job, make_images, tmp_path, task, n=2000, broken=40)
    assert 2000 <= predicted <= 2200


def test_workers_end_with_the_process_that_started_them(job: type, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("".join(f"sleep {i}\n" for i in range(800)))
    run = job("test.shouts", source, tmp_path / "out", "--workers", "2", "--no-progress")
    process = run.start()
    run.until(20, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    process.communicate()
    assert not alive
    assert run.predicted() < 800


def test_kills_of_workers_and_of_the_job_lose_nothing(
    job: type, make_images: Callable[..., int], kill_a_worker: Kill, tmp_path: Path
) -> None:
    n = make_images(tmp_path / "in", 480, 5)  # far more than the kills wait for: they never come too late
    run = job(TOY[0], tmp_path / "in", tmp_path / "out", *TOY[1:], "--workers", "2", count=tmp_path / "prepared")
    process = run.start()
    for moment, who in ((20, "worker"), (60, "job"), (100, "worker"), (150, "job"), (200, "worker")):
        run.until(moment, process)
        if who == "job":
            process.kill()
            process.communicate()
            process = run.start()
        else:
            kill_a_worker(process)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert f"{n} of {n} items done, 5 failed" in out
    assert [o.index for o in read(tmp_path / "out")] == list(range(n))
    ahead = 64 + 3 * 8 + 2  # a piece, and what a stream of one thread prepares beyond it
    assert n <= (tmp_path / "prepared").stat().st_size <= n + 3 * ahead + 2 * 2 * ahead


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, "2"), (signal.SIGTERM, "1")])
def test_a_signal_stops_cleanly_and_the_same_command_continues(
    job: type, tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    texts, gate = held_after(120, 600), tmp_path / "gate"
    source = tmp_path / "texts.txt"
    source.write_text("".join(f"{text}\n" for text in texts))
    run = job("test.shouts", source, tmp_path / "out", "--workers", workers, "--no-progress", gate=gate)
    process = run.start()
    run.until(20, process)
    process.send_signal(number)
    err = heard(process, "finishing the shards under way; once more stops at once")
    gate.touch()
    late = threading.Timer(180, process.kill)
    late.start()
    with process:
        err += process.stderr.read()  # through the same buffer, which may hold more than was looked at
        out = process.stdout.read()
    late.cancel()
    assert process.returncode == 128 + number
    assert f"Run the same command again to continue, or: triptych batch resume {tmp_path / 'out'}" in err
    stood = status(tmp_path / "out")
    assert stood.state == "stopped"
    assert f"{stood.done} of 600 items done" in out
    assert stood.done == run.predicted() < 600, "what was predicted was not finished"
    assert not list((tmp_path / "out").rglob("*.tmp"))
    last = run.to_end()
    assert last.returncode == 0, last.stderr
    assert "600 of 600 items done" in last.stdout
    assert run.predicted() == 600
    assert [o.result for o in read(tmp_path / "out")] == [Shout(f"{text.upper()}!") for text in texts]


def test_a_second_signal_stops_at_once(job: type, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("".join(f"sleep {i}\n" for i in range(2000)))
    run = job("test.shouts", source, tmp_path / "out", "--workers", "2", "--shard-size", "1000", "--no-progress")
    process = run.start()
    run.until(20, process)
    process.send_signal(signal.SIGINT)
    heard(process, "once more")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert run.predicted() < 1000


def test_a_worker_killed_from_outside_is_replaced(job: type, kill_a_worker: Kill, tmp_path: Path) -> None:
    source, gate = tmp_path / "texts.txt", tmp_path / "gate"
    source.write_text("".join(f"{text}\n" for text in held_after(60, 120)))
    run = job("test.shouts", source, tmp_path / "out", "--workers", "2", "--no-progress", gate=gate)
    process = run.start()
    run.until(16, process)
    kill_a_worker(process)
    gate.touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "120 of 120 items done, 0 failed" in out
    assert [o.index for o in read(tmp_path / "out")] == list(range(120))
