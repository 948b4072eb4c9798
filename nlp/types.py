"""What the language tasks answer. An embedding is a plain (384,) float32 array of length 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shared.errors import UsageError
from shared.types import Float32, Int64, Result, array_field


@dataclass(frozen=True, eq=False)
class TextLabels(Result):
    """What a text is about: every label of the model, or its best ones where it has very many, best first.

    Attributes:
        labels: names of the labels, length n, all different.
        scores: shape (n,), float32, probabilities in [0, 1] that never rise.
        multi_label: whether each label is judged by itself, so that several or none may hold; else one label holds, and
            the scores of all labels add up to 1.
        thresholds: shape (n,), float32, in [0, 1]: the least score from which each label holds where several may;
            ``None`` for 0.5 each.

    Example:
        >>> mood = TextLabels(("positive", "negative"), np.float32([0.75, 0.25]))
        >>> Result.from_json(mood.to_json()) == mood
        True
    """

    labels: tuple[str, ...]
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    multi_label: bool = False
    thresholds: Float32 | None = array_field("float32", ("n",), 0.0, 1.0, optional=True)

    @property
    def held(self) -> tuple[str, ...]:
        """The label that holds; where several may, those whose score reaches their threshold, best first.

        Example:
            >>> TextLabels(("a", "b"), np.float32([0.4, 0.3]), True, np.float32([0.35, 0.5])).held
            ('a',)
        """
        if not self.multi_label:
            return self.labels[:1]
        least = np.full(len(self.labels), 0.5) if self.thresholds is None else self.thresholds
        return tuple(label for label, reached in zip(self.labels, (self.scores >= least).tolist()) if reached)

    def check(self, axes: Mapping[str, int]) -> None:
        if len(set(self.labels)) != axes["n"]:
            raise UsageError(
                f"TextLabels must have one label of its own for each score. "
                f"Got labels {self.labels[:10]} and {axes['n']} scores instead"
            )
        if (np.diff(self.scores) > 0).any():
            raise UsageError(f"TextLabels.scores must never rise. Got {self.scores.tolist()[:10]} instead")


@dataclass(frozen=True, eq=False)
class Attribution(Result):
    """What each stretch of a text adds to a label.

    Attributes:
        label: the label that is explained.
        score: its probability for the whole text, in [0, 1].
        words: the stretches, each ``text[start:end]`` of what was given, length n, in the order of the text.
        spans: first character and one past the last of each, indices into the text as it was given, shape (n, 2),
            int64.
        weights: shape (n,), float32: how far the label's log-odds fall when the stretch alone is left out, so that what
            speaks for the label is above 0.
    """

    label: str
    score: float
    words: tuple[str, ...]
    spans: Int64 = array_field("int64", ("n", 2), 0)
    weights: Float32 = array_field("float32", ("n",))

    def check(self, axes: Mapping[str, int]) -> None:
        if len(self.words) != axes["n"] or (self.spans[:, 0] >= self.spans[:, 1]).any():
            raise UsageError(
                f"Attribution must have a word for each span, and spans that hold something. "
                f"Got {len(self.words)} words and spans {self.spans.tolist()[:10]} instead"
            )


@dataclass(frozen=True, eq=False)
class Answer(Result):
    """One stretch of a context that answers a question.

    Attributes:
        text: the stretch, ``context[start:end]``.
        start: its first character in the context as it was given.
        end: one past its last character.
        score: how likely it is the answer, in [0, 1].
    """

    text: str
    start: int
    end: int
    score: float

    def check(self, axes: Mapping[str, int]) -> None:
        _check_stretch(self)


@dataclass(frozen=True, eq=False)
class Answers(Result):
    """What a context answers to a question.

    Attributes:
        answers: stretches that do not overlap, best first; their scores and ``no_answer`` add up to 1 at most.
        no_answer: how likely it is that the context holds no answer, in [0, 1]; above 0.5 the model means that.

    Example:
        >>> found = Answers((Answer("Bern", 0, 4, 0.8),), 0.2)
        >>> found.best.text, Answers((), 0.9).best
        ('Bern', None)
    """

    answers: tuple[Answer, ...]
    no_answer: float

    @property
    def best(self) -> Answer | None:
        """The answer, or ``None`` where the model means that there is none."""
        return self.answers[0] if self.answers and self.no_answer <= 0.5 else None

    def check(self, axes: Mapping[str, int]) -> None:
        if not 0 <= self.no_answer <= 1:
            raise UsageError(f"Answers.no_answer must lie in [0, 1]. Got {self.no_answer} instead")


@dataclass(frozen=True, eq=False)
class Entity(Result):
    """A stretch of a text that names something.

    Attributes:
        text: the stretch, ``text[start:end]`` of what was given.
        label: what it names, in the model's own words (``"PER"``, ``"GPE"``).
        start: its first character, an index into the text as it was given.
        end: one past its last character.
        score: how likely it is so, in [0, 1]; 1 where a rule found it.
    """

    text: str
    label: str
    start: int
    end: int
    score: float

    def check(self, axes: Mapping[str, int]) -> None:
        _check_stretch(self)


@dataclass(frozen=True, eq=False)
class Entities(Result):
    """What a text names.

    Attributes:
        entities: in the order of the text, none overlapping another.

    Example:
        >>> found = Entities((Entity("Bern", "LOC", 8, 12, 0.9),))
        >>> Result.from_json(found.to_json()) == found
        True
    """

    entities: tuple[Entity, ...]

    def check(self, axes: Mapping[str, int]) -> None:
        for before, after in pairwise(self.entities):
            if after.start < before.end:
                raise UsageError(
                    f"Entities must stand in the order of the text and not overlap. Got {before.start}..{before.end} "
                    f"before {after.start}..{after.end}"
                )


@dataclass(frozen=True, eq=False)
class TranslatedSentence(Result):
    """A sentence and what became of it.

    Attributes:
        start: its first character in the text as it was given.
        end: one past its last character.
        target_start: its translation's first character in the translation.
        target_end: one past the last.
        score: the model's own probability of a token of it (the geometric mean), or what the translation's ``estimate``
            says, in [0, 1]; not calibrated.
    """

    start: int
    end: int
    target_start: int
    target_end: int
    score: float

    def check(self, axes: Mapping[str, int]) -> None:
        if not (0 <= self.start < self.end and 0 <= self.target_start <= self.target_end):
            raise UsageError(
                f"TranslatedSentence must have start < end and target_start <= target_end. "
                f"Got {self.start}..{self.end} and {self.target_start}..{self.target_end} instead"
            )
        if not 0 <= self.score <= 1:
            raise UsageError(f"TranslatedSentence.score must lie in [0, 1]. Got {self.score} instead")


@dataclass(frozen=True, eq=False)
class Translation(Result):
    """A text in another language.

    Attributes:
        text: the translation; what stands between the sentences is as it was given.
        source: language of the text that was given (``"de"``).
        target: language of the translation.
        score: mean of the sentences' scores by their length, in [0, 1]; 1 where there was nothing to translate.
        sentences: in the order of the text.
        via: languages that the text went through on its way, where no model leads there directly.
        warnings: what is doubtful about it, for people; none is said twice.
        estimate: where the scores come from: ``"model"``, its own probabilities, or ``"round-trip"``, how like the text
            is to what comes back of it (chrF / 100).

    Example:
        >>> bread = Translation("Brot", "en", "de", 0.9, (TranslatedSentence(0, 5, 0, 4, 0.9),))
        >>> Result.from_json(bread.to_json()) == bread
        True
    """

    text: str
    source: str
    target: str
    score: float
    sentences: tuple[TranslatedSentence, ...] = ()
    via: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    estimate: str = "model"

    def check(self, axes: Mapping[str, int]) -> None:
        if not 0 <= self.score <= 1:
            raise UsageError(f"Translation.score must lie in [0, 1]. Got {self.score} instead")
        if any(one.target_end > len(self.text) for one in self.sentences):
            raise UsageError(f"Translation.sentences must lie in its text of {len(self.text)} characters")


@dataclass(frozen=True, eq=False)
class Redaction(Result):
    """One stretch that was taken out of a text, without what it said.

    Attributes:
        kind: what it was (``"person"``, ``"email"``).
        start: its first character in the text as it was given.
        end: one past its last character there.
        new_start: first character of what stands for it in the redacted text.
        new_end: one past that one's last character.
    """

    kind: str
    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, eq=False)
class Redacted(Result):
    """A text without what it should not tell.

    Attributes:
        text: the redacted text.
        spans: what was taken out, in order.

    Example:
        >>> found = Redacted("[PERSON] left", (Redaction("person", 0, 3, 0, 8),))
        >>> found.original(10), found.original(2), found.redacted(5)
        (5, 0, 10)
    """

    text: str
    spans: tuple[Redaction, ...]

    def original(self, at: int) -> int:
        """Where a position of the redacted text was; within what stands for a span, the span's start."""
        moved = 0
        for span in self.spans:
            if at < span.new_end:
                return span.start if at >= span.new_start else at + moved
            moved = span.end - span.new_end
        return at + moved

    def redacted(self, at: int) -> int:
        """Where a position of the original text is now; within a span, the start of what stands for it."""
        moved = 0
        for span in self.spans:
            if at < span.end:
                return span.new_start if at >= span.start else at + moved
            moved = span.new_end - span.end
        return at + moved


def _check_stretch(found: Answer | Entity) -> None:
    name = type(found).__name__
    if not 0 <= found.start < found.end or len(found.text) != found.end - found.start:
        raise UsageError(
            f"{name}.start and end must bound its text. Got {found.start}, {found.end} and {found.text[:60]!r} instead"
        )
    if not 0 <= found.score <= 1:
        raise UsageError(f"{name}.score must lie in [0, 1]. Got {found.score} instead")
