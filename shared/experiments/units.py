"""Units of experiments: one text for each id, one digest for each text, and a position in [0, 1) for each salt.

The text of an id, its *canonical encoding*:

=================== ===================================================================================================
``str``             itself
``int``             its decimal digits, so that ``7`` and ``"7"`` are one unit in whatever way a system keeps its ids
``UUID``            its usual form of 36 characters in lower case
``bytes``           its hex digits
``date, datetime``  ISO 8601; a ``datetime`` must have a zone, and is written in UTC
``tuple``           a JSON list of its parts' texts
=================== ===================================================================================================

``bool``, ``float`` and ``None`` are refused: ``True == 1 == 1.0`` in Python, and NaN does not equal itself.

A digest is BLAKE2b of the text in UTF-8 with 8 bytes, read as a little-endian integer (RFC 7693). A salt becomes two
keys, the first and the last 8 bytes of its own 16-byte BLAKE2b. The position is ``mix(mix(digest ^ key1) + key2)``
shifted right by 11 and divided by 2^53, where ``mix`` is the finaliser of splitmix64 (G. Steele, D. Lea and C. Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014). So an id is hashed once for all experiments, and any
language that has BLAKE2b and 64-bit integers can compute the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataError
from shared.types import AnyArray, Float64

UInt64: TypeAlias = NDArray[np.uint64]
KINDS = "str, int, UUID, bytes, date, datetime, or a tuple of those"
_PLACES = 53


@dataclass(frozen=True, eq=False)
class Units:
    """Units whose ids were read and hashed once, for any number of experiments.

    Attributes:
        texts: the canonical encoding of each id.
        digests: shape (n,), uint64, over the whole range.
    """

    texts: tuple[str, ...]
    digests: UInt64

    def __post_init__(self) -> None:
        if self.digests.shape != (len(self.texts),) or self.digests.dtype != np.uint64:
            raise DataError(
                f"Units.digests must be uint64 of shape ({len(self.texts)},). "
                f"Got {self.digests.dtype} of shape {self.digests.shape} instead"
            )
        self.digests.flags.writeable = False

    def __len__(self) -> int:
        return len(self.texts)


def units(ids: Iterable[Any] | Units) -> Units:
    """Ids as units.

    Args:
        ids: of one kind each, see above; NumPy arrays and pandas or Arrow columns of text or whole numbers too.
            Units pass through.

    Raises:
        DataError: an id is empty, missing or of a kind that has no encoding, or ids of several kinds were mixed.

    Example:
        >>> units([12, 7]).texts
        ('12', '7')
    """
    if isinstance(ids, Units):
        return ids
    texts = tuple(_texts(ids))
    if "" in texts:
        raise DataError(f"an id must not be empty. Number {texts.index('')} of {len(texts)} is")
    digest = hashlib.blake2b
    try:
        packed = b"".join([digest(text.encode(), digest_size=8).digest() for text in texts])
    except UnicodeEncodeError as error:
        raise DataError(f"an id must be text that UTF-8 can hold. Got {error.object!r} instead") from error
    return Units(texts, np.frombuffer(packed, dtype="<u8").astype(np.uint64))


def text_of(unit_id: Any) -> str:
    """The canonical encoding of one id.

    Raises:
        DataError: it is empty, missing or of a kind that has none.

    Example:
        >>> text_of((7, b"ab"))
        '["7", "6162"]'
    """
    return units((unit_id,)).texts[0]


def positions(of: Units, salt: str) -> Float64:
    """Where each unit stands under a salt: uniform over units, and independent of where it stands under another.

    Args:
        of: the units.
        salt: any text.

    Returns:
        Shape (n,), float64, in [0, 1), multiples of 2^-53.

    Example:
        >>> positions(units(["ann", "bob"]), "new-page").round(3)
        array([0.301, 0.157])
    """
    keys = np.frombuffer(hashlib.blake2b(salt.encode(), digest_size=16).digest(), dtype="<u8").astype(np.uint64)
    mixed = _mix(_mix(of.digests ^ keys[0]) + keys[1])
    return (mixed >> np.uint64(64 - _PLACES)).astype(np.float64) * 2.0**-_PLACES


def _mix(values: UInt64) -> UInt64:
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    out: UInt64 = mixed ^ (mixed >> np.uint64(31))
    return out


def _texts(ids: Iterable[Any]) -> list[str]:
    if isinstance(ids, str | bytes):
        raise DataError(f"ids must be a sequence of ids. Got one {type(ids).__name__}: put it into a list")
    values = _listed(np.asarray(ids)) if hasattr(ids, "__array__") else list(ids)
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and kinds <= {str}:
        return values
    if len(kinds) == 1 and kinds <= {int}:
        return list(map(str, values))
    names = {_kind(value) for value in values}
    if len(names) > 1:
        raise DataError(f"ids must be of one kind. Got {', '.join(sorted(names))} together: make them all text")
    return [_text(value) for value in values]


def _listed(array: AnyArray) -> list[Any]:
    """An array's values as Python's own; times in nanoseconds would come as bare numbers otherwise."""
    if array.ndim != 1:
        raise DataError(f"ids must have one axis. Got an array of shape {array.shape} instead")
    finer = array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] in {"ns", "ps", "fs", "as"}
    return list((array.astype("M8[us]") if finer else array).tolist())


def _kind(value: Any) -> str:
    for kind in (str, bytes, UUID, datetime, date, tuple):
        if isinstance(value, kind):
            return kind.__name__
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return "int"
    return type(value).__name__


def _text(value: Any) -> str:
    write = _WRITE.get(_kind(value))
    text = "" if write is None else write(value)
    if not text and value not in ("", b""):
        raise DataError(
            f"an id must be {KINDS}. Got {value!r} ({type(value).__name__}) instead: make it text that is always alike"
        )
    return text


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise DataError(f"a datetime as an id must have a zone. Got {value.isoformat()} instead")
    return value.astimezone(UTC).isoformat()


_WRITE: dict[str, Callable[[Any], str]] = {
    "str": str,
    "int": lambda value: str(int(value)),
    "UUID": str,
    "bytes": lambda value: bytes(value).hex(),
    "date": date.isoformat,
    "datetime": _moment,
    "tuple": lambda parts: json.dumps([_text(part) for part in parts], ensure_ascii=False) if parts else "",
}
"""How an id of each kind is written; the empty text where it is none."""
