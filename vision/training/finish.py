"""The end of a vision training: one graph for OpenVINO, measured, told of and saved as every trained model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.evaluation.report import Metric
from shared.training import finish as shared_finish
from shared.training.finish import Stated
from shared.training.folder import Reached, TrainFolder
from vision.training.backbone import Weights
from vision.training.pictures import Skipped, skipped_rows

GRAPH = "model.onnx"
BACKEND = "openvino"


@dataclass(frozen=True)
class Learnt:
    """What came of a training.

    Attributes:
        network: the torch module with the weights of its best epoch, on the CPU.
        reached: how the training went.
        metric: by which the best epoch was chosen.
        train: pictures learnt from.
        val: pictures of the validation.
        skipped: pictures that were left out.
        weights: what the backbone began with.
    """

    network: Any
    reached: Reached
    metric: str
    train: int
    val: int
    skipped: tuple[Skipped, ...]
    weights: Weights


@dataclass(frozen=True)
class Model:
    """What the trained model is.

    Attributes:
        task: that it serves.
        family: of its graph.
        labels: its classes, by number.
        options: what the family needs to know.
        graph: ONNX.
        limits: what it is not good for, for its page.
        opt_in: a licence that binds the model whatever is stated of it, or empty.
    """

    task: str
    family: str
    labels: tuple[str, ...]
    options: Mapping[str, Any]
    graph: bytes
    limits: str
    opt_in: str = ""


def finish(
    folder: TrainFolder,
    model: Model,
    learnt: Learnt,
    stated: Stated,
    *,
    dataset: Path,
    digest: str,
    split: str,
    recipe: Mapping[str, Any],
    evaluate: Callable[[Path], Mapping[str, Metric]],
) -> dict[str, Any]:
    """Save the model, measure it, and write its page and its report; see :func:`shared.training.finish.finish`.

    Args:
        folder: of the training.
        model: what was made.
        learnt: how.
        stated: what is said of it.
        dataset: what it was trained on.
        digest: of that data.
        split: where its two sides came from.
        recipe: the settings, JSON-ready.
        evaluate: from the model's folder to its figures on the validation pictures, with intervals.

    Returns:
        The report, JSON-ready.
    """
    return shared_finish.finish(
        folder,
        shared_finish.Made(
            model.task,
            model.family,
            BACKEND,
            model.labels,
            model.options,
            {GRAPH: model.graph},
            model.limits,
            model.opt_in,
        ),
        shared_finish.Course(
            learnt.reached,
            learnt.metric,
            learnt.train,
            learnt.val,
            "pictures",
            skipped_rows(learnt.skipped),
            learnt.weights.sha256,
        ),
        stated,
        dataset=dataset,
        digest=digest,
        split=split,
        recipe=recipe,
        evaluate=evaluate,
    )
