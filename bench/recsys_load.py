"""How long loading interactions takes, and how much memory at most: each load in a process of its own.

    python bench/recsys_load.py --rows 10e6                    # Parquet and CSV, the careful reader beside the fast one
    python bench/recsys_load.py --rows 50e6 --kinds parquet     # the bound: 50 million within 8 GB
    python bench/recsys_load.py --rows 10e6 --pairs 5           # 10 million rows of 5 pairs

The rows are made in chunks from a seed: users and items drawn with a long tail, ratings in halves, rising times. The
file is written to a folder of its own that is deleted afterwards. Peak memory is that of the loading process
(``ru_maxrss``),
interpreter and libraries included; the same process without a load is told beside it. On a busy machine the
processor seconds are the ones to compare.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 1 << 20
KINDS = ("parquet", "csv", "csv-rows")
"""``csv-rows`` is the row reader that names the line of a fault; the others are what ``load_interactions`` takes."""
NAMES = ("user", "item", "rating", "time")


def columns(rows: int, users: int, items: int, pairs: int) -> Iterator[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        if pairs:
            pair = rng.integers(0, pairs, n)
            who, what = pair // 2, pair
        else:
            one, other = rng.random(n), rng.random(n)
            who, what = (one * one * users).astype(np.int64), (other * other * other * items).astype(np.int64)
        yield [who, what, rng.integers(1, 11, n) / 2, 1_000_000_000 + start + np.arange(n)]


def write(path: Path, kind: str, parts: Iterator[list[np.ndarray]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    schema = pa.schema([("user", pa.int64()), ("item", pa.int64()), ("rating", pa.float64()), ("time", pa.int64())])
    options = {"compression": "none", "use_dictionary": False} if kind == "parquet" else {}
    make = pq.ParquetWriter if kind == "parquet" else csv.CSVWriter
    with make(str(path), schema, **options) as writer:
        for part in parts:
            writer.write_table(pa.table(dict(zip(NAMES, part)), schema=schema))


def load(path: Path, kind: str, duplicates: Any) -> None:
    """The measured process: prints what it found and what it cost."""
    import recsys
    from recsys import reading

    if kind == "csv-rows":
        reading._FAST_FROM = sys.maxsize
    start, busy = time.perf_counter(), time.process_time()
    found = None if kind == "nothing" else recsys.load_interactions(path, duplicates=duplicates)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    facts = (len(found), len(found.user_ids), len(found.item_ids)) if found is not None else (0, 0, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"facts": facts, "seconds": seconds, "busy": busy, "peak": peak}))


def measure(path: Path, kind: str, duplicates: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--load", str(path), "--kinds", kind, "--duplicates", duplicates]
    return json.loads(subprocess.check_output(command, text=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--users", type=float, default=5e5)
    parser.add_argument("--items", type=float, default=5e4)
    parser.add_argument("--pairs", type=int, default=0, help="draw from so few pairs instead")
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, "nothing"), default=list(KINDS))
    parser.add_argument("--duplicates", default="last")
    parser.add_argument("--folder", type=Path, help="where the file is made; a temporary folder when not given")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        load(arguments.load, arguments.kinds[0], arguments.duplicates)
        return
    rows = int(arguments.rows)
    idle = measure(Path("."), "nothing", "last")["peak"]
    print(f"{rows:,} rows; a process that loads nothing: {idle / 1e6:.0f} MB\n")
    heads = "file", "bytes a row on disk", "seconds", "processor seconds", "rows a processor second"
    print(f"| {' | '.join(heads)} | peak MB | peak bytes a row | interactions, users, items |")
    print("| --- " * 8 + "|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder)
        for kind in arguments.kinds:
            file = path / f"ratings.{kind.partition('-')[0]}"
            if not file.exists():
                write(file, kind, columns(rows, int(arguments.users), int(arguments.items), arguments.pairs))
            size = file.stat().st_size / rows
            one = measure(file, kind, arguments.duplicates)
            peak = one["peak"]
            print(
                f"| {kind} | {size:.1f} | {one['seconds']:.1f} | {one['busy']:.1f} "
                f"| {rows / one['busy']:,.0f} | {peak / 1e6:,.0f} "
                f"| {(peak - idle) / rows:.0f} | {', '.join(f'{fact:,}' for fact in one['facts'])} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
