"""What the analysis of experiments promises, counted on simulated experiments; and the memory of a large table.

python bench/experiments.py                                # all that follows but the story
python bench/experiments.py --only peeking                 # 4,000 A/A tests with 30 looks each, and power
python bench/experiments.py --only cuped coverage quantiles ratio returning
python bench/experiments.py --only story --worlds 200      # from recommenders to decisions, bench/experiment_story.py
python bench/experiments.py --rows 4000000 --memory 256    # one table: seconds and peak memory
python bench/experiments.py --rows 20000000 --exposures    # the same events, joined to a table of exposures first
python bench/experiments.py --rows 100000000 --users 50000000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import experiment_memory
import experiment_story
import numpy as np

from shared.experiments.adjust import adjust
from shared.experiments.metrics import Metric, estimate
from shared.experiments.moments import moments_of
from shared.experiments.ratio import check_ratio
from shared.experiments.sequential import group_bounds, mixing_variance, sequence_radius

LOOKS = 30
Z = 1.959964
PARTS = ("peeking", "returning", "cuped", "coverage", "quantiles", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "story"], default=PARTS)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--worlds", type=int, default=200, help="of each kind of the story")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="measure a table of so many rows instead")
    parser.add_argument("--memory", type=float, default=2048, help="MiB for the table of one part's units")
    parser.add_argument("--users", type=int, help="units of that table; half as many as rows when not given")
    parser.add_argument("--exposures", action="store_true", help="with arms in a table of exposures of their own")
    options = parser.parse_args()
    if options.rows:
        size = int(options.memory * (1 << 20))
        experiment_memory.large(options.rows, options.users or options.rows // 2, size, apart=options.exposures)
        return
    for part in options.only:
        rng = np.random.default_rng(options.seed)  # each part is the same alone and among others
        if part == "story":
            experiment_story.main(["--worlds", str(options.worlds), "--seed", str(options.seed)])
        elif part in ("peeking", "coverage", "returning"):
            {"peeking": peeking, "coverage": coverage, "returning": returning}[part](options.runs, rng)
        else:
            {"cuped": cuped, "quantiles": quantiles, "ratio": ratio}[part](rng)


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


def returning(runs: int, rng: np.random.Generator, users: int = 2000) -> None:
    """The same people at every look, whose clicks grow from day to day: no new units come, only new values."""
    false = np.zeros(2, np.int64)
    for _ in range(runs // 4):
        eager = rng.gamma(1.0, 0.3, users)
        total = rng.poisson(eager[:, None], (users, LOOKS)).cumsum(axis=1)
        arms = [total[::2], total[1::2]]
        difference = np.abs(arms[1].mean(axis=0) - arms[0].mean(axis=0))
        variance = sum(one.var(axis=0, ddof=1) / len(one) for one in arms)
        radius = sequence_radius(variance, mixing_variance(1.0) * variance)
        false += [(difference > radius).any(), (difference > Z * np.sqrt(variance)).any()]
    print(f"\n{runs // 4} A/A tests of the same {users} people at {LOOKS} looks, clicks growing from day to day:")
    print(f"false positives: always valid {false[0] / (runs // 4):.1%}, naive {false[1] / (runs // 4):.1%}")


def cuped(rng: np.random.Generator, runs: int = 400, n: int = 1000) -> None:
    print(f"\nCUPED: the variance of the difference over {runs} experiments of 2 x {n} units")
    print("| rho | variance after / before | 1 - rho^2 | apart | standard errors stated / seen |")
    print("| --- | --- | --- | --- | --- |")
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
              f"| {ratio / (1 - rho**2) - 1:+.1%} | {np.sqrt(np.mean(stated)) / np.std(adjusted):.3f} |")  # fmt: skip


def coverage(runs: int, rng: np.random.Generator, n: int = 4000) -> None:
    error = 1.96 * np.sqrt(0.05 * 0.95 / runs)
    print(f"\nCoverage of 95 % intervals of the difference, {runs} experiments of {n} units")
    print(f"(Monte-Carlo error of a share near 95 %: +-{error:.2%})\n")
    print("| values | treated | Welch, last look | always valid, all 30 looks | the same, each arm's own variance |")
    print("| --- | --- | --- | --- | --- |")

    def lognormal(shape: tuple[int, ...]) -> np.ndarray:
        return rng.lognormal(0.0, 1.0, shape)

    def heavy(shape: tuple[int, ...]) -> np.ndarray:
        return rng.lognormal(0.0, 2.0, shape)

    def zeros(shape: tuple[int, ...]) -> np.ndarray:
        return rng.lognormal(2.0, 1.0, shape) * (rng.random(shape) < 0.05)

    draws = {"lognormal, sigma 1": lognormal, "lognormal, sigma 2": heavy, "95 % zeros, else lognormal": zeros}
    for share in (0.5, 0.1):
        for name, draw in draws.items():
            print(f"| {name} | {share:.0%} | " + " | ".join(f"{c:.2%}" for c in _covered(draw, share, runs, n)) + " |")
    inside = 0
    metric = Metric("ctr", "ratio", "c", denominator="v")
    for _ in range(runs // 4):
        size = rng.gamma(0.5, 2.0, (2, n // 2))  # heavy users click at another rate: rows of one user are alike
        views = 1 + rng.poisson(5 * size)
        clicks = rng.binomial(views, 0.05 + 0.2 * size / (size + 2) * rng.random((2, n // 2)))
        one, other = (estimate(metric, moments_of(np.stack([c, v], 1))) for c, v in zip(clicks, views))
        inside += abs(other.value - one.value) <= Z * np.sqrt(one.variance + other.variance)
    print(f"clicks a view with users as clusters, delta method: {inside / (runs // 4):.2%} of {runs // 4}")


def _covered(draw: Callable[[tuple[int, ...]], np.ndarray], share: float, runs: int, n: int) -> tuple[float, ...]:
    """Shares of experiments whose interval holds 0: Welch's at the end, and two always-valid ones at every look."""
    steps = [round(n * part / LOOKS) for part in (1 - share, share)]
    counts = [step * np.arange(1, LOOKS + 1) for step in steps]
    held, done = np.zeros(3), 0
    progress = np.arange(1, LOOKS + 1) / LOOKS
    readable = np.minimum(*counts) >= 50  # the verdict reads no fewer units an arm
    while done < runs:
        block = min(200, runs - done)
        means, own = [], []
        for step, at in zip(steps, counts):
            values = draw((block, LOOKS, step))
            total, squares = values.sum(axis=2).cumsum(axis=1), (values**2).sum(axis=2).cumsum(axis=1)
            means.append(total / at)
            own.append((squares - total**2 / at) / (at - 1) / at)
        difference = np.abs(means[1] - means[0])
        variance = own[0] + own[1]
        held[0] += (difference[:, -1] <= Z * np.sqrt(variance[:, -1])).sum()
        unit = (own[0] * counts[0] ** 2 + own[1] * counts[1] ** 2) / (counts[0] + counts[1])
        pooled = np.maximum(variance, unit / counts[0] + unit / counts[1])
        for place, one in ((1, pooled), (2, variance)):
            with np.errstate(invalid="ignore", divide="ignore"):
                radius = sequence_radius(one, mixing_variance(1.0) * one * progress)
            held[place] += ((difference <= radius) | (one == 0) | ~readable).all(axis=1).sum()
        done += block
    return tuple(held / runs)


