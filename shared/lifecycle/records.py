"""Decisions that can be read later by somebody who trusts nobody: one signed record each, chained to the one before.

::

    RECORDS/000001.json ...   one decision each: what was asked, on which data, what was found, the verdict
    RECORDS/head.json         which record is the last, signed
    RECORDS/lock              held while one is added

A record holds the sha256 of the whole record before it, so that a record that is changed, taken out, put in or moved is
seen; the signed head shows when the last ones are gone. Signatures are Ed25519 (RFC 8032) over canonical JSON: sorted
keys, no spaces, UTF-8. The key is made on first use. Whoever can read it can sign, and whoever can put the whole folder
back to what it was earlier, head and all, leaves a chain that holds: compare its head with one noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.errors import DataError, UsageError
from shared.lifecycle.commits import commit
from shared.lifecycle.signing import holds, signed, signing_key, verifying_key
from shared.settings import home

FORMAT = 1
NOTHING = "0" * 64
"""What the first record has for the hash of the one before."""
_HEAD = "head.json"


@dataclass(frozen=True)
class Record:
    """One decision.

    Attributes:
        number: from 1, without gaps.
        time: when it was written, ISO 8601 in UTC.
        previous: sha256 of the record before, :data:`NOTHING` for the first.
        body: what was decided, JSON-ready.
        key: the idempotency key that it was added with, or empty.
        digest: sha256 of the record as it stands in its file.
    """

    number: int
    time: str
    previous: str
    body: Mapping[str, Any]
    key: str
    digest: str


@dataclass(frozen=True)
class Verified:
    """What a look at the whole chain found.

    Attributes:
        records: how many there are.
        head: sha256 of the last record, :data:`NOTHING` where there is none: what to note elsewhere.
        faults: what is wrong, in words; empty where the chain holds.
    """

    records: int
    head: str
    faults: tuple[str, ...]


class Records:
    """A folder of decisions.

    Args:
        folder: made when the first is added; ``TRIPTYCH_HOME/lifecycle/decisions`` when not given.
        key: the file of the private key; ``TRIPTYCH_HOME/lifecycle/signing.key`` when not given. Its public half stands
            beside it with the suffix ``.pub``.
    """

    def __init__(self, folder: Path | None = None, *, key: Path | None = None) -> None:
        self.folder = folder or home() / "lifecycle" / "decisions"
        self.key = key or home() / "lifecycle" / "signing.key"

    def add(self, body: Mapping[str, Any], *, key: str = "") -> Record:
        """Sign and append a decision; it is on the disk when this returns.

        Args:
            body: JSON-ready, without NaN.
            key: a decision that was added with this key before is given back in place of a second one.

        Raises:
            UsageError: the body is no JSON, or others may read the private key.
            DataError: the folder cannot be written, or the chain is broken.
            MissingDependencyError: the extra is not installed.
        """
        signer = signing_key(self.key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder} must be a folder that can be written. {error.strerror}") from error
        with FileLock(self.folder / "lock"):
            known = self.keyed(key)
            if known is not None:
                self._point_at(known, signer)
                return known
            before = self.all()
            content = {
                "format": FORMAT,
                "number": len(before) + 1,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "previous": before[-1].digest if before else NOTHING,
                "key": key,
                "body": dict(body),
            }
            data = signed(content, signer)
            place = self._place(len(before) + 1)
            commit(place, data)
            record = _record(content, data)
            try:
                self._point_at(record, signer)
            except DataError:
                place.unlink()  # whoever hears of the error may add it again
                raise
            return record

    def all(self) -> tuple[Record, ...]:
        """Every record in its order, unverified.

        Raises:
            DataError: a record is missing or malformed.
        """
        found = []
        for number, path in enumerate(self._files(), 1):
            if path != self._place(number):
                raise DataError(f"{self.folder} must hold every record from 1 on. {self._place(number).name} is gone")
            content, data = _read(path)
            found.append(_record(content, data))
        return tuple(found)

    def keyed(self, key: str) -> Record | None:
        """The record that was added with an idempotency key; ``None`` where there is none."""
        return next((record for record in self.all() if key and record.key == key), None)

    def find(self, number: int) -> Record:
        """One record.

        Raises:
            UsageError: there is none of that number.
        """
        found = self.all()
        if not 1 <= number <= len(found):
            raise UsageError(f"a record's number must lie in 1..{len(found)}. Got {number} instead")
        return found[number - 1]

    def verify(self, *, public_key: Path | None = None, head: str | None = None) -> Verified:
        """Look at every signature, at the chain, and at its end.

        Args:
            public_key: the file of the key to trust, PEM; that beside the private key when not given.
            head: what the head was when it was last noted; a record of that hash must be in the chain.

        Raises:
            DataError: there is no key to verify by.
        """
        files = self._files()
        if not files and not (self.folder / _HEAD).exists() and head is None:
            return Verified(0, NOTHING, ())
        verifier = verifying_key(public_key or self.key.with_suffix(".pub"))
        faults: list[str] = []
        previous, seen, expected = NOTHING, [NOTHING], 1
        for path in files:
            number = int(path.stem)
            if number != expected:
                gone = f"{expected:06d}" if number == expected + 1 else f"{expected:06d} to {number - 1:06d}"
                faults.append(f"{gone}: removed")
            try:
                content, data = _read(path)
                record = _record(content, data)
            except DataError as error:
                faults.append(f"{path.stem}: {error}")
                previous, expected = "", number + 1
                continue
            if not holds(content, verifier):
                faults.append(f"{path.stem}: its signature is not of this key and content")
            if record.number != number or (record.previous != previous and number == expected and previous):
                faults.append(f"{path.stem}: it does not follow the record before it")
            previous, expected = record.digest, number + 1
            seen.append(record.digest)
        faults += self._head_faults(verifier, expected - 1, seen)
        if head is not None and head not in seen:
            faults.append(f"no record has the hash {head} that was noted: the chain was put back or replaced")
        return Verified(len(files), previous or NOTHING, tuple(faults))

    def _head_faults(self, verifier: Any, last: int, seen: list[str]) -> list[str]:
        path = self.folder / _HEAD
        if not path.exists():
            return [f"{_HEAD}: removed"]
        try:
            content, _ = _read(path)
            number, digest = int(content["number"]), str(content["digest"])
        except (DataError, KeyError, TypeError, ValueError) as error:
            return [f"{_HEAD}: malformed, {error}"]
        if not holds(content, verifier):
            return [f"{_HEAD}: its signature is not of this key and content"]
        if number > last:
            return [f"{last + 1:06d} to {number:06d}: removed from the end"]
        # A kill between a record and the head leaves the head one behind, and the record is signed and chained.
        return [] if digest in seen else [f"{_HEAD}: it names a record that is not in the chain"]

    def _point_at(self, record: Record, signer: Any) -> None:
        last = max(record.number, len(self._files()))
        if last == record.number:
            content = {"format": FORMAT, "number": record.number, "digest": record.digest}
            commit(self.folder / _HEAD, signed(content, signer))

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.json") if path.stem.isdecimal())

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def _record(content: Mapping[str, Any], data: bytes) -> Record:
    try:
        return Record(
            int(content["number"]),
            str(content["time"]),
            str(content["previous"]),
            dict(content["body"]),
            str(content["key"]),
            hashlib.sha256(data).hexdigest(),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a record must have number, time, previous, key and body. {error!r}") from error


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        data = path.read_bytes()
        content = json.loads(data)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be a signed record. {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must be a signed record. Got {type(content).__name__} instead")
    return content, data
