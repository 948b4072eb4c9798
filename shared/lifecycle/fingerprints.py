"""What data and which code a run stands on, in a few characters."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from shared.errors import DataError

WHOLE_BYTES = 1 << 29
"""Up to so many bytes in all every byte is hashed: a second or two."""
WHOLE_FILES = 20_000
"""Up to so many files, likewise."""
EDGE = 1 << 16
"""Bytes of either end of a file that are hashed where all would be too much."""
LOOKED_INTO = 5_000
"""Files that are then looked into, evenly spread; of the others name and size count."""
_GIT_SECONDS = 5


@dataclass(frozen=True)
class DataFingerprint:
    """What tells one state of a data set from another.

    Attributes:
        sha256: of names, sizes and content, 64 hex digits.
        files: how many.
        size: bytes of all.
        how: ``"content"`` where every byte counts, ``"edges"`` where names and sizes of all files do, and the first and
            last 64 KiB of up to 5,000 of them: a change of the same length inside a large file is then not seen.
    """

    sha256: str
    files: int
    size: int
    how: str

    def tags(self) -> dict[str, str]:
        """As tags of a run."""
        facts = {"sha256": self.sha256, "how": self.how, "files": self.files, "bytes": self.size}
        return {f"data.{name}": str(value) for name, value in facts.items()}


def data_fingerprint(path: Path) -> DataFingerprint:
    """The fingerprint of a file or of all files in and below a folder, in bounded time.

    The name of the file or folder itself, and hidden files, do not count.

    Raises:
        DataError: nothing stands there, or a file cannot be read.
    """
    try:
        if path.is_file():
            names = [("", path, path.stat().st_size)]
        else:
            found = (one for one in path.rglob("*") if one.is_file())
            inner = ((one.relative_to(path), one) for one in found)
            seen = ((name, one) for name, one in inner if not any(part.startswith(".") for part in name.parts))
            names = sorted((name.as_posix(), one, one.stat().st_size) for name, one in seen)
        if not names:
            raise DataError(f"the data must be a file or a folder with files. Nothing stands in {path}")
        return _hashed(names)
    except OSError as error:
        raise DataError(f"the data in {path} must be readable. {error}") from error


def _hashed(names: list[tuple[str, Path, int]]) -> DataFingerprint:
    size = sum(length for _, _, length in names)
    whole = size <= WHOLE_BYTES and len(names) <= WHOLE_FILES
    every = 1 if whole else -(-len(names) // LOOKED_INTO)
    digest = hashlib.sha256(b"content" if whole else b"edges")
    for place, (name, path, length) in enumerate(names):
        digest.update(f"\0{name}\0{length}\0".encode("utf-8", "surrogateescape"))
        if place % every == 0:
            with path.open("rb") as stream:
                if whole:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
                else:
                    digest.update(stream.read(EDGE))
                    stream.seek(max(EDGE, length - EDGE))
                    digest.update(stream.read(EDGE))
    return DataFingerprint(digest.hexdigest(), len(names), size, "content" if whole else "edges")


def code_version() -> dict[str, str]:
    """The package's version and, where it runs from a checkout of git, the commit and whether files differ from it."""
    facts = {"triptych": version("triptych")}
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return facts
    commit, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    if commit is not None:
        facts["commit"] = commit
    if changed is not None:
        facts["dirty"] = "yes" if changed else "no"
    return facts


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed words
            ["git", "-C", str(root), *words],  # noqa: S607 - the user's own git
            capture_output=True, text=True, timeout=_GIT_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
