"""What stands in a prediction log, a part at a time and side by side, and its profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.monitoring.log import FILE, read_key
from shared.monitoring.log_rows import CATEGORY, NUMBER, RATE, VECTOR, Logged, read_open, table_of
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.signals import CONFIDENCE, LABEL, Batch
from shared.types import Float32

_TOGETHER = 65_536


@dataclass(frozen=True)
class LoggedBatch:
    """Rows of a log.

    Attributes:
        model: what identifies the model of all of them.
        version: under which it was served.
        rate: which share of all predictions the part was given.
        batch: those that were answered.
        failed: how many were not.
    """

    model: str
    version: str
    rate: float
    batch: Batch
    failed: int


def is_log(folder: str | Path) -> bool:
    """Whether a prediction log stands in a folder."""
    return (Path(folder) / FILE).is_file()


def read_log(
    folder: str | Path,
    *,
    version: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[LoggedBatch]:
    """The rows of a log, at most 65,536 in memory at once; those of the part that is being written too.

    Args:
        folder: of the log; it may be written meanwhile.
        version: only rows of the model that was served under it.
        since: only rows from then on; a time without a zone counts as UTC.
        until: only rows before then.

    Raises:
        DataError: no log stands there, or a part is damaged; the message names it.
    """
    place = Path(folder)
    read_key(place)
    open_parts = {path.stem.removeprefix("open-"): _opened(path) for path in sorted(place.glob("open-*.jsonl"))}
    parts = sorted(place.glob("part-*.parquet"))
    for part in parts:
        open_parts.pop(part.stem.removeprefix("part-"), None)  # sealed since it was read
        for table, rate in _tables(part):
            yield from _batches(table, rate, version, since, until)
    for rate, rows in open_parts.values():
        if rows:
            for table in table_of(rows, rate).to_batches():
                yield from _batches(table, rate, version, since, until)


def profile_log(
    folder: str | Path,
    *,
    rng: np.random.Generator,
    version: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Profile:
    """The profile of a log, or of a window of it.

    Args:
        folder: of the log.
        rng: what samples are drawn with.
        version: only the model that was served under it; needed where the log has rows of several models.
        since: only rows from then on.
        until: only rows before then.

    Raises:
        DataError: as :func:`read_log`, or there is no such row.
        UsageError: there are rows of several models.
    """
    task, _ = read_key(folder)
    builder: ProfileBuilder | None = None
    seen: dict[str, str] = {}
    for rows in read_log(folder, version=version, since=since, until=until):
        seen.setdefault(rows.model, rows.version)
        if len(seen) > 1:
            raise UsageError(
                f"a profile is of one model. {folder} has rows of versions {', '.join(map(repr, seen.values()))}: "
                "choose one with version (--version)"
            )
        builder = builder or ProfileBuilder(task, rng, model=rows.model)
        builder.rate = rows.rate
        builder.add_batch(rows.batch)
        if rows.failed:
            builder.add_failed(rows.failed, first=rows.batch.first, last=rows.batch.last)
    if builder is None:
        which = "" if version is None else f" of version {version!r}"
        raise DataError(f"{folder} must have predictions{which} in that time. It has none")
    return builder.done()


def read_texts(folder: str | Path) -> Iterator[tuple[str, str]]:
    """The hashed id and the redacted text of every row that has one."""
    for part in sorted(Path(folder).glob("part-*.parquet")):
        for table, _ in _tables(part):
            if "text" in table.schema.names:
                rows = zip(table.column("id").to_pylist(), table.column("text").to_pylist())
                yield from ((key, text) for key, text in rows if text is not None)


def _opened(path: Path) -> tuple[float, list[Logged]]:
    try:
        return read_open(path)
    except FileNotFoundError:
        return 1.0, []  # it has just become a part


def _tables(part: Path) -> Iterator[tuple[Any, float]]:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    try:
        with pq.ParquetFile(part) as file:
            rate = float((file.schema_arrow.metadata or {})[RATE.encode()])
            # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began.
            for batch in file.iter_batches(_TOGETHER, use_threads=False):
                yield batch, rate
    except FileNotFoundError:
        return  # too old by now
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{part} must be a whole part of a prediction log. {error}") from error


def _batches(
    table: Any, rate: float, version: str | None, since: datetime | None, until: datetime | None
) -> Iterator[LoggedBatch]:
    pa, pc = require("pyarrow", extra="all"), require("pyarrow.compute", extra="all")
    kept = None
    for bound, compare in ((since, pc.greater_equal), (until, pc.less)):
        if bound is not None:
            moment = pa.scalar(bound if bound.tzinfo else bound.replace(tzinfo=UTC), pa.timestamp("us", "UTC"))
            mask = compare(table.column("time"), moment)
            kept = mask if kept is None else pc.and_(kept, mask)
    table = table if kept is None else table.filter(kept)
    if not table.num_rows:
        return
    versions = _words(table.column("version"))
    names = sorted(_counts(versions)) if version is None else [version]
    models = _words(table.column("model"))
    for name in names:
        whole = len(names) == 1 and set(_counts(versions)) == {name}
        mine = table if whole else table.filter(pc.equal(versions, name))
        of = models if whole else models.filter(pc.equal(versions, name))
        for model in sorted(_counts(of)):
            one = mine if len(_counts(of)) == 1 else mine.filter(pc.equal(of, model))
            yield _columns(one, model, name, rate)


def _columns(table: Any, model: str, version: str, rate: float) -> LoggedBatch:
    pc = require("pyarrow.compute", extra="all")
    times = np.asarray(table.column("time").cast("int64")) / 1e6
    failed = table.num_rows - table.column("fault").null_count
    good = table.filter(pc.is_null(table.column("fault"))) if failed else table
    numbers, categories = {}, {}
    for name in good.schema.names:
        column = good.column(name)
        if column.null_count == len(column):
            continue
        if name == CONFIDENCE or name.startswith(NUMBER):
            values = column.to_numpy(zero_copy_only=False)
            numbers[name.removeprefix(NUMBER)] = np.asarray(values, np.float64)
        elif name == LABEL or name.startswith(CATEGORY):
            categories[name.removeprefix(CATEGORY)] = _counts(column)
    vectors: Float32 | None = None
    if VECTOR in good.schema.names:
        column = good.column(VECTOR)
        present = column.drop_null() if column.null_count else column
        if len(present):
            vectors = np.asarray(present.flatten(), np.float32).reshape(len(present), -1)
    batch = Batch(good.num_rows, numbers, categories, vectors, float(times.min()), float(times.max()))
    return LoggedBatch(model, version, rate, batch, failed)


def _words(column: Any) -> Any:
    return column.cast("string")


def _counts(column: Any) -> dict[str, int]:
    found = column.value_counts()
    values, counts = found.field("values").cast("string").to_pylist(), found.field("counts").to_pylist()
    return {value: count for value, count in zip(values, counts) if value is not None}
