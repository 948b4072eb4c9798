"""Predicted ratings on MovieLens 100k, beside Surprise's published table and Surprise itself on the same folds.

    python bench/ratings.py --data FOLDER                     # FOLDER holds u.data
    python bench/ratings.py --data FOLDER --skip blend svdpp  # without what takes minutes
    python bench/ratings.py --data FOLDER --no-peer           # ours alone
    python bench/ratings.py --data FOLDER --seeds 1 2         # folds of other seeds
    python bench/ratings.py --data FOLDER --new-people 10     # people held out whole, ten ratings of each folded in
    python bench/ratings.py --data FOLDER --keep OTHER        # keeps predictions by fold, and goes on from them

Protocol: that of Surprise's own benchmark, ``KFold(5, random_state=0)``; the figure is the mean over the folds, and a
prediction is clipped to the scale. The first factors of SVD, SVD++ and NMF are drawn anew in each fold, as there: with
one draw for all folds, the mean of SVD moves by 0.001 from draw to draw. Intervals are bootstraps over users. "With
times" means that a model is told when the test rating was given, as it would know when it is asked; other ratings of
that session may be in training. The weights of the blend are learned inside each training part; no test part is looked
at to choose anything.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data import Interactions
from recsys.ratings.baseline import fit_baseline
from recsys.ratings.blend import RatingBlend, fit_rating_blend
from recsys.ratings.evaluate import Predicted, compare_errors, predict_parts, rating_scores
from recsys.ratings.factors import fit_svd, fit_svdpp
from recsys.ratings.gaussian import fit_gaussian
from recsys.ratings.model import RatingModel
from recsys.ratings.neighbours import KnnBaselineConfig, fit_knn_baseline
from recsys.ratings.nmf import fit_nmf
from recsys.ratings.slope_one import fit_slope_one
from recsys.reading import load_interactions
from recsys.split import Split
from shared.lazy import require

PUBLISHED = {  # RMSE, MAE
    "baseline": (0.944, 0.748),
    "slope_one": (0.946, 0.743),
    "nmf": (0.963, 0.758),
    "knn_baseline": (0.931, 0.733),
    "svd": (0.934, 0.737),
    "svdpp": (0.919, 0.721),
}
ELSEWHERE = {  # rows of that table which have no adapter here
    "co-clustering": (0.963, 0.753),
    "k-NN": (0.98, 0.774),
    "centered k-NN": (0.951, 0.749),
    "random": (1.518, 1.219),
}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("BaselineOnly", {"verbose": False}),
    "slope_one": ("SlopeOne", {}),
    "nmf": ("NMF", {}),
    "knn_baseline": ("KNNBaseline", {"verbose": False}),
    "svd": ("SVD", {}),
    "svdpp": ("SVDpp", {"cache_ratings": True}),
}
SAME = ("baseline", "slope_one", "knn_baseline")
"""Nothing is drawn at random in these, so that every single prediction can be compared."""
FITS: dict[str, Callable[..., RatingModel]] = {
    "baseline": fit_baseline,
    "slope_one": fit_slope_one,
    "nmf": fit_nmf,
    "knn_baseline": functools.partial(fit_knn_baseline, config=KnnBaselineConfig(near="user", similarity="msd")),
    "knn_baseline, items by Pearson": fit_knn_baseline,
    "svd": fit_svd,
    "svdpp": fit_svdpp,
    "gaussian": fit_gaussian,
    "blend": fit_rating_blend,
}


def surprise_folds(whole: Interactions, seed: int, count: int = 5) -> list[Split]:
    """The folds of Surprise's ``KFold(count, random_state=seed)``, for a file that is read in its order."""
    order = np.arange(len(whole))
    np.random.RandomState(seed).shuffle(order)
    parts = []
    for held in np.array_split(order, count):
        test = np.zeros(len(whole), dtype=np.bool_)
        test[held] = True
        parts.append(Split(whole.take(~test), whole.take(test)))
    return parts


def peer(name: str, part: Split, draw: int) -> tuple[np.ndarray, float, float]:
    """Surprise's predictions, its seconds of fitting, and those of its loop of ``predict``."""
    surprise = require("surprise", extra="recsys")
    kind, options = THEIRS[name]
    scale = float(part.train.values.min()), float(part.train.values.max())
    data = surprise.Dataset(surprise.Reader(rating_scale=scale))
    trainset = data.construct_trainset(list(triples(part.train, with_time=True)))
    held = list(triples(part.test))
    start = time.perf_counter()
    drawn = {} if name in SAME else {"random_state": draw}
    algorithm = getattr(surprise, kind)(**options, **drawn).fit(trainset)
    fitted = time.perf_counter()
    found = np.array([one.est for one in algorithm.test(held)])
    return found, fitted - start, time.perf_counter() - fitted


