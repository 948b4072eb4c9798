"""What items are, from files: their text out of a table, their vectors out of an archive or an encoder by name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.content.embeddings import Encode
from recsys.data import Interactions
from recsys.ids import Vocabulary
from shared.errors import DataError, UnknownNameError, UsageError
from shared.tasks import find_task, task_names
from shared.types import Float32, Id

ENCODER = "embedder"
"""The tool by which a task offers its encoder: ``open(name, device=..., threads=...)`` gives a predictor of vectors."""


def read_items(path: str | Path, *, item: str | None = None, text: Sequence[str] = ()) -> dict[str, str]:
    """The text of each item, from a CSV, TSV or ``|`` file with a header.

    Args:
        path: the file, UTF-8; the first line names the columns.
        item: the column of ids; ``None`` takes the first.
        text: the columns that are joined, in this order; none named takes all others. An item that comes in several
            rows (one tag a row, say) gets the text of all.

    Raises:
        DataError: the file is malformed or has no such column.
        UsageError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"items must be a file with a header and an item a row. Nothing stands at {path}")
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(",\t|;", key=first.count)
        rows = csv.reader(file, delimiter=delimiter)
        header = next(rows, [])
        key = header[0] if item is None and header else item
        wanted = list(text) or [name for name in header if name != key]
        for name in (key, *wanted):
            if name not in header:
                raise DataError(f"{path} must have a column {name!r}. It has: {', '.join(header)}")
        at, columns = header.index(str(key)), [header.index(name) for name in wanted]
        found: dict[str, list[str]] = {}
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(f"{path}, line {rows.line_num}: expected {len(header)} fields. Got {len(row)}: {row}")
            found.setdefault(row[at].strip(), []).extend(row[column] for column in columns)
    return {name: " ".join(parts) for name, parts in found.items()}


def read_pictures(path: str | Path) -> dict[str, Path]:
    """The picture of each item: the files of a folder, each called by its item's id, or what a table says.

    Args:
        path: a folder, whose files count without their suffix and hidden ones do not; or a table with a header, its
            first column the id, and a column ``picture`` with a path, which is relative to the table's folder.

    Raises:
        DataError: two pictures are one item's, a table's picture is missing, or there are none.
        UsageError: nothing stands there.
    """
    path = Path(path)
    if path.is_dir():
        named = [(one.stem, one) for one in sorted(path.iterdir()) if one.is_file() and not one.name.startswith(".")]
    elif path.is_file():
        table = read_items(path, text=["picture"])
        named = [(item, path.parent / picture.strip()) for item, picture in table.items()]
    else:
        raise UsageError(f"pictures must be a folder, or a table of ids and paths. Nothing stands at {path}")
    pictures = dict(named)
    if not named or len(pictures) < len(named):
        raise DataError(f"{path} must hold one picture an item. It holds {len(named)} for {len(pictures)} items")
    missing = next((item for item, picture in named if not picture.is_file()), None)
    if missing is not None:
        raise DataError(
            f"{path}: the picture of item {missing!r} must be a file. Nothing stands at {pictures[missing]}"
        )
    return pictures


def read_vectors(path: str | Path) -> tuple[list[Id], Float32]:
    """Ids and their vectors from an ``.npz`` with the arrays ``ids``, shape (n,), and ``vectors``, shape (n, d).

    Raises:
        DataError: the archive holds something else.
        UsageError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"vectors must be an .npz file with ids and vectors. Nothing stands at {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            ids, vectors = archive["ids"], archive["vectors"]
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise DataError(f"{path} must be an .npz file with ids and vectors. {error}") from error
    if vectors.ndim != 2 or ids.shape != (len(vectors),) or not np.isfinite(vectors).all():
        raise DataError(f"{path} must hold a finite vector for each id. Got {ids.shape} and {vectors.shape}")
    return ids.tolist(), vectors.astype(np.float32)


def find_encoder(name: str, *, threads: int | None = None) -> Encode:
    """An encoder by the task that offers it, and after a colon its model: ``"nlp.classification"`` or
    ``"nlp.classification:bge-small-en-v1.5"`` for texts, ``"vision.classification"`` for pictures.

    Recommendation may not import its siblings, so the task is found as the command finds tasks: by its entry point.

    Raises:
        UnknownNameError: no installed task is called that.
        UsageError: the task offers no encoder.
    """
    task, _, model = name.partition(":")
    tools = find_task(task).tools
    if ENCODER not in tools:
        raise UsageError(
            f"{task} offers no {ENCODER!r} among its tools. Name another of {', '.join(task_names())}, "
            "or give --vectors"
        )
    encode: Encode = tools[ENCODER](model or None, threads=threads).predict
    return encode


def as_known(ids: Sequence[Id], interactions: Interactions) -> list[Any]:
    """Ids that came through text in the type of the interactions' own ids.

    Raises:
        UnknownNameError: not one of them is an item of the interactions.
    """
    known: Vocabulary = interactions.item_ids
    read = [known.read(one) for one in ids]
    if not any(known.find(one) is not None for one in read):
        raise UnknownNameError("item of the interactions", str(ids[0]) if ids else "", map(str, known.ids))
    return read
