"""A store in a folder of two files: ``index.sqlite`` says what stands in each slot, ``vectors.f32`` holds its vector.

- *Written as it goes.* A write returns when vectors and index are on the disk.
- *A kill at any moment* leaves what was committed. Vectors are written before the index names them; what a kill left
  half done is wiped by the next process that opens the store.
- *Several processes at once.* Writers take turns under SQLite's lock; a reader sees one state for a whole search.
- *Removing removes.* Vectors that are no longer named are overwritten with zeros in place, and the index is rewritten
  without their rows (``secure_delete`` and ``VACUUM``). Until that is done the work is on record, and is taken up again
  after a kill. What a file system, a disk or a backup keeps of old blocks is beyond this program.
- *Bound to what made it.* A store remembers facts, such as its encoder; another is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.types import AnyArray
from shared.vectors import VectorFile

INDEX, VECTORS = "index.sqlite", "vectors.f32"
_WAIT = 60.0
"""Seconds that one process waits for another's lock."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spare (slot INTEGER PRIMARY KEY, wiped INTEGER NOT NULL);
"""
_NEXT_GENERATION = "UPDATE facts SET value = value + 1 WHERE name = 'generation'"


@dataclass(frozen=True)
class Kind:
    """What a store is of.

    Attributes:
        name: in the singular, for messages (``"gallery"``).
        table: the table of what the slots hold; its primary key is ``slot INTEGER``.
        schema: SQL that makes that table, and others beside it, where they are missing.
        begin: what to do where no store is yet, for messages.
        rebound: what to do where the store was made with other facts, for messages.
        tidy: SQL that is run before the index is rewritten, or empty.
    """

    name: str
    table: str
    schema: str
    begin: str
    rebound: str
    tidy: str = ""


class SlotStore:
    """Open with :func:`open_store`, and close it. One thread uses one store at a time.

    Attributes:
        folder: where it lies.
        facts: what it was made with, by name.
        vectors: the vectors of the slots.
    """

    def __init__(
        self, folder: Path, kind: Kind, index: sqlite3.Connection, vectors: VectorFile, facts: Mapping[str, str]
    ) -> None:
        self.folder, self.facts, self.vectors = folder, facts, vectors
        self._kind, self._index = kind, index

    def close(self) -> None:
        """Give both files back."""
        self.vectors.close()
        self._index.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement; its rows."""
        return self._index.execute(sql, values).fetchall()

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        self._index.executemany(sql, rows)

    def slots(self) -> int:
        """How many slots the index knows of, in use or spare."""
        used, spare = (
            self.execute(f"SELECT max(slot) FROM {name}")[0][0]  # noqa: S608 - names of our own tables
            for name in (self._kind.table, "spare")
        )
        return max(-1 if last is None else int(last) for last in (used, spare)) + 1

    def put(self, vectors: AnyArray) -> list[int]:
        """Write vectors into free slots: wiped ones first, then new ones at the end. Call it while :meth:`writing`.

        Args:
            vectors: shape (n, dimension).

        Returns:
            The slot of each, for the caller to name in the index before the block ends.
        """
        wanted = len(vectors)
        again = [s for (s,) in self.execute("SELECT slot FROM spare WHERE wiped ORDER BY slot LIMIT ?", (wanted,))]
        end = self.slots()
        if again:
            self.many("DELETE FROM spare WHERE slot = ?", ((slot,) for slot in again))
            self._index.execute(_NEXT_GENERATION)
        slots = [*again, *range(end, end + wanted - len(again))]
        self.vectors.write(slots, vectors)
        return slots

    def free(self, slots: Sequence[int]) -> None:
        """Take slots out of use; call it while :meth:`writing`, and :meth:`erase` afterwards."""
        self.many(f"DELETE FROM {self._kind.table} WHERE slot = ?", ((slot,) for slot in slots))  # noqa: S608
        self.many("INSERT INTO spare VALUES (?, 0)", ((slot,) for slot in slots))
        self._index.execute(_NEXT_GENERATION)

    def erase(self, *, rewrite: bool = True) -> None:
        """Wipe what was taken out of use: the vectors in place and, with ``rewrite``, the index by writing it anew."""
        with self.transaction("IMMEDIATE"):
            slots = [slot for (slot,) in self.execute("SELECT slot FROM spare WHERE NOT wiped")]
            self.vectors.wipe(slots)
            if rewrite and self._kind.tidy:
                self._index.execute(self._kind.tidy)
        if rewrite:
            with _faults(self.folder, self._kind.name):
                self._index.execute("VACUUM")
        # Only now, for a kill before leaves the work on record.
        with self.transaction("IMMEDIATE"):
            self.many("UPDATE spare SET wiped = 1 WHERE slot = ?", ((slot,) for slot in slots))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, alone among all processes; what an earlier one left undone is done first."""
        if self._unfinished():
            self.erase()
        with self.transaction("IMMEDIATE"):
            yield

    @contextmanager
    def transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        """One state for the whole block: no other process commits before it ends."""
        with _faults(self.folder, self._kind.name):
            self._index.execute(f"BEGIN {kind}")
            try:
                yield
            except BaseException:
                self._index.execute("ROLLBACK")
                raise
            self._index.execute("COMMIT")

    def version(self) -> tuple[int, int]:
        """What SQLite and this process count of changes; while it stays, nothing has changed."""
        return (self.execute("PRAGMA data_version")[0][0], self._index.total_changes)

    def generation(self) -> int:
        """How often slots were freed or used again; while it stays, slots are only added at the end."""
        return int(self.execute("SELECT value FROM facts WHERE name = 'generation'")[0][0])

    def mend(self) -> None:
        """Do what a killed process left undone, and wipe vectors that it wrote and never named."""
        if self._unfinished():
            self.erase()
        with self.transaction("IMMEDIATE"):
            self.vectors.wipe(self.vectors.dirty([slot for (slot,) in self.execute("SELECT slot FROM spare")]))
            if (self.folder / f"{INDEX}-journal").exists():
                self._index.execute(_NEXT_GENERATION)  # SQLite leaves some of a kill's journals until the next write
            self.vectors.wipe_from(self.slots())

    def _unfinished(self) -> bool:
        return bool(self.execute("SELECT count(*) FROM spare WHERE NOT wiped")[0][0])


def open_store(folder: str | Path, kind: Kind, facts: Mapping[str, object]) -> SlotStore:
    """Open a store, or begin one.

    Args:
        folder: where it lies; made when missing, readable by its owner alone.
        kind: what it is of.
        facts: what it is made with; ``dimension`` among them. With a ``None`` only a store that is there is opened,
            whatever it was made with.

    Raises:
        DataError: the folder holds something else, a store that was made with other facts, or none where one must be.
    """
    place, name = Path(folder), kind.name
    article = "an" if name[0] in "aeiou" else "a"
    if place.exists() and not place.is_dir():
        raise DataError(f"{article} {name} must be a folder. {place} is a file")
    there = (place / INDEX).exists()
    if not there and None in facts.values():
        raise DataError(f"{place} must be {article} {name}. It has no {INDEX}: {kind.begin}")
    if not there and place.is_dir() and any(place.iterdir()):
        raise DataError(f"{article} {name} must be a folder of its own. {place} holds other things: name a new folder")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        index = _opened(place, kind, facts)
        own: dict[str, str] = dict(index.execute("SELECT name, value FROM facts"))
        vectors = VectorFile(place / VECTORS, int(own["dimension"]))
    except OSError as error:
        raise DataError(f"the {name} {place} must be a folder that this process may write to. {error}") from error
    store = SlotStore(place, kind, index, vectors, own)
    store.mend()
    return store


def _opened(place: Path, kind: Kind, facts: Mapping[str, object]) -> sqlite3.Connection:
    """The index, made when missing; refused where it was made for something else."""
    with _faults(place, kind.name):
        index = sqlite3.connect(place / INDEX, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        try:
            index.executescript(
                "PRAGMA secure_delete = ON; PRAGMA journal_mode = DELETE; PRAGMA temp_store = MEMORY;"
                "PRAGMA synchronous = FULL; BEGIN IMMEDIATE;" + _SCHEMA + kind.schema
            )
            known: dict[str, str] = dict(index.execute("SELECT name, value FROM facts"))
            for name, value in facts.items():
                if value is not None and known.setdefault(name, str(value)) != str(value):
                    raise DataError(
                        f"the {kind.name} {place} was made with {name} {known[name]}, and this is {name} {value}. "
                        + kind.rebound
                    )
            known.setdefault("generation", "0")
            index.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", known.items())
            index.execute("COMMIT")
            (place / INDEX).chmod(0o600)
        except BaseException:
            index.close()
            raise
    return index


@contextmanager
def _faults(place: Path, name: str) -> Iterator[None]:
    """SQLite's faults as ours."""
    article = "an" if name[0] in "aeiou" else "a"
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DataError(f"the {name} {place} cannot be used: {error}. Is it writable, and no process stuck?") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"{place / INDEX} must be the index of {article} {name}. {error}") from error
