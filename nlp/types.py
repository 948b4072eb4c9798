"""What the language tasks answer. An embedding is a plain (384,) float32 array of length 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import Float32, Result, array_field


@dataclass(frozen=True, eq=False)
class TextLabels(Result):
    """What a text is about: every label of the model, best first.

    Attributes:
        labels: names of the labels, length n, all different.
        scores: shape (n,), float32, probabilities in [0, 1] that never rise and add up to 1.

    Example:
        >>> mood = TextLabels(("positive", "negative"), np.float32([0.75, 0.25]))
        >>> Result.from_json(mood.to_json()) == mood
        True
    """

    labels: tuple[str, ...]
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)

    def check(self, axes: Mapping[str, int]) -> None:
        if len(set(self.labels)) != axes["n"]:
            raise UsageError(
                f"TextLabels must have one label of its own for each score. "
                f"Got labels {self.labels[:10]} and {axes['n']} scores instead"
            )
        if (np.diff(self.scores) > 0).any():
            raise UsageError(f"TextLabels.scores must never rise. Got {self.scores.tolist()[:10]} instead")
