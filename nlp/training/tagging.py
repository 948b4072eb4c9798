"""Tagged words as examples: whole documents cut into windows of several sentences, which are context for each other.

Sentences of one document are laid end to end, so that each is read with its neighbours at no further cost (after
S. Schweter and A. Akbik, "FLERT", 2020). The cuts differ from epoch to epoch, from single sentences to full windows,
so that the model knows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlp.ner.shapes import shape_codes, token_codes
from nlp.spans import spans_of_tags, tags_of_spans
from nlp.tokenize import TextTokenizer
from nlp.training.examples import IGNORED, Example
from shared.types import Int64

SCHEME = "BIOES"
LENGTHS = (1, 48, 96, 160)
"""Tokens that a training window aims at, one drawn for each; a sentence is never cut for it."""


@dataclass(frozen=True)
class Sentence:
    """A tokenised sentence.

    Attributes:
        words: in their original spelling.
        pieces: each word's tokens, none empty.
        tags: each word's tag.
    """

    words: tuple[str, ...]
    pieces: tuple[Int64, ...]
    tags: tuple[str, ...]

    @property
    def size(self) -> int:
        """Tokens."""
        return sum(map(len, self.pieces))


def read_sentence(tokenizer: TextTokenizer, words: Sequence[str], tags: Sequence[str], unknown: int) -> Sentence:
    """Tokenise a sentence's words; a word without a token (a control character, say) becomes the unknown one."""
    pieces = tuple(_piece(tokenizer, tokenizer.word_prefix + word, unknown) for word in words)
    return Sentence(tuple(words), pieces, tuple(tags))


def _piece(tokenizer: TextTokenizer, text: str, unknown: int) -> Int64:
    ids = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
    return np.array(ids or [unknown], dtype=np.int64)


def window(tokenizer: TextTokenizer, sentences: Sequence[Sentence], tags: Mapping[str, int], *, told: bool) -> Example:
    """Sentences of one document as one window.

    Args:
        tokenizer: of the encoder.
        sentences: one at least.
        tags: number of each tag.
        told: whether words that begin sentences are known, or guessed as they are in running text.
    """
    words = [word for sentence in sentences for word in sentence.words]
    pieces = [ids for sentence in sentences for ids in sentence.pieces]
    if tokenizer.word_prefix:
        pieces[0] = _piece(tokenizer, words[0], int(pieces[0][0]))
    sizes = np.array([len(ids) for ids in pieces])
    starts = np.cumsum([0, *(len(sentence.words) for sentence in sentences)])[:-1].tolist()
    edges = (len(tokenizer.before), len(tokenizer.after))
    owners = np.pad(np.repeat(np.arange(len(words)), sizes), edges, constant_values=-1)
    target = np.full(len(owners), IGNORED, dtype=np.int64)
    target[edges[0] + np.cumsum(sizes) - sizes] = [tags[tag] for sentence in sentences for tag in sentence.tags]
    codes = shape_codes(words, starts=starts if told else None)
    return Example(tokenizer.window(np.concatenate(pieces)), target, None, token_codes(codes, owners))


def cut(documents: Sequence[Sequence[Sentence]], *, room: int, rng: np.random.Generator | None) -> list[list[Sentence]]:
    """Windows of neighbouring sentences.

    Args:
        documents: sentences in order.
        room: tokens of a window at most, special ones not counted; a longer sentence is cut between words.
        rng: draws what each window aims at; ``None`` fills every window.
    """
    made: list[list[Sentence]] = []
    for document in documents:
        parts = [part for sentence in document for part in _fitting(sentence, room)]
        group: list[Sentence] = []
        size, aim = 0, 0
        for part in parts:
            if not group:
                aim = room if rng is None else min(room, int(rng.choice(LENGTHS)))
            if group and size + part.size > aim:
                made.append(group)
                group, size = [], 0
                aim = room if rng is None else min(room, int(rng.choice(LENGTHS)))
            group.append(part)
            size += part.size
        if group:
            made.append(group)
    return made


def _fitting(sentence: Sentence, room: int) -> list[Sentence]:
    if sentence.size <= room:
        return [sentence]
    parts: list[Sentence] = []
    start, size = 0, 0
    for at, ids in enumerate(sentence.pieces):
        if at > start and size + len(ids) > room:
            parts.append(_part(sentence, start, at))
            start, size = at, 0
        size += len(ids)
    return [*parts, _part(sentence, start, len(sentence.words))]


def _part(sentence: Sentence, start: int, stop: int) -> Sentence:
    return Sentence(sentence.words[start:stop], sentence.pieces[start:stop], sentence.tags[start:stop])


def tag_names(documents: Sequence[Sequence[Sentence]]) -> list[str]:
    """Every tag of the sentences, ``O`` first."""
    return ["O", *sorted({tag for document in documents for sentence in document for tag in sentence.tags} - {"O"})]


def in_scheme(tags: Sequence[str]) -> list[str]:
    """The same entities as tags of the scheme BIOES, whatever theirs is.

    Example:
        >>> in_scheme(["I-LOC", "O", "B-PER", "I-PER", "I-PER"])
        ['S-LOC', 'O', 'B-PER', 'I-PER', 'E-PER']
    """
    return tags_of_spans(spans_of_tags(tags), len(tags), scheme=SCHEME)
