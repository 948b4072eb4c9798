"""Ten million logged predictions into one profile: seconds and peak memory, beside the whole table in pandas.

The log is made here as servers write it (Parquet parts with embeddings), then profiled in processes of their own, whose
peak resident memory is printed: a tenth of the log, all of it, and the same numbers loaded whole by pandas. Then a
window of it is checked against the profile and the page's size printed, and what watching an item costs beside
predicting it. Linux alone tells the peak.

    python bench/monitoring_memory.py [--rows 10000000] [--pandas-rows 1000000]
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from shared.tasks import find_task

PART, DIMENSIONS = 100_000, 64
NUMBERS = (
    "characters", "words", "word_length", "digits", "capitals", "foreign_letters", "unusual", "language_score",
    "entropy", "margin",
)  # fmt: skip


def main() -> None:
    """Make the log, and run each step in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--pandas-rows", type=int, default=1_000_000)
    parser.add_argument("--step", choices=("import", "profile", "pandas", "check"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--costs", action="store_true", help="only what watching an item costs")
    given = parser.parse_args()
    if given.costs:
        costs()
        return
    if given.step:
        STEPS[given.step](given.folder, given.pandas_rows)
        return
    with tempfile.TemporaryDirectory() as place:
        small, whole = Path(place) / "small", Path(place) / "whole"
        for folder, rows in ((small, given.rows // 10), (whole, given.rows)):
            began = time.perf_counter()
            write(folder, rows)
            size = sum(file.stat().st_size for file in folder.iterdir()) >> 20
            print(f"a log of {rows:,} rows: {size:,} MiB in {len(list(folder.glob('part-*')))} parts, "
                  f"made in {time.perf_counter() - began:.0f} s", flush=True)  # fmt: skip
        run("import", small, given.pandas_rows)
        run("profile", small, given.pandas_rows)
        run("profile", whole, given.pandas_rows)
        run("pandas", whole, given.pandas_rows)
        run("check", whole, given.pandas_rows)
    costs()


def run(step: str, folder: Path, rows: int) -> None:
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--pandas-rows", str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"{step:8} {done.stdout.strip()}", flush=True)


def write(folder: Path, rows: int) -> None:
    """A log as a server writes it, by columns: its rows come from one generator."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shared.monitoring.log import PredictionLog
    from shared.monitoring.log_rows import RATE

    PredictionLog(folder, "nlp.classification")
    words = pa.dictionary(pa.int32(), pa.string())
    for at, start in enumerate(range(0, rows, PART)):
        rng, n = np.random.default_rng(at), min(PART, rows - start)
        times = (1_760_000_000_000_000 + (start + np.arange(n)) * 10_000).astype("datetime64[us]")
        columns: dict[str, Any] = {
            "id": pa.array(np.char.mod("%016x", start + np.arange(n))),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "model": pa.array(["m"] * n).cast(words), "version": pa.array(["1"] * n).cast(words),
            "fault": pa.nulls(n, pa.string()).cast(words),
            "label": pa.array(np.char.mod("label %d", rng.zipf(1.6, n) % 3000)).cast(words),
            "confidence": pa.array(rng.beta(8, 2, n)),
        }  # fmt: skip
        columns |= {f"n_{name}": pa.array(rng.gamma(2.0, 1.0 + k, n)) for k, name in enumerate(NUMBERS)}
        columns["c_language"] = pa.array(rng.choice(["en", "de", "fr", "es"], n, p=[0.7, 0.15, 0.1, 0.05])).cast(words)
        flat = pa.array(rng.standard_normal(n * DIMENSIONS, np.float32))
        columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS)
        table = pa.table(columns).replace_schema_metadata({RATE: "1.0"})
        pq.write_table(table, folder / f"part-{1_760_000_000_000 + start:013d}-{at:08x}.parquet", compression="zstd")


def said(began: float, spent: float, facts: str) -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) >> 10
    took, used = time.perf_counter() - began, time.process_time() - spent
    print(f"{took:6.1f} s, {used:6.1f} s of processor, peak {peak:,} MiB: {facts}")


def imported(folder: Path, rows: int) -> None:
    began, spent = time.perf_counter(), time.process_time()
    for name in ("pyarrow.parquet", "shared.monitoring.log_reading"):
        importlib.import_module(name)
    said(began, spent, "the libraries alone")


def profiled(folder: Path, rows: int) -> None:
    from shared.monitoring.log_reading import profile_log
    from shared.monitoring.profile_files import save_profile

    began, spent = time.perf_counter(), time.process_time()
    profile = profile_log(folder, rng=np.random.default_rng(0))
    out = folder.parent / f"profile of {folder.name}"
    save_profile(profile, out)
    size = sum(file.stat().st_size for file in out.iterdir()) >> 10
    said(began, spent, f"{profile.n:,} rows into a profile of {size:,} KiB")


def pandas_whole(folder: Path, rows: int) -> None:
    import pandas as pd

    began, spent = time.perf_counter(), time.process_time()
    parts = sorted(folder.glob("part-*"))[: max(1, rows // PART)]
    columns = [f"n_{name}" for name in NUMBERS] + ["confidence", "label", "c_language"]
    frame = pd.concat([pd.read_parquet(part, columns=columns) for part in parts])
    vectors = np.concatenate([np.stack(pd.read_parquet(part, columns=["embedding"])["embedding"]) for part in parts])
    frame[columns[:-2]].quantile([0.05, 0.5, 0.95])
    said(began, spent, f"{len(frame):,} rows as a frame and their vectors, {vectors.nbytes >> 20:,} MiB of them, whole")


def checked(folder: Path, rows: int) -> None:
    from datetime import UTC, datetime

    from shared.monitoring.checking import check
    from shared.monitoring.log_reading import profile_log
    from shared.monitoring.profile_files import load_profile

    reference = load_profile(folder.parent / "profile of whole")
    until = datetime.fromtimestamp(1_760_000_000 + 100, UTC)
    window = profile_log(folder, rng=np.random.default_rng(1), until=until)
    began, spent = time.perf_counter(), time.process_time()
    found = check(reference, window)
    page = folder.parent / "page.html"
    found.report(page)
    size = page.stat().st_size
    said(began, spent, f"a window of {window.n:,} against {reference.n:,}; alarm {found.alarm}; page {size:,} bytes")


def costs() -> None:
    """What watching one item costs beside predicting it, by the median of several."""
    import io

    from PIL import Image
    from sklearn.datasets import load_sample_image

    photo = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).save(photo, "JPEG", quality=90)
    review = "A warm and funny film, well played, if a little long towards the end; we left the cinema smiling. " * 3
    cost("vision.classification", photo.getvalue())
    cost("vision.detection", photo.getvalue())
    cost("nlp.classification", review)
    cost("nlp.ner", review)


def cost(name: str, item: Any) -> None:
    task = find_task(name)
    observe = task.observe
    assert observe is not None
    predictor = task.open(None, device="auto", threads=1)
    result = predictor.predict([item])[0]
    watching = median(lambda: observe(item, result, predictor=predictor))
    predicting = median(lambda: predictor.predict([item]))
    print(f"costs    {name}: {1000 * watching:.2f} ms to watch an item, {1000 * predicting:.2f} ms to predict it "
          f"({watching / predicting:.0%})", flush=True)  # fmt: skip


def median(step: Any, times: int = 30) -> float:
    spent = []
    for _ in range(times):
        began = time.process_time()
        step()
        spent.append(time.process_time() - began)
    return float(np.median(spent))


STEPS = {"import": imported, "profile": profiled, "pandas": pandas_whole, "check": checked}

if __name__ == "__main__":
    main()
