"""How good a model is on labelled texts: data, predictor and metrics brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.classification.prepare import parse_labels
from nlp.datasets import SEVERAL, read_labelled_texts
from nlp.judged import LabelTable, classification_items, label_table
from nlp.labels import match_labels, parse_label_map
from nlp.mistakes import classification_sections
from nlp.types import TextLabels
from shared.batch.progress import Progress
from shared.errors import UsageError
from shared.evaluation.classification import calibration_error
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval, wilson
from shared.evaluation.ranked import Ranking, ranking
from shared.evaluation.report import Evaluation, Metric
from shared.types import AnyArray, Bool, Failure, Float64

LENGTHS = (1, 9, 17, 33, 65, 129, 257, 513)
"""The words from which on a text counts to the next slice of lengths."""


def evaluate_classification(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    label_map: str | None = None,
    label_separator: str | None = None,
    **options: Any,
) -> Evaluation:
    """Figures of a classifier, each with its interval.

    - ``accuracy``: share of texts whose best label is the true one; of several labels, whose labels all are.
    - ``f1``: mean F1 over the labels that stand in the truth or in the answers; of several labels also ``f1_micro``,
      over all of them at once. Labels that reach the model's threshold, 0.5 where it has none, count as given there.
    - ``roc_auc`` and ``pr_auc``: areas under the ROC and the precision-recall curve of each label against the rest, the
      mean over the labels that some texts have and some have not. Texts that failed are left out.
    - ``calibration_error``: of the best label's score, or of all labels' scores where several may hold; texts that
      failed are left out. See :func:`shared.evaluation.classification.calibration_error`.

    By class: ``precision``, ``recall`` and ``f1`` of each label, ``roc_auc`` and ``pr_auc`` of each that some texts
    have and some have not, and the ``accuracy`` of texts by number of words.

    Args:
        dataset: a file; see :func:`nlp.datasets.read_labelled_texts`.
        model: as :func:`nlp.text_classifier` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many texts.
        seed: of the bootstrap.
        device: as :func:`nlp.text_classifier` takes it.
        threads: as :func:`nlp.text_classifier` takes it.
        text_column: see :func:`nlp.datasets.read_labelled_texts`.
        label_column: see :func:`nlp.datasets.read_labelled_texts`.
        encoding: see :func:`nlp.datasets.read_labelled_texts`.
        label_map: ``"DATA=MODEL,..."``; without it labels are matched as :func:`nlp.labels.match_labels` says.
        label_separator: for models of several labels: what stands between those of one text; ``None`` for ``|``.
        options: further options of :func:`nlp.text_classifier`.

    Raises:
        UsageError: an argument is out of its range.
        DataError: the data set is malformed, or has labels that the model does not know.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    given = parse_label_map(label_map)
    predictor = nlp.text_classifier(model, device=device, threads=threads, **options)
    several = bool(predictor.card.options.get("multi_label") or options.get("multi_label"))
    if label_separator is not None and not several:
        raise UsageError(
            f"label_separator is for models of which several labels may hold. {predictor.card.name!r} answers with one"
        )
    data = read_labelled_texts(
        dataset,
        format=format,
        text_column=text_column,
        label_column=label_column,
        encoding=encoding,
        several=several,
        label_separator=label_separator,
    )
    texts, lines = data.texts[:limit], data.lines[:limit]
    sets = (data.sets or [(label,) for label in data.labels])[:limit]
    found = {name for names in sets for name in names}
    own = list(parse_labels(options["labels"])) if options.get("labels") else predictor.card.options.get("labels")
    known = list(own or sorted(found))
    words, how = match_labels(found, known, given=given, trained=predictor.card.options.get("label_map"))
    results: list[TextLabels | Failure] = []
    with Progress(len(texts), done=0) as progress:
        for result in predictor.stream(texts):
            results.append(result)
            progress.add(1, isinstance(result, Failure))
    true_sets = [sorted({words[name] for name in names}) for names in sets]
    table = label_table(true_sets, results, known)
    figures, by_label = _figures(table, known, seed)
    by_class = by_label | _by_length(texts, table.right)
    notes = {
        "interval": f"percentile bootstrap over texts, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
        "labels": how + ": " + ", ".join(f"{label}={words[label]}" for label in words),
    }
    truth = [SEVERAL.join(names) for names in true_sets]
    sections = classification_sections(texts, truth, results, by_class)
    failed = int(table.failed.sum())
    name = predictor.card.name
    return Evaluation(
        "nlp.classification",
        name,
        str(dataset),
        len(texts),
        failed,
        figures,
        notes,
        by_class,
        sections,
        partial(classification_items, texts, lines, sets, results, known=known, words=words, names=frozenset(figures)),
    )


