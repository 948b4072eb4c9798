"""A server and an empty home for each test, with no package index but the one that a test names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from standin import StandIn, standing_in

from shared.weights import http


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standing_in() as running:
        yield running


@pytest.fixture
def home(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``TRIPTYCH_HOME`` on a machine whose owner has configured nothing."""
    for name in [key for key in os.environ if key.startswith(("PIP_", "HF_", "TRIPTYCH_WEIGHTS"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HF_TOKEN_PATH", str(empty_home / "no-token"))
    http._unreachable.clear()
    return empty_home
