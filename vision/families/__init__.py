"""Models of other libraries, by name: each is exported once to a model folder in the cache, then opened like any other.

====================================  ==================================================================
``torchvision:NAME[:WEIGHTS]``        a model by name and member of its weights enum; the enum's default when not given
``torchvision:NAME:FILE``             the same with weights from a local file
``ultralytics:FILE``, ``FILE.pt``     a detector or classifier that ultralytics trained
``hf:OWNER/NAME[@COMMIT]``            a transformers checkpoint of the hub; a local folder of one needs no prefix
``FILE.onnx``, ``FILE.tflite``        a bare graph with a small card beside it (``FILE.card.toml`` or ``card.toml``),
                                      or an ONNX file that ultralytics exported, which tells of itself
====================================  ==================================================================

A row of the catalogue may be such a checkpoint too: its ``family`` is then the library's name. The export's key is the
hash of the weights and of the settings, so that other weights are another export and the same ones are never exported
twice. Only the first opening needs the library; later ones read the graph.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.weights import Opened, resolve
from shared.weights.exports import alias, exported, remember
from shared.weights.folder import is_model_folder
from vision.families import bare

LIBRARIES = {
    "torchvision": "vision.families.torchvision",
    "ultralytics": "vision.families.ultralytics",
    "transformers": "vision.families.transformers",
}
"""The module of each library whose checkpoints are read."""
PREFIXES = {"torchvision": "torchvision", "ultralytics": "ultralytics", "hf": "transformers"}
"""What stands before the colon of a name, and the library that it leads to."""
_SUFFIXES = {".pt": "ultralytics"}


def open_model(name: str | Path | None, *, task: str, beside: ModelCard | None = None) -> Opened:
    """A task's model by any name, with its files here and verified; a checkpoint is exported first.

    ``beside`` is as :func:`shared.weights.resolve` takes it.

    Raises:
        UnknownNameError: nothing is called that.
        UsageError: the model serves another task.
        MissingDependencyError: the export needs a library that is not installed.
        DataError: the checkpoint cannot be read or exported, or answers differently once it is.
        WeightsError: a file cannot be had.
    """
    opened = resolve(find(name, task=task) or name, task=task, beside=beside)
    if opened.card.family not in LIBRARIES:
        return opened
    library = _library(opened.card.family)
    return resolve(exported(library.from_card(opened), task=task, export=library.export), task=task)


def find(name: str | Path | None, *, task: str) -> Path | None:
    """The model folder of a name that is in no catalogue, exported now if it has not been; ``None`` for other names.

    Raises:
        MissingDependencyError, DataError, WeightsError: as :func:`open_model`.
        UsageError: the name has a known prefix or ending and leads to nothing.
    """
    if name is None or is_model_folder(Path(name)):
        return None
    prefix, colon, rest = str(name).partition(":")
    if isinstance(name, str) and colon and prefix in PREFIXES:
        return _named(PREFIXES[prefix], rest, name, task)
    path = Path(name).expanduser()
    if path.suffix in bare.GRAPHS and (path.is_file() or os.sep in str(name)):
        return bare.folder(path, task=task)
    if path.suffix == ".pth":
        raise UsageError(f"a .pth file must come with the model that it is for: torchvision:NAME:{path}")
    local = _SUFFIXES.get(path.suffix, "transformers" if (path / "config.json").is_file() else None)
    if local is None or not (path.exists() or os.sep in str(name)):
        return None
    library = _library(local)
    return exported(library.from_path(path, task=task), task=task, export=library.export)


def _named(library_name: str, rest: str, name: str, task: str) -> Path:
    """The export of a prefixed name; what the name meant when it was first used is remembered."""
    known = alias(name, task=task)
    if known is not None:
        return known
    library = _library(library_name)
    path = Path(rest).expanduser()
    if path.suffix in bare.GRAPHS:
        return bare.folder(path, task=task)
    local = path.exists() and (path.suffix in _SUFFIXES or path.is_dir())
    checkpoint = library.from_path(path, task=task) if local else library.from_name(rest, task=task)
    folder = exported(checkpoint, task=task, export=library.export)
    if not local:
        remember(name, folder, task=task)
    return folder


def _library(name: str) -> ModuleType:
    if name not in LIBRARIES:
        raise DataError(f"a checkpoint must be of {', '.join(LIBRARIES)}. Got {name!r} instead")
    return require(LIBRARIES[name], extra="torch")
