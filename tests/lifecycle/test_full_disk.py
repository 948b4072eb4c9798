"""A disk that is really full: a clear error, nothing lost and nothing half there, and the same call works afterwards.

Two kinds: a small file system of its own, filled to its last byte and to a few pages before (only where this user may
mount one), and a process that may write no file beyond a size, which every user can be.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lifecycle_toys import toy_model
from retrain_toys import messages, plan, train, words_alone

from shared.errors import TriptychError
from shared.lifecycle.history import read_runs
from shared.lifecycle.pipeline import Places, resume, run
from shared.lifecycle.records import Records
from shared.lifecycle.registry import registry
from shared.lifecycle.tracking import tracked, tracker
from shared.monitoring.log import PredictionLog
from shared.monitoring.log_reading import read_log
from shared.monitoring.log_rows import Logged
from shared.monitoring.signals import Observed

FULL = ("the disk is full", "No space left on device", "File too large", "disk I/O error")
HALF = (".tmp", ".new", "-journal")
MANY = {f"option{n}": "x" * 400 for n in range(100)}
PAGES = (0, 1, 2, 4, 8, 12, 16)
"""Pages of 4 KiB that are free: writers fail at one place or another."""


class Room:
    """A registry of two versions, a run, decisions and a log of predictions, below one folder."""

    def __init__(self, folder: Path, models: Path, empty_store: Path) -> None:
        self.folder, self.models = folder, models
        (folder / "store" / "runs").mkdir(parents=True)
        shutil.copy(empty_store, folder / "store" / "mlflow.db")
        self.registry = registry(folder / "store")
        self.records = Records(folder / "decisions", key=folder / "signing.key")
        self.records.add({"verdict": "first"}, key="first")
        for number in (1, 2, 3):
            model = toy_model(models / f"m{number}", b"%d" % number * 3000)
            if number < 3:
                self.registry.register(model, name="toy")
        self.registry.alias("toy", "champion", 1)
        self.run = tracker(folder / "store").run("train", "mine", params={}, tags={"task": "test.toy"})
        with PredictionLog(folder / "log", "test.toy") as log:
            log.append([row(0)])

    def seen(self) -> dict[str, Any]:
        """All that can be read, and no trace of what was begun."""
        versions = self.registry.versions("toy")
        for version in versions:
            self.registry.fetch(version)
        kept = self.folder / "store" / "runs" / self.run.id / "artifacts"
        left = [path.name for path in self.folder.rglob("*") if any(half in path.name for half in HALF)]
        assert left == [], "something half is left"
        assert len(list((self.folder / "store" / "models").iterdir())) == len(versions), "a model that nothing leads to"
        return {
            "versions": [(one.number, one.digest, one.aliases) for one in versions],
            "moves": [(move.alias, move.number) for move in self.registry.history("toy")],
            "runs": [(one.id, dict(one.metrics), len(one.params)) for one in tracker(self.folder / "store").runs()],
            "files": {path.name: path.stat().st_size for path in kept.iterdir()} if kept.exists() else {},
            "decisions": [(one.number, one.key) for one in self.records.all()],
            "faults": self.records.verify().faults,
            "log": self.logged(),
        }

    def logged(self) -> list[int]:
        """The numbers of all predictions that can be read, each as often as it stands there."""
        return sorted(int(number) for part in read_log(self.folder / "log") for number in part.batch.numbers["number"])

    def predict(self) -> None:
        """Log three predictions, and make a part of them."""
        with PredictionLog(self.folder / "log", "test.toy") as log:
            log.append([row(number) for number in (1, 2, 3)])


def row(number: int) -> Logged:
    categories = {f"category{n}": "x" * 90 for n in range(60)}
    return Logged(f"id{number}", 1.0 + number, "m", "1", Observed({"number": number}, categories, None, 0.5, "a"))


@dataclass(frozen=True)
class Work:
    """Something that writes, and what is new once it was done."""

    name: str
    do: Callable[[Room], object]
    new: str


WORKS = [
    Work("register", lambda room: room.registry.register(room.models / "m3", name="toy"), "versions"),
    Work("alias", lambda room: room.registry.alias("toy", "champion", 2), "moves"),
    Work("run", lambda room: tracker(room.folder / "store").run("train", "b", params=MANY, tags={"task": "t"}), "runs"),
    Work("metrics", lambda room: room.run.metrics({"f1": (0.5, 0.25, 0.75)}), "runs"),
    Work("text", lambda room: room.run.text("report.json", json.dumps("x" * 9000)), "files"),
    Work("artefact", lambda room: room.run.artefact(room.models / "m3" / "weights.bin"), "files"),
    Work("record", lambda room: room.records.add({"verdict": "x" * 9000}, key="second"), "decisions"),
    Work("log", lambda room: room.predict(), "log"),
]
BY_NAME = {work.name: work for work in WORKS}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB of this test's own: MLflow keeps files of a store open, whose room comes back late."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a user who may mount a file system: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def says_full(told: object) -> None:
    assert any(said in str(told) for said in FULL), told


def filled(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    place = folder / "filler"
    place.write_bytes(b"x" * (shutil.disk_usage(folder).free - left))
    assert shutil.disk_usage(folder).free == left
    return place


@pytest.fixture
def room(small: Path, tmp_path: Path, empty_store: Path, empty_home: Path) -> Room:
    return Room(small / "room", tmp_path / "models", empty_store)


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "log"])
def test_a_file_system_without_room_loses_nothing(room: Room, small: Path, name: str) -> None:
    before, refused = room.seen(), 0
    for pages in PAGES:
        filler = filled(small, pages * 4096)
        try:
            BY_NAME[name].do(room)
        except TriptychError as error:
            says_full(error)
            assert room.seen() == before
            refused += 1
        else:
            break
        finally:
            filler.unlink()
    else:
        BY_NAME[name].do(room)
    assert refused, "there was room all the time"
    after = room.seen()
    assert {part for part in before if before[part] != after[part]} >= {BY_NAME[name].new}
    assert after["faults"] == ()


def test_a_tracker_on_a_full_disk_costs_a_line(room: Room, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filler = filled(small, 0)
    with tracked("train", task="test.toy", url=room.folder / "store") as run:
        run.metrics({"f1": 0.5})
    filler.unlink()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "this run is not logged, or not wholly: the disk is full" in said


def test_the_first_decision_needs_room_for_its_key(room: Room, small: Path) -> None:
    for pages in (0, 1, 2):
        filler = filled(small, pages * 4096)
        records = Records(small / "room" / "others", key=small / "room" / "keys" / "signing.key")
        with pytest.raises(TriptychError, match="No space left on device"):
            records.add({"verdict": "promote"})
        assert records.all() == ()
        filler.unlink()
    assert room.seen()
    assert records.add({"verdict": "promote"}).number == 1
    assert records.verify().faults == ()


def test_a_log_of_predictions_has_what_it_took_once(room: Room, small: Path) -> None:
    expected, refused = {0}, {"append": 0, "seal": 0}
    for pages in (0, 1, 4, 5, 6, 7, 8, 12):
        log = PredictionLog(room.folder / "log", "test.toy")
        filler = filled(small, pages * 4096)
        rows = [row(10 * pages + number) for number in (1, 2, 3)]
        stage = "append"
        try:
            with log:
                log.append(rows)
                expected |= {10 * pages + number for number in (1, 2, 3)}
                stage = "seal"
        except TriptychError as error:
            says_full(error)
            refused[stage] += 1
        assert room.logged() == sorted(expected)
        filler.unlink()
    assert all(refused.values()), refused
    with PredictionLog(room.folder / "log", "test.toy"):
        assert not list((room.folder / "log").glob("open-*")), "what was left open is finished"
    assert room.logged() == sorted(expected)


def test_a_log_that_stays_open_goes_on(room: Room, small: Path) -> None:
    with PredictionLog(room.folder / "log", "test.toy", rows_a_part=2) as log:
        filler = filled(small, 0)
        with pytest.raises(TriptychError, match="No space left on device"):
            log.append([row(1)])
        filler.unlink()
        log.append([row(2)])
        filler = filled(small, 16384)
        with pytest.raises(TriptychError, match="Its rows stay in"):
            log.append([row(3)])
        filler.unlink()
        log.append([row(4)])
    assert room.logged() == [0, 2, 3, 4]
    assert not list((room.folder / "log").glob("open-*"))


def test_a_retraining_goes_on_when_there_is_room(
    room: Room, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words_alone(monkeypatch)
    base = tmp_path / "plan"
    base.mkdir()
    messages(base / "messages.csv", "ab", 600)
    messages(base / "traffic.csv", "ab", 200, seed=9)
    train(base / "messages.csv", base / "first" / "words", forget="a")
    room.registry.register(base / "first" / "words", name="words")
    room.registry.alias("words", "champion", 1)
    asked = plan(base, runs=str(room.folder / "runs"), registry=str(room.folder / "store"))
    places, stops = Places(room.registry, room.records), []
    for pages in (0, 2, 6, 12, 18, 26, 40):
        filler = filled(small, pages * 4096)
        begun = bool(read_runs(asked.folder))
        try:
            found = resume(asked, places) if begun else run(asked, places)
        except TriptychError as error:
            says_full(error)
            stops.append(read_runs(asked.folder)[-1].steps if read_runs(asked.folder) else None)
        else:
            break
        finally:
            filler.unlink()
    else:
        found = resume(asked, places)
    assert len(set(stops)) > 2, "it stopped at one step or another"
    assert found.state == "promoted"
    assert [one.number for one in room.registry.versions("words")] == [1, 2]
    assert [one.body["kind"] for one in room.records.all()[1:]] == ["gate", "canary", "promotion"]
    assert room.records.verify().faults == ()


def _limited(room: Room, name: str, limit: int, answers: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        BY_NAME[name].do(room)
    except TriptychError as error:
        answers.send(f"told: {error}")
    except OSError as error:
        answers.send(f"not told: {error!r}")
    else:
        answers.send("done")


@pytest.mark.parametrize("name", list(BY_NAME))
def test_files_that_may_not_grow_lose_nothing(tmp_path: Path, empty_store: Path, empty_home: Path, name: str) -> None:
    room = Room(tmp_path / "room", tmp_path / "models", empty_store)
    before = room.seen()
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=_limited, args=(room, name, 2000, there))
    process.start()
    process.join(60)
    answer = here.recv()
    assert answer.startswith("told: "), answer
    says_full(answer)
    assert room.seen() == before
    BY_NAME[name].do(room)
    assert room.seen()[BY_NAME[name].new] != before[BY_NAME[name].new]
