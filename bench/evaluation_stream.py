"""Streams beside scikit-learn over whole arrays: processor time and memory, each in a process of its own.

``python bench/evaluation_stream.py WAY KIND ROWS`` is one measurement: it makes the rows chunk by chunk, and prints the
figures, the seconds of processor time without the making of the rows, and by how much the process grew.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from time import process_time
from typing import Any

import numpy as np
import sklearn.metrics as sk

from shared.evaluation.streaming import Stream

CHUNK = 65_536
NAMES = {
    "labels": ("accuracy", "macro_f1", "kappa"),
    "numbers": ("rmse", "mae", "r2"),
    "scores": ("roc_auc", "average_precision"),
}
WHOLE: dict[str, Any] = {
    "accuracy": sk.accuracy_score,
    "macro_f1": lambda t, p: sk.f1_score(t, p, average="macro"),
    "kappa": sk.cohen_kappa_score,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
}


def chunks(kind: str, rows: int) -> Iterator[tuple[Any, Any]]:
    """Truth and prediction: ten labels, ratings, or scores of many digits."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        if kind == "labels":
            truth = rng.integers(0, 10, n)
            yield truth, np.where(rng.random(n) < 0.8, truth, rng.integers(0, 10, n))
        elif kind == "numbers":
            ratings = rng.normal(3.5, 1.0, n)
            yield ratings, ratings + rng.normal(0, 0.8, n)
        else:
            positive = rng.random(n) < 0.2
            yield positive, 1 / (1 + np.exp(-rng.normal(0, 1, n) - positive))


def measure(way: str, kind: str, rows: int) -> dict[str, Any]:
    """One measurement."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    busy, bounds = 0.0, {}
    if way == "stream":
        stream = Stream(*NAMES[kind])
        for inputs in chunks(kind, rows):
            began = process_time()
            stream.add(*inputs)
            busy += process_time() - began
        began = process_time()
        figures = {name: m.value for name, m in stream.results(rng=np.random.default_rng(0)).items()}
        busy += process_time() - began
        bounds = stream.bounds()
    else:
        parts = list(chunks(kind, rows))
        truth, given = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
        del parts
        began = process_time()
        figures = {name: float(WHOLE[name](truth, given)) for name in NAMES[kind]}
        busy = process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"figures": figures, "bounds": bounds, "seconds": busy, "megabytes": grown}


def report(rows: int) -> None:
    """Print every kind: the stream of a tenth of the rows and of all, and scikit-learn of all."""
    print("the stream's seconds hold its intervals of 1,000 resamples; memory is what the process grew by")
    for kind, names in NAMES.items():
        print(f"{kind}: {', '.join(names)}")
        found = {}
        for way, n in (("stream", rows // 10), ("stream", rows), ("scikit-learn", rows)):
            line = [sys.executable, __file__, way, kind, str(n)]
            found[way] = one = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
            print(f"  {way:<13} {n:>12,} rows {one['seconds']:8.2f} s {one['megabytes']:8.0f} MB")
        for name in names:
            mine, other = (found[way]["figures"][name] for way in ("stream", "scikit-learn"))
            low, high = found["stream"]["bounds"].get(name, (mine, mine))
            sure = f", for sure {low:.6f} to {high:.6f}" if low < high else ""
            print(f"  {name:<18} {mine:.12f} beside {other:.12f}: {abs(mine - other):.1e} apart{sure}")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
