"""Batch jobs of any length that survive a crash: shards, markers, and engines that predict them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.batch.given import Items
    from shared.batch.job import run
    from shared.batch.merging import merge
    from shared.batch.reader import Outcome, read
    from shared.batch.report import Report
    from shared.batch.resuming import resume
    from shared.batch.standing import Status, status

__all__ = ["Items", "Outcome", "Report", "Status", "merge", "read", "resume", "run", "status"]

_HOMES = {
    "Items": "given",
    "Report": "report",
    "run": "job",
    "Outcome": "reader",
    "read": "reader",
    "merge": "merging",
    "resume": "resuming",
    "Status": "standing",
    "status": "standing",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``shared.batch.sources`` alone must stay light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
