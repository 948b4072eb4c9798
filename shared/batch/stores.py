"""Object stores by URL, through fsspec: what stands there, tables read as streams, pictures read when they are wanted.

A URL is ``s3://bucket/key``, ``gs://``, ``az://``, ``abfs://``, ``file://`` or ``memory://``. Credentials are the
libraries' own business: their environment variables, their files, the role of the machine. A URL that carries some is
refused unread, so none can come into a plan, a log or a message.

Plain paths are taken by the same functions, so that whoever reads a table need not care where it stands.
"""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple, cast

from shared.batch.addresses import is_stored, without_secrets
from shared.errors import DataError, InputError, MissingDependencyError, UsageError
from shared.lazy import require

MAX_BYTES = 64 << 20
"""Bytes of one item that is read whole."""

_BLOCK = 8 << 20  # what a stream holds of a remote file at once
_FAULTS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "azure.core.exceptions": ("AzureError",),
}
"""What the libraries of the stores raise that is no ``OSError``."""

_CHANGED = ("LastModified", "last_modified", "mtime", "updated", "created")


class Stat(NamedTuple):
    """What is known of a file without reading it.

    Attributes:
        size: bytes.
        modified: time of the last change in nanoseconds; 0 where the store does not say.
        tag: what the store calls this content: an entity tag, or else the time of change; empty for a plain path.
    """

    size: int
    modified: int
    tag: str


class Entry(NamedTuple):
    """A file of a listing: its path or URL, and what is known of it."""

    path: str
    stat: Stat


def stat(path: str) -> Stat:
    """Size and time of change of a file or an object.

    Raises:
        FileNotFoundError: there is none.
        DataError: the store refuses.
    """
    if not is_stored(path):
        found = os.stat(path)
        return Stat(found.st_size, found.st_mtime_ns, "")
    with _reading(path):
        system, key = _open(path)
        system.invalidate_cache(system._parent(key))  # what it remembers of a listing says nothing of a change
        return _stat(system.info(key))


def stands(url: str) -> str:
    """``"file"``, ``"folder"`` or ``""`` for what stands at a URL.

    Raises:
        DataError: the store refuses.
    """
    with _reading(url):
        system, key = _open(url)
        return "file" if system.isfile(key) else "folder" if system.isdir(key) else ""


def below(url: str, suffixes: frozenset[str]) -> list[Entry]:
    """The objects below a URL that end in one of ``suffixes``, sorted, as :func:`shared.batch.sources.files_below`.

    Raises:
        UsageError: there are none.
        DataError: the store refuses.
    """
    with _reading(url):
        system, key = _open(url)
        found = _entries(url, system, system.find(key, detail=True))
    base = len(url.rstrip("/")) + 1
    wanted = [
        entry
        for entry in found
        if os.path.splitext(entry.path)[1].lower() in suffixes
        and not any(name.startswith(".") for name in entry.path[base:].split("/"))
    ]
    if not wanted:
        raise UsageError(f"{url} must have files ending in {', '.join(sorted(suffixes))}. It has none")
    return wanted


def matching(url: str) -> list[Entry]:
    """The objects that match a glob, sorted.

    Raises:
        UsageError: there are none.
        DataError: the store refuses.
    """
    with _reading(url):
        system, key = _open(url)
        found = _entries(url, system, system.glob(key, detail=True))
    if not found:
        raise UsageError(f"the glob must match at least one file. Nothing matches {url}")
    return found


def listing(url: str, suffixes: frozenset[str]) -> list[Entry]:
    """What a URL that was checked leads to: itself, what is below it, or what matches it as a glob.

    Raises:
        UsageError: nothing.
        DataError: the store refuses.
    """
    with _reading(url):
        _open(url)[0].invalidate_cache()
    kind = stands(url)
    if kind == "file":
        return [Entry(url, stat(url))]
    if kind == "folder":
        return below(url, suffixes)
    if glob.has_magic(url):
        return matching(url)
    raise UsageError(f"the input must be an existing file, folder or glob. Nothing stands at {url}")


