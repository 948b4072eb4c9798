"""Blends, rank fusion and re-ranking on MovieLens 100k, beside each member alone and the published table.

    python bench/hybrid.py --data FOLDER        # FOLDER holds u.data and u.item; needs the extras recsys and rerank

Protocol of ``bench/recommendation.py``: 75/25 stratified by user with ``RandomState(seed)``, every rating counts, all
items not in the user's training part are ranked; and the same on the temporal split. Weights and re-rankers are learned
inside the training part alone. Members that are no family of the package (implicit's ALS, neighbours in time) are made
here: any ``Recommender`` can be a member.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recsys.collaborative.ease import Ease, EaseConfig, fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.content.ease import EaseContentConfig, fit_ease_content
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions
from recsys.evaluate import score_users
from recsys.histories import training_parts
from recsys.hybrid.blend import BlendConfig, fit_blend, fuse
from recsys.hybrid.rerank import RerankConfig, fit_rerank
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.split import Split, stratified, temporal
from shared.evaluation.intervals import mean_interval

PUBLISHED = {"BiVAE": 0.475077, "BPR": 0.441997, "LightGCN": 0.419846, "NCF": 0.396118, "SAR": 0.382461}
GENRES = (
    *("unknown", "action", "adventure", "animation", "children", "comedy", "crime", "documentary", "drama", "fantasy"),
    *("noir", "horror", "musical", "mystery", "romance", "scifi", "thriller", "war", "western"),
)

LEARNED = ("EASE with genres and years", "ALS, 48 factors", "ALS, 96 factors", "neighbours in time")
"""Members of the hybrids: the ones that were found to differ on folds of the training part."""


@dataclass(frozen=True, eq=False, repr=False)
class Als(Ease):
    """implicit's ALS: people of the training data by their factors, others by its own fold-in."""

    family: ClassVar[str] = "als"
    model: Any

    def score_histories(self, histories: Any) -> Any:
        factors = self.model.recalculate_user(np.arange(histories.shape[0]), histories)
        return factors @ self.model.item_factors.T

    def score_users(self, codes: Any) -> Any:
        return self.model.user_factors[codes] @ self.model.item_factors.T


def als(train: Interactions, factors: int, alpha: float, l2: float) -> Recommender:
    from implicit.cpu.als import AlternatingLeastSquares

    users, items, histories = training_parts(train, "log")
    model = AlternatingLeastSquares(
        factors=factors, alpha=alpha, regularization=l2, iterations=12, random_state=0, num_threads=1
    )
    model.fit(histories, show_progress=False)
    return Als(EaseConfig(), users, items, histories, np.zeros((0, 0), dtype=np.float32), model)


def near_in_time(
    train: Interactions, seconds: float = 30.0, neighbours: int = 200, shrink: float = 20.0
) -> Recommender:
    """Item neighbours by how soon after each other people touched both: exp(-gap / seconds), a linear model."""
    users, items, histories = training_parts(train, "binary")
    times = train.times if train.times is not None else np.zeros(len(train), dtype=np.int64)
    codes = items.encode(train.item_ids.ids)[train.items]
    common = np.zeros((len(items), len(items)))
    order = np.argsort(train.users, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(train.users[order])) + 1):
        gaps = np.abs(times[rows][:, None] - times[rows][None, :])
        common[np.ix_(codes[rows], codes[rows])] += np.exp(-gaps / seconds)
    np.fill_diagonal(common, 0)
    count = np.asarray(histories.getnnz(axis=0), dtype=np.float64)
    weights = common / (np.sqrt(count[:, None] * count[None, :]) + shrink)
    border = np.sort(weights, axis=1)[:, -min(neighbours, len(items))][:, None]
    weights = np.where(weights >= border, weights, 0).astype(np.float32)
    return Ease(EaseConfig(weighting="binary"), users, items, histories, weights)


