"""A file of the hub at a pinned commit, with the hub standing in on loopback."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from standin import Page, StandIn, mute_port, noise, row, sha256, standing_in, write_rows

from shared import catalogue
from shared.errors import HashMismatchError, SourceError, WeightsError
from shared.weights import ensure, locate, verify

CONTENT = noise(300_000)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = f"/owner/repo/resolve/{COMMIT}/onnx/model.bin"
SOURCE = f"hf:owner/repo@{COMMIT}/onnx/model.bin"
TOKEN = "hf_" + "s" * 20


@pytest.fixture(autouse=True)
def hub(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()


def large(content: bytes, *, stated: bytes | None = None, commit: str = COMMIT) -> Page:
    """A page as the hub answers for a large file."""
    linked = {"X-Linked-Etag": f'"{sha256(stated or content)}"', "X-Linked-Size": str(len(stated or content))}
    return Page(content, headers={"X-Repo-Commit": commit} | linked)


def small(content: bytes, *, stated: bytes | None = None) -> Page:
    """A page as the hub answers for a file that git itself keeps."""
    return Page(content, headers={"X-Repo-Commit": COMMIT}, etag=f'"{git_blob(stated or content)}"')


def fetch(name: str = "tiny") -> bytes:
    return ensure(catalogue.find(name), progress=False)["model.bin"].read_bytes()


def test_a_file_with_a_known_hash_comes_in_one_request(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT)
    write_rows(home, row("tiny", CONTENT, SOURCE))
    assert fetch() == CONTENT
    assert [(asked.method, asked.path) for asked in server.asked] == [("GET", PATH)]
    assert not (home / "lock.json").exists()


@pytest.mark.parametrize("kind", [large, small])
def test_a_file_without_a_known_hash_is_pinned_by_the_first_download(home: Path, server: StandIn, kind) -> None:
    server.pages[PATH] = kind(CONTENT)
    write_rows(home, row("tiny", None, SOURCE))
    card = catalogue.find("tiny")
    assert locate(card) == {"model.bin": None}
    assert fetch() == CONTENT
    assert json.loads((home / "lock.json").read_text()) == {SOURCE: {"sha256": sha256(CONTENT), "size": len(CONTENT)}}
    assert [checked.state for checked in verify(card)] == ["ok"]
    came = len(server.asked)
    assert fetch() == CONTENT
    assert len(server.asked) == came, "what is pinned and cached is not asked for again"


@pytest.mark.parametrize("kind", [large, small])
def test_a_later_difference_is_refused(home: Path, server: StandIn, kind) -> None:
    server.pages[PATH] = kind(CONTENT)
    write_rows(home, row("tiny", None, SOURCE))
    (path,) = ensure(catalogue.find("tiny"), progress=False).values()
    path.unlink()
    server.pages[PATH] = kind(noise(300_000, seed=1))
    with pytest.raises(HashMismatchError, match=f"where {sha256(CONTENT)} is expected"):
        fetch()


@pytest.mark.parametrize("kind", [large, small])
def test_bytes_other_than_the_hub_states_are_refused(home: Path, server: StandIn, kind) -> None:
    server.pages[PATH] = kind(noise(300_000, seed=1), stated=CONTENT)
    write_rows(home, row("tiny", None, SOURCE))
    with pytest.raises(HashMismatchError, match="not those that the hub states"):
        fetch()
    assert not (home / "lock.json").exists()
    assert not list((home / "weights").glob("*/*"))


def test_another_commit_than_the_pinned_one_is_refused(home: Path, server: StandIn) -> None:
    server.pages[PATH] = large(CONTENT, commit="f" * 40)
    write_rows(home, row("tiny", None, SOURCE))
    with pytest.raises(SourceError, match=f"answered for commit {'f' * 40} where {COMMIT} was asked for"):
        fetch()


def test_a_file_of_which_no_hash_is_stated_is_refused(home: Path, server: StandIn) -> None:
    server.pages[PATH] = Page(CONTENT, headers={"X-Repo-Commit": COMMIT}, etag='"12-34"')
    write_rows(home, row("tiny", None, SOURCE))
    with pytest.raises(SourceError, match="states no hash of this file"):
        fetch()


@pytest.mark.parametrize(("status", "hint"), [(404, "no such file"), (401, "wants credentials"), (403, "it refuses")])
def test_a_refusal_is_said(home: Path, server: StandIn, status: int, hint: str) -> None:
    server.pages[PATH] = Page(b"", status=status)
    write_rows(home, row("tiny", None, SOURCE), row("known", CONTENT, SOURCE))
    for name in ("tiny", "known"):
        with pytest.raises(SourceError, match=f"answered {status}: .*{hint}"):
            fetch(name)


@pytest.mark.parametrize("known", [True, False])
def test_the_token_goes_to_the_hub_alone_and_into_no_message(
    home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], known: bool
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with standing_in() as elsewhere:
        headers = dict(large(CONTENT).headers) | {"Location": f"{elsewhere.url}/blob?signature=sesame"}
        server.pages[PATH] = Page(b"", status=302, headers=headers)
        write_rows(home, row("tiny", CONTENT if known else None, SOURCE))
        with pytest.raises(WeightsError) as caught:
            fetch()
        elsewhere.pages["/blob"] = Page(CONTENT)
        assert fetch() == CONTENT
        assert {asked.headers.get("Authorization") for asked in server.asked} == {f"Bearer {TOKEN}"}
        assert {asked.headers.get("Authorization") for asked in elsewhere.asked} == {None}
    told = str(caught.value) + "".join(capfd.readouterr())
    assert TOKEN not in told
    assert "sesame" not in told


def test_without_a_token_none_is_sent(home: Path, server: StandIn) -> None:
    server.pages[PATH] = large(CONTENT)
    write_rows(home, row("tiny", None, SOURCE))
    assert fetch() == CONTENT
    assert {asked.headers.get("Authorization") for asked in server.asked} == {None}


def test_a_hub_that_never_answers_costs_seconds(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/own.bin"] = Page(CONTENT)
    came: list[object] = []
    with mute_port(came) as mute:
        monkeypatch.setenv("HF_ENDPOINT", mute)
        write_rows(home, row("tiny", CONTENT, SOURCE, server.url + "/own.bin"), row("open", None, SOURCE))
        monkeypatch.setattr("shared.weights.http.READ_SECONDS", 1.0)
        began = time.monotonic()
        assert fetch() == CONTENT
        with pytest.raises(SourceError, match="was not asked again"):
            fetch("open")
    assert len(came) == 1
    assert time.monotonic() - began < 60


def test_a_mirror_over_plain_http_elsewhere_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    write_rows(home, row("tiny", None, SOURCE))
    with pytest.raises(SourceError, match="plain http to another machine"):
        fetch()


@pytest.mark.parametrize("text", ["{", "[1]", '{"hf:x": {}}', '{"hf:x": {"sha256": "ab", "size": 1}}'])
def test_a_lock_file_that_is_none_is_said(home: Path, text: str) -> None:
    write_rows(home, row("tiny", None, SOURCE))
    (home / "lock.json").write_text(text)
    with pytest.raises(WeightsError, match=r"lock\.json must .* mend or delete it"):
        fetch()


def test_two_sources_are_pinned_together(home: Path, server: StandIn) -> None:
    mirror = SOURCE.replace("owner/", "mirror/")
    server.pages[PATH] = large(CONTENT)
    write_rows(home, row("tiny", None, mirror, SOURCE))
    assert fetch() == CONTENT
    assert sorted(json.loads((home / "lock.json").read_text())) == sorted([mirror, SOURCE])
