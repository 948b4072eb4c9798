"""A whole predictor in one folder that opens anywhere: on an empty machine, offline, with the light install.

::

    FOLDER/card.toml            its catalogue row, without sources: task, family, options, labels, each file's hash
    FOLDER/model.onnx ...       the files that it runs from; an adapter is merged with its base, a checkpoint exported
    FOLDER/with/NAME/           a model folder for each model that it opens by name: an encoder, a face detector
    FOLDER/README.md ...        whatever else stood in its model folder: its page, its report, a profile
    FOLDER/manifest.json        size and sha256 of every file above

The folder is a model folder, so every opener and command takes it. Its digest is the sha256 of the manifest: the same
model always has the same one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared import catalogue
from shared.catalogue import ModelCard, ModelFile
from shared.errors import DataError, HashMismatchError, UnknownNameError, UsageError, WeightsError
from shared.tasks import find_task, task_names
from shared.weights import Opened, read_model_folder, resolve
from shared.weights.cache import CARD_NAME, sha256_of, write_bytes, writing
from shared.weights.folder import is_model_folder, to_toml
from shared.weights.named import COMPANIONS, named

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Portable:
    """A portable folder.

    Attributes:
        folder: where it lies.
        card: the model's card in it.
        digest: 64 hex digits that say what is in it.
        size: bytes of its files.
    """

    folder: Path
    card: ModelCard
    digest: str
    size: int


def export(model: str | Path | None, folder: str | Path, *, task: str | None = None) -> Portable:
    """Write everything that a model needs into one new folder.

    Args:
        model: a catalogue name, a model folder, or whatever else the task opens; ``None`` takes the task's default.
        folder: where to; it must be new or empty. It appears when it is whole.
        task: which task the model is of; needed where ``model`` is neither in the catalogue nor a model folder.

    Raises:
        UsageError: the folder holds something already, or the task is needed and not said.
        UnknownNameError: nothing is called that.
        DataError: the model has files that no folder can hold.
        WeightsError: a file cannot be had, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as there:
        ...     export("language-id", f"{there}/mine").card.name
        'language-id'
    """
    out = Path(folder).expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"the folder must be new or empty. Something stands in {out} already")
    with staged(out) as staging:
        write(model, staging, task=task)
        put(staging, out)
    return read_portable(out)


def write(model: str | Path | None, folder: Path, *, task: str | None = None) -> None:
    """Write into an empty folder what :func:`export` does, in no certain order: nobody must look before it is done."""
    name = named(model)
    main, *others = _whole(name, task or task_of(name))
    beside: dict[str, Opened] = {}
    for other in others:
        if other.card.name in beside:
            raise DataError(f"{main.card.name} opens two models called {other.card.name!r}: rename one of them")
        beside[_place_of(main.card, other)] = other
    theirs = {file.sha256 for other in beside.values() for file in other.card.files}
    own = {file: path for file, path in main.files.items() if main.card.file(file).sha256 not in theirs}
    _write_one(main.card, own, folder)
    for place, other in beside.items():
        _write_one(other.card, other.files, folder / COMPANIONS / place)
    _carry(main.card, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "size": path.stat().st_size} for path in files
    }
    content = {"format": FORMAT, "files": rows}
    write_bytes(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def task_of(model: str | Path | None) -> str:
    """The task of a catalogue's model or of a model folder.

    Raises:
        UsageError: there is no name.
        UnknownNameError: it is neither.
    """
    if model is None:
        raise UsageError(f"say the model, or the task whose default it is: {', '.join(task_names())}")
    rows = {card.name: card.task for card in catalogue.cards()}
    if isinstance(model, str) and model in rows:
        return rows[model]
    if is_model_folder(Path(model).expanduser()):
        return read_model_folder(Path(model).expanduser()).task
    raise UnknownNameError(
        "model or model folder", str(model), rows, ". Say the task of a name of another kind (--task)"
    )


def read_portable(folder: Path, *, digest: str | None = None) -> Portable:
    """A portable folder with every byte checked.

    Args:
        folder: what :func:`export` wrote.
        digest: what it must hold; ``None`` for whatever its manifest says.

    Raises:
        DataError: it is no portable folder.
        HashMismatchError: files are missing or are not what was written; the message names them.
    """
    place = folder / MANIFEST
    try:
        content = place.read_bytes()
    except OSError as error:
        raise DataError(f"{folder} must be a portable folder, with a {MANIFEST} in it ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise HashMismatchError(
            f"{place} was changed: its sha256 is {found} where {digest} was registered. "
            "Bring the folder back from a copy, or register the model again"
        )
    rows = _rows(place, content)
    wrong = [name for name, row in rows.items() if not _is_right(folder / name, row)]
    if wrong:
        raise HashMismatchError(
            f"{folder} is not what was written there: {', '.join(wrong[:5])} "
            f"{'is' if len(wrong) == 1 else 'are'} missing or changed. "
            "Bring the folder back from a copy, or register the model again"
        )
    return Portable(folder, read_model_folder(folder), found, sum(row["size"] for row in rows.values()))


@contextmanager
def staged(final: Path) -> Iterator[Path]:
    """A new folder beside a place, gone at the end unless :func:`put` moved it."""
    staging = final.parent / f".{final.name}.{uuid4().hex[:12]}.new"
    with writing(staging):
        staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def put(staging: Path, final: Path) -> None:
    """Flush a whole folder to the disk and move it to its place, which must be free or an empty folder."""
    with writing(final):
        for path in (*staging.rglob("*"), staging):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        staging.replace(final)


def _whole(name: str | Path | None, task: str) -> list[Opened]:
    row = find_task(task) if task in task_names() else None
    if row is None or row.whole is None:
        return [resolve(name, task=task)]
    return list(row.whole(name))


def _place_of(card: ModelCard, other: Opened) -> str:
    """The name by which a card opens another model: what an option of it says, which may be the path of a folder."""
    asked = [Path(value).name for value in card.options.values() if isinstance(value, str)]
    folder = Path(other.card.origin).parent.name
    return folder if folder in asked and other.card.name not in asked else other.card.name


def _write_one(card: ModelCard, files: Mapping[str, Path], folder: Path) -> None:
    """A model folder of a card and of files that lie elsewhere."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, path in files.items():
        file = card.file(name)
        copied = folder / name
        with writing(copied):
            shutil.copyfile(path, copied)
        rows.append(ModelFile(name, copied.stat().st_size, file.sha256 or sha256_of(copied), ()))
    made = replace(card, files=tuple(rows), default=False)
    write_bytes(folder / CARD_NAME, to_toml(made).encode())


