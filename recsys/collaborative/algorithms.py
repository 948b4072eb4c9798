"""The table of collaborative algorithms. A new one is a file beside this and a row here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsys.collaborative.als import Als, AlsConfig, fit_als
from recsys.collaborative.bpr import Bpr, BprConfig, fit_bpr
from recsys.collaborative.ease import Ease, EaseConfig, fit_ease
from recsys.collaborative.ease_time import EaseTime, EaseTimeConfig, fit_ease_time
from recsys.collaborative.gf_cf import GfCf, GfCfConfig, fit_gf_cf
from recsys.collaborative.item_knn import ItemKnn, ItemKnnConfig, fit_item_knn
from recsys.collaborative.logistic_mf import LogisticMf, LogisticMfConfig, fit_logistic_mf
from recsys.collaborative.popularity import Popularity, PopularityConfig, fit_popularity
from recsys.collaborative.rp3beta import Rp3Beta, Rp3BetaConfig, fit_rp3beta
from recsys.collaborative.slim import Slim, SlimConfig, fit_slim
from recsys.collaborative.time_knn import TimeKnn, TimeKnnConfig, fit_time_knn
from recsys.collaborative.user_knn import UserKnn, UserKnnConfig, fit_user_knn
from recsys.deep.lightgcn import LightGcn, LightGcnConfig, fit_lightgcn
from recsys.deep.multvae import MultVae, MultVaeConfig, fit_multvae
from recsys.deep.two_tower import TwoTower, TwoTowerConfig, fit_two_tower
from recsys.model import Recommender
from recsys.ratings.baseline import Baseline, BaselineConfig, fit_baseline
from recsys.ratings.blend import RatingBlend, RatingBlendConfig, fit_rating_blend
from recsys.ratings.factors import (
    RatingFactorsConfig,
    Svd,
    Svdpp,
    SvdppConfig,
    fit_svd,
    fit_svdpp,
)
from recsys.ratings.gaussian import Gaussian, GaussianConfig, fit_gaussian
from recsys.ratings.neighbours import KnnBaseline, KnnBaselineConfig, fit_knn_baseline
from recsys.ratings.nmf import Nmf, NmfConfig, fit_nmf
from recsys.ratings.slope_one import SlopeOne, SlopeOneConfig, fit_slope_one
from shared.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Algorithm:
    """One way to fit a recommender.

    Attributes:
        config: its options, a frozen dataclass each of its fields with a ``help`` in its metadata.
        fit: ``fit(interactions, config, rng=...)``.
        model: what the fit returns, and what a saved model is restored as.
    """

    config: Callable[..., Any]
    fit: Callable[..., Recommender]
    model: type[Recommender]

    def configure(self, name: str, given: Mapping[str, Any]) -> Any:
        """The configuration with the options that were given; ``None`` stands for one that was not.

        Raises:
            UsageError: an option of another algorithm was given.
        """
        known = [field.name for field in dataclasses.fields(self.config)]  # type: ignore[arg-type]  # a dataclass
        chosen = {key: value for key, value in given.items() if value is not None}
        wrong = sorted(set(chosen) - set(known))
        if wrong:
            raise UsageError(f"{name} has no option {', '.join(wrong)}. It takes: {', '.join(known)}")
        return self.config(**chosen)


ALGORITHMS = {
    "ease": Algorithm(EaseConfig, fit_ease, Ease),
    "ease_time": Algorithm(EaseTimeConfig, fit_ease_time, EaseTime),
    "gf_cf": Algorithm(GfCfConfig, fit_gf_cf, GfCf),
    "time_knn": Algorithm(TimeKnnConfig, fit_time_knn, TimeKnn),
    "item_knn": Algorithm(ItemKnnConfig, fit_item_knn, ItemKnn),
    "user_knn": Algorithm(UserKnnConfig, fit_user_knn, UserKnn),
    "slim": Algorithm(SlimConfig, fit_slim, Slim),
    "als": Algorithm(AlsConfig, fit_als, Als),
    "bpr": Algorithm(BprConfig, fit_bpr, Bpr),
    "logistic_mf": Algorithm(LogisticMfConfig, fit_logistic_mf, LogisticMf),
    "popularity": Algorithm(PopularityConfig, fit_popularity, Popularity),
    "rp3beta": Algorithm(Rp3BetaConfig, fit_rp3beta, Rp3Beta),
    "lightgcn": Algorithm(LightGcnConfig, fit_lightgcn, LightGcn),
    "multvae": Algorithm(MultVaeConfig, fit_multvae, MultVae),
    "two_tower": Algorithm(TwoTowerConfig, fit_two_tower, TwoTower),
    "baseline": Algorithm(BaselineConfig, fit_baseline, Baseline),
    "gaussian": Algorithm(GaussianConfig, fit_gaussian, Gaussian),
    "knn_baseline": Algorithm(KnnBaselineConfig, fit_knn_baseline, KnnBaseline),
    "nmf": Algorithm(NmfConfig, fit_nmf, Nmf),
    "rating_blend": Algorithm(RatingBlendConfig, fit_rating_blend, RatingBlend),
    "slope_one": Algorithm(SlopeOneConfig, fit_slope_one, SlopeOne),
    "svd": Algorithm(RatingFactorsConfig, fit_svd, Svd),
    "svdpp": Algorithm(SvdppConfig, fit_svdpp, Svdpp),
}
DEFAULT = "ease"


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises:
        UnknownNameError: nothing is called that.
    """
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
