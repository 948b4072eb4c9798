"""Archives of samples: what becomes a row, what becomes a failure, and what a continued job reads again."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from batch_toy import COLOURS, SHOUTS, Shout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.batch import read, run, samples
from shared.batch import tars as tars_module
from shared.batch.archives import scan
from shared.batch.inputs import open_source
from shared.batch.rows import Row
from shared.errors import DataError, PlanMismatchError, UsageError


def picture(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def make(path: Path, members: Sequence[tuple[str, bytes | str]], **how: Any) -> Path:
    with tarfile.open(path, "w", **how) as archive:
        for name, content in members:
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def rows(text: object, kind: str = "text", **options: Any) -> list[Row]:
    source = open_source(str(text), kind, **options)
    found = list(source.rows())
    assert [row.index for row in found] == list(range(source.total))
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("s/d-{00..02}.tar", ["s/d-00.tar", "s/d-01.tar", "s/d-02.tar"]),
        ("s/d-*.tar", ["s/d-00.tar", "s/d-01.tar", "s/d-02.tar"]),
        ("s/d-0{1..2}.tar", ["s/d-01.tar", "s/d-02.tar"]),
        ("s/d-{0..0}{1..2}.tar", ["s/d-01.tar", "s/d-02.tar"]),
        ("s/d-01.tar", ["s/d-01.tar"]),
        ("s", []),
        ("folder.tar", []),
        ("s/a.csv", []),
    ],
)
def test_names_of_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    (tmp_path / "folder.tar").mkdir()
    for number in range(3):
        make(tmp_path / "s" / f"d-0{number}.tar", [("a.txt", "a")])
    assert tars_module.tars(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d-{00..02}.tar", "Nothing stands at d-00.tar"),
        ("d-{02..00}.tar", r"a series must run upwards, .* Got \{02\.\.00\}"),
        ("d-{0..9999999}.tar", "to at most 1,000,000 names"),
        ("d-*.tar", r"Nothing matches d-\*\.tar"),
        ("d.tar.gz", "must be a plain .tar, .* unpack it once"),
    ],
)
def test_archives_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        open_source(text, "text")


SAMPLES = [
    ("one.txt", "first"),
    ("one.json", '{"title": "t1", "key": 7}'),
    ("deep/two.json", '{"text": "second", "key": "k2"}'),
    ("./three.cls", "3"),
    ("three.txt", "\ufeffthird"),
    ("three.txt", "again"),
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("first", None), ("second", None), ("third", None), ("again", None)]),
        ({"id_column": "__key__"}, [("first", "one"), ("second", "deep/two"), ("third", "three"), ("again", "three")]),
        ({"id_column": "key"}, [("first", "7"), ("second", "k2"), ("third", ""), ("again", "")]),
        ({"column": "title"}, [("t1", None), None, None, None]),
        ({"column": "cls"}, [None, None, ("3", None), None]),
    ],
)
def test_samples_of_texts(tmp_path: Path, form: int, options: dict[str, str], expected: list[Any]) -> None:
    path = make(tmp_path / "d.tar", SAMPLES, format=form)
    found = rows(path, **options)
    assert [None if row.fault else (row.item, row.id) for row in found] == expected
    assert found[0].input == (found[0].item if found[0].fault is None else f"{path}/one")


def test_samples_of_pictures_are_read_when_they_are_wanted(tmp_path: Path) -> None:
    members = [("a.mask.png", picture(1)), ("a.PNG", picture(2)), ("a.json", '{"k": 5}'), ("b.mask.png", picture(3))]
    path = make(tmp_path / "d.tar", members)
    found = rows(path, "image", id_column="k")
    assert [row.item.read_bytes() for row in found] == [picture(2), picture(3)]
    assert [row.input for row in found] == [f"{path}/a.PNG", f"{path}/b.mask.png"]
    assert [row.id for row in found] == ["5", ""]
    assert rows(path, "image", column="mask.png")[0].item.read_bytes() == picture(1)


def odd(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> bytes:
    """The header of a member that claims to be something."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size:
        number = size.to_bytes(12, "big", signed=True)
        block[124:136] = bytes([0x80 if size > 0 else 0xFF]) + number[1:]
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:512]))
    return bytes(block)


