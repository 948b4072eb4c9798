"""Several worker processes: the same rows, and deaths that cost only the item that causes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from batch_toy import SHOUTS, Shout

from shared.batch import read, run
from shared.errors import BackendError, MissingDependencyError
from shared.types import Failure


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_two_workers_write_what_one_does(tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", [f"t{i}" for i in range(600)])
    one = run(SHOUTS, source, tmp_path / "one", progress=False)
    two = run(SHOUTS, source, tmp_path / "two", progress=False, workers=2)
    assert (two.done, two.predicted, two.predicted_in_all) == (one.done, 600, 600)
    assert list(read(tmp_path / "two")) == list(read(tmp_path / "one"))


def test_an_item_that_kills_its_worker_becomes_a_failure(tmp_path: Path) -> None:
    lines = [f"t{i}" for i in range(64)]
    lines[21] = "poison"
    source = write(tmp_path / "t.txt", lines)
    report = run(SHOUTS, source, tmp_path / "out", progress=False, workers=2, shard_size=16)
    assert (report.done, report.failed, report.complete) == (64, 1, True)
    outcomes = list(read(tmp_path / "out"))
    why = "an item must leave its worker alive. 3 workers died over this one"
    assert outcomes[21].result == Failure(21, "worker-died", why)
    assert [o.result for o in outcomes if o.ok] == [Shout(f"{t.upper()}!") for t in lines if t != "poison"]


def test_workers_that_always_die_end_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batch.pieces.DEATHS_IN_A_ROW", 3)
    source = write(tmp_path / "t.txt", ["poison"] * 40)
    with pytest.raises(BackendError, match="4 died one after the other without an answer, .* signal SIGKILL"):
        run(SHOUTS, source, tmp_path / "out", progress=False, workers=2)


def test_a_model_that_cannot_be_opened_keeps_its_error(tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", ["a"])
    with pytest.raises(MissingDependencyError, match="Run: pip install absent") as caught:
        run(SHOUTS, source, tmp_path / "out", progress=False, workers=2, model="absent")
    assert caught.value.exit_code == 3


def test_a_worker_that_dies_while_opening_is_said(tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", ["a"])
    with pytest.raises(BackendError, match="It ended before that with signal SIGKILL. A script that starts a job"):
        run(SHOUTS, source, tmp_path / "out", progress=False, workers=2, model="fatal")


def test_a_script_without_the_guard_is_told_of_it(tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", ["a"])
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "from batch_toy import SHOUTS; from shared.batch import run\n"
        f"run(SHOUTS, {str(source)!r}, {str(tmp_path / 'out')!r}, workers=2)\n"
    )
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert "must do so under: if __name__ == '__main__':" in process.stderr
