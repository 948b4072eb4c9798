"""The best sequence of tags that its scheme allows (A. Viterbi, 1967), over log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp.spans import SCHEMES, parse_tag
from shared.errors import DataError, UnknownNameError
from shared.types import Float32, Float64, Int64

_UNENDING = ("B", "I")


@dataclass(frozen=True, eq=False)
class Tags:
    """What a model tags words with.

    Attributes:
        names: the tags, length t.
        scheme: one of :data:`nlp.spans.SCHEMES`.
        steps: what it adds to the score of a sequence that one tag (row) is followed by another (column), ``-inf``
            where it may not be; shape (t, t), float64.
        first: what it adds that a tag comes first, shape (t,), float64.
        last: what it adds that a tag comes last, shape (t,), float64.
        learned: whether allowed steps differ in what they add.
    """

    names: tuple[str, ...]
    scheme: str
    steps: Float64
    first: Float64
    last: Float64
    learned: bool


def make_tags(
    names: Sequence[str], scheme: str | None = None, transitions: Sequence[Sequence[float]] | None = None
) -> Tags:
    """The rules of a scheme for a model's tags.

    In ``BIO`` an ``I`` follows only a ``B`` or ``I`` of its label. In ``BIOES`` a ``B`` or ``I`` is followed only by an
    ``I`` or ``E`` of its label, and these follow nothing else; none is left open at the end. ``IO`` and ``IOB1`` allow
    everything.

    Args:
        names: the tags, ``O`` among them.
        scheme: one of :data:`nlp.spans.SCHEMES`; ``None`` looks at the prefixes: ``BIOES`` where some tag ends a span,
            else ``IOB1``, which allows whatever the model means.
        transitions: learned scores from tag (row) to tag (column), (t, t), added where the scheme allows the step.

    Raises:
        UnknownNameError: there is no such scheme.
        DataError: there are no tags, one comes twice, or the transitions have another shape.

    Example:
        >>> tags = make_tags(["O", "B-PER", "I-PER"], "BIO")
        >>> np.isfinite(tags.steps).astype(int).tolist(), np.isfinite(tags.first).tolist()
        ([[1, 1, 0], [1, 1, 1], [1, 1, 1]], [True, True, False])
    """
    if not names or len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise DataError(f"a model's tags must be different names, one at least. Got {list(names)[:12]} instead")
    parsed = [parse_tag(name) for name in names]
    if scheme is None:
        scheme = "BIOES" if any(prefix in ("E", "S") for prefix, _ in parsed) else "IOB1"
    if scheme not in SCHEMES:
        raise UnknownNameError("scheme of tags", scheme, SCHEMES)
    follows = np.array([[_follows(scheme, a, b) for b in parsed] for a in parsed])
    begins = np.array([_follows(scheme, ("O", ""), b) for b in parsed])
    ends = np.array([_follows(scheme, a, ("O", "")) for a in parsed])
    steps = np.where(follows, 0.0, -np.inf)
    if transitions is not None:
        extra = np.array(transitions, dtype=np.float64)
        if extra.shape != steps.shape or not np.isfinite(extra).all():
            raise DataError(f"transitions must be {steps.shape} finite numbers. Got shape {extra.shape} instead")
        steps = steps + extra
    first, last = np.where(begins, 0.0, -np.inf), np.where(ends, 0.0, -np.inf)
    return Tags(tuple(names), scheme, steps, first, last, transitions is not None)


def best_tags(scores: Float64, tags: Tags) -> Int64:
    """The allowed sequence with the highest total.

    Args:
        scores: log-probabilities of each word's tags, shape (n, t), float64, finite.
        tags: what may follow what.

    Returns:
        Positions of tags, shape (n,), int64. Of sequences that score alike one is taken, always the same.

    Example:
        >>> tags = make_tags(["O", "B-PER", "I-PER"], "BIO")
        >>> best_tags(np.log([[0.4, 0.25, 0.35], [0.1, 0.1, 0.8]]), tags).tolist()
        [1, 2]
    """
    if not len(scores):
        return np.empty(0, dtype=np.int64)
    greedy: Int64 = scores.argmax(axis=1)
    if not tags.learned and _allowed(greedy, tags):
        return greedy
    back = np.empty(scores.shape, dtype=np.int64)
    total = scores[0] + tags.first
    columns = np.arange(scores.shape[1])
    for at in range(1, len(scores)):
        ways = total[:, None] + tags.steps
        back[at] = ways.argmax(axis=0)
        total = ways[back[at], columns] + scores[at]
    path = np.empty(len(scores), dtype=np.int64)
    path[-1] = int((total + tags.last).argmax())
    for at in range(len(scores) - 1, 0, -1):
        path[at - 1] = back[at, path[at]]
    return path


def log_softmax(logits: Float32) -> Float64:
    """Log-probabilities over the last axis, float64.

    Example:
        >>> np.exp(log_softmax(np.float32([[0, 0], [1, 1]]))).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    shifted: Float64 = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _allowed(path: Int64, tags: Tags) -> bool:
    """Whether the tag that scores best at every word is a sequence that is allowed, and so the best one."""
    ends = np.isfinite(tags.first[path[0]]) and np.isfinite(tags.last[path[-1]])
    return bool(ends and np.isfinite(tags.steps[path[:-1], path[1:]]).all())


def _follows(scheme: str, before: tuple[str, str], after: tuple[str, str]) -> bool:
    if scheme in ("IO", "IOB1"):
        return True
    goes_on = after[0] in ("I", "E")
    if scheme == "BIO":
        return not goes_on or (before[0] != "O" and before[1] == after[1])
    if before[0] in _UNENDING:
        return goes_on and before[1] == after[1]
    return not goes_on
