"""Figures of groupings: the true group and the given cluster of each item in, number out.

Both are sequences of n labels, strings or whole numbers; only who is with whom counts, never what a group is called. An
item left over by a clustering must have a cluster of its own: a common label for "noise" would be a cluster. Without
items every figure is NaN. The contingency tables, entropies and chance corrections are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from shared.errors import UsageError
from shared.lazy import require
from shared.types import AnyArray, Int64

Groups: TypeAlias = Sequence[str] | Sequence[int] | AnyArray


def adjusted_rand_score(truth: Groups, predicted: Groups) -> float:
    """Adjusted Rand index: agreement over pairs of items, 0 by chance and 1 for the same grouping, at least -1/2.

    L. Hubert and P. Arabie, "Comparing partitions", Journal of Classification 2 (1985).

    Args:
        truth: the true group of each item, length n.
        predicted: the cluster each was given, length n.

    Raises:
        UsageError: the lengths differ.

    Example:
        >>> adjusted_rand_score(["a", "a", "b", "b"], [1, 1, 0, 0])
        1.0
    """
    return _of("adjusted_rand_score", truth, predicted)


def normalised_mutual_information_score(truth: Groups, predicted: Groups) -> float:
    """Mutual information over the arithmetic mean of the two entropies, in [0, 1]; it reads high for many clusters.

    A. Strehl and J. Ghosh, "Cluster ensembles", JMLR 3 (2002), there with the geometric mean. It equals
    :func:`v_measure_score`. Arguments as :func:`adjusted_rand_score`.

    Example:
        >>> normalised_mutual_information_score([0, 0, 1, 1], [0, 1, 0, 1])
        0.0
    """
    return _of("normalized_mutual_info_score", truth, predicted)


def adjusted_mutual_information_score(truth: Groups, predicted: Groups) -> float:
    """Mutual information less what chance gives, over the arithmetic mean of the entropies less the same; at most 1.

    N. X. Vinh, J. Epps and J. Bailey, "Information theoretic measures for clusterings comparison", JMLR 11 (2010).
    Arguments as :func:`adjusted_rand_score`.

    Example:
        >>> round(adjusted_mutual_information_score([0, 0, 1, 1], [0, 0, 1, 1]), 6)
        1.0
    """
    return _of("adjusted_mutual_info_score", truth, predicted)


def homogeneity_score(truth: Groups, predicted: Groups) -> float:
    """How far each cluster holds one group only: 1 - H(truth | predicted) / H(truth), in [0, 1]; 1 for one group.

    A. Rosenberg and J. Hirschberg, "V-measure", EMNLP-CoNLL 2007. Arguments as :func:`adjusted_rand_score`.

    Example:
        >>> round(homogeneity_score([0, 0, 1, 1], [0, 1, 2, 3]), 6)
        1.0
    """
    return _of("homogeneity_score", truth, predicted)


def completeness_score(truth: Groups, predicted: Groups) -> float:
    """How far each group lies in one cluster: :func:`homogeneity_score` with the two sides changed over.

    Example:
        >>> round(completeness_score([0, 0, 1, 1], [0, 1, 2, 3]), 6)
        0.5
    """
    return _of("completeness_score", truth, predicted)


def v_measure_score(truth: Groups, predicted: Groups) -> float:
    """Harmonic mean of homogeneity and completeness, in [0, 1]; arguments as :func:`adjusted_rand_score`.

    Example:
        >>> round(v_measure_score([0, 0, 1, 1], [0, 1, 2, 3]), 4)  # 2 x 1 x 0.5 / 1.5
        0.6667
    """
    return _of("v_measure_score", truth, predicted)


def bcubed_precision_score(truth: Groups, predicted: Groups) -> float:
    """B-cubed precision: the mean over items of the share of their cluster that is of their group, themselves too.

    A. Bagga and B. Baldwin, "Algorithms for scoring coreference chains", LREC workshop 1998; E. Amigó et al., "A
    comparison of extrinsic clustering evaluation metrics", Information Retrieval 12 (2009). No kept library has it.
    Arguments as :func:`adjusted_rand_score`.

    Example:
        >>> bcubed_precision_score([0, 0, 1, 1], [0, 0, 0, 0])
        0.5
    """
    true, given = _codes(truth, predicted)
    if not true.size:
        return float("nan")
    table = require("sklearn.metrics.cluster", extra="all").contingency_matrix(true, given, sparse=True).tocoo()
    together = table.data.astype(np.float64)
    return float((together**2 / np.bincount(given)[table.col]).sum() / true.size)


def bcubed_recall_score(truth: Groups, predicted: Groups) -> float:
    """B-cubed recall: the mean over items of the share of their group that is in their cluster, themselves too.

    See :func:`bcubed_precision_score`.

    Example:
        >>> bcubed_recall_score([0, 0, 1, 1], [0, 1, 2, 3])
        0.5
    """
    return bcubed_precision_score(predicted, truth)


def bcubed_f1_score(truth: Groups, predicted: Groups) -> float:
    """Harmonic mean of B-cubed precision and recall, in (0, 1]; see :func:`bcubed_precision_score`.

    Example:
        >>> round(bcubed_f1_score([0, 0, 1, 1], [0, 1, 2, 3]), 4)  # 2 x 1 x 0.5 / 1.5
        0.6667
    """
    precision, recall = bcubed_precision_score(truth, predicted), bcubed_recall_score(truth, predicted)
    return 2 * precision * recall / (precision + recall)


def pairwise_f1_score(truth: Groups, predicted: Groups) -> float:
    """F1 over pairs of items: 2 TP / (2 TP + FP + FN), a pair being positive where both are together.

    NaN where no two items are together on either side. C. D. Manning, P. Raghavan and H. Schütze, "Introduction to
    information retrieval" (2008), section 16.3. Arguments as :func:`adjusted_rand_score`.

    Example:
        >>> pairwise_f1_score([0, 0, 1, 1], [0, 0, 1, 2])  # one pair right, one missed
        0.6666666666666666
    """
    true, given = _codes(truth, predicted)
    if not true.size:
        return float("nan")
    pairs = require("sklearn.metrics.cluster", extra="all").pair_confusion_matrix(true, given)
    whole = 2 * int(pairs[1, 1]) + int(pairs[0, 1]) + int(pairs[1, 0])
    return 2 * int(pairs[1, 1]) / whole if whole else float("nan")


def silhouette_score(points: AnyArray, clusters: Groups, *, metric: str = "euclidean") -> float:
    """Mean silhouette, without any truth: (b - a) / max(a, b), in [-1, 1], higher for clusters that lie well apart.

    For each item a is its mean distance from the rest of its cluster and b that from the nearest other cluster; an item
    alone counts 0. P. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20 (1987). All n²
    distances are taken, a block of rows at a time.

    Args:
        points: shape (n, d), finite.
        clusters: the cluster of each, length n; at least two of them, and fewer than n.
        metric: a distance that ``sklearn.metrics.pairwise_distances`` knows, ``"cosine"`` for example.

    Raises:
        UsageError: the lengths differ, a number is not finite, or there are too few or too many clusters.

    Example:
        >>> round(silhouette_score(np.array([[0.0], [1.0], [10.0], [11.0]]), [0, 0, 1, 1]), 4)
        0.8997
    """
    values = np.asarray(points, np.float64)
    if values.ndim != 2 or len(values) != len(clusters) or not np.isfinite(values).all():
        raise UsageError(
            f"points must be a finite (n, d) array with a cluster each. Got {values.shape} and {len(clusters)} instead"
        )
    codes = _coded(clusters)
    count = len(np.unique(codes))
    if not 2 <= count < len(values):
        raise UsageError(f"there must be at least 2 clusters and fewer than {len(values)} items. Got {count} clusters")
    return float(require("sklearn.metrics", extra="all").silhouette_score(values, codes, metric=metric))


def _of(name: str, truth: Groups, predicted: Groups) -> float:
    true, given = _codes(truth, predicted)
    function: Any = getattr(require("sklearn.metrics", extra="all"), name)
    return float(function(true, given)) if true.size else float("nan")


def _codes(truth: Groups, predicted: Groups) -> tuple[Int64, Int64]:
    if len(truth) != len(predicted):
        raise UsageError(f"truth and prediction must have one length. Got {len(truth)} and {len(predicted)} instead")
    return _coded(truth), _coded(predicted)


def _coded(groups: Groups) -> Int64:
    codes: Int64 = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    return codes
