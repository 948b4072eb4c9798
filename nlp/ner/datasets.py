"""Texts with their entities from files.

- ``conll``: a word a line, columns between white space, a blank line after each sentence, ``-DOCSTART-`` before each
  document. The word is the first column and the tag the last. Tags of any scheme; see :mod:`nlp.spans`.
- ``iob2``: as the Universal NER files: columns between tabs, number, word, tag and more; ``# newdoc`` before each
  document, other lines with ``#`` are remarks.
- ``jsonl``: one JSON object a line, ``{"text": "...", "entities": [[START, STOP, LABEL], ...]}``; ``spans`` and
  ``label`` may stand for ``entities``, and ``{"start", "end", "label"}`` for a list. Offsets count characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.ner.gazetteer import json_row
from nlp.ner.prepare import Item
from nlp.ner.words import given_words
from nlp.spans import Span, spans_of_tags
from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import Option

FORMATS = ("conll", "iob2", "jsonl")
CONTEXTS = ("document", "sentence")
COLUMNS = (
    Option("word_column", int, None, "column of the word in a file of columns, from 0, negative from the end"),
    Option("tag_column", int, None, "column of the tag in a file of columns, from 0, negative from the end"),
)
"""Options of the commands that read tagged words."""
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".iob2": "iob2"}
_DOCUMENT = {"conll": "-DOCSTART-", "iob2": "# newdoc"}
_WORD_AND_TAG = {"conll": (0, -1), "iob2": (1, 2)}
_KEYS = ("entities", "spans", "label")


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence of a file of columns.

    Attributes:
        words: as they stand in the file.
        tags: of each word.
        line: of the file where it begins, from 1.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class EntityTexts:
    """Texts and their entities.

    Attributes:
        items: what a recogniser takes: texts, or sentences of words.
        texts: of each item the text that offsets count in.
        spans: the true entities of each, as characters, sorted.
        lines: line of the file where each begins, from 1.
        documents: number of the document of each, from 0; empty where the file tells of none.
    """

    items: tuple[Item, ...]
    texts: tuple[str, ...]
    spans: tuple[tuple[Span, ...], ...]
    lines: tuple[int, ...]
    documents: tuple[int, ...] = ()


def read_entity_texts(
    path: Path,
    *,
    format: str | None = None,
    context: str = "document",
    word_column: int | None = None,
    tag_column: int | None = None,
) -> EntityTexts:
    """Read a file of texts with entities.

    Args:
        path: the file.
        format: one of :data:`FORMATS`; ``None`` looks at the name's suffix, and then at the first line: a JSON object
            is ``jsonl``, anything else ``conll``.
        context: of a file of columns: ``"document"`` makes an item of each document, in which every sentence is read
            with its neighbours; ``"sentence"`` of each sentence.
        word_column: see :data:`COLUMNS`; ``None`` takes the format's own.
        tag_column: see :data:`COLUMNS`; ``None`` takes the format's own.

    Raises:
        UnknownNameError: there is no such format or context.
        DataError: the file cannot be read, holds nothing, or a line is malformed; the message names it.
    """
    if context not in CONTEXTS:
        raise UnknownNameError("context", context, CONTEXTS)
    text = _decoded(path)
    kind = format or _SUFFIXES.get(path.suffix.lower()) or ("jsonl" if text.lstrip().startswith("{") else "conll")
    if kind not in FORMATS:
        raise UnknownNameError("entity data format", kind, FORMATS)
    numbers: list[int] = []
    if kind == "jsonl":
        rows = list(_of_json(text, path))
    else:
        rows = []
        for number, document in enumerate(_documents(text, path, kind, word_column, tag_column)):
            groups = [document] if context == "document" else [[sentence] for sentence in document]
            rows += [of_sentences(group) for group in groups]
            numbers += [number] * len(groups)
    if not rows:
        raise DataError(f"{path} must hold texts with entities. It holds none")
    items, texts, spans, lines = zip(*rows)
    return EntityTexts(items, texts, spans, lines, tuple(numbers))


def read_documents(
    path: Path, *, format: str = "conll", word_column: int | None = None, tag_column: int | None = None
) -> list[list[TaggedSentence]]:
    """The sentences of each document of a file of columns, with their tags as they stand there.

    Raises:
        DataError: see :func:`read_entity_texts`.
    """
    return list(_documents(_decoded(path), path, format, word_column, tag_column))


def _decoded(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} must be a file of texts with entities. {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}") from error


def _documents(
    text: str, path: Path, kind: str, word_column: int | None, tag_column: int | None
) -> Iterator[list[TaggedSentence]]:
    document: list[TaggedSentence] = []
    for sentence in _sentences(text, path, kind, word_column, tag_column):
        if sentence is not None:
            document.append(sentence)
        elif document:
            yield document
            document = []
    if document:
        yield document


def _sentences(
    text: str, path: Path, kind: str, word_column: int | None, tag_column: int | None
) -> Iterator[TaggedSentence | None]:
    """Sentences in order, and ``None`` where a document begins."""
    usual = _WORD_AND_TAG[kind]
    columns = (usual[0] if word_column is None else word_column, usual[1] if tag_column is None else tag_column)
    rows: list[tuple[str, str]] = []
    begun = 1
    for number, line in enumerate([*text.split("\n"), ""], 1):
        opens = line.startswith(_DOCUMENT[kind])
        if not line.strip() or opens:
            if rows:
                words, tags = zip(*rows)
                yield TaggedSentence(words, tags, begun)
            rows = []
            if opens:
                yield None
        elif kind != "iob2" or not line.startswith("#"):
            begun = begun if rows else number
            rows.append(_row(line, kind, columns, f"{path}, line {number}"))


def _row(line: str, kind: str, columns: tuple[int, int], where: str) -> tuple[str, str]:
    fields = line.rstrip("\r").split("\t") if kind == "iob2" else line.split()
    try:
        word, tag = (fields[at] for at in columns)
    except IndexError as error:
        raise DataError(
            f"{where} must have columns {columns[0]} and {columns[1]}, of the word and its tag. Got {line[:80]!r} "
            "instead: say which they are (--word-column, --tag-column)"
        ) from error
    if not word.strip() or any(map(str.isspace, word)):
        raise DataError(f"{where}: a word must be text without white space. Got {word!r} instead")
    return word, tag


def of_sentences(sentences: Sequence[TaggedSentence]) -> tuple[Item, str, tuple[Span, ...], int]:
    """Sentences as an item: their words, the text that offsets count in, its entities, and the line where it begins."""
    item = [list(sentence.words) for sentence in sentences]
    words = given_words(item)
    spans: list[Span] = []
    at = 0
    for sentence in sentences:
        for start, stop, label in spans_of_tags(sentence.tags):
            spans.append((int(words.spans[at + start, 0]), int(words.spans[at + stop - 1, 1]), label))
        at += len(sentence.words)
    return item, words.text, tuple(spans), sentences[0].line


def _of_json(text: str, path: Path) -> Iterator[tuple[Item, str, tuple[Span, ...], int]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = json_row(line, where)
        listed = next((row[key] for key in _KEYS if key in row), None)
        if not isinstance(row.get("text"), str) or not isinstance(listed, list):
            raise DataError(f'{where} must have a "text" and a list of "entities". Got {sorted(row)} instead')
        yield row["text"], row["text"], tuple(sorted(_span(span, row["text"], where) for span in listed)), number


def _span(span: Any, text: str, where: str) -> Span:
    values = [span.get(key) for key in ("start", "end", "label")] if isinstance(span, dict) else span
    if isinstance(values, list) and len(values) == 3:
        start, stop, label = values
        whole = isinstance(start, int) and isinstance(stop, int) and isinstance(label, str)
        if whole and 0 <= start < stop <= len(text):
            return start, stop, label
    raise DataError(
        f"{where}: an entity must be [START, STOP, LABEL] within the text's {len(text)} characters. "
        f"Got {span!r} instead"
    )


def parse_entity_map(text: str | None) -> dict[str, str]:
    """Read ``"PERSON=PER,GPE=LOC"``: the data set's label for each of the model's.

    Raises:
        UsageError: it is not of that form, or names a model's label twice.

    Example:
        >>> parse_entity_map("PERSON=PER,GPE=LOC")
        {'PERSON': 'PER', 'GPE': 'LOC'}
    """
    pairs: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, label = (piece.strip() for piece in part.partition("="))
        if not (name and equals and label) or name in pairs:
            raise UsageError(f"a label map must read MODEL=DATA,MODEL=DATA,... Got {text!r} instead")
        pairs[name] = label
    return pairs
