"""Results are checked at birth, frozen, and survive JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
import types

import numpy as np
import pytest

from shared.errors import UnknownNameError, UsageError
from shared.types import Failure, Float32, Result, array_field


@dataclasses.dataclass(frozen=True, eq=False)
class Marks(Result):
    values: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    corners: Float32 = array_field("float32", ("n", 4))
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Album(Result):
    marks: tuple[Marks, ...]
    note: str | None = None


def marks(n: int = 2, **changes: object) -> Marks:
    facts = {"values": np.full(n, 0.5, np.float32), "corners": np.zeros((n, 4), np.float32), "names": ("a",) * n}
    return Marks(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [0.5, 0.5]}, r"Marks.values must be a float32 array. Got list instead"),
        ({"values": np.zeros(2)}, r"Marks.values must be a float32 array. Got float64 array instead"),
        ({"values": np.full(2, 1.5, np.float32)}, r"Marks.values must lie in \[0.0, 1.0\]. Got values from 1.5 to 1.5"),
        ({"values": np.full(2, np.nan, np.float32)}, r"Marks.values must lie in"),
        ({"values": np.zeros((2, 1), np.float32)}, r"Marks.values must have shape \('n',\). Got \(2, 1\) instead"),
        ({"corners": np.zeros((3, 4), np.float32)}, r"Marks.corners must have shape \('n', 4\). Got \(3, 4\) instead"),
    ],
)
def test_wrong_fields_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        marks(**changes)


def test_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        marks().values[0] = 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_json_round_trip_keeps_value_type_and_dtype(n: int) -> None:
    album = Album((marks(n), marks(0)), "é 😀")
    back = Result.from_json(json.loads(json.dumps(album.to_json())))
    assert back == album
    assert isinstance(back, Album)
    assert back.marks[0].corners.shape == (n, 4)
    assert back.marks[0].values.dtype == np.float32


def test_results_differ_by_type_and_value() -> None:
    assert marks() == marks()
    assert marks() != marks(values=np.zeros(2, np.float32))
    assert Failure(0, "a", "b") != Failure(1, "a", "b")
    assert Failure(0, "a", "b") != "a"


def test_unknown_types_and_missing_fields_are_said() -> None:
    with pytest.raises(UnknownNameError, match="no result type is called 'Mark'. Nearest: Marks"):
        Result.from_json({"type": "Mark"})
    with pytest.raises(UsageError, match="JSON of a Failure must have 'kind'"):
        Result.from_json({"type": "Failure", "index": 0})
    with pytest.raises(UsageError, match="expected JSON of a Album. Got a Failure instead"):
        Album.from_json(Failure(0, "a", "b").to_json())


def defined(module: str, body: str = "text: str = ''") -> None:
    """Run the definition of a result called ``Twin`` as a module of that name would."""
    source = f"@dataclasses.dataclass(frozen=True, eq=False)\nclass Twin(Result):\n    {body}"
    exec(source, {"__name__": module, "dataclasses": dataclasses, "Result": Result})


def test_a_second_result_class_of_one_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Result, "_types", dict(Result._types))
    for name in ("one", "other"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    defined("one")
    with pytest.raises(UsageError, match=r"name of its own.*one\.Twin is called 'Twin' already, so rename other\.Twin"):
        defined("other")
    assert Result.from_json({"type": "Twin", "text": "a"}).__class__.__module__ == "one"


def test_a_result_class_may_be_defined_again_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Result, "_types", dict(Result._types))
    for name in ("one", "other"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    defined("one")
    defined("one", "number: int = 3")
    assert Result.from_json({"type": "Twin"}).to_json() == {"type": "Twin", "number": 3}


def test_a_script_may_import_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Result, "_types", dict(Result._types))
    for name in ("__main__", "script"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(__file__="/a/script.py"))
    defined("__main__")
    defined("script", "number: int = 3")
    assert Result.from_json({"type": "Twin"}).to_json() == {"type": "Twin", "number": 3}
