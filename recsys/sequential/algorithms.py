"""The table of sequential algorithms, and those that know no order to compare them with."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.collaborative.algorithms import Algorithm
from recsys.collaborative.item_knn import ItemKnn, ItemKnnConfig, fit_item_knn
from recsys.collaborative.popularity import Popularity, PopularityConfig, fit_popularity
from recsys.data import Interactions
from recsys.sequential.gru4rec import Gru4Rec, Gru4RecConfig, fit_gru4rec
from recsys.sequential.markov import Markov, MarkovConfig, fit_markov
from recsys.sequential.paths import once
from recsys.sequential.sasrec import Sasrec, SasrecConfig, fit_sasrec
from recsys.sequential.session_knn import SessionKnn, SessionKnnConfig, fit_session_knn
from shared.errors import UnknownNameError


def _item_knn(interactions: Interactions, config: Any, *, rng: np.random.Generator | None = None) -> ItemKnn:
    return fit_item_knn(once(interactions), config, rng=rng)


def _popularity(interactions: Interactions, config: Any, *, rng: np.random.Generator | None = None) -> Popularity:
    return fit_popularity(once(interactions), config, rng=rng)


ALGORITHMS = {
    "markov": Algorithm(MarkovConfig, fit_markov, Markov),
    "session_knn": Algorithm(SessionKnnConfig, fit_session_knn, SessionKnn),
    "sasrec": Algorithm(SasrecConfig, fit_sasrec, Sasrec),
    "gru4rec": Algorithm(Gru4RecConfig, fit_gru4rec, Gru4Rec),
    "item_knn": Algorithm(ItemKnnConfig, _item_knn, ItemKnn),
    "popularity": Algorithm(PopularityConfig, _popularity, Popularity),
}
DEFAULT = "markov"
NETWORKS = ("sasrec", "gru4rec")
"""Those that are trained by torch, on a device that can be chosen."""


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises:
        UnknownNameError: nothing is called that.
    """
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
