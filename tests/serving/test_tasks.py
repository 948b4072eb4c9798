"""Requests to a real server over toy tasks: every form of item, every fault in one form, and nothing that leaks."""

from __future__ import annotations

import base64
import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serving_toy import GATE, Running, find, png, running
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.serving import Config, Limits, ServedModel, build_app
from shared.serving.bodies import SMALL
from shared.serving.protocol import HttpProtocol

MODELS = (
    ServedModel("toy.shouts", "first", "1", ("stable",), request_options=("tone",)),
    ServedModel("toy.shouts", "second", "2", options={"tone": "?"}),
    ServedModel("toy.letters"),
    ServedModel("toy.colours"),
    ServedModel("toy.people"),
)
LIMITS = Limits(
    max_body_mb=0.05, max_items=4, max_pixels=10_000, max_text=50, max_history=3, body_seconds=60.0, timeout=60.0
)


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running(Config(models=MODELS, limits=LIMITS)) as found:
        yield found


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """A server that waits for nobody, apart from the others: on a busy machine anything may take half a second."""
    with running(Config(models=MODELS, limits=replace(LIMITS, body_seconds=0.4, timeout=0.5))) as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[httpx.Client]:
    with served.client() as found:
        yield found


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.005)


def post(client: httpx.Client, task: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/tasks/{task}", json=body)


def encoded(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    ("task", "body", "result"),
    [
        ("toy.shouts", {"item": "ho"}, {"type": "Yell", "text": "HO!"}),
        ("toy.shouts", {"item": "ho", "model": "2"}, {"type": "Yell", "text": "HO?"}),
        ("toy.shouts", {"item": "ho", "model": "second"}, {"type": "Yell", "text": "HO?"}),
        ("toy.shouts", {"item": "ho", "model": "stable", "options": None}, {"type": "Yell", "text": "HO!"}),
        ("toy.shouts", {"item": "ho", "options": {"tone": "..."}}, {"type": "Yell", "text": "HO..."}),
        ("toy.colours", {"item": encoded(png())}, {"type": "Tint", "rgb": [255.0, 0.0, 0.0]}),
        ("toy.people", {"item": 7}, {"type": "Yell", "text": "7!"}),
        ("toy.people", {"item": {"user": "ann"}}, {"type": "Yell", "text": "ANN!"}),
        ("toy.people", {"item": {"history": ["a", 1]}}, {"type": "Yell", "text": "['A', 1]!"}),
    ],
)
def test_an_item_is_answered(client: httpx.Client, task: str, body: dict[str, Any], result: dict[str, Any]) -> None:
    answer = post(client, task, **body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["ok"], found["result"], found["model"]["task"]) == (True, result, task)
    assert found["ms"] > 0


@pytest.mark.parametrize(
    ("task", "body", "status", "kind", "message"),
    [
        ("toy.shouts", {"item": "bad"}, 422, "empty", "must not be bad"),
        ("toy.shouts", {"item": 3}, 422, "wrong-type", "Got a number instead"),
        ("toy.shouts", {"item": "x" * 51}, 422, "too-large", "at most 50 characters. Got 51"),
        ("toy.shouts", {"item": "crash"}, 500, "model-failed", "under the request id"),
        ("toy.shouts", {"item": "ho", "model": "thrid"}, 404, "unknown-model", "no model"),
        ("toy.shouts", {"item": "ho", "options": {"device": "gpu"}}, 400, "option-refused", "Open to it: tone"),
        ("toy.shouts", {"item": "ho", "model": "2", "options": {"tone": "!"}}, 400, "option-refused", "none"),
        ("toy.shouts", {"item": "ho", "options": {"tone": 3}}, 400, "bad-request", "must be a str"),
        ("toy.shouts", {"itme": "ho"}, 400, "bad-request", "must have 'item'"),
        ("toy.shouts", {"item": "ho", "model": 3}, 400, "bad-request", "model must be a text or null"),
        ("toy.shout", {"item": "ho"}, 404, "unknown-task", "Nearest: toy.shouts"),
        ("toy.colours", {"item": "/etc/passwd"}, 422, "refused", "never opened here"),
        ("toy.colours", {"item": "http://127.0.0.1/x.png"}, 422, "refused", "never opened here"),
        ("toy.colours", {"item": {"url": "http://127.0.0.1/x.png"}}, 422, "refused", "allow_urls"),
        ("toy.colours", {"item": {"base64": "?"}}, 422, "corrupt", "base64"),
        ("toy.colours", {"item": {"path": "x"}}, 422, "wrong-type", "an object with 'path'"),
        ("toy.colours", {"item": encoded(b"no picture")}, 422, "unsupported", "must be an image"),
        ("toy.colours", {"item": encoded(png(101))}, 422, "too-large", "at most 10,000 pixels. Got 101 x 101"),
        ("toy.people", {"item": True}, 422, "wrong-type", "a truth value"),
        ("toy.people", {"item": {"history": [1, 2, 3, 4]}}, 422, "too-large", "at most 3 items"),
        ("toy.people", {"item": {"history": {"a": "b"}}}, 422, "wrong-type", "must be a number"),
    ],
)
def test_a_fault_has_its_status_and_the_one_form(
    client: httpx.Client, task: str, body: dict[str, Any], status: int, kind: str, message: str
) -> None:
    answer = client.post(f"/v1/tasks/{task}", json=body, headers={"x-request-id": "r-1"})
    found = answer.json()["error"]
    assert (answer.status_code, found["kind"], found["request_id"]) == (status, kind, "r-1")
    assert message in found["message"]
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "r-1"


def test_an_answer_that_takes_too_long_is_not_waited_for(hasty: Running) -> None:
    with hasty.client() as client:
        answer = post(client, "toy.shouts", item="sleep 0.8")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (504, "timeout")
    assert "no answer came within 0.5 s" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "media", "status", "kind"),
    [
        (b"{", "application/json", 400, "bad-json"),
        (b"[1]", "application/json", 400, "bad-request"),
        (b'{"item": "\\ud800"}', "application/json", 400, "bad-json"),
        (b"[" * 3000, "application/json", 400, "bad-json"),
        (b'{"item": "x"}', "text/plain", 415, "unsupported-media"),
        (b'{"item": "x"}', "image/png", 415, "unsupported-media"),
        (b"x" * 60_000, "application/json", 413, "body-too-large"),
    ],
)
def test_a_body_that_is_none(client: httpx.Client, content: bytes, media: str, status: int, kind: str) -> None:
    answer = client.post("/v1/tasks/toy.shouts", content=content, headers={"content-type": media})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)


