"""Labelled stretches of a sequence: how tags mark them, and which of several that overlap is kept.

Tags are ``O``, or a prefix, a hyphen and a label (``B-PER``). The schemes, after L. Ramshaw and M. Marcus, "Text
chunking using transformation-based learning" (1995) and E. Tjong Kim Sang and J. Veenstra, "Representing text chunks"
(1999):

- ``BIO`` (IOB2): ``B`` begins every span, ``I`` goes on with it.
- ``IOB1``: ``I`` everywhere, ``B`` only where a span follows another of its label at once.
- ``BIOES`` (``BILOU``, ``BMEWO``): ``B`` and ``E`` are the ends of a longer span, ``S`` is a span of one.
- ``IO``: neighbours of one label are one span; a tag may be the bare label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

from shared.errors import UnknownNameError, UsageError

SCHEMES = ("BIO", "BIOES", "IO", "IOB1")
Span: TypeAlias = tuple[int, int, str]
"""First position, one past the last, label."""
T = TypeVar("T")
_USUAL = {"L": "E", "U": "S", "W": "S", "M": "I"}
_BEGINS, _ENDS = ("B", "S"), ("E", "S")


def parse_tag(tag: str) -> tuple[str, str]:
    """A tag's prefix, one of ``B I E S O``, and its label; a bare label goes on (``I``).

    Example:
        >>> parse_tag("B-PER"), parse_tag("U-ORG"), parse_tag("O"), parse_tag("LOC")
        (('B', 'PER'), ('S', 'ORG'), ('O', ''), ('I', 'LOC'))
    """
    prefix, hyphen, label = tag.partition("-")
    prefix = _USUAL.get(prefix, prefix)
    if hyphen and prefix in ("B", "I", "E", "S"):
        return prefix, label
    return ("O", "") if tag in ("O", "") else ("I", tag)


def spans_of_tags(tags: Sequence[str]) -> list[Span]:
    """The spans that tags mark, whatever their scheme, as the CoNLL-2000 script reads them.

    A span begins at ``B`` or ``S``, where the label changes, and after an end; so an ``I`` or ``E`` that follows no
    beginning begins one. This is seqeval's default mode.

    Example:
        >>> spans_of_tags(["I-LOC", "B-LOC", "I-LOC", "O", "I-PER", "I-ORG", "S-ORG"])
        [(0, 1, 'LOC'), (1, 3, 'LOC'), (4, 5, 'PER'), (5, 6, 'ORG'), (6, 7, 'ORG')]
    """
    found: list[Span] = []
    start, before, label = 0, "O", ""
    for at, tag in enumerate([*tags, "O"]):
        prefix, name = parse_tag(tag)
        if before != "O" and (prefix in ("B", "S", "O") or before in _ENDS or name != label):
            found.append((start, at, label))
            before = "O"
        if prefix != "O" and before == "O":
            start, label = at, name
        before = prefix
    return found


def strict_spans_of_tags(tags: Sequence[str], *, scheme: str) -> list[Span]:
    """The spans that tags mark without a fault; a broken one is none. This is seqeval's strict mode.

    Args:
        tags: of one sequence.
        scheme: ``"BIO"`` or ``"BIOES"``; in the others no tags are at fault.

    Raises:
        UnknownNameError: there is no such scheme.

    Example:
        >>> strict_spans_of_tags(["I-PER", "O", "B-LOC", "I-LOC", "I-ORG"], scheme="BIO")
        [(2, 4, 'LOC')]
    """
    _check_scheme(scheme)
    if scheme in ("IO", "IOB1"):
        return spans_of_tags(tags)
    parsed = [*map(parse_tag, tags), ("O", "")]
    found: list[Span] = []
    for start, (prefix, label) in enumerate(parsed):
        if prefix not in ("B", "S") or (prefix == "S" and scheme == "BIO"):
            continue
        stop = start + 1
        if prefix == "B":
            while parsed[stop] == ("I", label):
                stop += 1
            if scheme == "BIOES":
                if parsed[stop] != ("E", label):
                    continue
                stop += 1
        found.append((start, stop, label))
    return found


def tags_of_spans(spans: Iterable[Span], n: int, *, scheme: str = "BIO") -> list[str]:
    """The tags that mark spans.

    Args:
        spans: none overlapping another, each within the sequence; in any order.
        n: length of the sequence.
        scheme: one of :data:`SCHEMES`.

    Raises:
        UnknownNameError: there is no such scheme.
        UsageError: spans overlap or lie outside.

    Example:
        >>> tags_of_spans([(0, 2, "LOC"), (2, 3, "LOC")], 4, scheme="BIOES")
        ['B-LOC', 'E-LOC', 'S-LOC', 'O']
    """
    _check_scheme(scheme)
    tags = ["O"] * n
    last = (0, "")
    for start, stop, label in sorted(spans):
        if not last[0] <= start < stop <= n:
            raise UsageError(f"spans must not overlap and must lie in 0..{n}. Got {start}..{stop} after {last[0]}")
        tags[start:stop] = [f"I-{label}"] * (stop - start)
        if scheme in ("BIO", "BIOES") or (scheme == "IOB1" and last == (start, label)):
            tags[start] = f"B-{label}"
        if scheme == "BIOES":
            tags[stop - 1] = f"E-{label}" if stop - start > 1 else f"S-{label}"
        last = (stop, label)
    return tags


def without_overlaps(spans: Iterable[tuple[int, int, T]]) -> list[tuple[int, int, T]]:
    """Spans of which none overlaps another, in order: a span is left out where one given before it stands.

    Args:
        spans: first position, one past the last, anything; those that matter most first.

    Example:
        >>> without_overlaps([(4, 9, "model"), (0, 5, "list"), (9, 9, "empty"), (9, 12, "list")])
        [(4, 9, 'model'), (9, 12, 'list')]
    """
    kept: list[tuple[int, int, T]] = []
    for span in spans:
        at = _place(kept, span[0])
        free = (at == 0 or kept[at - 1][1] <= span[0]) and (at == len(kept) or span[1] <= kept[at][0])
        if free and span[0] < span[1]:
            kept.insert(at, span)
    return kept


def _place(spans: Sequence[tuple[int, int, T]], start: int) -> int:
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if spans[middle][0] < start:
            low = middle + 1
        else:
            high = middle
    return low


def _check_scheme(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise UnknownNameError("scheme of tags", scheme, SCHEMES)
