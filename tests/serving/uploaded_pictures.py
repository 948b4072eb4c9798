"""Pictures that mean harm."""

from __future__ import annotations

import json
import random
import struct
import zlib

from hostile import Attack, kind, picture, picture_file, post, zeros


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, data: bytes = b"\x00" * 64) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@kind
def png_of_50_000_a_side(rng: random.Random) -> Attack:
    return picture(rng, png(50_000, 50_000 - rng.randrange(9)))


@kind
def png_of_the_largest_side(rng: random.Random) -> Attack:
    return picture(rng, png(2**31 - 1, 2**31 - 1 - rng.randrange(9)))


@kind
def png_whose_data_goes_on(rng: random.Random) -> Attack:
    content = png(16, 16)
    bomb = chunk(b"IDAT", zeros(rng.randint(20, 60)))
    return picture(rng, content[:33] + bomb + chunk(b"IEND", b""), may_pass=True)


@kind
def png_bomb_in_its_profile(rng: random.Random) -> Attack:
    bomb = chunk(b"iCCP", b"x\x00\x00" + zeros(rng.randint(20, 60)))
    return picture(rng, png(8, 8, bomb, data=b"\x00" * 200), may_pass=True)


@kind
def png_bombs_in_its_texts(rng: random.Random) -> Attack:
    name = rng.choice([(b"zTXt", b"x\x00\x00"), (b"iTXt", b"x\x00\x01\x00\x00\x00")])
    bomb = chunk(name[0], name[1] + zeros(rng.choice([1, 30])))
    return picture(rng, png(8, 8, *[bomb] * rng.randint(1, 120), data=b"\x00" * 200), may_pass=True)


@kind
def png_bomb_in_its_exif(rng: random.Random) -> Attack:
    tags = b"".join(struct.pack("<HHII", rng.randrange(2**16), 7, 2**31, 8) for _ in range(500))
    exif = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 65_535) + tags
    return picture(rng, png(8, 8, chunk(b"eXIf", exif), data=b"\x00" * 200), may_pass=True)


@kind
def png_of_many_chunks(rng: random.Random) -> Attack:
    return picture(
        rng, png(8, 8, *[chunk(b"raNd", b"")] * rng.randint(1000, 50_000), data=b"\x00" * 200), may_pass=True
    )


@kind
def png_that_ends_early(rng: random.Random) -> Attack:
    whole = picture_file("PNG")
    return picture(rng, whole[: rng.randrange(1, len(whole) - 20)])


@kind
def gif_of_thousands_of_frames(rng: random.Random) -> Attack:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return picture(rng, head + frame * rng.randint(3000, 20_000) + b"\x3b", may_pass=True)


@kind
def gif_of_a_huge_canvas(rng: random.Random) -> Attack:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x44\x01\x00\x3b"
    return picture(rng, b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + frame)


@kind
def svg_of_entities(rng: random.Random) -> Attack:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, rng.randint(5, 30)))
    text = f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a0 SYSTEM "file:///etc/passwd">{laughs}]><svg>&a4;</svg>'
    return picture(rng, text.encode())


@kind
def files_of_other_kinds(rng: random.Random) -> Attack:
    heads = [
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"8BPS\x00\x01",
        b"\x00\x00\x01\x00\x01\x00",
        b"icns\x00\x00\xff\xff",
        b"\x0a\x05\x01\x08",
        b"MZ",
        b"\x7fELF",
        b"<html><script>alert(1)</script>",
        b"<?php system($_GET[0]);",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"SIMPLE  =",
    ]
    return picture(rng, rng.choice(heads) + rng.randbytes(rng.randrange(2000)))


@kind
def zip_bomb(rng: random.Random) -> Attack:
    data = zeros(20)[2:-4]
    head = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(data), 20 * 2**20, 5, 0)
    return picture(rng, head + b"x.png" + data)


