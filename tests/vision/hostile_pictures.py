"""Five hundred hostile pictures, made anew for each run from one seed."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, features

COUNT = 500
OK = "ok"
BAD = frozenset({"corrupt", "unsupported", "empty", "too-large", "wrong-type", "not-found", "unreadable"})
"""Every kind of failure that a picture on disk may have."""
ANY = BAD | {OK}

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {"quality": 85}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg.tif": ("TIFF", {"compression": "jpeg"}),
    "ppm": ("PPM", {}),
    "jp2": ("JPEG2000", {}),
    "mpo": ("MPO", {"save_all": True}),
    **({"avif": ("AVIF", {})} if features.check("avif") else {}),
}


def picture() -> Image.Image:
    """A little scene with edges, so that no codec makes it trivially short."""
    noise = np.random.default_rng(7).integers(0, 256, (120, 160, 3), np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, *, bits: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def big_png(width: int, height: int) -> bytes:
    """A whole and true PNG of one bit a pixel that is small on disk."""
    packer = zlib.compressobj(9)
    rows = [packer.compress(bytes((width + 7) // 8 + 1)) for _ in range(height)]
    return (
        png_header(width, height, bits=1, colour=0)
        + chunk(b"IDAT", b"".join(rows) + packer.flush())
        + chunk(b"IEND", b"")
    )


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with application segments behind its first two bytes."""
    extra = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return jpeg[:2] + extra + jpeg[2:]


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def flipped(content: bytes, rng: np.random.Generator, share: float) -> bytes:
    """The bytes with some set at random; the first eight stay, so that the format is recognised."""
    data = bytearray(content)
    for at in rng.integers(8, len(data), max(1, int(len(data) * share))):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def odd_pixels() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Every kind of pixel that is a picture all the same, and those whose range nobody states."""
    rgb = picture()
    fine = frozenset({OK})
    shades = np.arange(160 * 120, dtype=np.uint16).reshape(120, 160) * 3
    yield "cmyk.jpg", encoded(rgb.convert("CMYK"), "JPEG"), fine
    yield "cmyk.tif", encoded(rgb.convert("CMYK"), "TIFF"), fine
    yield "lab.tif", encoded(rgb.convert("LAB"), "TIFF"), fine
    yield "grey.jpg", encoded(rgb.convert("L"), "JPEG"), fine
    yield "bits.png", encoded(rgb.convert("1"), "PNG"), fine
    yield "palette.gif", encoded(rgb.convert("P"), "GIF", transparency=3), fine
    yield "palette.png", encoded(rgb.convert("P"), "PNG", transparency=b"\x00\x80"), fine
    yield "alpha.png", encoded(rgb.convert("RGBA"), "PNG"), fine
    yield "grey-alpha.png", encoded(rgb.convert("LA"), "PNG"), fine
    yield "sixteen.png", encoded(Image.fromarray(shades), "PNG"), fine
    yield "sixteen.tif", encoded(Image.fromarray(shades), "TIFF"), fine
    yield "integers.tif", encoded(Image.fromarray(shades.astype(np.int32) * 70000), "TIFF"), frozenset({"unsupported"})
    yield "floats.tif", encoded(Image.fromarray(shades.astype(np.float32)), "TIFF"), frozenset({"unsupported"})
    frames = [rgb.rotate(turn) for turn in (0, 90, 180)]
    for name, format in (("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG"), ("tif", "TIFF")):
        yield f"animated.{name}", encoded(frames[0], format, save_all=True, append_images=frames[1:]), fine


def sizes() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Long, thin, huge and falsely huge."""
    fine, large = frozenset({OK}), frozenset({"too-large"})
    large_or_corrupt = large | {"corrupt"}
    for name, shape in (("wide", (30_000, 1)), ("high", (1, 30_000)), ("dot", (1, 1)), ("two", (2, 1))):
        image = Image.new("RGB", shape, "teal")
        yield f"{name}.png", encoded(image, "PNG"), fine
        yield f"{name}.jpg", encoded(image, "JPEG"), fine
    yield "square-20000.png", big_png(20_000, 20_000), large
    yield "square-20000.gif", encoded(Image.new("1", (20_000, 20_000)), "GIF"), large
    yield "claims-65535.png", png_header(65_535, 65_535) + chunk(b"IDAT", zlib.compress(b"0")), large
    yield "claims-most.png", png_header(2**31 - 1, 2**31 - 1) + chunk(b"IDAT", b""), large
    yield "claims-zero.png", png_header(0, 0) + chunk(b"IDAT", zlib.compress(b"")), BAD
    jpeg = encoded(picture(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    for name, rows, columns in (("huge", 65_500, 65_500), ("rowless", 0, 160), ("tall", 65_500, 160)):
        changed = jpeg[:at] + struct.pack(">HH", rows, columns) + jpeg[at + 4 :]
        yield f"claims-{name}.jpg", changed, large if name == "huge" else ANY
    bmp = encoded(picture(), "BMP")
    yield "claims-huge.bmp", bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:], large
    yield "claims-minus.bmp", bmp[:18] + struct.pack("<ii", -160, -(2**31)) + bmp[26:], BAD
    gif = encoded(picture(), "GIF")
    yield "claims-huge.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], large_or_corrupt
    ppm = b"P6 65000 65000 255\n" + b"\0" * 1000
    yield "claims-huge.ppm", ppm, large
    yield "claims-endless.ppm", b"P6 " + b"9" * 400 + b" 1 255\n", BAD
    tiff = encoded(picture(), "TIFF")
    yield "tags.tif", tiff[:8] + b"\xff\xff" + tiff[10:], ANY


def metadata() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """What stands beside the pixels: broken, huge or swelling."""
    fine = frozenset({OK})
    jpeg, png = encoded(picture(), "JPEG"), encoded(picture(), "PNG")
    rng = np.random.default_rng(11)
    for at in range(20):
        body = b"Exif\0\0" + (b"II*\0\x08\0\0\0" if at % 2 else b"") + rng.bytes(int(rng.integers(0, 300)))
        yield f"exif-{at}.jpg", with_segments(jpeg, (0xE1, body)), fine
    orientation = struct.pack("<4sIHHHI", b"II*\0", 8, 1, 0x0112, 7, 2**31 - 1) + b"\xff" * 8
    yield "exif-endless.jpg", with_segments(jpeg, (0xE1, b"Exif\0\0" + orientation)), fine
    loop = b"Exif\0\0II*\0\x08\0\0\0\x00\x00\x08\0\0\0"
    yield "exif-loop.jpg", with_segments(jpeg, (0xE1, loop)), fine
    yield "segments.jpg", with_segments(jpeg, *[(0xE1, bytes(65_000))] * 300), fine
    yield "comments.jpg", with_segments(jpeg, *[(0xFE, b"x" * 65_000)] * 100), fine
    yield "profile.jpg", with_segments(jpeg, (0xE2, b"ICC_PROFILE\0\x01\x01" + rng.bytes(900))), fine
    yield "text.png", with_chunks(png, chunk(b"tEXt", b"k\0" + bytes(20_000_000))), ANY
    bomb = zlib.compress(bytes(200_000_000), 9)
    yield "text-bomb.png", with_chunks(png, chunk(b"zTXt", b"k\0\0" + bomb)), ANY
    yield "many-text.png", with_chunks(png, *[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000)))] * 100), ANY
    yield "profile-bomb.png", with_chunks(png, chunk(b"iCCP", b"p\0\0" + bomb)), ANY
    pixels = png_header(100, 100) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    yield "pixel-bomb.png", pixels, ANY
    webp = encoded(picture(), "WEBP", exif=b"Exif\0\0" + rng.bytes(200))
    yield "exif.webp", webp, fine


