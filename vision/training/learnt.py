"""What a vision training comes to: a network and how it was reached, and from there one graph for OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.training.finish import Course
from shared.training.folder import Reached
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

    @property
    def course(self) -> Course:
        """How it went, as the end of every training tells it."""
        return Course(
            self.reached,
            self.metric,
            self.train,
            self.val,
            "pictures",
            skipped_rows(self.skipped),
            self.weights.sha256,
        )
