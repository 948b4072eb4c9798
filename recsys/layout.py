"""Where users, items, ratings and times stand: in a header, in rows without one, in a table's named columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import DataError, UsageError

ROLES = {
    "user": "user userid uid reviewerid customerid memberid visitorid username",
    "item": "item itemid iid movieid artistid bookid productid asin parentasin trackid songid businessid articleid",
    "rating": "rating ratings value score stars weight overall playcount plays count",
    "time": "time timestamp ts unixreviewtime datetime date",
}
"""What the columns of a header may be called (without case, spaces, ``_`` and ``-``), the likeliest first."""
_POSITIONS = {2: ("user", "item"), 3: ("user", "item", "rating"), 4: ("user", "item", "rating", "time")}


@dataclass(frozen=True)
class Layout:
    """Where things stand in a row: positions from 0, and how many fields each row has."""

    user: int
    item: int
    rating: int | None
    time: int | None
    width: int
    header: bool


def find_column(names: Sequence[str], wanted: str) -> int | None:
    """The position of the likeliest of the space-separated ``wanted`` names among ``names``, or ``None``."""
    plain = [re.sub(r"[\s_-]", "", name).lower() for name in names]
    return next((plain.index(name) for name in wanted.split() if name in plain), None)


def named_columns(names: Sequence[str], named: Mapping[str, str], whole: object) -> dict[str, str]:
    """The columns of a table by role, as told in ``named``, else by :data:`ROLES`; absent roles are left out.

    Raises:
        DataError: a told one is missing, no users or items are found, or one column would be two things.
    """
    found: dict[str, str] = {}
    for role, known in ROLES.items():
        if role in named:
            if named[role] not in names:
                raise DataError(f"{whole} must have a column {named[role]!r} ({role}). It has: {list(names)}")
            found[role] = named[role]
        elif (place := find_column(names, known)) is not None:
            found[role] = names[place]
    missing = [role for role in ("user", "item") if role not in found]
    if missing:
        raise DataError(
            f"{whole} must have columns of users and items. Missing: {', '.join(missing)}. It has: {list(names)}. "
            f"Say which they are by {' and '.join(f'--{role}' for role in missing)}"
        )
    if len(set(found.values())) < len(found):
        raise DataError(f"{whole}: one column cannot be two things. Got {found}")
    return found


def find_layout(
    first: list[str], path: Path, columns: Sequence[str] | None, header: bool | None, named: Mapping[str, str]
) -> Layout:
    """The layout of a file whose first row is ``first``; see :func:`recsys.load_interactions` for the rule.

    Raises:
        DataError: the row can be read in two ways, or lacks a column.
        UsageError: ``columns`` is malformed.
    """
    found = {role: find_column(first, known) for role, known in ROLES.items()}
    for role, name in named.items():
        if name not in first:
            raise DataError(f"{path}: the header must have a column {name!r} ({role}). It has: {first}")
        found[role] = first.index(name)
    if header or (header is None and (named or (found["user"] is not None and found["item"] is not None))):
        header = True
        missing = [role for role in ("user", "item") if found[role] is None]
        if missing:
            raise DataError(
                f"{path}: the header must name columns of users and items. Missing: {', '.join(missing)}. "
                f"It has: {first}. Say which they are by {' and '.join(f'--{role}' for role in missing)}"
            )
    else:
        looks_like_names = any(place is not None for place in found.values()) or not re.search(r"\d", "".join(first))
        if header is None and looks_like_names:
            raise DataError(
                f"{path}, line 1: {first} may be a header or an interaction. "
                "Name its columns by --user and --item if it is a header, else say --columns user,item,..."
            )
        header, found = False, _positions(first, path, columns)
    places = [place for place in found.values() if place is not None]
    if len(set(places)) < len(places):
        raise DataError(f"{path}: one column cannot be two things. Got {found} in {first}")
    return Layout(found["user"] or 0, found["item"] or 0, found["rating"], found["time"], len(first), header)


def _positions(first: list[str], path: Path, columns: Sequence[str] | None) -> dict[str, int | None]:
    """The columns of a file without a header: as told, or user, item, rating, time."""
    roles = tuple(columns) if columns is not None else _POSITIONS.get(len(first))
    if roles is None or len(roles) != len(first):
        raise DataError(
            f"{path}, line 1: expected {len(columns) if columns else '2 to 4'} fields. Got {len(first)}: {first}. "
            "Say what they are, for example --columns user,item,-,time"
        )
    unknown = [role for role in roles if role not in (*ROLES, "-")]
    if unknown or "user" not in roles or "item" not in roles:
        raise UsageError(f"columns must be user, item, and perhaps rating, time or '-'. Got {', '.join(roles)} instead")
    return {role: roles.index(role) if role in roles else None for role in ROLES}