def sparse_bomb() -> bytes:
    """A member of a few bytes that unpacks to an exbibyte, in GNU's old form."""
    info = tarfile.TarInfo("bomb.txt")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 0
    block[483:495] = b"\x80" + (1 << 60).to_bytes(11, "big")
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:512]))
    return bytes(block)


HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "leads out": (odd("../../etc/passwd.txt"), "refused", "must lead into the archive"),
    "absolute": (odd("/etc/passwd.txt"), "refused", "must lead into the archive"),
    "symbolic link": (odd("l.txt", tarfile.SYMTYPE, link="/etc/passwd"), "refused", "l.txt is a link"),
    "hard link": (odd("l.txt", tarfile.LNKTYPE, link="a.txt"), "refused", "l.txt is a link"),
    "device": (odd("d.txt", tarfile.CHRTYPE), "refused", "d.txt is a device or a pipe"),
    "pipe": (odd("p.txt", tarfile.FIFOTYPE), "refused", "p.txt is a device or a pipe"),
    "sparse bomb": (sparse_bomb(), "refused", "sparse one of 1,152,921,504,606,846,976 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_hostile_member_is_a_failure_between_good_ones(tmp_path: Path, name: str, kind: str) -> None:
    block, fault, words = HOSTILE[name]
    if kind == "image":
        block = block.replace(b".txt", b".png")
        block = block[:148] + b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:512])) + block[156:]
    suffix, content = ("txt", b"x") if kind == "text" else ("png", picture(1))
    good = make(tmp_path / "good.tar", [(f"a.{suffix}", content)]).read_bytes()
    end = next(
        at for at in range(512, len(good), 512) if not good[at : at + 512].strip(b"\0") and at > 512 + len(content)
    )
    path = tmp_path / "d.tar"
    path.write_bytes(good[:end] + block + good)
    found = rows(path, kind)
    assert [row.fault and row.fault.kind for row in found] == [None, fault, None]
    assert found[1].fault is not None
    assert words.replace(".txt", f".{suffix}") in found[1].fault.message


def three(path: Path) -> bytes:
    return make(path, [(f"{n}.txt", f"text {n} " * 100) for n in range(3)]).read_bytes()


@pytest.mark.parametrize(
    ("damage", "expected", "words"),
    [
        (lambda d: d[: 512 + 1024 + 600], ["", "corrupt"], "the archive ends before"),
        (lambda d: d[: 512 + 1024 + 100], ["", "corrupt"], "From byte 1,536 of 1,636 on it is none"),
        (lambda d: d[: 512 + 1024], [""], ""),
        (lambda d: d[:1536] + b"junk" * 128 + d[1536:], ["", "corrupt"], "what stands there is no header"),
        (lambda d: d[:1536] + odd("b.txt", size=-1024) + d[1536:], ["", "corrupt", "corrupt"], "on it is none"),
        (lambda d: d[:1536] + odd("b.txt", size=1 << 70) + d[1536:], ["", "corrupt"], "the archive ends before"),
        (lambda d: d[:1536] + odd("L", b"L", 1 << 40) + d[1536:], ["", "corrupt"], "bytes before one member"),
        (lambda d: d[:1536] + odd("x", b"x", 1 << 22) + d[1536:], ["", "corrupt"], "bytes before one member"),
        (lambda d: d[:1536] + odd("x", b"x") * 3000 + d[1536:], ["", "corrupt"], "on it is none"),
    ],
)
def test_an_archive_that_is_none_from_some_byte_on_says_so(
    tmp_path: Path, damage: Callable[[bytes], bytes], expected: list[str], words: str
) -> None:
    whole = three(tmp_path / "whole.tar")
    path = tmp_path / "d.tar"
    path.write_bytes(damage(whole))
    found = rows(path)
    assert [row.fault.kind if row.fault else "" for row in found] == expected
    assert found[-1].fault is None or words in found[-1].fault.message


