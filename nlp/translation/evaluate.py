"""How good a translator is on pairs of sentences: data, predictor and metrics brought together."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.translation.judged import translation_items
from shared.batch.progress import Progress
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.generation import METRICS, chrf_score, corpus_figures, sentence_chrf, signature
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, mean_interval
from shared.evaluation.report import Evaluation, Gallery, Metric, Shown
from shared.tasks import Option
from shared.types import Failure

FORMATS = ("tsv", "jsonl", "folder")
EVALUATE_OPTIONS = (
    Option("source_column", str, "source", "column or key of the source, where the file names its columns"),
    Option("target_column", str, "target", "column or key of the reference"),
    Option("split", str, None, "in a folder of NAME.LANGUAGE files, the NAME"),
)
LENGTHS = (0, 6, 13, 26, 51)
"""The words from which on a sentence counts to the next slice of lengths."""
_SUFFIXES = {".tsv": "tsv", ".txt": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class SentencePairs:
    """Sentences and their reference translations, in order."""

    sources: tuple[str, ...]
    references: tuple[str, ...]


def read_sentence_pairs(
    dataset: Path,
    *,
    source: str | None,
    target: str,
    format: str | None = None,
    source_column: str = "source",
    target_column: str = "target",
    split: str | None = None,
) -> SentencePairs:
    """Read pairs of sentences.

    Args:
        dataset: a TSV file of two columns (or of named ones), a JSONL file of objects, or a folder with files
            ``NAME.LANGUAGE`` or ``NAME.LANGUAGE.gz``, a sentence a line, such as Multi30k's and FLORES'.
        source: code of the source language, which a folder needs.
        target: code of the target language.
        format: one of :data:`FORMATS`; ``None`` looks.
        source_column: where the columns have names, the source's.
        target_column: where the columns have names, the reference's.
        split: of a folder, the NAME; needed where there are several.

    Raises:
        UsageError: a folder's language or NAME is not said, or ``format`` is none of those.
        DataError: the data is malformed, or empty.
    """
    found = format or ("folder" if dataset.is_dir() else _SUFFIXES.get(dataset.suffix, "tsv"))
    if found not in FORMATS:
        raise UnknownNameError("format of sentence pairs", found, FORMATS)
    if found == "folder":
        rows = _folder(dataset, source, target, split)
    else:
        text = _text(dataset)
        rows = _objects(text, dataset, source_column, target_column) if found == "jsonl" else _columns(
            text, dataset, source_column, target_column
        )  # fmt: skip
    pairs = list(rows)
    if not pairs:
        raise DataError(f"{dataset} must hold pairs of sentences. It holds none")
    return SentencePairs(tuple(left for left, _ in pairs), tuple(right for _, right in pairs))


def _folder(folder: Path, source: str | None, target: str, split: str | None) -> Iterator[tuple[str, str]]:
    if source is None:
        raise UsageError(f"{folder} is a folder of NAME.LANGUAGE files: say the source language too (--source)")
    names = {
        code: {path.name.removesuffix(".gz").removesuffix(f".{code}"): path for path in _of_language(folder, code)}
        for code in (source, target)
    }
    both = sorted(set(names[source]) & set(names[target]))
    if split is not None and split not in both:
        raise UnknownNameError(f"split of {folder} in {source} and {target}", split, both)
    if split is None and len(both) != 1:
        raise UsageError(
            f"{folder} must hold one NAME.{source} and NAME.{target}, or the NAME must be said (--split). "
            f"It holds {', '.join(both) or 'none'}"
        )
    name = split or both[0]
    sides = [_text(names[code][name]).split("\n") for code in (source, target)]
    lines = [side[:-1] if side[-1] == "" else side for side in sides]
    if len(lines[0]) != len(lines[1]):
        raise DataError(
            f"{folder}: {name} must have as many lines in both languages. Got {len(lines[0])}, {len(lines[1])}"
        )
    yield from zip(*lines)


def _of_language(folder: Path, code: str) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.name.removesuffix(".gz").endswith(f".{code}")]


def _text(path: Path) -> str:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be UTF-8 text. {error}") from error


def _objects(text: str, path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
                pair = row[source], row[target]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path}, line {number} must be a JSON object with {source!r} and {target!r}. {error!r}"
                ) from error
            if not all(isinstance(side, str) for side in pair):
                raise DataError(f"{path}, line {number}: both sides must be text. Got {pair!r} instead")
            yield pair


def _columns(text: str, path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    rows = list(csv.reader(text.split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE))
    at = (0, 1)
    if rows and source in rows[0] and target in rows[0]:
        at = rows[0].index(source), rows[0].index(target)
        rows[0] = []
    for number, row in enumerate(rows, 1):
        if row:
            if len(row) <= max(at):
                raise DataError(
                    f"{path}, line {number} must have a source, a tab and a reference. Got {row[:2]} instead"
                )
            yield row[at[0]], row[at[1]]


def evaluate_translation(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    source: str | None = None,
    target: str = "en",
    source_column: str = "source",
    target_column: str = "target",
    split: str | None = None,
    **options: Any,
) -> Evaluation:
    """BLEU, chrF and TER of a translator, with sacrebleu's signatures and bootstrap intervals over sentences.

    ``chrf_sentences`` is the mean of each sentence's own chrF, which is not the chrF of all of them together.

    By class: BLEU and chrF of sentences by their words, and by the language that they are in where it is detected.

    Args:
        dataset: see :func:`read_sentence_pairs`.
        model: as :func:`nlp.translator` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many pairs.
        seed: of the bootstrap.
        source: code of the source language; ``None`` detects it in each sentence (not in a folder).
        target: code of the target language.
        source_column: see :func:`read_sentence_pairs`.
        target_column: see :func:`read_sentence_pairs`.
        split: see :func:`read_sentence_pairs`.
        options: further options of :func:`nlp.translator`.

    Raises:
        UsageError: an argument is out of its range.
        DataError: the data set is malformed.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    data = read_sentence_pairs(
        dataset, source=source, target=target, format=format, source_column=source_column,
        target_column=target_column, split=split,
    )  # fmt: skip
    predictor = nlp.translator(model, source=source, target=target, **options)
    sources, references = data.sources[:limit], data.references[:limit]
    written: list[str] = []
    languages: list[str] = []
    failed = 0
    with Progress(len(sources), done=0) as progress:
        for result in predictor.stream(sources):
            written.append("" if isinstance(result, Failure) else result.text)
            languages.append(source or ("failed" if isinstance(result, Failure) else result.source))
            failed += isinstance(result, Failure)
            progress.add(1, isinstance(result, Failure))
    figures = corpus_figures(written, references, rng=np.random.default_rng(seed))
    figures["chrf_sentences"] = mean_interval(sentence_chrf(written, references), rng=np.random.default_rng(seed))
    notes = {
        "direction": f"{source or 'detected'} to {target}",
        **{f"{name} signature": signature(name) for name in METRICS},
        "interval": f"percentile bootstrap over sentences, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
    }
    return Evaluation(
        "nlp.translation", predictor.card.name, str(dataset), len(sources), failed, figures, notes,
        _slices(sources, references, written, languages, seed),
        sections=lambda most: [_worst(sources, references, written, most)],
        items=partial(translation_items, sources, references, written, languages),
    )  # fmt: skip


