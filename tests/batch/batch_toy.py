"""Small tasks of the batch tests, importable by worker processes: a real Pillow decode, and texts that misbehave."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError, MissingDependencyError
from shared.predictor import Pipeline
from shared.tasks import Option, Task, find_task
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


def _mean_colour(path: Any) -> np.ndarray:
    from PIL import Image

    _count()
    file = io.BytesIO(path.read_bytes()) if hasattr(path, "read_bytes") else path
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((64, 64)), np.float32)
    except (OSError, SyntaxError) as error:
        raise InputError("corrupt", f"{path} must be an image. {error}") from error


def _count() -> None:
    """One byte a prepared item, in the file that the environment names: it outlives a kill."""
    if name := os.environ.get("TOY_COUNT"):
        with open(name, "ab", buffering=0) as file:
            file.write(b".")


def swatch(item: Any, result: Colour, folder: Path, **options: Any) -> Path:
    """A picture of the mean colour alone, named as its item."""
    from PIL import Image

    if "undrawable" in str(item):
        raise InputError("not-found", f"a picture must be there. {item} is gone")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{Path(str(item)).stem}.png"
    Image.new("RGB", (8, 8), tuple(round(value) for value in result.rgb.tolist())).save(file, "PNG")
    return file


def open_colours(model: str | None, *, device: str, threads: int | None, pause_ms: float = 0.0) -> Any:
    most, ran = int(os.environ.get("TOY_MOST", "0")), [0]

    def run(batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        while most and ran[0] >= most:  # until it is killed
            time.sleep(0.02)
        ran[0] += len(batch)
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
            if text == "fault":
                ctypes.string_at(0)
            if text.startswith("sleep"):
                time.sleep(0.02)
            while text.startswith("hold") and not Path(os.environ.get("TOY_GATE", "/")).exists():
                time.sleep(0.02)
        return [text.upper() + tone for text in batch]

    return Pipeline(fake_card(name=model or "shouts"), _shout, run, lambda raw, mid: Shout(raw), batch_size=4)


class Quitter:
    """A predictor whose stream ends one answer early."""

    card = fake_card(name="quitter")

    def stream(self, items: Any, /, *, batch_size: int | None = None, on_error: str = "keep") -> Iterator[Shout]:
        answers = [Shout(item) for item in items]
        yield from answers[:-1]


class Counted:
    """A real predictor, each item of whose streams is counted as it is read: no kill hides work that was done."""

    def __init__(self, predictor: Any) -> None:
        self._predictor, self.card = predictor, predictor.card

    def stream(self, items: Any, /, *, batch_size: int | None = None, on_error: str = "keep") -> Iterator[Any]:
        def counted() -> Iterator[Any]:
            for item in items:
                _count()
                if isinstance(item, str) and item.startswith("poison"):
                    os.kill(os.getpid(), signal.SIGKILL)
                yield item

        return iter(self._predictor.stream(counted(), batch_size=batch_size, on_error=on_error))


def open_pictures(model: str | None, *, device: str, threads: int | None) -> Counted:
    return Counted(find_task("vision.classification").open("mobilenetv2-224", device=device, threads=threads))


def open_moods(model: str | None, *, device: str, threads: int | None) -> Counted:
    return Counted(find_task("nlp.classification").open(model, device=device, threads=threads))


PICTURES = Task("test.pictures", "a real classifier of images, counted", "image", open_pictures)
MOODS = Task("test.moods", "a real classifier of texts, counted", "text", open_moods)
COLOURS = Task(
    "test.colours",
    "the mean colour of an image",
    "image",
    open_colours,
    (Option("pause_ms", float, 0.0, "rest"),),
    annotate=swatch,
)
SHOUTS = Task("test.shouts", "texts in capitals", "text", open_shouts, (Option("tone", str, "!", "what ends a text"),))
NAMES = Task("test.names", "ids in capitals", "id", open_shouts)
QUITS = Task("test.quits", "leaves answers out", "text", lambda model, *, device, threads: Quitter())


if __name__ == "__main__":  # the command over one of these tasks: batch_toy.py TASK INPUT OUT [OPTIONS]
    import click
    from batch_toy import COLOURS, MOODS, PICTURES, SHOUTS  # a worker process cannot find functions of a main module

    from shared.cli.batch import parameters, run

    chosen = {task.name: task for task in (COLOURS, SHOUTS, PICTURES, MOODS)}[sys.argv[1]]
    command = click.Command("batch", params=parameters(chosen), callback=lambda **values: run(chosen, **values))
    sys.exit(command.main(sys.argv[2:], standalone_mode=False))
