"""The endpoints of a task: one item, several items, and one item part by part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from starlette.types import Receive, Scope, Send

from shared.serving.asking import JSON, Asked, chosen, read, read_asked
from shared.serving.deployments import ENDED, Answered, Deployment, Fault, Outcome, Step
from shared.serving.faults import ClientGone, HttpError, error_body, of_item
from shared.serving.service import Service, Trace

T = TypeVar("T")
_EVENTS = b"text/event-stream"


@dataclass(frozen=True)
class Endpoint:
    """One of the endpoints; an ASGI application, so that nothing stands between it and the server."""

    service: Service
    several: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, trace = self.service, _trace(scope)
        task = scope["path_params"]["task"]
        first = service.registry.find(task)
        trace.task = task
        if service.registry.alone(task):
            first.batcher.admit()
        asked = await read_asked(scope, receive, service, first, several=self.several)
        one, shown = await chosen(scope, service, asked, task)
        trace.model = one.spec.version
        with service.tracing.span(f"predict {task}", trace.carrier, {"triptych.model": one.name}):
            if self.several:
                body = await self._several(receive, one, asked, trace)
            else:
                body = await self._single(receive, one, asked, trace)
        if shown is not None:
            shown[0].expose(*shown[1:])
        ms = 1000 * (time.perf_counter() - trace.began)
        await answer(send, 200, b'%b,"model":%b,"ms":%.3f}' % (body, one.json, ms))

    async def _single(self, receive: Receive, one: Deployment, asked: Asked, trace: Trace) -> bytes:
        service = self.service
        item = await read(one, asked.items[0], service, asked.size)
        left = service.limits.timeout - (time.perf_counter() - trace.began)
        lane = one.lane(item)
        lane.admit(within=left)
        outcome = await _awaited(lane.submit(item), receive, left)
        if service.watches(one, trace.request_id):
            service.watched(one, trace.request_id, item, outcome)
        if isinstance(outcome, Fault):
            service.failed(one, outcome.kind)
            raise of_item(outcome.kind, outcome.message)
        service.answered(one, item, outcome)
        return b'{"ok":true,"result":%b' % outcome.json

    async def _several(self, receive: Receive, one: Deployment, asked: Asked, trace: Trace) -> bytes:
        service = self.service
        outcomes: list[Outcome] = []
        if asked.items:
            one.batcher.admit(within=service.limits.timeout)
            collecting = asyncio.ensure_future(self._collected(one, asked, trace))
            outcomes = await _awaited(collecting, receive, service.limits.timeout)
        rows = []
        for outcome in outcomes:
            if isinstance(outcome, Answered):
                rows.append(b'{"ok":true,"result":%b}' % outcome.json)
                continue
            service.failed(one, outcome.kind)
            fault = of_item(outcome.kind, outcome.message)
            rows.append(orjson.dumps({"ok": False, "error": {"kind": fault.kind, "message": fault.message}}))
        return b'{"results":[%b]' % b",".join(rows)

    async def _collected(self, one: Deployment, asked: Asked, trace: Trace) -> list[Outcome]:
        """Every item's outcome, with no more in the queue than it has room for."""
        found: list[Outcome | asyncio.Future[Outcome]] = []
        watched, kept = self.service.watches(one, trace.request_id), dict[int, Any]()
        try:
            for value in asked.items:
                try:
                    item = await read(one, value, self.service, asked.size)
                except HttpError as fault:
                    found.append(Fault(fault.kind, fault.message))
                    continue
                if watched:
                    kept[len(found)] = item
                lane = one.lane(item)
                await lane.room()
                found.append(lane.submit(item))
            outcomes = [await each if isinstance(each, asyncio.Future) else each for each in found]
        finally:
            for each in found:
                if isinstance(each, asyncio.Future) and not each.done():
                    each.cancel()
        for each, outcome in zip(found, outcomes):
            if isinstance(each, asyncio.Future) and isinstance(outcome, Answered):
                self.service.answered(one, None, outcome)
        for at, item in kept.items():
            self.service.watched(one, f"{trace.request_id}/{at}", item, outcomes[at])
        return outcomes


