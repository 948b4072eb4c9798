"""Memory of jobs over long queries and archives that ask no model, for ``bench/batch.py``."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

INPUTS = """
import json, resource, sys
from dataclasses import dataclass
from shared.batch import run
from shared.predictor import Pipeline
from shared.tasks import Task
from shared.testing import fake_card
from shared.types import Result

@dataclass(frozen=True, eq=False)
class Length(Result):
    length: int

def open(model, *, device, threads):
    length = lambda item: len(item if isinstance(item, str) else item.read_bytes())
    return Pipeline(fake_card(), length, list, lambda raw, mid: Length(raw), batch_size=256, threads=2)

if __name__ == "__main__":
    source, out, kind, options = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    report = run(Task("bench.length", "", kind, open), source, out, progress=False, **options)
    print(json.dumps([report.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, report.seconds]))
"""


def make_query(path: Path, rows: int) -> tuple[str, str, dict[str, Any]]:
    """A table of short texts, and how a job reads it into another."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text)")
        connection.executemany("INSERT INTO texts VALUES (?, ?)", ((n, f"text number {n} " * 5) for n in range(rows)))
    connection.close()
    sink = {"sink": "sql", "sink_url": f"sqlite:///{path}.out", "table": "lengths"}
    return (
        f"sqlite:///{path}",
        "text",
        {"sql": "SELECT id, text FROM texts", "id_column": "id", "shard_size": 5000, **sink},
    )


def make_archive(path: Path, members: int) -> tuple[str, str, dict[str, Any]]:
    """An archive of members of 100 kB."""
    content = np.random.default_rng(0).bytes(100_000)
    with tarfile.open(path, "w") as archive:
        for number in range(members):
            info = tarfile.TarInfo(f"{number:06d}.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path), "image", {"shard_size": 100}


def memory_of_inputs(scratch: Path) -> None:
    """Print the peak resident memory of jobs that do nothing over short and long inputs."""
    makers = {
        "query": (make_query, "sqlite.db", (10_000, 1_000_000)),
        "archive": (make_archive, "data.tar", (200, 20_000)),
    }
    for name, (make, file, counts) in makers.items():
        peaks = []
        for count in counts:
            folder = scratch / f"{name}-{count}"
            folder.mkdir()
            source, kind, options = make(folder / file, count)
            command = [sys.executable, "-c", INPUTS, source, str(folder / "out"), kind, json.dumps(options)]
            done, peak, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert done == count
            peaks.append(peak)
            print(f"{name} of {count:,} rows: peak resident memory {peak:.1f} MiB, {seconds:.1f} s")
            shutil.rmtree(folder)
        print(f"  {peaks[1] / peaks[0]:.3f} times")
