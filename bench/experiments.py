"""What the analysis of experiments promises, counted on simulated experiments; and the memory of a large table.

python bench/experiments.py                        # false positives, power, CUPED, coverage, sample ratio
python bench/experiments.py --rows 4000000 --memory 256    # one table: seconds and peak memory
python bench/experiments.py --rows 100000000 --users 50000000
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from shared.experiments.adjust import adjust
from shared.experiments.metrics import Metric
from shared.experiments.moments import moments_of
from shared.experiments.ratio import check_ratio
from shared.experiments.sequential import group_bounds, mixing_variance, sequence_radius

LOOKS = 30
Z = 1.959964


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="measure a table of so many rows instead")
    parser.add_argument("--memory", type=float, default=2048, help="MiB for the table of one part's units")
    parser.add_argument("--users", type=int, help="units of that table; half as many as rows when not given")
    arguments = parser.parse_args()
    if arguments.rows:
        large(arguments.rows, arguments.users or arguments.rows // 2, int(arguments.memory * (1 << 20)))
        return
    rng = np.random.default_rng(arguments.seed)
    peeking(arguments.runs, rng)
    cuped(rng)
    coverage(arguments.runs, rng)
    quantiles(rng)
    ratio(rng)


def peeking(runs: int, rng: np.random.Generator, per_look: int = 100) -> None:
    """Sums of both arms' units at each look, with the variance estimated at each look as an analysis does."""
    print(f"{runs} experiments, {LOOKS} looks, {per_look} more units an arm at each, normal values of sd 1")
    print("| effect | always valid | group sequential (O'Brien-Fleming) | naive, each look | fixed, last look only |")
    print("| --- | --- | --- | --- | --- |")
    n = per_look * np.arange(1, LOOKS + 1)
    bounds = group_bounds(n / n[-1])
    for effect in (0.0, 0.05, 0.075, 0.1):
        hits = np.zeros((4, 0), bool)
        for start in range(0, runs, 1000):
            size = min(1000, runs - start)
            difference, variance = looks(rng, size, effect, per_look)
            z = np.abs(difference) / np.sqrt(variance)
            mixing = mixing_variance(1.0) * variance * (n / n[-1])
            always = (np.abs(difference) > sequence_radius(variance, mixing)).any(axis=1)
            both = np.stack([always, (z >= bounds).any(axis=1), (z > Z).any(axis=1), z[:, -1] > Z])
            hits = np.concatenate([hits, both], axis=1)
        print(f"| {effect} | " + " | ".join(f"{share:.1%}" for share in hits.mean(axis=1)) + " |")


def looks(rng: np.random.Generator, size: int, effect: float, per_look: int) -> tuple[np.ndarray, np.ndarray]:
    """Difference and its estimated variance at each look, (size, looks), from the statistics of each step."""
    n = per_look * np.arange(1, LOOKS + 1)
    found = []
    for mean in (0.0, effect):
        step = rng.normal(mean, 1 / np.sqrt(per_look), (size, LOOKS))
        within = rng.chisquare(per_look - 1, (size, LOOKS))
        total = (step * per_look).cumsum(axis=1)
        squares = (within + per_look * step**2).cumsum(axis=1)
        found.append((total / n, (squares - total**2 / n) / (n - 1) / n))
    return found[1][0] - found[0][0], found[0][1] + found[1][1]


def cuped(rng: np.random.Generator, runs: int = 400, n: int = 1000) -> None:
    print(f"\nCUPED: the variance of the difference over {runs} experiments of 2 x {n} units")
    print("| rho | variance after / before | 1 - rho^2 | standard errors stated / seen |")
    print("| --- | --- | --- | --- |")
    metric = Metric("y", "mean", "y", covariates=("x",))
    for rho in (0.3, 0.5, 0.7, 0.9):
        plain, adjusted, stated, exact = [], [], [], []
        for _ in range(runs):
            x = rng.normal(size=(2, n))
            y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=(2, n))
            arms = {name: moments_of(np.stack([b, a], 1)) for name, a, b in zip("ct", x, y)}
            found = adjust(metric, arms).arms
            plain.append(y[1].mean() - y[0].mean())
            adjusted.append(found["t"].value - found["c"].value)
            stated.append(found["c"].variance + found["t"].variance)
            exact.append(sum(one.covariance[0, 0] / n for one in arms.values()))
        ratio = np.mean(stated) / np.mean(exact)
        print(f"| {rho} | {ratio:.4f} (seen {np.var(adjusted) / np.var(plain):.4f}) | {1 - rho**2:.4f} "
              f"| {np.sqrt(np.mean(stated)) / np.std(adjusted):.3f} |")  # fmt: skip


