"""A persistent gallery of faces: who is who, by embeddings alone, kept in a folder of two files.

``index.sqlite`` says which person each slot belongs to, ``vectors.f32`` holds the embeddings; :mod:`shared.slots` says
what a kill, other processes and forgetting do to them. No picture, no path and no time is kept. Search is exact: every
enrolled embedding is compared. A gallery is bound to the model that it was made with; another is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.slots import INDEX, VECTORS, Kind, SlotStore, open_store
from shared.types import AnyArray, Float32
from shared.vectors import check_unit
from vision.faces.search import Match, State, best_matches

__all__ = ["INDEX", "VECTORS", "Gallery", "open_gallery"]

_FORMAT = "1"
_SAME_PHOTO = 0.99999
"""Cosine from which an embedding counts as one that its person has already."""
_KIND = Kind(
    name="gallery",
    table="faces",
    schema="""
CREATE TABLE IF NOT EXISTS faces (slot INTEGER PRIMARY KEY, person TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_person ON faces (person);
""",
    begin="enrol somebody first",
    rebound="Embeddings of two models cannot be compared: open it with its own model, or enrol everybody anew into "
    "another folder",
)


class Gallery:
    """Open with :func:`open_gallery`; close it, or use it as a context. One thread uses one gallery at a time."""

    def __init__(self, store: SlotStore) -> None:
        self.folder, self.embedder, self.dimension = store.folder, store.facts["embedder"], store.vectors.dimension
        self._store = store
        self._state = State((-1, -1), -1, np.empty(0, np.int64), [], {})

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give both files back."""
        self._store.close()

    def people(self) -> dict[str, int]:
        """How many photos of each person are enrolled, by id, in order of the ids."""
        rows = self._store.execute("SELECT person, count(*) FROM faces GROUP BY person ORDER BY person")
        return dict(rows)

    def __len__(self) -> int:
        count: int = self._store.execute("SELECT count(*) FROM faces")[0][0]
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
        vectors = check_unit(embeddings, dimension=self.dimension, owner="gallery")
        if len(people) != len(vectors) or not all(isinstance(person, str) and person for person in people):
            raise UsageError(
                f"people must name a person, by an id that is not empty, for each of {len(vectors)} faces. "
                f"Got {list(people)[:5]} instead"
            )
        with self._store.writing():
            new = self._new(people, vectors)
            slots = self._store.put(vectors[new])
            self._store.many("INSERT INTO faces VALUES (?, ?)", zip(slots, (people[at] for at in new)))
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
        with self._store.writing():
            slots: list[int] = []
            for person in wanted:
                found = self._store.execute("SELECT slot FROM faces WHERE person = ?", (person,))
                if not found:
                    raise UnknownNameError("enrolled person", person, self.people())
                slots += [slot for (slot,) in found]
            self._store.free(slots)
        if slots:
            self._store.erase()
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
        faces = check_unit(embeddings, dimension=self.dimension, owner="gallery")
        with self._reading() as state:
            known = self._store.vectors.read(state.codes.size)
            return list(best_matches(faces, known, state, k=k, threshold=threshold))

    def _new(self, people: Sequence[str], vectors: Float32) -> list[int]:
        """Places of the faces that their persons do not have yet, neither in the gallery nor earlier in the list."""
        fresh: list[int] = []
        own: dict[str, list[AnyArray]] = {}
        count = self._store.slots()
        known = self._store.vectors.read(count) if count else np.empty((0, self.dimension), np.float32)
        for at, person in enumerate(people):
            if person not in own:
                rows = self._store.execute("SELECT slot FROM faces WHERE person = ?", (person,))
                own[person] = [known[slot] for (slot,) in rows]
            if all(float(vectors[at] @ other) < _SAME_PHOTO for other in own[person]):
                fresh.append(at)
                own[person].append(vectors[at])
        return fresh

    @contextmanager
    def _reading(self) -> Iterator[State]:
        """One state for the whole block: no writer commits before it ends."""
        with self._store.transaction():
            version = self._store.version()
            if version != self._state.version:
                self._state = self._read_state(version)
            yield self._state

    def _read_state(self, version: tuple[int, int]) -> State:
        generation = self._store.generation()
        if generation == self._state.generation:
            people, places, known = self._state.people, self._state.places, self._state.codes.size
        else:
            people, places, known = [], {}, 0
        codes = np.full(self._store.slots(), -1, np.int64)
        codes[:known] = self._state.codes[:known]
        for slot, person in self._store.execute("SELECT slot, person FROM faces WHERE slot >= ?", (known,)):
            if person not in places:
                places[person] = len(people)
                people.append(person)
            codes[slot] = places[person]
        return State(version, generation, codes, people, places)


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
    if (embedder is None) != (dimension is None):
        raise UsageError(f"embedder and dimension must be given together. Got {embedder!r} and {dimension!r} instead")
    return Gallery(open_store(folder, _KIND, {"format": _FORMAT, "embedder": embedder, "dimension": dimension}))
