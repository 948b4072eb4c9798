"""Names, versions and aliases: found again, moved, rolled back; two writers lose nothing, and a kill breaks nothing."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from lifecycle_toys import killed, no_sockets, started, toy_model

from shared.errors import (
    DataError,
    HashMismatchError,
    OfflineError,
    ServiceError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from shared.lifecycle import mlflow_client, portable
from shared.lifecycle.mlflow_client import client
from shared.lifecycle.registry import Registry, registry
from shared.lifecycle.versions import MOVE, Registered, version_of
from shared.weights import read_model_folder, resolve
from shared.weights.named import named, pinned_name


@pytest.fixture
def filled(store: Path, tmp_path: Path) -> Registry:
    """Three versions of one name, the second its champion."""
    there = registry()
    for number in (1, 2, 3):
        there.register(toy_model(tmp_path / f"m{number}", b"%d" % number), name="toy", note=f"the {number}.")
    there.alias("toy", "champion", 2)
    return there


@pytest.mark.parametrize(("asked", "number"), [("toy", 2), ("toy@champion", 2), ("toy/3", 3), ("registry:toy/1", 1)])
def test_a_reference_leads_to_its_version(filled: Registry, asked: str, number: int) -> None:
    found = filled.find(asked)
    assert (found.name, found.number, found.task, found.note) == ("toy", number, "test.fake", f"the {number}.")
    assert found.aliases == (("champion",) if number == 2 else ())
    assert found.reference == f"registry:toy/{number}"


def test_a_bare_name_without_a_champion_is_the_newest(filled: Registry) -> None:
    filled.unalias("toy", "champion")
    assert filled.find("toy").number == 3
    assert [(move.number, move.why) for move in filled.history("toy")] == [(2, "alias"), (None, "removed")]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ("toi", UnknownNameError, "no registered model is called 'toi'. Nearest: toy"),
        ("toy@champoin", UnknownNameError, "no alias of toy is called 'champoin'. Nearest: champion"),
        ("toy@live", UnknownNameError, "triptych registry alias toy live NUMBER"),
        ("toy/9", UnknownNameError, "no version of toy is called '9'. Known: 1, 2, 3"),
        ("toy/champion", UsageError, "NAME, NAME@ALIAS or NAME/3"),
        ("../toy", UsageError, "NAME, NAME@ALIAS or NAME/3"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(filled: Registry, asked: str, error: type, said: str) -> None:
    with pytest.raises(error, match="(?s).*") as caught:
        filled.find(asked)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda there, model: there.register(model, name="a/b"), "a registered model's name must be letters"),
        (lambda there, model: there.register(model, name="a", tags={"triptych.task": "x"}), "does not begin with"),
        (lambda there, model: there.alias("toy", "latest", 1), "an alias must not be 'latest'"),
        (lambda there, model: there.alias("toy", "v2", 1), "look like a number"),
        (lambda there, model: there.rollback("toy"), "must have led to another version before"),
        (lambda there, model: there.remove(there.find("toy")), "while an alias leads to it: champion"),
    ],
)
def test_what_cannot_be_done_is_refused(
    filled: Registry, tmp_path: Path, call: Callable[[Registry, Path], Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        call(filled, tmp_path / "m1")


def test_the_same_key_or_the_same_model_is_the_version_that_is_there(filled: Registry, tmp_path: Path) -> None:
    assert filled.register(tmp_path / "m1", name="toy").number == 1
    made = filled.register(toy_model(tmp_path / "m4", b"4"), name="toy", key="cycle-7", run="r1", tags={"by": "me"})
    again = filled.register(toy_model(tmp_path / "m5", b"5"), name="toy", key="cycle-7")
    assert (made.number, again) == (4, made)
    assert (made.run, made.tags) == ("r1", {"by": "me"})
    assert filled.register(tmp_path / "m1", name="other").number == 1
    assert filled.names() == ["other", "toy"]


def test_a_name_serves_one_task(filled: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Those that are there serve test.fake, this model test.other"):
        filled.register(toy_model(tmp_path / "m", task="test.other"), name="toy")


def test_rollback_goes_back_step_by_step(filled: Registry) -> None:
    filled.alias("toy", "champion", 3)
    filled.alias("toy", "champion", 3)
    filled.alias("toy", "champion", 1)
    assert [filled.rollback("toy").number, filled.rollback("toy").number] == [3, 2]
    filled.alias("toy", "champion", 1)
    assert filled.rollback("toy").number == 2
    assert [(move.number, move.why) for move in filled.history("toy")] == [
        (2, "alias"), (3, "alias"), (1, "alias"), (3, "rollback"), (2, "rollback"), (1, "alias"), (2, "rollback"),
    ]  # fmt: skip


def written(*moves: tuple[int | None, str]) -> dict[str, str]:
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    rows = [{"alias": "champion", "number": number, "at": at, "why": why} for number, why in moves]
    return {f"{MOVE}{place:020d}.x": json.dumps(row) for place, row in enumerate(rows)}


@pytest.mark.parametrize(
    ("moves", "now", "expected"),
    [
        ([(1, "alias"), (2, "alias")], 2, [1, 2]),
        ([(1, "alias"), (2, "alias")], 1, [1]),  # killed after writing down and before moving
        ([(1, "alias")], None, []),
        ([(1, "alias"), (None, "removed")], 1, [1]),
        ([(1, "alias"), (2, "alias")], 3, [1, 2, 3]),  # moved by somebody who writes nothing down
        ([], 2, [2]),
    ],
)
def test_the_history_tells_what_happened(moves: Any, now: int | None, expected: list[int]) -> None:
    aliases = {} if now is None else {"champion": now}
    found = Registered("toy", (), aliases, written(*moves)).moves()
    assert [move.number for move in found] == expected
    assert [move.why for move in found if move.at is None] == (["outside"] if now in (expected[len(moves) :]) else [])


def test_a_removed_version_is_gone_with_its_files(filled: Registry, store: Path, tmp_path: Path) -> None:
    third = filled.find("toy/3")
    filled.register(tmp_path / "m3", name="other")
    filled.remove(third)
    assert filled.fetch(filled.find("other")).is_dir(), "another version has the same files"
    filled.remove(filled.find("other/1"))
    assert not (store / "models" / third.digest).exists()
    assert [one.number for one in filled.versions("toy")] == [1, 2]


def test_a_registered_name_opens_like_any_model_and_stays_what_it_was_once_pinned(filled: Registry) -> None:
    assert resolve("registry:toy", task="test.fake").files["weights.bin"].read_bytes() == b"2"
    assert pinned_name("registry:toy@champion") == "registry:toy/2"
    filled.alias("toy", "champion", 1)
    assert resolve("registry:toy@champion", task="test.fake").files["weights.bin"].read_bytes() == b"1"
    folder = named("registry:toy/3")
    assert read_model_folder(Path(str(folder))).name == "fake"
    assert pinned_name("plain") == "plain"
    with pytest.raises(UsageError, match="must hold a model of other"):
        resolve("registry:toy", task="other")


@pytest.mark.parametrize("name", ["weights.bin", "card.toml", "manifest.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_changed_files_are_refused_by_name(filled: Registry, name: str, how: str) -> None:
    found = filled.find("toy")
    path = filled.fetch(found) / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"2", b"9") if name == "weights.bin" else path.read_bytes() + b"\n")
    with pytest.raises(HashMismatchError, match=f"(?s)registry:toy/2 cannot be opened.*{name}"):
        filled.fetch(found)


def test_registering_again_mends_changed_files(filled: Registry, tmp_path: Path) -> None:
    found = filled.find("toy")
    (filled.fetch(found) / "weights.bin").write_bytes(b"x")
    filled.register(tmp_path / "m2", name="second")
    assert filled.fetch(found).joinpath("weights.bin").read_bytes() == b"2"


def test_what_is_read_is_what_mlflow_says(filled: Registry) -> None:
    api = client(filled.place)
    assert filled.names() == [model.name for model in api.search_registered_models()]
    theirs = [
        version_of(
            one.name,
            int(one.version),
            created_ms=one.creation_timestamp,
            run=one.run_id,
            note=one.description,
            tags=one.tags,
            aliases=api.get_model_version("toy", one.version).aliases,
        )
        for one in sorted(api.search_model_versions("name = 'toy'"), key=lambda one: int(one.version))
    ]
    assert filled.versions("toy") == theirs


def test_opening_by_a_registered_name_loads_no_mlflow(filled: Registry) -> None:
    code = (
        "from shared.weights import resolve; resolve('registry:toy', task='test.fake'); import sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"mlflow", "sqlalchemy", "alembic"} & set(done.stdout.split())


def _offline(folder: Path) -> None:
    os.environ["TRIPTYCH_OFFLINE"] = "1"
    no_sockets()
    there = registry()
    there.register(toy_model(folder, b"x"), name="quiet")
    there.alias("quiet", "champion", 1)
    assert there.fetch(there.find("quiet")).is_dir()


def test_a_folder_needs_no_socket(store: Path, tmp_path: Path) -> None:
    process = started(_offline, tmp_path / "m")
    process.join()
    assert process.exitcode == 0
    assert registry().find("quiet").number == 1


def _busy(store: Path, models: list[Path], who: str) -> None:
    there = registry(store)
    for model in models:
        made = there.register(model, name="toy", key=model.name)
        there.alias("toy", who, made.number)
        there.alias("toy", "champion", made.number)


def test_two_processes_at_once_lose_nothing(store: Path, tmp_path: Path) -> None:
    models = {who: [toy_model(tmp_path / f"{who}{n}", f"{who}{n}".encode()) for n in range(6)] for who in ("a", "b")}
    workers = [started(_busy, store, some, who) for who, some in models.items()]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    there = registry(store)
    found = there.versions("toy")
    assert [one.number for one in found] == list(range(1, 13))
    assert len({one.digest for one in found}) == 12
    moves = there.history("toy")
    assert [len([move for move in moves if move.alias == alias]) for alias in ("a", "b", "champion")] == [6, 6, 12]
    last = there.find("toy@champion")
    assert last in (there.find("toy@a"), there.find("toy@b"))


def test_a_kill_at_any_moment_leaves_whole_versions(store: Path, tmp_path: Path) -> None:
    models = [toy_model(tmp_path / f"m{n}", b"%d" % n * 1000) for n in range(200)]
    there = registry(store)
    seen = 0
    for turn in range(6):
        process = started(_busy, store, models[seen:], "a")
        until = time.monotonic() + 120
        while len(_versions(there)) <= seen:
            assert process.is_alive(), "it ended and registered nothing"
            assert time.monotonic() < until, "nothing was registered in time"
            time.sleep(0.002)
        time.sleep(0.013 * turn)
        killed(process)
        found = _versions(there)
        assert len(found) > seen
        seen = len(found)
        for one in found:
            assert there.fetch(one).is_dir()
        aliases = there._registered("toy").aliases
        for alias in ("a", "champion"):
            led = [None, *(move.number for move in there.history("toy") if move.alias == alias)]
            assert led[-1] == aliases.get(alias), "the history says what the alias says"
            assert aliases.get(alias) is None or there.find(f"toy@{alias}").number == aliases[alias]
        there.alias("toy", "champion", 1)  # the lock of the dead is free


def _versions(there: Registry) -> list[Any]:
    return there.versions("toy") if "toy" in there.names() else []


def test_a_store_that_somebody_holds_says_so(
    filled: Registry, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_client, "PATIENCE", 0.05)
    with FileLock(store / "lock"), pytest.raises(ServiceError, match="Another process has held its lock") as caught:
        filled.alias("toy", "champion", 1)
    assert caught.value.kind == "locked"
    assert filled.find("toy").number == 2


def test_a_database_that_is_locked_says_so(filled: Registry, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.lifecycle.reading.PATIENCE", 0.05)
    holder = sqlite3.connect(store / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ServiceError, match="database is locked") as caught:
            filled.find("toy")
        assert caught.value.kind == "locked"
    finally:
        holder.close()


def test_a_file_that_is_no_database_says_so(store: Path) -> None:
    (store / "mlflow.db").write_text("no database at all, and longer than the head of one " * 4)
    with pytest.raises(ServiceError, match="must be MLflow's database"):
        registry().names()


def test_what_the_dead_began_is_swept_after_a_day(filled: Registry, store: Path, tmp_path: Path) -> None:
    old, new = store / "models" / ".incoming.a.new", store / "models" / ".incoming.b.new"
    for folder, age in ((old, 2 * 86400), (new, 60)):
        toy_model(folder)
        os.utime(folder, (time.time() - age, time.time() - age))
    filled.register(toy_model(tmp_path / "m4", b"4"), name="toy")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_full_disk_leaves_what_was_there(
    filled: Registry, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(portable.shutil, "copyfile", full)
    with pytest.raises(WeightsError, match="the disk is full"):
        filled.register(toy_model(tmp_path / "new", b"new"), name="toy")
    assert [one.number for one in filled.versions("toy")] == [1, 2, 3]
    assert len(list((store / "models").iterdir())) == 3, "nothing half is left"


def test_a_server_that_does_not_answer_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match=f"{url} must be an MLflow server that answers. It did not") as caught:
        registry(url).find("toy")
    assert caught.value.kind == "unreachable"
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    with pytest.raises(OfflineError, match="TRIPTYCH_OFFLINE forbids asking"):
        registry(url).names()


def test_places_are_folders_and_servers() -> None:
    with pytest.raises(UsageError, match="a database stands behind a server") as caught:
        registry("postgresql://me:secret@host/runs")
    assert "secret" not in str(caught.value)


def test_nothing_registered_is_an_answer(empty_home: Path) -> None:
    assert registry().names() == []
    with pytest.raises(UnknownNameError, match="No registered model is known here at all"):
        registry().find("toy")


def test_a_foreign_version_without_a_digest_says_so(store: Path) -> None:
    there = registry()
    api = client(there.place)
    api.create_registered_model("foreign")
    api.create_model_version("foreign", "file:///nowhere")
    with pytest.raises(DataError, match="must have been registered by triptych"):
        there.fetch(there.find("foreign"))
