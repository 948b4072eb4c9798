"""A prompt: a folder that says what a language model is told, with which variables, and what it is to answer.

::

    NAME/prompt.toml       name, version, summary, licence, digest, [variables], [output]
    NAME/template.j2       one block a message; see :mod:`nlp.prompts.template`
    NAME/examples.jsonl    the evaluation set: a row an example; see :mod:`nlp.generation.data`
    NAME/figures.json      how models did on it, written by `triptych prompts test NAME --model M --record`

The digest is the sha256 of all that a model is told or must answer. A prompt that states one must have it: whoever
changes the template raises the version and states the new one, so a version always means the same words.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from nlp.prompts.forms import Form, read_form
from nlp.prompts.template import Compiled, compile_template
from shared.errors import DataError, UnknownNameError, UsageError
from shared.weights.folder import is_model_folder

PROMPT, TEMPLATE, EXAMPLES, FIGURES = "prompt.toml", "template.j2", "examples.jsonl", "figures.json"
TYPES = ("text", "number", "whole", "flag", "texts", "passages")
_FIELDS = {"name", "version", "summary", "licence", "digest", "variables", "output"}
_NAME, _VERSION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), re.compile(r"\d+\.\d+\.\d+")
_MISSING: Any = object()


@dataclass(frozen=True)
class Variable:
    """What a prompt takes.

    Attributes:
        name: in the template.
        type: one of :data:`TYPES`. A passage is a text, a table with ``text`` and perhaps ``heading``, or anything
            with those as attributes.
        help: one line.
        default: what it is where it is not given; it must be given where there is none.
    """

    name: str
    type: str
    help: str = ""
    default: Any = _MISSING

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is _MISSING

    def checked(self, value: Any) -> Any:
        """The value as the template takes it: passages as tables of plain texts.

        Raises:
            UsageError: it is of another type.
        """
        kinds = {"text": str, "number": (int, float), "whole": int, "flag": bool}
        if self.type in kinds:
            right = isinstance(value, kinds[self.type]) and (self.type == "flag") == isinstance(value, bool)  # type: ignore[arg-type]
            if right:
                return value
        elif isinstance(value, Sequence) and not isinstance(value, str):
            parts = [_passage(one) if self.type == "passages" else one for one in value]
            if all(isinstance(part, dict if self.type == "passages" else str) for part in parts):
                return parts
        raise UsageError(f"the variable {self.name} must be of type {self.type}. Got {value!r:.80} instead")


@dataclass(frozen=True)
class Prompt:
    """A prompt that was read and checked. Use :func:`read_prompt`, or :func:`nlp.prompts.store.find_prompt` by name.

    Attributes:
        name: lower case, with dashes.
        version: three numbers with dots.
        summary: one line.
        licence: SPDX identifier.
        variables: by name.
        output: what is to be answered.
        source: the template's text.
        folder: where it was read from.
    """

    name: str
    version: str
    summary: str
    licence: str
    variables: Mapping[str, Variable]
    output: Form
    source: str
    folder: Path

    @property
    def digest(self) -> str:
        """The sha256 of template, variables and form, 64 hex digits; neither name nor help nor version is in it."""
        told = {
            "template": self.source.replace("\r\n", "\n").strip(),
            "variables": {
                name: [one.type, None if one.required else one.default] for name, one in sorted(self.variables.items())
            },
            "output": [self.output.kind, self.output.labels, self.output.keys, self.output.unknown],
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def compiled(self) -> Compiled:
        """The template, ready."""
        return compile_template(self.source, str(self.folder / TEMPLATE))

    def messages(self, **values: Any) -> list[dict[str, str]]:
        """What a model is told: ``role`` and ``content`` of each message.

        Args:
            values: the variables.

        Raises:
            UnknownNameError: a variable is none of the prompt's; the message lists near ones.
            UsageError: one is missing or of another type, or the template fails on them.
        """
        for name in values:
            if name not in self.variables:
                raise UnknownNameError(f"variable of the prompt {self.name}", name, self.variables)
        missing = [name for name, one in self.variables.items() if one.required and name not in values]
        if missing:
            wanted = ", ".join(f"{name} ({self.variables[name].type})" for name in missing)
            raise UsageError(f"the prompt {self.name} needs the variables {wanted}. Got {sorted(values) or 'none'}")
        given = {name: one.checked(values.get(name, one.default)) for name, one in self.variables.items()}
        return self.compiled.messages(given)

    def read(self, name: str) -> bytes | None:
        """The bytes of one of its files; ``None`` where it has none."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def figures(self) -> list[dict[str, Any]]:
        """How models did on its examples, as recorded; those of other words than these are left out."""
        content = self.read(FIGURES)
        rows = json.loads(content) if content else []
        return [row for row in rows if row.get("digest") == self.digest]


