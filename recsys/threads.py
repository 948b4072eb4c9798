"""How many threads the linear algebra may use."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from shared.lazy import require


def limit_threads(threads: int | None) -> AbstractContextManager[Any]:
    """A context in which BLAS and LAPACK use that many threads; ``None`` changes nothing."""
    if threads is None:
        return nullcontext()
    limits: AbstractContextManager[Any] = require("threadpoolctl", extra="all").threadpool_limits(threads)
    return limits
