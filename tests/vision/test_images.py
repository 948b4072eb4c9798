"""Every kind of picture, and every kind of bad one."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.errors import InputError
from vision import remote
from vision.images import MAX_PIXELS, View, load, load_view

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners() -> Image.Image:
    """32 x 16 pixels, each quarter of its own colour: red, green / blue, white."""
    image = Image.new("RGB", (32, 16))
    for box, colour in (((0, 0), RED), ((16, 0), GREEN), ((0, 8), BLUE), ((16, 8), WHITE)):
        image.paste(colour, (*box, box[0] + 16, box[1] + 8))
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(width: int = 320, height: int = 240) -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def quarters(pixels: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    height, width = pixels.shape[:2]
    return [tuple(pixels[y, x].tolist()) for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]


def close(first: object, second: object, tolerance: int = 6) -> bool:
    return bool(np.abs(np.array(first, int) - np.array(second, int)).max() <= tolerance)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF"])
def test_every_format_is_read(format: str) -> None:
    options = {"quality": 95} if format in ("JPEG", "WEBP", "AVIF") else {}
    pixels = load(encoded(corners(), format, **options))
    assert pixels.shape == (16, 32, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert close(quarters(pixels), [RED, GREEN, BLUE, WHITE], 12)


def test_path_bytes_image_and_array_are_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    corners().save(path)
    wanted = np.asarray(corners())
    content = path.read_bytes()
    for source in (path, str(path), content, bytearray(content), memoryview(content), corners(), wanted):
        np.testing.assert_array_equal(load(source), wanted)


def test_sources_are_left_as_they_were() -> None:
    array = np.asarray(corners()).copy()
    load(array)[:] = 0
    np.testing.assert_array_equal(array, np.asarray(corners()))
    lazy = Image.open(io.BytesIO(encoded(photo(), "JPEG")))
    load_view(lazy, lambda height, width: View((0, 0, width, height), (24, 32)))
    assert lazy.size == (320, 240)
    assert np.asarray(lazy).shape == (240, 320, 3)


ORIENTED = {
    1: [RED, GREEN, BLUE, WHITE], 2: [GREEN, RED, WHITE, BLUE], 3: [WHITE, BLUE, GREEN, RED],
    4: [BLUE, WHITE, RED, GREEN], 5: [RED, BLUE, GREEN, WHITE], 6: [BLUE, RED, WHITE, GREEN],
    7: [WHITE, GREEN, BLUE, RED], 8: [GREEN, WHITE, RED, BLUE],
}  # fmt: skip
"""What the four quarters are once a picture stored as red, green / blue, white is turned as its EXIF tag says."""


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(turn: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {} if format in ("PNG", "TIFF") else {"quality": 95}
    content = encoded(corners(), format, exif=exif, **options)
    for source in (content, Image.open(io.BytesIO(content))):
        pixels = load(source)
        assert pixels.shape == ((16, 32, 3) if turn < 5 else (32, 16, 3))
        assert close(quarters(pixels), ORIENTED[turn], 12)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("shape", [(1200, 800), (803, 1201)])
def test_a_large_jpeg_is_reduced_as_it_is_decoded_and_stays_in_place(turn: int, shape: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encoded(photo(*shape), "JPEG", quality=95, exif=exif)
    whole = Image.fromarray(load(content))

    def part(height: int, width: int) -> View:
        return View((width * 0.25, height * 0.1, width * 0.75, height * 0.9), (60, 50))

    pixels, size = load_view(content, part)
    assert size == (whole.height, whole.width)
    wanted = np.asarray(whole.resize((50, 60), Image.Resampling.BILINEAR, part(*size).box))
    assert np.abs(pixels.astype(int) - wanted).mean() < 1.5


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_means_nothing_counts_as_upright(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert load(encoded(corners(), "JPEG", exif=exif)).shape == (16, 32, 3)


def test_exif_that_cannot_be_read_counts_as_upright_whatever_the_warning_filters() -> None:
    content = encoded(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12")
    for action in ("error", "ignore"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)  # type: ignore[arg-type]
            assert load(content).shape == (16, 32, 3)


MODES: dict[str, tuple[Callable[[], bytes], Any]] = {
    "greyscale": (lambda: encoded(Image.new("L", (2, 2), 100)), (100, 100, 100)),
    "bilevel": (lambda: encoded(Image.new("1", (2, 2), 1)), WHITE),
    "palette": (lambda: encoded(Image.new("RGB", (2, 2), BLUE).quantize(4)), BLUE),
    "palette, transparent": (lambda: encoded(Image.new("P", (2, 2), 0), transparency=0), WHITE),
    "palette, half transparent": (lambda: encoded(palette(), transparency=bytes([128])), (255, 127, 127)),
    "GIF, transparent": (lambda: encoded(Image.new("P", (2, 2), 0), "GIF", transparency=0), WHITE),
    "RGB with a transparent colour": (lambda: encoded(Image.new("RGB", (2, 2), BLUE), transparency=BLUE), WHITE),
    "grey with a transparent value": (lambda: encoded(Image.new("L", (2, 2), 7), transparency=7), WHITE),
    "alpha": (lambda: encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0))), WHITE),
    "half alpha": (lambda: encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128))), (127, 127, 127)),
    "grey and alpha": (lambda: encoded(Image.new("LA", (2, 2), (0, 51))), (204, 204, 204)),
    "16 bits, grey": (lambda: encoded(sixteen(32896)), (128, 128, 128)),
    "16 bits, white": (lambda: encoded(sixteen(65535)), WHITE),
    "16 bits, TIFF": (lambda: encoded(sixteen(32896), "TIFF"), (128, 128, 128)),
    "16 bits, PGM": (lambda: b"P5 1 1 65535\n" + (32896).to_bytes(2, "big"), (128, 128, 128)),
    "16 bits, colour": (lambda: png16((65535, 32896, 0)), (255, 128, 0)),
    "CMYK, TIFF": (lambda: encoded(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "TIFF"), (0, 255, 255)),
    "CMYK, JPEG": (lambda: encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95), (0, 255, 255)),
    "CMYK, JPEG, unmarked": (lambda: unmarked(Image.new("CMYK", (8, 8), (255, 0, 0, 0))), (0, 255, 255)),
    "animated GIF": (lambda: animation("GIF"), RED),
    "animated WebP": (lambda: animation("WEBP", lossless=True), RED),
    "animated PNG": (lambda: animation("PNG"), RED),
    "pages of a TIFF": (lambda: animation("TIFF"), RED),
}


def palette() -> Image.Image:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([*RED, *BLUE])
    return image


def sixteen(value: int) -> Image.Image:
    return Image.fromarray(np.full((2, 2), value, np.uint16))


def png16(colour: tuple[int, int, int]) -> bytes:
    """A PNG of one pixel with 16 bits a channel, which Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", *colour)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")


