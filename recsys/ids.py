"""Outside ids and the codes that stand for them inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from shared.errors import DataError, UnknownNameError
from shared.types import AnyArray, Id, Int32

IdType: TypeAlias = Literal["str", "int"]
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The ids of users or of items, each once, all ``str`` or all ``int``. An id's code is its place.

    Attributes:
        what: what the ids name, in the singular, for messages: ``"user"`` or ``"item"``.
        ids: the ids, in the order of their codes.

    Example:
        >>> items = Vocabulary("item", ("apple", "pear"))
        >>> items.code("pear"), items.find("plum")
        (1, None)
    """

    what: str
    ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        kinds = {type(i) for i in self.ids}
        if not kinds <= {str, int} or len(kinds) > 1:
            names = sorted(kind.__name__ for kind in kinds)
            raise DataError(f"{self.what} ids must be all str or all int. Got {', '.join(names)} instead")
        if any(isinstance(i, int) and not _INT64.min <= i <= _INT64.max for i in self.ids):
            raise DataError(f"{self.what} ids that are int must fit into 64 bits. Use str ids instead")
        if len(self._codes) != len(self.ids):
            raise DataError(f"{self.what} ids must differ. Got {len(self.ids) - len(self._codes)} repeated instead")

    @cached_property
    def _codes(self) -> dict[Id, int]:
        return {outside: code for code, outside in enumerate(self.ids)}

    @property
    def id_type(self) -> IdType:
        """``"str"`` or ``"int"``; ``"str"`` when there are no ids."""
        return "int" if self.ids and type(self.ids[0]) is int else "str"

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, outside: object) -> int | None:
        """The code of an id, or ``None``. An id of another type is another id: ``1`` never finds ``"1"``."""
        known = as_id(outside)
        return None if known is None or type(known).__name__ != self.id_type else self._codes.get(known)

    def code(self, outside: object) -> int:
        """The code of an id.

        Raises:
            UnknownNameError: it is not known; the message lists near ones, or the type that was expected.
        """
        found = self.find(outside)
        if found is None:
            raise UnknownNameError(f"{self.what} ({self.id_type} id)", str(outside), map(str, self.ids))
        return found

    def encode(self, outside: Iterable[object]) -> Int32:
        """Codes of many ids, shape (n,); -1 where an id is not known."""
        found = (self.find(one) for one in outside)
        return np.fromiter((-1 if code is None else code for code in found), dtype=np.int32)

    def decode(self, codes: Iterable[int]) -> tuple[Id, ...]:
        """The ids of codes."""
        return tuple(self.ids[code] for code in codes)

    def read(self, text: object) -> object:
        """An id that came through text (a command line, a table) in this vocabulary's own type, where that is possible.

        Example:
            >>> Vocabulary("user", (1, 2)).read("2")
            2
        """
        if self.id_type == "str":
            return str(text) if type(text) is int else text
        if isinstance(text, str):
            try:
                return int(text)
            except ValueError:
                return text
        return text

    def explain(self, outside: object) -> str:
        """Why an id is not known, for a reason or a message."""
        given = as_id(outside)
        if given is not None and self.ids and type(given).__name__ != self.id_type:
            return f"unknown {self.what}: ids are {self.id_type} here, {given!r} is {type(given).__name__}"
        return f"unknown {self.what}"

    def to_arrays(self) -> dict[str, AnyArray]:
        """Arrays that :meth:`from_arrays` reads: int64 ids, or UTF-8 bytes and where each id ends in them."""
        if self.id_type == "int":
            return {f"{self.what}.ids": np.array(self.ids, dtype=np.int64)}
        coded = [str(one).encode("utf-8", "surrogatepass") for one in self.ids]
        ends = np.cumsum([len(one) for one in coded], dtype=np.int64)
        return {f"{self.what}.utf8": np.frombuffer(b"".join(coded), dtype=np.uint8), f"{self.what}.ends": ends}

    @classmethod
    def from_arrays(cls, what: str, arrays: Mapping[str, AnyArray]) -> Vocabulary:
        """The vocabulary that :meth:`to_arrays` wrote.

        Raises:
            DataError: the arrays are missing or malformed.
        """
        if f"{what}.ids" in arrays:
            return cls(what, tuple(arrays[f"{what}.ids"].astype(np.int64).tolist()))
        if not {f"{what}.utf8", f"{what}.ends"} <= set(arrays):
            raise DataError(f"a saved vocabulary must have {what}.ids, or {what}.utf8 and {what}.ends. Got neither")
        blob, ends = arrays[f"{what}.utf8"].astype(np.uint8).tobytes(), arrays[f"{what}.ends"].astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        if (ends < starts).any() or (int(ends[-1]) if ends.size else 0) != len(blob):
            raise DataError(f"{what}.ends must rise and end with the {len(blob)} bytes of {what}.utf8")
        try:
            ids = tuple(blob[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts.tolist(), ends.tolist()))
        except UnicodeDecodeError as error:
            raise DataError(f"{what}.utf8 must be UTF-8. {error}") from error
        return cls(what, ids)


def as_id(value: object) -> Id | None:
    """The value as a plain ``str`` or ``int``, NumPy's own scalars included; ``None`` when it is no id."""
    if isinstance(value, np.str_ | np.integer):
        value = value.item()
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def sort_ids(what: str, ids: Sequence[Id]) -> tuple[Vocabulary, Int32]:
    """A vocabulary in sorted order, and where each given id went: shape (len(ids),)."""
    try:
        order = sorted(range(len(ids)), key=ids.__getitem__)
    except TypeError:
        order = list(range(len(ids)))  # mixed types: the vocabulary itself says so
    moved = np.empty(len(ids), dtype=np.int32)
    moved[order] = np.arange(len(ids), dtype=np.int32)
    return Vocabulary(what, tuple(ids[at] for at in order)), moved
