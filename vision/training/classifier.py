"""How a classifier is trained: its data, the last layer alone over frozen features, or all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.errors import DataError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.evaluation.intervals import bootstrap
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.training.folder import TrainFolder
from shared.training.loop import Learner, Schedule, derived, fit
from shared.training.options import BALANCED
from shared.types import Failure, Int64
from vision.classification.prepare import ClassifierInput
from vision.images import View
from vision.training.augment import crop_transform, normalise
from vision.training.backbone import NONE, build_backbone, freeze_norms
from vision.training.batches import batches, count_steps, orders, seeded
from vision.training.features import compute_features, last_linear, replace_module
from vision.training.labelled import Labelled
from vision.training.learnt import Learnt
from vision.training.pictures import Pictures, sift

TRAINABLE = ("head", "all")
LEAST_CROP = 0.4
"""Smallest share of a picture's area that a random view shows."""
_BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """How it is trained; the names are those of the command's options.

    Attributes:
        backbone: torchvision's name of it.
        weights: what it begins with.
        trainable: ``"head"`` or ``"all"``.
        schedule: how long and how hard.
        class_weight: ``"none"``, or ``"balanced"``: every class counts the same.
        size: side of the network's square in pixels.
        resize: shorter side of a picture before the square is cut out.
        flips: which mirror images are shown.
        views: random views of each picture that a frozen backbone sees.
        seed: of everything random.
    """

    backbone: str
    weights: str
    trainable: str
    schedule: Schedule
    class_weight: str
    size: int
    resize: int
    flips: str
    views: int
    seed: int