def quantiles(rng: np.random.Generator, runs: int = 300, users: int = 600, rows: int = 5) -> None:
    """Rows of one user are alike; an interval that takes them as independent, and one after CUPED, stand beside."""
    import polars as pl

    from shared.experiments.analysis import analyse
    from shared.experiments.settings import settings_of

    p90 = {"kind": "quantile", "column": "seconds", "quantile": 0.9}
    metrics = {"user": p90, "row": p90, "cuped": p90 | {"covariates": ["before"]}}
    plans = {
        name: settings_of({"analysis": {"method": "fixed"}, "arms": {"0": 0.5, "1": 0.5}, "metrics": {"p90": metric}})
        for name, metric in metrics.items()
    }
    unit = np.repeat(np.arange(2 * users), rows)
    inside, cut = dict.fromkeys(plans, 0), []
    for _ in range(runs):
        slow = rng.normal(0, 0.7, 2 * users)
        seconds = np.exp(slow)[unit] * rng.lognormal(0, 0.4, unit.size)
        before = (slow + rng.normal(0, 0.3, slow.size))[unit]
        frame = pl.DataFrame({"unit": unit, "arm": unit % 2, "seconds": seconds, "before": before})
        found = {
            name: analyse(frame.with_columns(unit=pl.int_range(unit.size)) if name == "row" else frame, plan).effects[0]
            for name, plan in plans.items()
        }
        for name, effect in found.items():
            inside[name] += effect.low <= 0 <= effect.high
        cut.append((found["cuped"].standard_error / found["user"].standard_error) ** 2)
    print(
        f"\n95 % intervals of the difference of 0.9 quantiles, {runs} A/A of 2 x {users} users with {rows} rows each:"
    )
    print(f"cover in {inside['user'] / runs:.1%}; with rows taken as units in {inside['row'] / runs:.1%}")
    print(f"with a covariate in {inside['cuped'] / runs:.1%}, the variance being {np.mean(cut):.2f} of that without")


def ratio(rng: np.random.Generator, runs: int = 1000, users: int = 1_000_000) -> None:
    print(f"\nSample ratio at {users:,} users, level 0.001, {runs} experiments")
    print("| share of the treatment | chi-square | sequential |")
    print("| --- | --- | --- |")
    for share in (0.5, 0.5025, 0.505):
        counts = rng.binomial(users, share, runs)
        found = [check_ratio({"a": users - int(b), "b": int(b)}, {"a": 1, "b": 1}) for b in counts]
        chi, seq = (np.mean([p < 0.001 for p in ps]) for ps in zip(*((f.p_value, f.always_p_value) for f in found)))
        print(f"| {share:.2%} | {chi:.1%} | {seq:.1%} |")


if __name__ == "__main__":
    main()
