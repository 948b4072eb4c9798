"""A persistent gallery of faces: who is who, by embeddings alone, kept in a folder of two files.

``index.sqlite`` says which person each slot belongs to, ``vectors.f32`` holds the embeddings. No picture, no path and
no time is kept. Search is exact: every enrolled embedding is compared.

- *Written as it goes.* :meth:`Gallery.enroll` returns when vectors and index are on the disk.
- *A kill at any moment* leaves what was committed. Vectors are written before the index names them; what a kill left
  half done is wiped by the next process that writes.
- *Several processes at once.* Writers take turns under SQLite's lock; a reader sees one state for a whole search.
- *Forgetting removes.* The index is rewritten without the forgotten rows (``secure_delete`` and ``VACUUM``), and their
  vectors are overwritten with zeros in place. Until both are done the work is on record, and is taken up again after a
  kill. What a file system, a disk or a backup keeps of old blocks is beyond this program.
- *One embedder.* A gallery is bound to the model that it was made with; another is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import AnyArray, Float32
from vision.faces.search import Match, State, best_matches
from vision.faces.vectors import VectorFile

INDEX, VECTORS = "index.sqlite", "vectors.f32"
_FORMAT = "1"
_WAIT = 60.0
"""Seconds that one process waits for another's lock."""
_SAME_PHOTO = 0.99999
"""Cosine from which an embedding counts as one that its person has already."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faces (slot INTEGER PRIMARY KEY, person TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_person ON faces (person);
CREATE TABLE IF NOT EXISTS spare (slot INTEGER PRIMARY KEY, wiped INTEGER NOT NULL);
"""
_NEXT_GENERATION = "UPDATE facts SET value = value + 1 WHERE name = 'generation'"


