"""What a translation must carry over as it stands: places to fill in, mark-up, addresses, numbers, code.

Each such piece is taken out before the model sees the sentence and a mark (``<m1>``, ``<m2>``, ...) stands in its
place; a model of ours has learnt to carry marks over. Afterwards each mark is replaced by what it stood for, and the
number of times each came back is checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MARKS = 12
"""Marks that a model's vocabulary holds: ``<m1>`` to ``<m12>``."""

_MARK = re.compile(r"<m(\d{1,2})>")
_KEPT = re.compile(
    r"""
      `[^`\n]{1,200}`                                                     # code
    | <!--.{0,400}?--> | </?[A-Za-z][^<>\n]{0,300}>                       # mark-up
    | &(?:[A-Za-z][A-Za-z0-9]{1,30}|\#\d{1,7}|\#x[0-9A-Fa-f]{1,6});       # entities
    | \b(?:https?|ftp|file|git|ssh)://[^\s<>"']{0,1000}[^\s<>"'.,;:!?)\]}]
    | \bwww\.[^\s<>"']{1,500}[^\s<>"'.,;:!?)\]}]
    | \b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b
    | \$\{[^{}\n]{1,100}\} | \{\{[^{}\n]{1,100}\}\} | \{[^{}\n]{0,100}\}  # ${x} {{x}} {x}
    | (?<![\d%])%(?:\(\w{1,60}\)|\d{1,2}\$)?[-+\#0]{0,3}(?:\d{1,3}|\*)?(?:\.(?:\d{1,3}|\*))?
      (?:hh|h|ll|l|L|z|j|t)?[diouxXeEfgGcsrp](?![A-Za-z])                # %s %-5.2f %(name)s
    | (?<![\d%])%L?\d{1,2}(?!\d)                                          # Qt's %1
    | \b[Xx]\d{1,2}[Xx]\b                                               # looks like a mark of ours
    | \$[A-Za-z_]\w{0,60} | @[A-Za-z_]\w{0,60}@
    | (?<![\w/.])~?(?:/[\w.+*-]{1,100}){2,20}/?(?<![.])                   # paths
    | (?<![\w-])--[A-Za-z][\w-]{0,60}                                     # options of commands
    | (?<![\w.,])\d(?:[\d.,:/\u00a0\u202f-]{0,40}\d)(?!\w)                # numbers of two figures and more
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Masked:
    """A sentence with its kept pieces taken out.

    Attributes:
        text: the sentence with marks in their places.
        pieces: what the first, second, ... mark stands for.
    """

    text: str
    pieces: tuple[str, ...]


def mask(
    text: str,
    *,
    extra: Sequence[tuple[int, int, str]] = (),
    last: Sequence[tuple[int, int]] = (),
    limit: int = MARKS,
) -> Masked:
    """Take out of a sentence what must be carried over as it stands.

    Args:
        text: one sentence.
        extra: further spans ``(start, end, what shall stand in the translation)``, say of a glossary; they go before
            what is found here where the two overlap.
        last: further spans to carry over, which give way to all others.
        limit: marks at most; what is beyond is left in the text.

    Example:
        >>> mask("Write {count} mails to a@b.org by 17:30.")
        Masked(text='Write <m1> mails to <m2> by <m3>.', pieces=('{count}', 'a@b.org', '17:30'))
    """
    spans = list(extra)
    for start, end in (*(found.span() for found in _KEPT.finditer(text)), *last):
        if all(end <= left or right <= start for left, right, _ in spans):
            spans.append((start, end, text[start:end]))
    parts: list[str] = []
    pieces: list[str] = []
    at = 0
    for start, end, piece in sorted(spans):
        if start < at:
            continue
        if piece in pieces:
            number = pieces.index(piece) + 1
        elif len(pieces) == limit:
            continue
        else:
            pieces.append(piece)
            number = len(pieces)
        parts += [text[at:start], f"<m{number}>"]
        at = end
    return Masked("".join(parts) + text[at:], tuple(pieces))


def unmask(text: str, pieces: Sequence[str]) -> str:
    """Put back what the marks stand for; a mark that stands for nothing is dropped.

    Example:
        >>> unmask("<m2> und <m1>", ["eins", "zwei"])
        'zwei und eins'
    """

    def piece(found: re.Match[str]) -> str:
        number = int(found.group(1))
        return pieces[number - 1] if 1 <= number <= len(pieces) else ""

    return _MARK.sub(piece, text)


def marks(text: str) -> dict[int, int]:
    """How often each mark stands in a text, by its number.

    Example:
        >>> marks("<m2> <m1> <m2>")
        {1: 1, 2: 2}
    """
    found: dict[int, int] = {}
    for number in _MARK.findall(text):
        found[int(number)] = found.get(int(number), 0) + 1
    return dict(sorted(found.items()))
