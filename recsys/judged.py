"""What each user, or each rating, says of a recommender's figures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsys.data import Interactions
from recsys.features import Features
from recsys.ids import Vocabulary
from recsys.model import Recommender
from shared.evaluation.items import ItemFigure, Items, Mean, Total
from shared.types import AnyArray, Float64, Id, Int32, Int64

if TYPE_CHECKING:
    from recsys.ratings.evaluate import Predicted
    from recsys.scoring import UserScores
    from recsys.split import Split

MAIN = "ndcg"


def judged_users(
    found: UserScores,
    parts: Split,
    model: Recommender,
    *,
    about: Features | None = None,
) -> Callable[[], Items]:
    """The items of an evaluation of rankings: its users.

    What is known of them is gathered at once, a few numbers a user, so that neither data nor model are kept.

    Args:
        found: the figures of each user.
        parts: what was fitted on and what was asked for; for a saved model the first has no rows.
        model: what was evaluated, whose histories stand for the part that was fitted on where that has no rows.
        about: what is known of users; ``None`` for nothing.
    """
    known = user_attributes(found.users, parts.train if len(parts.train) else _histories(model), parts.test)
    if about is not None:
        known |= feature_attributes(about, found.users)
    scores = {name: values for name, values in found.scores.items() if not np.isnan(values).all()}
    return partial(_user_items, found.users, scores, known)


def _user_items(users: tuple[Id, ...], scores: Mapping[str, Float64], known: Mapping[str, AnyArray]) -> Items:
    main = next((name for name in scores if name.startswith(MAIN)), next(iter(scores), ""))
    return Items(tuple(map(str, users)), {name: Mean(values) for name, values in scores.items()}, main, known)


def user_attributes(users: Sequence[Id], train: Interactions, test: Interactions) -> dict[str, AnyArray]:
    """What is known of people beside how they were served.

    Args:
        users: their ids, n of them.
        train: what was learnt from.
        test: what is asked for.

    Returns:
        By name, each of shape (n,): ``history`` (int64, interactions learnt from), ``asked`` (int64, interactions asked
        for), ``popularity of history`` and ``popularity of what is asked`` (float64, mean number of interactions that
        their items have among those learnt from; NaN without items), ``share of new items`` (float64 in [0, 1], of what
        is asked, items that nobody had before).
    """
    counts = np.bincount(train.items, minlength=len(train.item_ids)).astype(np.float64)
    codes = train.user_ids.encode(users)
    had = np.bincount(train.users, minlength=len(train.user_ids))
    popular = np.bincount(train.users, counts[train.items], minlength=len(train.user_ids))
    history = np.where(codes >= 0, _at(had, codes), 0).astype(np.int64)
    wanted = test.user_ids.encode(users)
    items = train.item_ids.encode(test.item_ids.ids)[test.items]
    reached = np.where(items >= 0, _at(counts, items), 0.0)
    width = len(test.user_ids)
    asked = np.bincount(test.users, minlength=width)[wanted]
    return {
        "history": history,
        "asked": asked.astype(np.int64),
        "popularity of history": _mean(np.where(codes >= 0, _at(popular, codes), 0.0), history),
        "popularity of what is asked": _mean(np.bincount(test.users, reached, minlength=width)[wanted], asked),
        "share of new items": _mean(np.bincount(test.users, reached == 0, minlength=width)[wanted], asked),
    }


def feature_attributes(about: Features, users: Sequence[Id]) -> dict[str, AnyArray]:
    """Numbers and categories of users as attributes; text and tags are left out.

    Args:
        about: what is known of users.
        users: whose features are wanted, n of them.

    Returns:
        By column, each of shape (n,): float32 with NaN, or str with ``"unknown"``, where nothing is known.
    """
    rows = about.ids.encode(users)
    found: dict[str, AnyArray] = {}
    for name, numbers in about.numbers.items():
        found[name] = np.where(rows >= 0, numbers[rows], np.float32(np.nan))
    for name, kinds in about.categories.items():
        labels = np.array([*kinds.labels, "unknown"], np.str_)
        found[name] = labels[np.where(rows >= 0, kinds.codes[rows], -1)]
    return found


def judged_ratings(found: Predicted, parts: Sequence[Split], names: Collection[str]) -> Callable[[], Items]:
    """The items of an evaluation of predicted ratings: the ratings, which are drawn again by user.

    Args:
        found: ratings and predictions.
        parts: the folds that they are of, in that order, which share their vocabularies.
        names: the figures that there are.
    """
    test = parts[0].test
    items = np.concatenate([part.test.items for part in parts])
    rated: list[dict[str, AnyArray]] = [_rated(part) for part in parts]
    known = {name: np.concatenate([one[name] for one in rated]) for name in rated[0]}
    return partial(_rating_items, found, items, test.user_ids, test.item_ids, known=known, names=frozenset(names))


def _rating_items(
    found: Predicted,
    items: Int32,
    user_ids: Vocabulary,
    item_ids: Vocabulary,
    *,
    known: Mapping[str, AnyArray],
    names: Collection[str],
) -> Items:
    users = list(map(str, user_ids.decode(found.users)))
    off, n = found.truth - found.predicted, len(found.truth)
    folds = int(found.folds.max()) + 1
    sizes = np.bincount(found.folds, minlength=folds)
    held = np.eye(folds)[found.folds]
    # The figure is the mean of the folds' own: where sizes differ by a rating, one of the smaller fold counts more.
    weights = n / ((sizes > 0).sum() * sizes[found.folds])
    rows = [held, held * (off**2)[:, None], held * found.truth[:, None], held * (found.truth**2)[:, None]]
    figures: dict[str, ItemFigure] = {
        "rmse": Total(np.concatenate(rows[:2], axis=1), _rmse, higher_is_better=False),
        "mae": Mean(np.abs(off) * weights, higher_is_better=False),
        "r2": Total(np.concatenate(rows, axis=1), _r2),
    }
    return Items(
        tuple(f"{user} {item}" for user, item in zip(users, item_ids.decode(items))),
        {name: figure for name, figure in figures.items() if name in names},
        "mae",
        {**known, "rating": found.truth},
        groups=np.array(users, np.str_),
    )


def _rmse(totals: Float64) -> Float64:
    n, squared = np.split(totals, 2, axis=-1)
    return _over_folds(np.sqrt(np.divide(squared, n, out=np.zeros_like(n), where=n > 0)), n)


def _r2(totals: Float64) -> Float64:
    n, squared, truth, squares = np.split(totals, 4, axis=-1)
    whole = squares - np.divide(truth**2, n, out=np.zeros_like(n), where=n > 0)
    known = whole > 1e-9 * n
    share = 1 - np.divide(squared, whole, out=np.full_like(n, np.nan), where=known)
    return _over_folds(np.where(n > 0, share, 0.0), n)


def _over_folds(figures: Float64, n: Float64) -> Float64:
    mean: Float64 = np.where(n > 0, figures, 0.0).sum(axis=-1) / np.maximum((n > 0).sum(axis=-1), 1)
    return mean


def _rated(part: Split) -> dict[str, AnyArray]:
    """How many ratings of the user and of the item of each test rating were learnt from, int32, shape (n,)."""
    train, test = part.train, part.test
    of_users = np.bincount(train.users, minlength=len(train.user_ids)).astype(np.int32)
    of_items = np.bincount(train.items, minlength=len(train.item_ids)).astype(np.int32)
    users, items = train.user_ids.encode(test.user_ids.ids), train.item_ids.encode(test.item_ids.ids)
    return {
        "ratings of the user": np.where(users >= 0, _at(of_users, users), 0)[test.users],
        "ratings of the item": np.where(items >= 0, _at(of_items, items), 0)[test.items],
    }


def _histories(model: Recommender) -> Interactions:
    held = model.histories
    rows = np.repeat(np.arange(len(model.user_ids), dtype=np.int32), np.diff(held.indptr))
    return Interactions(rows, held.indices.astype(np.int32), held.data, None, model.user_ids, model.item_ids)


def _at(values: AnyArray, codes: Int32 | Int64) -> AnyArray:
    """Values of codes, any one where a code is -1."""
    return values[codes] if len(values) else np.zeros(len(codes))


def _mean(sums: AnyArray, counts: AnyArray) -> Float64:
    mean: Float64 = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return mean