def test_the_bound_of_a_body_holds_without_a_length(client: httpx.Client) -> None:
    pieces = (b" " * 10_000 for _ in range(10))
    answer = client.post("/v1/tasks/toy.shouts", content=pieces, headers={"content-type": "application/json"})
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "body-too-large")


def connected(served: Running) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 60)


def test_a_slow_body_is_not_waited_for(hasty: Running) -> None:
    with connected(hasty) as raw:
        head = ("POST /v1/tasks/toy.shouts HTTP/1.1", "host: x", "content-type: application/json", "content-length: 99")
        raw.sendall("\r\n".join((*head, "", "{")).encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"slow-body"' in answer


def test_slow_headers_are_not_waited_for(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "head_seconds", 0.5)
    with connected(served) as silent, connected(served) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        assert silent.recv(10) == b""
        assert slow.recv(12) == b"HTTP/1.1 408"


def test_pictures_come_as_a_form_or_as_they_are(client: httpx.Client) -> None:
    path, blue = "/v1/tasks/toy.colours", png(4, (0, 0, 255))
    form = client.post(path, files={"file": ("../../x.png", blue)}, data={"model": "1"})
    raw = client.post(path, content=blue, headers={"content-type": "image/png"})
    assert form.json()["result"] == raw.json()["result"] == {"type": "Tint", "rgb": [0.0, 0.0, 255.0]}
    several = client.post(f"{path}/batch", files=[("file", ("a.png", blue)), ("file", ("b.txt", b"none"))]).json()
    assert [row["ok"] for row in several["results"]] == [True, False]
    assert several["results"][1]["error"]["kind"] == "unsupported"


def test_a_large_picture_is_read_beside_the_loop(client: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    assert len(file.getvalue()) * 4 / 3 > SMALL
    found = post(client, "toy.colours", item=encoded(file.getvalue())).json()["result"]["rgb"]
    assert found == pytest.approx(noise.mean(axis=(0, 1)), abs=0.01)
    assert client.post("/v1/tasks/toy.colours", files={"file": file.getvalue()}).json()["result"]["rgb"] == found


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"--b\r\nno header", "multipart"), (b"", "must have parts"), (b"--b\r\n\r\n\r\n--b--\r\n", "must have one file")],
)
def test_a_form_that_is_none(client: httpx.Client, body: bytes, message: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/v1/tasks/toy.colours", content=body, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_bad_item_of_a_batch_stands_among_the_others(client: httpx.Client) -> None:
    answer = client.post("/v1/tasks/toy.shouts/batch", json={"items": ["a", "bad", 3, "b"]}).json()
    assert [row["result"]["text"] if row["ok"] else row["error"]["kind"] for row in answer["results"]] == [
        "A!", "empty", "wrong-type", "B!",
    ]  # fmt: skip
    assert client.post("/v1/tasks/toy.shouts/batch", json={"items": []}).json()["results"] == []
    too_many = client.post("/v1/tasks/toy.shouts/batch", json={"items": ["a"] * 5})
    assert (too_many.status_code, too_many.json()["error"]["kind"]) == (413, "too-many-items")


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_gives_its_parts_in_order(client: httpx.Client) -> None:
    answer = client.post("/v1/tasks/toy.letters/stream", json={"item": "abc"})
    assert answer.headers["content-type"] == "text/event-stream"
    found = events(answer.text)
    assert [data["text"] for name, data in found if name == "part"] == ["A", "B", "C"]
    assert (found[-1][0], found[-1][1]["parts"]) == ("done", 3)
    whole = events(client.post("/v1/tasks/toy.shouts/stream", json={"item": "abc"}).text)
    assert [name for name, _ in whole] == ["part", "done"]


def test_a_stream_that_fails_says_so_where_it_stands(client: httpx.Client) -> None:
    late = events(client.post("/v1/tasks/toy.letters/stream", json={"item": "a1"}).text)
    assert [name for name, _ in late] == ["part", "error"]
    assert late[1][1]["error"]["kind"] == "unsupported"
    early = client.post("/v1/tasks/toy.letters/stream", json={"item": "1a"})
    assert (early.status_code, early.json()["error"]["kind"]) == (422, "unsupported")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "unknown-path"),
        ("GET", "/v1/tasks/toy.shouts", 405, "wrong-method"),
        ("POST", "/v1/models", 403, "forbidden"),
        ("DELETE", "/v1/models/toy.shouts/1", 403, "forbidden"),
        ("GET", "/v1/experiments", 404, "no-experiments"),
    ],
)
def test_other_paths_have_the_same_form(client: httpx.Client, method: str, path: str, status: int, kind: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)


