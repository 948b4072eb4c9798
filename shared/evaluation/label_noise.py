"""Candidates of wrong labels by confident learning, from the probabilities of a model that had not seen the items.

C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70 (2021);
equation numbers below are theirs. A candidate is for a person to look at: the model errs too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from shared.errors import UnknownNameError, UsageError
from shared.types import AnyArray, Float64, Int64

Rule: TypeAlias = Literal["noise_rate", "confident"]
_SLACK = 1e-6
"""How far under a threshold still reaches it; cleanlab's, so that both find the same."""


@dataclass(frozen=True)
class LabelNoise:
    """Which labels look wrong, the most doubtful first.

    Attributes:
        items: positions of the candidates, int64, shape (m,), the least margin first.
        given: their labels, int64, shape (m,), in 0..classes - 1.
        suggested: the likeliest class of each, int64, shape (m,), never the given one.
        margins: probability of the given label less that of the suggested one, float64, shape (m,), in [-1, 0].
        joint: confident counts, int64, shape (classes, classes): given label (row) by confident true label (column).
            Items that reach no class's threshold are in none.
        thresholds: mean probability of each class over items that carry it, float64, shape (classes,), in [0, 1];
            infinite for a class that no item carries.
        rate: share of wrong labels over all items that the calibrated joint estimates, in [0, 1].

    Raises:
        UsageError: the fields disagree.
    """

    items: Int64
    given: Int64
    suggested: Int64
    margins: Float64
    joint: Int64
    thresholds: Float64
    rate: float

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.items, self.given, self.suggested, self.margins)}
        if len(shapes) != 1 or self.items.ndim != 1:
            raise UsageError(f"a candidate's four fields must have one length. Got shapes {sorted(shapes)} instead")
        if self.joint.shape != (len(self.thresholds),) * 2:
            raise UsageError(
                f"joint must be square over {len(self.thresholds)} classes. Got {self.joint.shape} instead"
            )
        if (self.given == self.suggested).any():
            raise UsageError("a candidate's suggested label must differ from its given one. Got the same for some")
        if not 0 <= self.rate <= 1:
            raise UsageError(f"rate must lie in 0..1. Got {self.rate} instead")

    def __len__(self) -> int:
        return len(self.items)


def label_noise(labels: AnyArray, probabilities: AnyArray, *, rule: Rule = "noise_rate") -> LabelNoise:
    """Find labels that are likely wrong.

    A class's threshold is the mean probability that items which carry it get for it (equation 2). An item counts as
    confidently of the likeliest class whose threshold it reaches (equation 1). With ``rule="confident"`` the candidates
    are the items counted off the diagonal; with ``"noise_rate"`` the counts are calibrated to the number of each given
    label, and for each pair of given and true class that many items of the greatest difference of the two probabilities
    are taken ("prune by noise rate", section 3.3). Either way an item whose likeliest class is the given one is none.
    Both are the rules of the same names in the library *cleanlab* (``confident_learning``, ``prune_by_noise_rate``).

    Args:
        labels: given labels, whole numbers in 0..classes - 1, shape (n,).
        probabilities: of each class, shape (n, classes), rows summing to 1, of a model that had not learnt from the
            item: one that had agrees with whatever label it saw.
        rule: which items of the joint are candidates.

    Raises:
        UnknownNameError: no rule has that name.
        UsageError: the shapes disagree, a label is out of range, or a row is not a distribution.

    Example:
        >>> given = np.array([0, 0, 0, 1, 1, 1])
        >>> sure = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.3])
        >>> found = label_noise(given, np.column_stack([sure, 1 - sure]), rule="confident")
        >>> found.items.tolist(), found.suggested.tolist(), found.joint.tolist()
        ([2], [1], [[2, 1], [0, 2]])
    """
    if rule not in get_args(Rule):
        raise UnknownNameError("rule", str(rule), get_args(Rule))
    given, chances = _checked(labels, probabilities)
    n, classes = chances.shape
    counts = np.bincount(given, minlength=classes)
    own = chances[np.arange(n), given]
    sums = np.bincount(given, own, minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(chances >= thresholds - _SLACK, chances, -1.0)
    sure, confident = reached.max(axis=1) >= 0, reached.argmax(axis=1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (given[sure], confident[sure]), 1)
    calibrated = _calibrated(joint, counts)
    picked = sure & (confident != given) if rule == "confident" else _pruned(given, chances, calibrated)
    likeliest = chances.argmax(axis=1)
    picked &= chances.max(axis=1) - own > np.finfo(np.float64).eps
    items = np.flatnonzero(picked)
    margins = own[items] - chances[items, likeliest[items]]
    order = np.argsort(margins, kind="stable")
    items = items[order]
    return LabelNoise(
        items=items,
        given=given[items],
        suggested=likeliest[items],
        margins=margins[order],
        joint=joint,
        thresholds=thresholds,
        rate=float(np.clip(1 - np.trace(calibrated) / n, 0, 1)),
    )


def _calibrated(joint: Int64, counts: Int64) -> Float64:
    """Counts whose rows sum to how often each label is given (equation 3); a class keeps one right item at least."""
    kept = joint.astype(np.float64)
    np.fill_diagonal(kept, np.maximum(np.diagonal(kept), 1))
    scaled: Float64 = kept / kept.sum(axis=1, keepdims=True) * counts[:, None]
    return scaled


def _pruned(given: Int64, chances: Float64, calibrated: Float64) -> AnyArray:
    picked = np.zeros(len(given), np.bool_)
    for label, row in enumerate(calibrated):
        own = np.flatnonzero(given == label)
        if len(own) < 2:
            continue
        wanted = _whole(row)
        # One item stays right in each class, and the others give up what that takes evenly, as in cleanlab.
        lacking = max(0, 1 - wanted[label])
        others = max(1, np.count_nonzero(wanted) - 1)
        wanted = np.maximum(wanted - lacking / others, 0).astype(np.int64)
        for other in np.flatnonzero(wanted):
            if other != label:
                order = np.argsort(chances[own, label] - chances[own, other], kind="stable")
                picked[own[order[: wanted[other]]]] = True
    return picked


def _whole(row: Float64) -> Int64:
    """The row in whole numbers of the same sum: what was rounded farthest goes the other way."""
    whole = row.round()
    apart = round(float(row.sum().round() - whole.sum()))
    if apart:
        farthest = np.argsort(row - whole, kind="stable")[:: -1 if apart > 0 else 1]  # the last of equal ones goes up
        whole[farthest[: abs(apart)]] += np.sign(apart)
    return whole.astype(np.int64)


def _checked(labels: AnyArray, probabilities: AnyArray) -> tuple[Int64, Float64]:
    given, chances = np.asarray(labels), np.asarray(probabilities, np.float64)
    if chances.ndim != 2 or given.shape != chances.shape[:1] or not chances.size or chances.shape[1] < 2:
        raise UsageError(
            "labels must have shape (n,) and probabilities (n, classes), n at least 1 and classes at least 2. "
            f"Got {given.shape} and {chances.shape} instead"
        )
    if given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= chances.shape[1]:
        raise UsageError(
            f"labels must be whole numbers in 0..{chances.shape[1] - 1}, the columns of probabilities. "
            f"Got {given.dtype} from {given.min()} to {given.max()} instead"
        )
    if not (np.isfinite(chances).all() and (chances >= 0).all() and np.allclose(chances.sum(axis=1), 1, atol=1e-3)):
        raise UsageError("each row of probabilities must be 0 or more and sum to 1. Got rows that do not: softmax them")
    return given.astype(np.int64), chances
