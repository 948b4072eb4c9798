"""A data set cut into parts on the disk: to learn from, to choose by, and to measure what was chosen, once.

What is alike stays together, so that no part knows of another: rows with the same text, questions of one article. What
can be cut: tables (CSV, TSV, JSON lines), plain lines, sentences between blank lines (CoNLL), SQuAD's JSON, and folders
with one folder of files a class (as links).
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.splits import split
from shared.types import Int64
from shared.weights.cache import write_bytes

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_TABLES = {".csv": ",", ".tsv": "\t"}
_OBJECTS = (".jsonl", ".ndjson")
_SENTENCES = (".conll", ".iob", ".iob2", ".bio")
_LINES = (".txt", ".data", ".dat")
_ALIKE = ("text", "question", "prompt")
"""Columns whose equal values stay together, the first that there is."""
_LABEL = "label"


@dataclass(frozen=True)
class Whole:
    """A data set before it is cut.

    Attributes:
        units: how many rows, files or articles it has.
        groups: what must not be parted, of each unit.
        strata: what is spread evenly, of each unit; ``None`` for nothing.
        write: from positions of units and a path to those units as a data set of the same layout there.
        suffix: of that path.
    """

    units: int
    groups: tuple[str, ...]
    strata: tuple[str, ...] | None
    write: Callable[[Int64, Path], None]
    suffix: str


def read_whole(dataset: Path, *, group: str | None = None, stratify: str | None = None) -> Whole:
    """Look into a data set.

    Args:
        dataset: a file or folder; see this module's docstring.
        group: a column whose equal values stay together; ``None`` takes ``text``, ``question`` or ``prompt``, else
            the whole row.
        stratify: a column that is spread evenly; ``None`` takes ``label`` where there is one.

    Raises:
        DataError: the file cannot be read.
        UnknownNameError: there is no such column.
        UsageError: it is of no kind that can be cut.
    """
    if dataset.is_dir():
        return _classes(dataset)
    suffix = dataset.suffix.lower()
    try:
        text = dataset.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{dataset} must be UTF-8 text to be cut into parts. {error}") from error
    if suffix in _TABLES:
        return _table(text, dataset, _TABLES[suffix], group, stratify)
    if suffix in _OBJECTS:
        lines = [line for line in text.split("\n") if line.strip()]
        return _rows(lines, [_parsed(line, dataset, at) for at, line in enumerate(lines, 1)], suffix, group, stratify)
    if suffix in _SENTENCES:
        blocks = [block.strip("\n") for block in text.split("\n\n") if block.strip()]
        return Whole(len(blocks), tuple(blocks), None, _writer(blocks, "\n\n"), suffix)
    if suffix == ".json":
        return _squad(text, dataset)
    if suffix in _LINES:
        lines = [line for line in text.split("\n") if line.strip()]
        return Whole(len(lines), tuple(lines), None, _writer(lines, "\n"), suffix)
    raise UsageError(
        f"{dataset} cannot be cut into parts here: it is no table (CSV, TSV, JSON lines), CoNLL file, SQuAD file or "
        "folder of classes. Name the parts yourself: --validation and --test"
    )


def cut(
    whole: Whole,
    folder: Path,
    *,
    validation: float,
    test: float,
    seed: int,
    names: Sequence[str] = (TRAIN, VALIDATION, TEST),
) -> dict[str, Path]:
    """Write the parts of a data set; those that stand there already are taken as they are.

    Args:
        whole: the data set.
        folder: where to.
        validation: share of the units to choose by, in [0, 1).
        test: share of them to measure with, in [0, 1).
        seed: of the draw.
        names: the parts that are wanted.

    Returns:
        The path of each part that is wanted.

    Raises:
        DataError: a part has no units, or a stratum too few to be spread.
        UsageError: the shares leave nothing to learn from.
    """
    if min(validation, test) < 0 or validation + test >= 1:
        raise UsageError(f"validation and test must leave a share to learn from. Got {validation} and {test} instead")
    places = {name: folder / f"{name}{whole.suffix}" for name in names}
    marker = folder / "cut.json"
    if marker.is_file():
        return places
    rng = np.random.default_rng([seed, 17])
    alone = len(set(whole.groups)) == whole.units
    how: dict[str, Any] = {"groups": None if alone else whole.groups, "strata": whole.strata}
    if test > 0 and validation > 0:
        drawn = split(whole.units, train=1 - validation - test, validation=validation, rng=rng, **how)
        parts = {TRAIN: drawn.train, VALIDATION: drawn.validation, TEST: drawn.test}
    else:
        drawn = split(whole.units, train=1 - validation - test, validation=0.0, rng=rng, **how)
        parts = {TRAIN: drawn.train, (TEST if test > 0 else VALIDATION): drawn.test}
    for name in names:
        _replace(whole, parts[name], places[name])
    sizes = {name: int(parts[name].size) for name in names}
    write_bytes(marker, json.dumps(sizes).encode())
    return places


def sizes(folder: Path) -> dict[str, int]:
    """How many units each part has that :func:`cut` wrote there."""
    found: dict[str, int] = json.loads((folder / "cut.json").read_bytes())
    return found


def portion(whole: Whole, path: Path, share: float, *, seed: int) -> Path:
    """Write a share of a data set's units, drawn at random; a larger share holds the smaller ones.

    Args:
        whole: the data set.
        path: where to, without the suffix.
        share: in (0, 1).
        seed: of the draw.
    """
    place = path.with_name(path.name + whole.suffix)
    if not place.exists():
        order = np.random.default_rng([seed, 18]).permutation(whole.units)
        _replace(whole, np.sort(order[: max(1, round(share * whole.units))]), place)
    return place


def _replace(whole: Whole, units: Int64, place: Path) -> None:
    """Write beside the place, then rename into it, so that a kill leaves no half of a part."""
    staged = place.with_name(f".{place.name}.new")
    if staged.is_dir():
        shutil.rmtree(staged)
    place.parent.mkdir(parents=True, exist_ok=True)
    whole.write(units, staged)
    if place.is_dir():
        shutil.rmtree(place)
    staged.replace(place)


def _writer(pieces: Sequence[str], between: str, head: str = "") -> Callable[[Int64, Path], None]:
    def write(units: Int64, path: Path) -> None:
        path.write_bytes((head + between.join(pieces[at] for at in units.tolist()) + "\n").encode())

    return write


def _table(text: str, path: Path, delimiter: str, group: str | None, stratify: str | None) -> Whole:
    cells = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if not cells:
        raise DataError(f"{path} must hold rows. It holds none")
    headed = not any(_is_number(cell) for cell in cells[0])
    head, body = (cells[0], cells[1:]) if headed else ([], cells)
    if not headed and (group or stratify):
        raise UsageError(f"{path} must have a header line where columns are named. Its first line is {cells[0]}")
    written = [_line(row, delimiter) for row in body]
    columns = [dict(zip(head, row)) for row in body] if headed else [{} for _ in body]
    return _rows(
        written, columns, path.suffix.lower(), group, stratify, head=_line(head, delimiter) + "\n" if headed else ""
    )


def _rows(
    lines: Sequence[str],
    columns: Sequence[dict[str, Any]],
    suffix: str,
    group: str | None,
    stratify: str | None,
    *,
    head: str = "",
) -> Whole:
    known = sorted({name for row in columns[:100] for name in row})
    for name in (group, stratify):
        if name is not None and name not in known:
            raise UnknownNameError("column of the data set", name, known)
    alike = group or next((name for name in _ALIKE if name in known), None)
    groups = tuple(line if alike is None else str(row.get(alike)) for line, row in zip(lines, columns))
    kind = stratify or (_LABEL if _LABEL in known else None)
    strata = None if kind is None else tuple(str(row.get(kind)) for row in columns)
    return Whole(len(lines), groups, strata, _writer(lines, "\n", head), suffix)


def _squad(text: str, path: Path) -> Whole:
    data = _parsed(text, path, 1)
    articles = data.get("data")
    if not isinstance(articles, list) or not articles:
        raise UsageError(f"{path} cannot be cut into parts here: it is no SQuAD file. Name --validation and --test")

    def write(units: Int64, place: Path) -> None:
        place.write_bytes(json.dumps({**data, "data": [articles[at] for at in units.tolist()]}).encode())

    names = tuple(str(one.get("title") or at) for at, one in enumerate(articles))
    return Whole(len(articles), names, None, write, ".json")


def _classes(folder: Path) -> Whole:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if {path.name for path in classes} & {"train", "val", "valid", "validation", "test", "images"} or not classes:
        raise UsageError(
            f"{folder} cannot be cut into parts here: it is no folder with one folder of files a class. "
            "Name the parts yourself: --validation and --test"
        )
    files = [file for one in classes for file in sorted(one.iterdir()) if file.is_file()]

    def write(units: Int64, place: Path) -> None:
        for at in units.tolist():
            link = place / files[at].parent.name / files[at].name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(files[at].resolve())

    return Whole(len(files), tuple(map(str, files)), tuple(file.parent.name for file in files), write, "")


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number} must be JSON. {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {number} must be a JSON object. Got a {type(row).__name__} instead")
    return row


def _line(row: Sequence[str], delimiter: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="").writerow(row)
    return stream.getvalue()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
