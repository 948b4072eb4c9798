"""Text to token ids: what is refused, and how a text of any length is read in bounded memory.

- What is no ``str`` is refused (``"wrong-type"``); bytes must be decoded by whoever knows their encoding.
- A lone surrogate (half of a UTF-16 pair, from ``errors="surrogateescape"`` for instance) is refused (``"corrupt"``).
- A text without one token is refused (``"empty"``): nothing, white space, or only characters that the tokeniser's
  normaliser drops, such as NUL, other control characters and zero-width spaces. Among other characters those are
  dropped and the text is used.
- Letter case, accents and runs of white space are whatever the model's own ``tokenizer.json`` makes of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError, InputError
from shared.lazy import require
from shared.types import Int64

PIECE = 1 << 16
"""Characters that are tokenised at once; a tokeniser holds about a hundred bytes a character while it works."""
_SPACES = (" ", "\n", "\t", "\r")


def check_text(item: object) -> str:
    """The item, if it is text that can be read.

    Raises:
        InputError: it is no ``str`` (``"wrong-type"``), is empty or white space (``"empty"``), or has a lone
            surrogate (``"corrupt"``).

    Example:
        >>> check_text("two words")
        'two words'
    """
    if not isinstance(item, str):
        raise InputError("wrong-type", f"a text must be a str. Got {type(item).__name__} instead: decode or convert it")
    if not item or item.isspace():
        raise InputError("empty", "a text must have at least one word. Got nothing but white space")
    try:
        item.encode()
    except UnicodeEncodeError as error:
        code = ord(item[error.start])
        raise InputError(
            "corrupt",
            f"a text must be valid Unicode. Character {error.start} is the lone surrogate U+{code:04X}: "
            "decode the bytes that it came from with their own encoding",
        ) from error
    return item


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """Cut text into pieces of at most ``size`` characters, after white space wherever there is some.

    Example:
        >>> list(pieces("one two three", 8))
        ['one two ', 'three']
    """
    at = 0
    while len(text) - at > size:
        cut = max(text.rfind(space, at, at + size) for space in _SPACES) + 1
        stop = cut if cut > at else at + size
        yield text[at:stop]
        at = stop
    yield text[at:]


@dataclass(frozen=True)
class TextTokenizer:
    """A model's own tokeniser. Safe to call in several threads.

    Attributes:
        tokenizer: a ``tokenizers.Tokenizer`` that neither pads nor cuts.
        before: ids of the special tokens that open every window, shape (a,).
        after: ids of the special tokens that close every window, shape (b,).
    """

    tokenizer: Any
    before: Int64
    after: Int64

    def ids(self, text: object) -> Int64:
        """The tokens of a text, all of them, without special ones.

        Returns:
            Shape (n,), int64, n at least 1.

        Raises:
            InputError: see this module's docstring.
        """
        found = [self._encode(piece).ids for piece in pieces(check_text(text))]
        return _some(np.concatenate([np.array(part, dtype=np.int64) for part in found]))

    def offsets(self, text: object) -> tuple[Int64, Int64]:
        """The tokens of a text, and which characters each was made of.

        Returns:
            What :meth:`ids` gives, shape (n,); and for each token its first character and one past its last in
            ``text`` as it was given, shape (n, 2), int64. Starts never fall. White space at the ends of a token is
            left out of its characters; marks that combine with its last one are its own where no other token has them.
            Tokens that a tokeniser makes of parts of one character (bytes, say) all have that character. Other
            characters that the normaliser drops, such as NUL, may be in no token.

        Raises:
            InputError: see this module's docstring.
        """
        checked = check_text(text)
        ids: list[Int64] = []
        spans: list[Int64] = []
        at = 0
        for piece in pieces(checked):
            found = self._encode(piece)
            ids.append(np.array(found.ids, dtype=np.int64))
            spans.append(at + _mended(piece, np.array(found.offsets, dtype=np.int64).reshape(-1, 2)))
            at += len(piece)
        return _some(np.concatenate(ids)), np.concatenate(spans)

    @cached_property
    def word_prefix(self) -> str:
        """What a word alone needs before it to become the tokens that it is within a text: nothing, or a space."""
        first, second, both = (self._encode(text).ids for text in ("a", "b", "a b"))
        return "" if both == first + second else " "

    def _encode(self, piece: str) -> Any:
        return self.tokenizer.encode(piece, add_special_tokens=False)

    def window(self, ids: Int64) -> Int64:
        """Ids of a window, opened and closed by the special tokens."""
        return np.concatenate([self.before, ids, self.after])


def _some(ids: Int64) -> Int64:
    if not ids.size:
        raise InputError("empty", "a text must have at least one word. Got only characters that the tokeniser drops")
    return ids


def _mended(piece: str, spans: Int64) -> Int64:
    """Spans of a piece with the marks that combine with their last character, and without white space at their ends.

    The library gives a letter that a normaliser composes (e and an accent to é) the place of its first part alone.
    """
    if not len(spans) or piece.isascii():
        return _trimmed(piece, spans)
    joined = np.fromiter(map(_joins, piece), dtype=np.bool_, count=len(piece))
    ends = np.append(np.flatnonzero(~joined), len(piece))
    start, stop = spans.T
    grown = ends[np.searchsorted(ends, stop)]
    following = np.append(start[1:], len(piece))
    stop = np.where(stop > start, np.maximum(stop, np.minimum(grown, following)), stop)
    return _trimmed(piece, np.stack([start, stop], axis=1))


def _joins(letter: str) -> bool:
    """Whether a character is written onto the one before it: a mark, or a vowel or final of a Korean syllable."""
    return unicodedata.category(letter)[0] == "M" or "\u1160" <= letter <= "\u11ff"


def _trimmed(piece: str, spans: Int64) -> Int64:
    """Spans without white space at their ends; a span of nothing else is left as it is."""
    space = np.fromiter(map(str.isspace, piece), dtype=np.bool_, count=len(piece))
    filled = np.concatenate([[0], np.cumsum(~space)])
    start, stop = spans.T
    kept = filled[stop] > filled[start]
    # the first character that is no space at or after start, and the last before stop
    places = np.append(np.flatnonzero(~space), len(piece))
    first = places[np.minimum(filled[start], len(places) - 1)]
    last = places[np.maximum(filled[stop] - 1, 0)] + 1
    return np.stack([np.where(kept, first, start), np.where(kept, last, stop)], axis=1)


def load_tokenizer(path: Path) -> TextTokenizer:
    """Read a ``tokenizer.json``.

    Raises:
        DataError: the file is no tokeniser.
    """
    library = require("tokenizers", extra="all")
    try:
        tokenizer = library.Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises bare Exception for whatever it cannot read
        raise DataError(f"{path} must be a tokenizer.json. {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    probe = tokenizer.encode("a")
    special = np.array(probe.special_tokens_mask, dtype=np.bool_)
    ids = np.array(probe.ids, dtype=np.int64)
    opening = int(np.argmin(special))
    closing = len(ids) - int(np.argmin(special[::-1]))
    return TextTokenizer(tokenizer, ids[:opening], ids[closing:])
