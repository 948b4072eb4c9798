"""Whom a visitor enrolled: a gallery of embeddings in a folder of its own, which goes with the visitor."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demos.faces.seen import Seen, counted
from demos.pages import refusal
from vision.faces.gallery import Gallery, open_gallery
from vision.faces.search import Match
from vision.types import Faces

MOST_PEOPLE = 20
MOST_PICTURES = 10
"""Pictures of one person."""
MOST_NAME = 60


@dataclass(eq=False)
class Known:
    """The persons that one visitor enrolled.

    Attributes:
        folder: where their gallery lies; goes with this, however that ends. It holds embeddings and names, no pictures.
        files: by person what the visitor calls the pictures that were taken, for the request elsewhere.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="triptych-faces-")))
    files: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Also where the server drops the session of a visitor, and where it stops.
        self._delete = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def gallery(self, faces: Faces | None = None) -> Gallery:
        """The gallery, begun for the model of these faces where there is none; close it."""
        place = self.folder / "gallery"
        if faces is None or faces.embeddings is None:
            return open_gallery(place)
        return open_gallery(place, embedder=faces.embedder, dimension=faces.embeddings.shape[1])

    def people(self) -> dict[str, int]:
        """How many pictures of each person are enrolled."""
        if not self.files:
            return {}
        with self.gallery() as known:
            return known.people()

    def enroll(self, person: str, seen: Sequence[Seen]) -> list[dict[str, Any]]:
        """Take the main face of each picture that shows one.

        Returns:
            A row a picture: ``input``, ``enrolled``, how many ``faces`` it shows and their main one's ``quality``; and
            the ``reason`` where it was not taken.
        """
        rows: list[dict[str, Any]] = []
        for one in seen:
            row: dict[str, Any] = {"input": one.given.name, "enrolled": False}
            rows.append(row)
            if one.faces is None or one.faces.main is None or one.faces.embeddings is None:
                row["reason"] = one.problem()
                continue
            at = one.faces.main
            row |= {"faces": len(one.faces), "quality": float(one.faces.quality[at])}
            with self.gallery(one.faces) as known:
                row["enrolled"] = bool(known.enroll([person], one.faces.embeddings[at : at + 1]))
            if row["enrolled"]:
                self.files.setdefault(person, []).append(one.given.name)
            else:
                row["reason"] = "it is there already"
        return rows

    def forget(self, people: Sequence[str]) -> int:
        """Remove persons from the gallery's files; how many faces that were.

        Raises:
            UnknownNameError: somebody is not enrolled; then nobody is removed.
        """
        with self.gallery() as known:
            faces = known.forget(people)
        for person in people:
            self.files.pop(person, None)
        return faces

    def identify(self, faces: Faces) -> list[Match | None]:
        """Whom each face is most like, however little; ``None`` where nobody is enrolled."""
        if not self.files or not len(faces) or faces.embeddings is None:
            return [None] * len(faces)
        with self.gallery(faces) as known:
            return [next(iter(found), None) for found in known.identify(faces.embeddings, k=1)]

    def clear(self) -> None:
        """Forget everybody, wiping the gallery's files, and delete them."""
        if self.files:
            self.forget(list(self.files))
        self._delete()


def forgotten(known: Known | None) -> None:
    """What becomes of the persons when a visitor has left, or was long idle."""
    if known is not None:
        known.clear()


def a_name(name: Any) -> str:
    """The name that a visitor gave a person, without spaces around it.

    Raises:
        gradio.Error: there is none, it is too long, or it holds what is no sign.
    """
    found = name.strip() if isinstance(name, str) else ""
    if not 0 < len(found) <= MOST_NAME or not found.isprintable():
        raise refusal(f"give the person a name of 1 to {MOST_NAME} signs in one line. Got {str(name)[:80]!r} instead")
    return found


def a_snapshot(known: Known | None) -> str:
    """What the next snapshot of the webcam is called, which comes without a name of its own.

    Example:
        >>> a_snapshot(None)
        'snapshot-1.png'
    """
    taken = [] if known is None else [name for names in known.files.values() for name in names if is_snapshot(name)]
    return f"snapshot-{1 + max((int(name[9:-4]) for name in taken), default=0)}.png"


def is_snapshot(name: str) -> bool:
    """Whether a picture is one of the webcam's, by its name."""
    return re.fullmatch(r"snapshot-\d+\.png", name) is not None


def check_room(people: Mapping[str, int], person: str, pictures: int) -> None:
    """Refuse what is more than is kept for one visitor.

    Raises:
        gradio.Error: there would be too many persons, or pictures of this one.
    """
    if person not in people and len(people) >= MOST_PEOPLE:
        raise refusal(f"at most {MOST_PEOPLE} people are kept here, and so many are. Forget somebody first")
    if people.get(person, 0) + pictures > MOST_PICTURES:
        there = f" {counted(people[person], 'picture')} of {person} are there already" if person in people else ""
        raise refusal(f"give at most {MOST_PICTURES} pictures of one person. Got {pictures}.{there}".rstrip("."))
