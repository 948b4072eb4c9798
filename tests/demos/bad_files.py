"""Files that visitors should not have chosen, each made here in little time."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8\x00" + bytes(range(256)) * 20
LETTER = b"This is a letter, and nothing else.\n" * 40


def china() -> bytes:
    """A photograph, as JPEG."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "datasets/images/china.jpg").read_bytes()


def png(width: int = 8, height: int = 8, data: bytes | None = None) -> bytes:
    """A PNG of grey pixels that claims a size, whatever its data hold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    held = zlib.compress(bytes((width + 1) * height)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", held) + chunk(b"IEND", b"")


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as held:
        for name, content in members.items():
            held.writestr(name, content)
    return file.getvalue()


def claiming(archive: bytes, size: int, *, locked: bool = False) -> bytes:
    """A zip whose directory says that its first member is so large, or locked by a password."""
    at = archive.index(b"PK\x01\x02")
    flags = struct.pack("<H", struct.unpack_from("<H", archive, at + 8)[0] | locked)
    return archive[: at + 8] + flags + archive[at + 10 : at + 24] + struct.pack("<I", size) + archive[at + 28 :]


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(file, kind)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """By name: what is no picture that can be used."""
    small = picture("PNG")
    return {
        "empty.jpg": b"",
        "letter.png": LETTER,
        "program.png": EXE,
        "archive.jpg": zipped({"a.jpg": china()}),
        "half.jpg": china()[:30_000],
        "half.png": small[: len(small) // 2],
        "spoilt.png": small[:60] + bytes(40) + small[100:],
        "bomb.png": png(30_000, 30_000, zlib.compress(bytes(30_001))),
        "page.webp": b"<!doctype html><title>404</title>",
    }


def zips() -> dict[str, bytes]:
    """By name: what is no zip of pictures that can be used."""
    good = zipped({f"n02129165/{at}.jpg": china() for at in range(2)})
    return {
        "empty.zip": b"",
        "letter.zip": LETTER,
        "picture.zip": china(),
        "half.zip": good[: len(good) // 2],
        "hollow.zip": zipped({}),
        "climbing.zip": zipped({"../../climbed.jpg": china()}),
        "rooted.zip": zipped({"/tmp/rooted.jpg": china()}),
        "backwards.zip": zipped({"..\\climbed.jpg": china()}),
        "bomb.zip": claiming(zipped({"a/1.jpg": china()}), 3_000_000_000),
        "lying.zip": claiming(zipped({"a/1.jpg": bytes(30_000_000), "b/2.jpg": b""}), 1_000),
        "spoilt.zip": good[:100] + bytes(60) + good[160:],
        "locked.zip": claiming(zipped({"a/1.jpg": china()}), len(china()), locked=True),
        "clash.zip": zipped({"a": b"file", "a/1.jpg": china()}),
        "long.zip": zipped({f"a/{'x' * 300}.jpg": china()}),
        "many.zip": zipped({f"a/{at}.jpg": b"" for at in range(1_001)}),
        "letters.zip": zipped({"a/1.txt": LETTER, "b/2.txt": LETTER}),
        "pictures-that-are-none.zip": zipped({"n02129165/1.jpg": LETTER, "n02130308/2.jpg": b""}),
        "bombs.zip": zipped({"n02129165/1.png": pictures()["bomb.png"], "n02130308/2.png": pictures()["bomb.png"]}),
    }


def tables() -> dict[str, bytes]:
    """By name: what is no CSV that can be used."""
    return {
        "empty.csv": b"",
        "program.csv": EXE,
        "picture.csv": china(),
        "utf16.csv": "text,label\nä film,positive\n".encode("utf-16"),
        "latin.csv": "unit,arm,spend\nzoë,old,3\nannö,new,4\n".encode("latin-1"),
        "head.csv": b"unit,arm,spend\n",
        "ragged.csv": b"unit,arm,spend\n1,old,3\n2,new\n",
        "quoted.csv": b'unit,arm,spend\n1,old,"3\n2,new,4\n',
        "wide.csv": b'unit,arm,spend\n1,old,"' + b"x" * 200_000 + b'"\n2,new,4\n',
        "zero.csv": b"unit,arm,spend\n1,o\x00ld,3\n2,new,4\n",
        "letter.csv": LETTER,
        "archive.csv": zipped({"a.csv": b"unit,arm,spend\n"}),
        "twice.csv": b"unit,unit,spend\n1,old,3\n2,new,4\n",
        "high.csv": b"unit\n" + b"1\n" * 50_001,
    }


def documents() -> dict[str, bytes]:
    """By name: what is no document that can be read."""
    return {
        "empty.pdf": b"",
        "broken.pdf": b"%PDF-1.4 and nothing",
        "letter.pdf": LETTER,
        "half.pdf": pdf()[: len(pdf()) // 2],
        "locked.pdf": pdf().replace(
            b"/Root 1 0 R",
            b"/Root 1 0 R /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
            b"/O (" + b"o" * 32 + b") /U (" + b"u" * 32 + b") >> /ID [(i)(i)]",
        ),
        "program.txt": EXE,
        "picture.md": china(),
        "program.exe": EXE,
        "empty.txt": b"",
        "long.txt": b"word " * 240_000,
    }


def pdf(text: str = "The Eiger is 3,967 metres high.") -> bytes:
    """A PDF of one page with a line on it."""
    stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
    ]
    whole, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(whole)
    return whole + b"xref\n0 5\n0000000000 65535 f \n" + table + end


def clips() -> dict[str, bytes]:
    """By name: what is no video that can be looked at."""
    return {
        "empty.mp4": b"",
        "letter.mp4": LETTER,
        "picture.mp4": china(),
        "program.mp4": EXE,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "hollow.mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + b"\x00\x00\x00\x08moov",
    }
