"""Tables of TOML into frozen dataclasses, and a task's options out of a table, with every key and type checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import Option, Task

T = TypeVar("T")
_EVERY = (
    Option("format", str, None, "how the data are laid out"),
    Option("limit", int, None, "only the first so many items"),
    Option("device", str, "auto", "auto, cpu or gpu"),
    Option("threads", int, None, "processor threads"),
)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "Mapping": (Mapping,),
    "tuple": (list, tuple),
}


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a file.

    Args:
        path: the file.
        what: what it is to hold, for messages.

    Raises:
        DataError: it is not there, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} must be a TOML file with {what}. {error}") from error


def made(owner: type[T], table: Any, *, what: str, **more: Any) -> T:
    """A frozen dataclass from a table.

    Args:
        owner: the dataclass; its fields are of ``str``, ``int``, ``float``, ``bool``, tuples of those, and mappings.
        table: the table.
        what: what it describes, for messages.
        more: fields that come from elsewhere.

    Raises:
        UnknownNameError: a key is no field.
        UsageError: a value has another type than its field, or one is missing.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Size:
        ...     ratio: float
        >>> made(Size, {"ratio": 2}, what="[size]").ratio
        2
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{what} must be a table. Got {table!r} instead")
    known = {field.name: field for field in fields(owner) if field.name not in more}  # type: ignore[arg-type]
    for key, value in table.items():
        if key not in known:
            raise UnknownNameError(f"key of {what}", key, known)
        kind = str(known[key].type).removesuffix(" | None")
        wanted = _KINDS[kind.partition("[")[0]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise UsageError(f"{key} of {what} must be of type {kind}. Got {value!r} instead")
    missing = [
        name
        for name, field in known.items()
        if name not in table and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise UsageError(f"{what} must have {', '.join(missing)}. It has {', '.join(table) or 'nothing'}")
    return owner(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}, **more)


def checked_options(given: Mapping[str, Any], known: Sequence[Option], *, what: str) -> dict[str, Any]:
    """Keywords of a task's function, with words turned into the option's own type.

    Args:
        given: by name, dashes as good as underscores; text is read as the command line would be.
        known: the options that the function declares.
        what: whose options these are, for messages.

    Raises:
        UnknownNameError: an option is not known.
        UsageError: a value is of another type.

    Example:
        >>> checked_options({"k": "5"}, [Option("k", int, 10, "places")], what="evaluate")
        {'k': 5}
    """
    named = {option.name: option for option in known}
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in named:
            raise UnknownNameError(f"option of {what}", name, named)
        option = named[name]
        if option.multiple:
            parts = value if isinstance(value, list | tuple) else [value]
            found[name] = tuple(_typed(option, part, what) for part in parts)
        else:
            found[name] = _typed(option, value, what)
    return found


def evaluate_options(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of a task's ``evaluate``, those that every task takes among them; see :func:`checked_options`."""
    known = (*_EVERY, *task.options, *task.evaluate_options)
    return checked_options(given, known, what=f"evaluate {task.name}")


def _typed(option: Option, value: Any, what: str) -> Any:
    if isinstance(value, option.type) and isinstance(value, bool) == (option.type is bool):
        return value
    if option.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and option.type is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if option.type is str and isinstance(value, int | float):
        return str(value)
    try:
        if isinstance(value, str) and option.type in (int, float):
            return option.type(value)
    except ValueError:
        pass
    raise UsageError(f"{option.name} of {what} must be of type {option.type.__name__}. Got {value!r} instead")
