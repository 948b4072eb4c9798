"""The OpenAPI document of what is served, and the JSON schemas of its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from shared.serving.deployments import HIDDEN, Deployment
from shared.serving.items import Form, example_item
from shared.serving.result_schema import PLAIN, Schema, result_schema, result_type
from shared.tasks import Option

_JSON = "application/json"
_FAULTS = {
    "400": "the request is malformed",
    "401": "no key, or none that is known",
    "404": "no such task or model",
    "408": "the body came too slowly",
    "413": "the body or the batch is too large",
    "415": "the body is of another media type",
    "422": "the item cannot be used",
    "429": "too many requests of this key, or too much waits; Retry-After says when to come again",
    "500": "the model failed",
    "503": "the server is stopping, or not ready yet",
    "504": "no answer in time",
}


def item_schema(form: Form) -> Schema:
    """What an item of a form looks like in JSON."""
    text: Schema = {"type": "string"}
    if form == "image":
        encoded = {"type": "string", "contentEncoding": "base64", "description": "an image file"}
        return {
            "type": "object",
            "properties": {"base64": encoded},
            "required": ["base64"],
            "additionalProperties": False,
        }
    if form == "question":
        parts = {"question": text, "context": text}
        return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}
    if form == "id":
        ids: Schema = {"anyOf": [text, {"type": "integer"}]}
        history = {
            "anyOf": [{"type": "array", "items": ids}, {"type": "object", "additionalProperties": {"type": "number"}}]
        }
        person = {
            "type": "object",
            "properties": {"history": history},
            "required": ["history"],
            "additionalProperties": False,
        }
        return {"anyOf": [*ids["anyOf"], person]}
    return text


def _options(options: Sequence[Option]) -> Schema:
    properties: dict[str, Schema] = {}
    for one in options:
        kind: Schema = {"type": PLAIN.get(one.type, "string")}
        properties[one.name] = ({"type": "array", "items": kind} if one.multiple else kind) | {"description": one.help}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def document(models: Sequence[Deployment], *, keys: bool, root_path: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document: each task that is served with its own request, result and example.

    Args:
        models: those that are loaded, the default of each task first.
        keys: whether keys are asked for.
        root_path: where a proxy serves all this.
    """
    error = {"kind": {"type": "string"}, "message": {"type": "string"}, "request_id": {"type": "string"}}
    named: dict[str, Schema] = {
        "Error": _object({"error": _object(error)}),
        "ItemError": _object({name: error[name] for name in ("kind", "message")}),
        "Model": _object({name: {"type": "string"} for name in ("task", "name", "version")}),
    }
    paths: dict[str, Any] = {}
    for task in dict.fromkeys(one.task.name for one in models):
        paths |= _task_paths([one for one in models if one.task.name == task], named)
    paths |= _other_paths()
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Triptych", "version": version("triptych"), "description": "Every task over HTTP."},
        "paths": paths,
        "components": {"schemas": named},
    }
    if root_path:
        found["servers"] = [{"url": root_path}]
    if keys:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    return found


def _task_paths(models: Sequence[Deployment], named: dict[str, Schema]) -> dict[str, Any]:
    one = models[0]
    task, form = one.task, one.form
    kind = result_type(task)
    result: Schema = {"type": "object"} if kind is None else result_schema(kind, named)
    open_to = {name for model in models for name in model.spec.request_options} - HIDDEN
    about: dict[str, Schema] = {
        "model": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "a version, an alias or a name"},
        "options": _options([option for option in task.options if option.name in open_to]),
    }
    name = "".join(part.title() for part in task.name.replace("_", ".").split("."))
    model, ms = {"$ref": "#/components/schemas/Model"}, {"type": "number"}
    failed = _object({"ok": {"const": False}, "error": {"$ref": "#/components/schemas/ItemError"}})
    row = {"anyOf": [_object({"ok": {"const": True}, "result": result}), failed]}
    items: Schema = {"type": "array", "items": item_schema(form)}
    named[f"{name}Request"] = _object({"item": item_schema(form)}, about)
    named[f"{name}Response"] = _object({"ok": {"const": True}, "result": result, "model": model, "ms": ms})
    named[f"{name}BatchRequest"] = _object({"items": items}, about)
    named[f"{name}BatchResponse"] = _object({"results": {"type": "array", "items": row}, "model": model, "ms": ms})
    item = example_item(form)
    answer = {"model": {"task": task.name, "name": one.name, "version": one.spec.version}, "ms": 4.2}
    single = answer | {"ok": True, "result": one.example} if one.example is not None else None
    several = answer | {"results": [{"ok": True, "result": one.example}]} if one.example is not None else None
    path = f"/v1/tasks/{task.name}"
    stream = {
        "summary": f"{task.name}: part by part, as server-sent events",
        "requestBody": _body(f"{name}Request", form, {"item": item}),
        "responses": _responses(
            {
                "description": "events part, then done or error",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        ),
    }
    return {
        path: {
            "post": {
                "summary": task.summary,
                "requestBody": _body(f"{name}Request", form, {"item": item}),
                "responses": _responses(_answer(f"{name}Response", single)),
            }
        },
        f"{path}/batch": {
            "post": {
                "summary": f"{task.name}: several items; a bad one stands as an error among the others",
                "requestBody": _body(f"{name}BatchRequest", form, {"items": [item]}, several=True),
                "responses": _responses(_answer(f"{name}BatchResponse", several)),
            }
        },
        f"{path}/stream": {"post": stream},
    }


def _other_paths() -> dict[str, Any]:
    def plain(summary: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        good = {"200": {"description": "done", "content": {_JSON: {"schema": {"type": "object"}}}}}
        return {
            "get": {"summary": summary, "responses": good | {code: _fault(text) for code, text in (more or {}).items()}}
        }

    metrics = {"200": {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {
        "/v1/models": plain("the models that are served", {"401": _FAULTS["401"], "429": _FAULTS["429"]}),
        "/v1/experiments": plain(
            "splits and shadows", {"401": _FAULTS["401"], "404": "none is on", "429": _FAULTS["429"]}
        ),
        "/healthz": plain("whether the process is alive"),
        "/readyz": plain("whether models are warm and the server takes requests", {"503": "it does not"}),
        "/metrics": {"get": {"summary": "Prometheus metrics", "responses": metrics}},
    }


def _body(name: str, form: Form, example: Any, *, several: bool = False) -> Schema:
    content: dict[str, Any] = {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": example}}
    if form == "image":
        file: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
        files = {"file": {"type": "array", "items": file} if several else file}
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": files, "required": ["file"]}}
    return {"required": True, "content": content}


def _answer(name: str, example: Any) -> Schema:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    return {"description": "the answer", "content": {_JSON: content | ({"example": example} if example else {})}}


def _responses(good: Schema) -> dict[str, Any]:
    return {"200": good} | {status: _fault(text) for status, text in _FAULTS.items()}


def _fault(text: str) -> Schema:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
