"""The one training loop: AdamW under a warmed-up cosine, a running average of the weights, early stopping, resuming.

Everything random is drawn anew at the start of an epoch from the seed and the epoch's number, so that a run that was
killed and gone on with ends with the same weights as one that was not (on one kind of processor, with one number of
threads and one version of torch).

AdamW: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019; the cosine is from their "SGDR",
ICLR 2017; averaging: B. Polyak and A. Juditsky, SIAM J. Control and Optimization 30 (1992), here exponential.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.batch.progress import Progress
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.training.folder import Reached, TrainFolder
from shared.training.watching import tell_epoch
from shared.weights.words import say

WARMUP = 0.05
"""Share of all steps over which the learning rate rises to its full height."""
HORIZON = 0.05
"""Share of all steps over which the running average looks back."""
LARGEST_GRADIENT = 5.0
"""Norm of all gradients together above which they are scaled down."""


@dataclass(frozen=True)
class Schedule:
    """How long and how hard is trained.

    Attributes:
        epochs: passes over the training data at most, at least 1.
        batch_size: items of one step, at least 1.
        learning_rate: highest rate of the parts that start from nothing, above 0.
        backbone_rate: factor on it for parts that were trained before, in [0, 1].
        weight_decay: shrinkage of weight matrices, at least 0; biases and norms are left alone.
        patience: epochs without a better score after which training stops; 0 never stops early.

    Raises:
        UsageError: a value is out of its range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int
    backbone_rate: float = 1.0

    def __post_init__(self) -> None:
        bounds: tuple[tuple[str, float, bool, str], ...] = (
            ("epochs", self.epochs, self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "above 0"),
            ("backbone_rate", self.backbone_rate, 0 <= self.backbone_rate <= 1, "in [0, 1]"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "at least 0"),
            ("patience", self.patience, self.patience >= 0, "at least 0"),
        )
        for name, value, right, wanted in bounds:
            if not right:
                raise UsageError(f"{name} must be {wanted}. Got {value} instead")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate as a share of its height: a linear rise, then half a cosine down to 0.

        Example:
            >>> plan = Schedule(epochs=1, batch_size=1, learning_rate=1, weight_decay=0, patience=0)
            >>> [round(plan.rate(step, 100), 2) for step in (0, 4, 5, 52, 99)]
            [0.2, 1.0, 1.0, 0.51, 0.0]
        """
        rise = max(1, round(WARMUP * steps))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


@dataclass(frozen=True)
class Learner:
    """What a task gives to the loop.

    Attributes:
        network: a torch module on its device; parameters that need no gradient stay as they are.
        items: training items of one epoch.
        steps: batches of one epoch; where their number varies, that of the first, by which the rate falls.
        batches: from the number of an epoch, 1 and on, to its batches; the same number gives the same batches.
        loss: from a batch to a torch scalar.
        score: how good the network is on the validation data, higher is better.
        metric: what ``score`` is called.
        trained_before: whether a parameter, by its name, was trained before.
        bfloat16: whether losses are computed in bfloat16 where torch's autocast allows it; scores never are.
    """

    network: Any
    items: int
    steps: int
    batches: Callable[[int], Iterable[Any]]
    loss: Callable[[Any], Any]
    score: Callable[[], float]
    metric: str
    trained_before: Callable[[str], bool]
    bfloat16: bool = False


def fit(learner: Learner, schedule: Schedule, folder: TrainFolder, *, seed: int) -> Reached:
    """Train, or go on training, and leave the network with the weights of its best epoch.

    Raises:
        DataError: the loss is no longer a number, or the folder's state is damaged.
        EndedEarly: whoever watches the training (:mod:`shared.training.watching`) wants it ended.
        WeightsError: the state cannot be written.
    """
    torch = require("torch", extra="torch")
    optimiser = _optimiser(learner, schedule)
    average = {name: tensor.detach().clone() for name, tensor in moving(learner.network).items()}
    reached, found = Reached(), folder.load()
    if found is not None:
        reached, tensors = found
        _restore(learner.network, average, optimiser, tensors)
        say(f"going on after epoch {reached.epoch} of {schedule.epochs} in {folder.out}")
        for row in reached.history:
            tell_epoch(int(row["epoch"]), row[learner.metric])
    began = time.monotonic() - reached.seconds
    steps = learner.steps * schedule.epochs
    with Progress(schedule.epochs * learner.items, done=reached.epoch * learner.items) as progress:
        while reached.epoch < schedule.epochs and not _ended(reached, schedule.patience, folder):
            epoch, since = reached.epoch + 1, time.monotonic()
            torch.manual_seed(derived(seed, epoch))
            loss = _epoch(learner, schedule, optimiser, average, progress, epoch=epoch, steps=steps)
            learner.network.eval()
            with averaged(learner.network, average), torch.no_grad():
                score = float(learner.score())
            row = {"epoch": epoch, "loss": loss, learner.metric: score, "seconds": time.monotonic() - since}
            better = reached.best_epoch == 0 or score > reached.best_score
            reached = Reached(
                epoch,
                epoch if better else reached.best_epoch,
                score if better else reached.best_score,
                time.monotonic() - began,
                (*reached.history, {name: round(value, 5) for name, value in row.items()}),
            )
            folder.save(reached, _state(learner.network, average, optimiser), average)
            say(
                f"epoch {epoch} of {schedule.epochs}: loss {loss:.4f}, {learner.metric} {score:.4f} "
                f"(best {reached.best_score:.4f} in epoch {reached.best_epoch}), {row['seconds']:.0f} s"
            )
            tell_epoch(epoch, score)
    with torch.no_grad():
        own = moving(learner.network)
        for name, tensor in folder.best(reached).items():
            own[name].copy_(tensor)
    learner.network.eval()
    return reached


def _ended(reached: Reached, patience: int, folder: TrainFolder) -> bool:
    stale = patience > 0 and reached.epoch - reached.best_epoch >= patience
    return stale or (reached.epoch > 0 and folder.told_to_end())


def _epoch(
    learner: Learner,
    schedule: Schedule,
    optimiser: Any,
    average: Mapping[str, Any],
    progress: Progress,
    *,
    epoch: int,
    steps: int,
) -> float:
    """One pass over the training data; returns the mean loss of its steps."""
    torch = require("torch", extra="torch")
    learner.network.train()
    trainable = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    own = moving(learner.network)
    losses, counted = [], 0
    for at, batch in enumerate(learner.batches(epoch)):
        step = (epoch - 1) * learner.steps + min(at, learner.steps - 1)
        for group in optimiser.param_groups:
            group["lr"] = group["height"] * schedule.rate(step, steps)
        with torch.autocast(trainable[0].device.type, dtype=torch.bfloat16, enabled=learner.bfloat16):
            loss = learner.loss(batch)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise DataError(
                f"the loss is no longer a number in epoch {epoch}: train with a lower learning_rate than "
                f"{schedule.learning_rate:g}, in another folder"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, LARGEST_GRADIENT)
        optimiser.step()
        _follow(average, own, step, steps)
        done = learner.items * min(at + 1, learner.steps) // learner.steps
        progress.add(done - counted, 0)
        counted = done
    progress.add(learner.items - counted, 0)
    return float(np.mean(losses))


def _follow(average: Mapping[str, Any], own: Mapping[str, Any], step: int, steps: int) -> None:
    """Move the running average towards the weights, fast at first."""
    weight = max(9 / (10 + step), 1 / max(1.0, HORIZON * steps))
    for name, tensor in own.items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor.detach(), weight)
        else:
            average[name].copy_(tensor)


def moving(network: Any) -> dict[str, Any]:
    """What training changes in a network, by name: its trainable parameters and its buffers (of batch norms, say)."""
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    return trained | {name: buffer for name, buffer in network.named_buffers() if name in network.state_dict()}


@contextmanager
def averaged(network: Any, average: Mapping[str, Any]) -> Iterator[None]:
    """The network with the running average in the place of its weights."""
    own = moving(network)
    kept = {name: tensor.detach().clone() for name, tensor in own.items()}
    _copy(own, average)
    try:
        yield
    finally:
        _copy(own, kept)


def _copy(own: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    for name, tensor in own.items():
        tensor.data.copy_(source[name])


def _optimiser(learner: Learner, schedule: Schedule) -> Any:
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in learner.network.named_parameters():
        if parameter.requires_grad:
            before = learner.trained_before(name)
            height = schedule.learning_rate * (schedule.backbone_rate if before else 1.0)
            decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((height, decay), []).append(parameter)
    rows = [
        {"params": parameters, "height": height, "weight_decay": decay}
        for (height, decay), parameters in groups.items()
    ]
    return require("torch.optim", extra="torch").AdamW(rows, lr=schedule.learning_rate)


def _state(network: Any, average: Mapping[str, Any], optimiser: Any) -> dict[str, Any]:
    tensors = {f"network/{name}": tensor for name, tensor in moving(network).items()}
    tensors |= {f"average/{name}": tensor for name, tensor in average.items()}
    for number, row in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": tensor for key, tensor in row.items()}
    return tensors


def _restore(network: Any, average: Mapping[str, Any], optimiser: Any, tensors: Mapping[str, Any]) -> None:
    parts: dict[str, dict[str, Any]] = {"network": {}, "average": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    _copy(moving(network), parts["network"])
    _copy(average, parts["average"])
    rows: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimiser"].items():
        number, _, key = name.partition("/")
        rows.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": rows, "param_groups": optimiser.state_dict()["param_groups"]})


def derived(*numbers: int) -> int:
    """One seed out of several numbers (seed, epoch, item), in 0..2**63 - 1.

    Example:
        >>> derived(0, 1) == derived(0, 1), derived(0, 1) == derived(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def choose_device(device: str, threads: int | None) -> Any:
    """The torch device that ``"auto"``, ``"cpu"`` or ``"gpu"`` means here; sets the number of threads too.

    Raises:
        UsageError: it is none of them, there is no GPU that torch can use, or ``threads`` is below 1.
    """
    torch = require("torch", extra="torch")
    if device not in ("auto", "cpu", "gpu"):
        raise UsageError(f"device must be auto, cpu or gpu. Got {device!r} instead")
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads must be at least 1. Got {threads} instead")
        torch.set_num_threads(threads)
    there = torch.cuda.is_available()
    if device == "gpu" and not there:
        raise UsageError("device must be one that torch can use here. Got 'gpu', and torch sees none: use auto or cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
PRECISIONS = (AUTO, FLOAT32, BFLOAT16)


def choose_precision(precision: str, device: Any) -> str:
    """What :data:`AUTO` means on a torch device: bfloat16 where it has instructions for it, else float32."""
    torch = require("torch", extra="torch")
    if precision != AUTO:
        return precision
    if device.type == "cuda":
        return BFLOAT16 if torch.cuda.is_bf16_supported(including_emulation=False) else FLOAT32
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return BFLOAT16 if any(ask() for ask in asked if ask is not None) else FLOAT32
