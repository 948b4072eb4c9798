"""Batches of augmented items: which go together and how each is changed depends on seed, epoch and item alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from shared.lazy import require
from shared.training.loop import derived


def orders(items: int, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The items of each batch of an epoch, every item once.

    The last batch may be smaller; one item alone joins the batch before, since a norm over a batch needs two.

    Example:
        >>> [len(batch) for batch in orders(7, 3, seed=0, epoch=1)]
        [3, 4]
        >>> orders(5, 2, seed=0, epoch=1) == orders(5, 2, seed=0, epoch=2)
        False
    """
    order = np.random.default_rng([seed, epoch]).permutation(items).tolist()
    ends = [*(batch_size * step for step in range(1, count_steps(items, batch_size))), items]
    return [order[start:end] for start, end in zip([0, *ends], ends)]


def count_steps(items: int, batch_size: int) -> int:
    """How many batches :func:`orders` makes of so many items.

    Example:
        >>> [count_steps(items, 4) for items in (1, 4, 5, 6, 8)]
        [1, 1, 1, 2, 2]
    """
    return max(1, items // batch_size + (items % batch_size > (1 if items > 1 and batch_size > 1 else 0)))


def batches(
    make: Callable[[int], Any],
    collate: Callable[[Sequence[Any]], Any],
    items: int,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
) -> Iterator[Any]:
    """Go through one epoch.

    Args:
        make: from an item's position to the item, changed at random with torch's generator.
        collate: from several items to a batch.
        items: how many there are.
        batch_size: items of a batch.
        seed: of the training.
        epoch: its number.
    """
    for order in orders(items, batch_size, seed=seed, epoch=epoch):
        yield collate([seeded(make, at, seed=seed, epoch=epoch) for at in order])


def seeded(make: Callable[[int], Any], at: int, *, seed: int, epoch: int) -> Any:
    """One item, changed as seed, epoch and position say; torch's generator is afterwards where it was."""
    random = require("torch.random", extra="torch")
    with random.fork_rng(devices=[]):
        random.manual_seed(derived(seed, epoch, at))
        return make(at)
