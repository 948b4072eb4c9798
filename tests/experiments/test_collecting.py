"""From tables to moments: every rule for rows that are not as they should be."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.collecting import Collected, collect
from shared.experiments.history import weeks_of
from shared.experiments.joining import joined, joined_within
from shared.experiments.metrics import Metric, estimate
from shared.experiments.rows import Layout
from shared.experiments.sources import open_table

pl = pytest.importorskip("polars")

LAYOUT = Layout("user", "arm", ("a", "b"), ("land",))
SPEND = Metric("spend", "mean", "spend")


def events(users: int = 60, rows: int = 400) -> Any:
    rng = np.random.default_rng(0)
    user = rng.integers(0, users, rows)
    return pl.DataFrame(
        {
            "user": [f"u{u}" for u in user],
            "arm": np.where(user % 2, "a", "b"),
            "land": np.array(["de", "fr", "us"])[user % 3],
            "spend": rng.normal(size=rows) + 1e6,
            "views": rng.integers(1, 5, rows),
            "bought": rng.integers(0, 2, rows),
            "before": (user * 7 % 11).astype(float),
            "day": rng.integers(0, 20, rows),
        }
    )


def small(**columns: list[Any]) -> Any:
    """Four users with one row each, two an arm."""
    held = {"user": ["p", "q", "r", "s"], "arm": ["a", "a", "b", "b"], "spend": [1.0, 2.0, 3.0, 5.0]}
    return pl.DataFrame(held | columns)


METRICS = (
    Metric("spend", "mean", "spend", covariates=("before",)),
    Metric("ctr", "ratio", "bought", denominator="views"),
    Metric("bought", "proportion", "bought"),
    Metric("week", "retention", "day", window=(7, 13)),
    Metric("p90", "quantile", "spend", quantile=0.9),
)


def test_units_are_aggregated_before_anything_is_averaged() -> None:
    frame = events()
    found = collect(frame, LAYOUT, METRICS)
    by_unit = frame.group_by("user").agg(
        pl.first("arm", "land", "before"),
        pl.sum("spend", "views"),
        clicks=pl.sum("bought"),
        bought=pl.max("bought"),
        week=pl.col("day").is_between(7, 13).any(),
    )
    assert (found.rows, sum(found.units.values())) == (400, len(by_unit))
    for arm in "ab":
        units = by_unit.filter(pl.col("arm") == arm)
        spend = found.moments["spend"][arm]
        assert spend.mean.tolist() == pytest.approx([units["spend"].mean(), units["before"].mean(), 0.0])
        assert spend.covariance[0, 1] == pytest.approx(units.select(pl.cov("spend", "before")).item())
        ctr = estimate(METRICS[1], found.moments["ctr"][arm])
        assert ctr.value == pytest.approx(units["clicks"].sum() / units["views"].sum())
        assert found.moments["bought"][arm].mean[0] == pytest.approx(units["bought"].mean())
        assert found.moments["week"][arm].mean[0] == pytest.approx(units["week"].mean())
        rows = frame.filter(pl.col("arm") == arm)["spend"]
        assert found.quantiles["p90"][arm].value == pytest.approx(rows.quantile(0.9, "linear"))
        french = units.filter(pl.col("land") == "fr")
        assert found.segments["land"]["fr"]["spend"][arm].n == len(french)
        assert found.segments["land"]["fr"]["spend"][arm].mean[0] == pytest.approx(french["spend"].mean())


def same(one: Collected, other: Collected) -> None:
    assert (one.rows, one.units, one.quantiles, one.dropped) == (
        other.rows,
        other.units,
        other.quantiles,
        other.dropped,
    )
    for name, arms in one.moments.items():
        for arm, moments in arms.items():
            np.testing.assert_allclose(moments.products, other.moments[name][arm].products, rtol=1e-7, atol=1e-6)


def test_parts_of_units_give_what_the_whole_gives() -> None:
    same(collect(events(), LAYOUT, METRICS), collect(events(), LAYOUT, METRICS, memory=20_000))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl", "folder"])
def test_files_give_what_frames_give(tmp_path: Path, suffix: str) -> None:
    frame, path = events(), tmp_path / f"events.{suffix}"
    if suffix == "folder":
        path.mkdir()
        frame[:150].write_parquet(path / "a.parquet")
        frame[150:].write_parquet(path / "b.parquet")
    elif suffix in ("csv", "tsv"):
        frame.write_csv(path, separator="\t" if suffix == "tsv" else ",")
    else:
        getattr(frame, {"parquet": "write_parquet", "jsonl": "write_ndjson"}[suffix])(path)
    same(collect(frame, LAYOUT, METRICS), collect(path, LAYOUT, METRICS))


def test_frames_of_other_libraries() -> None:
    wanted = collect(events(), LAYOUT, METRICS)
    for frame in (events().to_arrow(), events().to_pandas(), events().lazy()):
        same(wanted, collect(frame, LAYOUT, METRICS))
    with pytest.raises(UsageError, match="a path or a frame"):
        open_table([1, 2])


def test_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,arm,spend\n01,0,1\n1,0,2\n2,1,3\n3,1,4.5\n", "utf-8")
    found = collect(tmp_path / "t.csv", Layout("user", "arm", ("0", "1")), [SPEND])
    assert found.units == {"0": 2, "1": 2}
    assert found.moments["spend"]["1"].mean[0] == 3.75


@pytest.mark.parametrize(
    ("frame", "metric", "said"),
    [
        (small(arm=["a", "a", "a", "a"]), SPEND, "arm 'b' must have units"),
        (small(arm=["a", "a", "b", "c"]), SPEND, "1 rows hold others, 'c' first"),
        (small(arm=["a", "a", "b", None]), SPEND, "value in column 'arm'. 1 of 4"),
        (small(user=["p", "q", "r", None]), SPEND, "value in column 'user'. 1 of 4"),
        (small(user=["p", "q", "q", "s"]), SPEND, "1 units are in several, 'q' first"),
        (small(spend=[1.0, None, 3.0, 4.0]), SPEND, "1 have none or NaN"),
        (small(spend=[1.0, float("nan"), 3.0, 4.0]), SPEND, "1 have none or NaN"),
        (small(spend=[1.0, float("inf"), 3.0, 4.0]), SPEND, "must hold finite numbers. 1 rows"),
        (small(spend=["1", "2", "3", "4"]), SPEND, "must hold numbers. It holds String"),
        (small(), Metric("m", "mean", "money"), "must have the columns money. It has user, arm, spend"),
        (small(), Metric("m", "proportion", "spend"), "must hold 0 and 1. 3 rows"),
        (small().clear(), SPEND, "must have rows. It has none"),
        (small(), Metric("m", "quantile", "spend", quantile=0.9), "too few rows lie beyond"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(frame: Any, metric: Metric, said: str) -> None:
    with pytest.raises(DataError, match=said):
        collect(frame, Layout("user", "arm", ("a", "b")), [metric])


def test_what_must_not_change_within_a_unit() -> None:
    frame = small(user=["p", "p", "r", "s"], land=["x", "y", "x", "x"], before=[1.0, 2.0, 3.0, 4.0])
    with pytest.raises(DataError, match="segment 'land' must be the same in all rows of a unit. It changes in 1, 'p'"):
        collect(frame, LAYOUT, [SPEND])
    with pytest.raises(DataError, match="covariate 'before' must be the same"):
        collect(frame, Layout("user", "arm", ("a", "b")), [Metric("m", "mean", "spend", covariates=("before",))])


def test_a_segment_of_ids_is_refused() -> None:
    frame = pl.DataFrame({"user": range(300), "arm": ["a", "b"] * 150, "spend": [1.0] * 300, "land": range(300)})
    with pytest.raises(DataError, match="at most 200 levels"):
        collect(frame, LAYOUT, [SPEND])


def test_missing_values_by_rule() -> None:
    frame = small(spend=[1.0, None, 3.0, 5.0], land=[None, "x", "x", "x"])
    zero = collect(frame, LAYOUT, [Metric("m", "mean", "spend", missing="zero")])
    assert zero.moments["m"]["a"].mean[0] == 0.5
    drop = collect(frame, LAYOUT, [Metric("m", "mean", "spend", missing="drop")])
    assert (drop.moments["m"]["a"].n, drop.dropped["m"]) == (1, {"a": 1, "b": 0})
    assert set(drop.segments["land"]) == {"(missing)", "x"}


def test_units_in_several_arms_can_be_left_out_but_not_beside_rows() -> None:
    frame = pl.concat([small(), small(arm=["b", "a", "b", "b"])])
    found = collect(frame, Layout("user", "arm", ("a", "b"), crossed="drop"), [SPEND])
    assert (found.crossed, found.units) == (1, {"a": 1, "b": 2})
    with pytest.raises(UsageError, match="cannot be had with a quantile"):
        collect(frame, Layout("user", "arm", ("a", "b"), crossed="drop"), [METRICS[-1]])


def test_retention_leaves_out_who_was_not_observed_long_enough() -> None:
    frame = small(day=[8, 1, 9, None], seen=[13, 12, 20, 13])
    metric = Metric("week", "retention", "day", window=(7, 13), observed="seen")
    found = collect(frame, Layout("user", "arm", ("a", "b")), [metric])
    assert [found.moments["week"][arm].n for arm in "ab"] == [1, 2]
    assert [found.moments["week"][arm].mean[0] for arm in "ab"] == [1.0, 0.5]
    assert found.waiting["week"] == {"a": 1, "b": 0}
    assert found.dropped["week"] == {"a": 0, "b": 0}


def test_a_missing_covariate_costs_nothing() -> None:
    found = collect(
        small(before=[1.0, None, 3.0, 4.0]),
        Layout("user", "arm", ("a", "b")),
        [Metric("m", "mean", "spend", covariates=("before",))],
    )
    assert found.moments["m"]["a"].mean.tolist() == [1.5, 0.5, 0.5]


def test_a_quantile_of_rows_is_as_sure_as_its_units_are() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=60_000))
    once = pl.DataFrame({"user": range(60_000), "arm": ["a", "b"] * 30_000, "spend": values})
    metric = Metric("median", "quantile", "spend", quantile=0.5)
    layout = Layout("user", "arm", ("a", "b"))
    one = collect(once, layout, [metric]).quantiles["median"]["a"]
    # sd of a median: 1 / (2 f sqrt(n)), with the density of a standard lognormal at 1
    assert one.variance == pytest.approx(2 * np.pi / 4 / 30_000, rel=0.15)
    thrice = collect(pl.concat([once] * 3), layout, [metric]).quantiles["median"]["a"]
    assert (thrice.n, thrice.value) == (30_000, pytest.approx(one.value))
    assert thrice.variance == pytest.approx(one.variance, rel=0.02), "the same rows again tell nothing"


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no")
    (tmp_path / "t.xlsx").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    for name, said in [
        ("none.csv", "must exist"),
        ("bad.parquet", "must be a table"),
        ("t.xlsx", "must end in one of"),
        ("empty", "holds none"),
    ]:
        with pytest.raises(DataError, match=said):
            open_table(tmp_path / name)


def test_events_are_joined_to_exposures_from_the_first_on() -> None:
    day = [dt.datetime(2026, 1, n, 12) for n in range(1, 12)]
    shown = pl.DataFrame(
        {"user": ["u", "u", "v", "w"], "arm": ["a", "a", "b", "a"], "seen": [day[3], day[1], day[0], day[0]]}
    )
    bought = pl.DataFrame(
        {"user": ["u", "u", "v", "x"], "at": [day[0], day[9], day[2], day[2]], "spend": [9.0, 2.0, 3.0, 7.0]}
    )
    both = joined(shown, bought, unit="user", arm="arm", exposed_at="seen", at="at").collect().sort("user")
    assert both.select("user", "arm", "spend", "days_since_exposure").rows() == [
        ("u", "a", 2.0, 8),
        ("v", "b", 3.0, 2),
        ("w", "a", None, None),
    ]
    written = shown.with_columns(pl.col("seen").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    text = joined(written, bought, unit="user", arm="arm", exposed_at="seen", at="at")
    assert text.collect().sort("user").equals(both)
    with pytest.raises(DataError, match="'spend' must hold dates or times"):
        joined(shown, bought, unit="user", arm="arm", exposed_at="seen", at="spend")


def test_a_unit_exposed_in_two_arms_is_found_after_the_join() -> None:
    day = dt.datetime(2026, 1, 1)
    shown = pl.DataFrame({"user": ["u", "u", "v"], "arm": ["a", "b", "b"], "seen": [day, day, day]})
    later = shown.with_columns(seen=pl.Series([day, day + dt.timedelta(days=1), day]))
    bought = pl.DataFrame({"user": ["u"], "at": [day], "spend": [1.0]})
    for exposures in (shown, later):
        table = joined(exposures, bought, unit="user", arm="arm", exposed_at="seen", at="at")
        with pytest.raises(DataError, match="1 units are in several, 'u' first"):
            collect(table, Layout("user", "arm", ("a", "b")), [Metric("m", "mean", "spend", missing="zero")])


def test_a_join_in_parts_gives_what_one_at_once_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    day = pl.lit(dt.datetime(2026, 1, 1))
    shown = pl.DataFrame({"user": rng.integers(0, 300, 900), "hour": rng.integers(0, 400, 900)})
    shown = shown.select("user", arm=pl.col("user") % 2, seen=day + pl.duration(hours="hour"), land=pl.col("user") % 3)
    done = pl.DataFrame({"user": rng.integers(0, 400, 2000), "hour": rng.integers(0, 700, 2000)})
    done = done.select("user", at=day + pl.duration(hours="hour"), spend=pl.col("hour") * 0.5)
    for name, frame in (("shown", shown), ("done", done)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    names = {"unit": "user", "arm": "arm", "exposed_at": "seen", "at": "at"}
    paths = tmp_path / "shown.parquet", tmp_path / "done.parquet"
    order = ["user", "days_since_exposure", "spend"]
    wanted = joined(*paths, **names).collect().sort(order)
    with joined_within(*paths, **names, memory=1 << 30) as whole:
        assert whole.collect().sort(order).equals(wanted)
    with joined_within(*paths, **names, memory=40_000) as folder:
        files = sorted(folder.iterdir())
        parts = [pl.read_parquet(one) for one in files]
        assert pl.concat(parts).sort(order).equals(wanted)
    assert len(files) >= 8
    assert max(map(len, parts)) < len(wanted) / 4, "each part holds its share and no more"
    assert sum(part["user"].n_unique() for part in parts) == wanted["user"].n_unique()
    assert not folder.exists()


def test_until_says_which_days_are_over() -> None:
    start = dt.datetime(2026, 1, 1, 12)
    hours = [0, 23, 24, 48]
    shown = pl.DataFrame(
        {"user": list("uvwx"), "arm": list("abab"), "seen": [start - dt.timedelta(hours=h) for h in hours]}
    )
    bought = pl.DataFrame({"user": ["u"], "at": [start + dt.timedelta(days=9)], "spend": [1.0]})
    by_last = join(shown, bought).collect().sort("user")["days_observed"].to_list()
    assert by_last == [8, 8, 9, 10]
    zoned = dt.datetime(2026, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert join(shown, bought, until=zoned).collect().sort("user")["days_observed"].to_list() == [-1, -1, 0, 1]


def join(shown: Any, done: Any, **options: Any) -> Any:
    return joined(shown, done, unit="user", arm="arm", exposed_at="seen", at="at", **options)


def test_joins_that_would_lose_or_mix_rows_are_refused() -> None:
    day = dt.datetime(2026, 1, 1)
    shown = pl.DataFrame({"user": ["u", "v"], "arm": ["a", "b"], "seen": [day, day]})
    bought = pl.DataFrame({"user": ["u", "v"], "at": [day, day], "spend": [1.0, 2.0], "arm": ["x", "x"]})
    assert join(shown, bought).collect().sort("user")["arm"].to_list() == ["a", "b"]
    for frames, said in [
        ((shown.with_columns(spend=1.0), bought), "Both have spend"),
        ((shown.with_columns(user=pl.Series(["u", None])), bought), "every row of the exposures .* 1 have none"),
        ((shown, bought.with_columns(at=pl.Series([day, None]))), "every row of the events .* 1 have none"),
        ((shown.with_columns(experiment=pl.Series(["one", "two"])), bought), "several experiments: one, two"),
    ]:
        with pytest.raises(DataError, match=said):
            join(*frames)


def test_one_experiment_of_a_log_of_several() -> None:
    day = dt.datetime(2026, 1, 1)
    shown = pl.DataFrame(
        {"user": [7, 7, 8], "arm": ["a", "x", "b"], "seen": [day] * 3, "experiment": ["one", "two", "one"]}
    )
    bought = pl.DataFrame({"user": ["7", "8"], "at": [day, day], "spend": [1.0, 2.0]})
    both = join(shown, bought, experiment="one").collect().sort("user")
    assert both.select("user", "arm", "spend").rows() == [("7", "a", 1.0), ("8", "b", 2.0)]
    with pytest.raises(UnknownNameError, match="no experiment of the exposures is called 'onne'. Nearest: one"):
        join(shown, bought, experiment="onne")


def test_a_log_of_sealed_parts_and_lines_is_read_whole(tmp_path: Path) -> None:
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    pl.DataFrame({"user": ["u"], "arm": ["a"], "seen": [day]}).write_parquet(tmp_path / "part-00000.parquet")
    (tmp_path / "part-00000.jsonl").write_text(
        '{"user": "u", "arm": "a", "seen": "2026-01-01T00:00:00+00:00"}\n', "utf-8"
    )
    (tmp_path / "part-00001.jsonl").write_text(
        '{"user": "v", "arm": "b", "seen": "2026-01-02T00:00:00+00:00"}\n{"user": "w", "ar', "utf-8"
    )
    found = open_table(tmp_path).collect().sort("user")
    assert found.rows() == [("u", "a", day), ("v", "b", day + dt.timedelta(days=1))]
    (tmp_path / "more.csv").write_text("user\n", "utf-8")
    with pytest.raises(DataError, match="It holds more.csv"):
        open_table(tmp_path)


def history() -> Any:
    """Six weeks: 100 users a week of 150, each spending near its own mean."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(4, 2, 150)
    rows = [
        (f"u{u}", dt.date(2026, 1, 1) + dt.timedelta(days=7 * w + int(rng.integers(0, 7) * (w + u > 0))), mean[u])
        for w in range(6)
        for u in rng.permutation(150)[:100]
    ]
    rows.append(("late", dt.date(2026, 1, 1) + dt.timedelta(days=41), 1.0))
    rows.append(("first", dt.date(2026, 1, 1), 1.0))
    return pl.DataFrame(rows, schema=["user", "day", "spend"], orient="row")


def test_a_history_counts_units_and_what_the_past_explains() -> None:
    found = weeks_of(history(), SPEND, unit="user", time="day", weeks=3, before=3)
    assert 95 <= found.units[0] <= 110
    assert list(found.units) == sorted(found.units)
    assert found.baselines[0].mean < found.baselines[2].mean
    assert all(0.3 < base.correlation < 0.95 for base in found.baselines)
    assert all(base.correlation == 0 for base in weeks_of(history(), SPEND, unit="user", time="day", weeks=2).baselines)


def test_a_history_that_is_too_short_is_refused() -> None:
    with pytest.raises(DataError, match="must cover 8 weeks .* It covers 42 days"):
        weeks_of(history(), SPEND, unit="user", time="day", weeks=5, before=3)
    with pytest.raises(UsageError, match="a mean, a proportion or a ratio"):
        weeks_of(history(), METRICS[-1], unit="user", time="day", weeks=1)
