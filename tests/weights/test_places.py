"""Names, folders and the offline switch: what is on this machine already, and what is refused."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from standin import Page, StandIn, closed_port, noise, row, sha256, write_rows

from shared import catalogue
from shared.catalogue import ModelFile
from shared.errors import (
    DataError,
    HashMismatchError,
    OfflineError,
    SourceError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from shared.testing import fake_card
from shared.weights import ensure, locate, read_model_folder, resolve, verify, write_model_folder

CONTENT = noise(1000)
COMMIT = "0" * 40
EVERY_SCHEME = ["https://far.example/x", f"hf:o/r@{COMMIT}/x", "index:tiny==1.0/x", "http://127.0.0.1:1/x"]


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_offline_opens_no_socket_and_says_so(home: Path, no_sockets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    write_rows(home, row("tiny", CONTENT, *EVERY_SCHEME))
    with pytest.raises(OfflineError, match="Unset TRIPTYCH_OFFLINE, or run 'triptych models fetch'") as caught:
        resolve("tiny", task="test.weights")
    assert str(caught.value).count("it was not asked") == len(EVERY_SCHEME)
    write_rows(home, row("open", None, EVERY_SCHEME[1]))
    with pytest.raises(OfflineError):
        resolve("open", task="test.weights")


def test_offline_opens_what_is_cached(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/m"] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + "/m"))
    ensure(catalogue.find("tiny"), progress=False)
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    monkeypatch.setattr(socket, "socket", None)
    assert resolve("tiny", task="test.weights").files["model.bin"].read_bytes() == CONTENT


def test_without_the_switch_the_same_sources_do_open_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the two tests above rely on."""
    opened: list[object] = []

    def refuse(*args: object, **kwargs: object) -> None:
        opened.append(args)
        raise OSError("blocked by this test")

    monkeypatch.setattr(socket, "socket", refuse)
    write_rows(home, row("tiny", CONTENT, "http://127.0.0.1:1/x"))
    with pytest.raises(SourceError, match="did not answer"):
        resolve("tiny", task="test.weights")
    assert opened


def test_a_packaged_file_is_used_where_it_lies(home: Path, no_sockets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    own = Path(catalogue.__file__)
    write_rows(home, row("tiny", own.read_bytes(), "package:shared/catalogue.py"))
    card = catalogue.find("tiny")
    assert locate(card) == {"model.bin": own}
    assert ensure(card) == {"model.bin": own}
    assert not (home / "weights").exists()


@pytest.mark.parametrize("source", ["package:shared/none.bin", "package:no_such_module/x"])
def test_a_packaged_file_that_is_not_there_is_said(home: Path, source: str) -> None:
    write_rows(home, row("tiny", CONTENT, source))
    with pytest.raises(SourceError, match="this installation holds no such file; reinstall"):
        resolve("tiny", task="test.weights")


def test_a_packaged_file_of_other_bytes_is_refused_and_left(home: Path) -> None:
    write_rows(home, row("tiny", CONTENT, "package:shared/errors.py"))
    with pytest.raises(HashMismatchError, match="left, for it is not the cache's own"):
        resolve("tiny", task="test.weights")
    assert (Path(catalogue.__file__).parent / "errors.py").exists()


@pytest.mark.parametrize("place", ["model.bin", "published.bin", "tiny/model.bin", "tiny/published.bin"])
def test_a_named_folder_counts_as_cache(
    home: Path, tmp_path: Path, no_sockets: None, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "second" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", os.pathsep.join([str(tmp_path / "none"), str(tmp_path / "second")]))
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    write_rows(home, row("tiny", CONTENT, "https://far.example/a/published.bin?download=1"))
    assert ensure(catalogue.find("tiny")) == {"model.bin": path}


def test_a_wrong_file_in_a_named_folder_is_left_and_passed_over(
    home: Path, tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "model.bin"
    wrong.write_bytes(noise(1000, seed=1))
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(tmp_path))
    server.pages["/m"] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + "/m"))
    assert [checked.state for checked in verify(catalogue.find("tiny"))] == ["damaged"]
    assert ensure(catalogue.find("tiny"), progress=False)["model.bin"].read_bytes() == CONTENT
    assert wrong.read_bytes() == noise(1000, seed=1)
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    (home / "weights" / sha256(CONTENT)[:16] / "model.bin").unlink()
    with pytest.raises(OfflineError, match="left, for it is not the cache's own"):
        ensure(catalogue.find("tiny"))


def test_the_default_and_names_resolve(home: Path) -> None:
    source = "package:shared/errors.py"
    content = (Path(catalogue.__file__).parent / "errors.py").read_bytes()
    write_rows(
        home, row("tiny", content, source), row("main", content, source).replace("summary", "default = true\nsummary")
    )
    assert resolve(None, task="test.weights").card.name == "main"
    assert resolve("tiny", task="test.weights").card.name == "tiny"
    with pytest.raises(UnknownNameError, match=r"no test\.weights model is called 'tinny'. Nearest: tiny"):
        resolve("tinny", task="test.weights")
    with pytest.raises(UnknownNameError, match="test.none"):
        resolve(None, task="test.none")


