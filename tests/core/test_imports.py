"""Imports stay light: counted in modules, so no timer is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "torchvision", "transformers", "sentence_transformers", "ultralytics", "spacy", "implicit", "surprise",
    "gradio", "ray", "openvino", "onnxruntime", "sklearn", "scipy", "pandas", "pyarrow", "PIL",
    "tokenizers", "huggingface_hub", "unearth", "httpx", "fastapi", "starlette", "uvicorn", "prometheus_client",
    "mlflow", "sqlalchemy", "alembic", "wandb",
}  # fmt: skip
NUMPY = {"numpy"}


def loaded_by(code: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after ``code``."""
    code += "\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.strip().splitlines()[-1]))


@pytest.mark.parametrize(
    "package",
    [
        "shared",
        "vision",
        "nlp",
        "recsys",
        "demos",
        "shared.tasks",
        "shared.testing",
        "shared.experiments",
        "shared.lifecycle",
        "shared.lifecycle.tracking",
        "shared.lifecycle.registry",
        "shared.serving",
    ],
)
def test_a_package_loads_no_heavy_library(package: str) -> None:
    assert not loaded_by(f"import {package}") & HEAVY


def test_help_loads_no_heavy_library_and_few_modules() -> None:
    code = """
import contextlib, io, sys
sys.argv = ["triptych", "--help"]
from shared.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
"""
    loaded = loaded_by(code)
    assert not loaded & (HEAVY | NUMPY)
    assert len(loaded) < 320, "a bare interpreter with click holds about 200; something heavy crept in"
