"""JSON and forms that mean harm."""

from __future__ import annotations

import json
import random

from hostile import Attack, form, kind, picture_file, post, shout, zeros


@kind
def json_nested_100_000_deep(rng: random.Random) -> Attack:
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    depth = 100_000
    inner = opening * depth + (b"1" + closing * depth if rng.random() < 0.5 else b"")
    return shout(rng.choice([inner, b'{"item":' + inner + b"}", b'{"item":"a","options":' + inner + b"}"]))


@kind
def json_nested_within_bounds(rng: random.Random) -> Attack:
    depth = rng.randint(200, 1000)
    inner = b"[" * depth + b"]" * depth
    body = rng.choice([b'{"item":%b}', b'{"item":{"history":%b}}', b'{"item":"a","options":{"tone":%b}}']) % inner
    return Attack(post(f"/v1/tasks/{rng.choice(['toy.people', 'toy.pictures', 'toy.shouts'])}", body))


@kind
def json_of_huge_numbers(rng: random.Random) -> Attack:
    number = rng.choice(
        [b"1e99999", b"-1e99999", b"9" * 100_000, b"0." + b"1" * 100_000, b"18446744073709551616", b"1e309"]
    )
    body = rng.choice([b'{"item":%b}', b'{"item":{"history":{"a":%b}}}', b'{"item":{"history":[%b]}}']) % number
    return Attack(post(f"/v1/tasks/{rng.choice(['toy.people', 'toy.shouts'])}", body), may_pass=True)


@kind
def json_that_is_none(rng: random.Random) -> Attack:
    bodies = [
        b'{"item":NaN}',
        b'{"item":Infinity}',
        b'{"item":-Infinity}',
        b"",
        b"\x00",
        b"{",
        b'{"item":"a"}}',
        b"nul",
        b"'a'",
        b'{"item":"\\ud800"}',
        b'{"item":"\\udfff\\ud800"}',
        b'{"item":"\xed\xa0\x80"}',
        b'{"item":"\xff\xfe"}',
        b"\x80\x02}q\x00.",
        b'{"item":"a\x00b"}',
        b'{"item":"\xc0\xaf"}',
        b'\xef\xbb\xbf{"item":"a"}',
        '{"item":"a"}'.encode("utf-16"),
        b'{"item":"a",}',
        b"{'item':'a'}",
        b'{"item":01}',
        b'{"item":"a"} // b',
        b'{"item":"\n"}',
    ]
    return shout(rng.choice(bodies))


@kind
def json_of_odd_texts(rng: random.Random) -> Attack:
    texts = [
        "\0",
        "\0" * 1000,
        "\u202e",
        "\ufeff",
        "\U0010ffff" * 100,
        "a\u0301" * 1000,
        "../../etc/passwd",
        "${jndi:ldap://x}",
        "' OR 1=1",
    ]
    return shout(json.dumps({"item": rng.choice(texts)}).encode(), may_pass=True)


@kind
def json_of_wrong_types(rng: random.Random) -> Attack:
    values: list[object] = [
        None,
        True,
        0,
        -1.5,
        [],
        {},
        [[]],
        {"a": 1},
        {"base64": 1},
        {"history": 1},
        {"user": None},
        {"user": [1]},
    ]
    task, value = rng.choice(["toy.shouts", "toy.people", "toy.pictures"]), rng.choice(values)
    if task == "toy.people" and value == 0:
        value = False
    return Attack(post(f"/v1/tasks/{task}", json.dumps({"item": value}).encode()))


@kind
def json_of_many_keys(rng: random.Random) -> Attack:
    names = {f"k{n}": n for n in range(rng.randint(1000, 60_000))}
    body = rng.choice([names, {"item": "a"} | names, {"item": "a", "options": names}, {"item": names}])
    return shout(json.dumps(body).encode())


@kind
def json_of_too_many_items(rng: random.Random) -> Attack:
    body = b'{"items":[' + b",".join([b"0"] * rng.randint(1000, 300_000)) + b"]}"
    return Attack(post("/v1/tasks/toy.shouts/batch", body))


@kind
def names_that_lead_elsewhere(rng: random.Random) -> Attack:
    name = rng.choice(
        ["../../../etc/passwd", "/etc/passwd", "hf:a/b", "..", "", "\0", "a" * 100_000, "1/../2", "%2e%2e", "shouts\n"]
    )
    return shout(json.dumps({"item": "a", **rng.choice([{"model": name}, {"options": {name: name}}])}).encode())


