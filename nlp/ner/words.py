"""Words of running text and where they stand: what an entity is made of, so that none begins or ends inside a word.

Two rules:

- ``"unicode"``: runs of letters, digits and underscores are words, and any other character that is no white space is a
  word of its own. This is how most tokenisers split before they look words up.
- ``"conll"``: as the newswire of CoNLL-2003 was split. Compounds stay whole (``Anglo-American``, ``1996-08-22``,
  ``1,000``, ``$`` apart), so do initials, abbreviations, addresses and URLs (``U.S.``, ``Mr.``, ``a@b.org``); a
  possessive and a contraction are words of their own (``Japan`` ``'s``, ``do`` ``n't``).

In both, marks belong to the character that they are written on, characters that are not seen (soft hyphens, zero-width
spaces, NUL) do not part the letters around them, the parts of one emoji are one word, and in scripts that are written
without spaces (Han, Kana, Thai, Lao, Khmer, Burmese) every character is a word. Nothing but white space is left out, so
words of one text never overlap and lie in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp.ner.shapes import sentence_starts
from shared.errors import InputError, UnknownNameError
from shared.types import Int64

_MARK = "\u0300"
_JOINER = "\u200c"
_JOINERS = "\u200c\u200d"
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_EMOJI = rf"[\U0001f1e6-\U0001f1ff]{{2}}|[^\w\s]{_MARK}*(?:\u200d[^\w\s]{_MARK}*)*"
_LETTER = rf"[^\W{_UNSPACED}]"
_REST = rf"(?:{_LETTER}|{_MARK}|[{_JOINERS}]+(?={_LETTER}))"
_RUN = rf"{_LETTER}{_REST}*"
_CHARACTER = rf"[{_UNSPACED}]{_MARK}*"
_UNICODE = rf"{_CHARACTER}|{_RUN}|{_EMOJI}|\S{_MARK}*"
_CONLL = "|".join(
    (
        r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)\]}'’]",
        r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
        r"['’](?:s|S|re|RE|ve|VE|ll|LL|d|D|m|M)\b",
        r"[nN]['’][tT]\b",
        rf"(?:{_LETTER}\.){{2,}}(?:-{_RUN})*",
        r"(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Sen|Gov|Gen|Col|Lt|Sgt|Rev|Rep|Inc|Corp|Co|Ltd|vs|Jan|Feb|Mar|Apr|Aug|Sept|Sep|Oct"
        r"|Nov|Dec)\.(?=\s)",
        r"[^\W\d_]\.(?=\s+[^\W\d_])",
        _CHARACTER,
        r"\d+(?:[.,:/-]\d+)+",
        rf"{_LETTER}{_REST}*?(?=[nN]['’][tT]\b)",
        rf"{_RUN}(?:(?!['’](?:s|S|re|RE|ve|VE|ll|LL|d|D|m|M)\b)(?:[-'’&/]|\.(?=[a-z\d])){_RUN})*",
        r"\.{2,}|-{2,}",
        _EMOJI,
        rf"\S{_MARK}*",
    )
)
RULES = {"unicode": re.compile(_UNICODE), "conll": re.compile(_CONLL)}
"""The rules by name."""
_BREAK = re.compile(r"[\n\r\u2028\u2029]")


@dataclass(frozen=True)
class Words:
    """A text and its words.

    Attributes:
        text: as it was given; of words that were given, those joined.
        spans: of each word its first character and one past its last, shape (n, 2), int64, in order.
        starts: positions of the words that begin a sentence, shape (m,), int64.
    """

    text: str
    spans: Int64
    starts: Int64

    @property
    def words(self) -> list[str]:
        """The words themselves."""
        return [self.text[start:stop] for start, stop in self.spans.tolist()]


def split_words(text: str, *, rule: str = "unicode") -> Words:
    """The words of running text.

    A sentence begins at the first word, after a full stop, question or exclamation mark, and after a line break.

    Args:
        text: any text.
        rule: ``"unicode"`` or ``"conll"``; see this module's docstring.

    Raises:
        UnknownNameError: there is no such rule.

    Example:
        >>> split_words("Mr. Lee's U.S.-based firm won 1,000 euros.", rule="conll").words
        ['Mr.', 'Lee', "'s", 'U.S.-based', 'firm', 'won', '1,000', 'euros', '.']
    """
    if rule not in RULES:
        raise UnknownNameError("rule for words", rule, RULES)
    shadow = text if text.isascii() and text.isprintable() else text.translate(_SHADOW)
    spans = np.array([match.span() for match in RULES[rule].finditer(shadow)], dtype=np.int64).reshape(-1, 2)
    words = Words(text, spans, np.empty(0, dtype=np.int64))
    starts = np.array(sentence_starts(words.words), dtype=np.int64)
    breaks = np.array([match.start() for match in _BREAK.finditer(text)], dtype=np.int64)
    after = np.searchsorted(spans[:, 0], breaks)
    return Words(text, spans, np.union1d(starts, after[after < len(spans)]))


def given_words(item: Sequence[str] | Sequence[Sequence[str]]) -> Words:
    r"""Words that were split before, as a text: with a space between words, and a line break between sentences.

    Args:
        item: the words of a sentence, or several sentences of words.

    Raises:
        InputError: a word is no text, is empty or holds white space (``"wrong-type"``), or there is none
            (``"empty"``).

    Example:
        >>> found = given_words([["Lee", "won"], ["Yes"]])
        >>> found.text, found.starts.tolist()
        ('Lee won\nYes', [0, 2])
    """
    nested = bool(item) and not isinstance(item[0], str)
    sentences: Sequence[Sequence[str]] = item if nested else [item]  # type: ignore[list-item]
    spans: list[tuple[int, int]] = []
    starts: list[int] = []
    at = 0
    for sentence in sentences:
        if isinstance(sentence, str) or not isinstance(sentence, Sequence):
            raise InputError("wrong-type", f"a sentence must be a list of words. Got {sentence!r} instead")
        if sentence:
            starts.append(len(spans))
        for word in sentence:
            if not isinstance(word, str) or not word or any(map(str.isspace, word)):
                raise InputError("wrong-type", f"a word must be text without white space. Got {word!r} instead")
            spans.append((at, at + len(word)))
            at += len(word) + 1
    if not spans:
        raise InputError("empty", "a text must have at least one word. Got none")
    text = "\n".join(" ".join(sentence) for sentence in sentences if sentence)
    return Words(text, np.array(spans, dtype=np.int64), np.array(starts, dtype=np.int64))


class _Shadow(dict[int, int]):
    """What a character counts as in the patterns: all marks as one, and all that is not seen as another."""

    def __missing__(self, code: int) -> int:
        letter, kind = chr(code), unicodedata.category(chr(code))
        if kind[0] == "M" or "\U0001f3fb" <= letter <= "\U0001f3ff" or "\U000e0020" <= letter <= "\U000e007f":
            code = ord(_MARK)
        elif kind in ("Cc", "Cf") and not letter.isspace() and letter != "\u200d":
            code = ord(_JOINER)
        self[ord(letter)] = code
        return code


_SHADOW = _Shadow()