def triples(part: Interactions, *, with_time: bool = False) -> Any:
    users, items = part.user_ids.decode(part.users), part.item_ids.decode(part.items)
    columns = [users, items, part.values.tolist()]
    return zip(*columns, [None] * len(users)) if with_time else zip(*columns)


class Row:
    """What one system did on the folds so far."""

    def __init__(self) -> None:
        self.parts: list[Predicted] = []
        self.fit = 0.0

    def add(self, part: Split, predicted: np.ndarray, fit: float, predict: float) -> None:
        at = np.full(len(part.test), len(self.parts))
        truth = part.test.values.astype(np.float64)
        self.parts.append(Predicted(part.test.users, at, truth, predicted, 0, 0, predict))
        self.fit += fit

    @property
    def whole(self) -> Predicted:
        columns = [
            np.concatenate([getattr(one, key) for one in self.parts])
            for key in ("users", "folds", "truth", "predicted")
        ]
        return Predicted(*columns, 0, 0, sum(one.seconds for one in self.parts))


Answers = dict[str, tuple[np.ndarray, float, float]]
"""By row of the table: predictions, seconds of the fit, seconds of predicting."""


def run(whole: Interactions, seed: int, options: argparse.Namespace) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for number, part in enumerate(surprise_folds(whole, seed)):
        if options.folds and number not in options.folds:
            continue
        for name in chosen_of(options):
            make = functools.partial(ask, name, part, number, not options.no_peer)
            answers = recall(options.keep, f"{seed}-{number}-{name}.npz", make)
            for label, (predicted, fit, predict) in answers.items():
                rows.setdefault(label, Row()).add(part, predicted, fit, predict)
            print(f"# seed {seed}, fold {number}: {name} fitted in {next(iter(answers.values()))[1]:.1f} s", flush=True)
    return rows


def ask(name: str, part: Split, draw: int, with_peer: bool) -> Answers:
    start = time.perf_counter()
    model = FITS[name](part.train, rng=np.random.default_rng(draw if name in THEIRS else 0))
    fit = time.perf_counter() - start
    answers: Answers = {}
    for label, one, timed in views(name, model):
        found = predict_parts([one], [part], with_times=timed)
        answers[label] = found.predicted, fit, found.seconds
    if with_peer and name in THEIRS:
        answers[f"Surprise's {name}"] = peer(name, part, draw)
    return answers


def recall(folder: Path | None, name: str, make: Callable[[], Answers]) -> Answers:
    """What was kept, or made now and kept."""
    if folder is None:
        return make()
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = make()
        np.savez(path, **{label: np.append(found, seconds) for label, (found, *seconds) in made.items()})
    with np.load(path) as kept:
        return {label: (kept[label][:-2], float(kept[label][-2]), float(kept[label][-1])) for label in kept.files}


def chosen_of(options: argparse.Namespace) -> list[str]:
    chosen = [name for name in FITS if name not in options.skip]
    if "blend" in chosen and "gaussian" in chosen:
        chosen.remove("gaussian")  # it stands in the blend
    return chosen


def views(name: str, model: RatingModel) -> list[tuple[str, RatingModel, bool]]:
    """A model as rows of the table: told the times or not, and what stands inside a blend."""
    if not isinstance(model, RatingBlend):
        timed = [(f"{name}, with times", model, True)] if name == "gaussian" else []
        return [(name, model, False), *timed]
    print("# weights:", dict(zip(model.config.names, model.shares.T.round(2).tolist())))
    inside = dict(zip(model.config.names, model.models))
    return [
        ("svd, 60 passes (in the blend)", inside["svd"], False),
        ("gaussian (in the blend)", inside["gaussian"], False),
        ("gaussian, with times (in the blend)", inside["gaussian"], True),
        ("rating_blend", model, False),
        ("rating_blend, with times", model, True),
    ]


