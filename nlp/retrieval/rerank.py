"""A cross-encoder that reads question and passage together and scores how well they fit.

R. Nogueira and K. Cho, "Passage re-ranking with BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp.opening import TextGraph, open_text_graph
from nlp.pairs import PairTemplate
from shared.errors import DataError, InputError
from shared.types import Float32

TASK_NAME = "nlp.reranking"
FAMILY = "pair-scorer"
DEFAULT_RERANKER = "ms-marco-minilm-l12"


@dataclass(frozen=True)
class Reranker:
    """A loaded cross-encoder. Use :func:`open_reranker`.

    Attributes:
        graph: its graph: a pair of texts to one logit, shape (1, 1).
        template: how the two texts are joined.
    """

    graph: TextGraph
    template: PairTemplate

    def scores(self, question: str, texts: Sequence[str]) -> Float32:
        """How well each text fits the question.

        Args:
            question: any text.
            texts: any number; of one longer than the window its beginning counts.

        Returns:
            Shape (n,), float32, logits: above 0 means that it fits, as the model learned it. A text that has no
            token gets minus infinity.

        Raises:
            InputError: the question has no token, or fills half of a window.
        """
        asked = self.graph.tokenizer.ids(question)
        room = self.graph.room - self.template.special
        if len(asked) > room // 2:
            raise InputError(
                "too-large",
                f"a question must have at most {room // 2} tokens for {self.graph.card.name}. "
                f"Got {len(asked)}: shorten it",
            )
        found = np.full(len(texts), -np.inf, np.float32)
        feeds, places = [], []
        for at, text in enumerate(texts):
            try:
                ids = self.graph.tokenizer.ids(text)[: room - len(asked)]
            except InputError:
                continue
            tokens, types = self.template.join(asked, ids)
            feeds.append(self.graph.feed(tokens, types=types))
            places.append(at)
        for at, answer in zip(places, self.graph.answers(feeds)):
            found[at] = answer["logits"][0, 0]
        return found


def open_reranker(name: str | Path | None = None, *, device: str = "auto", threads: int | None = None) -> Reranker:
    """Open a re-ranker.

    Args:
        name: a catalogue name, a model folder, or ``None`` for ms-marco-MiniLM-L-12-v2.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Raises:
        UnknownNameError: no re-ranker is called that.
        WeightsError: a file cannot be had.
        DataError: its graph does not give one logit a pair.
    """
    graph = open_text_graph(name or DEFAULT_RERANKER, task=TASK_NAME, families=[FAMILY], device=device, threads=threads)
    shapes = {spec.name: spec.shape for spec in graph.backend.outputs}
    if "logits" not in shapes or shapes["logits"][-1] != 1:
        raise DataError(f"model {graph.card.name!r} must answer logits of shape (1, 1). It answers {shapes}")
    return Reranker(graph, graph.pairs())
