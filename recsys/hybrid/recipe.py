"""The hybrid that ranks best of all that is here, by one name: members that differ, and a re-ranker over them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_matrix, hstack

from recsys.collaborative.als import AlsConfig, fit_als
from recsys.collaborative.ease import fit_ease
from recsys.collaborative.ease_time import EaseTimeConfig, fit_ease_time
from recsys.collaborative.item_knn import fit_item_knn
from recsys.collaborative.rp3beta import fit_rp3beta
from recsys.collaborative.slim import fit_slim
from recsys.collaborative.user_knn import fit_user_knn
from recsys.content.ease import EaseContentConfig, fit_ease_content
from recsys.data import Csr, Interactions
from recsys.features import Features
from recsys.hybrid.groups import number_groups
from recsys.hybrid.members import Fit
from recsys.hybrid.rerank import RerankConfig, Reranked, fit_rerank
from recsys.model import Recommender
from shared.errors import UsageError

_NUMBER_GROUPS = 10
"""How many groups a column of numbers of items (a year, a price) is cut into."""


def best_members(interactions: Interactions, *, items: Features | None = None) -> dict[str, Fit]:
    """Members that were found to differ enough to help each other, by what is known.

    EASE, factors of three lengths, SLIM, neighbours of items and of people, random walks; with times EASE by time at
    two scales; with features of items EASE with content. Chosen on folds of the training part of MovieLens 100k.

    Args:
        interactions: what they will be fitted on, or the whole that parts are taken of.
        items: categories, tags and numbers of items.

    Raises:
        UsageError: ``items`` holds neither categories nor tags nor numbers.
    """
    found: dict[str, Fit] = {
        "ease": fit_ease,
        "als-24": lambda part: fit_als(part, AlsConfig(factors=24, alpha=8.0)),
        "als-48": lambda part: fit_als(part, AlsConfig(factors=48, alpha=8.0)),
        "als-96": lambda part: fit_als(part, AlsConfig(factors=96)),
        "slim": fit_slim,
        "item-knn": fit_item_knn,
        "user-knn": fit_user_knn,
        "rp3beta": fit_rp3beta,
    }
    if interactions.times is not None:
        found["ease-time-300"] = fit_ease_time
        found["ease-time-3600"] = _ease_hour
    if items is not None:
        ids, rows = items.ids.ids, item_rows(items)

        def with_content(part: Interactions) -> Recommender:
            return fit_ease_content(part, EaseContentConfig(l2=500.0, content=25.0), items=ids, features=rows)

        found["ease-content"] = with_content
    return found


def item_rows(items: Features) -> Csr:
    """Categories, tags and grouped numbers of items as 0 and 1, CSR, shape (items, labels), float32.

    Raises:
        UsageError: there are none.
    """
    blocks = [items.one_hot()[0]]
    for numbers in items.numbers.values():
        groups = number_groups(numbers, _NUMBER_GROUPS)
        known = np.flatnonzero(groups >= 0)
        ones = np.ones(len(known), dtype=np.float32)
        blocks.append(csr_matrix((ones, (known, groups[known])), shape=(len(items), _NUMBER_GROUPS)))
    rows: Csr = hstack(blocks, format="csr", dtype=np.float32)
    if not rows.nnz:
        raise UsageError(f"items must have categories, tags or numbers. Got {items!r}: say more by kinds")
    return rows


def fit_hybrid(
    interactions: Interactions,
    config: RerankConfig | None = None,
    *,
    items: Features | None = None,
    users: Features | None = None,
    members: Mapping[str, Fit] | None = None,
    rng: np.random.Generator | None = None,
) -> Reranked:
    """Fit :func:`best_members` and a re-ranker over them; see :func:`recsys.hybrid.rerank.fit_rerank`.

    It costs ``folds + 1`` fits of some ten models, of which those of the EASE family take 12 bytes and more for each
    pair of items, and answers ten times slower than one of them.

    Args:
        interactions: what happened; with times it learns what is done together.
        config: options; ``None`` takes the defaults.
        items: what is known of items: genres, years, prices.
        users: what is known of people: ages, occupations.
        members: how each member is made, by name; ``None`` takes :func:`best_members`.
        rng: deals interactions into folds; ``None`` always deals alike.

    Raises:
        DataError: there are no interactions, an interaction counts against an item, or features are of other ids.
        MissingDependencyError: implicit is not installed, or LightGBM where it is asked for.
        UsageError: an argument is wrong.
    """
    fits = members if members is not None else best_members(interactions, items=items)
    return fit_rerank(interactions, config, members=fits, users=users, rng=rng)


def _ease_hour(part: Interactions) -> Recommender:
    return fit_ease_time(part, EaseTimeConfig(l2=300.0, seconds=3600.0, time_share=0.6))
