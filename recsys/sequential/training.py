"""The loop that networks over paths are trained in: next items, a sampled softmax, and an early end.

The loss is the cross entropy of the next item at every place of every path, over the whole catalogue or over the item
itself and ``negatives`` others, drawn alike for all places of a step: A. Klenitskiy and A. Vasilev, "Turning dross into
gold loss: is BERT4Rec really better than SASRec?", RecSys 2023. What is drawn stands for the whole catalogue, so the
logits of the drawn are raised by log((items - 1) / negatives): Y. Bengio and J.-S. Senecal, "Adaptive importance
sampling to accelerate training of a neural probabilistic language model", IEEE Transactions on Neural Networks 19
(2008).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.sequential.paths import Paths
from recsys.threads import count_threads
from shared.batch.progress import Progress
from shared.errors import DataError
from shared.lazy import require
from shared.types import Float32, Int32
from shared.weights.words import say

_POOL = 50
"""Steps whose paths are sorted by length together, so that the paths of a step are nearly of one length."""
_BLOCK = 8_000_000
"""Scores held at once while a network is validated (32 MB)."""
_LARGEST_GRADIENT = 5.0
_NEVER = -1e9
"""The logit of a drawn item that is the right one: finite, so that a step whose drawn are all right has a gradient."""
_HORIZON = 0.5
"""Epochs over which the running average of the weights looks back; it is what is validated and kept."""
_VALIDATED = 10_000
"""People whose newest item is looked for after each epoch, at most: their NDCG@10 has a standard error below 0.003."""


@dataclass(frozen=True)
class Plan:
    """How long and how hard is trained.

    Attributes:
        length: newest items of a path that are looked at.
        epochs: passes over the paths at most.
        batch_size: next items of one step, about.
        learning_rate: of AdamW.
        item_rate: factor on it for the items' vectors, most of which few steps touch.
        weight_decay: of AdamW.
        negatives: items that the softmax is taken over beside the right one; 0 for the whole catalogue.
        patience: epochs without a better score after which training stops; 0 never stops early.
    """

    length: int
    epochs: int
    batch_size: int
    learning_rate: float
    item_rate: float
    weight_decay: float
    negatives: int
    patience: int


@dataclass(frozen=True)
class Trained:
    """What training came to.

    Attributes:
        weights: the network's arrays as they were after its best epoch, the last of equal ones, by name, float32.
        best_epoch: that epoch; 0 where nothing could be learned.
        score: NDCG@10 of the validation then; NaN where nobody could be validated.
    """

    weights: dict[str, Float32]
    best_epoch: int
    score: float


def train(
    network: Any, paths: Paths, plan: Plan, *, rng: np.random.Generator, device: Any, validate: bool = True
) -> Trained:
    """Train on all but the newest item of each path, and keep what then finds those best.

    Who has less than three items is trained on and not validated. Items that a person has had are left out of the
    validation's rankings, unless some path holds an item twice.

    Args:
        network: a torch module: ``network(items)`` gives states (n, m, d) for codes (n, m), -1 after the end of a
            path; its parameters ``item.weight`` (items, d) and perhaps ``bias`` (items,) make scores of them.
        paths: what people did.
        plan: how.
        rng: source of randomness.
        device: a torch device.
        validate: ``False`` trains on the newest items too, for as many epochs as the plan says.

    Raises:
        DataError: the loss is no longer a number.
    """
    torch = require("torch", extra="torch")
    network.to(device)
    long = (paths.lengths > 2) & validate
    asked = np.sort(rng.permutation(np.flatnonzero(long))[:_VALIDATED])
    answers, given = paths.last()[asked], paths.without_newest(1).take(asked)
    learned = paths.without_newest(long.astype(np.int64)).newest(plan.length + 1)
    learned = learned.take(np.flatnonzero(learned.lengths > 1))
    targets = len(learned.items) - len(learned)
    best = Trained(_arrays(network), 0, math.nan)
    if not targets:
        return best
    exclude = int(paths.matrix(len(network.item.weight)).nnz) == len(paths.items)
    optimiser, average, stale, step = _optimiser(network, plan), deepcopy(network).eval(), 0, 0
    horizon = _HORIZON * targets / plan.batch_size
    with Progress(plan.epochs * targets, done=0) as progress:
        for epoch in range(1, plan.epochs + 1):
            began = time.monotonic()
            network.train()
            losses = []
            for batch in _batches(learned, plan.batch_size, rng):
                losses.append(_step(network, optimiser, learned.take(batch), plan, rng))
                step += 1
                _follow(average, network, max(1 / max(1.0, horizon), 9 / (10 + step)))
                progress.add(int(learned.lengths[batch].sum()) - len(batch), 0)
            score = math.nan
            if len(asked):
                with torch.no_grad():
                    score = _ndcg(average, given, answers, length=plan.length, exclude=exclude)
            better = not score <= best.score  # also where either is no number, before the first score or without any
            stale = 0 if better else stale + 1
            if better or score == best.score:
                best = Trained(_arrays(average), epoch, score)
            say(
                f"epoch {epoch} of {plan.epochs}: loss {np.mean(losses):.4f}, ndcg@10 {score:.4f} "
                f"(best {best.score:.4f} in epoch {best.best_epoch}), {time.monotonic() - began:.0f} s"
            )
            if plan.patience and stale >= plan.patience:
                break
    return best


def _follow(average: Any, network: Any, weight: float) -> None:
    """Move a running average of a network's parameters towards them."""
    with require("torch", extra="torch").no_grad():
        for mean, now in zip(average.parameters(), network.parameters()):
            mean.lerp_(now, weight)


