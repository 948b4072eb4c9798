"""What a job is: its inputs, its model, its options and how its rows are cut into shards. A folder holds one plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.batch.inputs import Source
from shared.errors import DataError, PlanMismatchError, UnknownNameError, UsageError
from shared.tasks import Task

SMALLEST_SHARD, COMMON_SHARD, LARGEST_SHARD, SHARDS = 8, 20, 5000, 1000


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows ``start`` to ``stop`` (not included) of the input."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a job writes. How fast it is written (workers, threads, device) is no part of it.

    Attributes:
        task: name of the task.
        inputs: the facts of the :class:`~shared.batch.inputs.Source`.
        options: the task's options, all of them.
        sink: file format of the shards.
        shard_size: rows of a shard; the last may have fewer.
        version: of this distribution.
        model: name of the model; empty before it has been opened.
        fingerprint: what identifies the model's answers; empty before it has been opened.
    """

    task: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    sink: str
    shard_size: int
    version: str
    model: str = ""
    fingerprint: str = ""

    @property
    def rows(self) -> int:
        """Rows of the whole input."""
        return int(self.inputs["rows"])

    def shards(self) -> Iterator[Shard]:
        """The shards in order."""
        for number, start in enumerate(range(0, self.rows, self.shard_size)):
            yield Shard(number, start, min(start + self.shard_size, self.rows))

    @property
    def shard_count(self) -> int:
        """How many shards there are."""
        return -(-self.rows // self.shard_size)

    def with_model(self, model: str, fingerprint: str) -> Plan:
        """This plan, now that its model is known."""
        return replace(self, model=model, fingerprint=fingerprint)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: Path) -> Plan:
        """The plan that :meth:`to_json` wrote.

        Raises:
            DataError: it is none.
        """
        try:
            plan = cls(**data)
            sound = plan.rows >= 0 and plan.shard_size >= 1
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"{origin} must hold the plan of a batch job. {error!r}") from error
        if not sound:
            raise DataError(f"{origin} must hold the plan of a batch job. Got sizes that cannot be: {dict(data)}")
        return plan


def all_options(task: Task, options: Mapping[str, Any]) -> dict[str, Any]:
    """The task's options with those that were not given at their defaults.

    Raises:
        UnknownNameError: the task has no such option.
    """
    known = {option.name: option.default for option in task.options}
    for name in options:
        if name not in known:
            raise UnknownNameError(f"option of {task.name}", name, known)
    return known | dict(options)


def make_plan(
    task: Task, source: Source, options: Mapping[str, Any], *, sink: str, shard_size: int | None, before: Plan | None
) -> Plan:
    """The plan that was asked for, its model still open.

    Args:
        task: what predicts.
        source: the opened input.
        options: all of the task's options.
        sink: file format of the shards.
        shard_size: rows of a shard; ``None`` takes that of ``before``, else chooses by :func:`default_shard_size`.
        before: the plan that the folder already holds.

    Raises:
        UsageError: ``shard_size`` is less than 1.
    """
    if shard_size is not None and shard_size < 1:
        raise UsageError(f"shard_size must be at least 1. Got {shard_size} instead")
    if shard_size is None:
        shard_size = before.shard_size if before else default_shard_size(source.total)
    plain = {name: _plain(value) for name, value in options.items()}
    return Plan(task.name, source.facts, plain, sink, shard_size, version("triptych"))


def default_shard_size(rows: int) -> int:
    """Rows of a shard when nobody says: a thousandth of all, from 20 to 5,000, so that a crash loses little.

    The files of a shard and their flush to the disk cost about a millisecond. Jobs of few rows have smaller shards,
    down to 8 rows, so that several workers can share in them.

    Example:
        >>> default_shard_size(100), default_shard_size(20_000), default_shard_size(10_000_000)
        (8, 20, 5000)
    """
    return min(LARGEST_SHARD, max(SMALLEST_SHARD, min(COMMON_SHARD, rows // 16), rows // SHARDS))


def check_same(before: Plan, now: Plan, out: Path) -> None:
    """Check that a folder begun under one plan is continued under the same; an unopened model is left out.

    Raises:
        PlanMismatchError: they differ; the message says in what.
    """
    found = [_changed(name, getattr(before, name), getattr(now, name)) for name in ("task", "sink", "shard_size")]
    found += [_changed("version of triptych", before.version, now.version)]
    found += [_changed(f"inputs: {k}", v, now.inputs.get(k)) for k, v in before.inputs.items()]
    names = sorted({*before.options, *now.options})
    found += [_changed(f"option {name}", before.options.get(name), now.options.get(name)) for name in names]
    if now.model:
        found += [_changed("model", before.model, now.model)]
        if before.model == now.model and before.fingerprint != now.fingerprint:
            found += [f"model (the files or facts of {now.model!r} are not what they were)"]
    different = [text for text in found if text]
    if different:
        raise PlanMismatchError(
            f"{out} was begun under another plan. Different: {'; '.join(different)}. "
            "Continue it as it was begun, or choose another folder"
        )


def _changed(name: str, before: object, now: object) -> str:
    if before == now:
        return ""
    if name == "inputs: digest":
        return "inputs: content (files were changed, added, removed or renamed)"
    return f"{name} (was {before!r}, now {now!r})"


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON, so that a stored plan compares equal."""
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
