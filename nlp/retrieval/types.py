"""What search in documents answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import UsageError
from shared.types import Result


@dataclass(frozen=True, eq=False)
class Passage(Result):
    """A stretch of a document.

    Attributes:
        path: the document's file.
        page: its page in the document, from 1; ``None`` where the document has no pages.
        heading: the headings above it, outermost first, joined by " > "; empty without one.
        text: the stretch.
        start: its first character in the page's text, or in the document's where it has no pages; see
            :func:`nlp.retrieval.documents.read_document`.
        end: one past its last character there.
        score: how well it fits the question; what it means depends on who gave it. Higher is better.

    Example:
        >>> Passage("notes.md", None, "Alps > Eiger", "Eiger: 3,967 m", 120, 134, 0.5).where
        'notes.md, Alps > Eiger, characters 120 to 134'
    """

    path: str
    page: int | None
    heading: str
    text: str
    start: int
    end: int
    score: float = 0.0

    @property
    def where(self) -> str:
        """Its place, for people."""
        page = "" if self.page is None else f", page {self.page}"
        heading = f", {self.heading}" if self.heading else ""
        return f"{self.path}{page}{heading}, characters {self.start} to {self.end}"

    def check(self, axes: Mapping[str, int]) -> None:
        if self.start < 0 or self.end - self.start != len(self.text):
            raise UsageError(
                f"Passage.start and end must bound its text of {len(self.text)} characters. "
                f"Got {self.start} and {self.end} instead"
            )


@dataclass(frozen=True, eq=False)
class CitedAnswer(Result):
    """An answer, and the passage that it stands in.

    Attributes:
        text: the answer, word for word as it stands in the document.
        start: its first character, counted as the passage's.
        end: one past its last character.
        score: how likely it is the answer, in [0, 1].
        passage: what it stands in; its score is the re-ranker's.
    """

    text: str
    start: int
    end: int
    score: float
    passage: Passage

    def check(self, axes: Mapping[str, int]) -> None:
        held = self.passage.text[self.start - self.passage.start : self.end - self.passage.start]
        if self.start < self.passage.start or held != self.text:
            raise UsageError(
                f"CitedAnswer.text must stand in its passage at start and end. Got {self.text!r:.60} at {self.start}"
            )


@dataclass(frozen=True, eq=False)
class CitedAnswers(Result):
    """What documents answer to a question.

    Attributes:
        question: as it was asked.
        answers: best first; none where nothing in the documents supports an answer.
        way: how they came about: ``"reader"`` (the stretch that a reader model chose) or ``"sentences"`` (the sentence
            that the re-ranker found to fit best).
        passages: what was looked at, best first, answers or not.
    """

    question: str
    answers: tuple[CitedAnswer, ...]
    way: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, eq=False)
class Citation(Result):
    """A claim of a written answer and the passage that it names.

    Attributes:
        number: the passage's number in the answer, from 1.
        claim: the sentence of the answer that cites it.
        support: share of the claim's own words that stand in the passage, in [0, 1].
        quoted: whether everything that the claim puts between quotation marks stands in the passage word for word.
        supported: whether the passage bears the claim out, as far as words can tell.
        passage: the passage.
    """

    number: int
    claim: str
    support: float
    quoted: bool
    supported: bool
    passage: Passage


@dataclass(frozen=True, eq=False)
class WrittenAnswer(Result):
    """An answer that a language model wrote over passages.

    Attributes:
        question: as it was asked.
        text: the answer; "I don't know." where nothing supports one.
        known: whether an answer was given whose every citation is supported by its passage.
        citations: each claim with each passage that it cites.
        passages: what the model was shown, in the order of their numbers.
        draft: what the model wrote, where the answer is not that.
    """

    question: str
    text: str
    known: bool
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    draft: str = ""
