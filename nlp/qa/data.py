"""Questions with contexts and true answers, from files.

- ``squad``: the JSON of SQuAD 1.1 and 2.0: ``data``, ``paragraphs``, ``qas``. Either version; a question is without an
  answer where ``is_impossible`` says so, or where a 2.0 file lists none for it.
- ``jsonl``: one object a line: ``question``, ``context``, ``answers`` (a list of texts; empty for none) and perhaps
  ``id`` and ``article``.
- ``csv``, ``tsv``: a header line with ``question``, ``context`` and either ``answer`` (one text, empty for none) or
  ``answers`` (with ``|`` between several), perhaps ``id`` and ``article``; other columns are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlp.datasets import DELIMITERS, table_rows
from shared.errors import DataError, UnknownNameError

FORMATS = ("squad", "jsonl", "csv", "tsv")
SEVERAL = "|"
"""What stands between the answers of one question in a table's column ``answers``."""
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}


@dataclass(frozen=True)
class Question:
    """A question whose answer is known.

    Attributes:
        id: of the question.
        question: its text.
        context: where the answer stands.
        answers: the true answers' texts; empty where there is none.
        article: what its context is from; questions of one article are alike.
        starts: first character of each answer in the context, where the file states it; else empty.
    """

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    article: str
    starts: tuple[int, ...] = field(default=(), compare=False)


def read_questions(path: Path, *, format: str | None = None) -> list[Question]:
    """Read a file of questions.

    Args:
        path: the file, UTF-8.
        format: one of :data:`FORMATS`; ``None`` takes the one that the name ends in, else ``squad``.

    Raises:
        UnknownNameError: there is no such format.
        DataError: the file cannot be read, is malformed, or holds no question; the message says where.
    """
    kind = format or _SUFFIXES.get(path.suffix.lower(), "squad")
    if kind not in FORMATS:
        raise UnknownNameError("question data format", kind, FORMATS)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file of questions in UTF-8. {error}") from error
    found = list(_table(text, path, DELIMITERS[kind]) if kind in DELIMITERS else _READERS[kind](text, path))
    if not found:
        raise DataError(f"{path} must hold questions. It holds none")
    return found


def _squad(text: str, path: Path) -> Iterator[Question]:
    data = _parsed(text, str(path))
    for at, article in enumerate(_list(data, "data", str(path))):
        place = f"{path}, data[{at}]"
        title = article.get("title") or str(at) if isinstance(article, dict) else ""
        for number, paragraph in enumerate(_list(article, "paragraphs", place)):
            where = f"{place}.paragraphs[{number}]"
            context = _text(paragraph, "context", where)
            for one, asked in enumerate(_list(paragraph, "qas", where)):
                here = f"{where}.qas[{one}]"
                question = _text(asked, "question", here)
                answers = tuple(_text(answer, "text", here) for answer in _list(asked, "answers", here))
                starts = tuple(answer.get("answer_start") for answer in asked["answers"])
                if asked.get("is_impossible"):
                    answers, starts = (), ()
                known = starts if all(isinstance(start, int) for start in starts) else ()
                name = str(asked.get("id", f"{at}/{number}/{one}"))
                yield Question(name, question, context, answers, str(title), known)


def _jsonl(text: str, path: Path) -> Iterator[Question]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _parsed(line, where)
        question, context = _text(row, "question", where), _text(row, "context", where)
        answers = _list(row, "answers", where)
        if not all(isinstance(answer, str) for answer in answers):
            raise DataError(f"{where}: answers must be texts. Got {answers!r:.80} instead")
        yield Question(str(row.get("id", number)), question, context, tuple(answers), str(row.get("article", context)))


def _table(text: str, path: Path, delimiter: str) -> Iterator[Question]:
    rows = table_rows(text, path, delimiter)
    header = next(rows)[1]
    answer = next((name for name in ("answers", "answer") if name in header), None)
    missing = [name for name in ("question", "context") if name not in header] + ["answer"] * (answer is None)
    if missing or answer is None:
        raise DataError(
            f"{path}, line 1 must name the columns question, context and answer or answers. It lacks "
            f"{', '.join(missing)}: got {header[:12]}"
        )
    for number, row in rows:
        cells = dict(zip(header, row))
        for name in ("question", "context"):
            if not cells[name].strip():
                raise DataError(f"{path}, line {number} must have a {name}. Got {cells[name]!r} instead")
        parts = cells[answer].split(SEVERAL) if answer == "answers" else [cells[answer]]
        answers = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
        context = cells["context"]
        yield Question(
            cells.get("id") or str(number), cells["question"], context, answers, cells.get("article") or context
        )


_READERS = {"squad": _squad, "jsonl": _jsonl}


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} must be JSON. {error}") from error


def _list(row: Any, key: str, where: str) -> list[Any]:
    found = row.get(key) if isinstance(row, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{where} must have a list {key!r}. Got {row!r:.80} instead")
    return found


def _text(row: Any, key: str, where: str) -> str:
    found = row.get(key) if isinstance(row, dict) else None
    if not isinstance(found, str):
        raise DataError(f"{where} must have a text {key!r}. Got {row!r:.80} instead")
    return found
