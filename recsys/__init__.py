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
    from recsys.collaborative.ease_time import EaseTimeConfig, fit_ease_time
    from recsys.collaborative.gf_cf import GfCfConfig, fit_gf_cf
    from recsys.collaborative.item_knn import ItemKnnConfig, fit_item_knn
    from recsys.collaborative.logistic_mf import LogisticMfConfig, fit_logistic_mf
    from recsys.collaborative.popularity import PopularityConfig, fit_popularity
    from recsys.collaborative.rp3beta import Rp3BetaConfig, fit_rp3beta
    from recsys.collaborative.slim import SlimConfig, fit_slim
    from recsys.collaborative.time_knn import TimeKnnConfig, fit_time_knn
    from recsys.collaborative.user_knn import UserKnnConfig, fit_user_knn
    from recsys.content.ease import EaseContentConfig, fit_ease_content
    from recsys.content.embeddings import fit_embeddings
    from recsys.content.model import ContentConfig, fit_vectors
    from recsys.content.tfidf import TfidfConfig, fit_content
    from recsys.data import Interactions, from_frame, from_records
    from recsys.deep.lightgcn import LightGcnConfig, fit_lightgcn
    from recsys.deep.multvae import MultVaeConfig, fit_multvae
    from recsys.deep.two_tower import TwoTowerConfig, fit_two_tower
    from recsys.explanations import Explanation, explain, explain_history
    from recsys.features import Features, load_features
    from recsys.hybrid.blend import BlendConfig, fit_blend, fuse
    from recsys.hybrid.everyone import everyone
    from recsys.hybrid.recipe import fit_hybrid
    from recsys.hybrid.rerank import RerankConfig, fit_rerank
    from recsys.model import Recommender
    from recsys.predictor import recommender
    from recsys.ratings.baseline import BaselineConfig, fit_baseline
    from recsys.ratings.blend import RatingBlendConfig, fit_rating_blend
    from recsys.ratings.factors import RatingFactorsConfig, SvdppConfig, fit_svd, fit_svdpp
    from recsys.ratings.gaussian import GaussianConfig, fit_gaussian
    from recsys.ratings.model import RatingModel
    from recsys.ratings.neighbours import KnnBaselineConfig, fit_knn_baseline
    from recsys.ratings.nmf import NmfConfig, fit_nmf
    from recsys.ratings.slope_one import SlopeOneConfig, fit_slope_one
    from recsys.reading import load_interactions
    from recsys.reranking import apply_rules, boost_novelty, diversify, prefer_fresh
    from recsys.searching import search
    from recsys.sequential.gru4rec import Gru4RecConfig, fit_gru4rec
    from recsys.sequential.markov import MarkovConfig, fit_markov
    from recsys.sequential.sasrec import SasrecConfig, fit_sasrec
    from recsys.sequential.session_knn import SessionKnnConfig, fit_session_knn
    from recsys.serving.ann import ApproximateRecommender, approximate
    from recsys.serving.bulk import recommend_all
    from recsys.sql import from_sql
    from recsys.store import load
    from recsys.types import Recommendations, SimilarItems

