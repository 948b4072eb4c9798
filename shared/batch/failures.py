"""The tracebacks of rows that failed: one JSON object a line, beside the shards, in a file of bounded size.

The rows themselves, with the kind and message of every failure, stand in the shards; this is for whoever mends what
failed. A line holds ``shard``, ``index``, ``input``, ``kind``, ``message`` and ``traceback``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.batch.sinks import Record

MOST_BYTES = 16 << 20
"""What the file may hold; the tracebacks after that are left out."""


class FailureLog:
    """The file of one job. Lines are added before the marker of their shard is written, and a shard that has none
    after a crash is done again: :meth:`keep` then drops what was told of it, so no row stands there twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> Iterator[dict[str, Any]]:
        """What was told, in the order in which shards were done. A line that a kill cut short is left out."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def keep(self, shards: Collection[int]) -> None:
        """Drop the lines of all but these shards."""
        if not self.path.exists():
            return
        kept = "".join(_line(row) for row in self.lines() if row["shard"] in shards)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(kept, "ascii")
        temporary.replace(self.path)

    def add(self, shard: int, records: Sequence[Record], tracebacks: Mapping[int, str]) -> None:
        """Add the failures of a shard that have a traceback, as long as there is room.

        Args:
            shard: its number.
            records: its rows.
            tracebacks: by the index of the row.
        """
        if not tracebacks:
            return
        with open(self.path, "a", encoding="ascii") as file:
            for record in records:
                if record.index not in tracebacks:
                    continue
                told = _line(
                    {
                        "shard": shard,
                        "index": record.index,
                        "input": record.input,
                        "kind": record.error_kind,
                        "message": record.error_message,
                        "traceback": tracebacks[record.index],
                    }
                )
                if file.tell() + len(told) > MOST_BYTES:
                    return
                file.write(told)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"  # in ASCII, which holds even half a character of a file name
