"""Quality, alert rules, gauges, and a check as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared.errors import DataError, UsageError
from shared.monitoring.alerts import read_rules
from shared.monitoring.checking import check, read_check
from shared.monitoring.gauges import write_gauges
from shared.monitoring.profile import Profile, ProfileBuilder
from shared.monitoring.quality import quality
from shared.monitoring.signals import Batch, Observed


def profile(
    n: int = 600, *, light: float = 0.5, seed: int = 0, language: str = "en", failed: int = 0, judged: int = 0
) -> Profile:
    sure = 0.9
    rng = np.random.default_rng(seed)
    builder = ProfileBuilder("a.task", rng, model="m")
    builder.add(
        Observed({"brightness": float(x), "noise": float(y)}, {"language": language if z else "fr"}, confidence=sure)
        for x, y, z in zip(rng.normal(light, 0.1, n), rng.normal(size=n), rng.random(n) < 0.9)
    )
    builder.add_failed(failed, first=0.0, last=60.0)
    if judged:
        builder.add_judged(np.full(judged, sure), rng.random(judged) < sure)
    return builder.done()


def bad(window: Profile, *, margin: float = 0.02) -> set[tuple[str, str]]:
    return {(one.column, one.check) for one in quality(profile(2000), window, margin=margin) if one.bad}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, set()),
        ({"light": 0.2}, {("brightness", "low")}),
        ({"light": 0.9}, {("brightness", "high")}),
        ({"language": "de"}, {("language", "new")}),
        ({"failed": 60}, {("items", "failed")}),
    ],
)
def test_items_at_fault_are_named(changes: dict[str, object], found: set[tuple[str, str]]) -> None:
    assert bad(profile(seed=1, **changes)) == found  # type: ignore[arg-type]


def test_a_share_that_hardly_grew_is_no_fault() -> None:
    assert bad(profile(seed=1, failed=9)) == set()
    assert bad(profile(seed=1, failed=9), margin=0.005) == {("items", "failed")}


def test_a_column_that_is_gone_is_a_fault() -> None:
    builder = ProfileBuilder("a.task", np.random.default_rng(0))
    builder.add_batch(Batch(300, {"noise": np.zeros(300)}, {}))
    assert bad(builder.done()) == {("brightness", "absent"), ("confidence", "absent"), ("language", "absent")}
    found = check(profile(), builder.done())
    assert any("not compared" in note and "brightness" in note for note in found.notes)
    assert found.alarm


def test_windows_without_a_change_seldom_alarm() -> None:
    rng, reference = np.random.default_rng(5), profile(2000)
    alarms = 0
    for _ in range(300):
        builder = ProfileBuilder("a.task", rng)
        values = {"brightness": rng.normal(0.5, 0.1, 200), "contrast": rng.normal(size=200)}
        builder.add_batch(Batch(200, values, {"language": {"en": 180, "fr": 20}}))
        alarms += any(
            one.bad and one.check != "absent" for one in quality(reference, builder.done(), rate=0.05, margin=0)
        )
    assert alarms <= 27  # a binomial of 300 at 0.05 exceeds it once in a hundred


def test_a_check_says_the_same_after_json(tmp_path: Path) -> None:
    found = check(profile(judged=100), profile(light=0.3, seed=1))
    assert found.alarm
    assert found.drifted[:1] == ("brightness",)
    assert found.estimate is not None
    assert found.estimate[1] <= found.estimate[0] <= found.estimate[2]
    assert found.notes[-1].startswith("accuracy is read off confidence")
    assert not any("confidence" in note for note in check(profile(), profile(seed=1)).notes)
    saved = tmp_path / "check.json"
    saved.write_text(json.dumps(found.to_json()))
    again = read_check(saved)
    assert again.to_json() == found.to_json()
    found.report(tmp_path / "one.html")
    again.report(tmp_path / "two.html")
    page = (tmp_path / "one.html").read_text()
    assert page == (tmp_path / "two.html").read_text()
    assert "too dark" in page
    assert "<script" not in page
    assert check(profile(), profile(seed=1)).alarm is False


def test_the_same_window_gets_the_same_check() -> None:
    reference, window = profile(), profile(seed=1)
    assert check(reference, window).to_json() == check(reference, window).to_json()


def test_what_cannot_be_checked_is_refused(tmp_path: Path) -> None:
    other = ProfileBuilder("b.task", np.random.default_rng(0)).done()
    empty = ProfileBuilder("a.task", np.random.default_rng(0)).done()
    with pytest.raises(UsageError, match="must be of one task. Got a.task and b.task"):
        check(profile(), other)
    with pytest.raises(UsageError, match="the window must have answered items"):
        check(profile(), empty)
    with pytest.raises(UsageError, match="rate must lie between 0 and 1. Got 2"):
        check(profile(), profile(), rate=2)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="must be the JSON of a check"):
        read_check(tmp_path / "x.json")


def test_a_page_stays_small_whatever_stands_in_the_columns(tmp_path: Path) -> None:
    builders = [ProfileBuilder("a.task", np.random.default_rng(seed)) for seed in (0, 1)]
    for builder in builders:
        values = {f"<b>column {n} {'x' * 500}": builder.rng.normal(size=60) for n in range(400)}
        words = {f"words {n}": {f"<script>{n} {m} {'y' * 100}": 3 for m in range(20)} for n in range(100)}
        builder.add_batch(Batch(60, values, words))
    check(builders[0].done(), builders[1].done()).report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 100_000 < len(page.encode()) < 2_000_000
    assert "<b>column" not in page
    assert "<script" not in page
    assert "columns more" in page


RULES = """
[[rules]]
name = "dark"
column = "brightness"
statistic = "mean"
below = 0.4
windows = 2
severity = "critical"