def test_a_model_folder_is_saved_and_opened(home: Path, tmp_path: Path, no_sockets: None) -> None:
    folder = tmp_path / "deep" / "mine"
    options = {"labels": ("a", "b"), "nested": {"c": 0.5, "none": None}}
    card = fake_card(options=options, opt_in="mine", default=True, summary='quoted "text"')
    saved = write_model_folder(folder, card, {"head.bin": CONTENT, "other.bin": b"x"})
    assert saved == read_model_folder(folder)
    assert saved.files[0] == ModelFile("head.bin", 1000, sha256(CONTENT), ())
    assert dict(saved.options) == {"labels": ["a", "b"], "nested": {"c": 0.5}}
    assert (saved.summary, saved.opt_in, saved.default) == ('quoted "text"', "mine", False)
    assert sorted(path.name for path in folder.iterdir()) == ["card.toml", "head.bin", "other.bin"]
    for name in (folder, str(folder)):
        opened = resolve(name, task="test.fake")
        assert opened.files["head.bin"] == folder / "head.bin"
    assert verify(saved)[0].state == "ok"


def test_a_folder_in_the_working_directory_is_found_by_its_bare_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model_folder(tmp_path / "mine", fake_card(), {"head.bin": CONTENT})
    monkeypatch.chdir(tmp_path)
    assert resolve("mine", task="test.fake").files["head.bin"].read_bytes() == CONTENT


def test_saving_again_replaces_the_model_and_leaves_other_files(tmp_path: Path) -> None:
    write_model_folder(tmp_path, fake_card(), {"head.bin": CONTENT})
    (tmp_path / "report.json").write_text("{}")
    write_model_folder(tmp_path, fake_card(name="second"), {"head.bin": b"new"})
    assert read_model_folder(tmp_path).name == "second"
    assert ensure(read_model_folder(tmp_path))["head.bin"].read_bytes() == b"new"
    assert (tmp_path / "report.json").exists()


def test_a_damaged_or_missing_file_of_a_folder_is_refused_and_left(home: Path, tmp_path: Path) -> None:
    saved = write_model_folder(tmp_path, fake_card(), {"head.bin": CONTENT})
    (tmp_path / "head.bin").write_bytes(b"y" + CONTENT[1:])
    with pytest.raises(HashMismatchError, match="left, .*\n.*train it anew"):
        ensure(saved)
    (tmp_path / "head.bin").unlink()
    with pytest.raises(WeightsError, match="no source is named, and it is not here"):
        ensure(saved)


@pytest.mark.parametrize("files", [{}, {"a/b": b""}, {"card.toml": b""}, {"..": b""}, {"": b""}])
def test_names_that_are_no_plain_files_are_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(UsageError, match=r"must be plain names other than card\.toml"):
        write_model_folder(tmp_path, fake_card(), files)


def test_a_folder_of_another_task_or_none_is_refused(home: Path, tmp_path: Path) -> None:
    write_model_folder(tmp_path / "mine", fake_card(), {"head.bin": CONTENT})
    with pytest.raises(UsageError, match=r"must hold a model of nlp\.ner. It holds one of test\.fake"):
        resolve(tmp_path / "mine", task="nlp.ner")
    with pytest.raises(DataError, match=r"must be a model folder, with a card\.toml in it; there is no such folder"):
        resolve(tmp_path / "none", task="test.fake")
    with pytest.raises(DataError, match=r"it has no card\.toml"):
        resolve(str(tmp_path), task="test.fake")
    card = (tmp_path / "mine" / "card.toml").read_text()
    (tmp_path / "mine" / "card.toml").write_text(card + card.replace("models.fake", "models.other"))
    with pytest.raises(DataError, match="must describe one model. Got .'fake', 'other'."):
        resolve(tmp_path / "mine", task="test.fake")


def test_a_kill_while_saving_leaves_no_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model_folder(tmp_path, fake_card(), {"a.bin": b"old", "b.bin": b"old"})
    code = f"""
import os, pathlib
from shared.testing import fake_card
from shared.weights import folder
write, calls = folder.write_bytes, []
def dying(path, content):
    calls.append(path)
    if len(calls) == 2:
        os.kill(os.getpid(), 9)
    write(path, content)
folder.write_bytes = dying
folder.write_model_folder(pathlib.Path({str(tmp_path)!r}), fake_card(), {{"a.bin": b"new", "b.bin": b"new"}})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with pytest.raises(DataError, match=r"it has no card\.toml"):
        read_model_folder(tmp_path)


def test_an_unreachable_source_and_a_wrong_one_share_no_kind(home: Path, server: StandIn) -> None:
    server.pages["/m"] = Page(noise(1000, seed=1))
    write_rows(home, row("tiny", CONTENT, closed_port() + "/x", server.url + "/m"))
    with pytest.raises(WeightsError) as caught:
        ensure(catalogue.find("tiny"), progress=False)
    assert type(caught.value) is WeightsError


def test_importing_the_package_loads_no_network_library() -> None:
    heavy = ("httpx2", "unearth", "huggingface_hub", "tqdm")
    code = f"import sys, shared.weights; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_card_that_is_changed_in_memory_keeps_its_meaning(home: Path) -> None:
    card = fake_card(files=(ModelFile("m", 1000, sha256(CONTENT), ()),))
    assert dataclasses.replace(card, summary="other").fingerprint == card.fingerprint
