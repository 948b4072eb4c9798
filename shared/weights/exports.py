"""The cache of exported models: ``TRIPTYCH_HOME/exports``, a model folder for each checkpoint and its settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from shared.catalogue import ModelCard
from shared.settings import home
from shared.weights import locate, read_model_folder, write_model_folder
from shared.weights.cache import locked, sha256_of, write_bytes
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
