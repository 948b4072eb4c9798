"""How the answers of one graph are read, whatever its task: what every family of detectors and segmenters gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from shared.backends import Keep
from shared.types import AnyArray, Result
from vision.detection.prepare import Letterbox

R = TypeVar("R", bound=Result)

Kept: TypeAlias = dict[str, AnyArray]
"""What a family keeps of one raw answer, in arrays of its own."""


@dataclass(frozen=True)
class Reader(Generic[R]):
    """How the answers of one graph are read.

    Attributes:
        keep: from a request's outputs by name to what matters of them; called while they are still in the processor's
            cache.
        decode: from that and what the network was given to the result.
    """

    keep: Keep
    decode: Callable[[Mapping[str, AnyArray], Letterbox], R]
