"""What gate and pipeline need of a registry; :mod:`shared.lifecycle.registry` has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Version(Protocol):
    """A registered model."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def digest(self) -> str: ...


class Registry(Protocol):
    """Versions by name, and aliases that lead to them."""

    def register(
        self,
        folder: Path,
        *,
        name: str,
        run: str | None = None,
        note: str = "",
        tags: Mapping[str, str] = ...,
        key: str | None = None,
    ) -> Version: ...
    def names(self) -> list[str]: ...
    def find(self, name: str) -> Version: ...
    def alias(self, name: str, alias: str, number: int) -> Version: ...
    def fetch(self, version: Version) -> Path: ...
