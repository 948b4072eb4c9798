"""A job as a whole: what it writes, how it goes on, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_toy import COLOURS, NAMES, QUITS, SHOUTS, Shout

from shared.batch import Report, read, run
from shared.batch.folder import JobFolder
from shared.batch.plan import Plan, default_shard_size
from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError
from shared.tasks import Task
from shared.types import Failure


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("key,text\n" + "".join(f"k{i},{'bad' if i % 10 == 3 else f't{i}'}\n" for i in range(50)))
    return path


def go(source: Path, out: Path, task: Task = SHOUTS, **options: object) -> Report:
    return run(task, source, out, progress=False, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("sink", ["parquet", "jsonl"])
def test_every_row_in_order_and_failures_are_rows(texts: Path, tmp_path: Path, sink: str) -> None:
    report = go(texts, tmp_path / "out", sink=sink, id_column="key", tone="?")
    assert (report.rows, report.done, report.failed, report.shards) == (50, 50, 5, 7)
    assert (report.predicted, report.predicted_in_all, report.resumed, report.complete) == (50, 50, 0, True)
    outcomes = list(read(tmp_path / "out"))
    assert [(o.index, o.id) for o in outcomes] == [(i, f"k{i}") for i in range(50)]
    assert outcomes[4].result == Shout("T4?")
    assert outcomes[13].result == Failure(13, "empty", "a text must not be bad")
    assert json.loads((tmp_path / "out" / "_job" / "done.json").read_text())["failed"] == 5


def test_a_finished_job_does_nothing(texts: Path, tmp_path: Path) -> None:
    go(texts, tmp_path / "out")
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("out/*.parquet")}
    done = (tmp_path / "out" / "_job" / "done.json").read_text()
    again = go(texts, tmp_path / "out", workers=4)
    assert (again.predicted, again.resumed, again.failed) == (0, 50, 5)
    assert "The job was finished before: nothing was left to do" in again.to_text()
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("out/*.parquet")} == written
    assert (tmp_path / "out" / "_job" / "done.json").read_text() == done


def test_a_stopped_job_goes_on(texts: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    first = go(texts, tmp_path / "out", stop=stop)
    assert not first.complete
    assert not (tmp_path / "out" / "_job" / "done.json").exists()
    assert go(texts, tmp_path / "out").complete
    assert [o.index for o in read(tmp_path / "out")] == list(range(50))


@pytest.mark.parametrize("damage", ["no marker", "half a marker", "no file", "short file"])
def test_a_shard_that_is_not_whole_is_done_again(texts: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    go(texts, out)
    marker, file = out / "_job" / "shards" / "00002.json", out / "part-00002.parquet"
    whole = file.read_bytes()
    {
        "no marker": marker.unlink,
        "half a marker": lambda: marker.write_text(marker.read_text()[:40]),
        "no file": file.unlink,
        "short file": lambda: file.write_bytes(whole[:-10]),
    }[damage]()
    with pytest.raises(DataError, match="must be finished to be read. 6 of its 7 shards are done"):
        read(out)
    assert [o.index for o in read(out, partial=True)] == [i for i in range(50) if i // 8 != 2]
    again = go(texts, out)
    assert (again.predicted, again.resumed, again.predicted_in_all) == (8, 42, 58)
    assert [o.index for o in read(out)] == list(range(50))


def test_a_shard_that_was_changed_is_seen_by_the_reader(texts: Path, tmp_path: Path) -> None:
    go(texts, tmp_path / "out", sink="jsonl")
    file = tmp_path / "out" / "part-00001.jsonl"
    file.write_bytes(file.read_bytes().replace(b"T9", b"T8"))
    with pytest.raises(DataError, match="part-00001.jsonl must hold the bytes that its marker names"):
        list(read(tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": NAMES, "column": "text"}, "task .was 'test.shouts', now 'test.names'."),
        ({"model": "other", "workers": 2}, r"Different: model \(was 'shouts', now 'other'\)"),
        ({"model": "other"}, r"Different: model \(was 'shouts', now 'other'\)\. Continue it as it was begun"),
        ({"tone": "?"}, r"option tone \(was '!', now '\?'\)"),
        ({"sink": "jsonl"}, r"sink \(was 'parquet', now 'jsonl'\)"),
        ({"shard_size": 9}, r"shard_size \(was 8, now 9\)"),
        ({"id_column": "key"}, r"inputs: id_column \(was None, now 'key'\)"),
        ({"source": "more"}, r"inputs: rows \(was 50, now 51\); inputs: content"),
        ({"source": "elsewhere"}, "inputs: input"),
        ({"version": "0.0.1"}, r"version of triptych \(was '0.0.1'"),
        ({"fingerprint": "x"}, "the files or facts of 'shouts' are not what they were"),
    ],
)
def test_another_plan_is_refused(texts: Path, tmp_path: Path, change: dict, message: str) -> None:
    out, arguments = tmp_path / "out", {"source": texts, "task": SHOUTS} | change
    go(texts, out)
    (out / "part-00000.parquet").unlink()
    plan_file = out / "_job" / "job.json"
    for key in ("version", "fingerprint"):
        if key in arguments:
            plan = json.loads(plan_file.read_text())
            plan["plan"][key] = arguments.pop(key)
            plan_file.write_text(json.dumps(plan))
    if arguments["source"] == "more":
        texts.write_text(texts.read_text() + "k,t\n")
        arguments["source"] = texts
    elif arguments["source"] == "elsewhere":
        arguments["source"] = tmp_path / "copy.csv"
        arguments["source"].write_bytes(texts.read_bytes())
    before = sorted(out.rglob("*"))
    with pytest.raises(PlanMismatchError, match=message):
        go(out=out, **arguments)
    assert sorted(out.rglob("*")) == before


def test_how_fast_it_goes_is_no_part_of_the_plan(texts: Path, tmp_path: Path) -> None:
    go(texts, tmp_path / "out")
    (tmp_path / "out" / "part-00000.parquet").unlink()
    assert go(texts, tmp_path / "out", workers=2, threads=1, batch_size=3, device="cpu").complete


def test_a_folder_of_something_else_is_refused(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="new or empty folder, or one of a batch job. .*out holds other files"):
        go(texts, out)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["texts.csv", "texts.csv/out", "/proc/nothing/out"])
def test_an_out_that_cannot_be_made(texts: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="OUT must be a folder that can be written"):
        go(texts, tmp_path / name)


def test_an_out_inside_of_the_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OUT must lie outside of the input folder"):
        go(tmp_path, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


def test_two_processes_cannot_work_in_one_folder(texts: Path, tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out"), pytest.raises(UsageError, match="Another one is working in .*out: wait for it"):
        go(texts, tmp_path / "out")
    assert go(texts, tmp_path / "out").complete


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    """A limit on the size of files refuses the third shard, which is the long one, as a full disk does."""
    source, out = tmp_path / "t.txt", tmp_path / "out"
    source.write_text("".join("x" * (200_000 if i == 20 else 10) + "\n" for i in range(40)))
    code = (
        "import sys; from batch_toy import SHOUTS; from shared.batch import run\n"
        "run(SHOUTS, *sys.argv[1:], sink='jsonl')"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = subprocess.run(
        [sys.executable, "-c", code, source, out],
        cwd=Path(__file__).parent,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DataError: part-00002.jsonl could not be written in" in process.stderr
    assert "File too large. What was committed stays: mend this, then run the same command again" in process.stderr
    assert sorted(p.name for p in out.glob("part*")) == ["part-00000.jsonl", "part-00001.jsonl"]
    assert not list(out.rglob("*.tmp"))
    again = go(source, out, sink="jsonl")
    assert (again.resumed, again.complete) == (16, True)


@pytest.mark.parametrize(
    "text", ["", "{", '{"format": 1}', '{"format": 2}', '{"format": 1, "parts": [], "plan": {"x": 1}}']
)
def test_a_damaged_plan_is_refused(texts: Path, tmp_path: Path, text: str) -> None:
    go(texts, tmp_path / "out")
    (tmp_path / "out" / "_job" / "job.json").write_text(text)
    with pytest.raises(DataError, match=r"job.json must (be JSON|hold the plan of a batch job)"):
        go(texts, tmp_path / "out")
    with pytest.raises(DataError, match=r"job.json must (be JSON|hold the plan of a batch job)"):
        read(tmp_path / "out")


def test_reading_a_folder_without_a_job(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be the folder of a batch job. It holds none"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": 0}, UsageError, "workers must be at least 1. Got 0 instead"),
        ({"threads": -1}, UsageError, "threads must be at least 1. Got -1"),
        ({"batch_size": 0}, UsageError, "batch_size must be at least 1. Got 0"),
        ({"shard_size": 0}, UsageError, "shard_size must be at least 1. Got 0"),
        ({"sink": "xlsx"}, UnknownNameError, "no sink is called 'xlsx'. Known: csv, jsonl, parquet, sql"),
        ({"tome": 1}, UnknownNameError, "no option of test.shouts is called 'tome'. Nearest: tone"),
        ({"task": "vision.detect"}, UnknownNameError, "no task is called 'vision.detect'"),
    ],
)
def test_wrong_arguments(texts: Path, tmp_path: Path, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        go(texts, tmp_path / "out", **options)


def test_no_rows_make_an_empty_job(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\n")
    report = go(tmp_path / "t.csv", tmp_path / "out", workers=2)
    assert (report.rows, report.shards, report.complete) == (0, 0, True)
    assert list(read(tmp_path / "out")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_cannot_be_read_stay_in_place(tmp_path: Path, workers: int) -> None:
    lines = ['{"text": "a"}', "{"] * 3 + ["{"] * 6000 + ['{"text": "z"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    report = go(tmp_path / "t.jsonl", tmp_path / "out", workers=workers, shard_size=50)
    assert (report.rows, report.failed, report.predicted) == (6007, 6003, 6007)
    outcomes = list(read(tmp_path / "out"))
    assert [o.index for o in outcomes if o.ok] == [0, 2, 4, 6006]
    assert outcomes[1].input == "{"
    assert isinstance(outcomes[5999].result, Failure)
    assert outcomes[5999].result.kind == "corrupt"


def test_a_predictor_that_leaves_answers_out(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a predictor's stream must answer every item. It left out 1"):
        go(texts, tmp_path / "out", QUITS)


def test_images_through_a_folder(make_images: Callable[..., int], tmp_path: Path) -> None:
    make_images(tmp_path / "in", 30, 3)
    report = go(tmp_path / "in", tmp_path / "out", COLOURS)
    assert (report.rows, report.failed) == (30, 3)
    outcome = next(o for o in read(tmp_path / "out") if o.ok)
    assert outcome.result.to_json()["type"] == "Colour"


def test_the_log_says_rate_and_time_left(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.batch.progress.EVERY", 0.0)
    run(SHOUTS, texts, tmp_path / "out")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("50 of 50 (100.0 %), 5 failed, ")
    assert lines[20].startswith("21 of 50 (42.0 %), 2 failed, ")
    assert lines[20].endswith(" left")


def test_a_plan_comes_back_from_json(tmp_path: Path) -> None:
    plan = Plan("t", {"rows": 20}, {"labels": ["a", "b"]}, "parquet", 8, "1", "m", "f")
    assert Plan.from_json(json.loads(json.dumps(plan.to_json())), tmp_path) == plan
    assert [(s.start, s.stop) for s in plan.shards()] == [(0, 8), (8, 16), (16, 20)]
    assert plan.shard_count == 3
    with pytest.raises(DataError, match="sizes that cannot be"):
        Plan.from_json(dataclasses.asdict(plan) | {"shard_size": 0}, tmp_path)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 1599, 1600, 10**6, 10**9])
def test_shard_sizes_are_bounded(rows: int) -> None:
    assert 8 <= default_shard_size(rows) <= 5000


def test_a_lock_of_a_killed_process_is_harmless(texts: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from shared.batch.folder import JobFolder\n"
        "with JobFolder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    process = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "out" / "_job" / "lock").exists()
    assert go(texts, tmp_path / "out").complete


@pytest.mark.weights
def test_an_installed_task_is_found_by_name_and_its_results_come_back_anywhere(
    make_images: Callable[..., int], tmp_path: Path
) -> None:
    """The reader runs in a process that has imported no vision: the job's task brings its result types."""
    make_images(tmp_path / "in", 12, 3)
    report = run("vision.detection", tmp_path / "in", tmp_path / "out", progress=False, score_threshold=0.25)
    assert (report.rows, report.failed, report.model) == (12, 3, "efficientdet-lite0")
    code = (
        "import sys; from shared.batch import read\n"
        "for o in read(sys.argv[1]): print(o.index, o.ok, type(o.result).__name__, getattr(o.result, 'kind', ''))"
    )
    process = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True, check=True)
    lines = [line.split() for line in process.stdout.splitlines()]
    assert [line[:3] for line in lines if line[1] == "True"] == [
        [str(i), "True", "Detections"] for i in range(12) if lines[i][1] == "True"
    ]
    assert sorted(line[3] for line in lines if line[1] == "False") == ["corrupt", "empty", "unsupported"]
    with pytest.raises(PlanMismatchError, match=r"option score_threshold \(was 0.25, now 0.3\)"):
        run("vision.detection", tmp_path / "in", tmp_path / "out", progress=False)
