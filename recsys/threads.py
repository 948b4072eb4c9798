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


def count_threads() -> int:
    """How many threads the linear algebra may use now, for libraries that must be told; at least 1."""
    found = require("threadpoolctl", extra="all").threadpool_info()
    return max([1, *(int(pool["num_threads"]) for pool in found if pool["user_api"] == "blas")])
