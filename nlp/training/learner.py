"""How a network with a head learns from examples: its loss, its batches, its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nlp.training.examples import IGNORED, Batch, Example, batches, collate, orders
from nlp.training.options import BUDGET, Recipe
from shared.lazy import require
from shared.training.loop import Learner
from shared.types import Float32


def run_batch(network: Any, batch: Batch) -> Any:
    """The network's logits for a batch."""
    return network(batch.ids, batch.types, batch.mask, batch.features)


def loss(network: Any, batch: Batch, *, weights: Any = None) -> Any:
    """Cross-entropy: of a text's label, of each token's tag, or of start and end as choices among a window's tokens.

    Where a text has a target for each label, the mean over them of the binary cross-entropy.

    Args:
        network: as :func:`nlp.training.network.build_network` makes it.
        batch: examples; tags of :data:`nlp.training.examples.IGNORED` count nothing.
        weights: a factor for each label, of several that of the texts that have it, shape (labels,); ``None`` for ones.
    """
    functional = require("torch.nn.functional", extra="torch")
    logits = run_batch(network, batch)
    if network.head_kind == "text" and batch.targets.is_floating_point():
        return functional.binary_cross_entropy_with_logits(logits, batch.targets, pos_weight=weights)
    if network.head_kind == "text":
        return functional.cross_entropy(logits, batch.targets, weight=weights)
    if network.head_kind == "tokens":
        return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
    if batch.mask is not None:
        logits = logits.masked_fill(~batch.mask[:, :, None], float("-inf"))
    return functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), batch.targets.flatten())


def answers(network: Any, examples: Sequence[Example], device: Any, *, budget: int = 2 * BUDGET) -> list[Float32]:
    """The logits of each example, of shape (outputs,) or (its tokens, outputs), as the network stands."""
    torch = require("torch", extra="torch")
    lengths = [len(example.ids) for example in examples]
    found: list[Float32] = [np.zeros(0, np.float32)] * len(examples)
    network.eval()
    with torch.no_grad():
        for order in orders(lengths, budget=budget, most=64, seed=0, epoch=0):
            logits = run_batch(network, collate([examples[at] for at in order], device)).cpu().numpy()
            for at, row in zip(order, logits):
                found[at] = row if row.ndim == 1 else row[: lengths[at]]
    return found


def learner(
    network: Any,
    examples: Callable[[int], Sequence[Example]],
    score: Callable[[], float],
    metric: str,
    *,
    recipe: Recipe,
    device: Any,
    weights: Any = None,
) -> Learner:
    """What the loop asks for.

    Args:
        network: to be trained, on the device.
        examples: of an epoch, by its number from 1; always about as many.
        score: how good the network is, higher is better.
        metric: what that is called.
        recipe: how.
        device: torch's.
        weights: a factor for each label.
    """
    first = examples(1)
    lengths = [len(example.ids) for example in first]
    budget, most = recipe.token_budget, recipe.schedule.batch_size

    def feed(epoch: int) -> Iterator[Batch]:
        chosen: Iterable[Batch] = batches(
            examples(epoch), device, budget=budget, most=most, seed=recipe.seed, epoch=epoch
        )
        yield from chosen

    return Learner(
        network,
        len(first),
        len(orders(lengths, budget=budget, most=most, seed=recipe.seed, epoch=1)),
        feed,
        lambda batch: loss(network, batch, weights=weights),
        score,
        metric,
        lambda _: False,
        recipe.bfloat16,
    )
