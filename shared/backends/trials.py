"""Another form of a model beside the original: what became of it, and how much faster it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.backends.forms import Precision
from shared.catalogue import ModelCard

FASTER = 1.05
"""How much faster a form must be to be worth keeping."""
REPEATS = 5


@dataclass(frozen=True)
class Tried:
    """What became of one form.

    Attributes:
        precision: of the form.
        agreement: with the original, in [0, 1]; ``None`` where it was not measured.
        speed: median of the paired ratios, the original's seconds by the form's; ``None`` where it was not measured.
        refused: why it is not kept, or empty.
    """

    precision: Precision
    agreement: float | None
    speed: float | None
    refused: str


def form_name(card: ModelCard, precision: Precision) -> str:
    """The name of a model's form, under which it is opened from then on."""
    return f"{card.name}-{precision}"


def differs_too_much(agreement: float, least: float) -> str:
    """Why a form that agrees so far is refused, or nothing."""
    return f"it agrees with the original to {agreement:.4f}, less than {least}" if agreement < least else ""


def not_worth_it(speed: float) -> str:
    """Why a form that is so much faster is refused, or nothing."""
    if speed >= FASTER:
        return ""
    return f"it is {speed:.2f} times as fast as the original, and {FASTER} is the least that is worth a file"


def paired_speed(original: Callable[[], object], form: Callable[[], object]) -> float:
    """Median over the turns of the original's seconds by the form's; each goes first in every other turn."""
    ratios = []
    for turn in range(REPEATS + 1):  # the first warms both up and does not count
        seconds = {}
        for at in (0, 1) if turn % 2 else (1, 0):
            began = time.perf_counter()
            (original, form)[at]()
            seconds[at] = time.perf_counter() - began
        if turn:
            ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)
