"""How often each off-policy interval covers the truth, on simulated logs whose truth is known.

    python bench/offpolicy.py                  # 100 logs of 2,000 rows

The old policy prefers what people like least, so the mean of its log is far from what the new policy is worth. Each log
is drawn anew from one world; the reward model is a ridge regression for each action, cross-fitted in three folds.
"""

from __future__ import annotations

import argparse

import numpy as np

from recsys.logged import cross_fitted
from recsys.offpolicy import ESTIMATORS, evaluate_policy
from recsys.simulated import bandit_world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--worlds", type=int, default=1, help="how many worlds, by seeds from 0")
    parser.add_argument("--interval", choices=("analytic", "bootstrap"), default="analytic")
    arguments = parser.parse_args()
    for seed in range(arguments.worlds):
        run(seed, arguments.runs, arguments.rows, arguments.interval)


def run(seed: int, runs: int, rows: int, interval: str) -> None:
    world = bandit_world(rng=np.random.default_rng(seed))
    off = abs(world.naive - world.truth) / world.truth
    print(f"world {seed}: the new policy is worth {world.truth:.4f}")
    print(f"  the log's mean tends to {world.naive:.4f}, {off:.0%} off")
    values: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    widths: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    inside = dict.fromkeys(ESTIMATORS, 0)
    for turn in range(runs):
        rng = np.random.default_rng((seed, turn))
        made = world.draw(rows, rng=rng)
        model = cross_fitted(made.contexts, made.log, actions=made.target.shape[1], rng=rng)
        options = {"estimators": ESTIMATORS, "model": model, "interval": interval, "rng": rng}
        for name, found in evaluate_policy(made.log, made.target, **options).items():  # type: ignore[arg-type]
            values[name].append(found.value.value)
            widths[name].append(found.value.high - found.value.low)
            inside[name] += found.value.low <= world.truth <= found.value.high
    print(f"  {interval} intervals of {runs} logs of {rows} rows")
    print("  | estimator | covers the truth | bias | root mean squared error | mean width |")
    print("  | --- | --- | --- | --- | --- |")
    for name, found in values.items():
        away = np.array(found) - world.truth
        error = np.sqrt((away**2).mean())
        share = f"{inside[name]} of {runs}"
        print(f"  | {name} | {share} | {away.mean():+.4f} | {error:.4f} | {np.mean(widths[name]):.4f} |")


if __name__ == "__main__":
    main()
