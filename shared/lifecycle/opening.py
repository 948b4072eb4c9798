"""How ``registry:NAME@ALIAS`` opens as a model anywhere: what :mod:`shared.weights.named` asks."""

from __future__ import annotations

from pathlib import Path

from shared.lifecycle.registry import registry


def folder(reference: str) -> Path:
    """The verified model folder that a reference leads to now.

    Raises:
        UnknownNameError: nothing, or no alias, is called that.
        WeightsError: its files are damaged or cannot be had.
        ServiceError: the registry cannot be read.
    """
    there = registry()
    return there.fetch(there.find(reference))


def pinned(reference: str) -> str:
    """The same version for good, as ``NAME/3``.

    Raises:
        UnknownNameError, ServiceError: as :func:`folder`.
    """
    found = registry().find(reference)
    return f"{found.name}/{found.number}"
