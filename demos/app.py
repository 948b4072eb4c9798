"""The application: a landing page and a page for each job, served by Gradio on this machine alone."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from demos import classify, entities, home, text, translate
from demos.ask import page as ask
from demos.compare import page as compare
from demos.detect import page as detect
from demos.drift import page as drift
from demos.experiments import page as experiments
from demos.faces import page as faces
from demos.lean import many_pages
from demos.models import Models, declare
from demos.opening import MOST_MEMORY, Room
from demos.pages import KEPT_SECONDS
from demos.recommend import page as recommend
from demos.segment import page as segment
from demos.theme import CSS, HEAD, theme
from shared.serving.tidying import EVERY, share_arenas, trimmer
from shared.settings import cpu_count
from shared.sockets import bound

MAX_UPLOAD = "20mb"
QUEUE_LENGTH = 32
SESSIONS = 64
"""Open pages whose state is kept; Gradio keeps a copy of all components, 0.7 MB, and what was answered for each."""
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
THREADS = 16
"""Answers that are worked on at once; each thread that ever did keeps memory of its own."""

JOBS = (classify, detect, segment, faces, text, entities, translate, ask, recommend, compare, experiments, drift)


def build(*, room: Room | None = None) -> gr.Blocks:
    """The whole application, not yet served.

    No model is opened by it. The detector opens beside everything else once a browser shows Home or Detect, if its
    files are on this machine, so that a first picture need not wait for it.

    Args:
        room: the memory that opened models share; ``None`` for one of :data:`demos.opening.MOST_MEMORY`.
    """
    models = declare(room=room)
    app = gr.Blocks(title="Triptych", delete_cache=(60, KEPT_SECONDS), analytics_enabled=False)
    app.state_session_capacity, app.max_threads = SESSIONS, THREADS  # also where another application serves the pages
    with many_pages():
        with app:
            home.build(models, [job.PAGE for job in JOBS])
            _warmed(models)
        for job in JOBS:
            with app.route(job.PAGE.name, job.PAGE.path):
                job.build(models)
                if job is detect:
                    _warmed(models)
    app.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=cpu_count())
    return app


def _warmed(models: Models) -> None:
    """Have the page that is open begin to open the detector, once a browser has drawn it."""
    gr.on(None, models.detectors.first.warm, api_visibility="private", queue=False, show_progress="hidden")


def appearance() -> dict[str, Any]:
    """What Gradio is told wherever the pages are served: how they look, what they take, and what stays off."""
    return {
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "pwa": False,
    }


@contextmanager
def running(
    *, host: str = "127.0.0.1", port: int = 0, auth: tuple[str, str] | None = None, room: Room | None = None
) -> Iterator[str]:
    """Serve the application in a thread until the block ends; gives its address.

    Args:
        host: address to listen on.
        port: 0 takes any free one.
        auth: user and password that visitors are asked for.
        room: as :func:`build` takes it.

    Raises:
        UsageError: ``host`` is no address of this machine, or ``port`` is in use.
    """
    with bound(host, port) as probe:  # Gradio's own message for a taken port is a riddle
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="triptych-demo-") as uploads, environment(uploads):
        app = build(room=room)
        app.launch(
            server_name=host,
            server_port=port,
            auth=auth,
            state_session_capacity=SESSIONS,
            max_threads=THREADS,
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            **appearance(),
        )
        try:
            yield str(app.local_url)
        finally:
            app.close(verbose=False)


def serve(
    *,
    host: str,
    port: int,
    auth: tuple[str, str] | None,
    say: Callable[[str], object],
    memory: int = MOST_MEMORY,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Call it from the main thread.

    Args:
        host: as :func:`running`.
        port: as :func:`running`.
        auth: as :func:`running`.
        say: told the address, in words.
        memory: MiB that opened models may take together; then those asked longest ago are let go.

    Raises:
        UsageError: as :func:`running`.
    """
    stop = threading.Event()
    give_back_memory()
    room = Room(memory << 20)
    with running(host=host, port=port, auth=auth, room=room) as address:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        say(f"Triptych answers at {address}")
        if auth is None and not _is_loopback(host):
            say("Everyone who can reach this machine can use it. --auth USER:PASSWORD asks visitors who they are.")
        say("Stop it with Ctrl+C.")
        trim = trimmer() or bool
        while not stop.wait(EVERY):
            trim()
            room.tidy()
    return 0


def give_back_memory() -> None:
    """Have freed arrays go back to the system, where the C library is GNU's.

    Left to itself it raises the size from which a block is one by the system, and keeps a heap for each few threads:
    a server that decodes pictures of all sizes in many threads then grows for hours.
    """
    if share_arenas():
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


@contextmanager
def environment(uploads: str) -> Iterator[None]:
    """What Gradio reads from the environment: no telemetry, our own folder, and no proxy on the way to ourselves."""
    past = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "localhost,127.0.0.1,::1"]))
    wanted = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads, "NO_PROXY": past, "no_proxy": past}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
