"""What each metric that streams adds up, and the figure that is made of the totals: one line a metric."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.evaluation import answers, classification, segmentation
from shared.evaluation.bca import ratio
from shared.evaluation.generation import METRICS as WRITTEN
from shared.evaluation.streaming_figures import (
    Figure,
    accuracy,
    balanced,
    divided,
    explained,
    f1,
    kappa,
    macro,
    matthews,
    mean_column,
    micro,
    precision,
    r2,
    recall,
    weighted,
)
from shared.evaluation.streaming_items import (
    brier_losses,
    cell_figure,
    cells,
    exact,
    item_f1,
    item_jaccard,
    label_ranking,
    log_losses,
    table_f1,
    table_jaccard,
    wrong_cells,
)
from shared.evaluation.streaming_labels import LabelSums
from shared.evaluation.streaming_parts import Moments, Part, RowSums
from shared.lazy import require
from shared.types import AnyArray, Float64

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Streamed:
    """How one metric streams.

    Attributes:
        build: from options to the part that it is made of.
        figure: from options to the figure of that part's totals.
        part: the part's name; metrics of one name share it. Empty: its own.
        options: those that it takes.
        hits: whether it is a share of items, so that Wilson's interval holds where items are alone.
    """

    build: Callable[[Options], Part]
    figure: Callable[[Options], Figure]
    part: str = ""
    options: tuple[str, ...] = ()
    hits: bool = False


def _mean(one: Callable[..., AnyArray], *options: str, hits: bool = False) -> Streamed:
    """The mean over items of what ``one`` gives for each; those without a figure, NaN, are left out."""

    def build(asked: Options) -> Part:
        def rows(*inputs: Any) -> Float64:
            values = np.asarray(one(*inputs, **{name: asked[name] for name in options if name in asked}), np.float64)
            there = ~np.isnan(values)
            return np.stack([np.where(there, values, 0.0), there.astype(np.float64)], axis=1)

        return RowSums(rows)

    return Streamed(build, lambda _: ratio, options=options, hits=hits)


def _sums(rows: Callable[..., Float64], figure: Figure) -> Streamed:
    return Streamed(lambda _: RowSums(rows), lambda _: figure)


# labels, spans and numbers: see streaming_figures --------------------------------------------------------------------


def _labels(figure: Figure, *, hits: bool = False) -> Streamed:
    return Streamed(lambda _: LabelSums(), lambda _: figure, "labels", hits=hits)


def _spans(figure: Figure) -> Streamed:
    return Streamed(lambda asked: LabelSums(match=asked.get("match", "strict")), lambda _: figure, "spans", ("match",))


def _numbers(figure: Figure, *, mape: bool = False, options: tuple[str, ...] = ()) -> Streamed:
    def build(asked: Options) -> Part:
        quantile = asked.get("quantile", 0.5)
        if not 0 < quantile < 1:
            raise UsageError(f"quantile must lie above 0 and below 1. Got {quantile} instead")
        return Moments(mape=mape, quantile=quantile)

    return Streamed(build, lambda _: figure, "numbers with percentages" if mape else "numbers", options)


# bins of confidence ---------------------------------------------------------------------------------------------------


def _bins(figure: Callable[[Float64, Float64], Float64]) -> Streamed:
    """Totals (..., 2 * bins): gaps between confidence and hits, and items, of each bin."""

    def build(asked: Options) -> Part:
        bins = asked.get("bins", 15)

        def rows(right: AnyArray, confidence: AnyArray) -> Float64:
            classification.reliability(right, confidence, bins=bins)  # refuses what is malformed
            sure, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
            at = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], sure, side="left")
            found, items = np.zeros((sure.size, 2 * bins)), np.arange(sure.size)
            found[items, at], found[items, bins + at] = sure - hit, 1
            return found

        return RowSums(rows)

    def made(_: Options) -> Figure:
        return lambda totals: figure(np.abs(totals[..., : totals.shape[-1] // 2]), totals[..., totals.shape[-1] // 2 :])

    return Streamed(build, made, "bins", ("bins",))


def _greatest(gaps: Float64, items: Float64) -> Float64:
    found = divided(gaps, items, -1).max(axis=-1)
    return np.where(found < 0, np.nan, found)


# items of other kinds: see streaming_items ----------------------------------------------------------------------------


def _answered(one: Callable[..., float]) -> Callable[..., Float64]:
    def values(golds: Any, given: Any, **options: Any) -> Float64:
        return np.array([one(answer, own, **options) for own, answer in zip(golds, given)], np.float64)

    return values


def _written(name: str) -> Streamed:
    def metric() -> Any:
        return getattr(require("sacrebleu.metrics", extra="all"), WRITTEN[name])()

    def rows(references: Any, given: Any) -> Float64:
        return np.array(metric()._extract_corpus_statistics(list(given), [list(references)]), np.float64)

    def made(_: Options) -> Figure:
        one = metric()

        def score(totals: Float64) -> float:
            return float(one._compute_score_from_stats(list(totals)).score)

        def figure(totals: Float64) -> Float64:
            flat = totals.reshape(-1, totals.shape[-1])
            scores = [score(row) if row.any() else np.nan for row in flat]
            return np.array(scores).reshape(totals.shape[:-1])

        return figure

    return Streamed(lambda _: RowSums(rows), made)


def _pixels(figure: Callable[[Float64], Float64]) -> Streamed:
    """Inputs are of many images; each of them is an item, whose confusion is its row."""

    def build(asked: Options) -> Part:
        def rows(truth: Any, given: Any) -> Float64:
            options = {"classes": asked["classes"], "ignore": asked.get("ignore")}
            parts = [segmentation.pixel_confusion(np.asarray(t), p, **options) for t, p in zip(truth, given)]
            return np.array(parts, np.float64).reshape(len(parts), -1)

        return RowSums(rows)

    def made(asked: Options) -> Figure:
        n = asked["classes"]
        return lambda totals: figure(totals.reshape(*totals.shape[:-1], n, n + 1))

    return Streamed(build, made, "pixels", ("classes", "ignore"))


def _late(home: str, *options: str) -> Streamed:
    """The mean over users of a function that gives one figure for each."""
    module, name = home.split(":")

    def values(*inputs: Any, **asked: Any) -> AnyArray:
        found: AnyArray = getattr(importlib.import_module(f"shared.evaluation.{module}"), name)(*inputs, **asked)
        return found

    return _mean(values, *options)


STREAMED: Mapping[str, Streamed] = {
    "accuracy": _labels(accuracy, hits=True),
    "balanced_accuracy": _labels(balanced),
    "macro_f1": _labels(macro(f1)),
    "kappa": _labels(kappa),
    "matthews": _labels(matthews),
    "macro_precision": _labels(macro(precision)),
    "macro_recall": _labels(macro(recall)),
    "weighted_precision": _labels(weighted(precision)),
    "weighted_recall": _labels(weighted(recall)),
    "weighted_f1": _labels(weighted(f1)),
    "micro_precision": _labels(micro(precision)),
    "micro_recall": _labels(micro(recall)),
    "label_micro_f1": _labels(micro(f1)),
    "top_k": _mean(classification.hits, "k", hits=True),
    "ece": _bins(lambda gaps, items: divided(gaps.sum(axis=-1), items.sum(axis=-1))),
    "mce": _bins(_greatest),
    "log_loss": _mean(log_losses),
    "brier": _mean(brier_losses),
    "subset_accuracy": _mean(exact, hits=True),
    "hamming": _mean(wrong_cells),
    "micro_f1": _sums(cells, cell_figure(table_f1, micro=True)),
    "labels_f1": _sums(cells, cell_figure(table_f1, micro=False)),
    "samples_f1": _mean(item_f1),
    "micro_jaccard": _sums(cells, cell_figure(table_jaccard, micro=True)),
    "macro_jaccard": _sums(cells, cell_figure(table_jaccard, micro=False)),
    "samples_jaccard": _mean(item_jaccard),
    "label_ranking": _mean(lambda t, s: label_ranking(t, s, loss=False)),
    "label_ranking_loss": _mean(lambda t, s: label_ranking(t, s, loss=True)),
    "rmse": _numbers(lambda totals: np.sqrt(mean_column("squares")(totals))),
    "mse": _numbers(mean_column("squares")),
    "mae": _numbers(mean_column("absolute")),
    "bias": _numbers(lambda totals: -mean_column("difference")(totals)),
    "r2": _numbers(r2),
    "explained_variance": _numbers(explained),
    "mape": _numbers(mean_column("mape"), mape=True),
    "smape": _numbers(mean_column("smape")),
    "pinball": _numbers(mean_column("pinball"), options=("quantile",)),
    "miou": _pixels(segmentation.miou_score),
    "dice": _pixels(segmentation.dice_score),
    "pixel_accuracy": _pixels(segmentation.pixel_accuracy_score),
    "span_precision": _spans(micro(precision)),
    "span_recall": _spans(micro(recall)),
    "span_f1": _spans(micro(f1)),
    "span_macro_f1": _spans(lambda totals: np.nan_to_num(macro(f1)(totals))),
    "bleu": _written("bleu"),
    "chrf": _written("chrf"),
    "ter": _written("ter"),
    "exact_match": _mean(_answered(answers.exact_match_score), "version", hits=True),
    "token_f1": _mean(_answered(answers.token_f1_score), "version"),
    **{
        name: _late(f"ranking:{home}", "k", *more)
        for name, home, *more in (
            ("precision@k", "precision_score"),
            ("recall@k", "recall_score"),
            ("f1@k", "f1_score"),
            ("hit@k", "hit_score"),
            ("mrr@k", "reciprocal_rank_score"),
            ("map@k", "average_precision_score"),
            ("ndcg@k", "ndcg_score"),
            ("rbp@k", "rank_biased_precision_score", "patience"),
            ("graded_ndcg@k", "graded_ndcg_score"),
        )
    },
    "user_auc": _late("ranking:auc_score"),
    "novelty": _late("beyond:novelty_score", "users"),
    "popularity": _late("beyond:popularity_error"),
    "popularity_lift": _late("beyond:popularity_lift"),
    "diversity": _late("beyond:diversity_score"),
    "serendipity": _late("beyond:serendipity_score"),
    "miscalibration": _late("beyond:calibration_error", "alpha"),
}
"""All that add up, by name: those of the table, and a few more of labels and numbers."""
