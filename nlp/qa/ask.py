"""Questions to an index of documents: search, re-rank, and answer with the place that the answer stands at.

With a reader model an answer is the stretch of a passage that the reader chose. Without one it is a whole sentence:
of each of the best passages the one that the re-ranker finds to fit the question best. Nothing is answered where no
passage fits (``threshold``), or where the reader means that none holds an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlp.qa.generate import Generator, open_generator, write
from nlp.retrieval.index import Index
from nlp.retrieval.rerank import Reranker, open_reranker
from nlp.retrieval.sentences import sentence_spans
from nlp.retrieval.types import CitedAnswer, CitedAnswers, Passage, WrittenAnswer
from nlp.tokenize import check_text
from nlp.types import Answers
from shared import catalogue
from shared.catalogue import ModelCard
from shared.errors import UsageError
from shared.predictor import Pipeline, Predictor

TASK_NAME = "nlp.qa"
NO_READER = "none"
RERANKED = 20
"""Passages that the re-ranker reads for each question."""
READ = 5
"""The best of those, in which an answer is looked for."""
THRESHOLD = 0.5
"""How well a passage must fit, by the re-ranker's own reckoning, to be looked at."""
_SENTENCES = 12
"""Sentences of a passage that are compared."""


@dataclass(frozen=True)
class Finder:
    """Search and re-ranking over one index.

    Attributes:
        index: where to look.
        reranker: what judges the passages that were found.
        way: of search; see :meth:`nlp.retrieval.index.Index.search`.
        threshold: how well a passage must fit, in [0, 1].
    """

    index: Index
    reranker: Reranker
    way: str = "hybrid"
    threshold: float = THRESHOLD

    def passages(self, question: str, *, k: int = READ) -> list[Passage]:
        """The passages that fit best, best first, each with how well it fits in [0, 1]; none below the threshold."""
        return [passage for passage in self.ranked(question, k=k) if passage.score >= self.threshold]

    def ranked(self, question: str, *, k: int = READ) -> list[Passage]:
        """The same, whatever the threshold."""
        found = self.index.search(question, k=RERANKED, way=self.way)
        texts = [f"{p.heading}\n{p.text}" if p.heading else p.text for p in found]
        scored = [
            replace(passage, score=_sigmoid(float(score)))
            for passage, score in zip(found, self.reranker.scores(question, texts))
        ]
        return sorted(scored, key=lambda passage: -passage.score)[:k]