def test_what_is_served_is_said(client: httpx.Client, served: Running) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "models": 5}
    rows = {(row["task"], row["version"]): row for row in client.get("/v1/models").json()["models"]}
    assert rows["toy.shouts", "1"]["aliases"] == ["default", "stable"]
    client.post("/v1/tasks/toy.shouts", json={"item": "counted"}, headers={"x-request-id": "no {id}"})
    text = client.get("/metrics").text
    assert 'triptych_requests_total{route="/v1/tasks/{task}",status="200",task="toy.shouts"}' in text
    rows = [json.loads(line) for line in served.log.getvalue().splitlines()]
    last = [row for row in rows if row["event"] == "request"][-1]
    assert (last["status"], last["task"], last["model"]) == (200, "toy.shouts", "1")
    assert last["request_id"] != "no {id}"
    assert "counted" not in served.log.getvalue()


def test_the_document_describes_requests_results_and_examples(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["Tint"]["properties"]["rgb"] == {
        "type": "array", "minItems": 3, "maxItems": 3, "description": "float32 of shape (3,)",
        "items": {"type": "number", "minimum": 0.0, "maximum": 255.0},
    }  # fmt: skip
    post = document["paths"]["/v1/tasks/toy.colours"]["post"]
    content = post["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    example = post["responses"]["200"]["content"]["application/json"]["example"]
    assert example["result"] == {"type": "Tint", "rgb": [128.0, 128.0, 128.0]}
    again = client.post("/v1/tasks/toy.colours", json=content["application/json"]["example"]).json()
    assert again["result"] == example["result"]
    options = schemas["ToyShoutsRequest"]["properties"]["options"]["properties"]
    assert set(options) == {"tone"}
    assert client.get("/docs").status_code == 200


def test_whoever_leaves_frees_a_place(served: Running) -> None:
    batcher = served.service.registry.find("toy.shouts").batcher

    def asked(raw: socket.socket, text: str) -> None:
        body = json.dumps({"item": text})
        head = ("POST /v1/tasks/toy.shouts HTTP/1.1", "host: x", "content-type: application/json")
        raw.sendall("\r\n".join((*head, f"content-length: {len(body)}", "", body)).encode())

    try:
        with connected(served) as one, connected(served) as two:
            asked(one, "wait")
            until(lambda: batcher.running == 1)
            asked(two, "left")
            until(lambda: batcher.depth == 1)
        until(lambda: batcher.depth == 0 and served.service.in_flight == 0)
        assert (batcher.depth, batcher.running, served.service.in_flight) == (0, 1, 0)
    finally:
        GATE.set()
        GATE.clear()


def test_short_texts_do_not_wait_for_a_long_one_where_the_model_can() -> None:
    config = Config(models=(ServedModel("toy.echoes"), ServedModel("toy.shouts")), limits=Limits(long_text=20))
    long = "wait" + 16 * "a"
    with running(config) as served, served.client() as client, ThreadPoolExecutor(1) as pool:
        one, other = (served.service.registry.find(f"toy.{name}") for name in ("echoes", "shouts"))
        assert other.lanes == (other.batcher,)
        assert other.lane(long) is other.batcher
        both = pool.submit(client.post, "/v1/tasks/toy.echoes/batch", json={"items": [long, "ho"]})
        until(lambda: one.aside is not None and one.aside.running)
        short = client.post("/v1/tasks/toy.echoes", json={"item": "hi"})
        assert short.json()["result"]["text"] == "HI!"
        assert one.row([])["running"] == 1
        GATE.set()
        assert [row["result"]["text"][-2:] for row in both.result().json()["results"]] == ["A!", "O!"]


def test_a_model_that_can_answers_as_many_batches_at_once_as_there_are_threads() -> None:
    config = Config(models=(ServedModel("toy.echoes"), ServedModel("toy.shouts")), threads=2)
    with running(config) as served, served.client() as client, ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.post, "/v1/tasks/toy.echoes", json={"item": "wait"})
        one, other = (served.service.registry.find(f"toy.{name}") for name in ("echoes", "shouts"))
        assert (one.batcher.slots, other.batcher.slots) == (2, 1)
        while not one.batcher.running:
            time.sleep(0.005)
        assert client.post("/v1/tasks/toy.echoes", json={"item": "hi"}).json()["result"]["text"] == "HI!"
        assert not held.done()
        GATE.set()
        assert held.result().json()["result"]["text"] == "WAIT!"


def test_a_layer_that_a_user_adds_sees_requests_to_tasks_too() -> None:
    seen: list[str] = []

    class Layer:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope.get("path", scope["type"]))
            await self.app(scope, receive, send)

    config, log = Config(models=(ServedModel("toy.shouts"),)), io.StringIO()
    app = build_app(config, find=find, log_file=log, warm_first=True)
    app.add_middleware(Layer)
    with TestClient(app) as client:
        assert client.post("/v1/tasks/toy.shouts", json={"item": "ho"}).json()["result"]["text"] == "HO!"
    assert seen == ["lifespan", "/v1/tasks/toy.shouts"]
