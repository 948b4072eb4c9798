"""Labelled texts from files.

- ``csv``, ``tsv``: a header line, then rows; quoted as CSV is, in TSV too.
- ``jsonl``: one JSON object a line.
- ``lines``: ``label text`` a line, the label up to the first space (the layout of the SST and TREC releases).

Columns are called ``text`` and ``label`` unless other names are given. A label may be any string; numbers in JSON are
read as their digits. Where a text may have several labels, or none, they stand in one field with ``|`` between, in JSON
also as a list, then perhaps under ``labels``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import Option

FORMATS = ("csv", "tsv", "jsonl", "lines")
COLUMNS = (
    Option("text_column", str, "text", "column of a table that holds the text"),
    Option("label_column", str, "label", "column of a table that holds the label"),
    Option("label_separator", str, None, "what stands between the labels of one text; lists of JSON need none"),
    Option("encoding", str, "utf-8", "encoding of the file"),
)
"""Options of the commands that read labelled texts."""
LABEL, LABELS = "label", "labels"
SEVERAL = "|"
"""What stands between the labels of a text that has several."""
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
_FIELD = 1 << 28  # the csv module's own limit of 128 KiB is shorter than a long document


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and what they are.

    Attributes:
        texts: length n, as they stand in the file.
        labels: length n; where a text may have several their names, sorted, with ``|`` between.
        lines: line of the file where each begins, from 1.
        sets: the labels of each text, sorted, length n; ``None`` where each text has one.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]
    sets: tuple[tuple[str, ...], ...] | None = None


def read_labelled_texts(
    path: Path,
    *,
    format: str | None = None,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    several: bool | None = False,
    label_separator: str | None = None,
) -> LabelledTexts:
    """Read a file of labelled texts.

    Args:
        path: the file.
        format: one of :data:`FORMATS`; ``None`` looks at the name's suffix, and then at the first line: a JSON object
            is ``jsonl``, anything else ``lines``.
        text_column: where a row keeps its text.
        label_column: where a row keeps its label.
        encoding: of the file; a byte-order mark of UTF-8 is passed over.
        several: whether a text may have several labels or none; ``None`` looks: it may where ``label_separator`` is
            given, or where JSON has a list of labels.
        label_separator: what stands between them in one field; ``None`` for ``|``.

    Raises:
        UsageError: there is no such encoding.
        UnknownNameError: there is no such format.
        DataError: the file cannot be read, holds no row, or a row is malformed; the message names the line.
    """
    if label_separator is not None and not label_separator.strip():
        raise UsageError(f"label_separator must be a character at least, no space. Got {label_separator!r} instead")
    text = _decoded(path, encoding)
    kind = format or _SUFFIXES.get(path.suffix.lower()) or ("jsonl" if text.lstrip().startswith("{") else "lines")
    if kind not in FORMATS:
        raise UnknownNameError("text data format", kind, FORMATS)
    if kind == "lines":
        rows = _lines(text, path)
    elif kind == "jsonl":
        rows = _jsonl(text, path, text_column, label_column)
    else:
        rows = _table(text, path, DELIMITERS[kind], text_column, label_column)
    found = list(rows)
    if not found:
        raise DataError(f"{path} must hold labelled texts. It holds none")
    lines, labels, texts = zip(*found)
    if several is None:
        several = label_separator is not None or any(isinstance(label, list) for label in labels)
    if not several:
        return LabelledTexts(texts, tuple(_label(label, path, line) for line, label in zip(lines, labels)), lines)
    sets = tuple(_labels(label, path, line, label_separator or SEVERAL) for line, label in zip(lines, labels))
    return LabelledTexts(texts, tuple(map(SEVERAL.join, sets)), lines, sets)


def _decoded(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except OSError as error:
        raise DataError(f"{path} must be a file of labelled texts. {error.strerror}") from error
    except LookupError as error:
        raise UsageError(f"encoding must be one that Python knows, utf-8 or latin-1 say. Got {encoding!r}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {encoding}. "
            "Name the file's own encoding (--encoding latin-1, say)"
        ) from error


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, without their ends, and their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _lines(text: str, path: Path) -> Iterator[tuple[int, Any, str]]:
    for number, line in _numbered(text):
        label, space, rest = line.partition(" ")
        if not label or not space:
            raise DataError(f"{path}, line {number} must be 'label text'. Got {line[:60]!r} instead")
        yield number, label, rest


def _jsonl(text: str, path: Path, text_column: str, label_column: str) -> Iterator[tuple[int, Any, str]]:
    for number, line in _numbered(text):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number} must be a JSON object. {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number} must be a JSON object. Got {line[:60]!r} instead")
        at = LABELS if label_column == LABEL and LABEL not in row and LABELS in row else label_column
        _check_columns(row, path, number, text_column, at)
        yield number, row[at], _text(row[text_column], path, number)


def _table(
    text: str, path: Path, delimiter: str, text_column: str, label_column: str
) -> Iterator[tuple[int, Any, str]]:
    rows = table_rows(text, path, delimiter)
    header = next(rows)[1]
    _check_columns(header, path, 1, text_column, label_column)
    text_at, label_at = header.index(text_column), header.index(label_column)
    for number, row in rows:
        yield number, row[label_at], row[text_at]


def table_rows(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not blank, the header first, and the line where each begins.

    Args:
        text: of the file, its line ends as they stand there.
        path: for messages.
        delimiter: between fields, which are quoted as CSV's are.

    Raises:
        DataError: a row is malformed, or has not as many fields as the header; the message names the line.
    """
    csv.field_size_limit(_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        header = next(reader, [])
        yield number, header
        number = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, line {number} must have {len(header)} fields, as the header has. Got {len(row)} instead"
                )
            if row:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {number}: {error}") from error


def _check_columns(columns: Any, path: Path, line: int, *wanted: str) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise DataError(
            f"{path}, line {line} must have a column {missing[0]!r}. Got {list(columns)[:12]} instead: "
            "say which they are (--text-column, --label-column)"
        )


def _text(value: Any, path: Path, line: int) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}, line {line}: a text must be a string. Got {value!r} instead")
    return value


def _labels(value: Any, path: Path, line: int, separator: str) -> tuple[str, ...]:
    """The labels of a text that may have several or none, sorted, each once."""
    if isinstance(value, list):
        return tuple(sorted({_label(part, path, line) for part in value}))
    parts = value.split(separator) if isinstance(value, str) else [_label(value, path, line)]
    return tuple(sorted({name for part in parts if (name := part.strip())}))


def _label(value: Any, path: Path, line: int) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{path}, line {line}: a label must be a string or a whole number. Got {value!r} instead")
