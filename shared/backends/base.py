"""The contract of a runtime: named arrays in, named arrays out, many independent requests at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from shared.errors import UsageError
from shared.types import AnyArray

Keep: TypeAlias = Callable[[dict[str, AnyArray]], dict[str, AnyArray]]
"""From the outputs of a request to what is kept of them: new arrays, for the runtime writes over the outputs later.
It is called in several threads at once, each while its outputs are still in the processor's cache; large outputs of
which little matters are so never copied."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        name: the graph's own name of it.
        shape: lengths of the axes; ``None`` where any length goes.
        dtype: NumPy's name of the element type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Backend(Protocol):
    """A loaded graph."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The graph's inputs, in its order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The graph's outputs, in its order."""

    def run(self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Keep | None = None) -> list[dict[str, AnyArray]]:
        """Answer independent requests, in order, using the processors that the backend was given.

        Args:
            feeds: for each request every input by name. Arrays are read, never changed.
            keep: what to keep of each request's outputs; ``None`` keeps them all.

        Raises:
            BackendError: the runtime refused a request (a wrong shape, say).
        """


def check_threads(threads: int | None) -> None:
    """Raise a :class:`~shared.errors.UsageError` unless ``threads`` is ``None`` or at least 1."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, or None for all processors. Got {threads} instead")
