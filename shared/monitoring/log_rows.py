"""Rows of a prediction log, as lines of a part that is being written and as the Parquet of one that is full."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.lazy import require
from shared.monitoring.signals import Observed
from shared.types import Float32

NUMBER, CATEGORY, VECTOR = "n_", "c_", "embedding"
"""What the names of observed columns begin with, and the column of embeddings."""
RATE = "triptych.rate"
"""Under which a part's metadata hold its rate."""
_WHOLE = 2**64


@dataclass(frozen=True)
class Key:
    """The secret of a log: says which requests are taken, and what stands for their ids.

    Attributes:
        salt: at least 16 bytes. Whoever has it can test whether an id they know is in the log.

    Example:
        >>> key = Key(bytes(16))
        >>> key.of("request 1") == key.of("request 1"), sum(key.takes(str(n), 0.25) for n in range(4000)) // 100
        (True, 10)
    """

    salt: bytes

    def of(self, request: str) -> str:
        """What stands for a request's id, 16 hex digits."""
        return self._digest(request)[8:].hex()

    def takes(self, request: str, rate: float) -> bool:
        """Whether a request is among the share ``rate``, in [0, 1]; who is among a smaller share is among a larger."""
        return int.from_bytes(self._digest(request)[:8], "big") < rate * _WHOLE

    def _digest(self, request: str) -> bytes:
        return hashlib.blake2b(request.encode("utf-8", "replace"), key=self.salt, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of a log.

    Attributes:
        id: what stands for the request's id; see :meth:`Key.of`.
        time: when it was answered, in seconds since 1970.
        model: what identifies the model; see :func:`shared.monitoring.profile_files.model_digest`.
        version: under which the model was served.
        observed: what is watched of item and result; ``None`` of an item that failed.
        fault: the kind of its failure, where it failed.
        text: the redacted text, where texts are kept.
    """

    id: str
    time: float
    model: str
    version: str
    observed: Observed | None
    fault: str | None = None
    text: str | None = None


def line_of(row: Logged) -> str:
    values: dict[str, Any] = {"id": row.id, "time": row.time, "model": row.model, "version": row.version}
    if row.fault is not None:
        values["fault"] = row.fault
    if row.text is not None:
        values["text"] = row.text.encode("utf-8", "replace").decode()
    if row.observed is not None:
        one = row.observed
        values |= {"numbers": dict(one.numbers), "categories": dict(one.categories)}
        values |= {"confidence": one.confidence, "label": one.label}
        if one.embedding is not None:
            values["embedding"] = base64.b64encode(np.asarray(one.embedding, "<f4").tobytes()).decode("ascii")
    return json.dumps(values) + "\n"


def _row(values: Mapping[str, Any]) -> Logged:
    observed = None
    if "numbers" in values:
        vector: Float32 | None = None
        if "embedding" in values:
            vector = np.frombuffer(base64.b64decode(values["embedding"]), "<f4").astype(np.float32)
        observed = Observed(values["numbers"], values["categories"], vector, values["confidence"], values["label"])
    head = (values["id"], float(values["time"]), values["model"], values["version"])
    return Logged(*head, observed, values.get("fault"), values.get("text"))


def seal_part(folder: Path, stem: str, rows: Iterable[Logged], rate: float) -> None:
    """A part of lines to Parquet, and only then the lines away."""
    pq = require("pyarrow.parquet", extra="all")
    journal, part = folder / f"open-{stem}.jsonl", folder / f"part-{stem}.parquet"
    kept = list(rows)
    if kept and not part.exists():
        temporary = folder / f"part-{stem}.tmp"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                pq.write_table(table_of(kept, rate), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, part)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DataError(f"{part} could not be written: {error.strerror}. Its rows stay in {journal}") from error
    journal.unlink(missing_ok=True)


def table_of(rows: Sequence[Logged], rate: float) -> Any:
    pa = require("pyarrow", extra="all")
    seen = [row.observed or Observed() for row in rows]
    words = pa.dictionary(pa.int32(), pa.string())
    columns: dict[str, Any] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "time": pa.array([round(row.time * 1_000_000) for row in rows], pa.timestamp("us", "UTC")),
        "model": pa.array([row.model for row in rows], words),
        "version": pa.array([row.version for row in rows], words),
        "fault": pa.array([row.fault for row in rows], words),
        "label": pa.array([one.label for one in seen], words),
        "confidence": pa.array([_number(one.confidence) for one in seen], pa.float64()),
    }
    for name in sorted({name for one in seen for name in one.numbers}):
        columns[NUMBER + name] = pa.array([_number(one.numbers.get(name)) for one in seen], pa.float64())
    for name in sorted({name for one in seen for name in one.categories}):
        columns[CATEGORY + name] = pa.array([one.categories.get(name) for one in seen], words)
    length = next((len(one.embedding) for one in seen if one.embedding is not None), 0)
    if length:
        found = [one.embedding for one in seen]
        vectors = [None if one is None or len(one) != length else one.tolist() for one in found]
        columns[VECTOR] = pa.array(vectors, pa.list_(pa.float32(), length))
    if any(row.text is not None for row in rows):
        columns["text"] = pa.array([row.text for row in rows], pa.string())
    return pa.table(columns).replace_schema_metadata({RATE: repr(rate)})


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def read_open(path: Path) -> tuple[float, list[Logged]]:
    """The rate and the whole rows of a part that is being written; a last line without its end is left out."""
    lines = path.read_bytes()
    rows = lines[: lines.rfind(b"\n") + 1].splitlines()
    if not rows:
        return 1.0, []
    try:
        return float(json.loads(rows[0])["rate"]), [_row(json.loads(line)) for line in rows[1:]]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} must hold rows of a prediction log. {error!r}") from error
