"""What the registry knows of a model: its versions, its aliases and how they moved; names and references to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.errors import UnknownNameError, UsageError

CHAMPION = "champion"
"""The alias of the version that is live; a bare name means it."""
OURS = "triptych."
"""What our own tags in the registry begin with; those of callers may not."""
MOVE = f"{OURS}move."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REFERENCE = re.compile(r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<number>[0-9]+))?")


@dataclass(frozen=True)
class Version:
    """One registered predictor.

    Attributes:
        name: of the model.
        number: counted from 1 within the name.
        task: that it serves.
        run: id of the run that made it, or ``None``.
        created: when it was registered, in UTC.
        aliases: that lead to it, sorted.
        digest: of its portable folder, 64 hex digits.
        note: what its registrant says of it, or empty.
        tags: further facts by name.
    """

    name: str
    number: int
    task: str
    run: str | None
    created: datetime
    aliases: tuple[str, ...]
    digest: str
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """By which every opener and command takes it, for good: ``registry:NAME/3``."""
        return f"registry:{self.name}/{self.number}"

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {
            "name": self.name,
            "number": self.number,
            "task": self.task,
            "run": self.run,
            "created": self.created.isoformat(timespec="milliseconds"),
            "aliases": list(self.aliases),
            "digest": self.digest,
            "note": self.note,
            "tags": dict(self.tags),
        }


@dataclass(frozen=True)
class Move:
    """One step of an alias.

    Attributes:
        alias: which one.
        number: the version that it leads to from then on; ``None`` where it was taken away.
        at: when, in UTC; ``None`` where somebody moved it past this registry.
        why: ``"alias"``, ``"rollback"``, ``"removed"`` or ``"outside"``.
    """

    alias: str
    number: int | None
    at: datetime | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        at = None if self.at is None else self.at.isoformat(timespec="milliseconds")
        return {"alias": self.alias, "number": self.number, "at": at, "why": self.why}


@dataclass(frozen=True)
class Registered:
    """A name with all that is known of it.

    Attributes:
        name: of the model.
        versions: in the order of their numbers.
        aliases: the version that each leads to.
        tags: of the name, our own among them.
        keys: the idempotency key of each version that was registered with one, by its number.
    """

    name: str
    versions: tuple[Version, ...]
    aliases: Mapping[str, int]
    tags: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[int, str] = field(default_factory=dict)

    def version(self, number: int) -> Version:
        """The version of that number.

        Raises:
            UnknownNameError: there is none.
        """
        for one in self.versions:
            if one.number == number:
                return one
        raise UnknownNameError(f"version of {self.name}", str(number), [str(one.number) for one in self.versions])

    def moves(self) -> list[Move]:
        """How the aliases moved, oldest first.

        A move is written down before it is done, so one that a kill kept from happening stands there too: it is left
        out where the alias does not lead to where it said. One that nobody wrote down ends the list.
        """
        written = [_move(text) for key, text in sorted(self.tags.items()) if key.startswith(MOVE)]
        found = []
        for alias in sorted({move.alias for move in written} | set(self.aliases)):
            mine = [move for move in written if move.alias == alias]
            now = self.aliases.get(alias)
            before = mine[-2].number if len(mine) > 1 else None
            if mine and mine[-1].number != now and before == now:
                mine.pop()
            elif now != (mine[-1].number if mine else None):
                mine.append(Move(alias, now, None, "outside"))
            found += mine
        return sorted(found, key=lambda move: (move.at is None, move.at or datetime.now(UTC)))

    def before(self, alias: str) -> int:
        """The version that an alias led to before the one of now; each rollback takes one step further back.

        Raises:
            UsageError: it led to no other version before, or that one was removed.
            UnknownNameError: the name has no such alias.
        """
        if alias not in self.aliases:
            raise UnknownNameError(f"alias of {self.name}", alias, self.aliases)
        steps: list[int | None] = []
        for move in self.moves():
            if move.alias != alias:
                continue
            if move.why == "rollback" and steps:
                steps.pop()
            elif not steps or steps[-1] != move.number:
                steps.append(move.number)
        earlier = steps[-2] if len(steps) > 1 else None
        if earlier is None:
            raise UsageError(
                f"{self.name}@{alias} must have led to another version before. It has led to {self.aliases[alias]} "
                "alone: move it by its number instead"
            )
        return earlier


def _move(text: str) -> Move:
    row = json.loads(text)
    return Move(row["alias"], row["number"], datetime.fromisoformat(row["at"]), row["why"])


@dataclass(frozen=True)
class Reference:
    """A written reference to a version: ``NAME``, ``NAME@ALIAS`` or ``NAME/3``."""

    name: str
    alias: str | None = None
    number: int | None = None


def parse_reference(text: str) -> Reference:
    """The parts of a reference.

    Raises:
        UsageError: it is none.

    Example:
        >>> parse_reference("sentiment@challenger")
        Reference(name='sentiment', alias='challenger', number=None)
    """
    found = _REFERENCE.fullmatch(text.removeprefix("registry:"))
    if found is None:
        raise UsageError(f"a registered model is called NAME, NAME@ALIAS or NAME/3. Got {text!r} instead")
    number = found["number"]
    return Reference(check_name(found["name"]), found["alias"], None if number is None else int(number))


def check_name(name: str, what: str = "a registered model's name") -> str:
    """The name, if it is a plain one.

    Raises:
        UsageError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{what} must be letters, digits, '.', '_' and '-', at most 128. Got {name!r} instead")
    return name


def check_alias(alias: str) -> str:
    """The alias, if it can be told from a number and from MLflow's own ``latest``.

    Raises:
        UsageError: it cannot.
    """
    check_name(alias, "an alias")
    if alias.lower() == "latest" or re.fullmatch(r"v?[0-9]+", alias, re.IGNORECASE):
        raise UsageError(f"an alias must not be 'latest' or look like a number. Got {alias!r} instead")
    return alias


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, if they are texts under plain names that are not ours.

    Raises:
        UsageError: they are not.
    """
    for key, value in tags.items():
        check_name(key, "a tag")
        if key.startswith(OURS) or not isinstance(value, str):
            raise UsageError(f"a tag must be text under a name that does not begin with {OURS!r}. Got {key}={value!r}")
    return dict(tags)


def keys_of(tags: Mapping[int, Mapping[str, str]]) -> dict[int, str]:
    """The idempotency keys in the tags of versions, by number."""
    return {number: one[f"{OURS}key"] for number, one in tags.items() if f"{OURS}key" in one}


def version_of(
    name: str, number: int, *, created_ms: int, run: str | None, note: str | None, tags: Mapping[str, str],
    aliases: Iterable[str],
) -> Version:  # fmt: skip
    """A version out of what MLflow keeps of it."""
    return Version(
        name,
        number,
        tags.get(f"{OURS}task", ""),
        run or None,
        datetime.fromtimestamp(created_ms / 1000, UTC),
        tuple(sorted(aliases)),
        tags.get(f"{OURS}digest", ""),
        note or "",
        {key: value for key, value in sorted(tags.items()) if not key.startswith(OURS)},
    )