def _tags(rows: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", *row) for row in rows)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(rows)) + packed + struct.pack("<I", following)


@kind
def tiff_of_huge_tags(rng: random.Random) -> Attack:
    rows = [
        (256, 4, 1, 8),
        (257, 4, 1, 8),
        (rng.choice([270, 273, 279, 330, 34_665]), rng.randint(1, 13), 2**32 - 1, 8),
    ]
    return picture(rng, _tags(rows) + bytes(64))


@kind
def tiff_that_leads_to_itself(rng: random.Random) -> Attack:
    rows = [
        (256, 4, 1, 8),
        (257, 4, 1, 8),
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 64),
        (330, 4, 1, 8),
    ]
    return picture(rng, _tags(rows, 8), may_pass=True)


@kind
def tiff_of_a_huge_side(rng: random.Random) -> Attack:
    rows = [
        (256, 4, 1, 2**31 - rng.randint(1, 9)),
        (257, 4, 1, 2**31 - 1),
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
    ]
    return picture(rng, _tags([*rows, (279, 4, 1, 64)]) + bytes(64))


@kind
def jpeg_of_a_huge_side(rng: random.Random) -> Attack:
    whole = bytearray(picture_file("JPEG"))
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 9] = struct.pack(">HH", 65_500 - rng.randrange(9), 65_500)
    return picture(rng, bytes(whole))


@kind
def jpeg_of_bad_exif(rng: random.Random) -> Attack:
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<H", 65_535) + rng.randbytes(2000)
    marker = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return picture(rng, b"\xff\xd8" + marker * rng.randint(1, 50) + picture_file("JPEG")[2:], may_pass=True)


@kind
def jpeg_of_many_markers(rng: random.Random) -> Attack:
    return picture(
        rng, b"\xff\xd8" + b"\xff\xe0\x00\x02" * rng.randint(1000, 100_000) + picture_file("JPEG")[2:], may_pass=True
    )


@kind
def bmp_of_odd_sides(rng: random.Random) -> Attack:
    width, height = rng.choice([(2**31 - 1, 2**31 - 1), (-5, -5), (0, 0), (100_000, 100_000), (1, -(2**31))])
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, rng.randrange(4), 0, 0, 0, 0, 0)
    return picture(rng, b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head + bytes(64), may_pass=width == 1)


@kind
def webp_and_jpeg2000_of_a_huge_side(rng: random.Random) -> Attack:
    size = struct.pack("<I", 2**24 - 1)[:3]
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<IB3x", 10, 2) + size + size + bytes(8)
    sides = struct.pack(">HHIIIIIIIIH", 47, 0, 2**31, 2**31, 0, 0, 2**31, 2**31, 0, 0, 3)
    return picture(rng, rng.choice([webp, b"\xff\x4f\xff\x51" + sides + b"\x07\x01\x01" * 3 + bytes(64)]))


@kind
def portable_map_of_many_digits(rng: random.Random) -> Attack:
    head = rng.choice([b"P6 99999999 99999999 255 ", b"P6 " + b"9" * 100_000 + b" 1 255 ", b"P3\n#" + b"c" * 100_000])
    return picture(rng, head + bytes(64))


@kind
def changed_bytes(rng: random.Random) -> Attack:
    whole = bytearray(picture_file(rng.choice(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])))
    for _ in range(rng.randint(1, 20)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    return picture(rng, bytes(whole), may_pass=True)


@kind
def noise(rng: random.Random) -> Attack:
    return picture(rng, rng.randbytes(rng.choice([0, 1, 7, 100, 10_000])))


@kind
def places_for_pictures(rng: random.Random) -> Attack:
    places = [
        "/etc/passwd",
        "../../../../etc/shadow",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "\\\\host\\share",
        "data:image/png;base64,AAAA",
        "/dev/zero",
        "gopher://x",
        "~root/.ssh/id_rsa",
    ]
    place = rng.choice(places)
    item = rng.choice([place, {"url": place}, {"path": place}, {"base64": place + "!"}, {"file": place}])
    return Attack(post("/v1/tasks/toy.pictures", json.dumps({"item": item}).encode()))
