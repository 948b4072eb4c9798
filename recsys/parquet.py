"""Interactions from Parquet: a file, or a folder of files, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recsys.gathering import Chunk
from recsys.layout import named_columns
from shared.errors import DataError
from shared.lazy import require

ROWS = 1 << 19
"""Rows of a chunk."""
_BUFFER = 1 << 20
SUFFIXES = (".parquet", ".pq")


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the Parquet files below a folder in order of their paths, hidden ones passed over."""
    if not path.is_dir():
        return [path]
    found = (one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
    return sorted(one for one in found if not any(part[0] in "._" for part in one.relative_to(path).parts))


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name or its first bytes; a folder, by the files in it."""
    if path.is_dir():
        return bool(parquet_files(path))
    if path.suffix in SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_chunks(path: Path, named: Mapping[str, str]) -> Iterator[Chunk]:
    """The chunks of a file or folder.

    Args:
        path: the file or folder.
        named: by role (``"user"``, ``"item"``, ``"rating"``, ``"time"``) the column's name, where it is told; others
            are found by :data:`recsys.layout.ROLES`. Every file must have the same columns for them.

    Raises:
        DataError: a file is no Parquet, or has no columns of users and items, or other ones than the first.
    """
    files = parquet_files(path)
    if not files:
        raise DataError(f"{path} must hold Parquet files ({' or '.join(SUFFIXES)}). It holds none")
    agreed: dict[str, str] | None = None
    for file in files:
        with open_parquet(file) as opened:
            columns = named_columns(list(opened.schema_arrow.names), named, file)
            if agreed is not None and columns != agreed:
                raise DataError(f"{file} must have the columns of {files[0].name}: {agreed}. Got {columns} instead")
            agreed = columns
            yield from _file_chunks(opened, file, columns)


def open_parquet(path: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile``, its text columns read as dictionaries.

    Raises:
        DataError: it is no Parquet file.
    """
    pa, pq = require("pyarrow", extra="all"), require("pyarrow.parquet", extra="all")
    try:
        with pq.ParquetFile(path) as file:
            text = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        # What is fetched ahead is held until the file is closed, so that memory would grow to the whole file.
        return pq.ParquetFile(path, read_dictionary=text, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} must be a Parquet file. {error}") from error


def _file_chunks(opened: Any, path: Path, columns: Mapping[str, str]) -> Iterator[Chunk]:
    pa = require("pyarrow", extra="all")
    before = 0
    # In this thread alone: Arrow's own threads can abort the process if it ends soon after they began.
    batches = opened.iter_batches(ROWS, columns=list(columns.values()), use_threads=False)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} must be a whole Parquet file. After row {before}: {error}") from error
        if batch is None:
            return
        held = {role: batch.column(name) for role, name in columns.items()}
        yield Chunk(held["user"], held["item"], held.get("rating"), held.get("time"), before=before, row=f"{path}, row")
        before += batch.num_rows
