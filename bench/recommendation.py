"""Top-10 recommendation on MovieLens 100k, beside the published table of the *recommenders* project.

    python bench/recommendation.py --data FOLDER          # FOLDER holds u.data
    python bench/recommendation.py --data FOLDER --tune   # how the options of EASE were chosen: training part alone
    python bench/recommendation.py --data FOLDER --deep   # the three deep models alone; needs the extra torch
    python bench/recommendation.py --data FOLDER --deep --tune   # how their options were chosen

Protocol: 75/25 stratified by user (``numpy.random.RandomState(seed)``, rows as in the file, which is that project's
own draw), every rating counts as relevant, all items not in the user's training part are ranked, binary relevance,
MAP divides by the number of relevant items. The published rows are those of that project's README; the notebook that
it points to stratifies by item, so figures under that split stand below as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recsys.collaborative.als import fit_als
from recsys.collaborative.bpr import fit_bpr
from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.logistic_mf import fit_logistic_mf
from recsys.collaborative.popularity import fit_popularity
from recsys.collaborative.slim import fit_slim
from recsys.collaborative.user_knn import fit_user_knn
from recsys.data import Interactions
from recsys.deep.lightgcn import LightGcnConfig, fit_lightgcn
from recsys.deep.multvae import MultVaeConfig, fit_multvae
from recsys.deep.two_tower import TwoTowerConfig, fit_two_tower
from recsys.evaluate import score_users
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.split import Split, stratified, temporal
from shared.evaluation.intervals import mean_interval

PUBLISHED = {  # MAP, nDCG, precision, recall, all at 10
    "BiVAE": (0.146126, 0.475077, 0.411771, 0.219145),
    "BPR": (0.132478, 0.441997, 0.388229, 0.212522),
    "LightGCN": (0.088526, 0.419846, 0.379626, 0.144336),
    "NCF": (0.107720, 0.396118, 0.347296, 0.180775),
    "SAR": (0.110591, 0.382461, 0.330753, 0.176385),
    "FastAI": (0.025503, 0.147866, 0.130329, 0.053824),
    "SVD": (0.012873, 0.095930, 0.091198, 0.032783),
    "ALS": (0.004732, 0.044239, 0.048462, 0.017796),
}
PAPER = EaseConfig(weighting="binary", activity_power=0, popularity_power=0)
FITS: dict[str, Callable[[Interactions], Recommender]] = {
    "EASE": fit_ease,
    "EASE, as in its paper": lambda train: fit_ease(train, PAPER),
    "SLIM": fit_slim,
    "item-kNN": fit_item_knn,
    "user-kNN": fit_user_knn,
    "ALS": fit_als,
    "BPR": fit_bpr,
    "logistic MF": fit_logistic_mf,
    "popularity": fit_popularity,
}
DEEP: dict[str, Callable[[Interactions], Recommender]] = {
    "Mult-VAE": fit_multvae,
    "LightGCN": fit_lightgcn,
    "two towers": fit_two_tower,
}
"""Fitted for the first seed alone: they take minutes, the others seconds."""

TRIED: tuple[tuple[Callable[..., Recommender], tuple[Any, ...]], ...] = (
    (
        fit_multvae,
        (
            MultVaeConfig(),
            MultVaeConfig(weighting="binary", kl_weight=0.2, anneal=50),
            MultVaeConfig(weighting="binary"),
            MultVaeConfig(kl_weight=1.0),
            MultVaeConfig(dropout=0.7),
            MultVaeConfig(hidden=200, factors=64),
            MultVaeConfig(batch_size=250, learning_rate=0.002),
        ),
    ),
    (
        fit_lightgcn,
        (
            LightGcnConfig(),
            LightGcnConfig(layers=1),
            LightGcnConfig(layers=3),
            LightGcnConfig(factors=64),
            LightGcnConfig(l2=0.01),
            LightGcnConfig(batch_size=4096, learning_rate=0.01),
        ),
    ),
    (
        fit_two_tower,
        (
            TwoTowerConfig(),
            TwoTowerConfig(weighting="binary"),
            TwoTowerConfig(dropout=0.3),
            TwoTowerConfig(weight_decay=0.3),
            TwoTowerConfig(similarity="cosine", temperature=0.1),
        ),
    ),
)
"""What ``--deep --tune`` compares, around the defaults."""


def cut(whole: Interactions, seed: int, by: str = "user") -> Split:
    return stratified(whole, by=by, rng=np.random.RandomState(seed))  # type: ignore[arg-type]


def table(name: str, parts: Split, fits: dict[str, Callable[[Interactions], Recommender]], seed: int) -> None:
    print(
        f"| {name} | NDCG@10 (95 % interval) | MAP@10 | precision@10 | recall@10 | MRR@10 | hit@10 | fit, processor s |"
    )
    print("| --- " * 8 + "|")
    for model, fit in fits.items():
        start = time.process_time()
        fitted = fit(parts.train)
        seconds = time.process_time() - start
        scores = score_users(fitted, parts.test).scores
        ndcg = mean_interval(scores["ndcg@10"], rng=np.random.default_rng(seed))
        others = [f"{scores[f'{key}@10'].mean():.4f}" for key in ("map", "precision", "recall", "mrr", "hit")]
        row = f"{ndcg.value:.4f} ({ndcg.low:.4f}..{ndcg.high:.4f}) | {' | '.join(others)} | {seconds:.1f}"
        print(f"| {model} | {row} |", flush=True)


def published() -> None:
    for name, (map_, ndcg_, precision, recall) in PUBLISHED.items():
        print(f"| {name} (published) | {ndcg_:.4f} | {map_:.4f} | {precision:.4f} | {recall:.4f} | | | |")


def seeds_apart(whole: Interactions, seeds: list[int]) -> None:
    print(f"\nMean and standard deviation of NDCG@10 over seeds {seeds}:")
    for by, (name, fit) in itertools.product(("user", "item"), FITS.items()):
        splits = [cut(whole, seed, by) for seed in seeds]
        ndcg = [score_users(fit(split.train), split.test).scores["ndcg@10"].mean() for split in splits]
        print(f"  stratified by {by}  {name:<22} {np.mean(ndcg):.4f} +- {np.std(ndcg, ddof=1):.4f}")


def costs(whole: Interactions, repeats: int) -> None:
    train = cut(whole, 42).train
    users = list(train.user_ids.ids)
    print(f"\n| model | fit, s | rank all {len(users)} users, s | peak memory of the fit, MB |")
    print("| --- " * 4 + "|")
    for name, fit in FITS.items():
        fitted = [timed(fit, train) for _ in range(repeats)]
        ranked = [timed(fitted[0][1].rank, users, 10) for _ in range(repeats)]
        tracemalloc.start()
        fit(train)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        print(f"| {name} | {median(fitted):.3f} | {median(ranked):.3f} | {peak:.0f} |")


def median(runs: list[tuple[float, Any]]) -> float:
    return float(np.median([seconds for seconds, _ in runs]))


def timed(task: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = task(*arguments)
    return time.perf_counter() - start, answer


def tune(whole: Interactions, seeds: list[int]) -> None:
    """NDCG@10 on a validation part that is split off the training part again; the test part is never looked at."""
    inner = [cut(cut(whole, seed).train, 1000 + seed) for seed in seeds]
    grid = itertools.product(("binary", "log"), (0.0, 0.4), (0.0, 0.4), (200.0, 300.0, 400.0))
    for weighting, activity, popularity, l2 in grid:
        config = EaseConfig(weighting=weighting, activity_power=activity, popularity_power=popularity, l2=l2)  # type: ignore[arg-type]
        ndcg = [score_users(fit_ease(one.train, config), one.test).scores["ndcg@10"].mean() for one in inner]
        print(f"{np.mean(ndcg):.4f}  {config}", flush=True)


def tune_deep(whole: Interactions, seed: int) -> None:
    """The same for the deep models, over the options that were tried."""
    inner = cut(cut(whole, seed).train, 1000 + seed)
    for fit, configs in TRIED:
        for config in configs:
            ndcg = score_users(fit(inner.train, config), inner.test).scores["ndcg@10"].mean()
            print(f"{ndcg:.4f}  {config}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k, or its u.data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 0, 1, 2, 3], help="the first gives the table")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each timing")
    parser.add_argument("--tune", action="store_true", help="print the validation figures behind the default options")
    parser.add_argument("--deep", action="store_true", help="the deep models alone")
    arguments = parser.parse_args()
    whole, seed = load_interactions(arguments.data), arguments.seeds[0]
    if arguments.tune:
        tune_deep(whole, seed) if arguments.deep else tune(whole, arguments.seeds)
        return
    there = importlib.util.find_spec("torch") is not None
    if not there:
        print("the deep models need the extra torch, which is not installed: their rows are left out")
    fits = ({} if arguments.deep else FITS) | (DEEP if there else {})
    table(f"stratified by user, seed {seed}", cut(whole, seed), fits, seed)
    published()
    print()
    table("temporal, 75/25", temporal(whole), fits, seed)
    if not arguments.deep:
        seeds_apart(whole, arguments.seeds)
        costs(whole, arguments.repeats)


if __name__ == "__main__":
    main()
