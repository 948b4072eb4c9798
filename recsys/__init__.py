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
    from recsys.collaborative.als import AlsConfig, fit_als
    from recsys.collaborative.bpr import BprConfig, fit_bpr
    from recsys.collaborative.ease import EaseConfig, fit_ease
    from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
    from recsys.collaborative.logistic_mf import LogisticMfConfig, fit_logistic_mf
    from recsys.collaborative.popularity import PopularityConfig, fit_popularity
    from recsys.collaborative.slim import SlimConfig, fit_slim
    from recsys.collaborative.user_knn import UserKnnConfig, fit_user_knn
    from recsys.data import Interactions, from_frame, from_records
    from recsys.features import Features, load_features
    from recsys.model import Recommender
    from recsys.predictor import recommender
    from recsys.reading import load_interactions
    from recsys.sql import from_sql
    from recsys.searching import search
    from recsys.explanations import Explanation, explain, explain_history
    from recsys.serving.ann import ApproximateRecommender, approximate
    from recsys.serving.bulk import recommend_all
    from recsys.store import load
    from recsys.types import Recommendations, SimilarItems

__all__ = [
    "AlsConfig",
    "ApproximateRecommender",
    "BprConfig",
    "EaseConfig",
    "Features",
    "Explanation",
    "Interactions",
    "ItemKnnConfig",
    "LogisticMfConfig",
    "PopularityConfig",
    "Recommendations",
    "Recommender",
    "SimilarItems",
    "SlimConfig",
    "UserKnnConfig",
    "approximate",
    "explain",
    "explain_history",
    "fit_als",
    "fit_bpr",
    "fit_ease",
    "fit_item_knn",
    "fit_logistic_mf",
    "fit_popularity",
    "fit_slim",
    "fit_user_knn",
    "from_frame",
    "from_records",
    "from_sql",
    "load",
    "load_features",
    "load_interactions",
    "recommend_all",
    "recommender",
    "search",
]
_HOMES = {
    "recsys.serving.bulk": ("recommend_all",),
    "recsys.serving.ann": ("ApproximateRecommender", "approximate"),
    "recsys.explanations": ("Explanation", "explain", "explain_history"),
    "recsys.collaborative.user_knn": ("UserKnnConfig", "fit_user_knn"),
    "recsys.collaborative.slim": ("SlimConfig", "fit_slim"),
    "recsys.collaborative.logistic_mf": ("LogisticMfConfig", "fit_logistic_mf"),
    "recsys.collaborative.bpr": ("BprConfig", "fit_bpr"),
    "recsys.collaborative.als": ("AlsConfig", "fit_als"),
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
