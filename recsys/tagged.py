"""Ids that are neither text nor whole numbers, as JSON: what kinds can be saved, and how each is tagged."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shared.errors import DataError

_TAGS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    UUID: ("uuid", str, UUID),
    bytes: (
        "bytes",
        lambda value: base64.b64encode(value).decode("ascii"),
        lambda text: base64.b64decode(text, validate=True),
    ),
    date: ("date", date.isoformat, date.fromisoformat),
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    tuple: ("tuple", lambda value: [_tag(one) for one in value], lambda parts: tuple(_untag(one) for one in parts)),
}
_READERS = {tag: read for tag, _, read in _TAGS.values()}
SAVABLE = "str, int, UUID, bytes, date, datetime, and tuples of these"
"""The kinds of ids that a model folder can hold."""


def dump_ids(what: str, ids: Sequence[object]) -> bytes:
    """Ids as UTF-8 JSON: a list in which ``str`` and ``int`` stand as they are and others as ``{tag: value}``.

    Args:
        what: what the ids name, for messages.
        ids: the ids, each of a kind in :data:`SAVABLE`.

    Raises:
        DataError: an id is of another kind: nothing of it could be read back without pickle.

    Example:
        >>> dump_ids("user", [(1, "shop"), (2, "shop")])
        b'[{"tuple":[1,"shop"]},{"tuple":[2,"shop"]}]'
    """
    try:
        return json.dumps([_tag(one) for one in ids], separators=(",", ":")).encode("ascii")
    except _UnsavableError as error:
        raise DataError(
            f"{what} ids can be saved when they are {SAVABLE}. Got {error}: they work in memory alone. "
            "Give ids of those kinds, for example the text of each"
        ) from None


def load_ids(what: str, data: bytes) -> tuple[Any, ...]:
    """The ids that :func:`dump_ids` wrote.

    Raises:
        DataError: the bytes are malformed.
    """
    try:
        listed = json.loads(data)
        if not isinstance(listed, list):
            raise TypeError(f"expected a list, not {type(listed).__name__}")
        return tuple(_untag(one) for one in listed)
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise DataError(f"{what}.json must hold saved ids. {type(error).__name__}: {error}") from error


class _UnsavableError(Exception):
    """An id of a kind that has no tag; the message names the kind."""


def _tag(one: object) -> object:
    kind = type(one)
    if kind is str or kind is int:
        return one
    if kind not in _TAGS:
        raise _UnsavableError(f"{kind.__name__} {one!r}")
    tag, write, _ = _TAGS[kind]
    return {tag: write(one)}


def _untag(one: object) -> object:
    if type(one) in (str, int):
        return one
    if not isinstance(one, dict) or len(one) != 1:
        raise TypeError(f"expected an id or one tag with its value, not {one!r}")
    ((tag, value),) = one.items()
    return _READERS[tag](value)
