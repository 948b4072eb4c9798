"""Classifiers that are one graph: from a text's windows to logits of labels, and those of a long text joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from nlp.classification.decode import labelled
from nlp.classification.heads import names_of, temperature_of, thresholds_of
from nlp.encoder import TEXTS_AT_ONCE
from nlp.opening import TextGraph
from nlp.types import TextLabels
from nlp.windows import Window
from shared.errors import DataError, UnknownNameError
from shared.predictor import Pipeline
from shared.types import Float32, Int64

FAMILY = "text-classifier"
OUTPUT = "logits"
Join: TypeAlias = Callable[[Sequence[Float32], Sequence[Window]], Float32]
"""From the logits of a text's windows, each (labels,), and the windows to the text's own."""
JOINS: Mapping[str, Join] = MappingProxyType(
    {
        "share": lambda found, places: sum(
            (np.float32(place.share) * logits for logits, place in zip(found, places)), np.zeros_like(found[0])
        ),
        "max": lambda found, places: np.max(found, axis=0),
    }
)
"""How the windows of a long text meet. ``share``: the mean of their logits, each weighted by the share of the text that
it is the first to show. ``max``: each label's largest logit, so that a label holds where it holds anywhere."""
DEFAULT_JOIN = "share"


def join_named(name: str) -> Join:
    """A member of :data:`JOINS`.

    Raises:
        UnknownNameError: none is called that.
    """
    if name not in JOINS:
        raise UnknownNameError("way to join windows", name, JOINS)
    return JOINS[name]


def graph_classifier(
    graph: TextGraph, *, joined: str | None = None, threads: int | None = None
) -> Pipeline[str, Int64, Float32, TextLabels]:
    """A predictor over a graph of the family ``text-classifier``.

    The card's ``options`` are ``labels``, and perhaps ``multi_label``, ``thresholds``, ``temperature`` and ``joined``.

    Args:
        graph: the loaded graph.
        joined: a key of :data:`JOINS`; ``None`` takes the card's own, which is ``"share"`` where it has none.
        threads: how many threads tokenise; ``None`` takes one a processor.

    Raises:
        DataError: the card's options or the graph's answer are not those of such a model.
        UnknownNameError: windows are not joined in a way called that.
    """
    card = graph.card
    labels, temperature = names_of(card, "labels"), temperature_of(card)
    multi_label, thresholds = bool(card.options.get("multi_label", False)), thresholds_of(card)
    join = join_named(joined or card.options.get("joined", DEFAULT_JOIN))
    check_outputs(graph, len(labels))

    def run(batch: Sequence[Int64]) -> list[Float32]:
        windows = [graph.windows(len(ids)) for ids in batch]
        feeds = [
            graph.feed(graph.tokenizer.window(ids[window.start : window.stop]))
            for ids, places in zip(batch, windows)
            for window in places
        ]
        answers = iter(graph.answers(feeds))
        return [join([next(answers)[OUTPUT][0] for _ in places], places) for places in windows]

    return Pipeline(
        card,
        graph.tokenizer.ids,
        run,
        lambda logits, _: labelled(
            logits, labels, multi_label=multi_label, temperature=temperature, thresholds=thresholds
        ),
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
        reentrant=True,
    )


def check_outputs(graph: TextGraph, wanted: int) -> None:
    """Raise a :class:`~shared.errors.DataError` unless a graph answers ``wanted`` logits a window."""
    shapes = {spec.name: spec.shape for spec in graph.backend.outputs}
    shape = shapes.get(OUTPUT)
    if shape is None or len(shape) != 2 or shape[1] not in (wanted, None):
        raise DataError(
            f"{graph.card.origin}: model {graph.card.name!r} must answer {OUTPUT} of shape (1, {wanted}), one for each "
            f"of its labels. It answers {shapes}"
        )
