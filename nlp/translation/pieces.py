"""Sentences to pieces of words and back: our models' own ``tokenizer.json``, or the SentencePiece files of others."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from nlp.translation.masking import MARKS
from shared.errors import DataError
from shared.lazy import require

TOKENIZER = "tokenizer.json"
SOURCE_PIECES, TARGET_PIECES, SHARED_PIECES = "source.spm", "target.spm", "sentencepiece.model"
_SPACE = "▁"


class Pieces(Protocol):
    """How a model cuts sentences."""

    learnt_marks: bool
    """Whether the vocabulary holds the marks ``<m1>``, ``<m2>``, ... that the model has learnt to carry over."""

    def encode(self, text: str) -> list[str]:
        """The pieces of a sentence of the source language, without special ones."""

    def decode(self, pieces: Sequence[str]) -> str:
        """The sentence of pieces of the target language."""

    def unknown(self, text: str) -> list[tuple[int, int]]:
        """Spans of characters that the vocabulary does not know."""


class OwnPieces:
    """A joint vocabulary of :mod:`nlp.translation.training.vocabulary`."""

    def __init__(self, path: Path) -> None:
        library = require("tokenizers", extra="all")
        try:
            self._tokenizer = library.Tokenizer.from_str(path.read_text("utf-8"))
        except Exception as error:  # the library raises bare Exception for whatever it cannot read
            raise DataError(f"{path} must be a tokenizer.json. {error}") from error
        vocabulary = self._tokenizer.get_vocab()
        self.learnt_marks = all(f"<m{number}>" in vocabulary for number in range(1, MARKS + 1))
        self._signs = {sign for piece in vocabulary for sign in piece}

    def encode(self, text: str) -> list[str]:
        """See :class:`Pieces`."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)

    def decode(self, pieces: Sequence[str]) -> str:
        """See :class:`Pieces`."""
        return "".join(pieces).replace(_SPACE, " ").strip()

    def unknown(self, text: str) -> list[tuple[int, int]]:
        """See :class:`Pieces`."""
        return _runs(text, [not sign.isspace() and not self._knows(sign) for sign in text])

    def _knows(self, sign: str) -> bool:
        return sign in self._signs or all(part in self._signs for part in unicodedata.normalize("NFC", sign))


class ForeignPieces:
    """One or two SentencePiece models."""

    learnt_marks = False

    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target = _sentencepiece(source), _sentencepiece(target)
        self._knows = lru_cache(maxsize=8192)(self._known)

    def encode(self, text: str) -> list[str]:
        """See :class:`Pieces`."""
        return list(self._source.encode(text, out_type=str))

    def decode(self, pieces: Sequence[str]) -> str:
        """See :class:`Pieces`."""
        if any(piece.startswith("<0x") for piece in pieces):
            return str(self._target.decode(list(pieces))).strip()
        return "".join(pieces).replace(_SPACE, " ").strip()  # the library would leave pieces that only the model knows

    def unknown(self, text: str) -> list[tuple[int, int]]:
        """See :class:`Pieces`."""
        return _runs(text, [not sign.isspace() and not self._knows(sign) for sign in text])

    def _known(self, sign: str) -> bool:
        return self._source.unk_id() not in self._source.encode(sign)


def load_pieces(files: Mapping[str, Path]) -> Pieces:
    """The pieces of a model folder.

    Raises:
        DataError: it has no file of pieces, or one that cannot be read.
        MissingDependencyError: SentencePiece files need the library.
    """
    if TOKENIZER in files:
        return OwnPieces(files[TOKENIZER])
    shared = files.get(SHARED_PIECES)
    source, target = files.get(SOURCE_PIECES, shared), files.get(TARGET_PIECES, shared)
    if source is None or target is None:
        raise DataError(
            f"a translation model must have {TOKENIZER}, {SHARED_PIECES}, or {SOURCE_PIECES} and {TARGET_PIECES}. "
            f"Got {sorted(files)} instead"
        )
    return ForeignPieces(source, target)


def _sentencepiece(path: Path) -> Any:
    library = require("sentencepiece", extra="translation")
    try:
        return library.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} must be a SentencePiece model. {error}") from error


def _runs(text: str, wanted: Sequence[bool]) -> list[tuple[int, int]]:
    """Spans of characters that are wanted; a mark that combines with one belongs to it, and one before a joiner."""
    found: list[tuple[int, int]] = []
    for at, is_wanted in enumerate(wanted):
        joins = bool(found) and found[-1][1] == at
        if is_wanted or (joins and (unicodedata.combining(text[at]) or text[at] in "\u200d\ufe0f")):
            found[-1:] = [(found[-1][0], at + 1)] if joins else [*found[-1:], (at, at + 1)]
    return found