def unmarked(image: Image.Image) -> bytes:
    """A CMYK JPEG without the marker by which Adobe's programs say that it is inverted."""
    content = encoded(image, "JPEG", quality=95)
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def animation(format: str, **options: Any) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", MODES)
def test_every_kind_of_pixel(kind: str) -> None:
    make, colour = MODES[kind]
    pixels = load(make())
    assert pixels.ndim == 3
    assert close(pixels[0, 0], colour), pixels[0, 0]


def test_an_image_counts_at_the_frame_where_it_stands() -> None:
    image = Image.open(io.BytesIO(animation("GIF")))
    image.seek(2)
    assert close(load(image)[0, 0], BLUE)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_thin_pictures(size: tuple[int, int]) -> None:
    content = encoded(Image.new("RGB", size, BLUE), "JPEG", quality=95)
    assert load(content).shape == (size[1], size[0], 3)
    pixels, _ = load_view(content, lambda height, width: View((0, 0, width, height), (16, 16)))
    assert close(pixels[8, 8], BLUE, 12)


def jpeg() -> bytes:
    return encoded(photo(), "JPEG", quality=90)


def float_tiff(value: float) -> bytes:
    return encoded(Image.fromarray(np.full((2, 2), value, np.float32)), "TIFF")


def huge_png(side: int) -> bytes:
    """A header that claims side x side pixels, in a hundred bytes."""
    content = encoded(Image.new("1", (1, 1)))
    header = struct.pack(">II", side, side) + content[24:29]
    return content[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[33:]


BAD: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no bytes": (lambda: b"", "empty", "0 bytes"),
    "truncated JPEG": (lambda: jpeg()[:2000], "corrupt", "truncated"),
    "JPEG without its end": (lambda: jpeg()[:-200], "corrupt", "truncated"),
    "truncated PNG": (lambda: encoded(photo())[:3000], "corrupt", "decoded"),
    "truncated header": (lambda: jpeg()[:20], "corrupt", "begins as an image"),
    "broken PNG": (lambda: encoded(photo()).replace(b"IDAT", b"IDAX"), "corrupt", "begins as an image|decoded"),
    "HTML": (lambda: b"<!DOCTYPE html><html></html>", "unsupported", "DOCTYPE"),
    "text": (lambda: b"no image at all", "unsupported", "must be one of JPEG"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(100), "unsupported", "must be one of"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported", "must be one of"),
    "twice what is safe": (lambda: huge_png(30_000), "too-large", "30000|safe"),
    "a little too large": (lambda: huge_png(9_500), "too-large", f"at most {MAX_PIXELS:,} pixels. Got 9500 x 9500"),
    "floating-point TIFF": (lambda: float_tiff(0.5), "unsupported", "floating-point"),
    "integers beyond 16 bits": (lambda: encoded(Image.new("I", (2, 2), 70_000), "TIFF"), "unsupported", "0..65535"),
    "float array": (lambda: np.zeros((4, 4, 3)), "wrong-type", "float64 of shape (4, 4, 3)"),
    "grey array": (lambda: np.zeros((4, 4), np.uint8), "wrong-type", "must be uint8 RGB"),
    "channels first": (lambda: np.zeros((3, 4, 4), np.uint8), "wrong-type", "(3, 4, 4)"),
    "empty array": (lambda: np.zeros((0, 4, 3), np.uint8), "empty", "at least one pixel"),
    "empty image": (lambda: Image.new("RGB", (0, 3)), "empty", "at least one pixel"),
    "nothing": (lambda: None, "wrong-type", "Got NoneType"),
    "a number": (lambda: 7, "wrong-type", "Got int"),
    "no such file": (lambda: "no/such/file.jpg", "not-found", "no/such/file.jpg"),
    "a null byte": (lambda: "a\0b.jpg", "not-found", "existing file"),
    "an endless name": (lambda: "x" * 5000, "not-found", "existing file"),
    "an address": (lambda: "https://example.org/a.jpg", "refused", "allow_urls=True"),
    "another scheme": (lambda: "file:///etc/hostname", "refused", "address"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("reader", [load, lambda source: load_view(source, lambda h, w: View((0, 0, w, h), (8, 8)))])
def test_bad_pictures(case: str, reader: Callable[[Any], Any]) -> None:
    make, kind, words = BAD[case]
    with pytest.raises(InputError) as caught:
        reader(make())
    assert caught.value.kind == kind
    assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)


@pytest.mark.parametrize("case", ["no bytes", "truncated JPEG", "HTML", "a little too large"])
def test_bad_files_are_told_by_their_content_not_their_name(case: str, tmp_path: Path) -> None:
    make, kind, _ = BAD[case]
    path = tmp_path / "holiday.jpg"
    path.write_bytes(make())
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.kind == kind


def test_a_good_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(jpeg())
    assert load(path).shape == (240, 320, 3)


def test_what_reads_its_bytes_when_they_are_wanted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.jpg", jpeg())
        archive.writestr("torn.jpg", jpeg()[:100])
        assert load(zipfile.Path(archive, "photo.jpg")).shape == (240, 320, 3)
        with pytest.raises(InputError, match=r"torn\.jpg") as caught:
            load(zipfile.Path(archive, "torn.jpg"))
    assert caught.value.kind == "corrupt"


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "pipe", "a pipe"), (Path("/dev/null"), "a device")):
        with pytest.raises(InputError, match=words) as caught:
            load(path)
        assert caught.value.kind == "wrong-type"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(jpeg())
    path.chmod(0)
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.kind == "unreadable"


