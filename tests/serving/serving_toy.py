"""Small tasks to serve, real enough for every path: texts that misbehave, pictures by Pillow, people by id."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image

from shared.errors import InputError, UnknownNameError
from shared.predictor import Pipeline
from shared.serving import Config, build_app
from shared.serving.server import Server, _uvicorn
from shared.serving.service import Service
from shared.tasks import Option, Task
from shared.testing import fake_card
from shared.types import Float32, Result, array_field


@dataclass(frozen=True, eq=False)
class Yell(Result):
    """A text in capitals."""

    text: str


@dataclass(frozen=True, eq=False)
class Tint(Result):
    """The mean colour of a picture: shape (3,), float32, in 0..255."""

    rgb: Float32 = array_field("float32", (3,), 0.0, 255.0)


BATCHES: list[list[str]] = []
"""What ran together, of every shouting model."""
GATE = threading.Event()
"""A text that begins with "wait" stays in its model until this is set."""


def _text(text: Any) -> str:
    if text == "bad":
        raise InputError("empty", "a text must not be bad")
    return str(text)


def open_shouts(
    model: str | None, *, device: str, threads: int | None, tone: str = "!"
) -> Pipeline[str, str, str, Yell]:
    if model == "absent":
        raise UnknownNameError("model", model, ["shouts"])

    def run(batch: Sequence[str]) -> list[str]:
        BATCHES.append(list(batch))
        for text in batch:
            if text.startswith("wait") and not GATE.wait(120):
                raise TimeoutError("nobody opened the gate")
            if text.startswith("sleep"):
                time.sleep(float(text.split()[1]))
            if text == "crash":
                raise RuntimeError("a secret of the machine")
        return [text.upper() + tone for text in batch]

    return Pipeline(fake_card(name=model or "shouts"), _text, run, lambda raw, mid: Yell(raw))


def open_echoes(model: str | None, *, device: str, threads: int | None) -> Pipeline[str, str, str, Yell]:
    return replace(open_shouts(model, device=device, threads=threads), reentrant=True)


def open_colours(model: str | None, *, device: str, threads: int | None) -> Pipeline[bytes, Float32, Float32, Tint]:
    def prepare(content: bytes) -> Float32:
        try:
            with Image.open(io.BytesIO(content)) as image:
                return np.asarray(image.convert("RGB"), np.float32)
        except OSError as error:
            raise InputError("unsupported", "a picture must be an image file") from error

    def run(batch: Sequence[Float32]) -> list[Float32]:
        return [array.mean(axis=(0, 1)) for array in batch]

    return Pipeline(
        fake_card(name="colours"), prepare, run, lambda raw, mid: Tint(raw), batch_size=1, side_by_side=True
    )


def letters(predictor: Any, text: str) -> Iterator[Yell]:
    """One letter at a time; a digit is refused."""
    for letter in text:
        if letter.isdigit():
            raise InputError("unsupported", f"a letter must not be {letter}")
        yield Yell(letter.upper())


TONE = Option("tone", str, "!", "what ends a text")
TASKS = {
    task.name: task
    for task in (
        Task("toy.shouts", "texts in capitals", "text", open_shouts, (TONE,)),
        Task("toy.echoes", "texts in capitals, in several threads", "text", open_echoes),
        Task("toy.letters", "letters", "text", open_shouts, tools={"parts": letters}),
        Task("toy.colours", "the mean colour of a picture", "image", open_colours),
        Task("toy.people", "ids in capitals", "id", open_shouts),
    )
}


def find(name: str) -> Task:
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name]


@dataclass
class Running:
    """A server that listens."""

    url: str
    service: Service
    server: Server
    thread: threading.Thread
    log: io.StringIO

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)


@contextmanager
def running(config: Config) -> Iterator[Running]:
    """A real uvicorn server over the toys, in a thread, ready or failed when the block begins."""
    log = io.StringIO()
    app = build_app(config, find=find, log_file=log)
    service: Service = app.state.service
    settings: uvicorn.Config = _uvicorn(app, config, host="127.0.0.1", port=0)
    server = Server(settings, service)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 120
    while not (server.started and (service.ready or service.failure)) and thread.is_alive():
        assert time.monotonic() < until, log.getvalue()
        time.sleep(0.005)
    port = 0 if service.failure else server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", service, server, thread, log)
    finally:
        GATE.set()
        server.should_exit = True
        thread.join(60)
        GATE.clear()


def png(side: int = 4, colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()
