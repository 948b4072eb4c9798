"""The exposure log: every row once, whatever happens meanwhile, and a stated rule for duplicates."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared.errors import DataError, UsageError
from shared.experiments import exposure_log
from shared.experiments.assignment import Kept, assign
from shared.experiments.definition import Arm, Experiment
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import COLUMNS, Exposure, exposures, first_exposures, read_exposures

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def seen(unit: Any, arm: str = "new", minutes: float = 0, experiment: str = "page") -> Exposure:
    return Exposure(unit, experiment, arm, NOON + timedelta(minutes=minutes), 0.5)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("part-*"))


def test_rows_come_back_in_their_order_over_parts_and_openings(tmp_path: Path) -> None:
    rows = [seen(f"u{n}", minutes=n) for n in range(23)]
    for first, last in [(0, 4), (4, 5), (5, 18), (18, 23)]:
        with ExposureLog(tmp_path, rows_a_part=5) as log:
            assert log.append(rows[first:last]) == last - first
    assert list(read_exposures(tmp_path)) == rows
    assert [name for name in names(tmp_path) if name.endswith("parquet")] == [f"part-{n:05d}.parquet" for n in range(4)]
    assert tuple(pq.read_schema(tmp_path / "part-00000.parquet").names) == COLUMNS
    assert str(pq.read_schema(tmp_path / "part-00000.parquet").field("time").type) == "timestamp[us, tz=UTC]"


def test_a_sealed_log_is_a_folder_of_parquet(tmp_path: Path) -> None:
    with ExposureLog(tmp_path) as log:
        log.append([seen("ann"), seen("bob")])
        log.seal()
        log.seal()
        assert names(tmp_path) == ["part-00000.parquet", "part-00001.jsonl"]
        log.append([seen("eve")])
        log.seal()
    found = [unit for name in names(tmp_path)[:2] for unit in pq.read_table(tmp_path / name)["unit"].to_pylist()]
    assert found == ["ann", "bob", "eve"] == [row.unit for row in read_exposures(tmp_path)]


def test_an_append_that_has_returned_is_on_the_disk(tmp_path: Path) -> None:
    with ExposureLog(tmp_path) as log:
        log.append([seen("ann")])
        assert [row.unit for row in read_exposures(tmp_path)] == ["ann"]
        log.append([])
        log.append([seen("bob", experiment="shelf")])
        assert [row.unit for row in read_exposures(tmp_path, experiment="shelf")] == ["bob"]


def test_a_process_that_is_killed_loses_nothing_that_it_appended(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from datetime import datetime
from shared.experiments.exposure_log import ExposureLog
from shared.experiments.exposures import Exposure
log = ExposureLog(sys.argv[1], rows_a_part=10).__enter__()
for n in range(25):
    log.append([Exposure(n, "page", "new", datetime(2026, 3, 2), 0.5)])
os.write(log._file, b'{"unit": "half a ro')
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"PYTHONPATH": root}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert [row.unit for row in read_exposures(tmp_path)] == [str(n) for n in range(25)]
    with ExposureLog(tmp_path, rows_a_part=10) as log:
        log.append([seen("after")])
    assert [row.unit for row in read_exposures(tmp_path)] == [*(str(n) for n in range(25)), "after"]


@pytest.mark.parametrize("when", ["before the rename", "after the rename"])
def test_a_crash_while_a_part_is_sealed_leaves_each_row_once(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CrashError(Exception):
        """Stands for the end of the process."""

    def crash(*given: Any) -> None:
        raise CrashError

    with ExposureLog(tmp_path, rows_a_part=3) as log:
        log.append([seen("a"), seen("b")])
        place, name = (exposure_log.os, "replace") if when == "before the rename" else (exposure_log, "_sync_folder")
        with monkeypatch.context() as patch:
            patch.setattr(place, name, crash)
            with pytest.raises(CrashError):
                log.append([seen("c")])
    assert [row.unit for row in read_exposures(tmp_path)] == ["a", "b", "c"]
    assert len(names(tmp_path)) == 2  # the lines, and the Parquet file half or whole
    with ExposureLog(tmp_path, rows_a_part=3) as log:
        log.append([seen("d")])
    assert [row.unit for row in read_exposures(tmp_path)] == ["a", "b", "c", "d"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_disk_that_refuses_is_said_and_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with ExposureLog(tmp_path) as log:
        log.append([seen("a")])
        with monkeypatch.context() as patch:
            patch.setattr(exposure_log.os, "write", full)
            with pytest.raises(DataError, match="could not be written to .*: No space left on device"):
                log.append([seen("b")])
        log.append([seen("c")])
    assert [row.unit for row in read_exposures(tmp_path)] == ["a", "c"]


def test_one_process_writes_at_a_time_and_only_into_a_folder_of_its_own(tmp_path: Path) -> None:
    with ExposureLog(tmp_path / "log"), pytest.raises(UsageError, match="one process appends to a log at a time"):
        ExposureLog(tmp_path / "log").__enter__()
    with pytest.raises(UsageError, match="must be open to append"):
        ExposureLog(tmp_path / "log").append([])
    notes = tmp_path / "other" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(UsageError, match="must hold nothing else. .* holds notes.txt"), ExposureLog(notes.parent):
        pass
    with pytest.raises(UsageError, match="folder that can be written"), ExposureLog(notes):
        pass
    with pytest.raises(UsageError, match="rows_a_part must be at least 1"):
        ExposureLog(tmp_path, rows_a_part=0)


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no such folder"):
        list(read_exposures(tmp_path / "none"))
    with pytest.raises(DataError, match="It holds no part"):
        list(read_exposures(tmp_path))
    with ExposureLog(tmp_path, rows_a_part=2) as log:
        log.append([seen("a"), seen("b"), seen("c")])
    (tmp_path / "part-00001.jsonl").write_text('{"unit": "c"}\n')
    with pytest.raises(DataError, match="line 1 of .*part-00001.jsonl must be an exposure. 'time'"):
        list(read_exposures(tmp_path))
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="part-00000.parquet must be a whole part"):
        list(read_exposures(tmp_path))


def test_duplicates_are_counted_once_by_the_earliest_row() -> None:
    rows = [
        seen("ann", "new", 5),
        seen("bob", "old", 1),
        seen("ann", "new", 2),
        seen("bob", "new", 3),
        seen("bob", "old", 3),
        seen("eve", "old", 0),
        seen("eve", "old", 0),
        seen("ann", "old", 0, experiment="shelf"),
    ]
    found = first_exposures(rows, experiment="page")
    assert [(row.unit, row.arm, row.time.minute) for row in found.rows] == [
        ("eve", "old", 0),
        ("bob", "old", 1),
        ("ann", "new", 2),
    ]
    assert found.repeats == 3
    assert found.crossed == ("bob",)
    assert found.kept()["bob"] == Kept("old", 0.5)
    assert first_exposures([], experiment="page").rows == ()


def test_a_unit_that_crossed_is_found_whatever_the_order() -> None:
    rows = [seen("ann", "new", 2), seen("ann", "old", 1), seen("ann", "old", 3)]
    for order in (rows, rows[::-1]):
        found = first_exposures(order, experiment="page")
        assert (found.crossed, found.rows[0].arm, found.repeats) == (("ann",), "old", 1)


def test_from_assignment_to_log_and_back_to_sticky_arms(tmp_path: Path) -> None:
    page = Experiment("page", (Arm("old", 0.5), Arm("new", 0.5)), traffic=0.6, sticky=True)
    found = assign(page, range(50))
    with ExposureLog(tmp_path) as log:
        log.append(exposures(found, NOON))
    stored = first_exposures(read_exposures(tmp_path), experiment="page").kept()
    assert len(stored) == (found.codes >= 0).sum()
    changed = Experiment("page", (Arm("old", 0.1), Arm("new", 0.9)), sticky=True)
    again = assign(changed, range(50), stored=stored)
    was_in = found.codes >= 0
    assert (again.codes[was_in] == found.codes[was_in]).all()


def test_a_row_is_checked_at_birth() -> None:
    east = datetime(2026, 3, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    row = Exposure(7, "page", "new", east, 0.5)  # type: ignore[arg-type]
    assert (row.unit, row.time) == ("7", NOON)
    for change, message in [
        ({"propensity": 0.0}, "what cannot be shown cannot have been. Got 0.0"),
        ({"propensity": float("nan")}, "Got nan"),
        ({"propensity": 1.5}, "Got 1.5"),
        ({"arm": ""}, "the arm of an exposure must have a printable name"),
        ({"experiment": None}, "the experiment of an exposure must have a printable name"),
        ({"time": "noon"}, "must be a datetime. Got 'noon'"),
    ]:
        with pytest.raises(UsageError, match=message):
            Exposure(**{"unit": "ann", "experiment": "page", "arm": "new", "time": NOON, "propensity": 0.5} | change)
    with pytest.raises(DataError, match="an id must not be empty"):
        seen("")
    assert json.loads(exposure_log._line(seen("é\n"))) == {
        "unit": "é\n", "experiment": "page", "arm": "new", "time": "2026-03-02T12:00:00+00:00", "propensity": 0.5,
    }  # fmt: skip
