"""What identifies a file or a folder by its content: the data of a run, the files of a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from shared.errors import DataError

_BLOCK = 1 << 20


def fingerprint(path: Path) -> str:
    """The sha256 of a file; of a folder that of the sorted names and hashes of the files in and below it.

    Times, owners and the place itself do not matter, so that a copy has the same. Links are followed.

    Raises:
        DataError: nothing stands there, or it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a.csv").write_text("text,label")
        ...     fingerprint(Path(folder)) == fingerprint(Path(folder) / "a.csv")
        False
    """
    try:
        if path.is_dir():
            files = sorted(part for part in path.rglob("*") if part.is_file())
            rows = [[part.relative_to(path).as_posix(), _sha256(part)] for part in files]
            return of_json(rows)
        return _sha256(path)
    except OSError as error:
        raise DataError(f"{path} must be a file or folder that can be read. {error.strerror}") from error


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in and below a folder."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size


def of_json(value: Any) -> str:
    """The sha256 of a JSON-ready value in its canonical form.

    Example:
        >>> of_json({"b": 1, "a": 2}) == of_json({"a": 2, "b": 1})
        True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and without spaces, as UTF-8; the bytes that are hashed and signed.

    Raises:
        ValueError: a number is NaN or infinite, which JSON has not.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
