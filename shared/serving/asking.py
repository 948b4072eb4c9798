"""What a request to a task asks for: its body, its items, and the model that is to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Receive, Scope

from shared.errors import InputError
from shared.serving.bodies import SMALL, header, parsed, read_body, read_form, read_json
from shared.serving.deployments import Deployment
from shared.serving.faults import HttpError
from shared.serving.items import read_item
from shared.serving.service import Service
from shared.serving.splits import Splitter

JSON, _FORM = b"application/json", b"multipart/form-data"
LONGEST_UNIT = 256
_ABOUT = frozenset({"model", "options"})


@dataclass(frozen=True)
class Asked:
    """A request's body.

    Attributes:
        items: what came, still in its JSON or file form.
        model: the model that it names.
        options: the options that it chooses.
        size: bytes of the body.
    """

    items: list[Any]
    model: str | None
    options: Mapping[str, Any]
    size: int = 0


async def read_asked(scope: Scope, receive: Receive, service: Service, one: Deployment, *, several: bool) -> Asked:
    """What a request's body asks for: JSON, the files of a form, or a picture as it is.

    Raises:
        HttpError: the body is too long, too slow, malformed, or of another media type.
        ClientGone: the client left before its end.
    """
    limits = service.limits
    given = header(scope, b"content-type")
    kind = given.partition(b";")[0].strip().lower()
    is_form, is_picture = kind == _FORM, kind.startswith(b"image/")
    if (is_form or is_picture) and one.form != "image":
        raise HttpError(
            415, "unsupported-media", f"an item of {one.task.name} must come as application/json", close=True
        )
    if not (is_form or is_picture or kind in (b"", JSON) or kind.endswith(b"+json")):
        more = ", multipart/form-data or image/*" if one.form == "image" else ""
        raise HttpError(415, "unsupported-media", f"a body must be application/json{more}", close=True)
    body = await read_body(scope, receive, limits, partial(service.hold, scope["state"]["trace"]))
    size = len(body)
    if is_picture:
        return Asked([body], None, {}, size)
    if is_form:
        fields, files = await parsed(body, lambda: read_form(given, body, limits))
        asked = {name: value for name, value in fields.items() if name in _ABOUT}
        if set(fields) - _ABOUT or (not several and len(files) != 1):
            wanted = "files" if several else "one file"
            raise HttpError(400, "bad-request", f"a form must have {wanted}, and may have model and options")
        about = {"model": asked.get("model"), "options": read_json(asked.get("options", "{}").encode())}
        return _asked(files, about, service, size)
    return await parsed(body, lambda: _of_json(read_json(body), service, size, several=several))


def _of_json(given: dict[str, Any], service: Service, size: int, *, several: bool) -> Asked:
    name = "items" if several else "item"
    unknown = sorted(set(given) - _ABOUT - {name})
    if name not in given or unknown:
        raise HttpError(
            400,
            "bad-request",
            f"a body must have {name!r}, and may have 'model' and 'options'. Got {sorted(given)[:10]} instead",
        )
    items = given[name] if several else [given[name]]
    if not isinstance(items, list):
        raise HttpError(400, "bad-request", f"items must be a list. Got a {type(items).__name__} instead")
    return _asked(items, given, service, size)


def _asked(items: list[Any], about: Mapping[str, Any], service: Service, size: int) -> Asked:
    if len(items) > service.limits.max_items:
        raise HttpError(
            413,
            "too-many-items",
            f"a batch must have at most {service.limits.max_items} items. Got {len(items)} instead",
        )
    model, options = about.get("model"), about.get("options")
    if not isinstance(model, str | None) or not isinstance(options, dict | None):
        raise HttpError(400, "bad-request", "model must be a text or null, and options an object or null")
    return Asked(items, model, options or {}, size)


async def chosen(
    scope: Scope, service: Service, asked: Asked, task: str
) -> tuple[Deployment, tuple[Splitter, str, str, float] | None]:
    """The model of a request: the one that it names, else its unit's arm of a split, else the default.

    Returns:
        The model, and what :meth:`~shared.serving.splits.Splitter.expose` must be told once it has answered.
    """
    reference, shown = asked.model, None
    splitter = service.splitters.get(task)
    unit = header(scope, b"x-unit-id").decode("latin-1").strip() if splitter is not None else ""
    if len(unit) > LONGEST_UNIT:
        raise HttpError(400, "bad-request", f"X-Unit-Id must have at most {LONGEST_UNIT} characters")
    if splitter is not None and reference is None and unit:
        arm, reference, propensity = splitter.arm(unit)
        shown = (splitter, unit, arm, propensity)
    one = service.registry.find(task, reference)
    return (await service.registry.variant(one, asked.options) if asked.options else one), shown


async def read(one: Deployment, value: Any, service: Service, size: int) -> Any:
    """An item of a request, read in a thread where the request is large."""
    if size <= SMALL:
        return _item(one, value, service)
    return await asyncio.to_thread(_item, one, value, service)


def _item(one: Deployment, value: Any, service: Service) -> Any:
    try:
        return read_item(one.form, value, service.limits, allow_urls=one.allow_urls)
    except InputError as error:
        service.failed(one, error.kind)
        raise HttpError(422, error.kind, str(error)) from error
