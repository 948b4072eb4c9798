"""Everybody's ranking in one Parquet file."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import numpy as np

from recsys.ids import Vocabulary
from recsys.model import Ranking, Recommender
from recsys.ranking import check_k
from recsys.threads import count_threads, limit_threads
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import Id, Int32

_USERS = 1024
"""Users that a thread ranks at a time."""
_ROWS = 262_144
"""Rows of a row group, at least, but for the last."""


@dataclass(frozen=True)
class BulkReport:
    """What :func:`recommend_all` wrote.

    Attributes:
        path: the file.
        users: how many people were ranked for.
        rows: how many rows the file has.
        seconds: how long it took.
    """

    path: Path
    users: int
    rows: int
    seconds: float


def recommend_all(
    model: Recommender,
    out: str | Path,
    k: int = 10,
    *,
    users: Sequence[Id] | None = None,
    exclude_seen: bool = True,
    among: Iterable[Id] | None = None,
    without: Iterable[Id] = (),
    threads: int | None = None,
    heard: Callable[[int], None] | None = None,
) -> BulkReport:
    """Rank for everybody, block by block, into one Parquet file with the columns ``user, item, rank, score``.

    One row for each place of each ranking, users in their order, ranks from 1; ids that are text or numbers keep their
    type, others are written as text. Somebody who has seen everything has no rows. Memory stays at a few blocks however
    many users there are. The file is written beside its place, flushed to the disk and renamed into it when it is
    whole, so a kill leaves either the old file or none; what a killed run left beside it goes when the next one begins.

    Args:
        model: what ranks.
        out: the file to write; one that is there is replaced.
        k: how many places, at least 1.
        users: whom to rank for; ``None`` for all users of training. Somebody unknown gets the popular items.
        exclude_seen: leave out what a user interacted with in training.
        among: the only items that may be named; ``None`` for all.
        without: items that may not be named.
        threads: how many work at once; ``None`` takes as many as the linear algebra may use now.
        heard: hears, block by block, how many people were ranked for.

    Raises:
        DataError: the file could not be written.
        UsageError: an argument is wrong.
    """
    check_k(k)
    if users is not None and isinstance(users, str | bytes | int):
        raise UsageError(f"users must be a list of ids. Got {users!r} instead: wrap it in a list")
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    start, path = perf_counter(), Path(out)
    wanted = model.user_ids.ids if users is None else users
    kinds = Vocabulary("user", tuple(dict.fromkeys(wanted))).id_type, model.item_ids.id_type
    columns = [pa.int64() if kind == "int" else pa.string() for kind in kinds]
    schema = pa.schema([("user", columns[0]), ("item", columns[1]), ("rank", pa.int32()), ("score", pa.float32())])
    items = _ids(pa, model.item_ids.ids, columns[1])
    among = None if among is None else list(among)
    options = {"exclude_seen": exclude_seen, "among": among, "without": list(without)}
    rows = 0
    with _whole_or_nothing(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        held: list[Any] = []
        for block, ranking in rank_blocks(model, wanted, k, threads=threads, **options):
            held.append(_table(pa, schema, wanted[block], items, ranking))
            if sum(len(table) for table in held) >= _ROWS:
                rows += _write(pa, writer, held)
            if heard is not None:
                heard(len(ranking.items))
        rows += _write(pa, writer, held)
    return BulkReport(path, len(wanted), rows, round(perf_counter() - start, 3))


def rank_blocks(
    model: Recommender, users: Sequence[Id], k: int = 10, *, threads: int | None = None, **options: Any
) -> Iterator[tuple[slice, Ranking]]:
    """:meth:`Recommender.rank` block by block, in order, several blocks at once on threads of their own.

    While it runs, each call of the linear algebra in this process keeps to one thread: several blocks side by side
    waste less than one block on several threads.

    Args:
        model: what ranks.
        users: whom to rank for.
        k: how many places, at least 1.
        threads: how many work at once; ``None`` takes as many as the linear algebra may use now.
        options: keywords of :meth:`Recommender.rank`.
    """
    threads = threads or count_threads()
    blocks = (slice(start, start + _USERS) for start in range(0, len(users), _USERS))
    with limit_threads(1):
        if threads == 1:
            yield from ((block, model.rank(users[block], k, **options)) for block in blocks)
            return
        with ThreadPoolExecutor(threads) as pool:
            begun: deque[tuple[slice, Future[Ranking]]] = deque()
            for block in blocks:
                begun.append((block, pool.submit(model.rank, users[block], k, **options)))
                if len(begun) > 2 * threads:
                    done, ranking = begun.popleft()
                    yield done, ranking.result()
            for done, ranking in begun:
                yield done, ranking.result()


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of ``path`` when all went well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            if not _runs(left.name.split(".")[-2]):
                left.unlink(missing_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror}. What stood there before stays") from error


def _runs(process: str) -> bool:
    """Whether the process whose number stands in a partial file's name is there; it may be another one by now."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True  # no file of ours, or a process of somebody else
    return True


def _ids(pa: Any, ids: Sequence[Id], kind: Any) -> Any:
    return pa.array(map(str, ids) if pa.types.is_string(kind) else ids, type=kind)


def _table(pa: Any, schema: Any, users: Sequence[Id], items: Any, ranking: Ranking) -> Any:
    kept = ranking.items >= 0
    places, ranks = np.nonzero(kept)
    codes: Int32 = ranking.items[kept]
    columns = [
        _ids(pa, users, schema.field("user").type).take(pa.array(places)),
        items.take(pa.array(codes)),
        pa.array((ranks + 1).astype(np.int32)),
        pa.array(ranking.scores[kept]),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _write(pa: Any, writer: Any, held: list[Any]) -> int:
    """Write what is held as one row group, and let it go; how many rows it was."""
    if not held:
        return 0
    table = pa.concat_tables(held).combine_chunks()
    held.clear()
    writer.write_table(table, row_group_size=max(1, len(table)))
    return len(table)
