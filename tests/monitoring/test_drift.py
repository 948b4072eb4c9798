"""A check of whole windows: what alarms, what does not, and how often where nothing has drifted."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom

from shared.errors import UnknownNameError, UsageError
from shared.monitoring.columns import Columns
from shared.monitoring.drift import drift

VALUES = ("en", "de", "fr", "it")


def columns(seed: int, n: int, *, move: float = 0.0, gone: float = 0.0, new: int = 0, turn: float = 0.0) -> Columns:
    """Two numeric columns (one with ties), one of categories, vectors of 5."""
    rng = np.random.default_rng(seed)
    length = rng.normal(move, 1, n)
    length[rng.random(n) < gone] = np.nan
    counts = dict(zip(VALUES, rng.multinomial(n - new, [0.6, 0.3, 0.08, 0.02]).tolist()))
    vectors = rng.normal(size=(n, 5)).astype(np.float32)
    vectors[:, 0] += turn
    return Columns(
        n,
        {"length": length, "stars": rng.integers(1, 6, n).astype(np.float64)},
        {"tongue": counts | {"eo": new}},
        vectors,
    )


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ({}, ()),
        ({"move": 0.5}, (("length", "ks"),)),
        ({"gone": 0.08}, (("length", "missing"),)),
        ({"new": 60}, (("tongue", "chi2"), ("tongue", "new"))),
        ({"turn": 0.9}, (("embeddings", "mmd"), ("embeddings", "classifier"))),
    ],
)
def test_what_drifted_is_named(what: dict[str, float], wanted: tuple[tuple[str, str], ...]) -> None:
    found = drift(columns(0, 1500), columns(1, 400, **what), rng=np.random.default_rng(2))
    assert tuple((one.name, one.test) for one in found.columns if one.drifted) == wanted
    assert found.alarm == bool(wanted)
    assert found.drifted == tuple(dict.fromkeys(name for name, _ in wanted))
    assert (found.n_reference, found.n_window, found.windows_between_false_alarms) == (1500, 400, 100)
    assert found.p_value == min(one.adjusted for one in found.columns)
    assert json.loads(json.dumps(found.to_json()))["drifted"] == list(found.drifted)


@pytest.mark.parametrize("correction", ["holm", "benjamini-yekutieli"])
def test_the_rate_of_the_whole_check_holds(correction: str) -> None:
    """Every test of every column, thresholds off, so that the p-values alone are on trial."""
    rng, rate, runs = np.random.default_rng(7), 0.1, 80
    methods = {"numbers": ("ks", "wasserstein", "psi", "missing"), "categories": ("chi2", "psi", "new")}
    methods["embeddings"] = ("mmd",)
    off = dict.fromkeys(("ks", "wasserstein", "psi", "missing", "chi2", "new", "mmd", "classifier"), 0.0)
    alarms = 0
    for seed in range(runs):
        found = drift(
            columns(2 * seed, 150, gone=0.1),
            columns(2 * seed + 1, 60, gone=0.1),
            rate=rate,
            rng=rng,
            methods=methods,
            thresholds=off,
            correction=correction,
        )
        alarms += found.alarm
    assert alarms <= binom.ppf(0.999, runs, rate)


def test_the_classifiers_p_values_hold() -> None:
    rng, runs = np.random.default_rng(8), 100
    alarms = 0
    for _ in range(runs):
        one, other = (Columns(n, embeddings=rng.normal(size=(n, 20)).astype(np.float32)) for n in (100, 60))
        methods = {"embeddings": ("classifier",)}
        alarms += drift(one, other, rate=0.1, rng=rng, methods=methods, thresholds={"classifier": 0}).alarm
    assert alarms <= binom.ppf(0.999, runs, 0.1)


def test_a_trivial_difference_of_huge_windows_is_no_alarm() -> None:
    rng = np.random.default_rng(0)
    one, other = (Columns(200_000, {"x": rng.normal(m, 1, 200_000)}) for m in (0, 0.03))
    found = drift(one, other, rng=rng)
    assert found.p_value < 1e-6
    assert not found.alarm
    assert drift(one, other, rng=rng, thresholds={"ks": 0}).alarm


def test_the_same_items_are_no_drift() -> None:
    same = columns(0, 300)
    found = drift(same, same, rng=np.random.default_rng(0))
    assert not found.alarm
    assert found.p_value > 0.3


def test_the_same_seed_finds_the_same() -> None:
    first, second = (drift(columns(0, 200), columns(1, 80), rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_items_without_a_category_count_as_one() -> None:
    full, half = Columns(400, categories={"t": {"a": 400}}), Columns(100, categories={"t": {"a": 50}})
    found = drift(full, half, rng=np.random.default_rng(0))
    assert found.drifted == ("t",)
    assert found.columns[0].effect == 0.5


def test_nothing_to_test_is_no_alarm() -> None:
    found = drift(Columns(5), Columns(3), rng=np.random.default_rng(0))
    assert (found.columns, found.alarm, found.p_value) == ((), False, 1.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 1.0}, "rate must lie between 0 and 1. Got 1.0"),
        ({"methods": {"numbers": ("kss",)}}, "no test of numbers is called 'kss'. Nearest: ks"),
        ({"methods": {"number": ("ks",)}}, "no kind of column is called 'number'. Nearest: numbers"),
        ({"thresholds": {"chi": 0.1}}, "no test is called 'chi'"),
        ({"correction": "holms"}, "Nearest: holm"),
    ],
)
def test_what_is_asked_wrongly_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        drift(columns(0, 30), columns(1, 30), rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Columns(0), "must have items. Got 30 and 0"),
        (Columns(3, {"length": np.zeros(3)}), r"same numbers. Only the reference has \['stars'\]"),
        (
            Columns(3, {"length": np.zeros(3), "stars": np.zeros(3)}, {"tongue": {"en": 3}}),
            "both have embeddings, or neither",
        ),
    ],
)
def test_windows_of_other_columns_are_refused(window: Columns, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        drift(columns(0, 30), window, rng=np.random.default_rng(0))


def test_unknown_names_are_unknown_names() -> None:
    with pytest.raises(UnknownNameError):
        drift(columns(0, 30), columns(1, 30), rng=np.random.default_rng(0), methods={"texts": ()})


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    code = "from shared.monitoring import drift, estimate, late; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "sklearn", "pandas"} & set(loaded)