def _figures(
    table: LabelTable, known: Sequence[str], seed: int
) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    """The figures over all texts, and those of each label; texts are drawn again once for all of them."""
    answered_rows = np.flatnonzero(~table.failed)
    rankings = [ranking(table.truth[answered_rows, at], table.scores[answered_rows, at]) for at in range(len(known))]
    n = len(table.truth)
    rng = np.random.default_rng(seed)
    whole, per_label = _statistics(table, rankings, np.ones(n), answered_rows)
    drawn = [
        _statistics(table, rankings, np.bincount(rng.integers(0, n, n), minlength=n), answered_rows)
        for _ in range(RESAMPLES)
    ]
    figures = {
        name: percentile_interval(value, np.array([figures[name] for figures, _ in drawn]), confidence=CONFIDENCE)
        for name, value in whole.items()
        if not np.isnan(value)
    }
    return figures, _by_label(table, known, per_label, [labels for _, labels in drawn])


def _statistics(
    table: LabelTable, rankings: Sequence[Ranking], counts: AnyArray, answered_rows: AnyArray
) -> tuple[dict[str, float], dict[str, Float64]]:
    """The figures where each text counts so often, and those of each label, NaN where it does not stand."""
    both, either = counts @ (table.truth & table.given), counts @ table.truth + counts @ table.given
    f1 = np.divide(2.0 * both, either, out=np.full(len(both), np.nan), where=either > 0)
    found = {"accuracy": float(counts @ table.right / counts.sum()), "f1": _mean(f1)}
    if table.several:
        found["f1_micro"] = float(2 * both.sum() / either.sum()) if either.sum() else float("nan")
    left = counts[answered_rows]
    roc = np.array([each.roc_auc_score(left) for each in rankings])
    precision = np.array([each.average_precision_score(left) for each in rankings])
    found |= {"roc_auc": _mean(roc), "pr_auc": _mean(precision)}
    drawn = np.repeat(answered_rows, left.astype(np.int64))
    if table.several:
        found["calibration_error"] = calibration_error(table.truth[drawn].ravel(), table.scores[drawn].ravel())
    else:
        found["calibration_error"] = calibration_error(table.right[drawn], table.sure[drawn])
    return found, {"f1": f1, "roc_auc": roc, "pr_auc": precision}


def _mean(values: Float64) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def _by_label(
    table: LabelTable, known: Sequence[str], whole: Mapping[str, Float64], drawn: Sequence[Mapping[str, Float64]]
) -> dict[str, dict[str, Metric]]:
    """Precision and recall with Wilson's interval, the rest with that of the draws, of every label that stands."""
    found = {}
    draws = {name: np.array([figures[name] for figures in drawn]) for name in whole}
    for at, name in enumerate(known):
        true, given = table.truth[:, at], table.given[:, at]
        both = int((true & given).sum())
        there = true[~table.failed]
        named = whole if 0 < there.sum() < len(there) else ["f1"]
        if not (true.any() or given.any()):
            continue
        nothing = Metric(0.0, 0.0, 0.0)
        found[name] = {
            "precision": wilson(both, int(given.sum()), confidence=CONFIDENCE) if given.any() else nothing,
            "recall": wilson(both, int(true.sum()), confidence=CONFIDENCE) if true.any() else nothing,
            **{
                figure: percentile_interval(float(whole[figure][at]), draws[figure][:, at], confidence=CONFIDENCE)
                for figure in named
            },
        }
    return found


def _by_length(texts: Sequence[str], right: Bool) -> dict[str, dict[str, Metric]]:
    """Accuracy of the texts of each slice of :data:`LENGTHS`, with Wilson's interval."""
    words = np.array([len(text.split()) for text in texts])
    bounds = [*LENGTHS, None]
    found: dict[str, dict[str, Metric]] = {}
    for low, after in pairwise(bounds):
        inside = (words >= (low or 0)) & (words < (after or np.inf))
        if inside.any():
            name = f"{low} to {after - 1} words" if after else f"{low} words and more"
            found[name] = {"accuracy": wilson(int(right[inside].sum()), int(inside.sum()), confidence=CONFIDENCE)}
    return found