def coverage(runs: int, rng: np.random.Generator, n: int = 2000) -> None:
    error = 1.96 * np.sqrt(0.05 * 0.95 / runs)
    print(f"\nCoverage of 95 % intervals of the difference, {runs} experiments of 2 x {n} units")
    print(f"(Monte-Carlo error of a share near 95 %: +-{error:.2%})\n")
    print("| values | Welch, last look | always valid, all 30 looks |")
    print("| --- | --- | --- |")
    size = n // LOOKS
    ns = size * np.arange(1, LOOKS + 1)

    def lognormal(shape: tuple[int, ...]) -> np.ndarray:
        return rng.lognormal(0.0, 1.0, shape)

    def zeros(shape: tuple[int, ...]) -> np.ndarray:
        return rng.lognormal(2.0, 1.0, shape) * (rng.random(shape) < 0.05)

    for name, draw in (("lognormal, sigma 1", lognormal), ("95 % zeros, else lognormal", zeros)):
        last, all_looks, done = 0, 0, 0
        while done < runs:
            block = min(200, runs - done)
            values = draw((2, block, LOOKS, size))
            total, squares = values.sum(axis=3).cumsum(axis=2), (values**2).sum(axis=3).cumsum(axis=2)
            variance = ((squares - total**2 / ns) / (ns - 1) / ns).sum(axis=0)
            difference = np.abs(total[1] - total[0]) / ns
            mixing = mixing_variance(1.0) * variance * (ns / ns[-1])
            with np.errstate(invalid="ignore", divide="ignore"):
                radius = sequence_radius(variance, mixing)
            inside = (difference <= radius) | (variance == 0)
            last += int((difference[:, -1] <= Z * np.sqrt(variance[:, -1])).sum())
            all_looks += int(inside.all(axis=1).sum())
            done += block
        print(f"| {name} | {last / runs:.2%} | {all_looks / runs:.2%} |")


def quantiles(rng: np.random.Generator, runs: int = 300, users: int = 600, rows: int = 5) -> None:
    """Rows of one user are alike; a standard error that takes them as independent is shown beside."""
    import polars as pl

    from shared.experiments.collecting import collect
    from shared.experiments.rows import Layout

    metric, layout = Metric("p90", "quantile", "seconds", quantile=0.9), Layout("user", "arm", ("0", "1"))
    seen = {"user": np.repeat(np.arange(2 * users), rows), "arm": np.repeat(np.arange(2 * users) % 2, rows)}
    inside = {"user": 0, "row": 0}
    for _ in range(runs):
        seconds = np.repeat(rng.lognormal(0, 0.7, 2 * users), rows) * rng.lognormal(0, 0.4, 2 * users * rows)
        frame = pl.DataFrame(seen | {"seconds": seconds, "row": np.arange(2 * users * rows)})
        for unit in inside:
            found = collect(frame.drop("user").rename({"row": "user"}) if unit == "row" else frame, layout, [metric])
            one, other = found.quantiles["p90"].values()
            inside[unit] += abs(other.value - one.value) <= Z * np.sqrt(one.variance + other.variance)
    print(
        f"\n95 % intervals of the difference of 0.9 quantiles, {runs} A/A of 2 x {users} users with {rows} rows each:"
    )
    print(f"cover in {inside['user'] / runs:.1%}; with rows taken as units in {inside['row'] / runs:.1%}")


def ratio(rng: np.random.Generator, runs: int = 1000, users: int = 1_000_000) -> None:
    print(f"\nSample ratio at {users:,} users, level 0.001, {runs} experiments")
    print("| share of the treatment | chi-square | sequential |")
    print("| --- | --- | --- |")
    for share in (0.5, 0.5025, 0.505):
        counts = rng.binomial(users, share, runs)
        found = [check_ratio({"a": users - int(b), "b": int(b)}, {"a": 1, "b": 1}) for b in counts]
        chi, seq = (np.mean([p < 0.001 for p in ps]) for ps in zip(*((f.p_value, f.always_p_value) for f in found)))
        print(f"| {share:.2%} | {chi:.1%} | {seq:.1%} |")


def large(rows: int, users: int, memory: int) -> None:
    import polars as pl

    from shared.experiments.analysis import analyse
    from shared.experiments.settings import settings_of

    with tempfile.TemporaryDirectory() as folder:
        block = 2_000_000
        for at, start in enumerate(range(0, rows, block)):
            rng = np.random.default_rng(at)
            size = min(block, rows - start)
            user = rng.integers(0, users, size)
            arm = (user * 2_654_435_761 >> 7) % 2
            frame = pl.DataFrame({
                "unit": user, "arm": arm.astype(np.int8), "spend": rng.exponential(1.0, size) + 0.01 * arm,
                "before": (user % 97).astype(np.float64), "land": (user % 5).astype(np.int8),
                "clicks": rng.integers(0, 3, size), "views": rng.integers(1, 9, size),
            })  # fmt: skip
            frame.write_parquet(Path(folder) / f"{at:04}.parquet")
            del frame
        files = sum(one.stat().st_size for one in Path(folder).iterdir()) >> 20
        settings = settings_of({
            "analysis": {"planned": users, "segments": ["land"]}, "arms": {"0": 0.5, "1": 0.5},
            "metrics": {
                "spend": {"kind": "mean", "column": "spend", "covariates": ["before"]},
                "ctr": {"kind": "ratio", "column": "clicks", "denominator": "views", "role": "secondary"},
            },
        })  # fmt: skip
        with Watch() as watch:
            began, spent = time.perf_counter(), time.process_time()
            report = analyse(Path(folder), settings, memory=memory)
            took, spent = time.perf_counter() - began, time.process_time() - spent
    units = sum(report.units.values())
    print(f"{report.rows:,} rows ({files} MiB), {units:,} units; two metrics, a covariate, a segment")
    print(f"  {took:.1f} s, {spent:.1f} s of processor, {report.rows / spent / 1e6:.2f} M rows a second of it")
    print(f"  peak: {watch.own >> 10} MiB of its own, {watch.mapped >> 10} MiB of mapped files")


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


if __name__ == "__main__":
    main()
