"""What becomes of a job: its standing, its continuation, its failures, its merging into one file."""

from __future__ import annotations

import csv
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from batch_toy import COLOURS, SHOUTS, Shout
from click.testing import CliRunner

from shared.batch import Status, merge, read, resume, run, status
from shared.batch.engine import Gathering, Portion, Work, answers
from shared.batch.failures import FailureLog
from shared.batch.folder import JobFolder, Layout
from shared.batch.inputs import Row
from shared.batch.pieces import Piece, Suspects, takes
from shared.batch.plan import Shard
from shared.batch.sinks import Record
from shared.cli.batch import command
from shared.errors import BackendError, DataError, PlanMismatchError, UsageError
from shared.types import Failure


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("key,text\n" + "".join(f"k{i},{'bad' if i % 10 == 3 else f't{i}'}\n" for i in range(50)))
    return path


def begun(source: Path, out: Path, **options: Any) -> None:
    """A job of which the first shards alone are done."""
    run(SHOUTS, source, out, progress=False, id_column="key", **options)
    for marker in sorted((out / "_job" / "shards").iterdir())[3:]:
        marker.unlink()
    (out / "_job" / "done.json").unlink()


def go(*arguments: object) -> Any:
    found = command.get_command(click.Context(command), str(arguments[0]))
    result = CliRunner().invoke(found, [str(a) for a in arguments[1:]], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


# Status


def test_status_tells_how_a_job_stands(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun(texts, out, tone="?")
    stopped = Status(
        str(out), "stopped", "test.shouts", "shouts", str(texts), "local", 50, 24, 3, 7, 3, 50, rate=0.0, left=None
    )
    assert status(out) == stopped
    assert stopped.to_text().splitlines()[2] == "  24 of 50 items done (48.0 %), 3 failed"
    assert stopped.to_text().endswith(f"  triptych batch resume {out} continues it")
    with JobFolder(out):
        assert status(out).state == "running"
    assert resume(out, task=SHOUTS, progress=False).complete
    assert status(out).state == "finished"
    assert f"triptych batch merge {out} FILE" in status(out).to_text()
    assert json.loads(go("status", out, "--json").stdout)["state"] == "finished"
    with pytest.raises(DataError, match="must be the folder of a batch job. It holds none"):
        status(tmp_path)


def test_the_rate_is_that_of_the_last_minutes(texts: Path, tmp_path: Path) -> None:
    import os

    out = tmp_path / "out"
    begun(texts, out)
    for number, at in enumerate((1000.0, 3000.0, 3004.0)):
        os.utime(out / "_job" / "shards" / f"0000{number}.json", (at, at))
    with JobFolder(out):
        found = status(out)
    assert (found.rate, found.left) == (2.0, 13.0)  # 8 rows in 4 seconds; 26 rows are left
    assert "2.0 items/s, 0:00:13 left" in found.to_text()


# Resume


def test_resume_needs_the_folder_alone(texts: Path, tmp_path: Path) -> None:
    begun(texts, tmp_path / "out", tone="?", sink="jsonl", shard_size=8, workers=2)
    report = resume(tmp_path / "out", task=SHOUTS, progress=False, workers=1)
    assert (report.resumed, report.predicted, report.complete) == (24, 26, True)
    outcomes = list(read(tmp_path / "out"))
    assert [(o.index, o.id) for o in outcomes] == [(i, f"k{i}") for i in range(50)]
    assert outcomes[49].result == Shout("T49?")


@pytest.mark.parametrize("change", ["more rows", "gone"])
def test_resume_refuses_another_input(texts: Path, tmp_path: Path, change: str) -> None:
    begun(texts, tmp_path / "out")
    if change == "gone":
        texts.unlink()
        with pytest.raises(UsageError, match="the input must be an existing file, folder or glob. Nothing stands"):
            resume(tmp_path / "out", task=SHOUTS, progress=False)
    else:
        texts.write_text(texts.read_text() + "k50,t50\n")
        with pytest.raises(PlanMismatchError, match=r"inputs: rows \(was 50, now 51\); inputs: content"):
            resume(tmp_path / "out", task=SHOUTS, progress=False)


def test_resume_of_folders_that_tell_too_little(texts: Path, tmp_path: Path) -> None:
    begun(texts, tmp_path / "out")
    plan_file = tmp_path / "out" / "_job" / "job.json"
    plan = json.loads(plan_file.read_text())
    plan_file.write_text(json.dumps({name: value for name, value in plan.items() if name != "call"}))
    with pytest.raises(DataError, match="must say how the job was begun. It does not: run the first command again"):
        resume(tmp_path / "out", task=SHOUTS)
    with pytest.raises(DataError, match="must be the folder of a batch job"):
        resume(tmp_path, task=SHOUTS)
    assert run(SHOUTS, texts, tmp_path / "out", id_column="key", progress=False).complete


def test_a_relative_input_is_looked_for_where_the_job_was_begun(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begun(Path(texts.name), Path("out"))
    begun(texts, Path("out2"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"reads texts.csv, relative to .*\. Go there to continue it"):
        resume("../out", task=SHOUTS)
    assert resume("../out2", task=SHOUTS, progress=False, engine="local").complete


@pytest.mark.weights
def test_the_command_resumes_from_any_folder(
    make_images: Callable[..., int], job: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "in", 20, 2)
    monkeypatch.chdir(tmp_path)
    run("vision.classification", "in", "out", progress=False, model="mobilenetv2-224", top_k=2)
    for name in ("00001", "00002"):
        (tmp_path / "out" / "_job" / "shards" / f"{name}.json").unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.parquet")}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = go("resume", "../out", "--threads", "1", "--no-progress")
    assert result.return_value == 1
    assert "20 of 20 items done, 2 failed, 3 shards. 12 predicted now" in result.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.parquet")} == before


# Merge


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_the_merged_bytes_depend_on_the_rows_alone(texts: Path, tmp_path: Path, suffix: str) -> None:
    found = []
    for number, options in enumerate(({}, {"shard_size": 3, "workers": 2}, {"sink": "jsonl", "shard_size": 50})):
        out, file = tmp_path / f"out{number}", tmp_path / f"{number}{suffix}"
        run(SHOUTS, texts, out, progress=False, id_column="key", **options)
        assert merge(out, file) == 50
        found.append(file.read_bytes())
    assert found[0] == found[1] == found[2]
    assert not list(tmp_path.glob(".*"))


def test_what_a_merged_file_holds(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SHOUTS, texts, tmp_path / "out", progress=False, id_column="key")
    monkeypatch.setattr("shared.batch.merging._GROUP_ROWS", 20)
    for name in ("a.parquet", "a.jsonl", "a.csv"):
        merge(tmp_path / "out", tmp_path / name)
    whole = pq.ParquetFile(tmp_path / "a.parquet")
    assert whole.num_row_groups == 3
    assert whole.read().equals(pq.read_table(tmp_path / "out").combine_chunks().sort_by("index"))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[4] == {"index": 4, "input": "t4", "id": "k4", "ok": True, "result": {"type": "Shout", "text": "T4!"}}
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["index"] for row in rows] == [str(i) for i in range(50)]
    assert rows[3] == {
        "index": "3",
        "input": "bad",
        "id": "k3",
        "ok": "false",
        "result": "",
        "error_kind": "empty",
        "error_message": "a text must not be bad",
    }


def test_long_results_end_a_group_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batch.merging._GROUP_CHARACTERS", 1000)
    source = tmp_path / "t.txt"
    source.write_text("".join("x" * 600 + "\n" for _ in range(10)))
    run(SHOUTS, source, tmp_path / "out", progress=False)
    merge(tmp_path / "out", tmp_path / "a.parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 10


def test_merge_of_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\n")
    run(SHOUTS, tmp_path / "t.csv", tmp_path / "out", progress=False)
    assert [merge(tmp_path / "out", tmp_path / name) for name in ("a.parquet", "a.jsonl", "a.csv")] == [0, 0, 0]
    assert pq.read_table(tmp_path / "a.parquet").column_names[:3] == ["index", "input", "id"]
    assert (tmp_path / "a.csv").read_text() == "index,input,id,ok,result,error_kind,error_message\n"


def test_an_unfinished_job_is_merged_only_when_asked(texts: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "a.jsonl"
    begun(texts, out)
    with pytest.raises(
        DataError, match="must be finished to be read. 3 of its 7 shards are done .* 'triptych batch res"
    ):
        merge(out, file)
    assert not file.exists()
    assert go("merge", out, file, "--partial").stdout == f"{file}: 24 rows\n"
    assert len(file.read_text().splitlines()) == 24


def test_a_damaged_shard_leaves_the_old_file(texts: Path, tmp_path: Path) -> None:
    run(SHOUTS, texts, tmp_path / "out", progress=False, sink="jsonl")
    shard = tmp_path / "out" / "part-00001.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b"T9", b"T8"))
    file = tmp_path / "a.jsonl"
    file.write_text("as it was")
    with pytest.raises(DataError, match="part-00001.jsonl must hold the bytes that its marker names"):
        merge(tmp_path / "out", file)
    assert file.read_text() == "as it was"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("a.txt", UsageError, "must end in one of .parquet, .jsonl, .csv. Got a.txt instead"),
        ("out/a.parquet", UsageError, "must lie outside of the job's folder"),
        ("nowhere/a.csv", DataError, "could not be written: No such file or directory"),
    ],
)
def test_files_that_cannot_be_merged_into(texts: Path, tmp_path: Path, file: str, error: type, message: str) -> None:
    run(SHOUTS, texts, tmp_path / "out", progress=False)
    with pytest.raises(error, match=message):
        merge(tmp_path / "out", tmp_path / file)


# Failures and their tracebacks


def test_tracebacks_stand_beside_the_shards(make_images: Callable[..., int], tmp_path: Path) -> None:
    make_images(tmp_path / "in", 30, 6)
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        run(COLOURS, tmp_path / "in", out, progress=False, workers=workers)
        told = sorted(FailureLog(out / "_job" / "failures.jsonl").lines(), key=lambda row: row["index"])
        failed = [o for o in read(out) if not o.ok]
        assert [row["index"] for row in told] == [o.index for o in failed]
        assert all("in _mean_colour\n" in row["traceback"] for row in told)
        assert [(row["kind"], row["message"]) for row in told] == [
            (o.result.kind, o.result.message) for o in failed if isinstance(o.result, Failure)
        ]


def test_a_fatal_error_leaves_its_dump(tmp_path: Path) -> None:
    source = tmp_path / "t.txt"
    source.write_text("".join(f"t{i}\n" for i in range(20)) + "fault\n")
    run(SHOUTS, source, tmp_path / "out", progress=False, workers=2)
    (told,) = FailureLog(tmp_path / "out" / "_job" / "failures.jsonl").lines()
    assert (told["index"], told["kind"]) == (20, "worker-died")
    first, second = told["traceback"].splitlines()[:2]
    assert (first, second) == ("signal SIGSEGV", "Fatal Python error: Segmentation fault")
    assert "batch_toy.py" in told["traceback"]


def test_tracebacks_of_shards_that_are_done_again_stand_once(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun(texts, out)
    log = FailureLog(out / "_job" / "failures.jsonl")
    with open(log.path, "a") as file:
        file.write('{"shard": 4, "in')  # what a kill in the midst of a line leaves
    assert resume(out, task=SHOUTS, progress=False).complete
    assert [(row["shard"], row["index"]) for row in log.lines()] == [(i // 8, i) for i in (3, 13, 23, 33, 43)]


def test_the_file_of_tracebacks_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batch.failures.MOST_BYTES", 1000)
    log = FailureLog(tmp_path / "failures.jsonl")
    log.add(0, [Record(i, "x", None, None, "k", "m") for i in range(9)], dict.fromkeys(range(9), "t" * 200))
    assert [row["index"] for row in log.lines()] == [0, 1, 2]
    assert log.path.stat().st_size <= 1000


def test_a_failure_shows_no_traceback_to_json_and_equality() -> None:
    bare, told = Failure(1, "corrupt", "no"), Failure(1, "corrupt", "no", "Traceback ...")
    assert bare == told
    assert told.to_json() == {"type": "Failure", "index": 1, "kind": "corrupt", "message": "no"}
    assert Failure.from_json(told.to_json()).traceback == ""


# Signals


def stop_after(rows: int, out: Path) -> threading.Event:
    """An event that is set once a job has predicted so many rows."""
    stop, end = threading.Event(), time.monotonic() + 120

    def look() -> None:
        while Layout(out).read_predicted() < rows and time.monotonic() < end:
            time.sleep(0.005)
        stop.set()

    threading.Thread(target=look, daemon=True).start()
    return stop


def test_stopping_finishes_what_is_under_way_and_begins_nothing(tmp_path: Path) -> None:
    source, stop = tmp_path / "t.txt", stop_after(8, tmp_path / "out")
    source.write_text("".join(f"sleep {i}\n" for i in range(400)))
    report = run(SHOUTS, source, tmp_path / "out", progress=False, stop=stop)
    assert 0 < report.done < 100
    assert report.predicted == report.done


def test_what_takes_longer_than_the_grace_is_abandoned(tmp_path: Path) -> None:
    source, stop = tmp_path / "t.txt", stop_after(8, tmp_path / "out")
    source.write_text("".join(f"sleep {i}\n" for i in range(400)))
    report = run(SHOUTS, source, tmp_path / "out", progress=False, shard_size=400, stop=stop, grace=0.2)
    assert (report.done, report.complete) == (0, False)
    assert 0 < report.predicted < 100


# The parts that engines share


def piece(rows: int, start: int = 0, deaths: int = 0) -> Piece:
    return Piece(Shard(0, 0, 100), [Row(start + i, "x", "x") for i in range(rows)], deaths)


@pytest.mark.parametrize(
    ("hand", "new", "expected"),
    [
        ([], piece(500), True),
        ([piece(500)], piece(500), True),
        ([piece(500), piece(500)], piece(1), False),
        ([piece(20), piece(20), piece(20)], piece(20), True),
        ([piece(32), piece(32)], piece(1), False),
        ([], piece(8, deaths=1), True),
        ([piece(8)], piece(8, deaths=1), False),
        ([piece(8, deaths=1)], piece(8), False),
    ],
)
def test_what_a_worker_takes(hand: list[Piece], new: Piece, expected: bool) -> None:
    assert takes(hand, new) is expected


def test_a_poison_item_is_found_by_halving() -> None:
    suspects, tries, found = Suspects(), 0, []
    list(suspects.buried([piece(64)], "signal SIGKILL"))
    while suspects:
        held = suspects.next()
        tries += 1
        if any(row.index == 37 for row in held.rows):
            found += suspects.buried([held], "signal SIGKILL\ndump")
    assert [portion.records[0].index for portion in found] == [37]
    assert found[0].tracebacks == {37: "signal SIGKILL\ndump"}
    assert tries == 14, "the whole, two halves six times, and the row once more"


def test_rows_that_were_answered_are_not_tried_again() -> None:
    held, suspects = piece(10), Suspects()
    records = [Record(i, "x", None, "1") for i in range(4)]
    assert not held.answered(Portion(held.shard, records, {}))
    list(suspects.buried([held], "exit code 1"))
    assert [row.index for row in suspects.next().rows] == [4, 5, 6, 7, 8, 9]


def test_deaths_in_a_row_end_the_job_and_answers_forgive_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.batch.pieces.DEATHS_IN_A_ROW", 2)
    suspects = Suspects()
    for _ in range(3):
        suspects.died("exit code 1")
        suspects.died("exit code 1")
        suspects.answered()
    suspects.died("exit code 1")
    suspects.died("exit code 1")
    with pytest.raises(
        BackendError, match="3 died one after the other without an answer, the last with signal SIGSEGV"
    ):
        suspects.died("signal SIGSEGV\nmore")


def test_portions_become_a_shard_in_order() -> None:
    gathering, shard, other = Gathering(), Shard(0, 0, 4), Shard(1, 4, 5)

    def portion(place: Shard, *indices: int) -> Portion:
        return Portion(place, [Record(i, "x", None, "1") for i in indices], {i: "t" for i in indices if i == 3})

    assert list(gathering.add(portion(shard, 2, 3))) == []
    (whole,) = gathering.add(portion(other, 4))
    assert (whole.shard, len(whole.records)) == (other, 1)
    (whole,) = gathering.add(portion(shard, 0, 1))
    assert ([record.index for record in whole.records], whole.tracebacks) == ([0, 1, 2, 3], {3: "t"})


def test_answers_come_in_portions_when_they_are_due() -> None:
    predictor = SHOUTS.open(None, device="cpu", threads=1)
    rows = [Row(i, f"t{i}", f"t{i}") for i in range(6)]
    works = [Work(Shard(0, 0, 4), rows[:4]), Work(Shard(1, 4, 6), rows[4:])]

    def sizes(every: float) -> list[tuple[int, int]]:
        found = answers(
            predictor, works, batch_size=4, tick=lambda rows, failed: None, stop=threading.Event(), every=every
        )
        return [(portion.shard.number, len(portion.records)) for portion in found]

    assert sizes(every=1e9) == [(0, 4), (1, 2)]
    assert sizes(every=0.0) == [(0, 1)] * 4 + [(1, 1)] * 2


def test_help_lists_the_commands_beside_the_tasks() -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    text = text[text.index("Commands:") :]
    assert text.index("status") < text.index("resume") < text.index("merge") < text.index("vision.detection")
    assert "--ray-address" in CliRunner().invoke(command, ["vision.detection", "--help"]).stdout


def test_a_script_may_print_while_the_job_runs(texts: Path, tmp_path: Path) -> None:
    """Standard output is the report's alone: what libraries print meanwhile goes to standard error."""
    import sys

    code = (
        "import sys; sys.path.append(sys.argv.pop(1)); import batch_toy, click\n"
        "from shared.cli.batch import parameters, run; import dataclasses\n"
        "def loud(model, **options): print('noise'); return batch_toy.open_shouts(model, **options)\n"
        "task = dataclasses.replace(batch_toy.SHOUTS, open=loud)\n"
        "click.Command('b', params=parameters(task), callback=lambda **v: run(task, **v)).main(standalone_mode=False)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(texts), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("test.shouts")
    assert "noise" in done.stderr
