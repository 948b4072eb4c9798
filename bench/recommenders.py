"""Recommenders beside their peers on random data: ranking for everybody, fitting, memory.

    python bench/recommenders.py                              # full size: 140,000 users x 27,000 items, 64 factors
    python bench/recommenders.py --users 4000 --items 3000    # smaller
    python bench/recommenders.py --only top-k --threads 1 --turns 5

What is compared, each part by turns in one process, ratios as the median over the turns of seconds / ours (above 1:
ours is faster), on the wall clock and in processor time:

- top-k: the ten best for all users out of all items but those seen, from the same factors, against `recommend` of
  implicit. Both with `--threads`; the answers are compared.
- surprise: the same answers by Surprise's own loop of `predict` over a sample of users, extrapolated to all.
- ease: fitting EASE on 10,000 items.
- als: fitting ALS against implicit's own `fit` of the same matrix, options and threads.
- memory: the peak of a process that does one thing alone, above one that only made the data.

Needs the extra `recsys`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from turns import peak_megabytes, take_turns

from recsys.collaborative.als import Als, AlsConfig, fit_als
from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.data import Interactions, csr
from recsys.ids import Vocabulary
from recsys.model import Recommender
from recsys.serving.bulk import rank_blocks
from recsys.threads import limit_threads

FACTORS = 64
SEEN = 100
"""Interactions of each user, on average."""
K = 10
PARTS = ("top-k", "surprise", "ease", "als", "memory")


def names(users: int, items: int) -> tuple[Vocabulary, Vocabulary]:
    return Vocabulary("user", tuple(range(users))), Vocabulary("item", tuple(range(items)))


def random_histories(users: int, items: int, seen: int = SEEN) -> Any:
    """Interactions of users with items, the popular ones likelier (Zipf's law, exponent 0.7)."""
    rng = np.random.default_rng(0)
    weights = 1 / (1 + np.arange(items)) ** 0.7
    drawn = rng.choice(items, size=users * seen, p=weights / weights.sum()).astype(np.int32)
    rows = np.repeat(np.arange(users, dtype=np.int32), seen)
    matrix = csr(rows, drawn, np.ones(len(rows), dtype=np.float32), (users, items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def random_factors(users: int, items: int) -> Als:
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((count, FACTORS), dtype=np.float32) for count in (users, items))
    return Als(AlsConfig(factors=FACTORS), *names(users, items), random_histories(users, items), *vectors)


def as_interactions(matrix: Any) -> Interactions:
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    return Interactions(rows, matrix.indices.astype(np.int32), matrix.data.copy(), None, *names(*matrix.shape))


def rank_all(model: Recommender, threads: int) -> np.ndarray:
    blocks = rank_blocks(model, model.user_ids.ids, K, threads=threads)
    return np.concatenate([ranking.items for _, ranking in blocks])


def as_implicit(model: Als, threads: int) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares

    theirs = AlternatingLeastSquares(factors=FACTORS, num_threads=threads)
    theirs.user_factors, theirs.item_factors = model.user_factors, model.item_factors
    return theirs


def rank_by_implicit(theirs: Any, histories: Any) -> np.ndarray:
    with limit_threads(1):
        return np.asarray(theirs.recommend(np.arange(histories.shape[0]), histories, N=K)[0])


def top_k(users: int, items: int, threads: int, turns: int) -> None:
    model = random_factors(users, items)
    theirs = as_implicit(model, threads)
    systems = {
        "ours, exact top 10": lambda: rank_all(model, threads),
        "implicit, recommend": lambda: rank_by_implicit(theirs, model.histories),
    }
    print(f"\ntop-k: {users} users x {items} items, {FACTORS} factors, {model.histories.nnz} seen, {threads} threads")
    ours, other = take_turns(systems, repeats=turns, count=users, unit="users").values()
    print(f"same items in {np.mean(np.sort(ours, axis=1) == np.sort(other, axis=1)):.6f} of the places")


def surprise(users: int, items: int, threads: int, turns: int) -> None:
    """Surprise ranks by asking for one pair at a time. Its factors are untrained: what they are costs nothing."""
    from surprise import SVD, Dataset, Reader

    model = random_factors(users, items)
    few = min(3, users)
    rows = [(str(user), str(item), 1.0) for user in range(few) for item in range(items)]
    whole = Dataset.load_from_df(_frame(rows), Reader(rating_scale=(0, 1))).build_full_trainset()
    theirs = SVD(n_factors=FACTORS, n_epochs=0).fit(whole)

    def predict() -> list[list[str]]:
        best = []
        for user in range(few):
            seen = set(model.histories[user].indices.tolist())
            found = [(theirs.predict(str(user), str(item)).est, item) for item in range(items) if item not in seen]
            best.append([item for _, item in sorted(found, reverse=True)[:K]])
        return best

    wall, busy = [], []
    for _ in range(turns):
        pair = timed(lambda: rank_all(model, threads)), timed(predict)
        wall.append(pair[1][0] * users / few / pair[0][0])
        busy.append(pair[1][1] * users / few / pair[0][1])
    print(f"\nsurprise: {users} users x {items} items; its loop of predict on {few} users, times {users / few:.0f}")
    print(f"takes {statistics.median(wall):.0f}x ours on the wall clock, {statistics.median(busy):.0f}x processor time")


def _frame(rows: list[tuple[str, str, float]]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows, columns=["user", "item", "rating"])


def timed(task: Callable[[], Any]) -> tuple[float, float]:
    wall, busy = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - busy


def ease(users: int, items: int, threads: int, turns: int) -> None:
    interactions = as_interactions(random_histories(users, items))
    with limit_threads(threads):
        runs = [timed(lambda: fit_ease(interactions, EaseConfig(weighting="binary"))) for _ in range(turns)]
    wall, busy = (statistics.median(run[part] for run in runs) for part in (0, 1))
    print(f"\nease: {users} users x {items} items, {len(interactions)} interactions, {threads} threads")
    print(f"fit in {wall:.2f} s on the wall clock, {busy:.2f} s of processor time")


def als(users: int, items: int, threads: int, turns: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    interactions = as_interactions(random_histories(users, items))
    config = AlsConfig(factors=FACTORS, weighting="binary")
    matrix = interactions.matrix * np.float32(config.alpha) + interactions.matrix

    def ours() -> Any:
        with limit_threads(threads):
            return fit_als(interactions, config)

    def theirs() -> Any:
        model = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=config.l2,
            iterations=config.iterations,
            num_threads=threads,
            random_state=np.random.default_rng(0),
        )
        with limit_threads(1):
            model.fit(matrix, show_progress=False)
        return model

    print(f"\nals: {users} users x {items} items, {len(interactions)} interactions, {threads} threads")
    take_turns({"ours, fit_als": ours, "implicit, fit": theirs}, repeats=turns, count=config.iterations, unit="passes")


def _alone(name: str, users: int, items: int, threads: int, answers: Any) -> None:
    if name.startswith("ease"):
        interactions = as_interactions(random_histories(users, items))
        before = peak_megabytes()
        with limit_threads(threads):
            fit_ease(interactions, EaseConfig(weighting="binary"))
    else:
        model = random_factors(users, items)
        theirs = as_implicit(model, threads)
        before = peak_megabytes()
        if name.startswith("ours"):
            rank_all(model, threads)
        else:
            rank_by_implicit(theirs, model.histories)
    answers.put((before, peak_megabytes()))


def memory(users: int, items: int, threads: int, sizes: dict[str, tuple[int, int]]) -> None:
    print(f"\nmemory, each in a process of its own, {threads} threads")
    context = multiprocessing.get_context("spawn")
    for name, (people, things) in sizes.items():
        answers = context.Queue()
        process = context.Process(target=_alone, args=(name, people, things, threads, answers))
        process.start()
        before, peak = answers.get()
        process.join()
        print(f"{name:22} {people} x {things}: {peak:.0f} MB at most, {peak - before:.0f} MB above the data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=140_000)
    parser.add_argument("--items", type=int, default=27_000)
    parser.add_argument("--ease-items", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # implicit advises on BLAS threads, which are limited here anyway
    size = chosen.users, chosen.items, chosen.threads
    if "top-k" in chosen.only:
        top_k(*size, chosen.turns)
    if "surprise" in chosen.only:
        surprise(*size, max(1, chosen.turns // 2))
    if "ease" in chosen.only:
        ease(chosen.users, chosen.ease_items, chosen.threads, max(1, chosen.turns // 2))
    if "als" in chosen.only:
        als(*size, chosen.turns)
    if "memory" in chosen.only:
        full = chosen.users, chosen.items
        sizes = {"ours, top 10": full, "implicit, top 10": full, "ease": (chosen.users, chosen.ease_items)}
        memory(*size, sizes)


if __name__ == "__main__":
    main()
