"""What looking every day does to experiments whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.errors import UsageError
from shared.experiments.peeking import MOST_DRAWS, Peeks, peek

PLAN: dict[str, Any] = {"units": 500, "days": 20, "runs": 2000}


def peeked(rate: float, lift: float, **changed: Any) -> Peeks:
    return peek(rate, lift, **(PLAN | changed), rng=np.random.default_rng(3))


def test_without_a_lift_only_the_naive_look_errs_more_often_than_it_says() -> None:
    called = peeked(0.2, 0.0).called
    assert called["naive, every day"] > 0.15
    assert 0.03 < called["naive, once at the end"] < 0.07
    assert called["always valid, every day"] <= 0.05


def test_a_great_lift_is_called_by_all() -> None:
    assert min(peeked(0.2, 0.5, runs=50).called.values()) == 1


def test_the_interval_and_the_p_value_tell_one_story() -> None:
    found = peeked(0.2, 0.2, runs=300)
    apart = np.maximum.accumulate(np.abs(found.difference) > found.radius, axis=1)
    assert (apart == (found.always_p < found.alpha)).mean() > 0.999
    assert (np.diff(found.always_p, axis=1) <= 0).all()


def test_rates_of_nothing_have_a_spread() -> None:
    assert (peeked(0.001, 0.0, units=50, days=2, runs=20).radius > 0).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"units": 49}, "units must be at least 50"),
        ({"days": 0}, "days must be at least 1"),
        ({"runs": 0}, "runs must be at least 1"),
        ({"runs": MOST_DRAWS}, "must be at most"),
    ],
)
def test_what_is_out_of_range_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        peeked(0.1, 0.0, **changed)
