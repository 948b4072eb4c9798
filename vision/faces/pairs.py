"""Pairs of faces from disk: a CSV that names them, or folders of persons whose pictures are paired with each other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.batch.sources import IMAGE_SUFFIXES
from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import Bool, Int64

FORMATS = ("face-pairs",)
_SAME = {"1": True, "true": True, "0": False, "false": False}
_COLUMNS = ("img1", "img2", "same")


@dataclass(frozen=True, eq=False)
class FacePairs:
    """Pairs of pictures of faces.

    Attributes:
        paths: each picture once, length m.
        first: shape (n,), int64, place in ``paths`` of each pair's first picture.
        second: likewise of its second.
        same: shape (n,), bool, whether both are of one person.
        folds: shape (n,), int64, the fold of each pair as the file gives it, or ``None`` where it gives none or one.
    """

    paths: tuple[str, ...]
    first: Int64
    second: Int64
    same: Bool
    folds: Int64 | None


def read_pairs(dataset: Path, *, format: str | None = None, limit: int | None = None) -> FacePairs:
    """Read a CSV of pairs.

    Args:
        dataset: the file, or a folder with one CSV file in it. Its header names ``img1``, ``img2`` and ``same`` (1 or
            0), and may name ``fold``, a whole number. Paths are relative to the file's folder.
        format: ``"face-pairs"``, or ``None`` to look.
        limit: only the first so many pairs.

    Raises:
        UnknownNameError: there is no such format.
        UsageError: ``limit`` is below 1.
        DataError: the file is malformed, or names pictures that do not exist.
    """
    if format is not None and format not in FORMATS:
        raise UnknownNameError("data set format of this task", format, FORMATS)
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, or None for all. Got {limit} instead")
    file = _csv_file(dataset)
    places: dict[str, int] = {}
    rows: list[tuple[int, int, bool, int]] = []
    for number, row in enumerate(_rows(file), 2):
        where = f"{file}, line {number}"
        if len(rows) == limit:
            break
        paths = [_picture(file, row, column, where) for column in ("img1", "img2")]
        one, two = (places.setdefault(path, len(places)) for path in paths)
        same, fold = row["same"].strip().lower(), (row.get("fold") or "0").strip()
        if same not in _SAME:
            raise DataError(f"{where}: same must be 1 or 0. Got {row['same']!r} instead")
        if not fold.lstrip("-").isdecimal():
            raise DataError(f"{where}: fold must be a whole number. Got {fold!r} instead")
        rows.append((one, two, _SAME[same], int(fold)))
    if not rows:
        raise DataError(f"{file} must hold at least one pair. It holds none")
    first, second, truth, folds = zip(*rows)
    several = np.array(folds, np.int64) if len(set(folds)) > 1 else None
    return FacePairs(tuple(places), np.array(first), np.array(second), np.array(truth, np.bool_), several)


def read_people(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Pictures in one folder for each person, in order of their paths.

    Returns:
        The paths, and the person of each: the name of the folder that it lies in, at any depth.

    Raises:
        DataError: there is no such folder, or there are not at least two persons in it.
    """
    if not folder.is_dir():
        raise DataError(f"pictures of persons must lie in a folder. {folder} is none")
    found = [
        (str(path), path.relative_to(folder).parts[0])
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.parent != folder and path.is_file()
    ]
    people = {person for _, person in found}
    if len(people) < 2:
        raise DataError(f"{folder} must hold one folder of pictures a person, at least two. It holds {len(people)}")
    return tuple(path for path, _ in found), tuple(person for _, person in found)


def _csv_file(dataset: Path) -> Path:
    if dataset.is_file():
        return dataset
    found = sorted(dataset.glob("*.csv"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{dataset} must be a CSV file of pairs, or a folder that holds one. It holds {names}")
    return found[0]


def _picture(file: Path, row: dict[str, str], column: str, where: str) -> str:
    path = file.parent / row[column]
    if not path.is_file():
        raise DataError(f"{where}: {column} must be a file under {file.parent}. Got {row[column]!r} instead")
    return str(path)


def _rows(file: Path) -> Iterator[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise DataError(
                    f"{file} must begin with a header that names {', '.join(_COLUMNS)}. Got {reader.fieldnames} instead"
                )
            for row in reader:
                if None in row.values() or None in row:
                    raise DataError(f"{file}, line {reader.line_num}: must have as many cells as the header")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} must be CSV in UTF-8. {error}") from error
