"""The registry: which versions of a model there are, which one is live, and the way back.

A version is a portable folder (:mod:`shared.lifecycle.portable`), known by its digest. Names, numbers, aliases and tags
are kept by MLflow, in a folder of this machine or by a server; see :mod:`shared.lifecycle.places`. In a folder all
writers take turns, and each change is one transaction, so that two processes lose nothing of each other and a kill at
any moment leaves every alias at a whole version.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared.errors import TriptychError, UnknownNameError, UsageError
from shared.lifecycle import reading
from shared.lifecycle.holding import fetched, keep
from shared.lifecycle.mlflow_client import client, locked, told
from shared.lifecycle.places import Place, place
from shared.lifecycle.portable import Portable, read_portable, staged, sweep, write
from shared.lifecycle.twins import first_of_twins
from shared.lifecycle.uploads import create_name, upload
from shared.lifecycle.versions import (
    CHAMPION,
    MOVE,
    OURS,
    Move,
    Registered,
    Version,
    check_alias,
    check_name,
    check_tags,
    parse_reference,
)

_ABANDONED = 24 * 3600.0
"""Seconds after which a folder that was never finished is taken for a dead process's."""

__all__ = ["CHAMPION", "Move", "Registry", "Version", "registry"]


def registry(url: str | Path | None = None) -> Registry:
    """The registry in a folder or of an MLflow server. Nothing is opened yet.

    Args:
        url: a folder or the ``http(s)://`` address of a server; ``None`` takes what ``TRIPTYCH_TRACKING`` says, else
            ``TRIPTYCH_HOME/lifecycle``.

    Raises:
        UsageError: the address is of another kind.
    """
    return Registry(place(url))


