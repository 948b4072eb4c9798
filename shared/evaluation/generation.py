"""Figures of written text against references: BLEU, chrF and TER, as sacrebleu computes them, with its signatures.

BLEU: K. Papineni et al., ACL 2002; chrF: M. Popović, WMT 2015; TER: M. Snover et al., AMTA 2006; one way to compute
them: M. Post, "A call for clarity in reporting BLEU scores", WMT 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.bca import Figure
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.types import Float64

METRICS = {"bleu": "BLEU", "chrf": "CHRF", "ter": "TER"}
"""Figures by name, and what sacrebleu calls them. ``ter`` is an error: lower is better. All are on the scale 0..100,
``ter`` perhaps above."""
_BLOCK = 100


def bleu_score(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of a corpus with sacrebleu's ``13a`` tokens and exponential smoothing, 0..100; NaN without sentences.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> round(bleu_score(["the cat sat on the mat"], ["the cat sat on a mat"]), 1)
        53.7
    """
    return _score("bleu", hypotheses, references)


def chrf_score(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF2 of a corpus, 0..100; NaN without sentences.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> chrf_score(["a cat"], ["a cat"])
        100.0
    """
    return _score("chrf", hypotheses, references)


def ter_error(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Edits that are needed for a hundred words of the references, at least 0; NaN without sentences.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> ter_error(["a b c d"], ["a b c x"])
        25.0
    """
    return _score("ter", hypotheses, references)


def signature(name: str) -> str:
    """What sacrebleu needs to know to compute a figure of :data:`METRICS` again.

    Raises:
        UnknownNameError: no figure is called that.

    Example:
        >>> signature("bleu").split("|version")[0]
        'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp'
    """
    metric = _metric(name)
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def corpus_figures(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    names: Sequence[str] = tuple(METRICS),
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, Metric]:
    """Figures of a corpus with percentile bootstrap intervals over sentences.

    Args:
        hypotheses: what was written; an empty one stands for an item that failed.
        references: what should have been.
        names: keys of :data:`METRICS`.
        rng: source of randomness.
        resamples: how often sentences are drawn again.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: the lengths differ, or there are no sentences.
        UnknownNameError: no figure is called like one of ``names``.
    """
    _check(hypotheses, references)
    if not references:
        raise UsageError("figures must be of at least one sentence. Got none")
    n = len(references)
    draws = rng.integers(0, n, (resamples, n))
    found = {}
    for name in names:
        counts, figure = sentence_counts(name, hypotheses, references)
        sums = np.concatenate([counts[draws[at : at + _BLOCK]].sum(axis=1) for at in range(0, resamples, _BLOCK)])
        found[name] = percentile_interval(float(figure(counts.sum(axis=0))), figure(sums), confidence=confidence)
    return found


def sentence_counts(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[Float64, Figure]:
    """What each sentence adds to a corpus's figure, and from sums of that to the figure.

    Args:
        name: a key of :data:`METRICS`.
        hypotheses: what was written, length n.
        references: what should have been, length n.

    Returns:
        Counts of n-grams or edits, shape (n, d), float64; and from totals, shape (..., d), to the figure, shape (...).

    Raises:
        UnknownNameError: no figure is called that.
        UsageError: the lengths differ.

    Example:
        >>> counts, figure = sentence_counts("ter", ["a b c d", "a b"], ["a b c x", "a b"])
        >>> round(float(figure(counts.sum(axis=0))), 2)  # one edit in six words
        16.67
    """
    _check(hypotheses, references)
    metric = _metric(name)
    counts = np.array(metric._extract_corpus_statistics(list(hypotheses), [list(references)]), dtype=np.float64)

    def figure(totals: Float64) -> Float64:
        rows = totals.reshape(-1, totals.shape[-1])
        scores = [metric._compute_score_from_stats(list(row)).score for row in rows]
        return np.array(scores, np.float64).reshape(totals.shape[:-1])

    return counts, figure


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Float64:
    """chrF2 of each sentence by itself, shape (n,), float64, 0..100.

    Args:
        hypotheses: what was written, length n.
        references: what should have been, length n.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> sentence_chrf(["a cat", ""], ["a cat", "a dog"]).tolist()
        [100.0, 0.0]
    """
    if not references:
        return np.zeros(0)
    counts, figure = sentence_counts("chrf", hypotheses, references)
    return figure(counts)


def _score(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> float:
    _check(hypotheses, references)
    if not references:
        return float("nan")
    return float(_metric(name).corpus_score(list(hypotheses), [list(references)]).score)


def _metric(name: str) -> Any:
    if name not in METRICS:
        raise UnknownNameError("figure of written text", name, METRICS)
    return getattr(require("sacrebleu.metrics", extra="all"), METRICS[name])()


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise UsageError(f"there must be a hypothesis for each of {len(references)} references. Got {len(hypotheses)}")
