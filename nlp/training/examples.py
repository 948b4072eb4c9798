"""Training examples as token ids, and their batches: like lengths together, no more than a budget of tokens at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.lazy import require
from shared.types import Float32, Int64

IGNORED = -100
"""The target of a token that teaches nothing."""
_POOL = 50
"""Batches whose examples are sorted by length together: neighbours differ little, and the order stays random."""


@dataclass(frozen=True)
class Example:
    """One window to learn from.

    Attributes:
        ids: whole windows with special tokens, shape (n,), int64.
        target: shape () for a text's label, (n,) for tags, (2,) for start and end, int64; shape (labels,), float32, 1
            or 0, where a text may have several labels.
        types: shape (n,), int64; ``None`` for zeros.
        features: shape (n,), int64; ``None`` where the network takes none.
    """

    ids: Int64
    target: Int64 | Float32
    types: Int64 | None = None
    features: Int64 | None = None


@dataclass(frozen=True)
class Batch:
    """Examples as torch tensors, shape (examples, tokens); ``mask`` is ``None`` where nothing is padded."""

    ids: Any
    types: Any
    mask: Any
    features: Any
    targets: Any


def orders(lengths: Sequence[int], *, budget: int, most: int, seed: int, epoch: int) -> list[list[int]]:
    """The examples of each batch of an epoch, every one once.

    Args:
        lengths: tokens of each example.
        budget: tokens of a batch, padding counted; an example longer than that is a batch of its own.
        most: examples of a batch at most.
        seed: of the training.
        epoch: its number.

    Example:
        >>> found = orders([3, 9, 3, 9], budget=18, most=8, seed=0, epoch=1)
        >>> sorted(sorted(batch) for batch in found)
        [[0, 2], [1, 3]]
    """
    rng = np.random.default_rng([seed, epoch])
    sizes = np.asarray(lengths)
    order = rng.permutation(len(sizes))
    pool = max(1, _POOL * min(most, max(1, budget // max(1, int(sizes.mean())))))
    made: list[list[int]] = []
    for start in range(0, len(order), pool):
        chosen = order[start : start + pool]
        chosen = chosen[np.argsort(sizes[chosen], kind="stable")]
        batch: list[int] = []
        for at in chosen.tolist():
            if batch and (len(batch) == most or (len(batch) + 1) * sizes[at] > budget):
                made.append(batch)
                batch = []
            batch.append(at)
        made.append(batch)
    return [made[at] for at in rng.permutation(len(made))]


def collate(examples: Sequence[Example], device: Any) -> Batch:
    """Lay examples beside each other, padded at the end with zeros."""
    torch = require("torch", extra="torch")
    lengths = [len(example.ids) for example in examples]
    longest = max(lengths)

    def padded(rows: Sequence[Int64 | Float32], value: int = 0) -> Any:
        table = np.full((len(rows), longest), value, dtype=np.int64)
        for row, values in zip(table, rows):
            row[: len(values)] = values
        return torch.from_numpy(table).to(device)

    ids = padded([example.ids for example in examples])
    types = padded([example.types if example.types is not None else np.zeros(0, np.int64) for example in examples])
    mask = None
    if min(lengths) < longest:
        mask = torch.from_numpy(np.arange(longest) < np.array(lengths)[:, None]).to(device)
    codes = [example.features for example in examples if example.features is not None]
    features = padded(codes) if codes else None
    targets = [example.target for example in examples]
    whole = targets[0].dtype == np.int64 and targets[0].ndim == 1 and targets[0].shape == examples[0].ids.shape
    answers = padded(targets, IGNORED) if whole else torch.from_numpy(np.stack(targets)).to(device)
    return Batch(ids, types, mask, features, answers)


def batches(
    examples: Sequence[Example], device: Any, *, budget: int, most: int, seed: int, epoch: int
) -> Iterator[Batch]:
    """Go through one epoch."""
    lengths = [len(example.ids) for example in examples]
    for order in orders(lengths, budget=budget, most=most, seed=seed, epoch=epoch):
        yield collate([examples[at] for at in order], device)
