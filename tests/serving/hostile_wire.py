"""Requests that mean harm in how they are written, or in how they come."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator

from hostile import Attack, kind, post

ENDLESS = 400
"""Pieces of 64 KiB that what has no end sends before it gives up."""


def head(*lines: str) -> bytes:
    return "\r\n".join(
        ["POST /v1/tasks/toy.shouts HTTP/1.1", "host: x", "content-type: application/json", *lines, "", ""]
    ).encode("latin-1")


def without_end(piece: bytes) -> Iterator[bytes]:
    return itertools.repeat(piece, ENDLESS)


@kind
def length_of_a_gigabyte(rng: random.Random) -> Attack:
    return Attack([head(f"content-length: {rng.choice([2**30, 2**63, 10**19, 10**60])}"), b"{" * rng.randrange(100)])


@kind
def lengths_that_are_none(rng: random.Random) -> Attack:
    lengths = [
        ("content-length: -1",),
        ("content-length: 1e3",),
        ("content-length: 0x10",),
        ("content-length: 1", "content-length: 99"),
        ("content-length: 5", "transfer-encoding: chunked"),
        ("content-length: ",),
        ("content-length: 1, 2",),
        ("transfer-encoding: x",),
        ("transfer-encoding: chunked, x",),
        ("content-length: \xb2",),
    ]
    return Attack([head(*rng.choice(lengths)), b'{"item":"a"}'], half_closed=True)


@kind
def chunks_without_end(rng: random.Random) -> Attack:
    size = rng.choice([1024, 65_536])
    piece = b"%x\r\n" % size + b" " * size + b"\r\n"
    return Attack(itertools.chain([head("transfer-encoding: chunked")], without_end(piece * (65_536 // size))))


@kind
def chunks_that_are_none(rng: random.Random) -> Attack:
    bad = rng.choice(
        [b"zz\r\n", b"fffffffffffffffff\r\n", b"-1\r\n", b"5\r\nab", b"1\r\nabc\r\n", b"\x00\r\n", b"0x5\r\n"]
    )
    return Attack([head("transfer-encoding: chunked") + bad], half_closed=True)


@kind
def chunk_lines_without_end(rng: random.Random) -> Attack:
    start = head("transfer-encoding: chunked") + rng.choice([b"1;", b"1\r\n{\r\n0\r\nx: "])
    return Attack(itertools.chain([start], without_end(b"a" * 65_536)))


@kind
def trailers_without_end(rng: random.Random) -> Attack:
    start = head("transfer-encoding: chunked") + b"1\r\n{\r\n0\r\n"
    return Attack(itertools.chain([start], without_end(b"a: b\r\n" * 10_000)))


@kind
def headers_without_end(rng: random.Random) -> Attack:
    piece = rng.choice([b"a: " + b"b" * 1000 + b"\r\n", b"a: b\r\n", b"c" * 1000])
    return Attack(itertools.chain([b"GET / HTTP/1.1\r\nhost: x\r\nx: "], without_end(piece * 64)))


@kind
def address_without_end(rng: random.Random) -> Attack:
    return Attack(itertools.chain([b"GET /"], without_end(b"a" * 65_536)))


@kind
def slow_body(rng: random.Random) -> Attack:
    start = rng.choice([head("content-length: 999"), head("transfer-encoding: chunked") + b"3e7\r\n"])
    return Attack(itertools.chain([start], itertools.repeat(b" ", 900)), pause=0.1)


@kind
def slow_head(rng: random.Random) -> Attack:
    return Attack(itertools.chain([b"POST / HTTP/1.1\r\n"], itertools.repeat(b"a: b\r\n", 300)), pause=0.1)


@kind
def nothing_at_all(rng: random.Random) -> Attack:
    return Attack([], half_closed=rng.random() < 0.5)


@kind
def body_that_stops(rng: random.Random) -> Attack:
    return Attack([head("content-length: 999"), b'{"item":'], half_closed=rng.random() < 0.5)


@kind
def other_protocols(rng: random.Random) -> Attack:
    starts = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200),
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100,
        b"HELO x\r\n",
        b"GET\r\n\r\n",
        rng.randbytes(500),
        b"*1\r\n$4\r\nPING\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\nx\n\n",
    ]
    return Attack([rng.choice(starts)], half_closed=True)


@kind
def odd_headers(rng: random.Random) -> Attack:
    lines = [
        "x-request-id: a\x00b",
        "x-request-id: " + "a" * 5000,
        "x-request-id: \xff\xfe",
        "x-unit-id: \xff",
        "x: y\r\n z",
        "x : y",
        "authorization: Bearer \xff",
        "expect: 100-continue",
        "expect: x",
        "upgrade: websocket\r\nconnection: upgrade",
        "traceparent: \x01",
        "x-forwarded-for: \x01",
        "connection: close, keep-alive, \xff",
        "\xff: x",
        "host: " + "y" * 5000,
    ]
    return Attack(post("/v1/tasks/toy.shouts", b'{"item":"bad"}', more=[rng.choice(lines)]), half_closed=True)


@kind
def paths_that_lead_elsewhere(rng: random.Random) -> Attack:
    places = [
        "/v1/tasks/../../etc/passwd",
        "/v1/tasks/..%2f..%2fetc%2fpasswd",
        "/v1/tasks/%00",
        "/v1/tasks/toy.shouts%00",
        "/v1/tasks/%ff%fe",
        "//etc/passwd",
        "/v1/tasks/toy.shouts/../../../x",
        "/%2e%2e/%2e%2e/x",
        "/v1/tasks/" + "a" * 8000,
        "/v1/tasks/toy.shouts;x",
        "/v1//tasks/toy.shouts",
        "/docs/../../x",
        "/v1/tasks/%d8%00",
        "/v1/tasks/a%0d%0ax:y",
        "/v1/models/../x",
    ]
    return Attack(post(rng.choice(places), b'{"item":"a"}'))


@kind
def other_methods(rng: random.Random) -> Attack:
    method = rng.choice(["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "FOO", "GET"])
    return Attack(
        [f"{method} /v1/tasks/toy.shouts HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode()],
        half_closed=True,
    )


@kind
def many_requests_at_once(rng: random.Random) -> Attack:
    one = post("/v1/tasks/toy.shouts", b'{"item":"bad"}')[0]
    return Attack([one * rng.randint(100, 2000)])


@kind
def models_without_a_key(rng: random.Random) -> Attack:
    path = rng.choice(["/v1/models", "/v1/models/toy.shouts/alias"])
    return Attack(
        post(path, json.dumps({"task": "toy.shouts", "model": "/etc/passwd", "alias": "x", "version": "1"}).encode())
    )
