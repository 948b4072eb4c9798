"""Text to token ids: what is refused, and how a text of any length is read in bounded memory.

- What is no ``str`` is refused (``"wrong-type"``); bytes must be decoded by whoever knows their encoding.
- A lone surrogate (half of a UTF-16 pair, from ``errors="surrogateescape"`` for instance) is refused (``"corrupt"``).
- A text without one token is refused (``"empty"``): nothing, white space, or only characters that the tokeniser's
  normaliser drops, such as NUL, other control characters and zero-width spaces. Among other characters those are
  dropped and the text is used.
- Letter case, accents and runs of white space are whatever the model's own ``tokenizer.json`` makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
        found = [self.tokenizer.encode(piece, add_special_tokens=False).ids for piece in pieces(check_text(text))]
        ids = np.concatenate([np.array(part, dtype=np.int64) for part in found])
        if not ids.size:
            raise InputError(
                "empty", "a text must have at least one word. Got only characters that the tokeniser drops"
            )
        return ids

    def window(self, ids: Int64) -> Int64:
        """Ids of a window, opened and closed by the special tokens."""
        return np.concatenate([self.before, ids, self.after])


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