def read_films(folder: Path) -> tuple[dict[int, str], dict[int, list[int]]]:
    """Text (title and genres) and features (genres, and the five years of the release) of each film."""
    texts: dict[int, str] = {}
    features: dict[int, list[int]] = {}
    with (folder / "u.item").open(encoding="latin-1", newline="") as file:
        for row in csv.reader(file, delimiter="|"):
            genres = [int(flag) for flag in row[5:]]
            year = int(row[2][-4:]) if row[2] else 1990
            texts[int(row[0])] = f"{row[1]} {' '.join(n for n, flag in zip(GENRES, genres) if flag)} {year // 5}x"
            features[int(row[0])] = genres + [int(at == (year - 1920) // 5) for at in range(16)]
    return texts, features


def once(fits: Mapping[str, Callable[[Interactions], Recommender]]) -> dict[str, Callable[[Interactions], Recommender]]:
    """The same fits, each run once for the same data: blend and re-ranker learn on the same folds."""
    kept: dict[Any, Recommender] = {}

    def remember(name: str, fit: Callable[[Interactions], Recommender]) -> Callable[[Interactions], Recommender]:
        def run(part: Interactions) -> Recommender:
            key = name, part.users.tobytes(), part.items.tobytes()
            if key not in kept:
                kept[key] = fit(part)
            return kept[key]

        return run

    return {name: remember(name, fit) for name, fit in fits.items()}


def members(folder: Path) -> dict[str, Callable[[Interactions], Recommender]]:
    texts, features = read_films(folder)
    ids, rows = list(features), np.array(list(features.values()), dtype=np.float32)
    return once(
        {
            "EASE": fit_ease,
            "EASE with genres and years": lambda part: fit_ease_content(
                part, EaseContentConfig(l2=500.0, content=25.0), items=ids, features=rows
            ),
            "ALS, 48 factors": lambda part: als(part, 48, 8.0, 60.0),
            "ALS, 96 factors": lambda part: als(part, 96, 5.0, 60.0),
            "neighbours in time": near_in_time,
            "item-kNN": fit_item_knn,
            "popularity": fit_popularity,
            "TF-IDF of titles and genres": lambda part: fit_content(part, TfidfConfig(max_share=0.9), items=texts),
        }
    )


def show(name: str, model: Recommender, split: Split, began: float) -> None:
    scores = score_users(model, split.test).scores
    found = mean_interval(scores["ndcg@10"], rng=np.random.default_rng(42))
    others = " | ".join(f"{scores[f'{key}@10'].mean():.4f}" for key in ("map", "precision", "recall"))
    seconds = time.perf_counter() - began
    print(f"| {name} | {found.value:.4f} ({found.low:.4f}..{found.high:.4f}) | {others} | {seconds:.0f} |", flush=True)


def table(title: str, split: Split, folder: Path) -> None:
    print(f"\n{title}: {len(split.train)} train, {len(split.test)} test")
    print("| model | NDCG@10 (95 % interval over people) | MAP@10 | precision@10 | recall@10 | seconds |")
    print("| --- " * 6 + "|")
    fits = members(folder)
    learned = {name: fits[name] for name in LEARNED}
    models: dict[str, Recommender] = {}
    for name, fit in fits.items():
        began = time.perf_counter()
        models[name] = fit(split.train)
        show(name, models[name], split, began)
    personal = {name: models[name] for name in LEARNED}
    for method in ("rrf", "borda"):
        began = time.perf_counter()
        show(f"fusion, {method}", fuse(split.train, personal, BlendConfig(method=method)), split, began)
    began = time.perf_counter()
    blend = fit_blend(split.train, members=learned)
    show("blend, weights by NDCG", blend, split, began)
    print(f"<!-- { ({name: round(share, 3) for name, share in blend.shares.items()}) } -->")
    began = time.perf_counter()
    show("blend, logistic", fit_blend(split.train, BlendConfig(learn="logistic"), members=learned), split, began)
    began = time.perf_counter()
    show("re-ranker, logistic", fit_rerank(split.train, members=learned), split, began)
    began = time.perf_counter()
    trees = fit_rerank(split.train, RerankConfig(ranker="lambdarank"), members=learned)
    show("re-ranker, LambdaRank", trees, split, began)
    began = time.perf_counter()
    both = fuse(split.train, {"blend": blend, "trees": trees}, BlendConfig(learn="equal"))
    show("blend and LambdaRank, equal", both, split, began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k")
    parser.add_argument("--seeds", type=int, nargs="*", default=[42], help="of the stratified split")
    parser.add_argument("--no-temporal", action="store_true", help="leave the temporal split out")
    arguments = parser.parse_args()
    whole = load_interactions(arguments.data, id_type="int")
    for seed in arguments.seeds:
        split = stratified(whole, rng=np.random.RandomState(seed))
        table(f"Stratified by user, seed {seed}", split, arguments.data)
    for name, value in PUBLISHED.items():
        print(f"| {name} (published, stratified) | {value:.4f} | | | | |")
    if not arguments.no_temporal:
        table("Temporal", temporal(whole), arguments.data)


if __name__ == "__main__":
    main()
