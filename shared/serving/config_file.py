"""What is served, out of a TOML file.

::

    [server]
    host = "127.0.0.1"
    port = 8000
    threads = 2                          # of each model; every processor when not given
    api_key_file = "keys.txt"            # see shared.serving.keys
    rate = 50.0                          # requests a second of each key (of each address without keys)
    drain_seconds = 0.0                  # after SIGTERM, how long it goes on accepting while readyz says 503
    tracing = false                      # spans of OpenTelemetry; needs the extra "tracing"
    ui = "/ui"                           # where the demo pages stand; nowhere when not given

    [limits]                             # the attributes of Limits

    [[models]]
    task = "nlp.classification"
    model = "minilm-sst2"                # a name or a folder; the task's default when not given
    version = "1"
    aliases = ["default", "stable"]
    options = { threads = 1 }            # keywords of the task's opener
    request_options = ["labels"]         # which of them a request may choose itself; none when not given

    [split."nlp.classification"]
    experiment = "bigger-model"
    log = "exposures"                    # a folder of an exposure log
    arms = { control = { model = "1", weight = 0.5 }, bigger = { model = "2", weight = 0.5 } }

    [shadow."vision.detection"]
    model = "2"
    share = 0.1
    backlog = 16

    [monitoring."nlp.classification"]    # off without it; the attributes of Monitoring
    log = "predictions"                  # a folder of a prediction log
    rate = 0.1                           # share of the requests that is watched
    profile = "reference"                # windows of requests are held against it
    window = 1000
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import DataError, UnknownNameError, UsageError
from shared.monitoring.settings import Monitoring
from shared.serving.config import Config, Limits, ServedModel, Shadow, Split, SplitArm

T = TypeVar("T")


def read_config(path: str | Path) -> Config:
    """The configuration in a TOML file; see this module's docstring.

    Raises:
        DataError: it cannot be read, is no TOML, or has keys or values that are not known; the message says where.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a TOML file of what to serve. {error}") from error
    return parse_config(text, origin=str(path))


def parse_config(text: str, *, origin: str = "the configuration") -> Config:
    r"""The configuration in a TOML text.

    Raises:
        DataError: as :func:`read_config`.

    Example:
        >>> parse_config('[[models]]\ntask = "nlp.ner"').models[0].version
        '1'
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{origin} must be TOML. {error}") from error
    own = {one.name for one in dataclasses.fields(Config)} - {"models", "limits", "splits", "shadows", "monitoring"}
    parts = {"server": dict, "limits": dict, "models": list, "split": dict, "shadow": dict, "monitoring": dict}
    for name, value in table.items():
        if name not in parts:
            raise DataError(f"{origin}: {UnknownNameError('part of a configuration', name, parts)}")
        if not isinstance(value, parts[name]):
            raise DataError(f"{origin}: {name} must be a {parts[name].__name__}. Got {type(value).__name__} instead")
    server = table.get("server", {})
    if set(server) - own:
        raise DataError(f"{origin}: {UnknownNameError('key of [server]', min(set(server) - own), own)}")
    models = [_made(ServedModel, row, f"{origin}: model {n}") for n, row in enumerate(table.get("models", []), 1)]
    splits = {task: _split(row, f"{origin}: split {task!r}") for task, row in table.get("split", {}).items()}
    shadows = {task: _made(Shadow, row, f"{origin}: shadow {task!r}") for task, row in table.get("shadow", {}).items()}
    watched = {
        task: _made(Monitoring, row, f"{origin}: monitoring {task!r}")
        for task, row in table.get("monitoring", {}).items()
    }
    limits = _made(Limits, table.get("limits", {}), f"{origin}: limits")
    whole = dict(server) | {"models": models, "limits": limits, "splits": splits, "shadows": shadows}
    whole |= {"monitoring": watched}
    return _made(Config, whole, origin)


def _split(row: Any, where: str) -> Split:
    if not isinstance(row, dict) or not isinstance(row.get("arms"), dict):
        raise DataError(f"{where} must be a table with arms, each {{ model = ..., weight = ... }}")
    arms = {name: _made(SplitArm, arm, f"{where}, arm {name!r}") for name, arm in row["arms"].items()}
    return _made(Split, row | {"arms": arms}, where)


def _made(kind: type[T], row: Any, where: str) -> T:
    """An instance of a dataclass from a table, each value of the type that its field says."""
    if not isinstance(row, dict):
        raise DataError(f"{where} must be a table. Got {row!r} instead")
    hints = typing.get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in row:
        if name not in fields:
            raise DataError(f"{where}: {UnknownNameError('key', name, fields)}")
    needed = [
        name
        for name, one in fields.items()
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and name not in row
    ]
    if needed:
        raise DataError(f"{where} must have {', '.join(needed)}. Got {sorted(row)} instead")
    try:
        return kind(**{name: _value(value, hints[name], f"{where}: {name}") for name, value in row.items()})
    except UsageError as error:
        raise DataError(f"{where}: {error}") from error


def _value(value: Any, hint: Any, where: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = tuple(typing.get_origin(one) or one for one in allowed)
    if tuple in kinds and isinstance(value, list):
        return tuple(value)
    if float in kinds and type(value) is int:
        return float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join(one.__name__ for one in kinds if one is not type(None))
        raise DataError(f"{where} must be a {names}. Got {value!r} instead")
    return value
