"""Recommendation: ratings in, frozen models out, asked by the user's own ids.

Names are imported when they are first asked for::

    interactions = recsys.load_interactions("ratings.csv")
    model = recsys.fit_ease(interactions)
    model.recommend(["196"], k=10)
    model.fold_in(["50", "181"])
    model.save("my-model")
    recsys.load("my-model").similar_items(["50"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from recsys.collaborative.ease import EaseConfig, fit_ease
    from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
    from recsys.collaborative.popularity import PopularityConfig, fit_popularity
    from recsys.data import Interactions, from_frame, from_records
    from recsys.features import Features, load_features
    from recsys.model import Recommender
    from recsys.predictor import recommender
    from recsys.reading import load_interactions
    from recsys.sql import from_sql
    from recsys.searching import search
    from recsys.store import load
    from recsys.types import Recommendations, SimilarItems

__all__ = [
    "EaseConfig",
    "Features",
    "Interactions",
    "ItemKnnConfig",
    "PopularityConfig",
    "Recommendations",
    "Recommender",
    "SimilarItems",
    "fit_ease",
    "fit_item_knn",
    "fit_popularity",
    "from_frame",
    "from_records",
    "from_sql",
    "load",
    "load_features",
    "load_interactions",
    "recommender",
    "search",
]
_HOMES = {
    "recsys.collaborative.ease": ("EaseConfig", "fit_ease"),
    "recsys.collaborative.item_knn": ("ItemKnnConfig", "fit_item_knn"),
    "recsys.collaborative.popularity": ("PopularityConfig", "fit_popularity"),
    "recsys.data": ("Interactions", "from_frame", "from_records"),
    "recsys.model": ("Recommender",),
    "recsys.predictor": ("recommender",),
    "recsys.features": ("Features", "load_features"),
    "recsys.reading": ("load_interactions",),
    "recsys.sql": ("from_sql",),
    "recsys.searching": ("search",),
    "recsys.store": ("load",),
    "recsys.types": ("Recommendations", "SimilarItems"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
