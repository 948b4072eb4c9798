"""What a language model writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import UsageError
from shared.types import Result

ENDED, CUT, TAKEN = "end", "length", "given"


@dataclass(frozen=True, eq=False)
class Generated(Result):
    """A text that a language model wrote.

    Attributes:
        text: the text, without what it was asked with.
        stopped: ``"end"``: the model was done; ``"length"``: it was cut off; ``"given"``: it was written elsewhere.

    Example:
        >>> Result.from_json(Generated("Bern.", "end").to_json()).text
        'Bern.'
    """

    text: str
    stopped: str = ENDED

    def check(self, axes: Mapping[str, int]) -> None:
        if self.stopped not in (ENDED, CUT, TAKEN):
            raise UsageError(f"Generated.stopped must be {ENDED}, {CUT} or {TAKEN}. Got {self.stopped!r} instead")
