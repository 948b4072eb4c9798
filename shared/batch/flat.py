"""Results as flat columns, for tables that people and databases read: CSV and SQL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from shared.batch.records import Record, plain
from shared.errors import DataError

NAMES = (
    "index",
    "input",
    "id",
    "ok",
    "label",
    "score",
    "count",
    "text",
    "result",
    "error_kind",
    "error_message",
)
"""The columns, the same for every task, so that a shard of failures alone has those of its neighbours."""

_FIELD = 1 << 28
_LISTS = ("xyxy", "entities", "items", "answers")
"""What a result has several of, by the name of its field."""


def flat(item: Record) -> dict[str, Any]:
    """A record as one value a column.

    ``label`` and ``score`` are those of the best class, box, entity or answer; ``count`` is how many boxes, faces,
    segments, entities, answers or recommended items there are; ``text`` is a translation, an answer or another text.
    What a result has not is ``None``. ``result`` is all of it as JSON.
    """
    found = json.loads(item.result) if item.result is not None else {}
    return {
        "index": item.index,
        "input": item.input,
        "id": item.id,
        "ok": item.ok,
        **_summary(found),
        "result": item.result,
        "error_kind": item.error_kind,
        "error_message": item.error_message,
    }


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    best: dict[str, Any] = next((found[name][0] for name in ("entities", "answers") if found.get(name)), {})
    several = next((found[name] for name in _LISTS if isinstance(found.get(name), list)), None)
    label = _first(found, "labels") or _first(found, "items") or found.get("label") or best.get("label")
    score = _first(found, "scores") if isinstance(found.get("scores"), list) else found.get("score", best.get("score"))
    text = found.get("text", best.get("text"))
    return {
        "label": None if label is None else plain(str(label)),
        "score": score if isinstance(score, int | float) else None,
        "count": None if several is None else len(several),
        "text": plain(text) if isinstance(text, str) else None,
    }


def _first(found: dict[str, Any], name: str) -> Any:
    values = found.get(name)
    return values[0] if isinstance(values, list) and values else None


def to_csv(records: Sequence[Record]) -> bytes:
    """RFC 4180 in UTF-8: a header, lines that end in CR LF, quotes where a cell needs them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(NAMES)
    for item in records:
        row = flat(item) | {"ok": "true" if item.ok else "false"}
        writer.writerow("" if row[name] is None else row[name] for name in NAMES)
    return text.getvalue().encode("utf-8")


def from_csv(data: bytes) -> list[Record]:
    """The records of :func:`to_csv`; an empty id comes back as none."""
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD))
    rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    records = []
    for row in rows:
        if set(row) != set(NAMES) or (row["ok"] == "true") == bool(row["error_kind"]):
            raise DataError(f"row {row.get('index')} must have the columns {', '.join(NAMES)}, a result or an error")
        good = row["ok"] == "true"
        result, fault = (row["result"], (None, None)) if good else (None, (row["error_kind"], row["error_message"]))
        records.append(Record(int(row["index"]), row["input"], row["id"] or None, result, *fault))
    return records
