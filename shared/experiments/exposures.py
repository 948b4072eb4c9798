"""Who saw what: rows of an exposure log, and each unit of an experiment once.

The log (:mod:`shared.experiments.exposure_log`) keeps every row as it came. *Duplicates are a matter of reading*:
:func:`first_exposures` counts each unit of an experiment once, by its earliest row (of equal times the one written
first). Later rows of the same arm are repeats; a unit that has rows of several arms is named as crossed, and whoever
analyses it decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.experiments.assignment import Assignments, Kept
from shared.experiments.definition import check_name, in_utc
from shared.experiments.units import text_of
from shared.lazy import require

COLUMNS = ("unit", "experiment", "arm", "time", "propensity")


@dataclass(frozen=True, slots=True)
class Exposure:
    """One unit saw one arm.

    Attributes:
        unit: the canonical encoding of its id (:mod:`shared.experiments.units`).
        experiment: name of the experiment.
        arm: name of the arm.
        time: when, in UTC.
        propensity: the chance that the unit had of that arm, in (0, 1].
    """

    unit: str
    experiment: str
    arm: str
    time: datetime
    propensity: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", text_of(self.unit))
        check_name("the experiment of an exposure", self.experiment)
        check_name("the arm of an exposure", self.arm)
        object.__setattr__(self, "time", in_utc(self.time))
        if not isinstance(self.propensity, int | float) or not 0 < self.propensity <= 1:
            raise UsageError(
                "Exposure.propensity must lie in (0, 1]: what cannot be shown cannot have been. "
                f"Got {self.propensity!r} instead"
            )


def exposures(assignments: Assignments, time: datetime) -> list[Exposure]:
    """One exposure for each unit that has an arm."""
    return [
        Exposure(row["unit"], row["experiment"], row["arm"], time, row["propensity"])
        for row in assignments.rows()
        if row["arm"] is not None
    ]


def read_exposures(folder: str | Path, *, experiment: str | None = None) -> Iterator[Exposure]:
    """The rows of a log in the order in which they were written, one part in memory at a time.

    A log may be read while it is being written: what was on the disk when a part was opened is read.

    Args:
        folder: of the log.
        experiment: only its rows.

    Raises:
        DataError: no log stands there, or a part is damaged; the message names it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"{place} must be the folder of an exposure log. There is no such folder")
    parts = {number: path for path in sorted(place.iterdir()) if (number := part_number(path)) is not None}
    if not parts:
        raise DataError(f"{place} must be the folder of an exposure log. It holds no part")
    for number in sorted(parts):
        sealed = place / f"part-{number:05d}.parquet"
        rows = _read_parquet(sealed) if sealed.exists() else read_lines(place / f"part-{number:05d}.jsonl", sealed)
        yield from (row for row in rows if experiment is None or row.experiment == experiment)


@dataclass(frozen=True)
class FirstExposures:
    """Each unit of an experiment once.

    Attributes:
        rows: the earliest row of each unit, in the order of their times.
        repeats: how many further rows had the same arm.
        crossed: units that have rows of several arms, in the order of their first rows.
    """

    rows: tuple[Exposure, ...]
    repeats: int
    crossed: tuple[str, ...]

    def kept(self) -> dict[str, Kept]:
        """Arms by unit, in the form that ``assign(..., stored=...)`` takes."""
        return {row.unit: Kept(row.arm, row.propensity) for row in self.rows}


def first_exposures(rows: Iterable[Exposure], *, experiment: str) -> FirstExposures:
    """The first exposure of each unit of an experiment; one row a unit is held in memory.

    Args:
        rows: as :func:`read_exposures` gives them, for example.
        experiment: rows of others are left out.

    Example:
        >>> day = datetime(2026, 3, 2)
        >>> seen = [Exposure("ann", "page", arm, day, 0.5) for arm in ("old", "new", "old")]
        >>> found = first_exposures(seen, experiment="page")
        >>> found.rows[0].arm, found.repeats, found.crossed
        ('old', 1, ('ann',))
    """
    first: dict[str, Exposure] = {}
    arms: dict[str, set[str]] = {}
    count = 0
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.experiment != experiment:
            continue
        count += 1
        before = first.get(row.unit)
        if before is None or row.time < before.time:
            first[row.unit] = row
        if before is not None and before.arm != row.arm:
            arms.setdefault(row.unit, {before.arm}).add(row.arm)
        seen[row.unit, row.arm] = seen.get((row.unit, row.arm), 0) + 1
    repeats = sum(seen[unit, row.arm] - 1 for unit, row in first.items())
    ordered = sorted(first.values(), key=lambda row: row.time)
    return FirstExposures(tuple(ordered), repeats, tuple(row.unit for row in ordered if row.unit in arms))


def part_number(path: Path) -> int | None:
    """The number of a part, ``None`` of other files; a half-written one counts as a part of the log too."""
    stem, _, rest = path.name.partition(".")
    digits = stem.removeprefix("part-")
    known = rest in {"jsonl", "parquet", "parquet.tmp"}
    return int(digits) if known and stem.startswith("part-") and digits.isdecimal() else None


def read_lines(path: Path, sealed: Path) -> Iterator[Exposure]:
    """The whole rows of a part in lines; those of its Parquet form if it has become full since it was listed."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        yield from _read_parquet(sealed)
        return
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            yield _row(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"line {number} of {path} must be an exposure. {error}") from error


def _read_parquet(path: Path) -> Iterator[Exposure]:
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    try:
        with pq.ParquetFile(path) as file:
            # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began.
            for batch in file.iter_batches(10_000, columns=list(COLUMNS), use_threads=False):
                yield from map(_row, batch.to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path} must be a whole part of an exposure log. {error}") from error


def _row(values: dict[str, Any]) -> Exposure:
    time = values["time"]
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time.astimezone(UTC)
    return Exposure(values["unit"], values["experiment"], values["arm"], moment, values["propensity"])
