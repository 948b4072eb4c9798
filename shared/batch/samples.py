"""One sample of an archive as a row of a job: which member is the item, and what is wrong where none is.

:mod:`shared.batch.tars` says what counts as which.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, BinaryIO

from shared.batch.archives import Member
from shared.batch.rows import COLUMNS, Row
from shared.batch.sources import IMAGE_SUFFIXES
from shared.batch.stores import MAX_BYTES, Stored
from shared.batch.tables import as_text
from shared.errors import InputError
from shared.tasks import InputKind
from shared.types import Failure

KEY = "__key__"
"""The id column that is the sample's own name."""


@dataclass(frozen=True)
class Sample:
    """Members that belong together, by extension."""

    key: str
    members: dict[str, Member]


@dataclass(frozen=True)
class Finder:
    """From a sample to a row.

    Attributes:
        kind: what the task takes.
        column: which member, or which field of the ``.json``.
        id_column: a field of the ``.json``, or :data:`KEY`.
    """

    kind: InputKind
    column: str | None
    id_column: str | None

    def row(self, index: int, path: str, file: BinaryIO, sample: Sample) -> Row:
        """The row of a sample; what is wrong with it is the row's fault."""
        shown, key = f"{path}/{sample.key}", sample.key if self.id_column == KEY else None
        try:
            fields = self._fields(file, sample)
            if self.id_column not in (None, KEY):
                key = as_text(fields.get(self.id_column))
            member = self._member(sample)
            if member is None:
                value = self._field(sample, fields)
                return Row(index, as_text(value), value, key)
            shown = f"{path}/{member.name}"
            if self.kind == "image":
                _check(member)
                return Row(index, shown, Stored(path, shown, member.offset, member.size), key)
            text = _read(file, member).decode("utf-8").removeprefix("\ufeff")
            return Row(index, text, text, key)
        except InputError as error:
            return Row(index, shown, None, key, Failure(0, error.kind, str(error)))
        except UnicodeDecodeError as error:
            return Row(index, shown, None, key, Failure(0, "corrupt", f"{shown} must be UTF-8 text. {error}"))

    def _member(self, sample: Sample) -> Member | None:
        """The member that is the item; ``None`` where it is a field of the ``.json``."""
        members = {extension.lower(): member for extension, member in sample.members.items()}
        faulty = next((member for member in members.values() if member.fault), None)
        if self.column is not None and self.column.lower() in members:
            return members[self.column.lower()]
        if self.kind == "image":
            images = [e for e in members if f".{e.rpartition('.')[2]}" in IMAGE_SUFFIXES]
            found = min(images, key=lambda extension: "." in extension, default=None)
            if found is not None and self.column is None:
                return members[found]
        elif "txt" in members and self.column is None:
            return members["txt"]
        elif "json" in members:
            return None
        if faulty is not None:  # what is wrong with it says more than that nothing fits
            return faulty
        wanted = self.column or ("a picture" if self.kind == "image" else "txt or json")
        raise InputError("wrong-type", f"a sample must have a member {wanted}. {sample.key} has {', '.join(members)}")

    def _fields(self, file: BinaryIO, sample: Sample) -> dict[str, Any]:
        """The object of the ``.json``, where anything of it is wanted."""
        member = next((m for e, m in sample.members.items() if e.lower() == "json"), None)
        wanted = self.id_column not in (None, KEY) or (self.kind != "image" and self._member(sample) is None)
        if member is None or not wanted:
            return {}
        try:
            fields = json.loads(_read(file, member))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("corrupt", f"{member.name} must be one JSON object in UTF-8. {error}") from error
        if not isinstance(fields, dict):
            raise InputError("corrupt", f"{member.name} must be one JSON object. Got a {type(fields).__name__} instead")
        return fields

    def _field(self, sample: Sample, fields: dict[str, Any]) -> Any:
        names = COLUMNS[self.kind] if self.column is None else (self.column,)
        found = next((fields[name] for name in names if fields.get(name) is not None), None)
        if found is None:
            raise InputError("empty", f"the .json of {sample.key} must have a value {' or '.join(names)}. It has none")
        return found


def _check(member: Member) -> None:
    if member.fault:
        kind, message = member.fault
        raise InputError(kind, message)
    if member.size > MAX_BYTES:
        raise InputError(
            "too-large", f"an item must hold at most {MAX_BYTES:,} bytes. {member.name} has {member.size:,}"
        )


def _read(file: BinaryIO, member: Member) -> bytes:
    _check(member)
    file.seek(member.offset)
    data = file.read(member.size)
    if len(data) != member.size:
        raise InputError("corrupt", f"{member.name} must hold {member.size:,} bytes. Only {len(data):,} came")
    return data