@pytest.mark.parametrize("content", [b"", b"PNG, not a tar" * 100, b"x" * 40])
def test_what_is_no_archive_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d.tar"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"d\.tar must be a tar archive"):
        open_source(str(path), "text")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_damage_makes_more_than_rows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes are overwritten, the headers are gone through to an end, and every member lies in the file."""
    folder = tmp_path_factory.mktemp("tar")
    content = bytearray(three(folder / "whole.tar"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 3 * 1536 - 9))
        content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path = folder / "d.tar"
    path.write_bytes(content)
    try:
        found = list(scan(str(path)))
    except DataError:
        return
    assert all(m.fault or 0 <= m.offset <= m.offset + m.size <= len(content) for m in found)


def test_an_item_that_is_too_long_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_BYTES", 100)
    path = make(tmp_path / "d.tar", [("a.txt", "x" * 100), ("b.txt", "x" * 101)])
    assert [row.fault and row.fault.kind for row in rows(path)] == [None, "too-large"]


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.bin", "x", "wrong-type", "must have a member txt or json. a has bin"),
        ("a.txt", b"\xff", "corrupt", "must be UTF-8 text"),
        ("a.json", "{", "corrupt", "must be one JSON object"),
        ("a.json", "[1]", "corrupt", "Got a list instead"),
        ("a.json", "[" * 100_000, "corrupt", "recursion"),
        ("a.json", '{"text": null}', "empty", "must have a value text"),
    ],
)
def test_a_sample_that_does_not_fit(tmp_path: Path, name: str, content: bytes | str, kind: str, words: str) -> None:
    (row,) = rows(make(tmp_path / "d.tar", [(name, content)]))
    assert row.fault is not None
    assert (row.fault.kind, words in row.fault.message) == (kind, True), row.fault.message


def test_a_job_over_archives_and_its_continuation_read_each_member_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(2):
        make(tmp_path / f"d-{part}.tar", [(f"{n:02d}.txt", f"t{part}{n:02d}") for n in range(20)])
    text, out = f"{tmp_path}/d-{{0..1}}.tar", tmp_path / "out"
    report = run(SHOUTS, text, out, progress=False, id_column="__key__", shard_size=8)
    assert (report.rows, report.failed) == (40, 0)
    expected = [(f"{n:02d}", Shout(f"T{part}{n:02d}!")) for part in range(2) for n in range(20)]
    assert [(o.id, o.result) for o in read(out)] == expected
    (out / "part-00004.parquet").unlink()
    taken: list[str] = []
    genuine = samples._read
    monkeypatch.setattr(samples, "_read", lambda file, member: taken.append(member.name) or genuine(file, member))
    monkeypatch.setattr(tars_module, "scan", lambda path: pytest.fail("the headers were gone through again"))
    again = run(SHOUTS, text, out, progress=False, id_column="__key__")
    assert (again.predicted, again.resumed) == (8, 32)
    assert taken == [f"{n:02d}.txt" for n in range(12, 20)]
    assert [(o.id, o.result) for o in read(out)] == expected


def test_a_job_over_pictures_in_an_archive(tmp_path: Path) -> None:
    members = [(f"{n}.png", picture(10 * n) if n != 3 else b"broken") for n in range(12)]
    path = make(tmp_path / "d.tar", members)
    report = run(COLOURS, path, tmp_path / "out", progress=False, workers=2)
    assert (report.rows, report.failed) == (12, 1)
    reds = [o.result.to_json()["rgb"][0] if o.ok else None for o in read(tmp_path / "out")]
    assert reds == [10.0 * n if n != 3 else None for n in range(12)]


def test_a_changed_archive_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "d.tar", [("a.txt", "a")])
    run(SHOUTS, path, tmp_path / "out", progress=False)
    make(path, [("a.txt", "b")])
    os.utime(path, ns=(5, 5))
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        run(SHOUTS, path, tmp_path / "out", progress=False)


def test_an_archive_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = make(tmp_path / "d.tar", [(f"{n}.txt", "a") for n in range(3)])
    reading = open_source(str(path), "text").rows()
    next(reading)
    path.write_bytes(path.read_bytes() + b"\0" * 512)
    with pytest.raises(DataError, match="must not change while a job reads it"):
        list(reading)


def test_a_note_of_places_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path, out = make(tmp_path / "d.tar", [("a.txt", "a")]), tmp_path / "out"
    run(SHOUTS, path, out, progress=False)
    (note,) = (out / "_job" / "members").iterdir()
    assert json.loads(gzip.decompress(note.read_bytes()))[0] == "a"
    note.write_bytes(note.read_bytes()[:-6])
    (out / "part-00000.parquet").unlink()
    with pytest.raises(DataError, match="must hold the places of an archive's members: delete it, run again"):
        run(SHOUTS, path, out, progress=False)
