"""The client against real servers: results, order, faults, refusals that are waited out, streams."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from serving_toy import Running, Tint, Yell, png, running

from shared.errors import InputError, PredictError, ServiceError, TriptychError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.serving import Client, Config, Limits, ServedModel
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result

KEY = "k" * 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"ann {KEY}\n")
    models = (
        ServedModel("toy.shouts", "first", "1", ("stable",), request_options=("tone",)),
        ServedModel("toy.shouts", "second", "2", options={"tone": "?"}),
        ServedModel("toy.letters"),
        ServedModel("toy.colours"),
        ServedModel("toy.people"),
    )
    limits = Limits(max_items=4, max_body_mb=0.2, max_text=50)
    with running(Config(models=models, limits=limits, api_key_file=str(keys))) as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[Client]:
    with Client(served.url, api_key=KEY) as found:
        yield found


def test_one_item_is_a_result_of_our_own_class(client: Client) -> None:
    assert client.predict("toy.shouts", "ho") == Yell("HO!")
    assert client.predict("toy.shouts", "ho", model="2") == Yell("HO?")
    assert client.predict("toy.shouts", "ho", options={"tone": "..."}) == Yell("HO...")
    assert client.predict("toy.people", np.int64(7)) == Yell("7!")
    assert client.predict("toy.people", ["a", 1]) == client.predict("toy.people", {"history": ["a", 1]})
    assert client.ready()


def test_a_picture_is_a_path_or_bytes_or_an_image(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png())
    red = Tint(np.float32([255, 0, 0]))
    given = [path, png(), bytearray(png()), Image.open(io.BytesIO(png())), tmp_path / "none.png", b"none", tmp_path]
    found = client.predict_many("toy.colours", given, on_error="keep")
    assert found[:4] == [red] * 4
    assert [(one.index, one.kind) for one in found[4:]] == [(4, "not-found"), (5, "unsupported"), (6, "unreadable")]


def test_many_keep_their_order_whatever_one_request_may_hold(client: Client) -> None:
    items = [f"{n}" for n in range(30)]
    items[7] = "bad"
    found = client.predict_many("toy.shouts", items, on_error="keep")
    assert found[7] == Failure(7, "empty", "a text must not be bad")
    assert [one.text for n, one in enumerate(found) if n != 7] == [f"{n}!" for n in range(30) if n != 7]
    with pytest.raises(PredictError, match=r"1 of 30 items failed: item 7: \[empty\]"):
        client.predict_many("toy.shouts", items)


def test_an_item_that_no_request_can_hold_fails_alone(client: Client) -> None:
    found = client.predict_many("toy.shouts", ["a", "x" * 300_000, "b"], on_error="keep")
    assert [getattr(one, "text", None) or one.kind for one in found] == ["A!", "too-large", "B!"]


@pytest.mark.parametrize("item", ["\ud800", float("nan"), object(), {1, 2}, [[]] * 3 + [object()]])
def test_what_json_has_no_word_for_is_a_failure_of_its_item(client: Client, item: Any) -> None:
    found = client.predict_many("toy.shouts", ["a", item, "b"], on_error="keep")
    assert [type(one) for one in found] == [Yell, Failure, Yell]
    assert (found[1].index, found[1].kind) == (1, "wrong-type")
    with pytest.raises(InputError, match="JSON"):
        client.predict("toy.shouts", item)


@pytest.mark.parametrize(
    ("task", "item", "more", "error", "message"),
    [
        ("toy.shouts", "bad", {}, InputError, "must not be bad"),
        ("toy.shouts", 3, {}, InputError, "Got a number"),
        ("toy.shouts", "crash", {}, ServiceError, r"500 model-failed.*\(request [0-9a-f]+\)"),
        ("toy.shout", "ho", {}, UsageError, "Nearest: toy.shouts"),
        ("../healthz", "ho", {}, UsageError, "unknown-path"),
        ("toy.shouts", "ho", {"model": "9"}, UsageError, "404 unknown-model"),
        ("toy.shouts", "ho", {"options": {"device": "gpu"}}, UsageError, "option-refused"),
    ],
)
def test_a_fault_is_an_error_of_our_tree(
    client: Client, task: str, item: Any, more: dict[str, Any], error: type[TriptychError], message: str
) -> None:
    with pytest.raises(error, match=message):
        client.predict(task, item, **more)
    if task == "toy.shouts" and item != "ho":
        assert client.predict_many(task, [item, "ho"], on_error="keep")[1] == Yell("HO!")


def test_a_key_that_is_not_known_is_no_fault_of_the_item(served: Running) -> None:
    with (
        Client(served.url, api_key="x" * 20) as stranger,
        pytest.raises(ServiceError, match="401 unauthorized") as caught,
    ):
        stranger.predict_many("toy.shouts", ["a"], on_error="keep")
    assert (caught.value.status, caught.value.kind) == (401, "unauthorized")
    assert caught.value.request_id


def test_parts_come_as_they_are_made(client: Client) -> None:
    parts = client.stream("toy.letters", "ab1")
    assert [next(parts), next(parts)] == [Yell("A"), Yell("B")]
    with pytest.raises(InputError, match="must not be 1"):
        next(parts)
    assert list(client.stream("toy.shouts", "ho")) == [Yell("HO!")]
    with pytest.raises(InputError, match="must not be bad"):
        next(client.stream("toy.shouts", "bad"))


def test_a_server_says_what_it_serves(client: Client) -> None:
    assert {row["task"] for row in client.models()} == {"toy.shouts", "toy.letters", "toy.colours", "toy.people"}
    assert client.predictor("toy.shouts", model="second").predict(["ho"]) == [Yell("HO?")]
    with pytest.raises(UnknownNameError, match=r"Nearest: toy\.shouts"):
        client.predictor("toy.shout")
    with pytest.raises(UnknownNameError, match="no model"):
        client.predictor("toy.shouts", model="3")


class TestRemotePredictor(PredictorContract):
    """A served task keeps the contract of a local one."""

    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, served: Running) -> Iterator[Predictor[Any, Any]]:
        with Client(served.url, api_key=KEY, batch_size=3) as client:
            yield client.predictor("toy.shouts")

    def good(self) -> Sequence[str]:
        return ["ho", "hey", "ha"]

    def bad(self) -> str:
        return "bad"


def test_a_full_queue_is_waited_out() -> None:
    """A hundred clients of a queue of two: the refused ones come again until everybody has an answer."""
    config = Config(models=(ServedModel("toy.shouts"),), limits=Limits(queue=2, max_batch=2), rate=40.0)
    pauses: list[float] = []
    lock, go = threading.Lock(), threading.Event()

    def sleep(seconds: float) -> None:
        with lock:
            pauses.append(seconds)
        go.wait(min(seconds, 0.05))

    with running(config) as served:
        found: list[Result] = []

        def ask(n: int) -> None:
            with Client(served.url, retries=200, sleep=sleep, rng=random.Random(n)) as client:
                found.append(client.predict("toy.shouts", f"{n}"))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert sorted(one.to_json()["text"] for one in found) == sorted(f"{n}!" for n in range(60))
    assert min(pauses) >= 1.0  # Retry-After says so


def answering(
    *responses: httpx2.Response | Exception, **options: Any
) -> tuple[Client, list[httpx2.Request], list[float]]:
    """A client whose server says what it is told to, in turn."""
    asked: list[httpx2.Request] = []
    pauses: list[float] = []
    left = iter(responses)

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    client = Client("http://example.org/x/", http=http, sleep=pauses.append, rng=random.Random(0), **options)
    return client, asked, pauses


def busy(seconds: str = "2", status: int = 429) -> httpx2.Response:
    error = {"kind": "overloaded", "message": "come again", "request_id": "r1"}
    return httpx2.Response(status, json={"error": error}, headers={"retry-after": seconds})


def good() -> httpx2.Response:
    return httpx2.Response(200, json={"ok": True, "result": Yell("HO!").to_json()})


def test_pauses_grow_and_keep_to_retry_after() -> None:
    client, asked, pauses = answering(
        busy("2"), busy("0", 503), httpx2.ConnectError("no"), httpx2.ReadError(""), good()
    )
    assert client.predict("toy.shouts", "ho") == Yell("HO!")
    assert [str(one.url) for one in asked] == ["http://example.org/x/v1/tasks/toy.shouts"] * 5
    assert pauses[0] == 2.0
    assert 0.1 <= pauses[1] <= 0.2 <= pauses[2] <= 0.4 <= pauses[3] <= 0.8


@pytest.mark.parametrize(
    ("responses", "options", "kind", "asked"),
    [
        ([busy()] * 3, {"retries": 2}, "overloaded", 3),
        ([busy("31")], {}, "overloaded", 1),
        ([busy("6")], {"longest_wait": 5}, "overloaded", 1),
        ([busy("1", 500)], {}, "overloaded", 1),
        ([httpx2.ConnectError("refused")] * 2, {"retries": 1}, "unreachable", 2),
        ([httpx2.ReadTimeout("slow")], {}, "timeout", 1),
        ([httpx2.Response(200, text="<html>")], {}, "not-triptych", 1),
        ([httpx2.Response(404, text="<html>")], {}, "not-triptych", 1),
        ([httpx2.Response(302, headers={"location": "http://elsewhere"})], {}, "not-triptych", 1),
        ([httpx2.Response(200, json={"result": {"type": "Nothing"}})], {}, "not-triptych", 1),
        ([httpx2.Response(200, json={"result": 3})], {}, "not-triptych", 1),
        ([httpx2.Response(200, json={"result": {"type": "Yell"}})], {}, "not-triptych", 1),
    ],
)
def test_what_is_given_up_says_why(responses: list[Any], options: dict[str, Any], kind: str, asked: int) -> None:
    client, requests, _ = answering(*responses, **options)
    with pytest.raises(ServiceError) as caught:
        client.predict("toy.shouts", "ho")
    assert (caught.value.kind, len(requests)) == (kind, asked)


def test_a_stream_that_breaks_off_says_so() -> None:
    text = 'event: part\ndata: {"type": "Yell", "text": "A"}\n\n'
    client, _, _ = answering(busy("0"), httpx2.Response(200, text=text))
    parts = client.stream("toy.letters", "ab")
    assert next(parts) == Yell("A")
    with pytest.raises(ServiceError, match="broke off"):
        next(parts)


def test_results_of_a_task_that_nobody_imported_are_read() -> None:
    """The client's process knows no task yet: the first answer brings its package in."""
    import subprocess
    import sys

    code = (
        "import httpx2, sys\n"
        "from shared.serving import Client\n"
        "assert not {'fastapi', 'uvicorn', 'nlp', 'orjson', 'torch'} & set(sys.modules)\n"
        "row = {'type': 'TextLabels', 'labels': ['a'], 'scores': [1.0], 'multi_label': False}\n"
        "fake = httpx2.MockTransport(lambda r: httpx2.Response(200, json={'ok': True, 'result': row}))\n"
        "client = Client('http://x', http=httpx2.Client(transport=fake))\n"
        "print(type(client.predict('nlp.classification', 'a')).__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "nlp.types", done.stderr


def test_wrong_arguments_say_so() -> None:
    with pytest.raises(UsageError, match="must begin with http"):
        Client("example.org")
    with pytest.raises(UsageError, match="retries=-1"):
        Client("http://example.org", retries=-1)
    with Client("http://127.0.0.1:1") as client:
        assert not client.ready()
