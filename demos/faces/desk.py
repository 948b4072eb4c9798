"""What the tab that knows people answers: who was enrolled, who is in a picture, and who was forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos.faces.known import MOST_PEOPLE, MOST_PICTURES, Known, a_name, a_snapshot, check_room
from demos.faces.seen import counted, draw_faces, plain, screen_of, see, several, threshold_at
from demos.models import Models
from demos.pages import ask, plain_errors, refusal
from demos.pictures import Chosen, Screen, chosen, sent
from demos.tables import Cell, table
from shared.catalogue import ModelCard
from vision.faces.search import Match
from vision.faces.verify import DEFAULT_FAR
from vision.types import Faces

INVITATION = "Enrol somebody, then choose a picture and see who is in it."


@dataclass(frozen=True)
class Asked:
    """The picture whose faces were identified, kept so that another rate or another person asks no model again.

    Attributes:
        screen: as it is drawn on.
        faces: with their embeddings.
        milliseconds: what they took.
    """

    screen: Screen
    faces: Faces
    milliseconds: float


@dataclass(frozen=True)
class Desk:
    """What answers on the tab.

    Attributes:
        models: of the pages.
    """

    models: Models

    def enroll(
        self,
        name: str,
        files: list[dict[str, Any]] | None,
        snapshot: dict[str, Any] | None,
        known: Known | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """Keep the main face of each picture under a name, for this session alone; which pictures were taken and why.

        A picture without a face, or one that cannot be read, is left out and named; where none is left, nobody is
        enrolled.
        """
        person = a_name(name)
        given = several(files, MOST_PICTURES, "pictures of one person")
        if (taken := chosen(snapshot)) is not None:
            given.append(Chosen(taken.path, a_snapshot(known)))
        if not given:
            raise refusal("give a picture of this person, from a file or by the webcam")
        check_room({} if known is None else known.people(), person, len(given))
        seen, milliseconds = see(self.models, given, progress)
        if not any(one.faces for one in seen):
            why = ". ".join(f"{one.given.name}: {one.problem()}" for one in seen[:3])
            raise refusal(f"nobody was enrolled. {why}")
        kept = known or Known()
        with plain_errors():
            rows = kept.enroll(person, seen)
            people = kept.people()
        new = sum(row["enrolled"] for row in rows)
        line = (
            f"**{plain(person)}** is known by {counted(people[person], 'picture')}, {new} new · {milliseconds:.0f} ms"
        )
        told = {"person": person, "pictures": rows, "people": people}
        return told, line, _taken(rows), people_html(people), gr.Dropdown(list(people), value=None), kept

    def _forget(self, known: Known | None, people: Sequence[str]) -> tuple[Any, ...]:
        if known is None:
            raise refusal("nobody is enrolled here, so that nobody can be forgotten")
        with plain_errors():
            faces = known.forget(people)
            left = known.people()
        if not left:
            known.clear()
        line = f"**Forgotten**: {', '.join(map(plain, people))}, {counted(faces, 'picture')}"
        told = {"people": list(people), "faces": faces, "left": left}
        return told, line, "", people_html(left), gr.Dropdown(list(left), value=None), known if left else None

    def forget_some(self, people: list[str] | None, known: Known | None) -> tuple[Any, ...]:
        """Remove persons with all their faces from this session; no file holds their names or embeddings afterwards."""
        wanted = [person for person in people or [] if isinstance(person, str)]
        if not wanted:
            raise refusal("choose whom to forget")
        return self._forget(known, list(dict.fromkeys(wanted)))

    def forget_all(self, known: Known | None) -> tuple[Any, ...]:
        """Remove everybody from this session."""
        return self._forget(known, [] if known is None else list(known.files))

    def identify(
        self, picture: dict[str, Any] | None, far: float = DEFAULT_FAR, known: Known | None = None
    ) -> tuple[Any, ...]:
        """Who of those enrolled in this session each face of a picture is, with the similarity; or nobody known."""
        threshold_at(self.models.faces.card, far)
        given = chosen(picture)
        if given is None:
            return None, INVITATION, None, "", "", None
        faces, milliseconds = ask(self.models.faces, given.path, plain=given.plain)
        asked = Asked(screen_of(given), faces, milliseconds)
        return *_told(self.models.faces.card, asked, far, known), "", asked

    def again(self, asked: Asked | None, far: float, known: Known | None) -> Any:
        """The same picture at another rate."""
        return [gr.skip()] * 5 if asked is None else (*_told(self.models.faces.card, asked, far, known), "")

    def redrawn(self, asked: Asked | None, far: float, known: Known | None) -> Any:
        """Drawing and table of the same picture, now that others are enrolled."""
        return self.again(asked, far, known)[2:4]


def people_html(people: Mapping[str, int]) -> str:
    """Who is enrolled, as a table; a sentence where nobody is."""
    rows = [[Cell(person), Cell(str(count), tag="number")] for person, count in people.items()]
    if not rows:
        rows = [[Cell("Nobody yet"), Cell("0", tag="number")]]
    return table(f"Enrolled, {len(people)} of at most {MOST_PEOPLE}", ["Name", "Pictures"], rows)


def _told(card: ModelCard, asked: Asked, far: float, known: Known | None) -> tuple[Any, ...]:
    """JSON, line, drawing and table of who is in a picture, at a rate."""
    threshold = threshold_at(card, far)
    faces = asked.faces
    with plain_errors():
        best = [None] * len(faces) if known is None else known.identify(faces)
    names = [one.person if one is not None and one.similarity >= threshold else "" for one in best]
    labels = [
        f"{at + 1} {who} {one.similarity:.2f}" if who and one else f"{at + 1} unknown"
        for at, (who, one) in enumerate(zip(names, best))
    ]
    rows = [
        {"xyxy": box, "score": score, "quality": quality, "matches": _matches(one, who)}
        for box, score, quality, one, who in zip(
            faces.xyxy.tolist(), faces.scores.tolist(), faces.quality.tolist(), best, names
        )
    ]
    drawn = sent(draw_faces(asked.screen.image(), faces, labels))
    line = f"{_who(names, known)} · {asked.milliseconds:.0f} ms"
    return {"threshold": threshold, "far": far, "faces": rows}, line, drawn, _faces(best, names, threshold)


def _matches(best: Match | None, name: str) -> list[dict[str, Any]]:
    return [{"person": name, "similarity": best.similarity}] if name and best is not None else []


def _who(names: Sequence[str], known: Known | None) -> str:
    if not names:
        return "**No face found**"
    if known is None:
        return f"**{counted(len(names), 'face')}, and nobody is enrolled yet**"
    people, strangers = list(dict.fromkeys(filter(None, names))), names.count("")
    parts = [f"**{plain(person)}**" for person in people] + ([f"{strangers} unknown"] if strangers else [])
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _faces(best: Sequence[Match | None], names: Sequence[str], threshold: float) -> str:
    rows: list[list[Cell | str]] = []
    for at, (one, name) in enumerate(zip(best, names)):
        nearest = f"nearest is {one.person}" if one is not None and not name else ""
        alike = "" if one is None else f"{one.similarity:.2f}"
        rows.append([str(at + 1), Cell(name or "unknown", soft=nearest), Cell(alike, tag="number")])
    return table(f"Faces; {threshold:.2f} or more counts", ["Face", "Who", "Alike by"], rows) if rows else ""


def _taken(rows: Sequence[Mapping[str, Any]]) -> str:
    told: list[list[Cell | str]] = []
    for row in rows:
        many = row.get("faces", 0) > 1
        what = f"taken, the main one of {row['faces']} faces" if many else "taken"
        told.append([row["input"], Cell(what if row["enrolled"] else f"left out: {row['reason']}")])
    return table("Pictures given", ["Picture", "What became of it"], told)
