"""The cache of exported models: ``TRIPTYCH_HOME/exports``, a model folder for each checkpoint and its settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from shared.catalogue import ModelCard, read
from shared.errors import DataError, UsageError
from shared.settings import home
from shared.weights import locate, read_model_folder, write_model_folder
from shared.weights.cache import CARD_NAME, locked, sha256_of, write_bytes
from shared.weights.folder import is_model_folder
from shared.weights.words import say

VERSION = 1
"""Of what an export is like; a change makes every checkpoint be exported anew."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of another library that lie on this machine.

    Attributes:
        library: whose they are; empty for a graph that needs no export.
        name: a plain name for the exported model.
        files: their paths by name.
        settings: what else decides how the exported model answers.
        licence: SPDX identifier of the weights' licence.
        opt_in: why the model must be chosen by name, or empty.
    """

    library: str
    name: str
    files: Mapping[str, Path]
    settings: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "unknown"
    opt_in: str = ""


@dataclass(frozen=True)
class Exported:
    """What an export gives: the card, and the content of its files by name."""

    card: ModelCard
    files: Mapping[str, bytes]


Export: TypeAlias = Callable[[Checkpoint, str], Exported]
"""From a checkpoint and the task that it is to serve to the exported model."""


def exported(checkpoint: Checkpoint, *, task: str, export: Export) -> Path:
    """The model folder of a checkpoint; made now unless it is there. One process makes it, others wait.

    Raises:
        DataError: the checkpoint cannot be exported.
        WeightsError: the folder cannot be written.
    """
    folder = _root() / f"{plain_name(checkpoint.name)}-{_key(checkpoint, task)[:16]}"
    if _is_whole(folder):
        return folder
    with locked(str(folder), what=f"{checkpoint.name} (it exports it)"):
        if _is_whole(folder):
            return folder
        if checkpoint.library:
            say(f"exporting {checkpoint.name} of {checkpoint.library}, once; it is then kept in {folder}")
        made = export(checkpoint, task)
        write_model_folder(folder, made.card, made.files)
    return folder


def alias(name: str, *, task: str) -> Path | None:
    """The folder to which a name led before, where that is still whole."""
    known = _aliases().get(f"{task} {name}")
    folder = _root() / known if known else None
    return folder if folder and _is_whole(folder) else None


def remember(name: str, folder: Path, *, task: str) -> None:
    """Keep where a name led to, so that later openings need neither the network nor the library."""
    with locked("exports/names.json"):
        table = _aliases() | {f"{task} {name}": folder.name}
        write_bytes(_root() / "names.json", json.dumps(table, indent=1, sort_keys=True).encode() + b"\n")


def plain_name(text: str) -> str:
    """A name that a card and a folder can have.

    Example:
        >>> plain_name("facebook/detr resnet-50")
        'facebook-detr-resnet-50'
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-") or "model"


def _root() -> Path:
    return home() / "exports"


def _aliases() -> dict[str, str]:
    try:
        table = json.loads((_root() / "names.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(folder) for name, folder in table.items() if Path(str(folder)).name == folder}


def _key(checkpoint: Checkpoint, task: str) -> str:
    hashes = sorted((name, sha256_of(path)) for name, path in checkpoint.files.items())
    facts = [VERSION, checkpoint.library, task, dict(checkpoint.settings), hashes]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_whole(folder: Path) -> bool:
    return is_model_folder(folder) and all(locate(read_model_folder(folder)).values())


def folder_around(graph: Path) -> Path | None:
    """The folder of a graph file where that is the model folder that lists it.

    Raises:
        UsageError: there is no such file.
    """
    if not graph.is_file():
        raise UsageError(f"a graph must be an existing file. Nothing stands at {graph}")
    if is_model_folder(graph.parent):
        listed = read(graph.parent / CARD_NAME)
        if any(graph.name == file.name for card in listed for file in card.files):
            return graph.parent
    return None


def small_card(graph: Path) -> ModelCard | None:
    """The card beside a bare graph file, ``NAME.card.toml`` or ``card.toml``; ``None`` without one.

    Raises:
        DataError: it is malformed, or describes several models.
    """
    for place in (graph.with_name(f"{graph.stem}.{CARD_NAME}"), graph.with_name(CARD_NAME)):
        if place.is_file():
            cards = read(place)
            if len(cards) != 1:
                raise DataError(f"{place} must describe one model. Got {[card.name for card in cards]} instead")
            return replace(cards[0], files=())
    return None


def bare(graph: Path, card: ModelCard | None, files: Mapping[str, Path], *, task: str) -> Path:
    """The model folder, in the cache, of a bare graph file and its small card.

    Raises:
        UsageError: there is no card, or it is of another task.
    """
    if card is None:
        raise UsageError(
            f"{graph} must have a small card beside it that says its task, family and options: "
            f"{graph.stem}.{CARD_NAME}, as 'triptych models show --card NAME' prints one"
        )
    if card.task != task:
        raise UsageError(f"{graph} must be a model of {task}. Its card says {card.task}")
    settings = {"family": card.family, "options": repr(sorted(card.options.items())), "backend": card.backend}

    def export(*_: object) -> Exported:
        return Exported(card, {name: path.read_bytes() for name, path in files.items()})

    return exported(Checkpoint("", card.name, files, settings), task=task, export=export)
