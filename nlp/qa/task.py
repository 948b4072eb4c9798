"""The task ``nlp.qa``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from nlp.monitoring import observe
from nlp.opening import TextGraph, open_text_graph, whole
from nlp.optimize import optimize
from nlp.qa.again import Again, lead, open_again
from nlp.qa.ask import answerer, asker, open_finder
from nlp.qa.data import FORMATS
from nlp.qa.decode import Reading, Scores, decode, reading, scores
from nlp.qa.evaluate import evaluate_qa
from nlp.qa.prepare import Asked, Item, prepare
from nlp.qa.streaming import parts
from nlp.qa.train import TRAIN_OPTIONS, train
from nlp.retrieval.adding import expand_documents
from nlp.retrieval.index import open_index
from nlp.types import Answers
from shared import catalogue
from shared.errors import UsageError, WeightsError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import AnyArray

NAME = "nlp.qa"
FAMILY = "extractive-reader"
QUESTIONS_AT_ONCE = 32
"""Questions whose windows are run together: enough to keep every thread busy to the end."""

Reader: TypeAlias = Pipeline[Item, Asked, list[Scores], Answers]


def question_answerer(
    name: str | Path | None = None,
    *,
    top_k: int = 3,
    max_answer_tokens: int | None = None,
    no_answer_threshold: float | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Reader:
    """Open a reader: it finds the stretch of a context that answers a question, or says that there is none.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`nlp.families` knows, or ``None`` for the default.
        top_k: answers at most, at least 1; they never overlap.
        max_answer_tokens: tokens of an answer at most; ``None`` takes the model's.
        no_answer_threshold: by how much "no answer" must beat the best stretch, in the model's own scores; ``None``
            takes the model's.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from questions with their contexts to :class:`~nlp.types.Answers`. An item is a pair, a mapping with
        ``question`` and ``context``, or that mapping as JSON text. A context of any length is read whole. A reader that
        was brought into 8-bit integers may have its near-ties read again in float32; see :mod:`nlp.qa.again`.

    Raises:
        UnknownNameError: no reader is called that.
        UsageError: ``top_k`` is below 1.
        WeightsError: a model file cannot be had, or there is no default.
        DataError: the model's files or options are not those of a reader.
    """
    if top_k < 1:
        raise UsageError(f"top_k must be at least 1. Got {top_k} instead")
    if name is None and not any(card.default for card in catalogue.cards(NAME)):
        raise WeightsError(
            "no reader is the default here: name one, a model folder or hf:deepset/tinyroberta-squad2 say (--model)"
        )
    graph = open_text_graph(name, task=NAME, families=[FAMILY], device=device, threads=threads)
    how = reading(graph.card, max_answer_tokens=max_answer_tokens, no_answer_threshold=no_answer_threshold)
    again = open_again(graph, device=device, threads=threads)
    return reader(graph, how, top_k=top_k, threads=threads, again=again)


def reader(graph: TextGraph, how: Reading, *, top_k: int, threads: int | None, again: Again | None = None) -> Reader:
    """A predictor over an opened graph, and over what decides its near-ties; see :func:`question_answerer`."""
    template = graph.pairs()

    def run(batch: Sequence[Asked]) -> list[list[Scores]]:
        feeds, places = [], []
        for at, asked in enumerate(batch):
            for window in asked.windows:
                tokens, types = template.join(asked.question, asked.context[window.start : window.stop])
                feeds.append(graph.feed(tokens, types=types))
                places.append((at, template.second_start(asked.question), window.stop - window.start))
        found: list[list[Scores]] = [[] for _ in batch]
        for output, (at, first, count) in zip(graph.answers(feeds), places, strict=True):
            found[at].append(scores(output, first, count))
        if again is not None:
            decide(again, batch, feeds, places, found)
        return found

    def decide(
        again: Again,
        batch: Sequence[Asked],
        feeds: Sequence[Mapping[str, AnyArray]],
        places: Sequence[tuple[int, int, int]],
        found: list[list[Scores]],
    ) -> None:
        """Put the scores of the second graph in the place of those that leave an answer unclear."""
        begun, chosen = 0, []
        for at, (asked, scored) in enumerate(zip(batch, found)):
            seen = lead(scored, [window.start for window in asked.windows], how, below=again.below)
            chosen += [(at, one, begun + one) for one in seen.windows if seen.ahead < again.below]
            begun += len(scored)
        outputs = again.graph.answers([feeds[flat] for _, _, flat in chosen])
        for output, (at, one, flat) in zip(outputs, chosen, strict=True):
            found[at][one] = scores(output, *places[flat][1:])

    return Pipeline(
        graph.card,
        lambda item: prepare(item, graph),
        run,
        lambda found, asked: decode(found, asked, how, top_k=top_k),
        batch_size=QUESTIONS_AT_ONCE,
        threads=threads,
    )


_OPTIONS = (
    Option("top_k", int, 3, "answers at most, at least 1"),
    Option("max_answer_tokens", int, None, "tokens of an answer at most; the model's own when not given"),
    Option("no_answer_threshold", float, None, "by how much 'no answer' must win; the model's own when not given"),
)

TASK = Task(
    name=NAME,
    summary='answers out of a context: an input is {"question": ..., "context": ...} as JSON',
    inputs="text",
    open=question_answerer,
    observe=observe,
    options=_OPTIONS,
    evaluate=evaluate_qa,
    formats=FORMATS,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    tools={
        "optimize": partial(optimize, task=NAME),
        "parts": parts,
        "open_index": open_index,
        "expand_documents": expand_documents,
        "open_finder": open_finder,
        "asker": asker,
        "answerer": answerer,
    },
    whole=partial(whole, task=NAME),
)
