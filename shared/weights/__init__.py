"""A model file by its card: a verified path on this machine, fetched first where it is not here yet.

Order: the model's own folder, the cache, the folders of ``TRIPTYCH_WEIGHTS``, then the card's sources as they stand.
The first that answers with the right bytes wins; the sha256 is checked at every opening.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from shared import catalogue
from shared.catalogue import ModelCard, ModelFile
from shared.errors import HashMismatchError, OfflineError, SourceError, UnsafeArchiveError, UsageError, WeightsError
from shared.weights import cache, sources
from shared.weights.folder import is_model_folder, read_model_folder, write_model_folder
from shared.weights.named import companion, named
from shared.weights.words import human, masked, say

__all__ = [
    "Checked",
    "Opened",
    "ensure",
    "locate",
    "pinned",
    "read_model_folder",
    "resolve",
    "verify",
    "write_model_folder",
]

State: TypeAlias = Literal["ok", "missing", "damaged"]
_announced: set[str] = set()


@dataclass(frozen=True)
class Opened:
    """A model whose files are here and verified.

    Attributes:
        card: what is known of the model.
        files: path of each file, by the card's name for it.
    """

    card: ModelCard
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Checked:
    """What :func:`verify` found of one file.

    Attributes:
        file: the card's row of it.
        path: where it lies, or ``None``.
        state: ``"ok"``, ``"missing"`` or ``"damaged"`` (another hash than the card's).
    """

    file: ModelFile
    path: Path | None
    state: State


def resolve(name: str | Path | None, *, task: str, progress: bool = True, beside: ModelCard | None = None) -> Opened:
    """Open a task's model by name.

    Args:
        name: a catalogue name, a model folder, ``registry:NAME@ALIAS``, or ``None`` for the task's default. Text that
            is no catalogue name is read as a folder when it holds a ``/`` or names a model folder; a
            :class:`~pathlib.Path` always is.
        task: the task that it must serve.
        progress: whether downloads tell of themselves on standard error.
        beside: the model that opens this one too: a companion in its own folder comes first.

    Raises:
        UnknownNameError: nothing is called that; the message lists the nearest names.
        UsageError: the folder's model serves another task.
        DataError: the folder is no model folder.
        WeightsError: a file cannot be had; the message lists what each source said.
        ServiceError: the registry cannot be read.
    """
    card = _card(companion(beside, name) or named(name), task)
    _announce(card)
    return Opened(card, ensure(card, progress=progress))


def _announce(card: ModelCard) -> None:
    """Say once a process why a model must be chosen by name."""
    if card.opt_in and card.name not in _announced:
        _announced.add(card.name)
        say(f"{card.name} is never a default, and you chose it: {card.opt_in}")


def _card(name: str | Path | None, task: str) -> ModelCard:
    if name is None:
        return catalogue.default(task)
    known = {card.name: card for card in catalogue.cards(task)}
    if isinstance(name, str) and name in known:
        return known[name]
    if isinstance(name, str) and os.sep not in name and not is_model_folder(Path(name)):
        return catalogue.find(name, task=task)
    card = read_model_folder(Path(name).expanduser())
    if card.task != task:
        raise UsageError(f"{name} must hold a model of {task}. It holds one of {card.task}")
    return card


def ensure(card: ModelCard, *, progress: bool = True) -> dict[str, Path]:
    """The verified path of every file of a card, by name; what is missing is fetched.

    Raises:
        WeightsError: a file cannot be had; the message lists what each source said and what to do.
    """
    return {file.name: _ensure(card, file, progress) for file in card.files}


def locate(card: ModelCard) -> dict[str, Path | None]:
    """Where each file lies on this machine, by name, without a network and without hashing; ``None`` if nowhere."""
    return {row.name: _located(card, pinned(row)) for row in card.files}


def verify(card: ModelCard) -> list[Checked]:
    """Hash every file of a card that is on this machine. Nothing is fetched or deleted."""
    found = []
    for row in card.files:
        file = pinned(row)
        path = _located(card, file) or next(_present(card, file), None)
        state: State = "missing" if path is None else "ok" if _is_right(path, file) else "damaged"
        found.append(Checked(file, path, state))
    return found


def pinned(file: ModelFile) -> ModelFile:
    """The row with what the lock file knows of it, where the card leaves the hash to the hub."""
    if file.sha256 is not None:
        return file
    lock = cache.read_lock_file()
    for source in file.sources:
        if source in lock:
            return dataclasses.replace(file, sha256=lock[source]["sha256"], size=lock[source]["size"])
    return file


def _places(card: ModelCard, file: ModelFile) -> list[Path]:
    if file.sha256 is None:
        return []
    packaged = [path for path in map(sources.packaged, file.sources) if path is not None]
    return [*cache.candidates(card, file), *packaged]


def _present(card: ModelCard, file: ModelFile) -> Iterator[Path]:
    return (path for path in _places(card, file) if cache.has_size(path, None))


def _located(card: ModelCard, file: ModelFile) -> Path | None:
    return next((path for path in _places(card, file) if cache.has_size(path, file.size)), None)


def _is_right(path: Path, file: ModelFile) -> bool:
    return cache.has_size(path, file.size) and cache.sha256_of(path) == file.sha256


def _ensure(card: ModelCard, row: ModelFile, progress: bool) -> Path:
    file, said = pinned(row), list[tuple[str, WeightsError]]()
    found = _here(card, file, said)
    if found or not file.sources:
        return found or _refuse(card, file, said)
    with cache.locked(file.sha256 or file.sources[0], what=f"{file.name} of {card.name}" if progress else ""):
        # another process may have fetched it while this one waited
        file, said = pinned(row), []
        found = _here(card, file, said, mend=True) or _linked(file)
        if found:
            return found
        for source in file.sources:
            try:
                return _fetched(file, source, progress)
            except (SourceError, HashMismatchError, UnsafeArchiveError, OfflineError) as error:
                said.append((masked(source), error))
    return _refuse(card, file, said)


def _here(card: ModelCard, file: ModelFile, said: list[tuple[str, WeightsError]], *, mend: bool = False) -> Path | None:
    """The file as it already lies on this machine.

    What is wrong with copies is added to ``said``; under the file's lock (``mend``) the cache's own are then deleted.
    """
    for path in _present(card, file):
        try:
            if _is_right(path, file):
                return path
        except WeightsError as error:
            said.append((str(path), error))
            continue
        fate = "It was deleted" if cache.owned(path) else "It was left, for it is not the cache's own"
        said.append((str(path), HashMismatchError(f"its bytes are not the expected ones. {fate}")))
        if mend and cache.owned(path):
            cache.forget(path)
    return None


def _linked(file: ModelFile) -> Path | None:
    """The same content under another model's name for it, given this name too."""
    if file.sha256 is None:
        return None
    place = cache.cached_path(file.sha256, file.name)
    for other in place.parent.glob("*"):
        if _is_right(other, file):
            with cache.writing(place):
                place.hardlink_to(other)
            return place
    return None


def _fetched(file: ModelFile, source: str, progress: bool) -> Path:
    staging = cache.staging_path(source, file)
    with cache.writing(staging):
        staging.parent.mkdir(parents=True, exist_ok=True)
    sources.fetch(source, file, staging, progress=progress)
    came = cache.sha256_of(staging)
    if file.sha256 is not None and came != file.sha256:
        staging.unlink()
        raise HashMismatchError(f"its bytes have sha256 {came} where {file.sha256} is expected. They were deleted")
    path = cache.install(staging, cache.cached_path(came, file.name))
    if file.sha256 is None:
        cache.pin(file.sources, {"sha256": came, "size": path.stat().st_size})
    cache.drop_staged(file.sources, file)
    return path


def _refuse(card: ModelCard, file: ModelFile, said: list[tuple[str, WeightsError]]) -> NoReturn:
    """Raise one error for all that was tried, of the one kind that they share."""
    kinds = {type(error) for _, error in said}
    kind = kinds.pop() if len(kinds) == 1 else WeightsError
    lines = [f"  {source}: {error}" for source, error in said] or ["  no source is named, and it is not here"]
    if any(isinstance(error, OfflineError) for _, error in said):
        kind, remedy = OfflineError, "Unset TRIPTYCH_OFFLINE, or run 'triptych models fetch' while a network is allowed"
    elif not file.sources:
        remedy = "Copy the whole model folder again, or train it anew"
    else:
        remedy = "See 'triptych doctor' for what this machine reaches"
    raise kind(
        f"{file.name} of model {card.name!r} ({human(file.size)}) cannot be had. Tried in order:\n"
        + "\n".join(lines)
        + f"\n{remedy}; or put the file into a folder and name that folder with TRIPTYCH_WEIGHTS"
    )