def table(rows: dict[str, Row], seed: int) -> None:
    print(f"\n| model, folds of seed {seed} | RMSE (95 %) | MAE (95 %) | R2 | published RMSE, MAE | fit, s | pairs/s |")
    print("| --- " * 7 + "|")
    for name, row in rows.items():
        found = row.whole
        figures = rating_scores(found, rng=np.random.default_rng(seed))
        told = [f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for one in (figures["rmse"], figures["mae"])]
        said = "{:.3f}, {:.3f}".format(*PUBLISHED[name]) if name in PUBLISHED else ""
        speed = len(found.truth) / found.seconds
        cells = [name, *told, f"{figures['r2'].value:.3f}", said, f"{row.fit / len(row.parts):.1f}", f"{speed:,.0f}"]
        print(f"| {' | '.join(cells)} |")
    for name, (rmse, mae) in ELSEWHERE.items():
        print(f"| {name} (published) | | | | {rmse:.3f}, {mae:.3f} | | |")
    for name in THEIRS:
        if f"Surprise's {name}" in rows:
            beside(name, rows[name], rows[f"Surprise's {name}"], seed)
    best = min(rows, key=lambda name: rating_scores(rows[name].whole, rng=np.random.default_rng(seed))["rmse"].value)
    if "svdpp" in rows and best != "svdpp":
        less = compare_errors(rows[best].whole, rows["svdpp"].whole, rng=np.random.default_rng(seed))["rmse"]
        print(f"{best} minus svdpp: RMSE {less.value:+.4f} ({less.low:+.4f} to {less.high:+.4f})")


def beside(name: str, ours: Row, theirs: Row, seed: int) -> None:
    one, other = ours.whole, theirs.whole
    less = compare_errors(one, other, rng=np.random.default_rng(seed))["rmse"]
    ratio = float(np.median([b.seconds / a.seconds for a, b in zip(ours.parts, theirs.parts)]))
    line = f"{name}: RMSE ours minus Surprise's {less.value:+.4f} ({less.low:+.4f} to {less.high:+.4f})"
    if name in SAME:
        line += f", greatest difference of a prediction {np.abs(one.predicted - other.predicted).max():.1e}"
    print(f"{line}; predicting takes Surprise {ratio:.0f} times as long, fitting {theirs.fit / ours.fit:.1f} times")


def new_people(whole: Interactions, given: int, seed: int, skip: list[str]) -> None:
    """RMSE of the other ratings of a fifth of the people, none of whom was in training, from ``given`` of each."""
    rng = np.random.default_rng(seed)
    out = np.isin(whole.users, rng.permutation(len(whole.user_ids))[: len(whole.user_ids) // 5])
    order = np.flatnonzero(out)[rng.permutation(int(out.sum()))]
    by_person = [order[whole.users[order] == user] for user in np.unique(whole.users[out])]
    asked = [(rows[:given], rows[given:]) for rows in by_person if len(rows) > given]
    items, values = whole.item_ids.decode(whole.items), whole.values.tolist()
    histories = [{items[row]: values[row] for row in known} for known, _ in asked]
    print(f"| {len(asked)} people who were not in training, {given} ratings of each given, seed {seed} | RMSE (95 %) |")
    print("| --- | --- |")
    for name in [name for name in FITS if name not in skip]:
        model = FITS[name](whole.take(~out))
        systems = {name: histories}
        if name == "baseline":
            systems = {"nothing folded in": [{} for _ in asked], **systems}
        for label, folded in systems.items():
            pairs = zip(folded, asked)
            found = [model.predict_folded(history, [items[row] for row in rest]) for history, (_, rest) in pairs]
            print(f"| {label} | {told(whole, asked, np.concatenate(found), seed)} |", flush=True)


def told(whole: Interactions, asked: list[tuple[np.ndarray, np.ndarray]], predicted: np.ndarray, seed: int) -> str:
    rest = np.concatenate([rows for _, rows in asked])
    truth = whole.values[rest].astype(np.float64)
    found = Predicted(whole.users[rest], np.zeros(len(rest), np.int64), truth, predicted.astype(np.float64), 0, 0, 0.0)
    rmse = rating_scores(found, rng=np.random.default_rng(seed))["rmse"]
    return f"{rmse.value:.4f} ({rmse.low:.4f} to {rmse.high:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of MovieLens 100k, or its u.data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the folds")
    parser.add_argument("--skip", nargs="+", default=[], choices=list(FITS), help="what is left out")
    parser.add_argument("--no-peer", action="store_true", help="do not run Surprise beside")
    parser.add_argument("--folds", type=int, nargs="+", help="only these of the five, from 0")
    parser.add_argument("--new-people", type=int, help="hold people out, and fold so many ratings of each in")
    parser.add_argument(
        "--keep", type=Path, help="a folder for each fold's predictions; what stands there is not redone"
    )
    arguments = parser.parse_args()
    whole = load_interactions(arguments.data)
    for seed in arguments.seeds:
        if arguments.new_people:
            new_people(whole, arguments.new_people, seed, arguments.skip)
            continue
        table(run(whole, seed, arguments), seed)


if __name__ == "__main__":
    main()
