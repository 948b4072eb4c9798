"""Next items on Amazon's video games: SASRec and GRU4Rec beside Markov chains, neighbours and popularity.

    python bench/sequences.py --data FOLDER                    # which holds Video.txt; training needs the extra torch
    python bench/sequences.py --data FOLDER --models FOLDER    # takes networks that were saved there, else saves them
    python bench/sequences.py --data FOLDER --validation       # the second-last items: what options were chosen by

Protocol: each user's last item is asked for and everything before it is given; the whole catalogue is ranked but for
what the user has had. For the networks the second-last items tell when to stop, and then they are trained anew on those
too, for as many passes; with --validation they are not. Rows of the file are in the order of time. Intervals: 95 %,
bootstrap over users.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.popularity import fit_popularity
from recsys.comparing import compare_users
from recsys.data import Interactions
from recsys.model import Recommender
from recsys.reading import load_interactions
from recsys.scoring import UserScores
from recsys.sequential.gru4rec import Gru4RecConfig, fit_gru4rec
from recsys.sequential.markov import MarkovConfig, fit_markov
from recsys.sequential.neural import Neural, NeuralConfig
from recsys.sequential.sasrec import SasrecConfig, fit_sasrec
from recsys.sequential.scoring import score_next
from recsys.sequential.session_knn import fit_session_knn
from recsys.sequential.task import cut_last
from recsys.store import load
from recsys.threads import limit_threads
from shared.evaluation.intervals import mean_interval

FIGURES = ("ndcg@10", "hit@10", "mrr")


FITS: dict[str, Callable[..., Recommender]] = {
    "popularity": fit_popularity,
    "item-kNN": fit_item_knn,
    "V-SkNN": fit_session_knn,
    "Markov, first order": partial(fit_markov, config=MarkovConfig(window=1, recent=1)),
    "Markov, default": fit_markov,
}
NETWORKS: dict[str, tuple[Callable[..., Recommender], NeuralConfig]] = {
    "GRU4Rec": (fit_gru4rec, Gru4RecConfig()),
    "SASRec": (fit_sasrec, SasrecConfig()),
}
PAIRS = (
    ("SASRec", "GRU4Rec"),
    ("SASRec", "item-kNN"),
    ("GRU4Rec", "item-kNN"),
    ("SASRec", "Markov, default"),
    ("GRU4Rec", "Markov, default"),
)


def obtain(name: str, train: Interactions, folder: Path | None, seed: int, *, early: bool) -> tuple[Recommender, str]:
    """A model, and how long its fit took or where it came from; ``early`` takes a network as it was validated."""
    saved = None if folder is None else folder / f"{name.lower()}{'-early' if early else ''}"
    if name in NETWORKS and saved is not None and (saved / "card.toml").is_file():
        return load(saved), "saved"
    start = time.process_time()
    if name in NETWORKS:
        fit, config = NETWORKS[name]
        fitted = fit(train, dataclasses.replace(config, refit=not early), rng=np.random.default_rng(seed), device="cpu")
    else:
        fitted = FITS[name](train, rng=np.random.default_rng(seed))
    took = f"{time.process_time() - start:.1f} s"
    if name in NETWORKS and saved is not None:
        fitted.save(saved, licence="LicenseRef-own-data")
    return fitted, took


def before_last(model: Recommender) -> Recommender:
    """A network asked as if the newest item of each path had not come yet; it was not trained on those."""
    if not isinstance(model, Neural):
        return model
    paths = model.paths.without_newest(1)
    return dataclasses.replace(model, paths=paths, histories=paths.matrix(len(model.item_ids)))


def show(name: str, fit: str, scores: UserScores, seconds: float) -> None:
    cells = []
    for figure in FIGURES:
        found = mean_interval(scores.scores[figure], rng=np.random.default_rng(0))
        cells.append(f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})")
    print(f"| {name} | {' | '.join(cells)} | {fit} | {len(scores.users) / seconds:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds Video.txt, however deep")
    parser.add_argument("--models", type=Path, help="where networks are saved, and read from when they are there")
    parser.add_argument("--validation", action="store_true", help="ask for the second-last items, to choose options by")
    parser.add_argument("--only", nargs="*", help="some of the rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    path = next(iter(sorted(options.data.rglob("Video.txt"))), None)
    if path is None:
        parser.error(f"--data must be a folder that holds Video.txt. {options.data} does not")
    whole = load_interactions(path)
    parts = cut_last(whole)
    asked = cut_last(parts.train) if options.validation else parts
    print(f"{whole}; asked for {len(asked.test)} {'second-last' if options.validation else 'last'} items\n")
    print("| model | NDCG@10 | hit@10 | MRR | fit, processor time | users a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    scores: dict[str, UserScores] = {}
    with limit_threads(options.threads):
        for name in options.only or [*FITS, *NETWORKS]:
            # a network that is asked for what validated it is given those items, to leave them out itself
            train = parts.train if name in NETWORKS else asked.train
            model, fit = obtain(name, train, options.models, options.seed, early=options.validation)
            start = time.process_time()
            scores[name] = score_next(before_last(model) if options.validation else model, asked.test)
            show(name, fit, scores[name], time.process_time() - start)
    print("\npaired differences of NDCG@10, user by user, with the p-value of a randomisation test")
    for first, second in PAIRS:
        if first in scores and second in scores:
            found = compare_users(scores[first], scores[second], rng=np.random.default_rng(0))["ndcg@10"]
            gap = found.difference
            print(f"{first} - {second}: {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), p {found.p_value:.2g}")


if __name__ == "__main__":
    main()
