"""One row of a job's output."""

from __future__ import annotations

import json
from dataclasses import dataclass

from shared.batch.rows import Row
from shared.types import Failure, Result


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the output; exactly one of ``result`` and ``error_kind`` is there.

    Attributes:
        index: number of the row in the whole input, from 0.
        input: the path, the text or the id.
        id: the value of the id column, where one was named.
        result: the result as JSON text.
        error_kind: a short stable name of the fault.
        error_message: what was expected, what came, what to do.
    """

    index: int
    input: str
    id: str | None
    result: str | None
    error_kind: str | None = None
    error_message: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error_kind is None


def record(row: Row, answer: Result | Failure) -> Record:
    """A row and its answer as a record: plain text that any process can take over."""
    name, key = plain(row.input), None if row.id is None else plain(row.id)
    if isinstance(answer, Failure):
        return Record(row.index, name, key, None, answer.kind, plain(answer.message))
    return Record(row.index, name, key, plain(json.dumps(answer.to_json(), ensure_ascii=False)))


def plain(text: str) -> str:
    r"""Text that UTF-8 can hold: a lone surrogate, as in a file name of other bytes, becomes ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
