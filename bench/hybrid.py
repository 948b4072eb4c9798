"""Every recommender, fusion, blend and re-ranker on MovieLens 100k, beside the published table.

    python bench/hybrid.py --data FOLDER        # FOLDER holds u.data, u.item and u.user; extras recsys and rerank

Protocol of ``bench/recommendation.py``: 75/25 stratified by user with ``RandomState(seed)``, every rating counts, all
items not in the user's training part are ranked; and the same on the temporal split. Weights and re-rankers are learned
inside the training part alone. ``--folds`` prints what was chosen by: the same models on parts that are held out of the
training part of seed 42 again, so that the test part is not looked at.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from recsys.collaborative.als import AlsConfig, fit_als
from recsys.collaborative.bpr import fit_bpr
from recsys.collaborative.ease import fit_ease
from recsys.collaborative.gf_cf import fit_gf_cf
from recsys.collaborative.logistic_mf import fit_logistic_mf
from recsys.collaborative.popularity import PopularityConfig, fit_popularity
from recsys.collaborative.time_knn import fit_time_knn
from recsys.comparing import compare_users
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions
from recsys.features import Features, load_features
from recsys.hybrid.blend import METHODS, BlendConfig, fit_blend, fuse
from recsys.hybrid.members import Fit
from recsys.hybrid.recipe import best_members
from recsys.hybrid.rerank import RerankConfig, fit_rerank
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.scoring import UserScores, score_users
from recsys.split import Split, folds, stratified, temporal
from recsys.threads import limit_threads
from shared.evaluation.intervals import mean_interval
from shared.types import Id

GENRES = (
    *("unknown", "action", "adventure", "animation", "children", "comedy", "crime", "documentary", "drama", "fantasy"),
    *("noir", "horror", "musical", "mystery", "romance", "scifi", "thriller", "war", "western"),
)
PUBLISHED = {"BiVAE": 0.475077, "BPR": 0.441997, "LightGCN": 0.419846, "NCF": 0.396118, "SAR": 0.382461}
TABLES = ("stratified", "seeds", "temporal")
About: TypeAlias = tuple[Features, Features, dict[Id, str]]
"""What is known of films and of people, and a text of each film."""
BLENDED = ("als-24", "als-48", "ease-time-300", "ease-content")
"""Members of fusions and blends: strong ones that differ. The re-rankers look at all."""


def als(train: Interactions, factors: int, alpha: float, l2: float) -> Recommender:
    """ALS as ``bench/cold_start.py`` takes it."""
    return fit_als(train, AlsConfig(factors=factors, alpha=alpha, l2=l2))


def read_films(folder: Path) -> tuple[dict[Id, str], dict[int, list[int]]]:
    """Text (title and genres) and features (genres, and the five years of the release) of each film."""
    texts: dict[Id, str] = {}
    features: dict[int, list[int]] = {}
    with (folder / "u.item").open(encoding="latin-1", newline="") as file:
        for row in csv.reader(file, delimiter="|"):
            genres = [int(flag) for flag in row[5:]]
            year = int(row[2][-4:]) if row[2] else 1990
            texts[int(row[0])] = f"{row[1]} {' '.join(n for n, flag in zip(GENRES, genres) if flag)} {year // 5}x"
            features[int(row[0])] = genres + [int(at == (year - 1920) // 5) for at in range(16)]
    return texts, features


def once(fits: Mapping[str, Fit]) -> dict[str, Fit]:
    """The same fits, each run once for the same data: blends and re-rankers learn on the same folds."""
    kept: dict[Any, Recommender] = {}

    def remember(name: str, fit: Fit) -> Fit:
        def run(part: Interactions) -> Recommender:
            key = name, part.users.tobytes(), part.items.tobytes()
            if key not in kept:
                kept[key] = fit(part)
            return kept[key]

        return run

    return {name: remember(name, fit) for name, fit in fits.items()}


class Table:
    """Rows of one split, each beside EASE."""

    def __init__(self, title: str, split: Split) -> None:
        self.split, self.ease = split, score_users(fit_ease(split.train), split.test)
        print(f"\n{title}: {len(split.train)} train, {len(split.test)} test, {len(self.ease.users)} people")
        print("| model | NDCG@10 (95 %) | minus EASE (95 %, paired) | MAP@10 | precision@10 | recall@10 | seconds |")
        print("| --- " * 7 + "|")

    def row(self, name: str, make: Callable[[], Recommender]) -> Recommender:
        began = time.perf_counter()
        model = make()
        found = score_users(model, self.split.test)
        seconds = time.perf_counter() - began
        ndcg = mean_interval(found.scores["ndcg@10"], rng=np.random.default_rng(42))
        others = " | ".join(f"{found.scores[f'{key}@10'].mean():.4f}" for key in ("map", "precision", "recall"))
        print(
            f"| {name} | {ndcg.value:.4f} ({ndcg.low:.4f}..{ndcg.high:.4f}) | {self.beside(found)} "
            f"| {others} | {seconds:.0f} |",
            flush=True,
        )
        return model

    def beside(self, found: UserScores) -> str:
        gain = compare_users(found, self.ease, rng=np.random.default_rng(42))["ndcg@10"].difference
        return f"{gain.value:+.4f} ({gain.low:+.4f}..{gain.high:+.4f})"


def table(title: str, split: Split, about: About, *, trees: bool = True) -> None:
    films, people, texts = about
    here = Table(title, split)
    fits = once(best_members(split.train, items=films))
    few = {name: fits[name] for name in BLENDED}
    others: dict[str, Fit] = {
        "als-64": fit_als,
        "gf_cf": fit_gf_cf,
        "neighbours in time": fit_time_knn,
        "logistic MF": fit_logistic_mf,
        "BPR": fit_bpr,
        "popularity": fit_popularity,
        "popularity, half life 30 days": lambda part: fit_popularity(part, PopularityConfig(half_life=30.0)),
        "TF-IDF of titles and genres": lambda part: fit_content(part, TfidfConfig(max_share=0.9), items=texts),
    }
    models = {name: here.row(name, partial(fit, split.train)) for name, fit in {**fits, **others}.items()}
    personal = {name: models[name] for name in BLENDED}
    for method in METHODS:
        config = BlendConfig(method=method, learn="equal")
        here.row(f"fusion, {method}", partial(fuse, split.train, personal, config))
    here.row("blend, weights by NDCG", lambda: fit_blend(split.train, members=few))
    here.row("blend, logistic", lambda: fit_blend(split.train, BlendConfig(learn="logistic"), members=few))
    here.row("re-ranker of all, without mix", lambda: rerank(split.train, fits, people, mix=0.0))
    here.row("re-ranker of all, nothing known of people", lambda: rerank(split.train, fits, None))
    best = here.row("**hybrid** (recsys.fit_hybrid)", lambda: rerank(split.train, fits, people))
    if (np.isin(split.test.users, split.train.users, invert=True)).any():
        lately = "**hybrid**, strangers by the last days (half life 30)"
        here.row(lately, lambda: rerank(split.train, fits, people, half_life=30.0))
    if trees:
        second = here.row("LambdaRank of all", lambda: rerank(split.train, fits, people, ranker="lambdarank"))
        both = {"hybrid": best, "trees": second}
        here.row("hybrid and LambdaRank, equal", lambda: fuse(split.train, both, BlendConfig(learn="equal")))


def rerank(train: Interactions, fits: Mapping[str, Fit], people: Features | None, **options: Any) -> Recommender:
    """What :func:`recsys.fit_hybrid` does, with members that were perhaps fitted already."""
    return fit_rerank(train, RerankConfig(**options), members=fits, users=people, rng=np.random.default_rng(0))


def again(title: str, split: Split, about: About) -> tuple[float, float]:
    """EASE and the hybrid alone on another split."""
    films, people, _ = about
    ease = score_users(fit_ease(split.train), split.test)
    hybrid = score_users(rerank(split.train, best_members(split.train, items=films), people), split.test)
    gain = compare_users(hybrid, ease, rng=np.random.default_rng(42))["ndcg@10"].difference
    found = ease.scores["ndcg@10"].mean(), hybrid.scores["ndcg@10"].mean()
    shown = f"{gain.value:+.4f} ({gain.low:+.4f}..{gain.high:+.4f})"
    print(f"| {title} | {found[0]:.4f} | {found[1]:.4f} | {shown} |", flush=True)
    return float(found[0]), float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=TABLES, help="which to print; all by default")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4], help="further seeds of the split")
    parser.add_argument("--no-trees", action="store_true", help="leave LambdaRank out")
    parser.add_argument("--folds", action="store_true", help="five folds of the training part; the test is not read")
    arguments = parser.parse_args()
    with limit_threads(1):  # a busy machine's threads wait for each other
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    whole = load_interactions(arguments.data, id_type="int")
    films = load_features(arguments.data / "u.item", id_type="int")
    people = load_features(arguments.data / "u.user", id_type="int")
    about = films, people, read_films(arguments.data)[0]
    main_split = stratified(whole, rng=np.random.RandomState(42))
    if arguments.folds:
        for at, part in enumerate(folds(main_split.train, count=5, rng=np.random.default_rng(0))):
            table(f"Fold {at} of the training part", part, about, trees=not arguments.no_trees)
        return
    if "stratified" in arguments.tables:
        table("Stratified by user, seed 42", main_split, about, trees=not arguments.no_trees)
        for name, value in PUBLISHED.items():
            print(f"| {name} (published) | {value:.4f} | | | | | |")
    if "seeds" in arguments.tables:
        print("\n| stratified by user | EASE | hybrid | hybrid minus EASE |\n| --- | --- | --- | --- |")
        splits = {seed: stratified(whole, rng=np.random.RandomState(seed)) for seed in arguments.seeds}
        pairs = np.array([again(f"seed {seed}", split, about) for seed, split in splits.items()])
        print(f"| mean of these | {pairs[:, 0].mean():.4f} | {pairs[:, 1].mean():.4f} | |")
    if "temporal" in arguments.tables:
        table("Temporal", temporal(whole), about, trees=not arguments.no_trees)


if __name__ == "__main__":
    main()
