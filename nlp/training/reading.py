"""Questions as examples: windows of the context after the question, with the answer's first and last token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlp.pairs import PairTemplate
from nlp.qa.data import Question
from nlp.tokenize import TextTokenizer
from nlp.training.examples import Example
from nlp.windows import Window, windows
from shared.errors import InputError
from shared.types import Float32, Int64

ELSEWHERE = 0.1
"""Share of long contexts that are shown by a window without the answer, so that the model learns to say so."""
LONGEST_QUESTION = 64


@dataclass(frozen=True)
class Asked:
    """A question as tokens.

    Attributes:
        question: shape (m,), int64, cut after :data:`LONGEST_QUESTION`.
        context: shape (n,), int64.
        spans: first and last token of each true answer in the context; empty where there is none.
    """

    question: Int64
    context: Int64
    spans: tuple[tuple[int, int], ...]


def read(
    questions: Sequence[Question], tokenizer: TextTokenizer
) -> tuple[list[Asked], list[int], list[Mapping[str, Any]]]:
    """Tokenise questions.

    Returns:
        Those that can be used; their positions; and a row for each that cannot, because a text cannot be read or its
        answer is nowhere in the context.
    """
    found: list[Asked] = []
    kept: list[int] = []
    skipped: list[Mapping[str, Any]] = []
    contexts: dict[str, tuple[Int64, Int64]] = {}
    for at, asked in enumerate(questions):
        try:
            if asked.context not in contexts:
                contexts[asked.context] = tokenizer.offsets(asked.context)
            ids, places = contexts[asked.context]
            spans = {span for start, stop in answer_places(asked) for span in _tokens(places, start, stop)}
            if asked.answers and not spans:
                raise InputError("no-answer", "an answer must stand in its context, word for word")
            question = tokenizer.ids(asked.question)[:LONGEST_QUESTION]
        except InputError as error:
            skipped.append({"input": asked.id, "kind": error.kind, "message": str(error)})
            continue
        found.append(Asked(question, ids, tuple(sorted(spans))))
        kept.append(at)
    return found, kept, skipped


def answer_places(asked: Question) -> list[tuple[int, int]]:
    """Where the answers stand in the context as characters: where the file says, else where each stands first."""
    starts = asked.starts or tuple(asked.context.find(answer) for answer in asked.answers)
    return [
        (start, start + len(answer))
        for answer, start in zip(asked.answers, starts)
        if answer.strip() and start >= 0 and asked.context[start : start + len(answer)] == answer
    ]


def _tokens(places: Int64, start: int, stop: int) -> list[tuple[int, int]]:
    """First and last token that share a character with a stretch of the text, if any does."""
    within = np.flatnonzero((places[:, 0] < stop) & (places[:, 1] > start))
    return [(int(within[0]), int(within[-1]))] if len(within) else []


def example(asked: Asked, template: PairTemplate, room: int, rng: np.random.Generator) -> Example:
    """A window of a question's context, drawn so that it mostly holds one of the answers.

    Args:
        asked: the question.
        template: how the tokeniser joins two texts.
        room: tokens of a window at most.
        rng: draws answer and window.
    """
    size = room - template.special - len(asked.question)
    span = asked.spans[int(rng.integers(len(asked.spans)))] if asked.spans else None
    last = max(0, len(asked.context) - size)
    start = int(rng.integers(last + 1))
    if span is not None and rng.random() >= ELSEWHERE:
        low, high = max(0, span[1] + 1 - size), min(span[0], last)
        start = int(rng.integers(low, high + 1)) if low <= high else min(span[0], last)
    return placed(asked, template, Window(start, min(len(asked.context), start + size), 1.0), span)


def placed(asked: Asked, template: PairTemplate, window: Window, span: tuple[int, int] | None) -> Example:
    """The example of one window; an answer that is not whole in it is none."""
    tokens, types = template.join(asked.question, asked.context[window.start : window.stop])
    target = np.zeros(2, dtype=np.int64)
    if span is not None and window.start <= span[0] and span[1] < window.stop:
        target[:] = np.array(span) - window.start + template.second_start(asked.question)
    return Example(tokens, target, types)


def held_out(
    asked: Sequence[Asked], template: PairTemplate, room: int
) -> tuple[list[Example], list[int], list[Window]]:
    """Every window of every question; for each which question's it is, and where it lies."""
    made: list[Example] = []
    owners: list[int] = []
    places: list[Window] = []
    for at, one in enumerate(asked):
        size = room - template.special - len(one.question)
        for window in windows(len(one.context), size=size, overlap=min(size // 2, room // 4)):
            made.append(placed(one, template, window, None))
            owners.append(at)
            places.append(window)
    return made, owners, places


@dataclass(frozen=True)
class Found:
    """What a network says of questions.

    Attributes:
        scores: token F1 of the best stretch with the nearest true answer, 0 where there is none; shape (n,).
        margins: by how much "no answer" beats that stretch, shape (n,).
    """

    scores: Float32
    margins: Float32


def judge(
    asked: Sequence[Asked],
    template: PairTemplate,
    logits: Sequence[Float32],
    owners: Sequence[int],
    places: Sequence[Window],
    *,
    longest: int,
) -> Found:
    """The best stretch of each question over all its windows, as :mod:`nlp.qa.decode` ranks them."""
    from nlp.qa.decode import best_spans  # noqa: PLC0415 - decoding belongs to the task, which names this as its training

    best: list[tuple[float, tuple[int, int]]] = [(-np.inf, (0, 0))] * len(asked)
    null = np.full(len(asked), np.inf, dtype=np.float32)
    for owner, window, row in zip(owners, places, logits):
        first = template.second_start(asked[owner].question)
        held = slice(first, first + window.stop - window.start)
        spans, sums = best_spans(row[held, 0], row[held, 1], longest=longest, most=1)
        null[owner] = min(null[owner], row[0].sum())
        if sums[0] > best[owner][0]:
            best[owner] = (float(sums[0]), (int(spans[0, 0]) + window.start, int(spans[0, 1]) + window.start))
    scores = [max((_overlap(span, true) for true in one.spans), default=0.0) for (_, span), one in zip(best, asked)]
    return Found(np.array(scores, np.float32), null - np.array([total for total, _ in best], np.float32))


def _overlap(found: tuple[int, int], true: tuple[int, int]) -> float:
    """F1 of two stretches of tokens, both ends counted."""
    both = min(found[1], true[1]) - max(found[0], true[0]) + 1
    return max(0.0, 2 * both / (found[1] - found[0] + true[1] - true[0] + 2))
