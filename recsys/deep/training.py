"""How networks that recommend are trained: mini-batches, people held out in part, and the best epoch kept.

The steps are those of AdamW (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019). What
answers is a running average of the weights that they pass through (B. Polyak and A. Juditsky, SIAM J. Control and
Optimization 30, 1992, here exponential), which for histories is worth more than most options. What is random comes from
one generator and, for torch, from a seed that it draws, so one generator gives one model on one processor with one
number of threads. A GPU adds in an order of its own, and promises nothing of the kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.data import Csr, csr
from recsys.ranking import exclude, top_k
from recsys.threads import count_threads
from shared.backends.base import check_threads
from shared.batch.progress import Progress
from shared.errors import DataError, UsageError
from shared.evaluation.ranking import ndcg_score
from shared.lazy import require
from shared.training.loop import choose_device
from shared.types import AnyArray, Float32, Int32, Int64
from shared.weights.words import say

PLACES = 10
"""Places that count when epochs are compared."""
MOST = 2000
"""Validation people at most: more cost time and memory each epoch, and hardly choose better."""
HORIZON = 5.0
"""Epochs over which the running average of the weights looks back."""
ASKED = 0.2
"""Share of a validation person's interactions that the network is asked for and does not see."""
SMALL = 4096
"""Up to so many items one thread trains, unless another number is asked for: in small steps threads wait for each
other, which on a busy machine costs many times what it wins on an idle one."""
HELP = {
    "epochs": "passes over the data at most, at least 1",
    "batch_size": "what one step learns from, at least 1",
    "learning_rate": "length of a step, above 0",
    "weight_decay": "shrinkage of the weights, at least 0",
    "patience": "epochs without a better NDCG@10 on the validation people that end the training; 0 never does",
    "val_share": "share of people a fifth of whose interactions chooses the epoch, from 0 (none) to below 1",
    "factors": "length of the vectors, at least 1",
    "hidden": "width of the hidden layers, at least 1",
    "dropout": "share of a history that is hidden in each step, from 0 to below 1",
}
"""What options of this folder mean, for every algorithm that has them."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Options of every training here.

    Attributes:
        epochs: passes over the training data at most, at least 1.
        batch_size: people (or interactions) of one step, at least 1.
        learning_rate: length of a step, above 0.
        weight_decay: shrinkage of the weights, at least 0.
        patience: epochs without a better NDCG@10 on the validation people after which training ends; 0 never ends it
            early. The best epoch's weights are kept either way.
        val_share: share of the people who are held out in part: the network learns from four fifths of what they did,
            and its NDCG@10 on the rest chooses the epoch. 0 holds nobody out and keeps the last epoch.
    """

    epochs: int = field(default=100, metadata={"help": HELP["epochs"]})
    batch_size: int = field(default=100, metadata={"help": HELP["batch_size"]})
    learning_rate: float = field(default=0.001, metadata={"help": HELP["learning_rate"]})
    weight_decay: float = field(default=0.0, metadata={"help": HELP["weight_decay"]})
    patience: int = field(default=10, metadata={"help": HELP["patience"]})
    val_share: float = field(default=0.2, metadata={"help": HELP["val_share"]})

    def __post_init__(self) -> None:
        at_least(self, 1, "epochs", "batch_size")
        at_least(self, 0, "patience", "weight_decay")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate must be above 0 and finite. Got {self.learning_rate} instead")
        below_one(self, "val_share")