@dataclass(frozen=True)
class Streaming:
    """One item part by part, as server-sent events: ``part`` for each, then ``done``, or ``error``.

    A task whose tools have ``parts`` gives what is known so far as it comes: ``parts(predictor, item)`` iterates over
    results. Any other gives its result as the one part. What is watched of a stream is its last part, or, where the
    tools have ``joined``, what ``joined(parts)`` makes of all that came.
    """

    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, trace = self.service, _trace(scope)
        task = scope["path_params"]["task"]
        trace.task = task
        first = service.registry.find(task)
        asked = await read_asked(scope, receive, service, first, several=False)
        one, shown = await chosen(scope, service, asked, task)
        trace.model = one.spec.version
        item = await read(one, asked.items[0], service, asked.size)
        one.lane(item).admit(within=service.limits.timeout)
        parts = self._heard(one, item, receive, trace)
        try:
            before = await anext(parts, None)
            if isinstance(before, Fault):
                service.failed(one, before.kind)
                raise of_item(before.kind, before.message)
            headers = [(b"content-type", _EVENTS), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            count = 0
            while isinstance(before, Answered):
                await _event(send, b"part", before.json)
                count += 1
                before = await anext(parts, None)
        except HttpError as fault:
            if not trace.started:
                raise
            await _event(send, b"error", error_body(fault.kind, fault.message, trace.request_id), last=True)
            return
        finally:
            await parts.aclose()
        if isinstance(before, Fault):
            service.failed(one, before.kind)
            last = of_item(before.kind, before.message)
            await _event(send, b"error", error_body(last.kind, last.message, trace.request_id), last=True)
            return
        if shown is not None:
            shown[0].expose(*shown[1:])
        ms = 1000 * (time.perf_counter() - trace.began)
        await _event(send, b"done", b'{"ok":true,"parts":%d,"model":%b,"ms":%.3f}' % (count, one.json, ms), last=True)

    async def _heard(self, one: Deployment, item: Any, receive: Receive, trace: Trace) -> AsyncGenerator[Outcome, None]:
        """The parts; whatever ends them, the client's leaving too, what was said until then is watched."""
        parts, said = self._parts(one, item, receive, self.service.limits.timeout), list[Outcome]()
        watched = self.service.watches(one, trace.request_id)
        try:
            async for outcome in parts:
                if watched:
                    said.append(outcome)
                yield outcome
        finally:
            await parts.aclose()
            if said:
                self.service.watched(one, trace.request_id, item, said[-1], before=said[:-1])

    async def _parts(
        self, one: Deployment, item: Any, receive: Receive, timeout: float
    ) -> AsyncGenerator[Outcome, None]:
        """Each part as a step of its own through the batcher, so that other requests run between two of them."""
        tool, lane = one.task.tools.get("parts"), one.lane(item)
        if tool is None:
            yield await _awaited(lane.submit(item), receive, timeout)
            return
        steps: Iterator[Any] = iter(tool(one.predictor, item))
        gone = asyncio.ensure_future(receive())
        try:
            while True:
                outcome = await _awaited(lane.submit(Step(steps)), receive, timeout, gone)
                if isinstance(outcome, Fault) and outcome.kind == ENDED:
                    return
                yield outcome
                if isinstance(outcome, Fault):
                    return
        finally:
            gone.cancel()


async def _awaited(
    future: asyncio.Future[T], receive: Receive, seconds: float, gone: asyncio.Future[Any] | None = None
) -> T:
    """A future's result, unless time runs out or the client leaves: then it is cancelled, and its place is free.

    Raises:
        HttpError: 504.
        ClientGone: the client left.
    """
    leaving = gone or asyncio.ensure_future(receive())
    try:
        await asyncio.wait((future, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if leaving.done():
            raise ClientGone
        raise HttpError(504, "timeout", f"no answer came within {seconds:.1f} s. Send less at once, or come again")
    finally:
        future.cancel()
        if gone is None:
            leaving.cancel()


async def answer(
    send: Send, status: int, body: bytes, *, media: bytes = JSON, headers: Mapping[str, str] | None = None
) -> None:
    """A whole answer."""
    more = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    own = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": own + more})
    await send({"type": "http.response.body", "body": body})


async def _event(send: Send, name: bytes, data: bytes, *, last: bool = False) -> None:
    body = b"event: %b\ndata: %b\n\n" % (name, data)
    await send({"type": "http.response.body", "body": body, "more_body": not last})


def _trace(scope: Scope) -> Trace:
    found: Trace = scope["state"]["trace"]
    return found
