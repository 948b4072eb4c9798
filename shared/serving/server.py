"""The process that serves: uvicorn, with a shutdown that loses nothing.

SIGTERM or SIGINT: ``readyz`` says 503 at once; for ``drain_seconds`` requests are still taken, for balancers that hear
late; then new ones get 503 with ``Connection: close``, everything accepted is finished, and the process ends with 0. A
second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from shared.errors import UsageError
from shared.monitoring.settings import Monitoring
from shared.serving.app import build_app
from shared.serving.config import Config, Limits, ServedModel, Shadow, Split, SplitArm
from shared.serving.protocol import HttpProtocol
from shared.serving.service import Service
from shared.serving.tidying import share_arenas
from shared.sockets import bound

ENVIRONMENT = "TRIPTYCH_SERVE"
"""The variable through which worker processes get the configuration, as JSON."""
LINGER = 0.25
"""Seconds after the last answer in which connections that are open still hear that the server stops."""
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server that finishes what it accepted before it closes a socket."""

    def __init__(self, config: uvicorn.Config, service: Service, listens: Callable[[], object] = bool) -> None:
        super().__init__(config)
        self._service, self._listens = service, listens
        self._stopping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bound: list[socket.socket] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._bound = asyncio.get_running_loop(), list(sockets or ())
        self._service.start().add_done_callback(self._started)
        await super().startup(sockets)
        self._listens()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is None or self._service.stopping:
            self.should_exit = self.force_exit = True
            return
        self._service.stopping = True
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopping = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        service = self._service
        service.log.line("stopping", in_flight=service.in_flight)
        await asyncio.sleep(service.config.drain_seconds)
        await service.drained()
        await self._stop_listening()
        until = asyncio.get_running_loop().time() + LINGER
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        self.should_exit = True

    async def _stop_listening(self) -> None:
        """Close the listening sockets after taking every connection that the system has made for them.

        To close one that holds such connections would reset them, and with them a request that was sent already.
        """
        for one in self._bound:
            one.setblocking(False)
            one.listen(0)
        await asyncio.sleep(0.02)
        taken: list[socket.socket] = []
        for one in self._bound:
            with contextlib.suppress(BlockingIOError):
                while True:
                    taken.append(one.accept()[0])
        for server in self.servers:
            server.close()
        for one in self._bound:
            one.close()
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    def _started(self, task: asyncio.Task[None]) -> None:
        if self._service.failure is not None:
            self.should_exit = True


def serve(config: Config, *, say: Callable[[str], object] = print) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Call it from the main thread.

    Raises:
        UsageError: the address cannot be listened on, or several workers cannot do what is asked.
        TriptychError: a model cannot be opened.
    """
    share_arenas()
    listening = bound(config.host, config.port)
    listening.set_inheritable(True)
    address = f"http://{config.host}:{listening.getsockname()[1]}"
    if config.workers > 1:
        return _serve_several(config, listening, say, address)
    app = build_app(config)
    service: Service = app.state.service

    def said() -> None:
        say(f"Triptych answers at {address}")
        if config.ui:
            say(f"The pages stand at {address}{config.ui}")

    server = Server(_uvicorn(app, config), service, said)
    server.run([listening])
    listening.close()
    if service.failure is not None:
        raise service.failure
    return 0


def worker_app() -> FastAPI:
    """The application of a worker process, whose configuration stands in the environment."""
    share_arenas()
    return build_app(config_from_json(os.environ[ENVIRONMENT]))


def config_to_json(config: Config) -> str:
    """A configuration as text."""
    return json.dumps(dataclasses.asdict(config))


def config_from_json(text: str) -> Config:
    """The configuration that :func:`config_to_json` wrote.

    Example:
        >>> config_from_json(config_to_json(Config(port=80))).port
        80
    """
    given = json.loads(text)
    models = tuple(
        ServedModel(**{**one, "aliases": tuple(one["aliases"]), "request_options": tuple(one["request_options"])})
        for one in given.pop("models")
    )
    splits = {
        task: Split(**{**one, "arms": {name: SplitArm(**arm) for name, arm in one["arms"].items()}})
        for task, one in given.pop("splits").items()
    }
    shadows = {task: Shadow(**one) for task, one in given.pop("shadows").items()}
    watched = {task: Monitoring(**one) for task, one in given.pop("monitoring").items()}
    limits = Limits(**given.pop("limits"))
    return Config(models=models, limits=limits, splits=splits, shadows=shadows, monitoring=watched, **given)


def _uvicorn(app: Any, config: Config, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=config.rate is not None,
        backlog=BACKLOG,
        timeout_keep_alive=15,
        ws="none",
        **more,
    )


def _serve_several(config: Config, listening: socket.socket, say: Callable[[str], object], address: str) -> int:
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - only where there are several workers

    logged = [task for task, split in config.splits.items() if split.log]
    if logged:
        raise UsageError(f"one process writes an exposure log. With --workers 1 the split of {logged[0]} can log")
    os.environ[ENVIRONMENT] = config_to_json(config)
    whole = _uvicorn("shared.serving.server:worker_app", config, factory=True, workers=config.workers)
    say(f"Triptych answers at {address} with {config.workers} workers")
    Multiprocess(whole, sockets=[listening]).run()
    return 0
