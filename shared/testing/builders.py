"""Small values for tests."""

from __future__ import annotations

from typing import Any

from shared.catalogue import ModelCard


def fake_card(**changes: Any) -> ModelCard:
    """A card that names no file; keyword arguments replace its fields."""
    facts: dict[str, Any] = {"name": "fake", "task": "test.fake", "family": "fake", "backend": "fake"}
    facts |= {"licence": "Apache-2.0", "summary": "stands in for a model in tests"}
    return ModelCard(**(facts | changes))