def at_least(config: Any, least: int, *names: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless these options are finite and at least that."""
    for name in names:
        if not least <= getattr(config, name) < math.inf:
            raise UsageError(f"{name} must be at least {least} and finite. Got {getattr(config, name)} instead")


def below_one(config: Any, *names: str) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless these options are shares from 0 to below 1."""
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise UsageError(f"{name} must be at least 0 and below 1. Got {getattr(config, name)} instead")


@dataclass(frozen=True, eq=False)
class Validation:
    """People who are held out in part.

    Attributes:
        learnt: CSR, shape (users, items): all histories without what is asked for.
        people: shape (n,), int64, rows of ``learnt``, rising.
        asked: CSR, shape (n, items): what is asked for.
    """

    learnt: Csr
    people: Int64
    asked: Csr

    def score(self, scores: Float32) -> float:
        """Mean NDCG@10 of scores of shape (n, items); what was learnt from is not ranked. Scores are overwritten."""
        exclude(scores, self.learnt[self.people])
        ranked, _ = top_k(scores, PLACES)
        return float(ndcg_score(self.asked, ranked, k=PLACES).mean())


def hold_out(histories: Csr, share: float, rng: np.random.Generator) -> Validation | None:
    """Hold out a fifth (:data:`ASKED`) of what some people did, at least one interaction of each and never all.

    Args:
        histories: CSR, shape (users, items).
        share: of the people with two interactions or more, in [0, 1); at least one of them unless it is 0, and no more
            than :data:`MOST`.
        rng: draws people and interactions.

    Returns:
        ``None`` where ``share`` is 0 or nobody has two interactions.
    """
    counts = np.diff(histories.indptr)
    able = np.flatnonzero(counts >= 2)
    if share == 0 or not len(able):
        return None
    count = min(max(1, round(share * len(able))), MOST)
    people = np.sort(rng.choice(able, count, replace=False)).astype(np.int64)
    held = np.zeros(histories.nnz, dtype=np.bool_)
    for row in people:
        start, length = int(histories.indptr[row]), int(counts[row])
        held[start + rng.choice(length, max(1, round(ASKED * length)), replace=False)] = True
    rows: Int32 = np.repeat(np.arange(histories.shape[0], dtype=np.int32), counts)
    learnt = csr(rows[~held], histories.indices[~held], histories.data[~held], histories.shape)
    asked = csr(rows[held], histories.indices[held], histories.data[held], histories.shape)
    return Validation(learnt, people, asked[people])


@contextmanager
def session(rng: np.random.Generator, *, items: int, device: str, threads: int | None) -> Iterator[Any]:
    """The torch device to train on; torch's seed and number of threads are the caller's own again afterwards.

    Args:
        rng: draws the seed.
        items: how many there are.
        device: ``"auto"`` (a GPU where torch sees one), ``"cpu"`` or ``"gpu"``.
        threads: of the processor; ``None`` takes one up to :data:`SMALL` items, and beyond as many as the linear
            algebra may use now.

    Raises:
        MissingDependencyError: torch is not installed.
        UsageError: there is no such device, or ``threads`` is below 1.
    """
    torch = require("torch", extra="torch")
    check_threads(threads)
    chosen, before = choose_device(device, None), torch.get_num_threads()
    torch.set_num_threads(threads or (1 if items <= SMALL else count_threads()))
    try:
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**63 - 1)))
            yield chosen
    finally:
        torch.set_num_threads(before)


def train(
    network: Any,
    loss: Callable[[Int64, float], Any],
    *,
    rows: int,
    config: TrainingConfig,
    rng: np.random.Generator,
    validation: Validation | None,
    answer: Callable[[Validation], Float32],
) -> None:
    """Train a network and leave it, for answering, with the averaged weights of its best epoch.

    Args:
        network: a torch module.
        loss: from the rows of a batch and the epochs gone by (a fraction within one) to a torch scalar.
        rows: how many there are to learn from; 0 trains nothing.
        config: options.
        rng: orders the rows.
        validation: the people whose figures choose the epoch; ``None`` keeps the last one.
        answer: the network's scores of all items for them, shape (n, items).

    Raises:
        DataError: the loss is no longer a number.
    """
    torch = require("torch", extra="torch")
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    best, best_epoch, kept, epoch, steps = -math.inf, 0, average, 0, 0
    with Progress(config.epochs * rows, done=0) as progress:
        while rows and epoch < config.epochs and not 0 < config.patience <= epoch - best_epoch:
            network.train()
            for at, batch in _batches(rows, config.batch_size, rng):
                value = loss(batch, epoch + at / rows)
                if not math.isfinite(float(value.detach())):
                    raise DataError(
                        f"the loss is no longer a number in epoch {epoch + 1}: lower learning_rate, now "
                        f"{config.learning_rate:g}"
                    )
                optimiser.zero_grad(set_to_none=True)
                value.backward()
                optimiser.step()
                _follow(average, network, steps, HORIZON * math.ceil(rows / config.batch_size))
                steps += 1
                progress.add(len(batch), 0)
            epoch += 1
            if validation is None:
                best_epoch = epoch
                continue
            with _averaged(network, average), torch.no_grad():
                reached = validation.score(answer(validation))
            if reached > best:
                best, best_epoch = reached, epoch
                kept = {name: tensor.clone() for name, tensor in average.items()}
    network.load_state_dict(kept)
    network.eval()
    if validation is not None and epoch:
        say(f"epoch {best_epoch} of {epoch} was the best: NDCG@{PLACES} {best:.4f} on the validation people")


def _follow(average: Mapping[str, Any], network: Any, step: int, horizon: float) -> None:
    """Move the running average towards the weights, fast at first."""
    weight = min(1.0, max(9 / (10 + step), 1 / horizon))
    for name, tensor in network.state_dict().items():
        average[name].lerp_(tensor, weight)


@contextmanager
def _averaged(network: Any, average: Mapping[str, Any]) -> Iterator[None]:
    """The network, for answering, with the running average in the place of its weights."""
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    try:
        yield
    finally:
        network.load_state_dict(own)


def _batches(rows: int, size: int, rng: np.random.Generator) -> Iterator[tuple[int, Int64]]:
    """All rows once in random order, as their place in it and codes; the last batch may be smaller."""
    order = rng.permutation(rows)
    for start in range(0, rows, size):
        yield start, order[start : start + size]


def to_numpy(tensor: Any) -> Float32:
    """A tensor as a float32 array of its own, in C order."""
    array: AnyArray = np.array(tensor.detach().cpu().numpy(), dtype=np.float32, order="C")
    return array
