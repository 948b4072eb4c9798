"""Where weights lie on this machine: the cache, the folders that its owner named, locks and atomic writes.

The cache is addressed by content: ``TRIPTYCH_HOME/weights/HASH/NAME``, where HASH is the first 16 digits of the sha256.
Two models that share a file share its bytes, and every cached file can be checked without a catalogue. Half-fetched
files wait in ``TRIPTYCH_HOME/partial``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.catalogue import ModelCard, ModelFile
from shared.errors import WeightsError
from shared.settings import home
from shared.weights.words import human, say

CARD_NAME = "card.toml"
_PATIENCE_SECONDS = 1.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cached_path(sha256: str, name: str) -> Path:
    """Where the cache keeps a file, whether or not it is there."""
    return home() / "weights" / sha256[:16] / name


def staging_path(source: str, file: ModelFile) -> Path:
    """Where bytes from one source gather until they are whole."""
    key = hashlib.sha256(f"{source}\n{file.sha256}".encode()).hexdigest()[:24]
    return home() / "partial" / key


def drop_staged(sources: Iterable[str], file: ModelFile) -> None:
    """Delete what was begun from any source, once the file has come from one."""
    for path in (staging_path(source, file) for source in sources):
        for leftover in path.parent.glob(f"{path.name}*"):
            leftover.unlink(missing_ok=True)


def named_folders() -> list[Path]:
    """The folders of ``TRIPTYCH_WEIGHTS``, separated as in ``PATH``; they are read and never written."""
    return [Path(part).expanduser() for part in os.environ.get("TRIPTYCH_WEIGHTS", "").split(os.pathsep) if part]


def candidates(card: ModelCard, file: ModelFile) -> Iterator[Path]:
    """Paths of this machine that may hold the file: the model's own folder, the cache, then the named folders.

    In a named folder the file may have the card's name for it or the name that a source gives it, and may stand in a
    folder called like the model. Nothing says yet that a path exists or holds the right bytes.
    """
    if Path(card.origin).name == CARD_NAME:
        yield Path(card.origin).parent / file.name
    if file.sha256 is not None:
        yield cached_path(file.sha256, file.name)
    names = dict.fromkeys([file.name, *(_last_part(source) for source in file.sources)])
    for folder in named_folders():
        for name in filter(None, names):
            yield folder / card.name / name
            yield folder / name


def _last_part(source: str) -> str:
    return re.split(r"[?#]", source)[0].rpartition("/")[2]


def owned(path: Path) -> bool:
    """Whether the file lies in the cache, which may delete what is damaged."""
    return path.is_relative_to(home() / "weights")


def has_size(path: Path, size: int | None) -> bool:
    """Whether a regular file of that length is there."""
    try:
        return path.is_file() and (size is None or path.stat().st_size == size)
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """The file's sha256 as 64 lower-case hex digits.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error


def entries() -> list[tuple[str, Path]]:
    """Every cached file with the beginning of the hash that its folder promises, sorted by path."""
    files = sorted((home() / "weights").glob("*/*"))
    return [(path.parent.name, path) for path in files if path.is_file()]


def forget(path: Path) -> None:
    """Delete a cached file, and its folder when that leaves it empty."""
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
            raise


@contextmanager
def locked(key: str, *, what: str = "") -> Iterator[None]:
    """Hold a lock that one thread of one process of this machine can hold at a time; a killed holder releases it.

    Args:
        key: what the lock is for.
        what: said on standard error when another one holds it for more than a second; nothing is said when empty.
    """
    folder = home() / "locks"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.lock")
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            if what:
                say(f"waiting for another process that is fetching {what}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(path: Path, *remove: Path) -> Iterator[None]:
    """Turn a failure to write into an error that says what to do; on a full disk first delete ``remove``."""
    try:
        yield
    except WeightsError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            for leftover in remove:
                leftover.unlink(missing_ok=True)
            raise WeightsError(
                f"the disk is full: writing {path} stopped ({error.strerror}), and what had come was deleted. "
                f"{free_space(path)}; make room, or name a folder on another disk with TRIPTYCH_HOME"
            ) from error
        raise WeightsError(
            f"{path} cannot be written ({error.strerror}). Name a folder that can be with TRIPTYCH_HOME"
        ) from error


def free_space(path: Path) -> str:
    """How much room is left where ``path`` is or would be, in words."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return f"{human(shutil.disk_usage(there).free)} are free under {there}"


def install(staged: Path, final: Path) -> Path:
    """Move a whole, verified file into its place; a crash leaves the old state or the new one, never a half file."""
    with writing(final, staged):
        final.parent.mkdir(parents=True, exist_ok=True)
        _flush(staged)
        staged.replace(final)
        _flush(final.parent)
    return final


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file whole: beside its place, flushed, then renamed into it."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.new")
    with writing(path, staged):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)
    install(staged, path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_lock_file() -> dict[str, dict[str, Any]]:
    """The hashes that first downloads pinned: source to ``{"sha256", "size"}``.

    Raises:
        WeightsError: the lock file is there and is not what this program wrote.
    """
    path = home() / "lock.json"
    try:
        table = json.loads(path.read_text("utf-8"))
        right = all(len(row["sha256"]) == 64 and row["size"] > 0 for row in table.values())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path} must be the JSON that this program wrote. {error!r}; mend or delete it") from error
    if not right:
        raise WeightsError(f"{path} must give each source a sha256 and a size. One has others; mend or delete it")
    return dict(table)


def pin(sources: tuple[str, ...], facts: Mapping[str, Any]) -> None:
    """Write into the lock file what the bytes of these sources are from now on."""
    with locked("lock.json"):
        table = read_lock_file() | {source: dict(facts) for source in sources}
        write_bytes(home() / "lock.json", json.dumps(table, indent=1, sort_keys=True).encode() + b"\n")
