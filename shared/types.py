"""Array and id aliases, the base of every result, and what stands in the place of an item that failed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import UnknownNameError, UsageError

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
UInt8: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]
AnyArray: TypeAlias = NDArray[Any]
Id: TypeAlias = str | int
"""An outside id of a user, an item or a document."""

R = TypeVar("R", bound="Result")
_ARRAY = "triptych.array"


@dataclasses.dataclass(frozen=True)
class ArrayForm:
    """An array's form in JSON where nested lists would be too large."""

    write: Callable[[AnyArray], Any]
    read: Callable[[Any], AnyArray]


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """What an array field of a result must be. Axis names that recur (``"n"``) must have one length."""

    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None
    form: ArrayForm | None = None
    optional: bool = False

    def check(self, owner: str, name: str, value: object, axes: dict[str, int]) -> None:
        if not isinstance(value, np.ndarray) or value.dtype != np.dtype(self.dtype):
            came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
            raise UsageError(f"{owner}.{name} must be a {self.dtype} array. Got {came} instead")
        wanted = tuple(axes.setdefault(a, s) if isinstance(a, str) else a for a, s in zip(self.shape, value.shape))
        if len(self.shape) != value.ndim or wanted != value.shape:
            raise UsageError(f"{owner}.{name} must have shape {self.shape}. Got {value.shape} instead")
        if value.size and (self.low is not None or self.high is not None):
            low, high = float(value.min()), float(value.max())
            too_low = self.low is not None and not low >= self.low
            too_high = self.high is not None and not high <= self.high
            if too_low or too_high:
                raise UsageError(
                    f"{owner}.{name} must lie in [{self.low}, {self.high}]. Got values from {low} to {high} instead"
                )


def array_field(
    dtype: str,
    shape: tuple[int | str, ...],
    low: float | None = None,
    high: float | None = None,
    *,
    form: ArrayForm | None = None,
    optional: bool = False,
) -> Any:
    """A dataclass field of a :class:`Result` that holds an array, checked at birth.

    Args:
        dtype: of the array.
        shape: lengths or names of its axes.
        low: least value.
        high: greatest value.
        form: how it is written in JSON; nested lists when not given.
        optional: whether it may be ``None``, which it then is when not given.
    """
    spec = {_ARRAY: ArraySpec(dtype, shape, low, high, form, optional)}
    return dataclasses.field(default=None, metadata=spec) if optional else dataclasses.field(metadata=spec)


class Result:
    """Base of all results: frozen dataclasses, checked once at birth, equal by value, with one JSON codec.

    A subclass is a ``@dataclass(frozen=True, eq=False)`` whose fields are arrays (:func:`array_field`), strings,
    numbers, tuples of those, or other results. In JSON it is an object with its class name under ``"type"``, so a
    second class of one name is refused with a :class:`~shared.errors.UsageError` as it is defined.
    """

    __hash__ = object.__hash__
    _types: ClassVar[dict[str, type[Result]]] = {}

    def __init_subclass__(cls) -> None:
        known = Result._types.setdefault(cls.__name__, cls)
        if _origin(known) != _origin(cls):
            one, other = (f"{kind.__module__}.{kind.__qualname__}" for kind in (known, cls))
            raise UsageError(
                f"a result class must have a name of its own: it is what JSON knows it by. {one} is called "
                f"{cls.__name__!r} already, so rename {other}"
            )
        Result._types[cls.__name__] = cls  # defined again: a reload, a doctest, a cell of a notebook

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        owner = type(self).__name__
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            spec = field.metadata.get(_ARRAY)
            value = getattr(self, field.name)
            if spec is not None and not (spec.optional and value is None):
                spec.check(owner, field.name, value, axes)
                value.flags.writeable = False
        self.check(axes)

    def check(self, axes: Mapping[str, int]) -> None:
        """Check what a field's own specification cannot say; ``axes`` holds the lengths of the named axes."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Result) and self.to_json() == other.to_json()

    def to_json(self) -> dict[str, Any]:
        """This result as JSON-ready values: arrays as nested lists, and the class name under ``"type"``."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"type": type(self).__name__} | {f.name: _written(self, f) for f in fields}

    @classmethod
    def from_json(cls: type[R], data: Mapping[str, Any]) -> R:
        """The result that :meth:`to_json` wrote; call it on the class itself or on :class:`Result`.

        Raises:
            UnknownNameError: ``data["type"]`` is no result type that has been imported.
            UsageError: the data does not describe an instance of this class.
        """
        name = str(data.get("type"))
        if name not in Result._types:
            raise UnknownNameError("result type", name, Result._types)
        found = Result._types[name]
        if not issubclass(found, cls):
            raise UsageError(f"expected JSON of a {cls.__name__}. Got a {name} instead")
        values: dict[str, Any] = {}
        for field in dataclasses.fields(found):  # type: ignore[arg-type]
            if field.name not in data:
                if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                    raise UsageError(f"JSON of a {name} must have {field.name!r}. Got {sorted(data)} instead")
                continue
            spec = field.metadata.get(_ARRAY)
            values[field.name] = _revive(data[field.name]) if spec is None else _array(data[field.name], spec)
        return found(**values)


def _origin(kind: type) -> tuple[str, str]:
    """Where a class is defined. A script has its module's file for a name, since it may be imported as that too."""
    name = kind.__module__
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    of = getattr(sys.modules.get(name), "__file__", None)
    return (main if main and main == of else name), kind.__qualname__


def _written(result: Result, field: dataclasses.Field[Any]) -> Any:
    spec, value = field.metadata.get(_ARRAY), getattr(result, field.name)
    return _plain(value) if value is None or spec is None or spec.form is None else spec.form.write(value)


def _array(value: object, spec: ArraySpec) -> AnyArray | None:
    if value is None and spec.optional:
        return None
    if spec.form is not None:
        return spec.form.read(value)
    array = np.asarray(value, dtype=spec.dtype)
    if array.size == 0:
        return array.reshape(tuple(0 if isinstance(axis, str) else axis for axis in spec.shape))
    return array


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_json()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def _revive(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_revive(v) for v in value)
    if isinstance(value, dict):
        return Result.from_json(value) if "type" in value else {k: _revive(v) for k, v in value.items()}
    return value


@dataclasses.dataclass(frozen=True, eq=False)
class Failure(Result):
    """What stands in the place of an item that could not be predicted.

    Attributes:
        index: position of the item in the list or stream that was given, from 0.
        kind: a short stable name of the fault: the ``kind`` of an :class:`~shared.errors.InputError`, or the
            class name of an unforeseen exception.
        message: what was expected, what came, what to do.
        traceback: where it was raised, for whoever mends it; at most 4,000 characters, and empty where nothing was
            raised. It is no part of the JSON, nor of what makes two failures equal.
    """

    index: int
    kind: str
    message: str
    traceback: str = dataclasses.field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """See :meth:`Result.to_json`."""
        return {name: value for name, value in super().to_json().items() if name != "traceback"}