def _optimiser(network: Any, plan: Plan) -> Any:
    rest = [parameter for name, parameter in network.named_parameters() if name != "item.weight"]
    rows = [
        {"params": [network.item.weight], "lr": plan.learning_rate * plan.item_rate},
        {"params": rest, "lr": plan.learning_rate},
    ]
    # Fused, a step over a large table of vectors takes a tenth of the time.
    return require("torch.optim", extra="torch").AdamW(
        rows, betas=(0.9, 0.98), weight_decay=plan.weight_decay, fused=True
    )


def _batches(paths: Paths, size: int, rng: np.random.Generator) -> Iterator[Any]:
    """People of one step after another, each person once; about ``size`` next items a step."""
    order = rng.permutation(len(paths))
    count = max(1, round((len(paths.items) - len(paths)) / size))
    for pool in np.array_split(order, math.ceil(count / _POOL)):
        by_length = pool[np.argsort(paths.lengths[pool], kind="stable")]
        done = np.cumsum(paths.lengths[by_length] - 1)
        steps = max(1, round(done[-1] / size))
        cuts = np.searchsorted(done, done[-1] * np.arange(1, steps) / steps)
        parts = [part for part in np.split(by_length, cuts) if len(part)]
        yield from (parts[at] for at in rng.permutation(len(parts)))


def _step(network: Any, optimiser: Any, paths: Paths, plan: Plan, rng: np.random.Generator) -> float:
    torch = require("torch", extra="torch")
    codes = paths.padded(int(paths.lengths.max()))
    items = torch.from_numpy(codes.astype(np.int64)).to(network.item.weight.device)
    loss = _loss(network, items, plan.negatives, rng)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise DataError(f"the loss is no longer a number: use a lower learning_rate than {plan.learning_rate:g}")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
    optimiser.step()
    return value


def _loss(network: Any, items: Any, negatives: int, rng: np.random.Generator) -> Any:
    torch = require("torch", extra="torch")
    wanted = items[:, 1:]
    there = wanted >= 0
    states, wanted = network(items[:, :-1])[there], wanted[there]  # (p, d), (p,)
    table, bias = network.item.weight, getattr(network, "bias", None)
    count = len(table)
    if negatives == 0 or negatives >= count - 1:
        scores = states @ table.T
        return torch.nn.functional.cross_entropy(scores if bias is None else scores + bias, wanted)
    drawn = torch.from_numpy(rng.integers(count, size=negatives)).to(items.device)
    right = (states * table[wanted]).sum(dim=-1)
    others = states @ table[drawn].T  # (p, negatives)
    if bias is not None:
        right, others = right + bias[wanted], others + bias[drawn]
    others = others.masked_fill(wanted[:, None] == drawn[None], _NEVER)
    rest = torch.logsumexp(others, dim=1) + math.log((count - 1) / negatives)
    return torch.nn.functional.softplus(rest - right).mean()  # log(e^right + e^rest) - right


def _ndcg(network: Any, given: Paths, answers: Int32, *, length: int, exclude: bool) -> float:
    """Mean NDCG@10 of one wanted item each: 1 / log2(1 + place) where its place is at most 10."""
    torch = require("torch", extra="torch")
    table, bias = network.item.weight, getattr(network, "bias", None)

    def move(codes: Any) -> Any:
        return torch.from_numpy(codes.astype(np.int64)).to(table.device)

    step = max(1, _BLOCK // len(table))
    gains = []
    for start in range(0, len(given), step):
        people = np.arange(start, min(len(given), start + step))
        paths = given.take(people)
        short = paths.newest(length)
        states = network(move(short.padded(int(short.lengths.max()))))
        states = states[move(people - start), move(short.lengths - 1)]
        scores = states @ table.T if bias is None else states @ table.T + bias
        best = scores.gather(1, move(answers[people])[:, None])
        if exclude:
            scores[move(paths.people), move(paths.items)] = -math.inf
        places = (~(scores < best)).sum(dim=1)  # what equals the wanted, or is no number, counts against it
        gains.append(torch.where(places <= 10, 1 / torch.log2(1 + places.float()), 0.0).cpu())
    return float(torch.cat(gains).mean())


def _arrays(network: Any) -> dict[str, Float32]:
    return {name: tensor.detach().cpu().float().numpy().copy() for name, tensor in network.state_dict().items()}


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Torch drawing by a seed of ``rng``, on as many threads as the linear algebra may use; afterwards as before."""
    torch = require("torch", extra="torch")
    before = torch.get_num_threads()
    torch.set_num_threads(count_threads())
    try:
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))
            yield
    finally:
        torch.set_num_threads(before)
