"""A file from a publisher's address: whole or not at all, gone on with after any interruption."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from standin import Page, StandIn, closed_port, mute_port, noise, row, sha256, write_rows

from shared import catalogue
from shared.errors import HashMismatchError, SourceError, WeightsError
from shared.weights import ensure, resolve

CONTENT = noise(300_000)
PATH = "/model.bin"


def card(name: str = "tiny") -> catalogue.ModelCard:
    return catalogue.find(name)


def partial(home: Path) -> list[Path]:
    """What has come of files so far; the notes of where it comes from, whole or being put in place, do not count."""
    return [path for path in (home / "partial").glob("*") if ".from" not in path.name]


def come(home: Path) -> int:
    """Bytes that have come so far, while another process may put the file in its place."""
    with suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in partial(home))
    return 0


def test_a_file_comes_whole_and_is_not_fetched_twice(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    first = resolve("tiny", task="test.weights", progress=False)
    again = resolve("tiny", task="test.weights", progress=False)
    assert first.files["model.bin"].read_bytes() == CONTENT
    assert again == first
    assert first.files["model.bin"] == home / "weights" / sha256(CONTENT)[:16] / "model.bin"
    assert len(server.asked) == 1
    assert not list((home / "partial").iterdir())


def test_two_models_share_one_content_under_two_names(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    rows = [row("one", CONTENT, server.url + PATH), row("two", CONTENT, server.url + PATH, file="encoder.bin")]
    write_rows(home, *rows)
    one, two = (ensure(card(name), progress=False) for name in ("one", "two"))
    assert one["model.bin"].samefile(two["encoder.bin"])
    assert len(server.asked) == 1


def test_wrong_bytes_are_deleted_and_the_next_source_is_tried(home: Path, server: StandIn) -> None:
    server.pages |= {"/wrong": Page(noise(300_000, seed=1)), PATH: Page(CONTENT)}
    write_rows(home, row("tiny", CONTENT, server.url + "/wrong", server.url + PATH))
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT
    assert not list((home / "partial").iterdir())


def test_one_error_lists_what_each_source_said_and_what_to_do(home: Path, server: StandIn) -> None:
    server.pages |= {"/wrong": Page(noise(300_000, seed=1)), "/long": Page(noise(300_001))}
    addresses = [server.url + path for path in ("/wrong", "/gone", "/long")]
    write_rows(home, row("tiny", CONTENT, *addresses, closed_port() + "/x"))
    with pytest.raises(WeightsError, match="cannot be had") as caught:
        ensure(card(), progress=False)
    lines = str(caught.value).splitlines()
    assert "model.bin of model 'tiny' (300.0 kB)" in lines[0]
    assert f"sha256 {sha256(noise(300_000, seed=1))} where {sha256(CONTENT)} is expected" in lines[1]
    assert "answered 404: it has no such file" in lines[2]
    assert "offers 300.0 kB (300001 bytes); 300000 bytes were expected" in lines[3]
    assert "did not answer" in lines[4]
    assert "triptych doctor" in lines[5]
    assert "TRIPTYCH_WEIGHTS" in lines[5]
    assert caught.value.exit_code == 3
    assert not list((home / "weights").glob("*/*"))
    assert not partial(home)


def test_only_wrong_bytes_is_a_hash_mismatch(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(noise(300_000, seed=1))
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    with pytest.raises(HashMismatchError, match="They were deleted"):
        ensure(card(), progress=False)


def test_a_damaged_cached_file_is_deleted_and_fetched_anew(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    path = ensure(card(), progress=False)["model.bin"]
    path.write_bytes(b"x" + CONTENT[1:])
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize("etag", ['"v1"', ""], ids=["validator", "no validator"])
def test_a_connection_cut_half_way_is_gone_on_with(home: Path, server: StandIn, etag: str) -> None:
    server.pages[PATH] = Page(CONTENT, etag=etag, drop_after=[100_000, 50_000])
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT
    assert server.ranges(PATH) == ["", "bytes=100000-299999", "bytes=150000-299999"]
    assert server.asked[1].headers.get("If-Range") == (etag or None)


def test_a_server_without_ranges_is_begun_anew(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT, ranges=False, drop_after=[100_000])
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT


def test_a_file_that_changed_between_two_calls_is_begun_anew(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(noise(300_000, seed=1), drop_after=[100_000, 0, 0])
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    with pytest.raises(SourceError, match="broke off"):
        ensure(card(), progress=False)
    assert partial(home)[0].stat().st_size == 100_000
    server.pages[PATH] = Page(CONTENT, etag='"v2"')
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_ends_in_an_error(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT, drop_after=[1000] * 50)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    with pytest.raises(SourceError, match="broke off"):
        ensure(card(), progress=False)
    assert len(server.asked) == 5


def test_what_one_source_began_is_dropped_once_another_has_answered(home: Path, server: StandIn) -> None:
    server.pages |= {"/breaks": Page(CONTENT, drop_after=[1000] * 50), PATH: Page(CONTENT)}
    write_rows(home, row("tiny", CONTENT, server.url + "/breaks", server.url + PATH))
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT
    assert not list((home / "partial").iterdir())


def test_more_bytes_than_expected_are_not_taken(home: Path, server: StandIn) -> None:
    endless = b"".join(b"%x\r\n%b\r\n" % (50_000, noise(50_000)) for _ in range(10)) + b"0\r\n\r\n"
    server.pages[PATH] = Page(endless, headers={"Transfer-Encoding": "chunked"}, etag="")
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    with pytest.raises(SourceError, match="sent more than the 300000 bytes"):
        ensure(card(), progress=False)
    assert not partial(home)


@pytest.mark.parametrize("kind", ["closed", "mute"])
def test_a_host_that_does_not_answer_costs_seconds_once(
    home: Path, server: StandIn, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.weights.http.READ_SECONDS", 0.5)
    server.pages[PATH] = Page(CONTENT)
    came: list[object] = []
    with mute_port(came) as mute:
        dead = mute if kind == "mute" else closed_port()
        rows = [row(f"tiny{n}", CONTENT, dead + f"/{n}", server.url + PATH, file=f"m{n}") for n in range(3)]
        write_rows(home, *rows, row("alone", noise(10), dead + "/a"))
        for n in range(3):
            for cached in (home / "weights").glob("*/*"):
                cached.unlink()
            ensure(card(f"tiny{n}"), progress=False)
        with pytest.raises(SourceError, match="was not asked again"):
            ensure(card("alone"), progress=False)
    assert len(came) == (kind == "mute"), "it was asked again"


def test_a_name_that_is_looked_up_too_slowly_is_given_up(
    home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: wait.wait(300) and [])
    monkeypatch.setattr("shared.weights.http.CONNECT_SECONDS", 0.2)
    write_rows(home, row("tiny", CONTENT, "https://far.example/model.bin"))
    began = time.monotonic()
    with pytest.raises(SourceError, match="far.example did not answer .no address for it within"):
        ensure(card(), progress=False)
    wait.set()
    assert time.monotonic() - began < 60


def test_a_look_up_that_gets_lost_is_made_again(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, real = threading.Event(), socket.getaddrinfo
    asked: list[Any] = []

    def look_up(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        return real(*args, **kwargs) if len(asked) > 1 else lost.wait(300) and []

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.setattr("shared.weights.http.CONNECT_SECONDS", 1.0)
    server.pages["/model.bin"] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, f"{server.url}/model.bin"))
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == CONTENT
    lost.set()


def test_a_redirect_to_plain_http_elsewhere_is_refused(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(b"", status=302, headers={"Location": "http://elsewhere.example/x?sig=secret"})
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    with pytest.raises(SourceError, match="plain http to another machine") as caught:
        ensure(card(), progress=False)
    assert "secret" not in str(caught.value)


def test_several_threads_fetch_once(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT, pause=0.005)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure(card(), progress=False)["model.bin"])) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({*found}) == 1
    assert found[0].read_bytes() == CONTENT
    assert len(server.asked) == 1


FETCH = """
from shared import catalogue
from shared.weights import ensure
print(ensure(catalogue.find("tiny"), progress={progress})["model.bin"])
"""


def fetch_in_process(home: Path, before: str = "", *, progress: bool = False) -> subprocess.Popen[str]:
    code = textwrap.dedent(before) + FETCH.format(progress=progress)
    env = dict(os.environ, TRIPTYCH_HOME=str(home))
    return subprocess.Popen([sys.executable, "-c", code], env=env, text=True, stdout=-1, stderr=-1)


def test_two_processes_fetch_once(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT, pause=0.02)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    both = [fetch_in_process(home) for _ in range(2)]
    paths = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(paths) == 1
    assert len(server.asked) == 1


def test_a_kill_at_any_moment_leaves_no_half_file_and_the_next_run_goes_on(home: Path, server: StandIn) -> None:
    content = noise(6_000_000)  # in pieces for 20 seconds: whoever looks late still finds it coming
    server.pages[PATH] = Page(content, pause=0.05)
    write_rows(home, row("tiny", content, server.url + PATH))
    gathered = 0
    for _ in range(3):
        process = fetch_in_process(home)
        deadline = time.monotonic() + 120
        while come(home) <= gathered + 100_000:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not list((home / "weights").glob("*/*"))
        grown = partial(home)[0].stat().st_size
        assert grown > gathered
        gathered = grown
    server.pages[PATH].pause = 0.0
    assert ensure(card(), progress=False)["model.bin"].read_bytes() == content
    ranges = server.ranges(PATH)
    assert ranges[0] == ""
    assert ranges[-1] == f"bytes={gathered}-5999999"


def test_a_full_disk_is_said_plainly_and_leaves_nothing(home: Path, server: StandIn) -> None:
    server.pages |= {PATH: Page(CONTENT), "/other": Page(CONTENT)}
    write_rows(home, row("tiny", CONTENT, server.url + PATH, server.url + "/other"))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    process = fetch_in_process(home, limit)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "the disk is full: writing" in error
    assert "name a folder on another disk with TRIPTYCH_HOME" in error
    assert not list((home / "partial").iterdir())
    assert len(server.asked) == 1, "no other source would help"


def test_a_home_that_cannot_be_written_is_said_plainly(
    home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages[PATH] = Page(CONTENT)
    text = row("tiny", CONTENT, server.url + PATH)
    listed = catalogue.parse(text, "test")[0]
    (home / "file").write_text("")
    monkeypatch.setenv("TRIPTYCH_HOME", str(home / "file"))
    with pytest.raises(WeightsError, match="cannot be written .* TRIPTYCH_HOME"):
        ensure(listed, progress=False)


def test_progress_is_plain_lines_where_there_is_no_terminal(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    _, error = fetch_in_process(home, progress=True).communicate()
    lines = error.splitlines()
    assert lines[0] == "triptych: fetching model.bin, 300.0 kB"
    assert lines[1].startswith("triptych: fetched model.bin: 300.0 kB in ")
    assert len(lines) == 2


def test_progress_is_a_bar_on_a_terminal(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    env = dict(os.environ, TRIPTYCH_HOME=str(home))
    command = [sys.executable, "-c", FETCH.format(progress=True)]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        parts = []
        with suppress(OSError):  # how the end of a terminal reads; a slow download redraws its bar many times
            while part := os.read(ours, 10_000):
                parts.append(part)
    os.close(ours)
    shown = b"".join(parts).decode()
    assert process.returncode == 0
    assert "model.bin: 100%" in shown
    assert "300k/300k" in shown


def test_progress_can_be_silent(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, server.url + PATH))
    assert fetch_in_process(home).communicate()[1] == ""
