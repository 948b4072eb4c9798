"""What an input is to a job: numbered rows, and the facts that tell one input from another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shared.batch.stores import stat
from shared.errors import DataError, UsageError
from shared.tasks import InputKind
from shared.types import Failure

COLUMNS: dict[InputKind, tuple[str, ...]] = {
    "image": ("path", "image", "file"),
    "text": ("text",),
    "id": ("user", "id"),
}
"""The columns that hold the items when none is named, for each kind of input, the first that is there."""

Skip: TypeAlias = Callable[[int], bool]
"""Whether the row of that number is not wanted: its item need not be read."""


def none_skipped(index: int) -> bool:
    """Every row is wanted."""
    return False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a job.

    Attributes:
        index: its number in the whole input, from 0.
        input: how it stands in the results: the path, the text or the id.
        item: what the predictor is given.
        id: the value of the id column, where one was named.
        fault: why there is no item, where the row could not be read.
    """

    index: int
    input: str
    item: Any
    id: str | None = None
    fault: Failure | None = None


@dataclass(frozen=True)
class Part:
    """One table, list or archive of an input.

    Attributes:
        path: as it was named.
        size: bytes.
        modified: time of the last change, in nanoseconds.
        rows: number of rows.
        sha256: of its bytes; of a file in an object store, or an archive, what identifies its content without reading
            all of it.
    """

    path: str
    size: int
    modified: int
    rows: int
    sha256: str

    def unchanged(self) -> bool:
        """Whether the file still has this size and time of change."""
        try:
            found = stat(self.path)
        except FileNotFoundError:
            return False
        return (found.size, found.modified) == (self.size, self.modified)

    def check_unchanged(self) -> None:
        """See that nothing has happened to it.

        Raises:
            DataError: it has changed.
        """
        if not self.unchanged():
            raise DataError(f"{self.path} must not change while a job reads it. It did: run again with another OUT")


class Rows(Protocol):
    """The rows of an input from the first on, streamed; may be called again."""

    def __call__(self, skip: Skip = none_skipped) -> Iterator[Row]:
        """Every row; those that ``skip`` names may come without their item."""


@dataclass(frozen=True)
class Source:
    """An opened input.

    Attributes:
        total: number of rows.
        facts: what tells this input from another, JSON-ready: the name, the columns and a digest. Nothing secret.
        parts: the files it is made of, where they are known by more than their names; empty for image files.
        rows: its rows.
    """

    total: int
    facts: dict[str, Any]
    parts: tuple[Part, ...]
    rows: Rows


def digest_of(parts: Sequence[Part]) -> str:
    """What identifies the content of several files together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.path.encode("utf-8", "surrogateescape"))
        digest.update(f"\0{part.size}\0{part.rows}\0{part.sha256}\n".encode())
    return digest.hexdigest()


def choose_column(column: str | None, kind: InputKind, names: Sequence[str], where: str) -> str:
    """The column with the items: the one that was asked for, else the first of :data:`COLUMNS` that is there.

    Raises:
        UsageError: none was asked for and none of those is there.
    """
    if column is None:
        column = next((name for name in COLUMNS[kind] if name in names), None)
    if column is None:
        wanted, has = " or ".join(COLUMNS[kind]), ", ".join(names) or "none"
        raise UsageError(f"{where} must have a column {wanted}, or name one with --column. Its columns: {has}")
    return column
