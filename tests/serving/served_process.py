"""A server of the toys in a process of its own, so that its memory can be measured and its end be seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SERVE = """
import sys
import served_process
from shared.serving import server
from shared.serving.config_file import parse_config
from shared.serving.protocol import HttpProtocol
build = server.build_app
server.build_app = lambda config: build(config, find=served_process.find)
HttpProtocol.head_seconds = float(sys.argv[2])
sys.exit(server.serve(parse_config(sys.argv[1])))
"""
SHOUTS = """
[[models]]
task = "toy.shouts"
request_options = ["tone"]
[[models]]
task = "toy.letters"
[[models]]
task = "toy.people"
[[models]]
task = "toy.pictures"
"""


def find(name: str):  # type: ignore[no-untyped-def]
    """The toys, and pictures that are read as the tasks of :mod:`vision` read them."""
    import serving_toy

    from shared.predictor import Pipeline
    from shared.tasks import Task, find_task
    from shared.testing import fake_card
    from vision.images import View, load_view

    def view(height: int, width: int) -> View:
        return View((0, 0, width, height), (8, 8))

    def open_pictures(model: str | None, *, device: str, threads: int | None):  # type: ignore[no-untyped-def]
        return Pipeline(
            fake_card(name="pictures"),
            lambda content: load_view(content, view)[0].mean(axis=(0, 1), dtype="float32"),
            list,
            lambda raw, mid: serving_toy.Tint(raw),
            batch_size=1,
            side_by_side=True,
        )

    pictures = Task("toy.pictures", "the mean colour of a picture", "image", open_pictures)
    if name == pictures.name:
        return pictures
    return serving_toy.find(name) if name.startswith("toy.") else find_task(name)


@dataclass(frozen=True)
class Process:
    """A server's process and address."""

    popen: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def megabytes(self, name: str = "VmRSS") -> float:
        """Its memory now; at its peak with ``VmHWM``."""
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


@contextmanager
def process(
    *, server: str = "", limits: str = "", models: str = SHOUTS, head_seconds: float = 10.0
) -> Iterator[Process]:
    """A server in a process, ready when the block begins; it must end with 0 behind it."""
    config = f"[server]\nport = 0\n{server}\n[limits]\n{limits}\n{models}"
    paths = [str(Path(__file__).parent), *sys.path]
    popen = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE, config, str(head_seconds)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert popen.stdout is not None
    try:
        found = Process(popen, popen.stdout.readline().split()[-1])
        until = time.monotonic() + 120
        with httpx.Client(base_url=found.url, timeout=60, trust_env=False) as http:
            while http.get("/readyz").status_code != 200:
                assert time.monotonic() < until, "it does not become ready"
                time.sleep(0.01)
        yield found
        popen.terminate()
        assert popen.wait(60) == 0
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()
