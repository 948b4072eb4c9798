"""Outside ids and the codes that stand for them inside.

An id is a ``str``, an ``int``, or a value of any other hashable kind (a UUID, bytes, a date, a tuple, an enum, ...);
one column holds one kind. No ids are: ``None``, ``bool``, ``float`` and other numbers that are not ``int`` (``1``,
``1.0`` and ``True`` are equal in Python and would become one id without a word), whatever does not equal itself (NaN,
NaT), the empty string, and tuples that hold any of these.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias, cast
from uuid import UUID

import numpy as np

from recsys.direct import DirectCodes
from recsys.tagged import dump_ids, load_ids
from shared.errors import DataError, UnknownNameError
from shared.types import AnyArray, Id, Int32, Int64

IdType: TypeAlias = Literal["str", "int"]
_INT64 = np.iinfo(np.int64)


_READ: dict[type, Callable[[str], object]] = {
    int: int,
    UUID: UUID,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
}
"""Kinds of ids that can be read from text."""
_ORDERED = (str, int, bytes, date, datetime, UUID, tuple)
"""Kinds whose own order is total."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The ids of users or of items, each once, all of one type. An id's code is its place.

    Attributes:
        what: what the ids name, in the singular, for messages: ``"user"`` or ``"item"``.
        ids: the ids, in the order of their codes.

    Raises:
        DataError: the ids are of several types, or no ids (see this module), or repeated.

    Example:
        >>> items = Vocabulary("item", ("apple", "pear"))
        >>> items.code("pear"), items.find("plum")
        (1, None)
    """

    what: str
    ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        kinds = set(map(type, self.ids))
        check_kinds(self.what, kinds)
        if kinds == {int} and not _INT64.min <= min(self.ids) <= max(self.ids) <= _INT64.max:  # type: ignore[operator]
            raise DataError(f"{self.what} ids that are int must fit into 64 bits. Use str ids instead")
        if not kinds <= {str, int}:
            bad = [one for one in self.ids if as_id(one) is None][:1]
            if bad:
                raise DataError(f"{self.what} ids {EXPECTED}. Got {type(bad[0]).__name__} {bad[0]!r} instead {ALSO}")
        if len(self._codes) != len(self.ids):
            raise DataError(f"{self.what} ids must differ. Got {len(self.ids) - len(self._codes)} repeated instead")

    @cached_property
    def _codes(self) -> dict[Id, int]:
        return {outside: code for code, outside in enumerate(self.ids)}

    @property
    def kind(self) -> type:
        """The type of the ids; ``str`` when there are none."""
        return type(self.ids[0]) if self.ids else str

    @property
    def id_type(self) -> str:
        """The name of :attr:`kind`: ``"str"``, ``"int"``, ``"UUID"``, ..."""
        return self.kind.__name__

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, outside: object) -> int | None:
        """The code of an id, or ``None``. An id of another type is another id: ``1`` never finds ``"1"``."""
        known = as_id(outside)
        return None if known is None or type(known) is not self.kind else self._codes.get(known)

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
        if self.kind is str:
            return str(text) if type(text) is int else text
        if isinstance(text, str) and self.kind in _READ:
            try:
                return _READ[self.kind](text)
            except ValueError:
                return text
        return text

    def explain(self, outside: object) -> str:
        """Why an id is not known, for a reason or a message."""
        given = as_id(outside)
        if given is not None and self.ids and type(given) is not self.kind:
            return f"unknown {self.what}: ids are {self.id_type} here, {given!r} is {type(given).__name__}"
        return f"unknown {self.what}"

    def to_arrays(self) -> dict[str, AnyArray]:
        """Arrays that :meth:`from_arrays` reads: int64 ids, or UTF-8 bytes and where each id ends in them.

        Other kinds become the UTF-8 bytes of tagged JSON; see :mod:`recsys.tagged`.

        Raises:
            DataError: ids of this kind cannot be saved; the message names the kinds that can.
        """
        if self.kind is int:
            return {f"{self.what}.ids": np.array(self.ids, dtype=np.int64)}
        if self.kind is not str:
            return {f"{self.what}.json": np.frombuffer(dump_ids(self.what, self.ids), dtype=np.uint8)}
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
        if f"{what}.json" in arrays:
            return cls(what, load_ids(what, arrays[f"{what}.json"].astype(np.uint8).tobytes()))
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


EXPECTED = "must be a non-empty str or an int"
"""What messages say of an id; :data:`ALSO` follows them."""
ALSO = "(also taken: UUID, bytes, date, tuple and any other hashable kind but bool, float and None)"


def as_id(value: object) -> Id | None:  # noqa: PLR0911 - one for each kind
    """The value as an id, NumPy's own scalars as plain ones; ``None`` when it is no id by the rule of this module.

    Its declared type is that of ids in general; other hashable kinds come back as they are.

    Example:
        >>> as_id(np.int64(7)), as_id((1, "a")), as_id(1.0), as_id(float("nan"))
        (7, (1, 'a'), None, None)
    """
    if type(value) is str or type(value) is int:
        return value
    if isinstance(value, np.str_ | np.integer | np.bytes_):
        return cast(Id, value.item())
    if value is None or isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, numbers.Number) and not isinstance(value, int):
        return None
    if type(value) is tuple:
        members = tuple(as_id(member) for member in value)
        return None if None in members or not members else cast(Id, members)
    try:
        hash(value)
        same = bool(value == value)  # noqa: PLR0124 - NaN, NaT and their like differ from themselves
    except (TypeError, ValueError):
        return None
    return cast(Id, value) if same else None


def check_kinds(what: str, kinds: set[type]) -> None:
    """Raise a :class:`~shared.errors.DataError` where ids of several types were mixed."""
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{what} ids must be all str or all int. Got {names} instead (any one hashable type is taken)")


class IdTable(dict[Any, int]):
    """Ids as they appear, each with its code: looking up a new one gives it the next code.

    Args:
        what: what the ids name, for messages.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.kinds: set[type] = set()
        self._direct = DirectCodes()

    def __missing__(self, outside: Id) -> int:
        code = self[outside] = len(self)
        return code

    def add(self, outside: object, place: str) -> int:
        """The code of one id.

        Raises:
            DataError: it is no id; the message begins with ``place``.
        """
        found = as_id(outside)
        if found is None or found == "":
            came = f"{type(outside).__name__} {outside!r}"
            raise DataError(f"{place}: a {self.what} id {EXPECTED}. Got {came} instead {ALSO}")
        if type(found) not in self.kinds:
            self.kinds.add(type(found))
            check_kinds(self.what, self.kinds)
        return self[found]

    def encode(self, outside: Sequence[object], place: Callable[[int], str]) -> Int32:
        """Codes of many ids, shape (n,).

        Raises:
            DataError: one is no id, or of another type than those before; the message begins with its place.
        """
        kinds = set(map(type, outside))
        if kinds not in ({str}, {int}):
            return np.array([self.add(one, place(at)) for at, one in enumerate(outside)], dtype=np.int32)
        self.kinds |= kinds
        check_kinds(self.what, self.kinds)
        codes = np.fromiter(map(self.__getitem__, outside), dtype=np.int32, count=len(outside))
        if "" in self:
            at = list(outside).index("")
            self.add("", place(at))
        return codes

    def encode_numbers(self, numbers: Int64) -> Int32 | None:
        """Codes of whole numbers, shape (n,); ``None`` where :meth:`encode` must be asked: they are too far apart.

        Args:
            numbers: shape (n,), int64.

        Raises:
            DataError: ids before were of another type.
        """
        found = self._direct.look(numbers) if len(numbers) else None
        if found is None:
            return None
        self.kinds.add(int)
        check_kinds(self.what, self.kinds)
        unknown = found < 0
        if unknown.any():
            fresh = np.unique(numbers[unknown])
            self._direct.learn(fresh, np.array([self[one] for one in fresh.tolist()], dtype=np.int32))
            return self._direct.look(numbers)
        return found

    def take(self) -> list[Id]:
        """The ids in the order of their codes; the table is empty afterwards."""
        ids = list(self)
        self.clear()
        self._direct = DirectCodes()
        return ids


def sort_ids(what: str, ids: Sequence[Id]) -> tuple[Vocabulary, Int32]:
    """A vocabulary in sorted order, and where each given id went: shape (len(ids),).

    Text, numbers, bytes, dates, UUIDs and tuples of comparable ones sort by their own order; all others by their
    ``repr``, equal ones in the order given.
    """
    order = _order(ids)
    moved = np.empty(len(ids), dtype=np.int32)
    moved[order] = np.arange(len(ids), dtype=np.int32)
    return Vocabulary(what, tuple([ids[at] for at in order])), moved


def _order(ids: Sequence[Id]) -> list[int]:
    if {type(one) for one in ids} <= set(_ORDERED):
        try:
            return sorted(range(len(ids)), key=ids.__getitem__)
        except TypeError:
            pass  # tuples whose members cannot be compared, or mixed types, of which the vocabulary complains
    return sorted(range(len(ids)), key=lambda at: repr(ids[at]))
