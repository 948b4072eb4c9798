"""One large table of events: seconds and peak memory of an analysis. Run by bench/experiments.py --rows."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

OF_UNIT = ("arm", "before", "land")
BLOCK = 2_000_000


def large(rows: int, users: int, memory: int, *, apart: bool = False) -> None:
    """Analyse ``rows`` events of ``users`` units; with ``apart`` what is known of units is a table of exposures."""
    from shared.experiments.analysis import analyse
    from shared.experiments.joining import joined_within
    from shared.experiments.settings import settings_of

    settings = settings_of({
        "analysis": {"planned": users, "segments": ["land"]}, "arms": {"0": 0.5, "1": 0.5},
        "metrics": {
            "spend": {"kind": "mean", "column": "spend", "covariates": ["before"], "missing": "zero"},
            "ctr": {
                "kind": "ratio", "column": "clicks", "denominator": "views", "role": "secondary", "missing": "zero",
            },
        },
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        events, shown = Path(folder) / "events", Path(folder) / "shown"
        _write(events, shown, rows, users, apart)
        files = sum(one.stat().st_size for one in Path(folder).rglob("*.parquet")) >> 20
        with Watch() as watch:
            began, spent = time.perf_counter(), time.process_time()
            names = {"unit": "unit", "arm": "arm", "exposed_at": "time", "at": "time"}
            source = joined_within(shown, events, **names, memory=memory) if apart else contextlib.nullcontext(events)
            with source as table:
                parts = len(list(table.iterdir())) if apart and isinstance(table, Path) else 1
                report = analyse(table, settings, memory=memory)
            took, spent = time.perf_counter() - began, time.process_time() - spent
    units = sum(report.units.values())
    joined = f"; joined to {units:,} units twice exposed, in {parts} parts" if apart else ""
    print(f"{rows:,} rows ({files} MiB), {units:,} units; two metrics, a covariate, a segment{joined}")
    print(f"  {took:.1f} s, {spent:.1f} s of processor, {rows / spent / 1e6:.2f} M rows a second of it")
    print(f"  peak: {watch.own >> 10} MiB of its own, {watch.mapped >> 10} MiB of mapped files")


def _write(events: Path, shown: Path, rows: int, users: int, apart: bool) -> None:
    import polars as pl

    events.mkdir()
    shown.mkdir()
    day = np.datetime64("2026-01-01", "us")
    for at, start in enumerate(range(0, rows, BLOCK)):
        rng = np.random.default_rng(at)
        size = min(BLOCK, rows - start)
        user = rng.integers(0, users, size)
        frame = _of_units(user).with_columns(
            spend=pl.Series(rng.exponential(1.0, size)) + 0.01 * pl.col("arm"),
            clicks=pl.Series(rng.integers(0, 3, size)),
            views=pl.Series(rng.integers(1, 9, size)),
        )
        if apart:
            late = rng.integers(0, 14 * 24, size) * np.timedelta64(3600, "s")
            frame = frame.drop(OF_UNIT).with_columns(time=pl.Series(day + late))
        frame.write_parquet(events / f"{at:04}.parquet")
    for at, start in enumerate(range(0, 2 * users, BLOCK) if apart else ()):
        user = np.arange(start, min(start + BLOCK, 2 * users)) % users  # everybody is exposed twice
        frame = _of_units(user).with_columns(time=pl.lit(day) + pl.duration(hours=at % 24))
        frame.write_parquet(shown / f"{at:04}.parquet")


def _of_units(user: np.ndarray) -> Any:
    import polars as pl

    arm = (user * 2_654_435_761 >> 7) % 2
    return pl.DataFrame({
        "unit": user, "arm": arm.astype(np.int8), "before": (user % 97).astype(np.float64),
        "land": (user % 5).astype(np.int8),
    })  # fmt: skip


class Watch:
    """The most memory of this process's own, and of mapped files, in KiB, twenty times a second (Linux)."""

    def __enter__(self) -> Watch:
        self.own = self.mapped = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.own = max(self.own, int(lines["RssAnon"].split()[0]))
            self.mapped = max(self.mapped, int(lines["RssFile"].split()[0]))