def _slices(
    sources: Sequence[str], references: Sequence[str], written: Sequence[str], languages: Sequence[str], seed: int
) -> dict[str, dict[str, Metric]]:
    """Figures of sentences of so many words, and of each language; a slice that holds none or all is left out."""
    words = np.array([len(text.split()) for text in sources])
    spoken = np.array(languages)
    held = {f"from {code}": spoken == code for code in sorted(set(languages))}
    for low, after in pairwise((*LENGTHS, None)):
        name = f"{low} to {after - 1} words" if after else f"{low} words and more"
        held[name] = (words >= low) & (words < (after or np.inf))
    found = {}
    for name, chosen in held.items():
        rows = np.flatnonzero(chosen).tolist()
        if 0 < len(rows) < len(sources):
            found[name] = corpus_figures(
                [written[at] for at in rows],
                [references[at] for at in rows],
                names=("bleu", "chrf"),
                rng=np.random.default_rng(seed),
            )
    return found


def _worst(sources: Sequence[str], references: Sequence[str], written: Sequence[str], most: int) -> Gallery:
    scores = [chrf_score([one], [reference]) for one, reference in zip(written, references)]
    order = sorted(range(len(scores)), key=scores.__getitem__)[:most]
    items = tuple(
        Shown(
            f"{at + 1}: chrF {scores[at]:.0f}", (sources[at], f"reference: {references[at]}", f"answer: {written[at]}")
        )
        for at in order
    )
    return Gallery("Sentences that went wrong", items, "lowest chrF of the sentence first")
