"""What a language model is asked and what it should answer, from files.

- ``jsonl``: one object a line. It is asked by ``prompt`` (a text), ``messages`` (``role`` and ``content`` each; where
  the last is the assistant's, that is the completion), or ``variables`` of a prompt (:mod:`nlp.prompts`). It should
  answer ``completion``. Beside them perhaps: ``answers`` (texts that are right; empty where none is, so that the model
  should say so), ``passages`` (what an answer may rest on; else the variable of that name), ``cites`` (numbers of the
  passages that a right answer cites), ``question``, ``group`` (what it is alike with), ``says`` (texts that must stand
  in what the model is told) and ``id``.
- ``squad``: the JSON of SQuAD; a question becomes the variables ``question`` and ``passages`` (its context).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.prompts.prompt import Prompt
from nlp.prompts.template import ROLES
from nlp.qa.data import read_questions
from nlp.qa.generate import UNKNOWN, Message
from nlp.retrieval.types import Passage
from shared.errors import DataError, UnknownNameError, UsageError

FORMATS = ("jsonl", "squad")
KEYS = frozenset(
    {"id", "prompt", "messages", "variables", "completion", "answers", "passages", "cites", "question", "group", "says"}
)


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        id: its name.
        messages: what the model is told; none where it was not rendered.
        completion: what it should answer, or empty where the row does not say.
        answers: texts that are right; none where no answer is; ``None`` where the row does not say.
        passages: what an answer may rest on.
        cites: numbers of the passages that a right answer cites, from 1; ``None`` where the row does not say.
        question: what is asked, or empty.
        group: what it is alike with.
        says: what must stand in the messages.
    """

    id: str
    messages: tuple[Message, ...]
    completion: str
    answers: tuple[str, ...] | None
    passages: tuple[Passage, ...]
    cites: tuple[int, ...] | None
    question: str
    group: str
    says: tuple[str, ...] = ()

    @property
    def truths(self) -> tuple[str, ...]:
        """The right answers: those that the row names, else its completion."""
        return (self.completion,) if self.answers is None else self.answers


def read_examples(path: Path, *, format: str | None = None, prompt: Prompt | None = None) -> list[Example]:
    """Read a file of what is asked.

    Args:
        path: the file, UTF-8.
        format: one of :data:`FORMATS`; ``None`` takes ``squad`` for a name in ``.json``, else ``jsonl``.
        prompt: what rows with ``variables`` are filled into.

    Raises:
        DataError: the file is malformed, or holds nothing; the message says where.
        UnknownNameError: there is no such format, or a row has a key that is none.
        UsageError: rows have variables and no prompt is named, or do not fit it.
    """
    kind = format or ("squad" if path.suffix.lower() == ".json" else "jsonl")
    if kind not in FORMATS:
        raise UnknownNameError("format of what is asked", kind, FORMATS)
    rows = _squad(path) if kind == "squad" else _lines(path)
    found = [_example(row, at, f"{path}, row {at}", prompt) for at, row in rows]
    if not found:
        raise DataError(f"{path} must hold rows. It holds none")
    twice = len(found) - len({one.id for one in found})
    if twice:
        raise DataError(f"{path}: every row must have an id of its own. {twice} have one that came before")
    return found


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file of JSON lines in UTF-8. {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, row {number} must be JSON. {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, row {number} must be a JSON object. Got a {type(row).__name__} instead")
            yield number, row


def _squad(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, asked in enumerate(read_questions(path, format="squad"), 1):
        yield (
            number,
            {
                "id": asked.id,
                "variables": {"question": asked.question, "passages": [asked.context]},
                "completion": asked.answers[0] if asked.answers else UNKNOWN,
                "answers": list(asked.answers),
                "group": asked.article,
            },
        )


def _example(row: Mapping[str, Any], number: int, where: str, prompt: Prompt | None) -> Example:
    for key in row:
        if key not in KEYS:
            raise UnknownNameError(f"key of {where}", key, KEYS)
    ways = [key for key in ("prompt", "messages", "variables") if key in row]
    if len(ways) != 1:
        raise DataError(f"{where} must have prompt, messages or variables, one of them. Got {ways or 'none'}")
    variables = row.get("variables", {})
    if not isinstance(variables, dict):
        raise DataError(f"{where}: variables must be a table. Got {variables!r:.60} instead")
    completion = _text(row, "completion", where)
    told: Sequence[Message]
    if "prompt" in row:
        told = [{"role": "user", "content": _text(row, "prompt", where)}]
    elif "messages" in row:
        told = check_messages(row["messages"], where)
        if told[-1]["role"] == "assistant":
            completion = completion or told[-1]["content"]
            told = told[:-1]
    elif prompt is None:
        raise UsageError(f"{where} has variables: name the prompt that they are filled into (--prompt)")
    else:
        told = filled(prompt, variables, where)
    answers = _texts(row, "answers", where)
    cites = row.get("cites")
    if cites is not None and not (isinstance(cites, list) and all(type(one) is int and one >= 1 for one in cites)):
        raise DataError(f"{where}: cites must be a list of numbers from 1. Got {cites!r:.60} instead")
    question = row.get("question", variables.get("question", ""))
    identity = str(row.get("id", number))
    return Example(
        identity,
        tuple(told),
        completion,
        answers,
        passages_of(row.get("passages", variables.get("passages", [])), where),
        None if cites is None else tuple(cites),
        str(question),
        str(row.get("group", identity)),
        _texts(row, "says", where) or (),
    )


def filled(prompt: Prompt, variables: Mapping[str, Any], where: str) -> list[dict[str, str]]:
    """A prompt's messages; variables that it does not take are an error, but for what rows hold beside it.

    Raises:
        UsageError: they do not fit; the message says where.
    """
    try:
        return prompt.messages(**variables)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def check_messages(given: Any, where: str) -> list[Message]:
    """Messages as they should be.

    Raises:
        DataError: they are not.
    """
    right = isinstance(given, list) and bool(given)
    for one in given if right else []:
        right = right and isinstance(one, dict) and one.get("role") in ROLES and isinstance(one.get("content"), str)
    if not right:
        raise DataError(
            f"{where}: messages must be a list of objects with a role of {', '.join(ROLES)} and a content. "
            f"Got {given!r:.80} instead"
        )
    return [{"role": one["role"], "content": one["content"]} for one in given]


def passages_of(given: Any, where: str) -> tuple[Passage, ...]:
    """Passages out of texts, or of tables with ``text`` and perhaps ``heading``.

    Raises:
        DataError: they are neither.
    """
    found = []
    for at, one in enumerate(given if isinstance(given, list) else [None], 1):
        table = {"text": one} if isinstance(one, str) else one
        if not isinstance(table, dict) or not isinstance(table.get("text"), str):
            raise DataError(f"{where}: passages must be texts or tables with a text. Got {one!r:.60} instead")
        text, heading = table["text"], str(table.get("heading", ""))
        found.append(Passage(f"passage {at}", None, heading, text, 0, len(text)))
    return tuple(found)


def _text(row: Mapping[str, Any], key: str, where: str) -> str:
    value = row.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} must be a text. Got {value!r:.60} instead")
    return value


def _texts(row: Mapping[str, Any], key: str, where: str) -> tuple[str, ...] | None:
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f"{where}: {key} must be a list of texts. Got {value!r:.60} instead")
    return tuple(value)
