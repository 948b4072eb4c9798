"""Uploads that mean harm: how one is sent, and what came back. Each kind is a function in one of ``hostile_*``."""

from __future__ import annotations

import base64
import io
import json
import random
import select
import socket
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

KINDS: dict[str, Callable[[random.Random], Attack]] = {}
"""From a generator to what is sent, byte for byte."""


@dataclass(frozen=True)
class Attack:
    """What is sent.

    Attributes:
        pieces: the bytes, in pieces.
        pause: seconds between two pieces.
        half_closed: whether the sending side is closed behind them.
        may_pass: whether an answer of 200 is right too, because what was sent may be usable.
    """

    pieces: Iterable[bytes]
    pause: float = 0.0
    half_closed: bool = False
    may_pass: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back: a status (0 for a closed connection) and the JSON of its body."""

    status: int
    found: object


def strike(host: str, port: int, attack: Attack, *, patience: float = 60.0) -> Answer:
    """Send an attack over a connection of its own and read what comes; a server that stays silent is a TimeoutError."""
    until = time.monotonic() + patience
    with socket.create_connection((host, port), patience) as raw:
        try:
            for piece in attack.pieces:
                raw.settimeout(max(0.1, until - time.monotonic()))
                raw.sendall(piece)
                if select.select([raw], [], [], attack.pause)[0]:
                    break
            if attack.half_closed:
                raw.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return _read(raw, until)


def _read(raw: socket.socket, until: float) -> Answer:
    whole = b""
    try:
        while True:
            head, blank, body = whole.partition(b"\r\n\r\n")
            if blank and head.startswith(b"HTTP/1.1 100"):
                whole = body
                continue
            if blank:
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                if len(body) >= int(fields[b"content-length"]):
                    return Answer(int(head.split()[1]), json.loads(body[: int(fields[b"content-length"])]))
            raw.settimeout(max(0.1, until - time.monotonic()))
            more = raw.recv(65_536)
            if not more:
                return Answer(0, None)
            whole += more
    except ConnectionResetError:
        return Answer(0, None)


def kind(function: Callable[[random.Random], Attack]) -> Callable[[random.Random], Attack]:
    KINDS[function.__name__] = function
    return function


def post(
    path: str, body: bytes, media: str = "application/json", *, more: Iterable[str] = (), length: bool = True
) -> list[bytes]:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-type: {media}", *more]
    if length:
        lines.append(f"content-length: {len(body)}")
    return ["\r\n".join([*lines, "", ""]).encode("latin-1") + body]


def shout(body: bytes, **options: bool) -> Attack:
    return Attack(post("/v1/tasks/toy.shouts", body), **options)


def picture(rng: random.Random, content: bytes, *, may_pass: bool = False) -> Attack:
    """A picture as it is, in a form, or in JSON."""
    path, way = "/v1/tasks/toy.pictures", rng.randrange(3)
    if way == 0:
        return Attack(post(path, content, "image/png"), may_pass=may_pass)
    if way == 1:
        part = b'--bb\r\ncontent-disposition: form-data; name="file"; filename="x.png"\r\n\r\n'
        return Attack(
            post(path, part + content + b"\r\n--bb--\r\n", "multipart/form-data; boundary=bb"), may_pass=may_pass
        )
    body = json.dumps({"item": {"base64": base64.b64encode(content).decode()}}).encode()
    return Attack(post(path, body), may_pass=may_pass)


def form(body: bytes, boundary: str = "bb", **options: bool) -> Attack:
    return Attack(post("/v1/tasks/toy.pictures", body, f"multipart/form-data; boundary={boundary}"), **options)


def picture_file(name: str) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((40, 30)).convert("RGB").save(file, name)
    return file.getvalue()


def zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()