[[rules]]
name = "many fail"
statistic = "failed"
above = 0.5
"""


def test_a_rule_fires_after_windows_in_a_row(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    rules = read_rules(tmp_path / "rules.toml", columns=["brightness"])
    reference = profile()
    seen = []
    for seed, light in enumerate((0.3, 0.3, 0.5, 0.3), 1):
        window = profile(light=light, seed=seed)
        alert = check(reference, window, rules=rules).alerts[0]
        again = check(reference, window, rules=rules).alerts[0]
        assert again == alert  # a window that is looked at twice is counted once
        seen.append((alert.row, alert.firing))
    assert seen == [(1, False), (2, True), (0, False), (1, False)]
    assert (tmp_path / "rules.state.json").exists()
    many = check(reference, profile(seed=9, failed=700), rules=rules)
    assert [one.rule for one in many.alerts if one.firing] == ["many fail"]
    (tmp_path / "rules.state.json").write_text("{")
    with pytest.raises(DataError, match="must be the state of alert rules"):
        check(reference, profile(seed=3), rules=rules)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[rules]]\nname = "a"\nstatistic = "mea"\ncolumn = "brightness"\nabove = 1', "Nearest: mean"),
        ('[[rules]]\nname = "a"\nstatistic = "failled"\nabove = 1', "Nearest: failed"),
        ('[[rules]]\nname = "a"\nstatistic = "mean"\ncolumn = "brightnes"\nabove = 1', "Nearest: brightness"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabov = 1', "Nearest: above"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabove = 1\nbelow = 2', "either above or below"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabove = "1"', "above must be a float. Got '1'"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabove = 1\nwindows = true', "windows must be a int"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabove = 1\nseverity = "warn"', "Nearest: warning"),
        ('[[rules]]\nstatistic = "items"\nabove = 1', "rule 1: a rule must have name"),
        ('[[rules]]\nname = "a"\nstatistic = "items"\nabove = 1\n' * 2, "names of their own"),
        ("rules = 3", "must be rows of"),
        ("[[rules]", "must be a TOML file"),
    ],
)
def test_a_malformed_rule_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_rules(tmp_path / "rules.toml", columns=["brightness", "words"])


def test_gauges_are_prometheus_text(tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    write_gauges(check(profile(judged=100), profile(light=0.3, seed=1)), tmp_path / "a.prom", version="2")
    families = {one.name: one for one in parser.text_string_to_metric_families((tmp_path / "a.prom").read_text())}
    alarm = families["triptych_monitoring_alarm"].samples[0]
    assert (alarm.labels, alarm.value) == ({"task": "a.task", "version": "2"}, 1.0)
    dark = [one for one in families["triptych_monitoring_drifted"].samples if one.labels["column"] == "brightness"]
    assert [one.value for one in dark] == [1.0]
    assert {one.labels["end"] for one in families["triptych_monitoring_accuracy"].samples} == {"value", "low", "high"}
    with pytest.raises(UsageError, match="must be a file that can be written"):
        write_gauges(check(profile(), profile(seed=1)), tmp_path / "nowhere" / "a.prom")