def learn(data: Labelled, recipe: Recipe, folder: TrainFolder, device: Any) -> Learnt:
    """Train, or go on training.

    Raises:
        DataError: no picture of some class can be read, or the training goes astray.
        WeightsError: the backbone's weights or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    torch.manual_seed(derived(recipe.seed))
    network, weights = build_backbone(recipe.backbone, recipe.weights)
    if weights.source != NONE:
        freeze_norms(network)
    name, before = last_linear(network)
    head = torch.nn.Linear(before.in_features, len(data.labels))
    seen = ClassifierInput(recipe.size, recipe.resize)
    pictures, kept, skipped = sift(data.train, _whole_at(recipe.resize))
    plain, kept_val, skipped_val = sift(data.val, seen.view)
    ids, val_ids = data.train_ids[kept], data.val_ids[kept_val]
    missing = [data.labels[number] for number in range(len(data.labels)) if number not in ids]
    if missing or not len(val_ids):
        raise DataError(f"every class needs a picture that can be read, and so does validation. {missing} have none")
    balanced = recipe.class_weight == BALANCED
    judge = partial(_score, val_ids, balanced=balanced)
    cost = _loss(ids, len(data.labels), device, balanced=balanced)
    make = _frozen if recipe.trainable == "head" else _whole
    at_hand = _AtHand(network.to(device), name, head.to(device), pictures, plain, ids, device, cost, judge)
    learner = make(at_hand, recipe)
    reached = fit(learner, recipe.schedule, folder, seed=recipe.seed)
    replace_module(network, name, head)
    left_out = (*skipped, *skipped_val)
    return Learnt(network.cpu().eval(), reached, learner.metric, len(kept), len(kept_val), left_out, weights)


@dataclass(frozen=True)
class _AtHand:
    """What both ways of training begin with.

    Attributes:
        network: the backbone with its old head, on the device.
        name: of that head in it.
        head: the new one, on the device.
        pictures: to learn from, whole.
        plain: for validation, as the model will see them.
        ids: classes of the pictures to learn from.
        device: torch's.
        cost: from scores and classes to the loss.
        judge: from scores of the validation pictures to the figure that chooses the best epoch.
    """

    network: Any
    name: str
    head: Any
    pictures: Pictures
    plain: Pictures
    ids: Int64
    device: Any
    cost: Callable[[Any, Any], Any]
    judge: Callable[[Any], float]


def _frozen(at_hand: _AtHand, recipe: Recipe) -> Learner:
    """The last layer alone: what it is given is computed once, for every random view."""
    network, head, pictures, plain = at_hand.network, at_hand.head, at_hand.pictures, at_hand.plain
    name, device, cost, judge = at_hand.name, at_hand.device, at_hand.cost, at_hand.judge
    torch = require("torch", extra="torch")
    change = crop_transform(recipe.size, recipe.flips, least=LEAST_CROP)

    def viewed(view: int, at: int) -> Any:
        return normalise(seeded(lambda row: change(_tensor(pictures, row)), at, seed=recipe.seed, epoch=view))

    below = partial(compute_features, network, network.get_submodule(name), device=device, batch=_BATCH)
    features = below(viewed, items=len(pictures), views=recipe.views)
    shown = below(lambda _, at: normalise(_tensor(plain, at)), items=len(plain), views=1)[0]
    answers = torch.from_numpy(at_hand.ids).to(device)

    def feed(epoch: int) -> Iterator[tuple[Any, Any]]:
        views = np.random.default_rng([recipe.seed, epoch, 1]).integers(0, recipe.views, len(pictures))
        for order in orders(len(pictures), recipe.schedule.batch_size, seed=recipe.seed, epoch=epoch):
            yield features[views[order], order], answers[order]

    return Learner(
        head,
        len(pictures),
        count_steps(len(pictures), recipe.schedule.batch_size),
        feed,
        lambda batch: cost(head(batch[0]), batch[1]),
        lambda: judge(head(shown)),
        "macro_f1" if recipe.class_weight == BALANCED else "accuracy",
        lambda _: False,
    )


def _whole(at_hand: _AtHand, recipe: Recipe) -> Learner:
    """All layers."""
    network, head, pictures, plain = at_hand.network, at_hand.head, at_hand.pictures, at_hand.plain
    name, device, cost, judge = at_hand.name, at_hand.device, at_hand.cost, at_hand.judge
    torch = require("torch", extra="torch")
    replace_module(network, name, head)
    network.to(memory_format=torch.channels_last)
    change = crop_transform(recipe.size, recipe.flips, least=LEAST_CROP)
    answers = torch.from_numpy(at_hand.ids)

    def collate(rows: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        pixels = normalise(torch.stack([row[0] for row in rows]).to(device))
        return pixels.contiguous(memory_format=torch.channels_last), torch.stack([row[1] for row in rows]).to(device)

    def score() -> float:
        parts = [
            network(normalise(torch.stack([_tensor(plain, row) for row in rows]).to(device)))
            for rows in (range(at, min(at + _BATCH, len(plain))) for at in range(0, len(plain), _BATCH))
        ]
        return judge(torch.cat(parts))

    return Learner(
        network,
        len(pictures),
        count_steps(len(pictures), recipe.schedule.batch_size),
        lambda epoch: batches(
            lambda at: (change(_tensor(pictures, at)), answers[at]),
            collate,
            len(pictures),
            recipe.schedule.batch_size,
            seed=recipe.seed,
            epoch=epoch,
        ),
        lambda batch: cost(network(batch[0]), batch[1]),
        score,
        "macro_f1" if recipe.class_weight == BALANCED else "accuracy",
        lambda parameter: not parameter.startswith(f"{name}."),
    )


def _loss(ids: Int64, classes: int, device: Any, *, balanced: bool) -> Callable[[Any, Any], Any]:
    """Cross-entropy; balanced, every class weighs the same over all items."""
    torch = require("torch", extra="torch")
    counts = np.bincount(ids, minlength=classes)
    weights = len(ids) / (classes * counts) if balanced else np.ones(classes)
    given = torch.tensor(weights, dtype=torch.float32, device=device)
    return lambda logits, answers: torch.nn.functional.cross_entropy(logits, answers, weight=given)


def _score(truth: Int64, logits: Any, *, balanced: bool) -> float:
    found = logits.argmax(dim=1).cpu().numpy()
    return macro_f1_score(truth, found) if balanced else accuracy_score(truth, found)


def _tensor(pictures: Pictures, at: int) -> Any:
    """Pixels as torch has them, shape (3, rows, columns), uint8."""
    return require("torch", extra="torch").from_numpy(pictures[at][0].copy()).permute(2, 0, 1)


def _whole_at(shorter: int) -> Callable[[int, int], View]:
    """The whole picture, its shorter side brought to so many pixels; smaller pictures stay as they are."""

    def view(height: int, width: int) -> View:
        scale = min(1.0, shorter / min(height, width))
        return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))

    return view


def evaluate(model: Path, data: Labelled, *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved classifier on the validation pictures, through its opener."""
    results = vision.classifier(model, threads=threads, top_k=1).predict(data.val, on_error="keep")
    found = [None if isinstance(result, Failure) else result.labels[0] for result in results]
    truth = [data.labels[number] for number in data.val_ids]

    def interval(figure: Callable[[Sequence[str], Sequence[str | None]], float]) -> Metric:
        def drawn(rows: Int64) -> float:
            return figure([truth[at] for at in rows], [found[at] for at in rows])

        return bootstrap(drawn, len(truth), rng=np.random.default_rng(seed))

    return {"accuracy": interval(accuracy_score), "macro_f1": interval(macro_f1_score)}