def test_max_pixels_can_be_lowered_and_raised() -> None:
    with pytest.raises(InputError, match="at most 76,799 pixels. Got 320 x 240"):
        load(jpeg(), max_pixels=76_799)
    with pytest.raises(InputError, match="at most 11"):
        load(np.zeros((4, 3, 3), np.uint8), max_pixels=11)
    assert load(jpeg(), max_pixels=76_800).shape == (240, 320, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF"])
def test_damaged_bytes_never_raise_anything_else(format: str) -> None:
    rng = np.random.default_rng(1)
    content = np.frombuffer(encoded(photo(64, 48), format), np.uint8)
    failures = 0
    for _ in range(150):
        damaged = content.copy()
        damaged[rng.integers(0, min(len(damaged), 400), 6)] = rng.integers(0, 256, 6)
        try:
            assert load(damaged.tobytes(), max_pixels=1_000_000).ndim == 3
        except InputError:
            failures += 1
    assert failures > 10


def test_one_lazy_image_may_be_read_by_many_threads() -> None:
    lazy = Image.open(io.BytesIO(encoded(photo(900, 700), "PNG")))
    with ThreadPoolExecutor(8) as pool:
        sums = set(pool.map(lambda _: int(load(lazy).sum()), range(16)))
    assert len(sums) == 1


class Site(BaseHTTPRequestHandler):
    """A stand-in for the web: good, redirecting and hostile answers by path."""

    def do_GET(self) -> None:
        answers = {
            "/good.jpg": (200, {"Content-Type": "image/jpeg"}, jpeg()),
            "/bytes": (200, {"Content-Type": "application/octet-stream"}, jpeg()),
            "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
            "/moved": (302, {"Location": "/good.jpg"}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/escape": (302, {"Location": "file:///etc/hostname"}, b""),
            "/large": (200, {"Content-Type": "image/jpeg"}, bytes(300_000)),
        }
        status, headers, body = answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/good.jpg", "/bytes", "/moved"])
def test_an_address_that_was_asked_for(site: str, path: str) -> None:
    assert load(site + path, allow_urls=True).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/page", "wrong-type", "answered with text/html"),
        ("/none", "unreachable", "answered 404"),
        ("/loop", "unreachable", "within 5 redirects"),
        ("/escape", "refused|unreachable", "file"),
        ("/large", "too-large", "at most 200,000 bytes"),
    ],
)
def test_an_address_that_answers_badly(
    site: str, path: str, kind: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_BYTES", 200_000)
    with pytest.raises(InputError) as caught:
        load(site + path, allow_urls=True)
    assert caught.value.kind in kind.split("|")
    assert words in str(caught.value)


def test_an_address_where_nobody_listens_and_its_secrets(site: str) -> None:
    with pytest.raises(InputError, match="unreachable|must answer") as caught:
        load("http://me:secret@127.0.0.1:9/a.jpg?token=secret", allow_urls=True)
    assert caught.value.kind == "unreachable"
    assert "secret" not in str(caught.value)


def test_offline_refuses_addresses(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    with pytest.raises(InputError, match="TRIPTYCH_OFFLINE forbids"):
        load(site + "/good.jpg", allow_urls=True)
