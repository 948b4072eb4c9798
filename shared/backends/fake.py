"""A public backend for tests: it runs a Python function, counts, and can refuse chosen requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.backends.base import Keep, TensorSpec
from shared.errors import BackendError
from shared.types import AnyArray


@dataclass
class FakeBackend:
    """A :class:`~shared.backends.base.Backend` around a Python function.

    Attributes:
        function: one request to one answer.
        refuse: requests for which this is true make the whole call fail, as a runtime does.
        calls: the number of requests in each call so far.
    """

    function: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    refuse: Callable[[Mapping[str, AnyArray]], bool] = lambda feed: False
    calls: list[int] = field(default_factory=list)

    def run(self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Keep | None = None) -> list[dict[str, AnyArray]]:
        """See :meth:`shared.backends.base.Backend.run`."""
        self.calls.append(len(feeds))
        if any(self.refuse(feed) for feed in feeds):
            raise BackendError("the fake backend refused a request of this call, as it was told to")
        outputs = [self.function(feed) for feed in feeds]
        return outputs if keep is None else [keep(output) for output in outputs]
