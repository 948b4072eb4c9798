"""Figures of written text against references: BLEU, chrF and TER, as sacrebleu computes them, with its signatures.

BLEU: K. Papineni et al., ACL 2002; chrF: M. Popović, WMT 2015; TER: M. Snover et al., AMTA 2006; one way to compute
them: M. Post, "A call for clarity in reporting BLEU scores", WMT 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared.errors import UnknownNameError, UsageError
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
        counts, score = _counted(name, hypotheses, references)
        sums = np.concatenate([counts[draws[at : at + _BLOCK]].sum(axis=1) for at in range(0, resamples, _BLOCK)])
        scores = np.array([score(row) for row in sums])
        found[name] = percentile_interval(score(counts.sum(axis=0)), scores, confidence=confidence)
    return found


def _score(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> float:
    _check(hypotheses, references)
    if not references:
        return float("nan")
    return float(_metric(name).corpus_score(list(hypotheses), [list(references)]).score)


def _counted(
    name: str, hypotheses: Sequence[str], references: Sequence[str]
) -> tuple[Float64, Callable[[Float64], float]]:
    """What each sentence adds to the corpus's figure, shape (n, counts), and from sums of those to the figure."""
    metric = _metric(name)
    counts = np.array(metric._extract_corpus_statistics(list(hypotheses), [list(references)]), dtype=np.float64)
    return counts, lambda sums: float(metric._compute_score_from_stats(list(sums)).score)


def _metric(name: str) -> Any:
    if name not in METRICS:
        raise UnknownNameError("figure of written text", name, METRICS)
    return getattr(require("sacrebleu.metrics", extra="all"), METRICS[name])()


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise UsageError(f"there must be a hypothesis for each of {len(references)} references. Got {len(hypotheses)}")