def read_prompt(folder: Path) -> Prompt:
    """Read and check a prompt.

    Raises:
        DataError: a file is missing or malformed, the template and the variables do not agree, or the content is not
            what the digest says.
        UnknownNameError: a field or type is none that is known; the message lists near ones.
    """
    where = folder / PROMPT
    try:
        table = tomllib.loads(where.read_text("utf-8"))
        source = (folder / TEMPLATE).read_text("utf-8")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{folder} must be a prompt's folder, with {PROMPT} and {TEMPLATE}. {error}") from error
    for field in table:
        if field not in _FIELDS:
            raise UnknownNameError(f"field of {where}", field, _FIELDS)
    name, version = table.get("name"), table.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DataError(f"{where}: name must be of small letters, figures and dashes. Got {name!r} instead")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise DataError(f'{where}: version must be three numbers, like "1.0.0". Got {version!r} instead')
    variables = _variables(table.get("variables", {}), where)
    prompt = Prompt(
        name,
        version,
        str(table.get("summary", "")),
        str(table.get("licence", "unknown")),
        variables,
        read_form(table.get("output", {}), str(where)),
        source,
        folder,
    )
    unknown = sorted(prompt.compiled.uses - set(variables))
    if unknown:
        raise DataError(
            f"{folder / TEMPLATE} must read only variables that {PROMPT} declares: {', '.join(variables) or 'none'}. "
            f"It reads {', '.join(unknown)}"
        )
    unread = sorted(set(variables) - prompt.compiled.uses)
    if unread:
        raise DataError(f"{where}: every variable must be read by {TEMPLATE}. It never reads {', '.join(unread)}")
    stated = table.get("digest")
    if stated is not None and stated != prompt.digest:
        raise DataError(
            f"{where}: the content must be that of version {version}, whose digest is {str(stated)[:16]}. It is "
            f"{prompt.digest}: take the change back, or raise the version and state this digest"
        )
    return prompt


def is_prompt_folder(folder: Path) -> bool:
    """Whether a prompt stands in a folder; one that is packed as a model too."""
    return (folder / PROMPT).is_file()


def packed(folder: Path) -> bool:
    """Whether a prompt's folder is a model folder as well, so that a registry takes it."""
    return is_prompt_folder(folder) and is_model_folder(folder)


def _variables(table: Any, where: Path) -> dict[str, Variable]:
    if not isinstance(table, Mapping):
        raise DataError(f"{where}: variables must be a table. Got {table!r:.40} instead")
    found = {}
    for name, row in table.items():
        if not isinstance(row, Mapping):
            raise DataError(
                f'{where}: variables.{name} must be a table like {{ type = "text" }}. Got {row!r:.40} instead'
            )
        for key in row:
            if key not in ("type", "help", "default"):
                raise UnknownNameError(f"field of variables.{name} in {where}", key, ("type", "help", "default"))
        if row.get("type") not in TYPES:
            raise UnknownNameError(f"type of variables.{name} in {where}", str(row.get("type")), TYPES)
        variable = Variable(name, row["type"], str(row.get("help", "")), row.get("default", _MISSING))
        if not variable.required:
            variable.checked(variable.default)
        found[name] = variable
    return found


def _passage(value: Any) -> Any:
    """A passage as a table of plain texts, so that a template never holds an object of ours."""
    if isinstance(value, str):
        return {"text": value, "heading": ""}
    if is_dataclass(value) and {"text", "heading"} <= {field.name for field in fields(value)}:
        return {"text": str(value.text), "heading": str(value.heading)}  # type: ignore[union-attr]
    if isinstance(value, Mapping) and isinstance(value.get("text"), str) and set(value) <= {"text", "heading"}:
        return {"text": value["text"], "heading": str(value.get("heading", ""))}
    return value if not isinstance(value, dict) else None