def open_finder(
    index: Index,
    *,
    reranker: str | Path | Reranker | None = None,
    way: str = "hybrid",
    threshold: float = THRESHOLD,
    device: str = "auto",
    threads: int | None = None,
) -> Finder:
    """Open a re-ranker over an index.

    Raises:
        UsageError: ``threshold`` is outside [0, 1].
        UnknownNameError: no re-ranker is called that.
        WeightsError: a model file cannot be had.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold must lie in [0, 1]. Got {threshold} instead")
    opened = reranker if isinstance(reranker, Reranker) else open_reranker(reranker, device=device, threads=threads)
    return Finder(index, opened, way, threshold)


def asker(
    index: Index,
    *,
    reader: str | Path | Predictor[Any, Answers] | None = None,
    answers: int = 3,
    reranker: str | Path | Reranker | None = None,
    way: str = "hybrid",
    threshold: float = THRESHOLD,
    device: str = "auto",
    threads: int | None = None,
) -> Pipeline[str, str, CitedAnswers, CitedAnswers]:
    """Answers from documents, each with the place that it stands at.

    Args:
        index: see :func:`nlp.open_index`; it must stay open.
        reader: one that is open, or its name as :func:`nlp.question_answerer` takes it; ``None`` for the default one,
            or for whole sentences where there is no default; ``"none"`` for whole sentences.
        answers: at most, at least 1.
        reranker: one that is open, or its name as :func:`nlp.retrieval.rerank.open_reranker` takes it.
        way: of search; see :meth:`nlp.retrieval.index.Index.search`.
        threshold: how well a passage must fit to be looked at, in [0, 1]; higher answers less, and more surely.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from questions to :class:`~nlp.retrieval.types.CitedAnswers`.

    Raises:
        UsageError: an argument is out of its range.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
    """
    if answers < 1:
        raise UsageError(f"answers must be at least 1. Got {answers} instead")
    finder = open_finder(index, reranker=reranker, way=way, threshold=threshold, device=device, threads=threads)
    model = _reader(reader, device=device, threads=threads)
    card = finder.reranker.graph.card if model is None else model.card

    def one(question: str) -> CitedAnswers:
        passages = finder.ranked(question)
        fit = [passage for passage in passages if passage.score >= threshold]
        found = _sentences(question, fit, finder.reranker) if model is None else _read(question, fit, model)
        way_taken = "sentences" if model is None else "reader"
        return CitedAnswers(question, tuple(_distinct(found, answers)), way_taken, tuple(passages))

    return _pipeline(card, one, threads)


def answerer(
    index: Index,
    generate: str | Path | Generator,
    *,
    model: str | None = None,
    passages: int = READ,
    reranker: str | Path | Reranker | None = None,
    way: str = "hybrid",
    threshold: float = THRESHOLD,
    device: str = "auto",
    threads: int | None = None,
    heard: Callable[[str], object] | None = None,
) -> Pipeline[str, str, WrittenAnswer, WrittenAnswer]:
    """Answers that a language model writes over the passages of an index, every claim checked against them.

    Args:
        index: see :func:`nlp.open_index`; it must stay open.
        generate: the address of an OpenAI-compatible endpoint (``https://host/v1``), ``hf:OWNER/NAME`` or a folder of a
            causal language model, or a function from messages to pieces of text.
        model: name of the endpoint's model; ``None`` takes the first that it lists.
        passages: how many the model is shown at most, at least 1.
        reranker: as in :func:`asker`.
        way: as in :func:`asker`.
        threshold: as in :func:`asker`.
        device: as in :func:`asker`.
        threads: as in :func:`asker`.
        heard: called with each piece of text as the model writes it.

    Returns:
        A predictor from questions to :class:`~nlp.retrieval.types.WrittenAnswer`.

    Raises:
        UsageError: an argument is out of its range, or ``generate`` is none of its forms.
        MissingDependencyError: a local model needs the extra ``torch``.
        WeightsError: a model file cannot be had.
    """
    if passages < 1:
        raise UsageError(f"passages must be at least 1. Got {passages} instead")
    finder = open_finder(index, reranker=reranker, way=way, threshold=threshold, device=device, threads=threads)
    generator = generate if callable(generate) else open_generator(generate, model=model, threads=threads)

    def one(question: str) -> WrittenAnswer:
        return write(question, finder.passages(question, k=passages), generator, heard=heard)

    return _pipeline(finder.reranker.graph.card, one, threads)


def _pipeline(card: ModelCard, one: Callable[[str], Any], threads: int | None) -> Pipeline[str, str, Any, Any]:
    return Pipeline(
        card,
        check_text,
        lambda batch: [one(question) for question in batch],
        lambda answer, _: answer,
        batch_size=1,
        threads=threads,
    )


def _reader(
    name: str | Path | Predictor[Any, Answers] | None, *, device: str, threads: int | None
) -> Predictor[Any, Answers] | None:
    if name is not None and not isinstance(name, str | Path):
        return name
    if name == NO_READER or (name is None and not any(card.default for card in catalogue.cards(TASK_NAME))):
        return None
    from nlp.qa.task import question_answerer  # noqa: PLC0415 - the task's row is made of this module

    return question_answerer(name, top_k=1, device=device, threads=threads)


def _read(question: str, passages: Sequence[Passage], model: Predictor[Any, Answers]) -> list[CitedAnswer]:
    """The stretch that the reader chose in each passage; none of those where it means that there is none."""
    found: list[CitedAnswer] = []
    results = model.predict([(question, passage.text) for passage in passages], on_error="keep")
    for passage, result in zip(passages, results):
        if isinstance(result, Answers) and result.best is not None:
            best = result.best
            start = passage.start + best.start
            found.append(CitedAnswer(best.text, start, start + len(best.text), best.score * passage.score, passage))
    return sorted(found, key=lambda answer: -answer.score)


def _sentences(question: str, passages: Sequence[Passage], reranker: Reranker) -> list[CitedAnswer]:
    """The sentence of each passage that fits best, scored as its passage."""
    places = [(p, span) for p in passages for span in sentence_spans(p.text)[:_SENTENCES]]
    scores = reranker.scores(question, [f"{p.heading}\n{p.text[a:b]}" for p, (a, b) in places])
    best: dict[int, tuple[float, CitedAnswer]] = {}
    for (passage, (begin, stop)), score in zip(places, scores.tolist()):
        kept = best.get(id(passage))
        if kept is None or score > kept[0]:
            where = (passage.start + begin, passage.start + stop)
            best[id(passage)] = (score, CitedAnswer(passage.text[begin:stop], *where, passage.score, passage))
    return [answer for _, answer in best.values()]


def _distinct(answers: Sequence[CitedAnswer], most: int) -> list[CitedAnswer]:
    """The first of those that overlap in the text: passages share their edges."""
    kept: list[CitedAnswer] = []
    for answer in answers:
        place = (answer.passage.path, answer.passage.page)
        if len(kept) < most and all(
            place != (other.passage.path, other.passage.page) or answer.end <= other.start or other.end <= answer.start
            for other in kept
        ):
            kept.append(answer)
    return kept


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))
