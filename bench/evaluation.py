"""What evaluation costs: intervals beside their figure, COCO's figures beside COCO's code, streams beside whole arrays.

    python bench/evaluation.py --only bootstrap [--rows 1000000] [--resamples 1000] [--turns 25] [--samples 1000]
    python bench/evaluation.py --only coco [--images 5000] [--coco instances.json] [--turns 3]
    python bench/evaluation.py --only stream [--rows 10000000]

``coco``: see ``bench/evaluation_coco.py``; needs pycocotools, and faster-coco-eval where it is to be measured too.
``stream``: see ``bench/evaluation_stream.py``.

``bootstrap`` needs no extra and no data. Cost: one plain pass is the call that gives the figure alone, over all rows;
beside it stands the call that gives its interval from the figures of each row that the pass has at hand. Both take
turns; what is printed is the ratio of medians. Coverage: how many samples of an exponential distribution have an
interval of 95 % that holds its mean of 1, for independent rows and for rows that come in groups of five equal ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluation_coco
import evaluation_stream
import numpy as np

from shared.evaluation.analytic import mean_by_formula
from shared.evaluation.bca import f1, ratio, sums_interval
from shared.evaluation.classification import accuracy_score
from shared.evaluation.intervals import mean_interval
from shared.evaluation.paired import compare_paired
from shared.evaluation.rating import mae_error
from shared.evaluation.report import Metric
from shared.evaluation.resampling import total_of
from shared.types import Float64

Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["bootstrap", "coco", "stream"], default="bootstrap")
    for name, value in (("rows", None), ("resamples", 1000), ("turns", None), ("samples", 1000), ("images", 5000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--coco", type=Path, help="a COCO file whose truth is taken too")
    asked = parser.parse_args()
    if asked.only == "coco":
        rng = np.random.default_rng(0)
        if asked.coco:
            evaluation_coco.report(asked.coco.name, evaluation_coco.from_coco(asked.coco, rng), asked.turns or 3)
        evaluation_coco.report("made", evaluation_coco.scene(rng, images=asked.images), asked.turns or 3)
    elif asked.only == "stream":
        evaluation_stream.report(asked.rows or 10_000_000)
    else:
        asked.turns, asked.rows = asked.turns or 25, asked.rows or 1_000_000
        _bootstrap(asked)


def _bootstrap(asked: argparse.Namespace) -> None:
    print(f"{asked.rows:,} rows, {asked.resamples:,} resamples, medians of {asked.turns} turns")
    for name, (plain, interval) in _pairs(asked.rows, asked.resamples).items():
        once, drawn = _medians(plain, interval, asked.turns)
        print(f"{name:<72} {1e3 * once:8.2f} ms {1e3 * drawn:8.2f} ms {drawn / once:7.2f} times")
    print(f"coverage of intervals of 95 %, {asked.samples} samples, {asked.resamples} resamples")
    for name, (n, under, over) in _coverage(asked.samples, asked.resamples).items():
        missed = f"{100 * under:4.1f} % lie wholly below the truth, {100 * over:4.1f} % above"
        print(f"{name:<46} n = {n:<6} {100 * (1 - under - over):5.1f} %; {missed}")


def _pairs(n: int, resamples: int) -> dict[str, tuple[Call, Call]]:
    rng = np.random.default_rng(0)
    names = np.array(["cat", "dog", "fox", "owl"])
    truth = names[rng.integers(0, 4, n)]
    given = np.where(rng.random(n) < 0.8, truth, names[rng.integers(0, 4, n)])
    right, listed = truth == given, (truth.tolist(), given.tolist())
    ratings, predicted = rng.normal(3.5, 1.0, n), rng.normal(3.5, 1.0, n)
    errors, others = np.abs(ratings - predicted), np.abs(ratings - rng.normal(3.5, 1.0, n))
    true = rng.poisson(1.5, n)
    found = rng.binomial(true, 0.8)
    spans = np.stack([found, found + rng.poisson(0.3, n), true], axis=1).astype(np.float64)
    weighed = np.stack([errors * (weights := rng.random(n)), weights], axis=1)
    options: dict[str, Any] = {"rng": rng, "resamples": resamples}
    return {
        "accuracy_score of lists of str | mean_interval of hits": (
            lambda: accuracy_score(*listed),
            lambda: mean_interval(right, **options),
        ),
        "mean of equal labels, arrays of str | mean_interval of hits": (
            lambda: float((truth == given).mean()),
            lambda: mean_interval(right, **options),
        ),
        "numpy's mean of bool | mean_interval of hits": (right.mean, lambda: mean_interval(right, **options)),
        "mae_error of float64 | mean_interval of errors": (
            lambda: mae_error(ratings, predicted),
            lambda: mean_interval(errors, **options),
        ),
        "numpy's mean of float64 | mean_interval of errors": (errors.mean, lambda: mean_interval(errors, **options)),
        "mae_error, weighted | sums_interval, percentile": (
            lambda: mae_error(ratings, predicted, weights=weights),
            lambda: sums_interval(ratio, weighed, method="percentile", **options),
        ),
        "mae_error, weighted | sums_interval, BCa": (
            lambda: mae_error(ratings, predicted, weights=weights),
            lambda: sums_interval(ratio, weighed, **options),
        ),
        "F1 of the sums of counts, (n, 3) | sums_interval, percentile": (
            lambda: f1(total_of(spans)),
            lambda: sums_interval(f1, spans, method="percentile", **options),
        ),
        "mae_error of two systems | compare_paired": (
            lambda: (mae_error(ratings, predicted), mae_error(ratings, predicted)),
            lambda: compare_paired(errors, others, **options),
        ),
    }


def _medians(plain: Call, interval: Call, turns: int) -> tuple[float, float]:
    plain(), interval()
    pairs = [(_seconds(plain), _seconds(interval)) for _ in range(turns)]
    once, drawn = (statistics.median(side) for side in zip(*pairs))
    return once, drawn


def _seconds(call: Call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _coverage(samples: int, resamples: int) -> dict[str, tuple[int, float, float]]:
    options: dict[str, Any] = {"rng": np.random.default_rng(1), "resamples": resamples}
    alone = np.arange(40)
    groups = np.repeat(np.arange(40), 5)

    def by_sums(x: Float64, **more: Any) -> Metric:
        return sums_interval(ratio, np.stack([x, np.ones(x.size)], axis=1), **options, **more)

    kinds: dict[str, tuple[np.ndarray, Callable[[Float64], Metric]]] = {
        "t": (alone, mean_by_formula),
        "normal": (alone, lambda x: mean_by_formula(x, kind="normal")),
        "percentile": (alone, lambda x: mean_interval(x, **options)),
        "BCa": (alone, by_sums),
        "rows in groups: percentile over rows (wrong)": (groups, lambda x: by_sums(x, method="percentile")),
        "rows in groups: percentile over groups": (groups, lambda x: by_sums(x, method="percentile", groups=groups)),
        "rows in groups: BCa over groups": (groups, lambda x: by_sums(x, groups=groups)),
    }
    shares = {}
    for name, (codes, interval) in kinds.items():
        rng = np.random.default_rng(2)  # the same samples for each kind
        held = [interval(rng.exponential(1.0, codes.max() + 1)[codes]) for _ in range(samples)]
        shares[name] = (codes.size, *_missed(held))
    many = 50_000  # more than are drawn one by one, so that random blocks are drawn
    held = [mean_interval(rng.exponential(1.0, many), **options) for _ in range(samples // 2)]
    shares["percentile by random blocks"] = (many, *_missed(held))
    return shares


def _missed(intervals: list[Metric]) -> tuple[float, float]:
    below, above = [one.high < 1.0 for one in intervals], [one.low > 1.0 for one in intervals]
    return float(np.mean(below)), float(np.mean(above))


if __name__ == "__main__":
    main()
