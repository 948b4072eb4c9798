"""JSON schemas of results, from their dataclasses.

A task's result type is read from what its opener says that it returns. Where nothing is said, any object is.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from shared.predictor import Pipeline
from shared.tasks import Task
from shared.types import ArraySpec, Failure, Result

Schema: TypeAlias = dict[str, Any]
PLAIN: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
"""JSON's names of plain types."""


def result_type(task: Task) -> type[Result] | None:
    """The class of a task's results; ``None`` where its opener does not say.

    Example:
        >>> from shared.tasks import find_task
        >>> result_type(find_task("nlp.ner")).__name__
        'Entities'
    """
    opener: Any = task.open
    while isinstance(opener, functools.partial):
        opener = opener.func
    try:
        hint = typing.get_type_hints(opener).get("return")
    except NameError:
        return None
    return _of_predictor(hint)


def _of_predictor(hint: Any) -> type[Result] | None:
    origin = typing.get_origin(hint)
    if origin is Pipeline:
        return _only(typing.get_args(hint)[-1])
    if not isinstance(hint, type):
        return None
    for base in getattr(hint, "__orig_bases__", ()):
        found = _of_predictor(base)
        if found is not None:
            return found
    predict = getattr(hint, "predict", None)
    if predict is None or issubclass(hint, Pipeline):
        return None
    returned = typing.get_type_hints(predict).get("return")
    return _only(typing.get_args(returned)[0]) if typing.get_args(returned) else None


def _only(hint: Any) -> type[Result] | None:
    """The one result class of a hint, failures aside."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    found = [one for one in options if isinstance(one, type) and issubclass(one, Result) and one is not Failure]
    return found[0] if len(found) == 1 else None


def result_schema(kind: type[Result], named: dict[str, Schema]) -> Schema:
    """A reference to a result's schema, which is put among ``named`` with those of the results inside it."""
    name = kind.__name__
    if name not in named:
        named[name] = {}
        hints = typing.get_type_hints(kind)
        properties: dict[str, Schema] = {"type": {"const": name}}
        for one in dataclasses.fields(kind):  # type: ignore[arg-type]
            spec = next((value for value in one.metadata.values() if isinstance(value, ArraySpec)), None)
            properties[one.name] = _array(spec) if spec is not None else _plain(hints[one.name], named)
        summary = (kind.__doc__ or name).strip().splitlines()[0]
        named[name] |= {
            "type": "object",
            "description": summary,
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return {"$ref": f"#/components/schemas/{name}"}


def _array(spec: ArraySpec) -> Schema:
    found: Schema
    if spec.form is not None:
        found = {"description": f"{spec.dtype} of shape {spec.shape}, in a compact form"}
    else:
        found = {"type": "boolean" if spec.dtype == "bool" else "integer" if "int" in spec.dtype else "number"}
        found |= {key: value for key, value in (("minimum", spec.low), ("maximum", spec.high)) if value is not None}
        for axis in reversed(spec.shape):
            found = {"type": "array", "items": found}
            found |= {"minItems": axis, "maxItems": axis} if isinstance(axis, int) else {}
        found["description"] = f"{spec.dtype} of shape {spec.shape}"
    return {"anyOf": [found, {"type": "null"}]} if spec.optional else found


def _plain(hint: Any, named: dict[str, Schema]) -> Schema:
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if hint is type(None):
        return {"type": "null"}
    if isinstance(hint, type) and issubclass(hint, Result):
        return result_schema(hint, named)
    return _compound(typing.get_origin(hint), typing.get_args(hint), named)


def _compound(origin: Any, parts: Sequence[Any], named: dict[str, Schema]) -> Schema:
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_plain(part, named) for part in parts]}
    if origin in (tuple, list, Sequence) or origin is Sequence:
        if origin is tuple and parts and parts[-1] is not Ellipsis:
            return {"type": "array", "minItems": len(parts), "maxItems": len(parts), "items": _any(parts, named)}
        return {"type": "array", "items": _plain(parts[0], named)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _plain(parts[1], named)}
    return {}


def _any(parts: Sequence[Any], named: dict[str, Schema]) -> Schema:
    found = [_plain(part, named) for part in dict.fromkeys(parts)]
    return found[0] if len(found) == 1 else {"anyOf": found}
