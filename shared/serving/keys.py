"""Who may come in, and how often.

A file of keys has one a line, ``NAME KEY`` or ``NAME KEY admin``; ``#`` begins a comment. ``KEY`` is the key itself, of
16 characters at least, or ``sha256:`` and the hex digits of its hash, so that the file need not hold it. A client sends
``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. Keys are compared by their hashes in constant time, against every
key of the file, and neither logged nor kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import DataError

SHORTEST = 16
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Key:
    """One key: its holder's name, the SHA-256 of the key, and whether it may load and unload models."""

    name: str
    digest: bytes
    admin: bool


class Keys:
    """All keys of a file."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys

    def find(self, given: bytes) -> Key | None:
        """The key that a client gave, or ``None``."""
        digest = hashlib.sha256(given).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def read_keys(path: str | Path) -> Keys:
    """Read a file of keys.

    Raises:
        DataError: it cannot be read, has no key, or a line is malformed; the message says its number and not the key.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file of API keys. It cannot be read as text: {error}") from error
    keys: list[Key] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or words[2:] not in ([], ["admin"]):
            raise DataError(f"line {number} of {path} must be NAME KEY, or NAME KEY admin. It has {len(words)} words")
        hashed = _HASH.fullmatch(words[1])
        if hashed is None and len(words[1]) < SHORTEST:
            raise DataError(
                f"the key in line {number} of {path} must have at least {SHORTEST} characters, or be sha256: and 64 "
                f"hex digits. It has {len(words[1])} characters"
            )
        digest = bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(words[1].encode()).digest()
        keys.append(Key(words[0], digest, len(words) == 3))
    if not keys:
        raise DataError(f"{path} must have at least one key, a line NAME KEY. It has none")
    names = [key.name for key in keys]
    if len(set(names)) != len(names):
        raise DataError(f"{path} must have each name once. Got {sorted(names)}")
    return Keys(tuple(keys))


class Buckets:
    """A token bucket for each client: ``rate`` requests a second, and as many at once, 1 at least.

    Example:
        >>> now = 0.0
        >>> buckets = Buckets(2.0, clock=lambda: now)
        >>> [buckets.take("ann") for _ in range(3)], buckets.take("bob")
        ([0.0, 0.0, 0.5], 0.0)
    """

    MOST = 10_000
    """Clients that are remembered; whoever was away longest is forgotten first."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, rate), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, count: float = 1.0) -> float:
        """Take from a client's bucket; 0 where there was enough, else the seconds until there is."""
        now = self._clock()
        left, at = self._left.pop(client, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        enough = left >= min(count, self._most)
        self._left[client] = (left - count if enough else left, now)
        if len(self._left) > self.MOST:
            self._left.popitem(last=False)
        return 0.0 if enough else (min(count, self._most) - left) / self._rate
