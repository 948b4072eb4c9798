"""Models of other libraries, by name: exported once to a model folder in the cache, then opened like any other.

=============================  ======================================================================================
``hf:OWNER/NAME[@COMMIT]``     a transformers checkpoint of the hub
``FOLDER``                     a local folder of one: ``config.json``, tensors in safetensors, the tokeniser's files
``FILE.onnx``                  a graph with its ``tokenizer.json`` and a small card beside it (``FILE.card.toml``, or
                               ``card.toml``)
=============================  ======================================================================================

A row of the catalogue may be a checkpoint too: its ``family`` is then ``"transformers"``. The export's key is the hash
of the weights and of the settings, so that other weights are another export and the same ones are never exported twice.
Only the first opening needs PyTorch and transformers; later ones read the graph.

A checkpoint's own code is never run, and tensors are read from safetensors alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from nlp.families import bare
from shared.errors import UsageError
from shared.lazy import require
from shared.weights import Opened, resolve
from shared.weights.exports import alias, exported, remember
from shared.weights.folder import is_model_folder

FAMILY = "transformers"
PREFIX = "hf:"
ADAPTER_CONFIG = "adapter_config.json"


def open_model(name: str | Path | None, *, task: str) -> Opened:
    """A task's model by any name, with its files here and verified; a checkpoint is exported first.

    Raises:
        UnknownNameError: nothing is called that.
        UsageError: the model serves another task.
        MissingDependencyError: the export needs a library that is not installed.
        DataError: the checkpoint cannot be read or exported, or answers differently once it is.
        WeightsError: a file cannot be had.
    """
    opened = resolve(find(name, task=task) or name, task=task)
    if opened.card.family != FAMILY:
        return opened
    library = _library()
    return resolve(exported(library.from_card(opened), task=task, export=library.export), task=task)


def find(name: str | Path | None, *, task: str) -> Path | None:
    """The model folder of a name that is in no catalogue, exported now if it has not been; ``None`` for other names.

    Raises:
        MissingDependencyError, DataError, WeightsError: as :func:`open_model`.
        UsageError: the name is a graph's or a checkpoint's and leads to nothing.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    if path.suffix == bare.SUFFIX and (path.is_file() or os.sep in str(name)):
        return bare.folder(path, task=task)
    if not is_checkpoint(name):
        return None
    known = alias(str(name), task=task) if is_of_hub(name) else None
    if known is not None:
        return known
    library = _library()
    folder = exported(library.from_card(checkpoint(name, task=task, adapters=True)), task=task, export=library.export)
    if is_of_hub(name):
        remember(str(name), folder, task=task)
    return folder


def is_of_hub(name: str | Path) -> bool:
    """Whether a name is one of the hub's.

    Example:
        >>> is_of_hub("hf:owner/name"), is_of_hub("sst2-minilm")
        (True, False)
    """
    return isinstance(name, str) and name.startswith(PREFIX)


def is_checkpoint(name: str | Path) -> bool:
    """Whether a name is a checkpoint's or an adapter's: of the hub, or a folder with its configuration and no card."""
    path = Path(name).expanduser()
    there = any((path / config).is_file() for config in ("config.json", ADAPTER_CONFIG))
    return is_of_hub(name) or (there and not is_model_folder(path))


def checkpoint(name: str | Path, *, task: str, adapters: bool = False) -> Opened:
    """The files of a checkpoint as they are: configuration, tensors and the tokeniser's files, fetched and verified.

    Those of an adapter of peft stand beside those of its base; :mod:`nlp.families.peft` merges them.

    For whoever converts or runs one otherwise than by a graph: :func:`shared.weights.checkpoints.gathered` makes a
    folder of the files, :func:`shared.weights.checkpoints.architecture` says what the checkpoint is.

    Args:
        name: for which :func:`is_checkpoint` is true.
        task: the task that it is to serve.
        adapters: whether an adapter will do.

    Raises:
        UsageError: the name is none of the hub, there is no such folder, or it is an adapter where none will do.
        SourceError: the hub does not answer.
        DataError: there is no checkpoint in safetensors.
        WeightsError: a file cannot be had.
    """
    opened = _files(name, task)
    if ADAPTER_CONFIG not in opened.files:
        return opened
    if not adapters:
        raise UsageError(f"{name} is an adapter, which {task} does not take: merge it into its base with peft first")
    from nlp.families import peft  # noqa: PLC0415 - only an adapter needs what merges it

    named, revision = peft.base_name(opened.files[ADAPTER_CONFIG])
    local = not is_of_hub(name) and Path(named).expanduser().is_dir()
    base = _files(named if local else f"{PREFIX}{named}{f'@{revision}' if revision else ''}", task)
    if ADAPTER_CONFIG in base.files:
        raise UsageError(f"{name} must stand on a checkpoint. {named} is an adapter too: merge that with peft first")
    return peft.over(opened, base)


def _files(name: str | Path, task: str) -> Opened:
    library = _library()
    opened: Opened
    if is_of_hub(name):
        opened = library.from_name(str(name).removeprefix(PREFIX), task=task)
    else:
        opened = library.from_path(Path(name).expanduser(), task=task)
    return opened


def _library() -> ModuleType:
    return require("nlp.families.transformers", extra="torch")
