"""The tiny encoder as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_encoder

from shared.types import Float32


@pytest.fixture(scope="session")
def word_vectors() -> Float32:
    return tiny_encoder.word_vectors()


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    return tiny_encoder.encoder_folder_path()
