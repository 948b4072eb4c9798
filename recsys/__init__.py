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
    from recsys.collaborative.rp3beta import Rp3BetaConfig, fit_rp3beta
    from recsys.content.ease import EaseContentConfig, fit_ease_content
    from recsys.content.embeddings import fit_embeddings
    from recsys.content.model import ContentConfig, fit_vectors
    from recsys.content.tfidf import TfidfConfig, fit_content
    from recsys.data import Interactions, from_frame, from_records
    from recsys.hybrid.blend import BlendConfig, fit_blend, fuse
    from recsys.hybrid.everyone import everyone
    from recsys.hybrid.rerank import RerankConfig, fit_rerank
    from recsys.model import Recommender
    from recsys.predictor import recommender
    from recsys.reading import load_interactions
    from recsys.reranking import apply_rules, boost_novelty, diversify, prefer_fresh
    from recsys.store import load
    from recsys.types import Recommendations, SimilarItems

__all__ = [
    "BlendConfig",
    "ContentConfig",
    "EaseConfig",
    "EaseContentConfig",
    "Interactions",
    "ItemKnnConfig",
    "PopularityConfig",
    "Recommendations",
    "Recommender",
    "RerankConfig",
    "Rp3BetaConfig",
    "SimilarItems",
    "TfidfConfig",
    "apply_rules",
    "boost_novelty",
    "diversify",
    "everyone",
    "fit_blend",
    "fit_content",
    "fit_ease",
    "fit_ease_content",
    "fit_embeddings",
    "fit_item_knn",
    "fit_popularity",
    "fit_rerank",
    "fit_rp3beta",
    "fit_vectors",
    "from_frame",
    "from_records",
    "fuse",
    "load",
    "load_interactions",
    "prefer_fresh",
    "recommender",
]
_HOMES = {
    "recsys.collaborative.ease": ("EaseConfig", "fit_ease"),
    "recsys.collaborative.item_knn": ("ItemKnnConfig", "fit_item_knn"),
    "recsys.collaborative.popularity": ("PopularityConfig", "fit_popularity"),
    "recsys.collaborative.rp3beta": ("Rp3BetaConfig", "fit_rp3beta"),
    "recsys.content.ease": ("EaseContentConfig", "fit_ease_content"),
    "recsys.content.embeddings": ("fit_embeddings",),
    "recsys.content.model": ("ContentConfig", "fit_vectors"),
    "recsys.content.tfidf": ("TfidfConfig", "fit_content"),
    "recsys.data": ("Interactions", "from_frame", "from_records"),
    "recsys.hybrid.blend": ("BlendConfig", "fit_blend", "fuse"),
    "recsys.hybrid.everyone": ("everyone",),
    "recsys.hybrid.rerank": ("RerankConfig", "fit_rerank"),
    "recsys.model": ("Recommender",),
    "recsys.predictor": ("recommender",),
    "recsys.reading": ("load_interactions",),
    "recsys.reranking": ("apply_rules", "boost_novelty", "diversify", "prefer_fresh"),
    "recsys.store": ("load",),
    "recsys.types": ("Recommendations", "SimilarItems"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
