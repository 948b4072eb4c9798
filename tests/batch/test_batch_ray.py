"""Actors of a Ray cluster: the same bytes as local processes, whatever dies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from batch_toy import SHOUTS, Shout
from ray_cluster import TwoNodes, two_nodes

from shared.batch import merge, read, run, status
from shared.batch.failures import FailureLog
from shared.batch.ray_engine import _threads
from shared.errors import BackendError, MissingDependencyError, UnknownNameError, UsageError
from shared.types import Failure

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install 'triptych[cluster]', or make test-cluster"
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    yield from two_nodes(tmp_path_factory.mktemp("cluster") / "count")


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


LINES = ["poison" if i == 37 else "bad" if i % 50 == 3 else f"t{i}" for i in range(240)]


@needs_ray
def test_a_job_begun_here_ends_on_a_cluster_with_the_same_bytes(
    nodes: TwoNodes, job: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [f"hold {line}" if i >= 120 and line[0] == "t" else line for i, line in enumerate(LINES)]
    source = write(tmp_path / "t.txt", held)
    whole = run(SHOUTS, source, tmp_path / "local", progress=False, workers=2)
    assert (whole.failed, whole.complete) == (6, True)

    gate = tmp_path / "gate"
    monkeypatch.setenv("TOY_GATE", str(gate))
    both = job("test.shouts", source, tmp_path / "both", "--workers", "2", "--no-progress")
    process = both.start()
    both.until(40, process)
    process.send_signal(signal.SIGTERM)
    gate.touch()
    process.communicate(timeout=180)
    begun = status(tmp_path / "both").shards_done
    assert 0 < begun < whole.shards
    ended = job("test.shouts", source, tmp_path / "both", "--engine", "ray", "--ray-address", nodes.address).to_end()
    assert ended.returncode == 1, ended.stderr
    assert "240 of 240 items done, 6 failed" in ended.stdout

    for name in ("local", "both"):
        merge(tmp_path / name, tmp_path / f"{name}.parquet")
    assert (tmp_path / "both.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()
    for shard in (tmp_path / "local").glob("*.parquet"):
        assert (tmp_path / "both" / shard.name).read_bytes() == shard.read_bytes()


@needs_ray
def test_an_item_that_kills_its_actor_becomes_a_failure_row(nodes: TwoNodes, job: type, tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", LINES)
    out = tmp_path / "out"
    options = ("--engine", "ray", "--ray-address", nodes.address, "--workers", "2", "--no-progress")
    ended = job("test.shouts", source, out, *options).to_end()
    assert ended.returncode == 1, ended.stderr
    outcomes = list(read(out))
    why = "an item must leave its worker alive. 3 workers died over this one"
    assert outcomes[37].result == Failure(37, "worker-died", why)
    assert [o.result for o in outcomes if o.ok] == [Shout(f"{t.upper()}!") for t in LINES if t[0] == "t"]
    told = {row["index"]: row["traceback"] for row in FailureLog(out / "_job" / "failures.jsonl").lines()}
    assert sorted(told) == [i for i, line in enumerate(LINES) if line[0] != "t"]
    assert "Worker exit type: SYSTEM_ERROR" in told[37]
    assert "in _shout\n" in told[3]


@needs_ray
def test_a_machine_that_goes_away_costs_nothing_but_its_work(nodes: TwoNodes, job: type, tmp_path: Path) -> None:
    """The last test on the cluster: one of its nodes is gone afterwards."""
    source = write(tmp_path / "t.txt", [f"sleep {i}" for i in range(400)])
    out, before = tmp_path / "out", nodes.count.stat().st_size
    options = ("--engine", "ray", "--ray-address", nodes.address, "--no-progress")
    running = job("test.shouts", source, out, *options)
    process = running.start()
    running.until(60, process)
    nodes.kill(1)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [o.result for o in read(out)] == [Shout(f"SLEEP {i}!") for i in range(400)]
    assert 400 <= nodes.count.stat().st_size - before <= 440


@needs_ray
def test_a_cluster_of_its_own_ends_with_the_job(job: type, tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", [f"sleep {i}" for i in range(4000)])
    running = job("test.shouts", source, tmp_path / "out", "--engine", "ray", "--workers", "2", "--no-progress")
    process = running.start()
    running.until(20, process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("raylet" in child.name() for child in family)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "once more stops at once" in err
    stood = status(tmp_path / "out")
    assert (stood.done, stood.state) == (running.predicted(), "stopped")
    assert out.startswith("test.shouts  shouts  ")
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engine": "rey"}, UnknownNameError, "no engine is called 'rey'. Nearest: ray"),
        ({"ray_address": "here:1"}, UsageError, "ray_address must be left out unless the engine is ray"),
        pytest.param(
            {"engine": "ray", "ray_address": "ray://head:10001"},
            UsageError,
            "must be host:port or auto, on a machine of the cluster. Got ray://head:10001",
            marks=needs_ray,
        ),
        pytest.param(
            {"engine": "ray", "ray_address": "127.0.0.1:1"},
            BackendError,
            "a Ray cluster must listen at 127.0.0.1:1.*refused",
            marks=needs_ray,
        ),
    ],
)
def test_wrong_addresses(tmp_path: Path, options: dict, error: type, message: str) -> None:
    source = write(tmp_path / "t.txt", ["a"])
    with pytest.raises(error, match=message):
        run(SHOUTS, source, tmp_path / "out", progress=False, **options)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[cluster\]'"):
        run(SHOUTS, write(tmp_path / "t.txt", ["a"]), tmp_path / "out", progress=False, engine="ray")


@pytest.mark.parametrize(
    ("machines", "workers", "threads", "expected"),
    [
        ([2.0], 2, None, 1),
        ([4.0, 4.0], 2, None, 4),
        ([4.0, 4.0, 4.0], 2, None, 4),  # 6 processors to a worker, of which no machine has more than 4
        ([4.0, 4.0], 16, None, 1),
        ([8.0], 2, 4, 2),
        ([], 1, None, 1),
    ],
)
def test_processors_of_an_actor(machines: list[float], workers: int, threads: int | None, expected: int) -> None:
    assert _threads(machines, workers, threads) == expected
