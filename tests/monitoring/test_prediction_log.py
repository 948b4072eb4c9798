"""The prediction log: what is in it, what is not, and what is left after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from shared.errors import DataError, UsageError
from shared.monitoring.log import PredictionLog, Retention, read_key
from shared.monitoring.log_reading import profile_log, read_log
from shared.monitoring.log_rows import Key, Logged
from shared.monitoring.signals import Observed


def row(n: int, *, version: str = "1", fault: str | None = None) -> Logged:
    seen = Observed({"x": float(n)}, {"k": "ab"[n % 2]}, np.float32([n, 1]), confidence=0.5, label="yes")
    return Logged(f"{n:016x}", 1000.0 + n, f"model {version}", version, None if fault else seen, fault)


def profiled(folder: Path, **options: object) -> tuple[int, int]:
    found = profile_log(folder, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]
    return found.n, found.failed


def test_what_was_appended_is_read_also_while_it_is_written(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, "a.task", rate=0.25, rows_a_part=10) as log:
        log.append([row(n) for n in range(25)])
        log.append([row(99, fault="corrupt")])
        assert len(list(tmp_path.glob("part-*.parquet"))) == 2
        assert profiled(tmp_path) == (25, 1)
    assert len(list(tmp_path.glob("part-*.parquet"))) == 3
    assert not list(tmp_path.glob("open-*")) + list(tmp_path.glob("*.lock"))
    found = profile_log(tmp_path, rng=np.random.default_rng(0))
    assert (found.task, found.model, found.rate) == ("a.task", "model 1", 0.25)
    assert (found.first, found.last) == (1000.0, 1099.0)
    assert found.numbers["x"].mean == 12.0
    assert found.columns.categories == {"k": {"a": 13, "b": 12}, "label": {"yes": 25}}
    assert found.columns.embeddings is not None
    assert sorted(found.columns.embeddings[:, 0]) == list(range(25))


def test_windows_and_versions_are_told_apart(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, "a.task") as log:
        log.append([row(n) for n in range(10)] + [row(n, version="2") for n in range(10, 14)])
    with pytest.raises(UsageError, match="rows of versions '1', '2': choose one"):
        profiled(tmp_path)
    assert profiled(tmp_path, version="2") == (4, 0)
    since, until = (datetime.fromtimestamp(1000 + n, UTC) for n in (3, 7))
    assert profiled(tmp_path, since=since, until=until.replace(tzinfo=None)) == (4, 0)
    with pytest.raises(DataError, match="must have predictions of version '3' in that time"):
        profiled(tmp_path, version="3")


def test_parts_end_by_time_and_the_oldest_go(tmp_path: Path) -> None:
    now = [1_000_000.0]
    options = {"seconds_a_part": 60.0, "clock": lambda: now[0], "retention": Retention(days=1)}
    with PredictionLog(tmp_path, "a.task", **options) as log:  # type: ignore[arg-type]
        log.append([row(0)])
        assert not list(tmp_path.glob("part-*"))
        now[0] += 61
        log.tick()
        assert len(list(tmp_path.glob("part-*"))) == 1
        now[0] += 2 * 86_400
        log.append([row(1)])
        log.seal()
        assert [path.name.split("-")[1] for path in tmp_path.glob("part-*")] == [f"{int(now[0] * 1000):013d}"]
    small = Retention(megabytes=1e-6)
    with PredictionLog(tmp_path, "a.task", retention=small, rows_a_part=1) as log:
        log.append([row(2), row(3)])
    assert len(list(tmp_path.glob("part-*"))) == 1


def test_a_log_tells_nothing_of_requests(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, "a.task") as log:
        key = log.key
        log.append([Logged(key.of("request of ada"), 1.0, "m", "1", Observed({"x": 1.0}))])
        assert oct((tmp_path / "log.toml").stat().st_mode & 0o777) == "0o600"
    for file in tmp_path.glob("part-*"):
        assert b"ada" not in file.read_bytes()
    assert read_key(tmp_path)[1].of("request of ada") == key.of("request of ada")
    assert Key(bytes(32)).of("request of ada") != key.of("request of ada")


def test_sampling_takes_its_share_and_nests() -> None:
    key, every = Key(b"x" * 16), [f"request {n}" for n in range(20_000)]
    tenth, half = ({one for one in every if key.takes(one, rate)} for rate in (0.1, 0.5))
    assert tenth < half
    assert abs(len(tenth) - 2000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    assert all(key.takes(one, 1.0) for one in every)


def test_a_log_of_another_task_and_bad_options_are_refused(tmp_path: Path) -> None:
    PredictionLog(tmp_path, "a.task")
    with pytest.raises(DataError, match="is the log of a.task, and not of b.task"):
        PredictionLog(tmp_path, "b.task")
    with pytest.raises(UsageError, match="a rate in"):
        PredictionLog(tmp_path, "a.task", rate=0)
    with pytest.raises(UsageError, match="days and megabytes must be above 0"):
        Retention(days=0)
    with pytest.raises(DataError, match="must be the folder of a prediction log"):
        next(read_log(tmp_path / "nowhere"))


WRITER = """
import sys
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_rows import Logged
from shared.monitoring.signals import Observed
with PredictionLog(sys.argv[1], "a.task", rows_a_part=40) as log:
    for n in range(100_000):
        log.append([Logged(f"{n:016x}", float(n), "m", "1", Observed({"x": float(n)}))])
        print(n, flush=True)
"""


def test_a_kill_loses_no_row_that_was_appended(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(130)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    whole = [int(line) for line in said if line.endswith("\n")]
    left = next(tmp_path.glob("open-*.jsonl"), tmp_path / "open-9999999999999-5f3c9a1e.jsonl")
    with left.open("ab") as file:  # there is none where the kill came between two parts
        file.write(b"" if file.tell() else b'{"rate": 1.0}\n')
        file.write(b'{"id": "half a row')  # what a kill in the midst of a write leaves
    alive = PredictionLog(tmp_path, "a.task")
    with alive:
        assert not list(tmp_path.glob("open-*"))
        found = sorted(int(n) for part in read_log(tmp_path) for n in part.batch.numbers["x"])
    assert found[: len(whole)] == whole
    assert len(found) <= len(whole) + 1
    assert found == list(range(len(found)))


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    with PredictionLog(tmp_path, "a.task") as first:
        first.append([row(0)])
        with PredictionLog(tmp_path, "a.task") as second:
            second.append([row(1)])
            assert len(list(tmp_path.glob("open-*.jsonl"))) == 2
        assert len(list(tmp_path.glob("open-*.jsonl"))) == 1
        first.append([row(2)])
    assert profiled(tmp_path) == (3, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="must be a folder that can be written"):
        PredictionLog(tmp_path / "log", "a.task")
