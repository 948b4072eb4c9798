"""Labels of the user's own by textual entailment: does the text say what a label's sentence says?

W. Yin, J. Hay and D. Roth, "Benchmarking zero-shot text classification", EMNLP 2019: a model trained on natural
language inference reads the text as the premise and the label's sentence as the hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nlp.classification.decode import labelled
from nlp.classification.graphs import DEFAULT_JOIN, OUTPUT, join_named
from nlp.classification.heads import temperature_of
from nlp.classification.prepare import hypotheses
from nlp.encoder import TEXTS_AT_ONCE
from nlp.opening import TextGraph
from nlp.types import TextLabels
from nlp.windows import windows
from shared.errors import DataError, InputError, UsageError
from shared.predictor import Pipeline
from shared.types import Float32, Int64

FAMILY = "nli"
TEMPLATE = "This text is about {}."
_PREMISE = 16
"""Tokens of the text that must fit beside the longest hypothesis."""


def entailment_classifier(
    graph: TextGraph,
    labels: Mapping[str, str],
    *,
    template: str | None = None,
    multi_label: bool = False,
    joined: str | None = None,
    threads: int | None = None,
) -> Pipeline[str, Int64, Float32, TextLabels]:
    """A predictor over a graph of the family ``nli``.

    One label holds: the softmax over the labels' entailment logits. With ``multi_label`` each is judged by itself: the
    softmax of entailment against contradiction, or against all else where the model knows no contradiction.

    The card's ``options`` are ``entailment``, the position of that logit, and perhaps ``contradiction``, ``template``,
    ``temperature`` and ``joined``.

    Args:
        graph: the loaded graph.
        labels: descriptions by name.
        template: see :func:`nlp.classification.prepare.hypotheses`; ``None`` takes the card's own.
        multi_label: whether each label is judged by itself.
        joined: as :func:`nlp.classification.graphs.graph_classifier` takes it.
        threads: how many threads tokenise; ``None`` takes one a processor.

    Raises:
        UsageError: a description has no token or is too long, or the template is malformed.
        DataError: the card's options or the graph's answer are not those of such a model.
    """
    card = graph.card
    read = _reader(graph, multi_label=multi_label)
    sentences = hypotheses(labels, template or card.options.get("template", TEMPLATE))
    ids = [_ids(graph, name, sentence) for name, sentence in zip(labels, sentences)]
    pairs = graph.pairs()
    size = graph.room - pairs.special - max(map(len, ids))
    if size < _PREMISE:
        raise UsageError(
            f"a label's sentence must leave room for {_PREMISE} tokens of the text in a window of {graph.room}. "
            f"The longest has {max(map(len, ids))} tokens: shorten the descriptions or the template"
        )
    overlap = min(graph.overlap, size - 1)
    join = join_named(joined or card.options.get("joined", DEFAULT_JOIN))
    temperature, names = temperature_of(card), tuple(labels)

    def run(batch: Sequence[Int64]) -> list[Float32]:
        places = [windows(len(text), size=size, overlap=overlap) for text in batch]
        feeds = []
        for text, found in zip(batch, places):
            for window in found:
                for hypothesis in ids:
                    tokens, types = pairs.join(text[window.start : window.stop], hypothesis)
                    feeds.append(graph.feed(tokens, types=types))
        answers = iter(graph.answers(feeds))
        return [
            join([np.array([read(next(answers)[OUTPUT][0]) for _ in ids], dtype=np.float32) for _ in found], found)
            for found in places
        ]

    def decode(logits: Float32, _: Int64) -> TextLabels:
        return labelled(logits, names, multi_label=multi_label, temperature=temperature)

    size_at_once = max(1, TEXTS_AT_ONCE // len(ids))
    return Pipeline(card, graph.tokenizer.ids, run, decode, batch_size=size_at_once, threads=threads, reentrant=True)


def _ids(graph: TextGraph, name: str, sentence: str) -> Int64:
    try:
        return graph.tokenizer.ids(sentence)
    except InputError as error:
        raise UsageError(f"label {name!r} cannot be used: {error}") from error


def _reader(graph: TextGraph, *, multi_label: bool) -> Callable[[Float32], float]:
    """From a window's logits to that of entailment; with ``multi_label`` less that of what stands against it."""
    card = graph.card
    entailment, contradiction = card.options.get("entailment", -1), card.options.get("contradiction")
    shapes = {spec.name: spec.shape for spec in graph.backend.outputs}
    shape = shapes.get(OUTPUT, ())
    count = shape[1] if len(shape) == 2 else 0
    known = [at for at in (entailment, contradiction) if at is not None]
    if entailment not in range(count or 0) or any(at not in range(count or 0) for at in known):
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer {OUTPUT} of shape (1, n) and say at which of the n stand "
            f"entailment and contradiction. It answers {shapes} and says {known}"
        )

    def against(logits: Float32) -> float:
        if contradiction is not None:
            return float(logits[contradiction])
        others = np.delete(logits, entailment).astype(np.float64)
        return float(others.max() + np.log(np.exp(others - others.max()).sum()))

    def read(logits: Float32) -> float:
        return float(logits[entailment]) - (against(logits) if multi_label else 0.0)

    return read
