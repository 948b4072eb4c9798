"""The kinds of sources in one plain table: each leaves a file's bytes at a given path, or says why it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files as resource_files
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from shared.catalogue import SOURCES, ModelFile
from shared.errors import OfflineError, SourceError
from shared.settings import offline
from shared.weights.cache import writing


class Fetch(Protocol):
    """What a kind of source does."""

    def __call__(self, source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
        """Leave the file's bytes at ``staging``, gone on with what an earlier call left there.

        Raises:
            SourceError: this source cannot answer; the next may.
            UnsafeArchiveError: it answered with an archive that is refused.
            WeightsError: this machine cannot take the bytes (a full disk, say); no other source would help.
        """


def fetch(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    """Fetch from one source; see :class:`Fetch`.

    Raises:
        OfflineError: the source is not on this machine and ``TRIPTYCH_OFFLINE`` is set.
    """
    scheme = source.partition(":")[0]
    if scheme != "package" and offline():
        raise OfflineError("TRIPTYCH_OFFLINE is set, so it was not asked")
    _TABLE[scheme](source, file, staging, progress=progress)


def packaged(source: str) -> Path | None:
    """The file of a ``package:`` source where it lies in the installation as a plain file."""
    asked = SOURCES["package"].fullmatch(source)
    if asked is None:
        return None
    try:
        found = resource_files(asked["module"]).joinpath(asked["path"])
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, Path) and found.is_file() else None


def _package(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    asked = SOURCES["package"].fullmatch(source)
    try:
        if asked is None:
            raise FileNotFoundError
        content = resource_files(asked["module"]).joinpath(asked["path"]).read_bytes()
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise SourceError("this installation holds no such file; reinstall the distribution that ships it") from error
    with writing(staging, staging):
        staging.write_bytes(content)


def _https(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    from shared.weights import http  # noqa: PLC0415

    size = file.size or 0
    with http.new_client() as client:
        http.download(client, source, staging, what=file.name, limit=size, size=size, progress=progress)


def _hub(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    from shared.weights import hub  # noqa: PLC0415

    hub.fetch(source, file, staging, progress=progress)


def _index(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    from shared.weights import index  # noqa: PLC0415

    index.fetch(source, file, staging, progress=progress)


_TABLE: Mapping[str, Fetch] = MappingProxyType(
    {"package": _package, "hf": _hub, "https": _https, "http": _https, "index": _index}
)
