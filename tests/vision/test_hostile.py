"""Five hundred hostile pictures through every task: no crash, no hang, bounded memory, a result or known failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_pictures import COUNT, OK, make

from shared.batch.reader import read
from shared.tasks import task_names
from shared.types import Failure

SECONDS = 400
ADDRESSES = 12 * 2**30
"""Bytes of address space: runtimes reserve far more than they use."""
RESIDENT = 2 * 2**30
QUICK = "vision.detection"
"""The task that every run of the tests goes through; the others wait for the slow ones."""
TASKS = [
    pytest.param(name, marks=() if name == QUICK else pytest.mark.slow)
    for name in task_names()
    if name.startswith("vision.")
]

COMMAND = (sys.executable, "-c", "from shared.cli.main import main; main()")
LOADER = """
import json, sys
from shared.errors import InputError
from vision.images import View, load, load_view, size_of
def kind(step, path):
    try:
        step(path)
    except InputError as error:
        return error.kind
    return "ok"
half = lambda height, width: View((0, 0, width, height), (64, 64))
paths = json.load(open(sys.argv[1]))
for step in (load, lambda path: load_view(path, half)):
    print(json.dumps([kind(step, path) for path in paths]))
for path in paths:
    kind(size_of, path)
"""
PREDICTOR = """
import json, resource, sys
from shared.tasks import find_task
from shared.types import Failure
paths = json.load(open(sys.argv[1]))
predictor = find_task(sys.argv[2]).open(None)
kinds = lambda results: [r.kind if isinstance(r, Failure) else "ok" for r in results]
print(json.dumps(kinds(predictor.predict(paths, on_error="keep"))))
print(json.dumps(kinds(predictor.stream(iter(paths)))))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, frozenset[str]]]:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, make(folder)


def run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own with bounds on time and memory; its peak of resident memory is checked."""
    limited = f"""
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_AS, ({ADDRESSES}, {ADDRESSES}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
done = subprocess.run(sys.argv[1:], timeout={SECONDS})
print("PEAK", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=SECONDS + 30,
        cwd=cwd,
        env=environment,
        check=False,
    )
    peak = int(done.stdout.rpartition("PEAK ")[2])
    assert peak < RESIDENT, f"{peak / 2**20:.0f} MiB resident"
    return done


def listed(paths: Any, folder: Path) -> Path:
    file = folder.parent / "paths.json"
    file.write_text(json.dumps(list(paths)))
    return file


def check(kinds: list[str], wanted: dict[str, frozenset[str]]) -> None:
    assert len(kinds) == len(wanted) == COUNT
    wrong = {Path(path).name: kind for kind, (path, allowed) in zip(kinds, wanted.items()) if kind not in allowed}
    assert not wrong


def test_every_picture_is_read_or_refused(hostile: tuple[Path, dict[str, frozenset[str]]], tmp_path: Path) -> None:
    folder, wanted = hostile
    done = run([sys.executable, "-W", "error", "-c", LOADER, str(listed(wanted, folder))], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines()[:2]:
        check(json.loads(line), wanted)


@pytest.mark.weights
@pytest.mark.parametrize("task", TASKS)
def test_every_task_answers_or_refuses_each(
    task: str, hostile: tuple[Path, dict[str, frozenset[str]]], tmp_path: Path
) -> None:
    folder, wanted = hostile
    done = run([sys.executable, "-c", PREDICTOR, str(listed(wanted, folder)), task], tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    predicted, streamed, *_ = map(json.loads, done.stdout.splitlines()[:2])
    check(predicted, wanted)
    assert predicted == streamed


@pytest.mark.weights
def test_the_command_says_each(hostile: tuple[Path, dict[str, frozenset[str]]], tmp_path: Path) -> None:
    folder, _ = hostile
    done = run([*COMMAND, "predict", "vision.classification", str(folder)], tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 1, done.stderr[-2000:]
    failed = sum(not row["ok"] for row in rows)
    assert f"{failed} of {len(rows)} inputs failed" in done.stderr
    assert len(rows) > COUNT - 40


@pytest.mark.weights
def test_a_batch_job_goes_through(hostile: tuple[Path, dict[str, frozenset[str]]], tmp_path: Path) -> None:
    folder, wanted = hostile
    out = tmp_path / "job"
    command = [*COMMAND, "batch", "vision.classification", str(folder), str(out)]
    done = run([*command, "--shard-size", "100"], tmp_path)
    assert done.returncode == 1, done.stderr[-2000:]
    seen = 0
    for outcome in read(out):
        seen += 1
        kind = outcome.result.kind if isinstance(outcome.result, Failure) else OK
        path = os.path.join(folder, os.path.basename(outcome.input))
        if path in wanted:
            assert kind in wanted[path], (outcome.input, kind)
    assert seen > COUNT - 40
