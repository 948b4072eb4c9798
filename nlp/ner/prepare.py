"""A text to what a tagging graph reads: its words, its tokens, and which token begins each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from nlp.ner.shapes import shape_codes, token_codes
from nlp.ner.words import Words, given_words, split_words
from nlp.opening import TextGraph
from nlp.tokenize import check_text
from nlp.windows import Window, batches
from shared.types import AnyArray, Float32, Int64

LOGITS = "logits"
Item: TypeAlias = str | Sequence[str] | Sequence[Sequence[str]]
"""A text; or the words of a sentence, or several sentences of words, that were split before."""


@dataclass(frozen=True)
class Prepared:
    """A text that is ready for the graph.

    Attributes:
        words: the text and its words.
        ids: its tokens, without special ones, shape (n,), int64.
        owners: for each token the position of its word, and -1 where it stands in none; shape (n,), int64.
        codes: for each token the code of its shape, shape (n,), int64; ``None`` where the graph reads none.
    """

    words: Words
    ids: Int64
    owners: Int64
    codes: Int64 | None


@dataclass(frozen=True)
class Share:
    """What of a window's answers is used.

    Attributes:
        window: the window.
        start: first token of the text that takes its answer from it.
        stop: one past the last.
    """

    window: Window
    start: int
    stop: int


def read_words(item: Item, *, rule: str) -> Words:
    """The words of an item.

    Raises:
        InputError: it is no text and no words (``"wrong-type"``), holds none (``"empty"``) or a lone surrogate
            (``"corrupt"``).
    """
    if isinstance(item, str) or not isinstance(item, Sequence):
        return split_words(check_text(item), rule=rule)
    words = given_words(item)
    check_text(words.text)
    return words


def prepare(item: Item, graph: TextGraph, *, rule: str) -> Prepared:
    """Tokenise an item for a graph.

    Raises:
        InputError: see :func:`read_words` and :meth:`nlp.tokenize.TextTokenizer.ids`.
    """
    words = read_words(item, rule=rule)
    # a break between sentences of given words is ours: no model was taught what it is as a token
    text = words.text if isinstance(item, str) else words.text.replace("\n", " ")
    ids, spans = graph.tokenizer.offsets(text)
    owners = np.searchsorted(words.spans[:, 0], spans[:, 0], side="right") - 1
    inside = (owners >= 0) & (spans[:, 0] < words.spans[owners, 1])
    owners = np.where(inside, owners, -1)
    codes = None
    if "features" in graph.takes:
        codes = token_codes(shape_codes(words.words, starts=words.starts.tolist()), owners)
    return Prepared(words, ids, owners, codes)


def shares(windows: Sequence[Window]) -> list[Share]:
    """Which window answers for which tokens: that in which a token stands furthest from an end.

    The two ends of the text are no ends in this sense, for nothing is missing there.

    Example:
        >>> [(s.start, s.stop) for s in shares([Window(0, 6, 0.6), Window(4, 10, 0.4)])]
        [(0, 5), (5, 10)]
    """
    cuts = [(before.stop + after.start + 1) // 2 for before, after in pairwise(windows)]
    starts, stops = [windows[0].start, *cuts], [*cuts, windows[-1].stop]
    return [Share(window, start, stop) for window, start, stop in zip(windows, starts, stops)]


def run(batch: Sequence[Prepared], graph: TextGraph, *, tags: int) -> list[Float32]:
    """The logits of every token of every text, each text's of shape (n, tags), float32."""
    places = [(text, share) for text, item in enumerate(batch) for share in shares(graph.windows(len(item.ids)))]
    lengths = np.array([share.window.stop - share.window.start for _, share in places], dtype=np.int64)
    found = [np.empty((len(item.ids), tags), dtype=np.float32) for item in batch]
    skip = len(graph.tokenizer.before)
    for group in batches(lengths, budget=graph.budget):
        chosen = [places[at] for at in group]
        answers = graph.backend.run([_feed(batch[text], share.window, graph) for text, share in chosen])
        for (text, share), answer in zip(chosen, answers):
            first = skip + share.start - share.window.start
            found[text][share.start : share.stop] = answer[LOGITS][0, first : first + share.stop - share.start]
    return found


def _feed(item: Prepared, window: Window, graph: TextGraph) -> dict[str, AnyArray]:
    tokenizer = graph.tokenizer
    features = None
    if item.codes is not None:
        edges = (len(tokenizer.before), len(tokenizer.after))
        features = np.pad(item.codes[window.start : window.stop], edges)
    return graph.feed(tokenizer.window(item.ids[window.start : window.stop]), features=features)