def _carry(card: ModelCard, folder: Path) -> None:
    """What stands beside the card in a model folder: its page, its report, a profile."""
    origin = Path(card.origin)
    if origin.name != CARD_NAME or not origin.is_file():
        return
    for path in sorted(origin.parent.iterdir()):
        new = not (folder / path.name).exists() and path.name not in (MANIFEST, *(file.name for file in card.files))
        if path.is_file() and new and not path.name.startswith("."):
            with writing(folder / path.name):
                shutil.copyfile(path, folder / path.name)


def _rows(place: Path, content: bytes) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(content)
        rows: dict[str, dict[str, Any]] = {
            str(name): {"sha256": str(row["sha256"]), "size": int(row["size"])} for name, row in table["files"].items()
        }
        known = table["format"] == FORMAT
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{place} must be the manifest that an export wrote. {error!r}") from error
    outside = [name for name in rows if Path(name).is_absolute() or ".." in Path(name).parts]
    if not known or outside or CARD_NAME not in rows:
        raise DataError(
            f"{place} must be a manifest of format {FORMAT}, of files in its folder, {CARD_NAME} among them"
        )
    return rows


def _is_right(path: Path, row: Mapping[str, Any]) -> bool:
    try:
        return path.is_file() and path.stat().st_size == row["size"] and sha256_of(path) == row["sha256"]
    except WeightsError:
        return False
