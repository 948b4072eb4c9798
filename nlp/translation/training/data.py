"""Pairs of sentences as numbered batches: marks put on both sides, sources with several translations read once.

A file of training text is tab-separated, a left and a right sentence a line, and is called ``DOMAIN.LEFT-RIGHT.tsv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.translation.masking import MARKS, mask
from nlp.translation.training.vocabulary import END, PAD, START, language_token
from shared.errors import DataError
from shared.types import Int64

LONGEST_TOKENS = 120
_NAME = re.compile(r"(?P<domain>[^.]+)\.(?P<left>[a-z]{2})-(?P<right>[a-z]{2})\.tsv")


@dataclass(frozen=True)
class Example:
    """A source sentence and all its translations.

    Attributes:
        source: masked text.
        targets: pairs of a language and masked text.
    """

    source: str
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Batch:
    """Examples of about one length.

    Attributes:
        source: int64 (n, source tokens), padded at the end.
        target: int64 (m, target tokens): start, language, tokens, end, padding.
        rows: int64 (m,), which source each target translates.
    """

    source: Int64
    target: Int64
    rows: Int64


def mask_pair(left: str, right: str) -> tuple[str, str] | None:
    """Both sides with the same marks for the same pieces; ``None`` where one side has pieces that the other has not.

    Numbers count as the same when their figures are.

    Example:
        >>> mask_pair("Delete %s?", "Soll %s gelöscht werden?")
        ('Delete <m1>?', 'Soll <m1> gelöscht werden?')
        >>> mask_pair("In 1990", "1991") is None
        True
    """
    source, target = mask(left), mask(right)
    keys = [_key(piece) for piece in source.pieces]
    found = [_key(piece) for piece in target.pieces]
    if sorted(keys) != sorted(found) or len(set(keys)) != len(keys):
        return None
    numbers = {at + 1: keys.index(key) + 1 for at, key in enumerate(found)}
    return source.text, re.sub(r"<m(\d+)>", lambda mark: f"<m{numbers.get(int(mark[1]), 1)}>", target.text)


def _key(piece: str) -> str:
    return re.sub(r"\D", "", piece) if piece[0].isdigit() else piece


def read_examples(
    folder: Path, directions: Sequence[tuple[str, str]], shares: Mapping[str, float]
) -> dict[str, list[Example]]:
    """The examples of every domain that has a share, and of ``"*"`` all those that are not named, by domain.

    Raises:
        DataError: a domain that is named has no file, or a line has not two fields.
    """
    grouped: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path in sorted(folder.glob("*.tsv")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        domain = named["domain"] if named["domain"] in shares else "*"
        if domain not in shares:
            continue
        for source_language, target_language in directions:
            if {source_language, target_language} == {named["left"], named["right"]}:
                swap = source_language != named["left"]
                for source, target in _masked_pairs(path, swap=swap):
                    grouped.setdefault(domain, {}).setdefault(source, []).append((target_language, target))
    missing = sorted(set(shares) - set(grouped))
    if missing:
        raise DataError(f"{folder} must hold files DOMAIN.LEFT-RIGHT.tsv of {', '.join(missing)}. There are none")
    return {
        domain: [Example(source, tuple(dict.fromkeys(targets))[:6]) for source, targets in rows.items()]
        for domain, rows in grouped.items()
    }


def _masked_pairs(path: Path, *, swap: bool) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
        fields = line.split("\t")
        if len(fields) != 2:
            raise DataError(f"line {number} of {path} must have two fields, separated by a tab. Got {len(fields)}")
        pair = mask_pair(*(fields[::-1] if swap else fields))
        if pair is not None and max(text.count("<m") for text in pair) <= MARKS:
            yield pair


@dataclass(frozen=True)
class Encoded:
    """An example in ids: the source with its end, each target with start, language and end."""

    source: Int64
    targets: tuple[Int64, ...]


def encode_examples(tokenizer: Any, examples: Sequence[Example]) -> list[Encoded]:
    """Ids of examples; those with a side beyond :data:`LONGEST_TOKENS` are left out."""
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    sources = tokenizer.encode_batch([example.source for example in examples])
    flat = [(number, language, text) for number, example in enumerate(examples) for language, text in example.targets]
    targets: list[list[Int64]] = [[] for _ in examples]
    for (number, language, _), encoding in zip(flat, tokenizer.encode_batch([text for _, _, text in flat])):
        if 0 < len(encoding.ids) <= LONGEST_TOKENS:
            begin = [start, tokenizer.token_to_id(language_token(language))]
            targets[number].append(np.array([*begin, *encoding.ids, end]))
    return [
        Encoded(np.array([*encoding.ids, end]), tuple(mine))
        for encoding, mine in zip(sources, targets)
        if mine and 0 < len(encoding.ids) <= LONGEST_TOKENS
    ]


def plan_pass(
    domains: Mapping[str, Sequence[Encoded]],
    shares: Mapping[str, float],
    *,
    tokens: int,
    number: int,
    rng: np.random.Generator,
) -> list[list[Encoded]]:
    """The batches of one pass, shuffled: of every domain its share, the next part of it in every pass.

    Args:
        domains: the examples.
        shares: of each domain, the part that a pass takes of it; above 1 repeats.
        tokens: target tokens of a batch, padding counted, at most (a single example may have more).
        number: of the pass, from 0.
        rng: for the order.
    """
    chosen: list[Encoded] = []
    for domain, examples in sorted(domains.items()):
        count = round(shares[domain] * len(examples))
        at = np.arange(number * count, (number + 1) * count) % len(examples)
        order = np.random.default_rng(len(domain)).permutation(len(examples))
        chosen += [examples[order[place]] for place in at]
    sources = np.array([len(example.source) for example in chosen])
    widths = np.array([max(map(len, example.targets)) for example in chosen])
    order = np.lexsort((rng.random(len(chosen)), sources, widths))
    batches: list[list[Encoded]] = [[]]
    rows = 0
    for place in order:
        example = chosen[place]
        if batches[-1] and widths[place] * (rows + len(example.targets)) > tokens:
            batches.append([])
            rows = 0
        batches[-1].append(example)
        rows += len(example.targets)
    return [batches[place] for place in rng.permutation(len(batches))]


def collate(examples: Sequence[Encoded], pad: int) -> Batch:
    """Examples side by side, padded."""
    targets = [target for example in examples for target in example.targets]
    rows = [number for number, example in enumerate(examples) for _ in example.targets]
    return Batch(_padded([example.source for example in examples], pad), _padded(targets, pad), np.array(rows))


def _padded(rows: Sequence[Int64], pad: int) -> Int64:
    wide = np.full((len(rows), max(len(row) for row in rows)), pad, dtype=np.int64)
    for number, row in enumerate(rows):
        wide[number, : len(row)] = row
    return wide


def pad_id(tokenizer: Any) -> int:
    """The id of the padding."""
    return int(tokenizer.token_to_id(PAD))