def open_binary(path: str) -> BinaryIO:
    """A file or an object as a buffered stream of bytes that can seek.

    Raises:
        OSError: a plain path cannot be opened.
        DataError: the store refuses.
    """
    if not is_stored(path):
        return open(path, "rb")
    with _reading(path):
        system, key = _open(path)
        return cast(BinaryIO, io.BufferedReader(system.open(key, "rb", block_size=_BLOCK), 1 << 20))


@contextmanager
def reading(path: str) -> Iterator[None]:
    """While inside, what a store raises about ``path`` becomes a :class:`~shared.errors.DataError`."""
    if not is_stored(path):
        yield
        return
    try:
        with _reading(path):
            yield
    except FileNotFoundError as error:
        raise DataError(f"{path} must stay where it is while a job reads it. It is gone") from error


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes in a file or an object that are read when they are wanted: what a task of pictures is given.

    Attributes:
        path: a path or URL.
        name: what to call it in results and messages.
        offset: where they begin.
        size: how many they are; ``None`` reads to the end.
    """

    path: str
    name: str
    offset: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        """The bytes.

        Raises:
            InputError: ``not-found``, ``unreachable``, ``refused`` or ``too-large``, or fewer came than there must be.
        """
        if (self.size or 0) > MAX_BYTES:
            raise InputError(
                "too-large", f"an item must hold at most {MAX_BYTES:,} bytes. {self.name} has {self.size:,}"
            )
        if self.size == 0:
            return b""
        try:
            data = self._fetch(self.offset, self.offset + (MAX_BYTES + 1 if self.size is None else self.size))
        except FileNotFoundError:
            raise InputError("not-found", f"an item must be an existing file. Nothing stands at {self.path}") from None
        except (DataError, OSError) as error:
            raise InputError("unreachable", without_secrets(str(error))) from None
        if len(data) > MAX_BYTES:
            raise InputError("too-large", f"an item must hold at most {MAX_BYTES:,} bytes. {self.name} has more")
        if self.size is not None and len(data) != self.size:
            raise InputError("corrupt", f"{self.name} must hold {self.size:,} bytes. Only {len(data):,} came")
        return data

    def _fetch(self, start: int, end: int) -> bytes:
        if not is_stored(self.path):
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read(end - start)
        with _reading(self.path):
            system, key = _open(self.path)
            return bytes(system.cat_file(key, start=start, end=end))


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, which fsspec keeps for the next one, and the key in it."""
    fsspec = require("fsspec", extra="cloud")
    try:
        system, key = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingDependencyError(
            f"{url.partition('://')[0]}:// needs a library that is not installed. "
            f"Run: pip install 'triptych[cloud]'. {error}"
        ) from error
    return system, str(key)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    faults = tuple(
        getattr(sys.modules[module], name)
        for module, names in _FAULTS.items()
        if module in sys.modules
        for name in names
    )
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, *faults) as error:
        words = without_secrets(str(error) or type(error).__name__)
        raise DataError(f"{without_secrets(path)} must be readable. Its store refuses: {words}") from None


def _entries(url: str, system: Any, found: dict[str, dict[str, Any]]) -> list[Entry]:
    scheme = url.partition("://")[0]
    return [
        Entry(f"{scheme}://{_key(system, key)}", _stat(info))
        for key, info in sorted(found.items())
        if info.get("type") == "file" and not key.endswith("/")
    ]


def _key(system: Any, key: str) -> str:
    """A key as it stands behind ``scheme://``: local and memory paths keep the stroke that they begin with."""
    return key if key.startswith("/") else str(system._strip_protocol(key))


def _stat(info: dict[str, Any]) -> Stat:
    changed = next((info[name] for name in _CHANGED if info.get(name)), 0)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    seconds = changed.timestamp() if isinstance(changed, datetime) else float(changed)
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("content_md5")
    return Stat(int(info["size"] or 0), round(seconds * 1e6) * 1000, str(tag or f"{seconds:.6f}"))
