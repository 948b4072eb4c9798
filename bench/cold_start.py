"""People and items that were not in training, on MovieLens 100k.

    python bench/cold_start.py --data FOLDER    # FOLDER holds u.data and u.item; ALS needs the extra recsys

People: in each of ten rounds a tenth of the people is held out entirely, each person once. A quarter of a person's
ratings is the test, drawn at random; five of the others are what is given. Compared on the same test, with everything
else of the person left out of every ranking:

- fold-in from the five, by a model that never saw the person;
- the same people trained on: a model fitted with those five among its data, asked by the person's id;
- the same people trained on with all that is not test (some 80 ratings at the mean), which is more than the five tell.

Items: in each of ten rounds a tenth of the items is held out entirely, each once, and people are given a ranking of the
items held out. Popularity knows nothing of them: either they stand by id (which in this data set is no neutral order,
for well-known films have low ids), or by the mean popularity of their genres and years among the other items.
Intervals are percentile bootstraps over people.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hybrid import als, read_films

from recsys.collaborative.ease import fit_ease
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.content.ease import EaseContentConfig, fit_ease_content
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions
from recsys.hybrid.blend import BlendConfig, fuse
from recsys.model import Recommender
from recsys.reading import load_interactions
from shared.evaluation.intervals import mean_interval
from shared.evaluation.ranking import ndcg_score

Fit = Callable[[Interactions], Recommender]
FITS: dict[str, Fit] = {
    "EASE": fit_ease,
    "item-kNN": fit_item_knn,
    "ALS, 48 factors": lambda part: als(part, 48, 8.0, 60.0),
    "EASE and item-kNN, equal": lambda part: fuse(
        part, {"ease": fit_ease(part), "knn": fit_item_knn(part)}, BlendConfig(learn="equal")
    ),
    "popularity": fit_popularity,
}
GIVEN = 5


def ratio(over: np.ndarray, under: np.ndarray, resamples: int = 1000) -> str:
    """The ratio of two means over the same people, with a percentile bootstrap over them."""
    rng = np.random.default_rng(42)
    drawn = rng.integers(len(over), size=(resamples, len(over)))
    low, high = np.percentile(over[drawn].mean(axis=1) / under[drawn].mean(axis=1), [2.5, 97.5])
    return f"{over.mean() / under.mean():.3f} ({low:.3f}..{high:.3f})"


def score(model: Recommender, rows: Sequence[tuple[int, list[int], list[int], list[int]]], fold: bool) -> list[float]:
    """NDCG@10 of each person; a row is the person, what is given, what else they had, and the test."""
    found = []
    for person, given, others, test in rows:
        if fold:
            answer = model.fold_in(given, 10, without=[*given, *others])
        else:
            answer = model.recommend([person], 10, without=[*given, *others])[0]
        found.append(float(ndcg_score([test], [list(answer.items)], k=10)[0]))
    return found


def people(whole: Interactions, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(whole.user_ids)) % 10)
    test, given = np.zeros(len(whole), dtype=np.bool_), np.zeros(len(whole), dtype=np.bool_)
    for user in range(len(whole.user_ids)):
        rows = rng.permutation(np.flatnonzero(whole.users == user))
        quarter = max(1, len(rows) // 4)
        test[rows[:quarter]], given[rows[quarter : quarter + GIVEN]] = True, True
    figures: dict[str, list[list[float]]] = {name: [[], [], []] for name in FITS}
    ids = np.array(whole.item_ids.ids)
    for fold in range(rounds):
        out = fold_of[whole.users] == fold
        cases = []
        for user in np.flatnonzero(fold_of == fold):
            own = whole.users == user
            parts = [ids[whole.items[own & mask]].tolist() for mask in (given, ~given & ~test, test)]
            cases.append((whole.user_ids.ids[user], *parts))
        for name, fit in FITS.items():
            figures[name][0] += score(fit(whole.take(~out)), cases, True)
            figures[name][1] += score(fit(whole.take(~out | given)), cases, False)
            figures[name][2] += score(fit(whole.take(~out | ~test)), cases, False)
    print(f"\nPeople held out entirely: {len(figures['EASE'][0])} in {rounds} rounds, NDCG@10")
    print("| model | fold-in from five | trained on the five | ratio | trained on all but the test | ratio |")
    print("| --- " * 6 + "|")
    for name, (folded, trained, full) in figures.items():
        a, b, c = map(np.array, (folded, trained, full))
        print(f"| {name} | {a.mean():.4f} | {b.mean():.4f} | {ratio(a, b)} | {c.mean():.4f} | {ratio(a, c)} |")


def items(whole: Interactions, folder: Path, rounds: int, seed: int) -> None:
    texts, features = read_films(folder)
    ids = list(features)
    rows = np.array(list(features.values()), dtype=np.float32)
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(whole.item_ids)) % 10)
    names = (
        "TF-IDF of titles, genres and years",
        "EASE with genres and years",
        "both, equal",
        "popularity (none has any: by id)",
        "popularity of their genres and years",
        "their own later popularity (an oracle)",
    )
    figures: dict[str, list[float]] = {name: [] for name in names}
    for fold in range(rounds):
        out = fold_of[whole.items] == fold
        train, test = whole.take(~out), whole.take(out)
        new = sorted(int(whole.item_ids.ids[code]) for code in np.flatnonzero(fold_of == fold))
        content = fit_content(train, TfidfConfig(max_share=0.9), items=texts)
        ease = fit_ease_content(train, EaseContentConfig(l2=500.0, content=25.0), items=ids, features=rows)
        both = fuse(train, {"tf-idf": content, "ease": ease}, BlendConfig(learn="equal"))
        count = dict(zip(train.item_ids.ids, np.bincount(train.items, minlength=len(train.item_ids))))
        counts = np.array([count.get(item, 0) for item in ids], dtype=np.float64)
        old = counts > 0
        mean = (rows[old] * np.log1p(counts[old])[:, None]).sum(axis=0) / np.maximum(rows[old].sum(axis=0), 1)
        guess = dict(zip(ids, (rows @ mean / np.maximum(rows.sum(axis=1), 1)).tolist()))
        later = dict(zip(test.item_ids.ids, np.bincount(test.items, minlength=len(test.item_ids)).tolist()))
        by_guess, by_later = (sorted(new, key=lambda item: -of.get(item, 0))[:10] for of in (guess, later))
        asked = np.unique(test.users)
        users = list(test.user_ids.decode(asked))
        truth = [[test.item_ids.ids[item] for item in test.items[test.users == code]] for code in asked]
        ranked = [
            *([one.items for one in model.recommend(users, 10, among=new)] for model in (content, ease, both)),
            *([order] * len(users) for order in (new[:10], by_guess, by_later)),
        ]
        for name, lists in zip(names, ranked):
            figures[name] += ndcg_score(truth, [list(one) for one in lists], k=10).tolist()
    print(f"\nItems held out entirely, ranked among themselves: {rounds} rounds, {len(figures[names[0]])} rankings")
    print("| by | NDCG@10 (95 % interval) | over the better popularity |")
    print("| --- | --- | --- |")
    base = np.array(max((figures[name] for name in names[3:5]), key=np.mean))
    for name, values in figures.items():
        found = mean_interval(np.array(values), rng=np.random.default_rng(42))
        print(f"| {name} | {found.value:.4f} ({found.low:.4f}..{found.high:.4f}) | {ratio(np.array(values), base)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k")
    parser.add_argument("--rounds", type=int, default=10, help="how many of the ten rounds to run")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    whole = load_interactions(arguments.data, id_type="int")
    items(whole, arguments.data, arguments.rounds, arguments.seed)
    people(whole, arguments.rounds, arguments.seed)


if __name__ == "__main__":
    main()
