"""All ranking figures of 100,000 users at once, beside ranx, *recommenders* and LensKit.

    python bench/ranking_figures.py                        # speed beside ranx, and recommenders where it is installed
    python bench/ranking_figures.py --peers FOLDER         # a folder to import recommenders and LensKit from besides

Everything is in memory and in the form that each library likes best before the clock starts, and making it is not
counted: a CSR matrix and an array of ids for ours, numba's typed lists of (id, score) arrays for ranx (its kernels on
one thread, compiled beforehand), data frames for recommenders. recommenders answers from a cache when it is asked about
the same frames again, so its scores are moved by a constant each turn. Where it is not installed, its own formulas are
run in pandas (said so). All are compared by value, LensKit on some of the users.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from turns import take_turns

from shared.evaluation.ranking import rank_biased_precision_score, ranking_scores
from shared.lazy import require

NAMES = {"ndcg": "ndcg", "precision": "precision", "recall": "recall", "map": "map", "mrr": "mrr", "hit": "hit_rate"}
"""Ours and ranx's."""
LONGEST = 2_000_000
"""Rows beyond which data frames would need minutes and gigabytes a turn: recommenders is left out there."""


def made(users: int, items: int, k: int, seed: int) -> tuple[csr_matrix, np.ndarray]:
    """Truth of 1 to 19 ids a user, and k distinct ranked ids a user, some 5 % of them hits."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 20, users)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    steps, first = rng.integers(1, 40, users), rng.integers(0, items, users)
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
    ids = (np.repeat(first, sizes) + place * np.repeat(steps, sizes)) % items
    truth = csr_matrix((np.ones(len(ids)), ids, starts), shape=(users, items))
    pace = np.where(rng.random(users) < 0.5, steps, rng.integers(40, 80, users))
    begin = first - pace * rng.integers(0, k, users)
    ranked = (begin[:, None] + np.arange(k) * pace[:, None]) % items
    return truth, ranked.astype(np.int32)


def ranx_lists(truth: csr_matrix, ranked: np.ndarray) -> tuple[Any, Any]:
    typed = require("numba.typed", extra="dev")
    k = ranked.shape[1]
    scores = np.arange(k, 0, -1, dtype=np.float64)
    qrels, run = typed.List(), typed.List()
    for user in range(len(ranked)):
        ids = truth.indices[truth.indptr[user] : truth.indptr[user + 1]].astype(np.float64)
        qrels.append(np.column_stack([ids, np.ones(len(ids))]))
        run.append(np.column_stack([ranked[user].astype(np.float64), scores]))
    return qrels, run


def frames(truth: csr_matrix, ranked: np.ndarray) -> tuple[Any, Any]:
    pandas = require("pandas", extra="pandas")
    users = np.repeat(np.arange(len(ranked)), np.diff(truth.indptr))
    true = pandas.DataFrame({"userID": users, "itemID": truth.indices.astype(np.int64), "rating": truth.data})
    k = ranked.shape[1]
    given = {"userID": np.repeat(np.arange(len(ranked)), k), "itemID": ranked.ravel().astype(np.int64)}
    return true, pandas.DataFrame(given | {"prediction": np.tile(np.arange(k, 0, -1, dtype=np.float64), len(ranked))})


def recommenders_all(true: Any, given: Any, k: int, turn: list[int]) -> dict[str, float]:
    """Its ranking figures, called one by one as its notebooks do; the frames are made new so that no cache answers."""
    peer = require("recommenders.evaluation.python_evaluation", extra="bench")
    turn[0] += 1
    given = given.assign(prediction=given["prediction"] + turn[0])
    options = {"col_user": "userID", "col_item": "itemID", "col_prediction": "prediction", "k": k}
    return {
        "ndcg": peer.ndcg_at_k(true, given, **options, col_rating="rating"),
        "precision": peer.precision_at_k(true, given, **options),
        "recall": peer.recall_at_k(true, given, **options),
        "map": peer.map(true, given, **options),
    }


def pandas_all(true: Any, given: Any, k: int) -> dict[str, float]:
    """The same by its documented formulas in pandas, for machines without it."""
    top = given.sort_values(["userID", "prediction"], ascending=[True, False]).groupby("userID").head(k)
    top = top.assign(rank=top.groupby("userID").cumcount() + 1)
    hits = top.merge(true, on=["userID", "itemID"])[["userID", "itemID", "rank"]].sort_values(["userID", "rank"])
    actual = true.groupby("userID").size().rename("actual")
    users = len(actual)
    counts = hits.groupby("userID").size().rename("hit").to_frame().join(actual)
    gain = (1 / np.log1p(hits["rank"])).groupby(hits["userID"]).sum()
    ideal = np.cumsum(1 / np.log1p(np.arange(1, k + 1)))[np.minimum(actual, k) - 1]
    ap = ((hits.groupby("userID").cumcount() + 1) / hits["rank"]).groupby(hits["userID"]).sum()
    return {
        "ndcg": float((gain.reindex(actual.index, fill_value=0) / ideal).mean()),
        "precision": float((counts["hit"] / k).sum() / users),
        "recall": float((counts["hit"] / counts["actual"]).sum() / users),
        "map": float((ap / counts["actual"]).sum() / users),
    }


def lenskit_all(truth: csr_matrix, ranked: np.ndarray, k: int) -> dict[str, float]:
    """LensKit divides recall by min(k, relevant) and average precision by min(relevant, listed), which is turned back
    here, and its NDCG discounts the first two places alike unless it is told to add 1 to the rank as all others do.
    """
    metrics, data = require("lenskit.metrics", extra="bench"), require("lenskit.data", extra="bench")
    weight = require("lenskit.metrics.ranking", extra="bench").LogRankWeight(offset=1)
    kinds = {"ndcg": metrics.NDCG(k, weight=weight), "recall": metrics.Recall(k), "precision": metrics.Precision(k)}
    kinds |= {"mrr": metrics.RecipRank(k), "hit": metrics.Hit(k), "rbp": metrics.RBP(k)}
    kinds |= {"map": require("lenskit.metrics.ranking", extra="bench").AveragePrecision(k)}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for user in range(len(ranked)):
        true = data.ItemList(item_ids=truth.indices[truth.indptr[user] : truth.indptr[user + 1]])
        given = data.ItemList(item_ids=ranked[user], ordered=True)
        for name, metric in kinds.items():
            scale = min(k, len(true)) / len(true) if name in ("recall", "map") else 1
            found[name].append(scale * metric.measure_list(given, true))
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def compare(name: str, theirs: dict[str, float], ours: dict[str, float]) -> None:
    worst = max(abs(theirs[key] - ours[key]) for key in theirs)
    print(f"  {name}: greatest difference of a mean over {', '.join(theirs)}: {worst:.1e}")


def run(users: int, items: int, k: int, repeats: int) -> None:
    ranx = require("ranx", extra="dev")
    truth, ranked = made(users, items, k, seed=0)
    qrels, typed_run = ranx_lists(truth, ranked)
    true, given = frames(truth, ranked) if users * k <= LONGEST else (None, None)
    figures = [f"{name}@{k}" for name in [*NAMES.values(), "f1"]]
    turn = [0]
    installed = has("recommenders")
    peer = "recommenders, 4 figures" if installed else "recommenders' formulas in pandas, 4 figures"
    systems: dict[str, Callable[[], Any]] = {
        "ours, 7 figures": lambda: ranking_scores(truth, ranked, k=k),
        "ours, 7 figures at 4 k": lambda: ranking_scores(truth, ranked, ks=(1, max(2, k // 4), max(3, k // 2), k)),
        "ranx, 7 figures": lambda: ranx.evaluate(qrels, typed_run, figures, return_mean=False, threads=1),
    }
    if users * k <= LONGEST:
        systems[peer] = lambda: recommenders_all(true, given, k, turn) if installed else pandas_all(true, given, k)
    print(f"\n{users:,} users, {items:,} items, top {k}")
    answers = take_turns(systems, repeats=repeats, count=users, unit="users")
    ours = {key.partition("@")[0]: float(scores.mean()) for key, scores in answers["ours, 7 figures"].items()}
    ranxs = {
        mine: float(answers["ranx, 7 figures"][f"{its}@{k}"].mean()) for mine, its in (NAMES | {"f1": "f1"}).items()
    }
    compare("ranx", ranxs, ours)
    print("  ours:", ", ".join(f"{name} {value:.4f}" for name, value in ours.items()))
    if peer in answers:
        compare(peer, answers[peer], ours)
    if has("lenskit"):
        few = min(users, 2000)
        part = {
            key.partition("@")[0]: float(s.mean()) for key, s in ranking_scores(truth[:few], ranked[:few], k=k).items()
        }
        part["rbp"] = float(rank_biased_precision_score(truth[:few], ranked[:few], k=k).mean())
        compare(f"LensKit, first {few} users", lenskit_all(truth[:few], ranked[:few], k), part)


def has(module: str) -> bool:
    from importlib.util import find_spec

    spec = find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None  # a package, not a script beside this one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="a folder that recommenders and LensKit are imported from")
    arguments = parser.parse_args()
    if arguments.peers:
        sys.path.insert(0, str(arguments.peers))  # before this folder, whose recommenders.py is another thing
    for k in arguments.k:
        run(arguments.users, arguments.items, k, arguments.repeats)


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    main()