@kind
def histories_too_long(rng: random.Random) -> Attack:
    history = rng.choice([[0] * 20_000, {str(n): 1 for n in range(20_000)}, ["x" * 10**6, []]])
    return Attack(post("/v1/tasks/toy.people", json.dumps({"item": {"history": history}}).encode()))


@kind
def base64_that_is_none(rng: random.Random) -> Attack:
    text = rng.choice(["A", "AA=A", "=" * 1000, "é" * 10, "A" * 100_001, " AAAA", "AAAA\n", "AAAA\0", "-_-_"])
    return Attack(post("/v1/tasks/toy.pictures", json.dumps({"item": {"base64": text}}).encode()))


@kind
def form_that_ends_early(rng: random.Random) -> Attack:
    whole = (
        b'--bb\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
        + picture_file("PNG")
        + b"\r\n--bb--\r\n"
    )
    return form(whole[: rng.randrange(len(whole) - 8)])


@kind
def form_of_many_parts(rng: random.Random) -> Attack:
    part = b'--bb\r\ncontent-disposition: form-data; name="%b"\r\n\r\nx\r\n' % rng.choice(
        [b"file", b"model", b"", b"x"]
    )
    return form(part * rng.randint(300, 20_000) + b"--bb--\r\n")


@kind
def form_of_odd_boundaries(rng: random.Random) -> Attack:
    boundary = rng.choice(["", "x" * 10_000, '"', "\xff", "a b", "--", "bb; boundary=cc", '"bb', "=", ";"])
    return form(b'--bb\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--bb--\r\n', boundary)


@kind
def form_of_odd_headers(rng: random.Random) -> Attack:
    headers = [
        b"",
        b"no colon",
        b": x",
        b"x" * 200_000 + b": y",
        b"content-disposition: " + b'form-data; name="a"; ' * 20_000,
        b'content-disposition: form-data; name="\x00"',
        b"content-disposition: form-data",
        b"\r\n" * 100,
        b"content-disposition: form-data; name=\"file\"; filename*=UTF-8''%ff%2e%2e%2f",
        b"a: b\r\n" * 10_000,
        b"content-disposition: form-data; name=file; filename=" + b'"' * 5000,
        b"content-disposition: " + b"\\" * 100_000,
    ]
    return form(b"--bb\r\n" + rng.choice(headers) + b"\r\n\r\nx\r\n--bb--\r\n")


@kind
def form_whose_names_lead_elsewhere(rng: random.Random) -> Attack:
    name = rng.choice(
        [b"../../../etc/cron.d/x", b"C:\\x", b"/dev/null", b"x\x00.png", b"." * 5000, b"%00", b"..%2f", b"con"]
    )
    field = rng.choice([b"file", b"files", b"../file"])
    return form(
        b'--bb\r\ncontent-disposition: form-data; name="%b"; filename="%b"\r\n\r\nno picture\r\n--bb--\r\n'
        % (field, name)
    )


@kind
def form_of_bad_fields(rng: random.Random) -> Attack:
    fields = [
        (b"options", b"{"),
        (b"options", b"[1]"),
        (b"options", b'{"x":NaN}'),
        (b"model", b"../x"),
        (b"q", b"1"),
        (b"options", b"[" * 9999),
    ]
    name, value = rng.choice(fields)
    field = b'--bb\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)
    return form(
        field + b'--bb\r\ncontent-disposition: form-data; name="file"\r\n\r\n' + picture_file("PNG") + b"\r\n--bb--\r\n"
    )


@kind
def wrong_media(rng: random.Random) -> Attack:
    media = rng.choice(
        [
            "text/xml",
            "application/x-pickle",
            "image/png",
            "multipart/form-data",
            "application/x-www-form-urlencoded",
            "\xff",
            "a" * 9999,
            "*/*",
        ]
    )
    return Attack(post("/v1/tasks/toy.shouts", rng.randbytes(rng.choice([0, 100, 100_000])), media))


@kind
def packed_body(rng: random.Random) -> Attack:
    coding = rng.choice(["gzip", "deflate", "br", "zstd", "gzip, gzip"])
    return Attack(post("/v1/tasks/toy.shouts", zeros(20), more=[f"content-encoding: {coding}"]))
