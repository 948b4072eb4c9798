"""The options that trainings of text encoders share, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypedDict

from nlp.graphs.parts import DEFAULT_BASE
from nlp.training.network import Adapting
from shared.errors import UsageError
from shared.tasks import Option
from shared.training.loop import AUTO, BFLOAT16, PRECISIONS, Schedule, choose_precision
from shared.training.options import check_choice

BUDGET = 2048
"""Tokens of a training step at most, padding counted."""
LORA, FULL = "lora", "full"
DEEP = (LORA, FULL)
"""How layers are trained: low-rank additions, saved as an adapter; or whole, saved as a graph."""
USUAL = {LORA: 1e-3, FULL: 5e-5}
"""Highest learning rate where it is not given."""
ENCODER = (
    Option("base", str, DEFAULT_BASE, "encoder that training begins with: catalogue name, model folder or checkpoint"),
    Option("rank", int, 16, "rank of the low-rank additions, at least 1; for --method lora"),
    Option("layers", int, None, "layers that are trained, counted from the top; all when not given"),
    Option("dropout", float, 0.1, "share of values that is dropped in training, in [0, 1)"),
    Option("epochs", int, 4, "passes over the data at most, at least 1"),
    Option("batch_size", int, 32, "examples of one step at most, at least 1"),
    Option("token_budget", int, BUDGET, "tokens of one step at most, padding counted"),
    Option("learning_rate", float, None, "highest learning rate; 0.001 for lora, 0.00005 for full"),
    Option("weight_decay", float, 0.01, "shrinkage of the weights, at least 0"),
    Option("patience", int, 0, "epochs without a better score after which training stops; 0 never"),
    Option("max_tokens", int, 128, "tokens of a training window, the special ones counted"),
    Option("precision", str, AUTO, "auto (bfloat16 where the device has instructions for it), float32 or bfloat16"),
)


class EncoderOptions(TypedDict, total=False):
    """The keywords of every training of a text encoder: the names, defaults and meanings of :data:`ENCODER`."""

    base: str | Path
    rank: int
    layers: int | None
    dropout: float
    epochs: int
    batch_size: int
    token_budget: int
    learning_rate: float | None
    weight_decay: float
    patience: int
    max_tokens: int
    precision: str


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained; the names are those of the command's options.

    Attributes:
        method: one of :data:`DEEP`.
        base: name of the encoder.
        rank: of the additions; 0 for ``"full"``.
        layers: that are trained; ``None`` for all.
        dropout: in training.
        schedule: how long and how hard.
        token_budget: tokens of a step.
        max_tokens: of a window.
        seed: of everything random.
        precision: one of :data:`shared.training.loop.PRECISIONS`; of the losses, while weights stay float32.

    Raises:
        UsageError: a value is out of its range.
    """

    method: str
    base: str
    rank: int
    layers: int | None
    dropout: float
    schedule: Schedule
    token_budget: int
    max_tokens: int
    seed: int
    precision: str = AUTO

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        bounds: tuple[tuple[str, float, bool, str], ...] = (
            ("rank", self.rank, self.rank >= 1 or self.method == FULL, "at least 1"),
            ("layers", self.layers or 0, self.layers is None or self.layers >= 1, "at least 1"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "in [0, 1)"),
            ("token_budget", self.token_budget, self.token_budget >= 16, "at least 16"),
            ("max_tokens", self.max_tokens, self.max_tokens >= 8, "at least 8"),
            ("seed", self.seed, self.seed >= 0, "at least 0"),
        )
        for name, value, right, wanted in bounds:
            if not right:
                raise UsageError(f"{name} must be {wanted}. Got {value} instead")

    def on(self, device: Any) -> Self:
        """The recipe as it runs on a torch device: with a precision that is not :data:`AUTO`."""
        return replace(self, precision=choose_precision(self.precision, device))

    @property
    def bfloat16(self) -> bool:
        """Whether losses are computed in bfloat16."""
        return self.precision == BFLOAT16

    def adapting(self, layers: int) -> Adapting:
        """What of an encoder of so many layers is trained.

        Raises:
            UsageError: more layers are asked for than there are.
        """
        if self.layers is not None and self.layers > layers:
            raise UsageError(f"layers must be at most {layers}, as many as the base has. Got {self.layers} instead")
        return Adapting(0 if self.method == FULL else self.rank, self.layers or layers, self.dropout)


def make_recipe(
    *,
    method: str,
    seed: int,
    base: str | Path = DEFAULT_BASE,
    rank: int = 16,
    layers: int | None = None,
    dropout: float = 0.1,
    epochs: int = 4,
    batch_size: int = 32,
    token_budget: int = BUDGET,
    learning_rate: float | None = None,
    weight_decay: float = 0.01,
    patience: int = 0,
    max_tokens: int = 128,
    precision: str = AUTO,
) -> Recipe:
    """A recipe from the options of a command.

    Raises:
        UsageError: a value is out of its range.
    """
    rate = USUAL[method] if learning_rate is None else learning_rate
    schedule = Schedule(epochs, batch_size, rate, weight_decay, patience)
    return Recipe(
        method,
        str(base),
        0 if method == FULL else rank,
        layers,
        dropout,
        schedule,
        token_budget,
        max_tokens,
        seed,
        precision,
    )
