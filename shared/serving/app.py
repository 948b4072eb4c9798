"""The application: FastAPI with a route for each job, ready to be served or mounted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.serving.bodies import read_body, read_json
from shared.serving.config import Config, ServedModel
from shared.serving.endpoints import Endpoint, Streaming
from shared.serving.faults import HttpError
from shared.serving.gate import Gate
from shared.serving.pages import add_pages
from shared.serving.schema import document
from shared.serving.service import Service, Trace
from shared.serving.splits import held_versions
from shared.serving.telemetry import CONTENT_TYPE
from shared.serving.tidying import tidy
from shared.tasks import Task, find_task


def build_app(
    config: Config,
    *,
    find: Callable[[str], Task] = find_task,
    log_file: Any = None,
    warm_first: bool = False,
) -> FastAPI:
    """The application that serves a configuration.

    It may be served by itself or mounted in another; the models are loaded when it starts or, mounted, at its first
    request. ``app.state.service`` is its :class:`~shared.serving.service.Service`.

    Args:
        config: what to serve.
        find: from a task's name to the task; the installed tasks when not given.
        log_file: where log lines go; standard error when not given.
        warm_first: whether it counts as started only when its models are warm, and fails to start when one cannot be
            opened; else ``readyz`` says so.

    Raises:
        DataError: the file of keys is malformed.
        MissingDependencyError: tracing is on and the extra ``tracing`` is not installed, or ``ui`` is given and
            ``demos`` is not.
    """
    service = Service(config, find=find, log_file=log_file)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = service.start()
        if warm_first:
            await starting
            if service.failure is not None:
                raise service.failure
        tidying = asyncio.create_task(tidy())
        yield
        service.stopping = True
        await service.drained()
        tidying.cancel()
        service.close()

    app = FastAPI(title="Triptych", lifespan=lifespan, root_path=config.root_path)
    app.state.service = service
    admin = _Admin(service)
    app.router.routes[:0] = [
        Route("/v1/tasks/{task}", Endpoint(service), methods=["POST"]),
        Route("/v1/tasks/{task}/batch", Endpoint(service, several=True), methods=["POST"]),
        Route("/v1/tasks/{task}/stream", Streaming(service), methods=["POST"]),
        Route("/healthz", admin.alive, methods=["GET"]),
        Route("/readyz", admin.ready, methods=["GET"]),
        Route("/metrics", admin.metrics, methods=["GET"]),
        Route("/v1/models", admin.models, methods=["GET"]),
        Route("/v1/models", admin.load, methods=["POST"]),
        Route("/v1/models/{task}/alias", admin.alias, methods=["POST"]),
        Route("/v1/models/{task}/{version}/reload", admin.reload, methods=["POST"]),
        Route("/v1/models/{task}/{version}", admin.unload, methods=["DELETE"]),
        Route("/v1/experiments", admin.experiments, methods=["GET"]),
    ]
    if config.ui:
        add_pages(app, config.ui, service.keys)
    app.openapi = admin.document  # type: ignore[method-assign]
    app.add_middleware(Gate, service=service)
    whole = app.build_middleware_stack

    def layers() -> ASGIApp:
        return _Straight(whole(), service) if len(app.user_middleware) == 1 else whole()

    app.build_middleware_stack = layers  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _unrouted)  # type: ignore[arg-type]
    return app


class _Straight:
    """Requests to tasks go through the gate alone: FastAPI's layers around and behind it have nothing to do for them.

    Where a user has added a layer to the application, every request passes that, and so this is left out.
    """

    def __init__(self, whole: ASGIApp, service: Service) -> None:
        self._whole = whole
        self._ends: dict[tuple[str, ...], ASGIApp] = {
            (): Gate(Endpoint(service), service),
            ("batch",): Gate(Endpoint(service, several=True), service),
            ("stream",): Gate(Streaming(service), service),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            _, *parts = scope["path"].removeprefix(scope.get("root_path", "")).split("/")
            end = self._ends.get(tuple(parts[3:]))
            if end is not None and parts[:2] == ["v1", "tasks"] and len(parts) > 2 and parts[2]:
                scope["path_params"] = {"task": parts[2]}
                await end(scope, receive, send)
                return
        await self._whole(scope, receive, send)


async def _unrouted(request: Request, error: HTTPException) -> Response:
    """A path or a method that nothing answers to, in the one form of errors."""
    kinds = {404: "unknown-path", 405: "wrong-method"}
    message = {404: "nothing answers at this path. /docs lists what does", 405: "this path takes another method"}
    fault = HttpError(
        error.status_code,
        kinds.get(error.status_code, "bad-request"),
        message.get(error.status_code, str(error.detail)),
        headers=dict(error.headers or {}),
    )
    raise fault


class _Admin:
    """Everything beside the tasks."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def alive(self, request: Request) -> Response:
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        service = self._service
        if service.failure is not None:
            return _json({"status": "failed", "message": str(service.failure)}, status=503)
        if service.stopping or not service.ready:
            return _json({"status": "loading" if not service.stopping else "draining"}, status=503)
        return _json({"status": "ready", "models": len(service.registry.rows())})

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        return _json({"models": self._service.registry.rows()})

    async def load(self, request: Request) -> Response:
        given = await self._asked(
            request, {"task": str}, {"model": str, "version": str, "aliases": list, "options": dict}
        )
        registry = self._service.registry
        version = given.get("version") or registry.next_version(given["task"])
        aliases = tuple(given.get("aliases") or ())
        if not all(isinstance(alias, str) and alias for alias in (version, *aliases)):
            raise HttpError(400, "bad-request", "version and aliases must be texts that are not empty")
        spec = ServedModel(given["task"], given.get("model"), version, aliases, given.get("options") or {})
        one = await registry.load(spec)
        return _json(one.row(registry.aliases(one)), status=201)

    async def alias(self, request: Request) -> Response:
        given = await self._asked(request, {"alias": str, "version": str}, {})
        registry = self._service.registry
        one = registry.point(request.path_params["task"], given["alias"], given["version"])
        return _json(one.row(registry.aliases(one)))

    async def reload(self, request: Request) -> Response:
        self._check_admin(request)
        registry = self._service.registry
        one = await registry.reload(request.path_params["task"], request.path_params["version"])
        return _json(one.row(registry.aliases(one)))

    async def unload(self, request: Request) -> Response:
        self._check_admin(request)
        service, task, version = self._service, request.path_params["task"], request.path_params["version"]
        held = held_versions(service.registry, service.splitters, service.shadowers, task)
        await service.registry.unload(task, version, held=[held[version]] if version in held else [])
        return _json({"task": task, "version": version, "unloaded": True})

    async def experiments(self, request: Request) -> Response:
        service = self._service
        if not service.splitters and not service.shadowers:
            raise HttpError(404, "no-experiments", "neither a split nor a shadow is on here")
        splits = [one.row() for one in service.splitters.values()]
        return _json({"splits": splits, "shadows": [one.row() for one in service.shadowers.values()]})

    def document(self) -> dict[str, Any]:
        service = self._service
        models = sorted(
            service.registry.mains(),
            key=lambda one: (one.task.name, one is not service.registry.find(one.task.name), one.spec.version),
        )
        return document(models, keys=service.keys is not None, root_path=service.config.root_path)

    def _check_admin(self, request: Request) -> None:
        trace: Trace = request.scope["state"]["trace"]
        if trace.key is None or not trace.key.admin:
            raise HttpError(
                403, "forbidden", "models are loaded and unloaded with a key that its file marks as admin", close=True
            )
        if self._service.config.workers > 1:
            raise HttpError(409, "several-workers", "with several workers, models are those of the configuration alone")

    async def _asked(self, request: Request, needed: dict[str, type], optional: dict[str, type]) -> dict[str, Any]:
        self._check_admin(request)
        hold = partial(self._service.hold, request.scope["state"]["trace"])
        given = read_json(await read_body(request.scope, request.receive, self._service.limits, hold))
        kinds = needed | optional
        wrong = sorted(
            name
            for name, value in given.items()
            if name not in kinds or not (isinstance(value, kinds[name]) or (value is None and name in optional))
        )
        if wrong or set(needed) - set(given):
            shown = ", ".join(f"{name} ({kind.__name__})" for name, kind in kinds.items())
            raise HttpError(
                400, "bad-request", f"a body must have {sorted(needed)}, of {shown}. Got {sorted(given)[:10]}"
            )
        return given


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(value, default=str), status, media_type="application/json")