class Gallery:
    """Open with :func:`open_gallery`; close it, or use it as a context. One thread uses one gallery at a time."""

    def __init__(self, folder: Path, index: sqlite3.Connection, vectors: VectorFile, embedder: str) -> None:
        self.folder, self.embedder, self.dimension = folder, embedder, vectors.dimension
        self._index, self._vectors = index, vectors
        self._state = State((-1, -1), -1, np.empty(0, np.int64), [], {})

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give both files back."""
        self._vectors.close()
        self._index.close()

    def people(self) -> dict[str, int]:
        """How many photos of each person are enrolled, by id, in order of the ids."""
        rows = self._index.execute("SELECT person, count(*) FROM faces GROUP BY person ORDER BY person")
        return dict(rows.fetchall())

    def __len__(self) -> int:
        count: int = self._index.execute("SELECT count(*) FROM faces").fetchone()[0]
        return count

    def enroll(self, people: Sequence[str], embeddings: AnyArray) -> int:
        """Add faces, all or none of them.

        A face that its person has already (the same photo again) is not added twice, so that work that was cut short
        may simply be done again.

        Args:
            people: the id of each face's person, length n; a person may have many. Ids are free text; they are kept
                as they are, so take ones that say nothing.
            embeddings: shape (n, dimension), float32, unit length.

        Returns:
            How many were added.

        Raises:
            UsageError: the embeddings have another shape, are not of unit length, or an id is empty.
        """
        vectors = self._checked(embeddings)
        if len(people) != len(vectors) or not all(isinstance(person, str) and person for person in people):
            raise UsageError(
                f"people must name a person, by an id that is not empty, for each of {len(vectors)} faces. "
                f"Got {list(people)[:5]} instead"
            )
        with self._writing():
            new = self._new(people, vectors)
            slots = self._take(len(new))
            self._vectors.write(slots, vectors[new])
            self._index.executemany("INSERT INTO faces VALUES (?, ?)", zip(slots, (people[at] for at in new)))
        return len(new)

    def forget(self, people: Sequence[str]) -> int:
        """Remove persons with all their faces; when this returns, no file of the gallery holds a trace of them.

        Args:
            people: their ids. Many at once cost little more than one.

        Returns:
            How many faces were removed.

        Raises:
            UnknownNameError: somebody is not enrolled; then nobody is removed.
        """
        wanted = list(dict.fromkeys(people))
        with self._writing():
            slots: list[int] = []
            for person in wanted:
                found = self._index.execute("SELECT slot FROM faces WHERE person = ?", (person,)).fetchall()
                if not found:
                    raise UnknownNameError("enrolled person", person, self.people())
                slots += [slot for (slot,) in found]
            self._index.executemany("DELETE FROM faces WHERE slot = ?", ((slot,) for slot in slots))
            self._index.executemany("INSERT INTO spare VALUES (?, 0)", ((slot,) for slot in slots))
            self._index.execute(_NEXT_GENERATION)
        if slots:
            self._erase()
        return len(slots)

    def identify(self, embeddings: AnyArray, *, k: int = 5, threshold: float = -1.0) -> list[list[Match]]:
        """Whom faces are most like.

        Args:
            embeddings: shape (n, dimension), float32, unit length.
            k: persons for each face at most, at least 1.
            threshold: cosine from which somebody counts, in [-1, 1].

        Returns:
            For each face the persons, best first; none where nobody reaches the threshold.

        Raises:
            UsageError: an argument is out of its range, or the embeddings have another shape.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1. Got {k} instead")
        if not -1 <= threshold <= 1:
            raise UsageError(f"threshold must lie in [-1, 1]. Got {threshold} instead")
        faces = self._checked(embeddings)
        with self._reading() as state:
            known = self._vectors.read(state.codes.size)
            return list(best_matches(faces, known, state, k=k, threshold=threshold))

    def _checked(self, embeddings: AnyArray) -> Float32:
        faces = np.asarray(embeddings, np.float32)
        if faces.ndim != 2 or faces.shape[1] != self.dimension:
            raise UsageError(
                f"embeddings of this gallery must have shape (n, {self.dimension}). Got {faces.shape} instead"
            )
        lengths = np.linalg.norm(faces, axis=1)
        if not np.allclose(lengths, 1, atol=1e-3):
            raise UsageError(f"embeddings must be of unit length. Got lengths {lengths[:5].tolist()} instead")
        return faces

    def _new(self, people: Sequence[str], vectors: Float32) -> list[int]:
        """Places of the faces that their persons do not have yet, neither in the gallery nor earlier in the list."""
        fresh: list[int] = []
        own: dict[str, list[AnyArray]] = {}
        count = self._slots()
        known = self._vectors.read(count) if count else np.empty((0, self.dimension), np.float32)
        for at, person in enumerate(people):
            if person not in own:
                rows = self._index.execute("SELECT slot FROM faces WHERE person = ?", (person,)).fetchall()
                own[person] = [known[slot] for (slot,) in rows]
            if all(float(vectors[at] @ other) < _SAME_PHOTO for other in own[person]):
                fresh.append(at)
                own[person].append(vectors[at])
        return fresh

    def _slots(self) -> int:
        """How many slots the index knows of, in use or spare."""
        found = self._index.execute(
            "SELECT max(coalesce((SELECT max(slot) FROM faces), -1), coalesce((SELECT max(slot) FROM spare), -1)) + 1"
        )
        return int(found.fetchone()[0])

    def _take(self, count: int) -> list[int]:
        """Slots to write to: wiped ones first, then new ones at the end."""
        rows = self._index.execute("SELECT slot FROM spare WHERE wiped ORDER BY slot LIMIT ?", (count,)).fetchall()
        again = [slot for (slot,) in rows]
        end = self._slots()
        if again:
            self._index.executemany("DELETE FROM spare WHERE slot = ?", ((slot,) for slot in again))
            self._index.execute(_NEXT_GENERATION)
        return [*again, *range(end, end + count - len(again))]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, alone among all processes; what an earlier one left undone is done first."""
        if self._unfinished():
            self._erase()
        with self._transaction("IMMEDIATE"):
            yield

    def _unfinished(self) -> bool:
        found: int = self._index.execute("SELECT count(*) FROM spare WHERE NOT wiped").fetchone()[0]
        return bool(found)

    def _erase(self) -> None:
        """Wipe what is on record as forgotten: the vectors in place, and the index by writing it anew."""
        with self._transaction("IMMEDIATE"):
            slots = [s for (s,) in self._index.execute("SELECT slot FROM spare WHERE NOT wiped")]
            self._vectors.wipe(slots)
        with _sqlite(self.folder):
            self._index.execute("VACUUM")
            # Only now, for a kill before leaves the work on record.
        with self._transaction("IMMEDIATE"):
            self._index.executemany("UPDATE spare SET wiped = 1 WHERE slot = ?", ((slot,) for slot in slots))

    def mend(self) -> None:
        """Do what a killed process left undone, and wipe vectors that it wrote and never named."""
        if self._unfinished():
            self._erase()
        with self._transaction("IMMEDIATE"):
            spare = [slot for (slot,) in self._index.execute("SELECT slot FROM spare")]
            self._vectors.wipe(self._vectors.dirty(spare))
            if (self.folder / f"{INDEX}-journal").exists():
                self._index.execute(_NEXT_GENERATION)  # SQLite leaves some of a kill's journals until the next write
            self._vectors.wipe_from(self._slots())

    @contextmanager
    def _reading(self) -> Iterator[State]:
        """One state for the whole block: no writer commits before it ends."""
        with self._transaction("DEFERRED"):
            version = (self._index.execute("PRAGMA data_version").fetchone()[0], self._index.total_changes)
            if version != self._state.version:
                self._state = self._read_state(version)
            yield self._state

    def _read_state(self, version: tuple[int, int]) -> State:
        generation = self._generation()
        if generation == self._state.generation:
            people, places, known = self._state.people, self._state.places, self._state.codes.size
        else:
            people, places, known = [], {}, 0
        codes = np.full(self._slots(), -1, np.int64)
        codes[:known] = self._state.codes[:known]
        for slot, person in self._index.execute("SELECT slot, person FROM faces WHERE slot >= ?", (known,)):
            if person not in places:
                places[person] = len(people)
                people.append(person)
            codes[slot] = places[person]
        return State(version, generation, codes, people, places)

    def _generation(self) -> int:
        return int(self._index.execute("SELECT value FROM facts WHERE name = 'generation'").fetchone()[0])

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        with _sqlite(self.folder):
            self._index.execute(f"BEGIN {kind}")
            try:
                yield
            except BaseException:
                self._index.execute("ROLLBACK")
                raise
            self._index.execute("COMMIT")


def open_gallery(folder: str | Path, *, embedder: str | None = None, dimension: int | None = None) -> Gallery:
    """Open a gallery, or begin one.

    Args:
        folder: where it lies; made when missing, readable by its owner alone.
        embedder: what identifies the model that makes the embeddings; see
            :attr:`vision.faces.task.FaceRecognizer.embedder`. ``None`` opens a gallery that is there, whatever its
            model, to list or forget persons.
        dimension: numbers in an embedding; given with ``embedder``.

    Raises:
        DataError: the folder holds something else, a gallery of another embedder, or none where one must be.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise DataError(f"a gallery must be a folder. {place} is a file")
    there = (place / INDEX).exists()
    if not there and (embedder is None or dimension is None):
        raise DataError(f"{place} must be a gallery. It has no {INDEX}: enrol somebody first")
    if not there and place.is_dir() and any(place.iterdir()):
        raise DataError(f"a gallery must be a folder of its own. {place} holds other things: name a new folder")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        index = _opened(place, {"format": _FORMAT, "embedder": embedder, "dimension": dimension})
        own: dict[str, str] = dict(index.execute("SELECT name, value FROM facts"))
        vectors = VectorFile(place / VECTORS, int(own["dimension"]))
    except OSError as error:
        raise DataError(f"the gallery {place} must be a folder that this process may write to. {error}") from error
    gallery = Gallery(place, index, vectors, own["embedder"])
    gallery.mend()
    return gallery


def _opened(place: Path, wanted: Mapping[str, object]) -> sqlite3.Connection:
    """The index, made when missing; refused where it was made for something else."""
    with _sqlite(place):
        index = sqlite3.connect(place / INDEX, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        try:
            index.executescript(
                "PRAGMA secure_delete = ON; PRAGMA journal_mode = DELETE; PRAGMA temp_store = MEMORY;"
                "PRAGMA synchronous = FULL; BEGIN IMMEDIATE;" + _SCHEMA
            )
            known: dict[str, str] = dict(index.execute("SELECT name, value FROM facts"))
            for name, value in wanted.items():
                if value is not None and known.setdefault(name, str(value)) != str(value):
                    raise DataError(
                        f"the gallery {place} was made with {name} {known[name]}, and this is {name} {value}. "
                        "Embeddings of two models cannot be compared: open it with its own model, or enrol everybody "
                        "anew into another folder"
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
def _sqlite(place: Path) -> Iterator[None]:
    """SQLite's faults as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DataError(
            f"the gallery {place} cannot be used: {error}. Is it writable, and no process stuck?"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"{place / INDEX} must be the index of a gallery. {error}") from error
