"""Images, broken files and killed processes for the batch tests."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

HERE = Path(__file__).resolve().parent
collect_ignore = ["batch_toy.py"]
"""Collected for doctests it would be imported a second time, with classes that are not those of the tests."""


@pytest.fixture
def make_images() -> Callable[..., int]:
    """``make_images(folder, count, broken)`` writes crops of two photographs, and files that are no images."""
    from sklearn.datasets import load_sample_image

    photos = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]

    def make(folder: Path, count: int, broken: int = 0) -> int:
        rng = np.random.default_rng(0)
        bad = set(rng.choice(count, broken, replace=False).tolist())
        for i in range(count):
            width, height = (int(side) for side in rng.integers(60, 320, 2))
            photo = photos[i % 2]
            x, y = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
            buffer = io.BytesIO()
            photo.crop((x, y, x + width, y + height)).save(buffer, "JPEG", quality=85)
            whole = buffer.getvalue()
            kinds = (whole[: len(whole) // 3], b"", b"<!doctype html><title>404</title>")
            path = folder / f"{i // 500:02d}" / f"{i:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kinds[i % 3] if i in bad else whole)
        return count

    return make


COMMAND = ["-c", "from shared.cli.main import main; main()", "batch"]


class Job:
    """The command, or that of a toy task, in a process of its own, which can be killed at a moment of its progress."""

    def __init__(
        self, task: str, source: Path, out: Path, *options: str, count: Path | None = None, gate: Path | None = None
    ) -> None:
        self.out = out
        head = [str(HERE / "batch_toy.py")] if task.startswith("test.") else COMMAND
        self.command = [sys.executable, *head, task, str(source), str(out), *options]
        told = {"TOY_COUNT": count, "TOY_GATE": gate}
        self.environment = os.environ | {name: str(path) for name, path in told.items() if path}

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command, env=self.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def killed_at(self, rows: int) -> None:
        """Start it, and kill it once so many rows have been predicted in all runs.

        A model of colours waits when it has come so far: whoever looks late still finds it at work.
        """
        process = self.start(TOY_MOST=str(rows - self.predicted()))
        self.until(rows, process)
        process.kill()
        process.communicate()

    def to_end(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )

    def predicted(self) -> int:
        """Rows predicted so far, as the job's folder says."""
        try:
            return int((self.out / "_job" / "predicted").read_text() or "0")
        except FileNotFoundError:
            return 0

    def until(self, rows: int, process: subprocess.Popen[str], seconds: float = 180.0) -> None:
        """Wait until so many rows have been predicted in all runs."""
        end = time.monotonic() + seconds
        while self.predicted() < rows:
            assert process.poll() is None, f"ended early: {process.communicate()}"
            assert time.monotonic() < end, f"{self.predicted()} rows after {seconds} s"
            time.sleep(0.005)


def largest_child(process: subprocess.Popen[str]) -> psutil.Process:
    """The child that holds most memory: a worker, and not what watches over shared resources."""
    sizes: dict[psutil.Process, int] = {}
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            sizes[child] = child.memory_info().rss
    return max(sizes, key=lambda child: sizes[child])


@pytest.fixture
def job() -> type[Job]:
    return Job


@pytest.fixture
def kill_a_worker() -> Callable[[subprocess.Popen[str]], None]:
    return lambda process: largest_child(process).kill()
