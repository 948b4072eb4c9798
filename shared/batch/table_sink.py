"""The rows of a job in a table of a database, each exactly once.

A shard is one transaction: its rows, and a row in the table of shards that says so. Whatever ends the job between that
commit and the marker in the job's folder, the next run asks the database which shards it has, and believes it: those
are not predicted again, and one that the database has lost (an older copy was put in its place) is.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from shared.batch.flat import NAMES, flat
from shared.batch.folder import JobFolder, Marker
from shared.batch.plan import Plan
from shared.batch.records import Record
from shared.batch.sinks import SQL, Sink, find_sink
from shared.databases import discreet, open_engine, place, without_secrets
from shared.errors import DataError, UsageError
from shared.lazy import require

NOTE = "table.json"
"""The file in a job's folder that says under which name its rows stand in the table."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,54}")


class TableSink:
    """A table that the shards of one job are committed to.

    Args:
        url: a SQLAlchemy URL. Its password is kept nowhere.
        table: the table's name, made where it is not there; beside it stands ``NAME_shards``.

    Raises:
        UsageError: the URL is none or of a database in memory, or the name is none.
        MissingDependencyError: SQLAlchemy or the database's driver is not installed.
    """

    def __init__(self, url: Any, table: str) -> None:
        if not _NAME.fullmatch(table):
            raise UsageError(f"table must be a name of letters, digits and _, at most 55. Got {table!r} instead")
        self._alchemy = require("sqlalchemy", extra="sql")
        self._engine, _ = open_engine(url)
        if self._engine.dialect.name == "sqlite" and self._engine.url.database in (None, "", ":memory:"):
            raise UsageError("sink_url must be a database that outlives the job. Got one in memory: sqlite:///FILE")
        self.facts = {"sink_url": without_secrets(self._engine.url), "table": table}
        self._table, self._where = table, place(self._engine.url)
        self._rows, self._shards = self._tables(table)
        self._job = ""

    def _tables(self, name: str) -> tuple[Any, Any]:
        sa = self._alchemy
        kinds = {"index": sa.BigInteger(), "ok": sa.Boolean(), "score": sa.Double(), "count": sa.Integer()}
        columns = [
            sa.Column(column, kinds.get(column, sa.Text()), primary_key=column == "index", autoincrement=False)
            for column in NAMES
        ]
        described = sa.MetaData()
        job, first = (
            sa.Column("job", sa.String(32), primary_key=True),
            sa.Column("job", sa.String(32), primary_key=True),
        )
        start = sa.Column("start", sa.BigInteger(), primary_key=True, autoincrement=False)
        counts = [sa.Column(column, sa.BigInteger(), nullable=False) for column in ("rows", "failed")]
        return sa.Table(name, described, job, *columns), sa.Table(f"{name}_shards", described, first, start, *counts)

    @property
    def sink(self) -> Sink:
        """Shards to receipts, on their way into the table."""
        receipt = find_sink(SQL)
        return Sink(receipt.suffix, self.put, receipt.decode)

    def begin(self, folder: JobFolder, plan: Plan, markers: dict[int, Marker], *, new: bool) -> None:
        """Make the tables, and bring the folder's markers in line with what the database has.

        Args:
            folder: the job's.
            plan: of the job.
            markers: those that the folder holds; changed in place.
            new: whether the job begins only now.

        Raises:
            DataError: the database refuses, its table has other columns, or the folder's note is gone.
        """
        if new:
            folder.write_note(NOTE, {"job": uuid.uuid4().hex})
        self._job = str(folder.read_note(NOTE)["job"])
        committed = self._committed()
        suffix = find_sink(SQL).suffix
        for shard in plan.shards():
            rows, failed = committed.get(shard.start, (0, 0))
            if rows and rows != len(shard):
                raise DataError(
                    f"{self._where} must have the {len(shard):,} rows of shard {shard.number}. It says {rows:,}: "
                    "choose another folder and table"
                )
            if rows and shard.number not in markers:
                markers[shard.number] = folder.adopt(shard, suffix, self._receipt(shard.start, rows), failed)
            elif not rows:
                markers.pop(shard.number, None)

    def _committed(self) -> dict[int, tuple[int, int]]:
        shards = self._shards.c
        asked = self._alchemy.select(shards.start, shards.rows, shards.failed).where(shards.job == self._job)
        try:
            self._rows.metadata.create_all(self._engine)
            inspector = self._alchemy.inspect(self._engine)
            for table in (self._rows, self._shards):
                has = {column["name"] for column in inspector.get_columns(table.name)}
                if missing := [column.name for column in table.columns if column.name not in has]:
                    raise DataError(
                        f"the table {table.name} must have the columns of a batch job. It lacks {', '.join(missing)}: "
                        "choose another name"
                    )
            with self._engine.connect() as connection:
                return {start: (rows, failed) for start, rows, failed in connection.execute(asked)}
        except self._alchemy.exc.SQLAlchemyError as error:
            raise self._refused(error) from None

    def put(self, records: Sequence[Record]) -> bytes:
        """Commit the rows of one shard and say so in a receipt.

        Raises:
            DataError: the database refuses; nothing of this shard is in it.
        """
        start, failed = records[0].index, sum(not record.ok for record in records)
        mark = {"job": self._job, "start": start, "rows": len(records), "failed": failed}
        try:
            with self._engine.begin() as connection:
                connection.execute(self._shards.insert(), mark)
                connection.execute(self._rows.insert(), [{"job": self._job} | _stored(item) for item in records])
        except self._alchemy.exc.SQLAlchemyError as error:
            raise self._refused(error) from None
        return self._receipt(start, len(records))

    def _receipt(self, start: int, rows: int) -> bytes:
        told = {"job": self._job, "database": self._where, "table": self._table, "start": start, "rows": rows}
        return (json.dumps(told) + "\n").encode()

    def _refused(self, error: Exception) -> DataError:
        words = discreet(str(error), self._engine.url)
        return DataError(
            f"{self._where} must take the rows of the job. It refuses: {words}. What was committed stays: mend this, "
            "then run the same command again to continue"
        )

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def _stored(item: Record) -> dict[str, Any]:
    r"""A record's columns; the character 0, which databases refuse in texts, becomes ``\x00``."""
    return {
        name: value.replace("\0", "\\x00") if isinstance(value, str) else value for name, value in flat(item).items()
    }
