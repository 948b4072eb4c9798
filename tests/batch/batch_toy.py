"""Small tasks of the batch tests, importable by worker processes: a real Pillow decode, and texts that misbehave."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import InputError, MissingDependencyError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.testing import fake_card
from shared.types import Float32, Result, array_field


@dataclass(frozen=True, eq=False)
class Colour(Result):
    """The mean colour of an image: (3,) in 0..255."""

    rgb: Float32 = array_field("float32", (3,), 0.0, 255.0)


@dataclass(frozen=True, eq=False)
class Shout(Result):
    """A text in capitals."""

    text: str


def _mean_colour(path: str) -> np.ndarray:
    from PIL import Image

    _count()
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((64, 64)), np.float32)
    except (OSError, SyntaxError) as error:
        raise InputError("corrupt", f"{path} must be an image. {error}") from error


def _count() -> None:
    """One byte a prepared item, in the file that the environment names: it outlives a kill."""
    if name := os.environ.get("TOY_COUNT"):
        with open(name, "ab", buffering=0) as file:
            file.write(b".")


def open_colours(model: str | None, *, device: str, threads: int | None, pause_ms: float = 0.0) -> Any:
    def run(batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        time.sleep(pause_ms * len(batch) / 1000)
        return [array.mean(axis=(0, 1)) for array in batch]

    card = fake_card(name=model or "colours")
    return Pipeline(card, _mean_colour, run, lambda raw, mid: Colour(raw), batch_size=8, threads=threads)


def _shout(text: Any) -> str:
    if not isinstance(text, str):
        raise InputError("wrong-type", f"a text must be a string. Got {type(text).__name__} instead")
    if text == "bad":
        raise InputError("empty", "a text must not be bad")
    return text


def open_shouts(model: str | None, *, device: str, threads: int | None, tone: str = "!") -> Any:
    if model == "absent":
        raise MissingDependencyError("this needs 'absent', which is not installed. Run: pip install absent")
    if model == "fatal":
        os.kill(os.getpid(), signal.SIGKILL)

    def run(batch: Sequence[str]) -> list[str]:
        for text in batch:
            _count()
            if text.startswith("poison"):
                os.kill(os.getpid(), signal.SIGKILL)
            if text.startswith("sleep"):
                time.sleep(0.02)
        return [text.upper() + tone for text in batch]

    return Pipeline(fake_card(name=model or "shouts"), _shout, run, lambda raw, mid: Shout(raw), batch_size=4)


class Quitter:
    """A predictor whose stream ends one answer early."""

    card = fake_card(name="quitter")

    def stream(self, items: Any, /, *, batch_size: int | None = None, on_error: str = "keep") -> Iterator[Shout]:
        answers = [Shout(item) for item in items]
        yield from answers[:-1]


COLOURS = Task(
    "test.colours", "the mean colour of an image", "image", open_colours, (Option("pause_ms", float, 0.0, "rest"),)
)
SHOUTS = Task("test.shouts", "texts in capitals", "text", open_shouts, (Option("tone", str, "!", "what ends a text"),))
NAMES = Task("test.names", "ids in capitals", "id", open_shouts)
QUITS = Task("test.quits", "leaves answers out", "text", lambda model, *, device, threads: Quitter())


if __name__ == "__main__":  # the command over one of these tasks: batch_toy.py TASK INPUT OUT [OPTIONS]
    import batch_toy  # functions of a main module cannot be found by a worker process
    import click

    from shared.cli.batch import parameters, run

    chosen = {task.name: task for task in (batch_toy.COLOURS, batch_toy.SHOUTS)}[sys.argv[1]]
    command = click.Command("batch", params=parameters(chosen), callback=lambda **values: run(chosen, **values))
    sys.exit(command.main(sys.argv[2:], standalone_mode=False))