def strangers() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Files that are no pictures, and pictures that are not what their names say."""
    other = frozenset({"unsupported"})
    texts = {
        "html": b"<!doctype html><html><body>404</body></html>",
        "json": b'{"error": "not found"}',
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "zip": b"PK\x03\x04" + bytes(60),
        "elf": b"\x7fELF" + bytes(200),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "zeros": bytes(5000),
        "text": b"hello",
        "one": b"\xff",
        "pickle": b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94",
    }
    for name, content in texts.items():
        yield f"{name}.jpg", content, other
    for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif", "ppm", "jp2", "avif", "jfif"):
        yield f"nothing.{suffix}", b"", frozenset({"empty"})
    names = list(FORMATS)
    for name, wrong in zip(names, names[1:] + names[:1]):
        format, options = FORMATS[name]
        yield f"really-{name.replace('.', '-')}.{wrong}", encoded(picture(), format, **options), frozenset({OK})
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"\0\0\0\x0cjP  ", b"P6 "):
        yield f"only-starts-{start[:3].hex()}.jpg", start, frozenset({"corrupt", "unsupported"})


def damaged() -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """Each format cut at every tenth of its length, then with bytes changed, without end."""
    rng = np.random.default_rng(3)
    whole = {name: encoded(picture(), format, **options) for name, (format, options) in FORMATS.items()}
    for name, content in whole.items():
        for tenth in range(1, 10):
            yield f"cut-{tenth}.{name}", content[: len(content) * tenth // 10], ANY
    at = 0
    while True:
        for name, content in whole.items():
            yield f"fuzz-{at}.{name}", flipped(content, rng, (0.0005, 0.005, 0.05)[at % 3]), ANY
        at += 1


def places(folder: Path) -> Iterator[tuple[Path, frozenset[str]]]:
    """Things on disk that are no plain files, and names that no terminal likes."""
    good = encoded(picture(), "JPEG")
    (folder / "folder.jpg").mkdir()
    yield folder / "folder.jpg", frozenset({"wrong-type"})
    (folder / "loop.jpg").symlink_to("loop.jpg")
    yield folder / "loop.jpg", frozenset({"not-found"})
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    yield folder / "dangling.jpg", frozenset({"not-found"})
    (folder / "folder-link.jpg").symlink_to("folder.jpg")
    yield folder / "folder-link.jpg", frozenset({"wrong-type"})
    for name, device in (("zero.jpg", "/dev/zero"), ("null.jpg", "/dev/null"), ("random.jpg", "/dev/urandom")):
        (folder / name).symlink_to(device)
        yield folder / name, frozenset({"wrong-type"})
    os.mkfifo(folder / "pipe.jpg")
    yield folder / "pipe.jpg", frozenset({"wrong-type"})
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the address of a socket may be no longer than 107 bytes
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(here)
    yield folder / "socket.jpg", frozenset({"wrong-type"})
    (folder / "secret.jpg").write_bytes(good)
    (folder / "secret.jpg").chmod(0)
    yield folder / "secret.jpg", frozenset({"unreadable", OK})  # the superuser may read it
    for name in ("a\nline.jpg", "a b'\"$(x).jpg", "-rf.jpg", "日本語.jpg", "x" * 240 + ".jpg"):
        (folder / name).write_bytes(good)
        yield folder / name, frozenset({OK})
    raw = os.fsdecode(b"not-\xff-text.jpg")
    (folder / raw).write_bytes(good)
    yield folder / raw, frozenset({OK})
    yield folder / "absent.jpg", frozenset({"not-found"})
    yield Path("x" * 5000 + ".jpg"), frozenset({"not-found"})


def make(folder: Path) -> dict[str, frozenset[str]]:
    """Write the pictures; from the path of each to what may become of it: :data:`OK`, or kinds of failure."""
    wanted: dict[str, frozenset[str]] = {str(path): kinds for path, kinds in places(folder)}
    makers: tuple[Callable[[], Iterator[tuple[str, bytes, frozenset[str]]]], ...]
    makers = (odd_pixels, sizes, metadata, strangers, damaged)
    for maker in makers:
        for name, content, kinds in maker():
            if len(wanted) == COUNT:
                return wanted
            path = folder / name
            path.write_bytes(content)
            wanted[str(path)] = kinds
    return wanted
