"""People and items that were not in training, on MovieLens 100k.

    python bench/cold_start.py --data FOLDER                    # FOLDER holds u.data and u.item
    python bench/cold_start.py --data FOLDER --parts items      # or people, alone
    python bench/cold_start.py --data FOLDER --tune             # how dropout for short histories was chosen

ALS needs the extra recsys; sentence embeddings fetch an encoder unless it is cached.

People: in each of ten rounds a tenth of the people is held out entirely, each person once. A quarter of a person's
ratings is the test, drawn at random; five of the others are what is given. Compared on the same test, with everything
else of the person left out of every ranking:

- fold-in from the five, by a model that never saw the person;
- A: the same people trained on: a model fitted with the same five events among its data, asked by the person's id.
  So A says what folding in costs against a new fit of the same knowledge;
- B: the same people trained on with all that is not test (some 80 ratings at the mean). B says how much of what a whole
  history tells five events tell; no way of folding in knows the other 75.

The last of these columns is B again, over the best of all models trained on whole histories.

A second table asks as a shop would: fold-in from the five, and whatever else the person rated, known or not, is right.
There the first ten places are easier, for there is more to be found, and models lie closer together.

Items: in each of ten rounds a tenth of the items is held out entirely, each once, and people are given a ranking of the
items held out. Popularity knows nothing of them: either they stand by id (which in this data set is no neutral order,
for well-known films have low ids), or by the mean popularity of their genres and years among the other items.
Intervals are percentile bootstraps over people.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from hybrid import als, read_films

import nlp
from recsys.collaborative.ease import EaseConfig, fit_ease
from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.content.ease import EaseContentConfig, fit_ease_content
from recsys.content.embeddings import fit_embeddings
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions
from recsys.feature_files import GENRES
from recsys.hybrid.blend import BlendConfig, fuse
from recsys.model import Recommender
from recsys.reading import load_interactions
from shared.evaluation.intervals import mean_interval
from shared.evaluation.ranking import ndcg_score

ENCODERS = ("all-minilm-l6-v2", "bge-small-en")
SHORT = EaseConfig(dropout=0.99)
"""For people of whom five events are known; --tune prints why."""


def fit_all(part: Interactions) -> dict[str, Recommender]:
    ease, knn, short = fit_ease(part), fit_item_knn(part), fit_ease(part, SHORT)
    wide = fit_item_knn(part, ItemKnnConfig(neighbours=1000))
    equal = BlendConfig(learn="equal")
    return {
        "EASE": ease,
        "EASE, dropout 0.99": short,
        "item-kNN": knn,
        "item-kNN, 1000 neighbours": wide,
        "ALS, 48 factors": als(part, 48, 8.0, 60.0),
        "EASE and item-kNN, equal": fuse(part, {"ease": ease, "knn": knn}, equal),
        "EASE with dropout and wide item-kNN, equal": fuse(part, {"ease": short, "knn": wide}, equal),
        "popularity": fit_popularity(part),
    }


Fit = Callable[[Interactions], Recommender]
Case = tuple[int, list[int], list[int], list[int]]
"""A person, what is given, what else they had, and the test."""
GIVEN = 5


def ratio(over: np.ndarray, under: np.ndarray, resamples: int = 1000) -> str:
    """The ratio of two means over the same people, with a percentile bootstrap over them."""
    rng = np.random.default_rng(42)
    drawn = rng.integers(len(over), size=(resamples, len(over)))
    low, high = np.percentile(over[drawn].mean(axis=1) / under[drawn].mean(axis=1), [2.5, 97.5])
    return f"{over.mean() / under.mean():.3f} ({low:.3f}..{high:.3f})"


def score(model: Recommender, rows: Sequence[Case], fold: bool) -> list[float]:
    """NDCG@10 of each person."""
    found = []
    for person, given, others, test in rows:
        if fold:
            answer = model.fold_in(given, 10, without=[*given, *others])
        else:
            answer = model.recommend([person], 10, without=[*given, *others])[0]
        found.append(float(ndcg_score([test], [list(answer.items)], k=10)[0]))
    return found


def score_rest(model: Recommender, rows: Sequence[Case]) -> list[float]:
    """NDCG@10 of each person by fold-in, where everything that was not given is to be found."""
    answers = model.fold_in_many([given for _, given, _, _ in rows], 10)
    rest = [[*others, *test] for _, _, others, test in rows]
    return [float(one) for one in ndcg_score(rest, [list(answer.items) for answer in answers], k=10)]


def people(whole: Interactions, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(whole.user_ids)) % 10)
    test, given = np.zeros(len(whole), dtype=np.bool_), np.zeros(len(whole), dtype=np.bool_)
    for user in range(len(whole.user_ids)):
        rows = rng.permutation(np.flatnonzero(whole.users == user))
        quarter = max(1, len(rows) // 4)
        test[rows[:quarter]], given[rows[quarter : quarter + GIVEN]] = True, True
    figures: dict[str, list[list[float]]] = {}
    found_rest: dict[str, list[float]] = {}
    ids = np.array(whole.item_ids.ids)
    for fold in range(rounds):
        out = fold_of[whole.users] == fold
        cases = []
        for user in np.flatnonzero(fold_of == fold):
            own = whole.users == user
            parts = [ids[whole.items[own & mask]].tolist() for mask in (given, ~given & ~test, test)]
            cases.append((whole.user_ids.ids[user], *parts))
        for way, (mask, folded) in enumerate(((~out, True), (~out | given, False), (~out | ~test, False))):
            for name, model in fit_all(whole.take(mask)).items():
                figures.setdefault(name, [[], [], []])[way] += score(model, cases, folded)
                if folded:
                    found_rest.setdefault(name, []).extend(score_rest(model, cases))
        print(f"round {fold + 1} of {rounds}", file=sys.stderr, flush=True)
    best = max((np.array(full) for _, _, full in figures.values()), key=np.mean)
    print(f"\nPeople held out entirely: {len(best)} in {rounds} rounds, NDCG@10")
    heads = "fold-in from five", "A: trained on the same five", "fold-in / A", "B: trained on all but the test"
    print(f"| model | {' | '.join(heads)} | fold-in / B | fold-in / best B |")
    print("| --- " * 7 + "|")
    for name, (folded_, trained, full) in figures.items():
        a, b, c = map(np.array, (folded_, trained, full))
        found = mean_interval(a, rng=np.random.default_rng(42))
        print(
            f"| {name} | {found.value:.4f} ({found.low:.4f}..{found.high:.4f}) | {b.mean():.4f} | {ratio(a, b)} "
            f"| {c.mean():.4f} | {ratio(a, c)} | {ratio(a, best)} |",
            flush=True,
        )
    tell_rest(found_rest)


def tell_rest(found: dict[str, list[float]]) -> None:
    print("\nFold-in from five, all the rest to be found\n| model | NDCG@10 (95 % interval) | over EASE |")
    print("| --- " * 3 + "|")
    for name, values in found.items():
        one = mean_interval(np.array(values), rng=np.random.default_rng(42))
        beside = ratio(np.array(values), np.array(found["EASE"]))
        print(f"| {name} | {one.value:.4f} ({one.low:.4f}..{one.high:.4f}) | {beside} |", flush=True)


def tune(whole: Interactions, seed: int, folds: int = 3) -> None:
    """NDCG@10 of fold-in from five, on people within the training part of the first round; its own are not looked at.

    A tenth of those people is held out in each fold; a quarter of a person's ratings is the validation part.
    """
    rng = np.random.default_rng(seed)
    outer = rng.permutation(np.arange(len(whole.user_ids)) % 10) == 0
    ids = np.array(whole.item_ids.ids)
    groups = np.array_split(np.random.default_rng(1).permutation(np.flatnonzero(~outer)), 10)[:folds]
    fits: dict[str, Fit] = {
        f"EASE, dropout {dropout}": partial(fit_ease, config=EaseConfig(dropout=dropout))
        for dropout in (0.0, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
    }
    fits |= {
        f"item-kNN, {neighbours} neighbours": partial(fit_item_knn, config=ItemKnnConfig(neighbours=neighbours))
        for neighbours in (50, 200, 1000)
    }
    found: dict[str, list[float]] = {name: [] for name in fits}
    for group in groups:
        train = whole.take(~(outer[whole.users] | np.isin(whole.users, group)))
        cases = []
        for user in group:
            rows = np.random.default_rng([seed, user]).permutation(np.flatnonzero(whole.users == user))
            quarter = max(1, len(rows) // 4)
            parts = rows[quarter : quarter + GIVEN], rows[quarter + GIVEN :], rows[:quarter]
            cases.append((whole.user_ids.ids[user], *(ids[whole.items[part]].tolist() for part in parts)))
        for name, fit in fits.items():
            found[name] += score(fit(train), cases, True)
    for name, values in found.items():
        print(f"{np.mean(values):.4f}  {name}", flush=True)


def describe(folder: Path) -> dict[int, str]:
    """Each film as a sentence encoder likes it: the title, the year and the genres."""
    with (folder / "u.item").open(encoding="latin-1", newline="") as file:
        rows = list(csv.reader(file, delimiter="|"))
    genres = {int(row[0]): [genre for genre, flag in zip(GENRES, row[5:]) if flag == "1"] for row in rows}
    return {int(row[0]): f"{row[1]}: {', '.join(genres[int(row[0])]).lower()} film" for row in rows}


def items(whole: Interactions, folder: Path, rounds: int, seed: int) -> None:
    texts, features = read_films(folder)
    sentences = describe(folder)
    vectors = {name: nlp.embedder(name, threads=1).predict(list(sentences.values())) for name in ENCODERS}
    ids = list(features)
    rows = np.array(list(features.values()), dtype=np.float32)
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(whole.item_ids)) % 10)
    names = (
        "TF-IDF of titles, genres and years",
        "EASE with genres and years",
        *(f"sentence embeddings of titles and genres, {name}" for name in ENCODERS),
        "TF-IDF and EASE, equal",
        "TF-IDF, EASE and both sentence embeddings, equal",
        "popularity (none has any: by id)",
        "popularity of their genres and years",
        "their own later popularity (an oracle)",
    )
    figures: dict[str, list[float]] = {name: [] for name in names}
    owners: list[int] = []
    for fold in range(rounds):
        out = fold_of[whole.items] == fold
        train, test = whole.take(~out), whole.take(out)
        new = sorted(int(whole.item_ids.ids[code]) for code in np.flatnonzero(fold_of == fold))
        content = fit_content(train, TfidfConfig(max_share=0.9), items=texts)
        ease = fit_ease_content(train, EaseContentConfig(l2=500.0, content=25.0), items=ids, features=rows)
        said: dict[str, Recommender] = {
            name: fit_embeddings(train, items=sentences, encode=lambda _, name=name: vectors[name]) for name in ENCODERS
        }
        plain: dict[str, Recommender] = {"tf-idf": content, "ease": ease}
        both, all_ = (fuse(train, models, BlendConfig(learn="equal")) for models in (plain, plain | said))
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
        models = content, ease, *said.values(), both, all_
        ranked = [
            *([one.items for one in model.recommend(users, 10, among=new)] for model in models),
            *([order] * len(users) for order in (new[:10], by_guess, by_later)),
        ]
        owners += asked.tolist()
        for name, lists in zip(names, ranked):
            figures[name] += ndcg_score(truth, [list(one) for one in lists], k=10).tolist()
    whom, at, times = np.unique(owners, return_inverse=True, return_counts=True)
    each = {name: np.bincount(at, weights=values) / times for name, values in figures.items()}
    print(f"\nItems held out entirely, ranked among themselves: {rounds} rounds, {len(owners)} rankings", end="")
    print(f" for {len(whom)} people; the mean over a person's rankings, then over people")
    print("| by | NDCG@10 (95 % interval) | over the better popularity |")
    print("| --- | --- | --- |")
    base = max((each[name] for name in names[-3:-1]), key=np.mean)
    for name, values in each.items():
        found = mean_interval(values, rng=np.random.default_rng(42))
        print(f"| {name} | {found.value:.4f} ({found.low:.4f}..{found.high:.4f}) | {ratio(values, base)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k")
    parser.add_argument("--rounds", type=int, default=10, help="how many of the ten rounds to run")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--parts", nargs="+", choices=("items", "people"), default=("items", "people"))
    parser.add_argument("--tune", action="store_true", help="print the validation figures behind dropout instead")
    arguments = parser.parse_args()
    whole = load_interactions(arguments.data, id_type="int")
    if arguments.tune:
        tune(whole, arguments.seed)
        return
    if "items" in arguments.parts:
        items(whole, arguments.data, arguments.rounds, arguments.seed)
    if "people" in arguments.parts:
        people(whole, arguments.rounds, arguments.seed)


if __name__ == "__main__":
    main()
