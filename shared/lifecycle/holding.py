"""Portable folders by their digest on this machine: put there by a registration, or brought from a server."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.errors import DataError, HashMismatchError
from shared.lifecycle.mlflow_client import client, locked, told
from shared.lifecycle.places import Place
from shared.lifecycle.portable import MANIFEST, Portable, put, read_portable, staged
from shared.lifecycle.uploads import download
from shared.lifecycle.versions import Version
from shared.weights.cache import writing


def keep(where: Place, staging: Path, made: Portable) -> bool:
    """Move a whole folder to where its digest says, unless it is there; a damaged one is replaced.

    Returns:
        Whether there was none; of a server always ``False``.

    Raises:
        WeightsError: the folder cannot be written.
    """
    if where.server:
        return False
    folder = where.models / made.digest
    new = not folder.exists()
    try:
        read_portable(folder, digest=made.digest)
    except (DataError, HashMismatchError):
        with writing(folder):
            shutil.rmtree(folder, ignore_errors=True)
        put(staging, folder)
    return new


def fetched(where: Place, version: Version) -> Path:
    """See :meth:`shared.lifecycle.registry.Registry.fetch`."""
    if len(version.digest) != 64:
        raise DataError(f"{version.reference} must have been registered by triptych. It has no digest")
    folder = where.models / version.digest
    try:
        return read_portable(folder, digest=version.digest).folder
    except (DataError, HashMismatchError) as error:
        if where.server:
            return _downloaded(where, version, folder)
        raise HashMismatchError(f"{version.reference} cannot be opened: {error}") from error


def _downloaded(where: Place, version: Version, folder: Path) -> Path:
    api = client(where)
    with staged(folder) as staging:
        with told(where), writing(staging):
            download(api, where, version.name, version.number, staging)
        inner = next((path.parent for path in sorted(staging.rglob(MANIFEST))), staging)
        read_portable(inner, digest=version.digest)
        with locked(Place(where.folder)), writing(folder):
            shutil.rmtree(folder, ignore_errors=True)  # an earlier copy that was damaged
            put(inner, folder)
    return folder