__all__ = [
    "AlsConfig",
    "ApproximateRecommender",
    "BaselineConfig",
    "BlendConfig",
    "BprConfig",
    "ContentConfig",
    "EaseConfig",
    "EaseContentConfig",
    "EaseTimeConfig",
    "Explanation",
    "Features",
    "GaussianConfig",
    "GfCfConfig",
    "Gru4RecConfig",
    "Interactions",
    "ItemKnnConfig",
    "KnnBaselineConfig",
    "LightGcnConfig",
    "LogisticMfConfig",
    "MarkovConfig",
    "MultVaeConfig",
    "NmfConfig",
    "PopularityConfig",
    "RatingBlendConfig",
    "RatingFactorsConfig",
    "RatingModel",
    "Recommendations",
    "Recommender",
    "RerankConfig",
    "Rp3BetaConfig",
    "SasrecConfig",
    "SessionKnnConfig",
    "SimilarItems",
    "SlimConfig",
    "SlopeOneConfig",
    "SvdppConfig",
    "TfidfConfig",
    "TimeKnnConfig",
    "TwoTowerConfig",
    "UserKnnConfig",
    "apply_rules",
    "approximate",
    "boost_novelty",
    "diversify",
    "everyone",
    "explain",
    "explain_history",
    "fit_als",
    "fit_baseline",
    "fit_blend",
    "fit_bpr",
    "fit_content",
    "fit_ease",
    "fit_ease_content",
    "fit_ease_time",
    "fit_embeddings",
    "fit_gaussian",
    "fit_gf_cf",
    "fit_gru4rec",
    "fit_hybrid",
    "fit_item_knn",
    "fit_knn_baseline",
    "fit_lightgcn",
    "fit_logistic_mf",
    "fit_markov",
    "fit_multvae",
    "fit_nmf",
    "fit_popularity",
    "fit_rating_blend",
    "fit_rerank",
    "fit_rp3beta",
    "fit_sasrec",
    "fit_session_knn",
    "fit_slim",
    "fit_slope_one",
    "fit_svd",
    "fit_svdpp",
    "fit_time_knn",
    "fit_two_tower",
    "fit_user_knn",
    "fit_vectors",
    "from_frame",
    "from_records",
    "from_sql",
    "fuse",
    "load",
    "load_features",
    "load_interactions",
    "prefer_fresh",
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
    "recsys.collaborative.ease_time": ("EaseTimeConfig", "fit_ease_time"),
    "recsys.collaborative.gf_cf": ("GfCfConfig", "fit_gf_cf"),
    "recsys.collaborative.time_knn": ("TimeKnnConfig", "fit_time_knn"),
    "recsys.collaborative.item_knn": ("ItemKnnConfig", "fit_item_knn"),
    "recsys.collaborative.popularity": ("PopularityConfig", "fit_popularity"),
    "recsys.collaborative.rp3beta": ("Rp3BetaConfig", "fit_rp3beta"),
    "recsys.content.ease": ("EaseContentConfig", "fit_ease_content"),
    "recsys.content.embeddings": ("fit_embeddings",),
    "recsys.content.model": ("ContentConfig", "fit_vectors"),
    "recsys.content.tfidf": ("TfidfConfig", "fit_content"),
    "recsys.data": ("Interactions", "from_frame", "from_records"),
    "recsys.deep.lightgcn": ("LightGcnConfig", "fit_lightgcn"),
    "recsys.deep.multvae": ("MultVaeConfig", "fit_multvae"),
    "recsys.deep.two_tower": ("TwoTowerConfig", "fit_two_tower"),
    "recsys.hybrid.blend": ("BlendConfig", "fit_blend", "fuse"),
    "recsys.hybrid.everyone": ("everyone",),
    "recsys.hybrid.recipe": ("fit_hybrid",),
    "recsys.hybrid.rerank": ("RerankConfig", "fit_rerank"),
    "recsys.model": ("Recommender",),
    "recsys.predictor": ("recommender",),
    "recsys.features": ("Features", "load_features"),
    "recsys.ratings.baseline": ("BaselineConfig", "fit_baseline"),
    "recsys.ratings.blend": ("RatingBlendConfig", "fit_rating_blend"),
    "recsys.ratings.factors": ("RatingFactorsConfig", "SvdppConfig", "fit_svd", "fit_svdpp"),
    "recsys.ratings.gaussian": ("GaussianConfig", "fit_gaussian"),
    "recsys.ratings.model": ("RatingModel",),
    "recsys.ratings.neighbours": ("KnnBaselineConfig", "fit_knn_baseline"),
    "recsys.ratings.nmf": ("NmfConfig", "fit_nmf"),
    "recsys.ratings.slope_one": ("SlopeOneConfig", "fit_slope_one"),
    "recsys.reading": ("load_interactions",),
    "recsys.sql": ("from_sql",),
    "recsys.searching": ("search",),
    "recsys.sequential.gru4rec": ("Gru4RecConfig", "fit_gru4rec"),
    "recsys.sequential.markov": ("MarkovConfig", "fit_markov"),
    "recsys.sequential.sasrec": ("SasrecConfig", "fit_sasrec"),
    "recsys.sequential.session_knn": ("SessionKnnConfig", "fit_session_knn"),
    "recsys.reranking": ("apply_rules", "boost_novelty", "diversify", "prefer_fresh"),
    "recsys.store": ("load",),
    "recsys.types": ("Recommendations", "SimilarItems"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