class Registry:
    """See :func:`registry`. Reading a folder's needs no MLflow; writing and servers need the extra ``lifecycle``."""

    def __init__(self, where: Place) -> None:
        self.place = where

    def names(self) -> list[str]:
        """The names of all registered models, sorted.

        Raises:
            ServiceError: the registry cannot be read.
        """
        return reading.names(self.place)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, oldest first.

        Raises:
            UnknownNameError: nothing is called that.
            ServiceError: the registry cannot be read.
        """
        return list(self._registered(name).versions)

    def find(self, name: str) -> Version:
        """The version that a reference leads to.

        Args:
            name: ``"NAME@alias"``, ``"NAME/3"``, or a bare ``"NAME"``, which is ``NAME@champion``, or its newest
                version where it has none.

        Raises:
            UnknownNameError: nothing, no alias or no version is called that; the message lists the nearest.
            UsageError: it is no reference.
            ServiceError: the registry cannot be read.
        """
        asked = parse_reference(name)
        found = self._registered(asked.name)
        if asked.number is not None:
            return found.version(asked.number)
        if asked.alias is None and CHAMPION not in found.aliases:
            if not found.versions:
                raise UnknownNameError(f"version of {asked.name}", name, [])
            return found.versions[-1]
        alias = asked.alias or CHAMPION
        if alias not in found.aliases:
            more = f". Set it with 'triptych registry alias {asked.name} {alias} NUMBER'"
            raise UnknownNameError(f"alias of {asked.name}", alias, found.aliases, more)
        return found.version(found.aliases[alias])

    def history(self, name: str) -> list[Move]:
        """How the aliases of a model moved, oldest first.

        Raises:
            UnknownNameError: nothing is called that.
            ServiceError: the registry cannot be read.
        """
        return self._registered(name).moves()

    def register(
        self,
        folder: str | Path,
        *,
        name: str,
        run: str | None = None,
        note: str = "",
        tags: Mapping[str, str] | None = None,
        key: str | None = None,
        task: str | None = None,
    ) -> Version:
        """Keep a model as the next version of a name, whole: see :func:`shared.lifecycle.portable.export`.

        Args:
            folder: a model folder, or any other name that its task opens.
            name: of the registered model; made where it is new.
            run: id of the run that made it.
            note: what to say of it.
            tags: further facts by name.
            key: an idempotency key: a second call with the same one returns the version that is there. So does the same
                model under the same name.
            task: which task the model is of, where its name does not tell.

        Raises:
            UsageError: a name, tag or folder cannot be used, or versions of the name serve another task.
            DataError, WeightsError: the model cannot be had, or the registry cannot be written.
            ServiceError: the registry cannot be read or written.
            MissingDependencyError: the extra ``lifecycle`` is not installed.
        """
        check_name(name)
        own = check_tags(tags or {})
        standing = reading.registered(self.place, name)
        kept = None if standing is None else standing.kept(key, None)
        if kept is not None:
            return kept
        source = Path(folder) if isinstance(folder, str) and Path(folder).is_dir() else folder
        with staged(self.place.models / "incoming") as staging:
            write(source, staging, task=task)
            made = read_portable(staging)
            with self._writing():
                standing = reading.registered(self.place, name)
                kept = None if standing is None else standing.kept(key, made.digest)
                if kept is not None:
                    return kept
                if standing is not None:
                    standing.check_task(made.card.task)
                sweep(self.place.models, seconds=_ABANDONED)
                put_now = keep(self.place, staging, made)
                told_of = {f"{OURS}task": made.card.task, f"{OURS}digest": made.digest} | own
                if key is not None:
                    told_of[f"{OURS}key"] = key
                try:
                    number = self._create(name, made, run=run, note=note, tags=told_of, new=standing is None)
                except TriptychError:
                    now = reading.registered(self.place, name)
                    if put_now and (now is None or now.kept(None, made.digest) is None):
                        # nothing leads to it, and a disk that is full needs the room
                        shutil.rmtree(self.place.models / made.digest, ignore_errors=True)
                    raise
        found = self._registered(name)
        if self.place.server:
            return first_of_twins(self.place, found, number, key=key, own_run=run is None)
        return found.version(number)

    def alias(self, name: str, alias: str, number: int) -> Version:
        """Let an alias lead to a version from now on; how it moved is kept.

        Raises:
            UsageError: the alias is no plain name, ``latest`` or a number.
            UnknownNameError: there is no such model or version.
            ServiceError: the registry cannot be read or written.
        """
        with self._writing():
            return self._move(self._registered(name), check_alias(alias), number, why="alias")

    def rollback(self, name: str, alias: str = CHAMPION) -> Version:
        """Let an alias lead to the version that it led to before; again, to the one before that.

        Raises:
            UsageError: it led to no other version before.
            UnknownNameError: there is no such model or alias, or the version was removed.
            ServiceError: the registry cannot be read or written.
        """
        with self._writing():
            found = self._registered(name)
            return self._move(found, alias, found.before(alias), why="rollback")

    def unalias(self, name: str, alias: str) -> None:
        """Take an alias away.

        Raises:
            UnknownNameError: there is no such model or alias.
            ServiceError: the registry cannot be read or written.
        """
        with self._writing():
            found = self._registered(name)
            if alias not in found.aliases:
                raise UnknownNameError(f"alias of {name}", alias, found.aliases)
            api = client(self.place)
            with told(self.place):
                _write_down(api, name, alias, None, why="removed")
                api.delete_registered_model_alias(name, alias)

    def remove(self, version: Version) -> None:
        """Forget a version, and its files where no other version has the same.

        Raises:
            UsageError: an alias leads to it.
            UnknownNameError: it is not there.
            ServiceError: the registry cannot be read or written.
        """
        with self._writing():
            found = self._registered(version.name).version(version.number)
            if found.aliases:
                raise UsageError(
                    f"{version.name}/{version.number} must not be removed while an alias leads to it: "
                    f"{', '.join(found.aliases)}. Point it elsewhere first"
                )
            api = client(self.place)
            with told(self.place):
                api.delete_model_version(version.name, str(version.number))
            digests = {one.digest for name in self.names() for one in self._registered(name).versions}
            if found.digest and found.digest not in digests:
                shutil.rmtree(self.place.models / found.digest, ignore_errors=True)

    def fetch(self, version: Version) -> Path:
        """The version's portable folder on this machine, every byte of it checked; every opener takes it.

        Raises:
            HashMismatchError: files are missing or were changed; the message names them.
            WeightsError: they cannot be had from the server.
            ServiceError: the server does not answer.
        """
        return fetched(self.place, version)

    def _registered(self, name: str) -> Registered:
        found = reading.registered(self.place, check_name(name))
        if found is None:
            raise UnknownNameError("registered model", name, self.names())
        return found

    @contextmanager
    def _writing(self) -> Iterator[None]:
        client(self.place)  # makes the database, which takes the same lock
        with locked(self.place):
            yield

    def _create(
        self, name: str, made: Portable, *, run: str | None, note: str, tags: Mapping[str, str], new: bool
    ) -> int:
        api = client(self.place)
        with told(self.place):
            if new:
                create_name(api, name)
            source = (self.place.models / made.digest).as_uri()
            if self.place.server:
                run, source = upload(api, made, run)
            row = api.create_model_version(name, source, run_id=run, tags=dict(tags), description=note or None)
        return int(row.version)

    def _move(self, found: Registered, alias: str, number: int, *, why: str) -> Version:
        version = found.version(number)
        if found.aliases.get(alias) == number:
            return version
        api = client(self.place)
        with told(self.place):
            _write_down(api, found.name, alias, number, why=why)
            api.set_registered_model_alias(found.name, alias, str(number))
        return self._registered(found.name).version(number)


def _write_down(api: Any, name: str, alias: str, number: int | None, *, why: str) -> None:
    """Note a move before it is done; see :meth:`shared.lifecycle.versions.Registered.moves`."""
    row = {"alias": alias, "number": number, "at": datetime.now(UTC).isoformat(), "why": why}
    api.set_registered_model_tag(name, f"{MOVE}{time.time_ns():020d}.{uuid4().hex[:8]}", json.dumps(row))
