"""What every request passes: its id, its key, its rate, the one form of errors, metrics and the log."""

from __future__ import annotations

import asyncio
import os
import re
import time
import traceback
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import TriptychError
from shared.serving.bodies import header
from shared.serving.endpoints import answer
from shared.serving.faults import CLOSED, ClientGone, HttpError, error_body, of_error, too_busy
from shared.serving.pages import under
from shared.serving.service import Service, Trace

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})
"""Paths that ask for no key and count for no rate, and are answered while the server stops."""

_BUFFERED = 65_536
"""Bytes of an answer that the server takes at once, whether or not the client reads."""
_FIXED = frozenset({"/v1/models", "/v1/experiments"})


class Gate:
    """The outermost layer; pure ASGI, for it is on the way of every answer."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service = self._service
        if not service.draining:
            service.start()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if under(path, service.config.ui):
            await service.streams.run(self._app, scope, receive, send)
            return
        given = header(scope, b"x-request-id").decode("latin-1")
        trace = Trace(given if given and _ID.fullmatch(given) else os.urandom(12).hex())
        scope.setdefault("state", {})
        scope["state"] = {**scope["state"], "trace": trace}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                headers = list(message.get("headers", ()))
                if service.says_id:
                    headers.append((b"x-request-id", trace.request_id.encode("ascii")))
                if trace.close or service.draining:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            if message.get("more_body") or len(message.get("body", b"")) > _BUFFERED:
                await self._patiently(send, message)
            else:
                await send(message)

        free = path in _OPEN
        counted = not free
        if counted:
            service.begin()
        try:
            if counted:
                self._enter(scope, trace)
            await self._app(scope, receive, sent)
        except ClientGone:
            trace.status = CLOSED
        except TriptychError as error:
            await self._refuse(trace, of_error(error), sent, error)
        except Exception as error:  # noqa: BLE001 - the boundary of a request: whatever is wrong is ours, and said once
            fault = HttpError(500, "internal", "something failed here. The log has the cause under the request id")
            await self._refuse(trace, fault, sent, error)
        finally:
            if counted:
                service.end(trace)
                self._tell(scope, trace)

    async def _patiently(self, send: Send, message: Message) -> None:
        """Send what a client may be slow to take, for as long as a request may last.

        Raises:
            ClientGone: it did not take it.
        """
        try:
            async with asyncio.timeout(self._service.limits.timeout):
                await send(message)
        except TimeoutError:
            raise ClientGone from None

    def _enter(self, scope: Scope, trace: Trace) -> None:
        """Raise where a request may not come in."""
        service = self._service
        if service.draining:
            raise HttpError(
                503, "draining", "the server is stopping. Send this elsewhere", headers={"retry-after": "1"}
            )
        if service.keys is not None:
            given = header(scope, b"x-api-key")
            scheme, _, bearer = header(scope, b"authorization").partition(b" ")
            trace.key = service.keys.find(given or (bearer.strip() if scheme.lower() == b"bearer" else b""))
            if trace.key is None:
                raise HttpError(
                    401,
                    "unauthorized",
                    "a request must have a key that is known here: Authorization: Bearer KEY, or X-API-Key: KEY",
                    headers={"www-authenticate": "Bearer"},
                    close=True,
                )
        if service.buckets is not None:
            client = scope.get("client")
            seconds = service.buckets.take(trace.key.name if trace.key else str(client[0] if client else ""))
            if seconds:
                raise too_busy(seconds, "this key sends more requests a second than it may", kind="rate-limited")
        if not service.ready:
            message = "the models are being loaded. /readyz says when they are warm"
            raise HttpError(503, "not-ready", message, headers={"retry-after": "1"})
        names = ("traceparent", "tracestate")
        if service.config.tracing:
            trace.carrier = {name: header(scope, name.encode()).decode("latin-1") for name in names}

    async def _refuse(self, trace: Trace, fault: HttpError, send: Send, error: Exception) -> None:
        trace.kind, trace.close = fault.kind, trace.close or fault.close
        if fault.status in (401, 429, 503, 413, 408):
            self._service.metrics.rejected.labels(fault.kind).inc()
        elif trace.task:
            self._service.metrics.failures.labels(trace.task, fault.kind).inc()
        if fault.status == 500:
            shown = "".join(traceback.format_exception(error))[-4000:]
            self._service.log.line("fault", request_id=trace.request_id, traceback=shown)
        if not trace.started:
            body = error_body(fault.kind, fault.message, trace.request_id)
            await answer(send, fault.status, body, headers=fault.headers)

    def _tell(self, scope: Scope, trace: Trace) -> None:
        service = self._service
        route = _route(scope["path"].removeprefix(scope.get("root_path", "")), trace)
        metrics, seconds = service.metrics, time.perf_counter() - trace.began
        metrics.requests.labels(route, trace.task, str(trace.status)).inc()
        metrics.seconds.labels(route, trace.task).observe(seconds)
        facts: dict[str, Any] = {
            "request_id": trace.request_id,
            "method": scope["method"],
            "path": scope["path"],
            "status": trace.status,
            "ms": round(1000 * seconds, 3),
            "task": trace.task or None,
            "model": trace.model or None,
            "key": trace.key.name if trace.key else None,
            "kind": trace.kind,
        }
        service.log.line("request", **facts)


def _route(path: str, trace: Trace) -> str:
    """A path with names for what varies in it, so that metrics have few series whatever is asked."""
    if trace.task:
        return path.replace(trace.task, "{task}")
    return path if path in _FIXED else "/v1/models/{task}" if path.startswith("/v1/models/") else "other"
