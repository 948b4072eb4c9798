"""Values and times of interactions: what counts as one, and how each is read.

A value is a finite number that fits into float32; a ``bool`` counts as 1 or 0. A time becomes whole seconds since 1970,
rounded down: a whole number of seconds, a date or datetime (UTC unless it says otherwise), or the text of either
(ISO 8601), within 64 bits.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np

from shared.errors import DataError

FLOAT32_MAX = float(np.finfo(np.float32).max)
VALUE = "a value must be a finite number"
TIME = "a time must be a whole number of seconds"
_DAY = 86_400
_EPOCH = date(1970, 1, 1)


def read_number(text: str) -> float | None:
    """The finite number that a text says, or ``None``."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def read_seconds(text: str) -> int | None:
    """The seconds that a text says, as a number or as an ISO 8601 date, or ``None``."""
    try:
        return _whole(int(text)) if "_" not in text else None
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        try:
            return as_time(datetime.fromisoformat(text))
        except ValueError:
            return None
    return _whole(int(value)) if value.is_integer() and "_" not in text else None


def as_value(value: object) -> float | None:
    """The value as a finite number, or ``None``."""
    if isinstance(value, str):
        return read_number(value)
    try:
        found = float(value)  # type: ignore[arg-type]  # anything that has __float__
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def as_time(time: object) -> int | None:  # noqa: PLR0911 - one for each kind
    """The time as whole seconds, or ``None``."""
    if isinstance(time, bool | np.bool_) or time is None:
        return None
    if isinstance(time, int | np.integer):
        return _whole(int(time))
    if isinstance(time, float | np.floating | Decimal):
        return _whole(int(time)) if math.isfinite(time) and time == int(time) else None
    if isinstance(time, np.datetime64):
        return None if np.isnat(time) else int(time.astype("datetime64[s]").astype(np.int64))
    if isinstance(time, datetime):
        if time != time:  # noqa: PLR0124 - NaT of pandas
            return None
        return math.floor((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    if isinstance(time, date):
        return (time - _EPOCH).days * _DAY
    return read_seconds(time) if isinstance(time, str) else None


def need_value(value: object, place: str, what: str = VALUE) -> float:
    """The value as a number.

    Raises:
        DataError: it is none, or too large; the message begins with ``place``.
    """
    found = as_value(value)
    if found is None:
        raise DataError(f"{place}: {what}. Got {value!r} instead")
    if abs(found) > FLOAT32_MAX:
        raise DataError(f"{place}: values must fit into float32. Got {value!r}, above 3.4e38")
    return found


def need_time(time: object, place: str) -> int:
    """The time as whole seconds.

    Raises:
        DataError: it is none; the message begins with ``place``.
    """
    found = as_time(time)
    if found is None:
        raise DataError(f"{place}: {TIME}. Got {time!r} instead (a date or ISO 8601 text is taken too)")
    return found


def _whole(seconds: int) -> int | None:
    return seconds if -(2**63) <= seconds < 2**63 else None
