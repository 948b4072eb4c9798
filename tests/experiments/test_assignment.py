"""Who gets which arm: uniform, independent, exclusive, gradual, sticky, and with as little moved as can be."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shared.errors import DataError, UnknownNameError, UsageError
from shared.experiments.allocation import PLACES, cut, recut, state_at
from shared.experiments.assignment import REASONS, Kept, assign, kept, stored_of
from shared.experiments.definition import Arm, Experiment, Holdout, Layer, Plan, Step
from shared.experiments.units import Units, positions, text_of, units

HALVES = (Arm("control", 0.5), Arm("treatment", 0.5))
DIGESTS = [11957940740637538957, 10566683571197309812, 9407870976149377255]
POSITIONS = [0.3009108777452606, 0.15675808978448347, 0.4523897975618252]
MONDAY, FRIDAY = datetime(2026, 3, 2), datetime(2026, 3, 6)


@pytest.fixture(scope="module")
def people() -> Units:
    return units(range(40_000))


def share_of(found: Any, reason: str) -> float:
    return float((found.reasons == REASONS.index(reason)).mean())


# Units.


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("ann", "ann"),
        (7, "7"),
        (np.int64(7), "7"),
        (-(2**70), str(-(2**70))),
        (b"\x00ab", "006162"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (date(2026, 3, 2), "2026-03-02"),
        (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-02T00:00:00+00:00"),
        ((7, ("x", b"a")), r'["7", "[\"x\", \"61\"]"]'),
    ],
)
def test_the_encoding_of_an_id(unit: Any, text: str) -> None:
    assert text_of(unit) == text


@pytest.mark.parametrize(
    "given_ids", [np.array([3, 5], np.int32), np.array(["3", "5"]), ["3", "5"], (3, 5), iter([3, 5])]
)
def test_an_id_is_one_unit_however_it_is_kept(given_ids: Any) -> None:
    assert units(given_ids).digests.tolist() == units([3, 5]).digests.tolist()


def test_tuples_that_differ_have_texts_that_differ() -> None:
    assert len({text_of(one) for one in [("a", "b"), ("a,b",), ("a", "b", "c"), (("a", "b"),)]}) == 4


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["ann", ""], "an id must not be empty. Number 1 of 2 is"),
        (["ann", 5], "ids must be of one kind. Got int, str together"),
        ([1.0], "Got 1.0 .float. instead"),
        ([float("nan")], "Got nan .float. instead"),
        (np.array([1.0, np.nan]), "Got 1.0 .float. instead"),
        ([None], "Got None .NoneType. instead"),
        ([True], "Got True .bool. instead"),
        ([()], "Got .. .tuple. instead"),
        ([datetime(2026, 3, 2)], "must have a zone"),
        (np.array(["2026-03-02"], "M8[ns]"), "must have a zone"),
        (["\udc80"], "text that UTF-8 can hold"),
        ("ann", "put it into a list"),
        (np.zeros((2, 2), int), "ids must have one axis. Got an array of shape .2, 2. instead"),
    ],
)
def test_ids_that_are_none(ids: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        units(ids)


def test_the_hash_stays_what_it_is() -> None:
    """Another value here would throw every running experiment over."""
    of = units(["ann", "bob", "7"])
    assert of.digests.tolist() == DIGESTS
    assert positions(of, "new-page").tolist() == POSITIONS


def test_positions_by_the_arithmetic_of_the_docstring() -> None:
    from hashlib import blake2b

    top = 2**64 - 1

    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & top
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & top
        return x ^ (x >> 31)

    key = blake2b(b"salt", digest_size=16).digest()
    one, two = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    digest = int.from_bytes(blake2b(b"ann", digest_size=8).digest(), "little")
    assert positions(units(["ann"]), "salt")[0] == (mix((mix(digest ^ one) + two) & top) >> 11) / 2**53


@pytest.mark.parametrize(
    "ids", [range(40_000), [f"user-{n}" for n in range(40_000)], [(n, "shop") for n in range(40_000)]]
)
def test_positions_are_uniform_and_those_of_two_salts_independent(ids: Any) -> None:
    of = units(ids)
    one, other = positions(of, "one"), positions(of, "other")
    assert stats.chisquare(np.bincount((one * 100).astype(int), minlength=100)).pvalue > 1e-4
    both = (one * 20).astype(int) * 20 + (other * 20).astype(int)
    assert stats.chisquare(np.bincount(both, minlength=400)).pvalue > 1e-4


def test_positions_of_many_salts_are_uniform_together(people: Units) -> None:
    """By chance alone p-values are uniform: a hash that is a little off pulls them all to one side."""
    of = Units(people.texts[:5000], people.digests[:5000].copy())
    p_values = [
        stats.chisquare(np.bincount((positions(of, f"salt {n}") * 50).astype(int), minlength=50)).pvalue
        for n in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


# Assignment.


def test_arms_get_their_weights_and_units_keep_their_arm(people: Units) -> None:
    arms = (Arm("a", 0.2), Arm("b", 0.3), Arm("c", 0.5))
    found = assign(Experiment("page", arms), people)
    counts = np.bincount(found.codes, minlength=3)
    assert stats.chisquare(counts, np.array([0.2, 0.3, 0.5]) * len(people)).pvalue > 1e-4
    assert found.propensities[:50].tolist() == [arms[code].weight for code in found.codes[:50]]
    again = assign(Experiment("page", arms), [str(n) for n in range(39_999, -1, -1)])
    assert again.codes[::-1].tolist() == found.codes.tolist()


def test_another_salt_draws_anew_and_another_name_alone_does_too(people: Units) -> None:
    codes = [
        assign(Experiment(name, HALVES, salt=salt), people).codes
        for name, salt in [("page", ""), ("other", "page"), ("page", "2"), ("third", "")]
    ]
    assert (codes[0] == codes[1]).all()
    for other in (codes[2], codes[3]):
        assert 0.48 < (codes[0] == other).mean() < 0.52


def test_a_layer_excludes_and_layers_are_independent(people: Units) -> None:
    plan = Plan(
        (
            Experiment("one", HALVES, layer="ranking", traffic=0.1),
            Experiment("two", HALVES, layer="ranking", start=0.1, traffic=0.2),
            Experiment("three", HALVES, layer="ranking", start=0.3, traffic=0.7),  # 0.1 + 0.2 is a little above 0.3
            Experiment("page", HALVES, layer="look", traffic=0.5),
            Experiment("alone", HALVES, traffic=0.5),
            Experiment("beside", HALVES, layer="open", traffic=0.5),
            Experiment("besides", HALVES, layer="open", traffic=0.5),
        ),
        (Layer("ranking"), Layer("look"), Layer("open", exclusive=False)),
    )
    inside = {one.name: assign(plan, people, experiment=one.name).codes >= 0 for one in plan.experiments}
    assert ((inside["one"].astype(int) + inside["two"] + inside["three"]) == 1).all()
    for name, share in [("one", 0.1), ("two", 0.2), ("three", 0.7)]:
        assert inside[name].mean() == pytest.approx(share, abs=0.01)
        codes = assign(plan, people, experiment=name).codes[inside[name]]
        assert codes.mean() == pytest.approx(0.5, abs=0.04)  # the room tells nothing of the arm
    for name, other in [("three", "page"), ("page", "alone"), ("beside", "besides")]:
        both = (inside[name] & inside[other]).mean()
        assert both == pytest.approx(inside[name].mean() * inside[other].mean(), abs=0.01)
    arms = [assign(plan, people, experiment=name).codes for name in ("page", "alone")]
    together = inside["page"] & inside["alone"]
    assert (arms[0] == arms[1])[together].mean() == pytest.approx(0.5, abs=0.03)


def test_holdouts_keep_out_of_every_experiment_that_heeds_them(people: Units) -> None:
    plan = Plan(
        (
            Experiment("one", HALVES),
            Experiment("two", HALVES, holdouts=("small",)),
            Experiment("three", HALVES, holdouts=()),
        ),
        holdouts=(Holdout("global", 0.1), Holdout("small", 0.05)),
    )
    one, two, three = (assign(plan, people, experiment=name) for name in ("one", "two", "three"))
    assert share_of(one, "holdout") == pytest.approx(0.1 + 0.05 - 0.005, abs=0.01)
    assert share_of(two, "holdout") == pytest.approx(0.05, abs=0.01)
    assert share_of(three, "holdout") == 0
    assert ((one.codes == -1) | (two.codes >= 0)).all()
    assert one.propensities[one.codes == -1].max() == 0
    kept_in = one.codes >= 0
    assert np.bincount(one.codes[kept_in]) / kept_in.sum() == pytest.approx([0.5, 0.5], abs=0.015)


def test_a_rollout_only_adds_units_and_none_of_them_changes_arm(people: Units) -> None:
    shares = [0.05, 0.2, 0.2, 1.0]
    steps = tuple(Step(datetime(2026, 3, 2 + n), share) for n, share in enumerate(shares))
    page = Experiment("page", HALVES, steps=steps)
    before = assign(page, people, at=datetime(2026, 3, 1))
    assert share_of(before, "rollout") == 1
    for step in page.steps:
        found = assign(page, people, at=step.at)
        assert (found.codes >= 0).mean() == pytest.approx(step.share, abs=0.01)
        was_in = before.codes >= 0
        assert (found.codes[was_in] == before.codes[was_in]).all()
        assert found.codes[found.codes >= 0].mean() == pytest.approx(0.5, abs=0.05)  # whoever is in, arms are alike
        before = found
    assert (before.codes >= 0).all()


def test_a_wider_room_only_adds_units(people: Units) -> None:
    narrow, wide = (
        assign(Plan((Experiment("page", HALVES, layer="l", start=0.2, traffic=t),), (Layer("l"),)), people).codes
        for t in (0.3, 0.6)
    )
    assert (wide[narrow >= 0] == narrow[narrow >= 0]).all()
    assert (wide >= 0).mean() == pytest.approx(0.6, abs=0.01)


def test_times_without_a_zone_are_utc_and_a_step_begins_at_its_moment() -> None:
    page = Experiment("page", HALVES, steps=(Step(datetime(2026, 3, 2, 12), 1.0),))
    from datetime import timedelta, timezone

    noon_in_utc = datetime(2026, 3, 2, 14, tzinfo=timezone(timedelta(hours=2)))
    assert state_at(page, noon_in_utc).share == 1
    assert assign(page, ["ann"], at=noon_in_utc - timedelta(seconds=1)).codes[0] == -1
    assert assign(page, ["ann"], at=datetime(2026, 3, 2, 12)).codes[0] >= 0


# Weights that change.

WEIGHTS = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any).map(lambda n: [one / sum(n) for one in n])


@given(st.lists(WEIGHTS, min_size=2, max_size=5))
@settings(max_examples=60, deadline=None, database=None)
def test_other_weights_move_exactly_what_they_must(history: list[list[float]]) -> None:
    slices = cut(history[0])
    for before, after in pairwise(history):
        new = recut(slices, after)
        assert new[0].low == 0
        assert new[-1].high == PLACES
        assert all(a.high == b.low for a, b in pairwise(new))
        sizes = [sum(s.high - s.low for s in new if s.arm == arm) / PLACES for arm in range(4)]
        assert sizes == pytest.approx(after, abs=1e-15)
        stayed = sum(max(0, min(a.high, b.high) - max(a.low, b.low)) for a in slices for b in new if a.arm == b.arm)
        variation = sum(abs(x - y) for x, y in zip(before, after)) / 2
        assert 1 - stayed / PLACES == pytest.approx(variation, abs=1e-14)
        slices = new


def test_units_move_only_out_of_arms_that_lose_into_arms_that_gain(people: Units) -> None:
    page = Experiment(
        "page",
        (Arm("a", 1 / 3), Arm("b", 1 / 3), Arm("c", 1 / 3), Arm("d", 0.0)),
        steps=(Step(FRIDAY, weights={"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.1}),),
    )
    before, after = assign(page, people, at=MONDAY), assign(page, people, at=FRIDAY)
    moved = before.codes != after.codes
    assert moved.mean() == pytest.approx(0.5 - 1 / 3 + 0.1, abs=0.01)
    assert set(zip(before.codes[moved].tolist(), after.codes[moved].tolist())) <= {(1, 0), (1, 3), (2, 0), (2, 3)}
    assert np.bincount(after.codes) / len(people) == pytest.approx([0.5, 0.3, 0.1, 0.1], abs=0.01)
    assert after.propensities[after.codes == 2].tolist()[0] == 0.1


def test_a_stored_arm_wins_over_weights_holdouts_and_rooms(people: Units) -> None:
    first = Experiment("page", HALVES, sticky=True)
    stored = kept(assign(first, range(1000)))
    later = Plan(
        (Experiment("page", (Arm("control", 0.0), Arm("treatment", 1.0)), traffic=0.5, sticky=True),),
        holdouts=(Holdout("global", 0.3),),
    )
    found = assign(later, people, stored=stored)
    assert [found.arms[code] for code in found.codes[:1000]] == [stored[str(n)].arm for n in range(1000)]
    assert set(found.propensities[:1000].tolist()) == {0.5}
    assert share_of(found, "stored") == 1000 / len(people)
    assert set(found.codes[1000:].tolist()) == {-1, 1}


def test_a_stored_arm_that_is_gone_is_drawn_anew() -> None:
    page = Experiment("page", HALVES, sticky=True)
    found = assign(page, ["ann", "bob"], stored={"ann": Kept("removed", 0.2), "eve": Kept("control", 0.5)})
    assert found.codes.tolist() == assign(page, ["ann", "bob"]).codes.tolist()
    assert share_of(found, "assigned") == 1


def test_rows_go_out_and_come_back_as_stored() -> None:
    page = Experiment("page", HALVES, traffic=0.5, sticky=True)
    found = assign(page, range(200))
    rows = list(found.rows())
    assert rows[0].keys() == {"unit", "experiment", "arm", "propensity", "reason"}
    assert {row["arm"] for row in rows} == {"control", "treatment", None}
    assert stored_of(rows, "page") == kept(found)
    assert stored_of(rows, "other") == {}
    with pytest.raises(UsageError, match="must have unit, experiment, arm and propensity"):
        stored_of([{"experiment": "page", "unit": "ann"}], "page")
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\]. Got 0 instead"):
        Kept("control", 0)


def test_no_ids_give_no_rows() -> None:
    found = assign(Experiment("page", HALVES), [])
    assert len(found) == 0
    assert list(found.rows()) == []


# What is refused.


def experiment(**changes: Any) -> Experiment:
    return Experiment(**{"name": "page", "arms": HALVES} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": (Arm("a", 0.5), Arm("a", 0.5))}, "arms of experiment 'page' must have each name once. Got 'a'"),
        ({"arms": (Arm("a", 0.5), Arm("b", 0.4))}, "must sum to 1. Got 0.5 . 0.4 = 0.9 instead"),
        ({"arms": (Arm("a", 1.0),)}, "at least 2 arms. Got 1 instead"),
        ({"name": ""}, "printable name without spaces around it. Got '' instead"),
        ({"name": "page\n"}, "printable name"),
        ({"traffic": 0.0}, "traffic above 0"),
        ({"traffic": float("nan")}, r"traffic of experiment 'page' must be a number in \[0, 1\]. Got nan instead"),
        ({"start": 0.5, "traffic": 0.6}, "start . traffic at most 1. Got start=0.5 and traffic=0.6"),
        ({"steps": (Step(FRIDAY, 0.1), Step(MONDAY, 0.2))}, "must follow one another in time"),
        ({"steps": (Step(MONDAY, 0.2), Step(FRIDAY, 0.1))}, "must not fall, for that would throw units out"),
        ({"steps": (Step(MONDAY, weights={"control": 1.0}),)}, "gives none to treatment"),
        ({"steps": (Step(MONDAY, weights={"control": 0.6, "treatment": 0.6}),)}, "must sum to 1"),
        ({"steps": (Step(MONDAY, weights={"controll": 0.6, "treatment": 0.6}),)}, "Nearest: control"),
    ],
)
def test_an_experiment_is_checked_at_birth(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        experiment(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Arm("a", float("nan")), "Got nan instead"),
        (lambda: Arm("a", True), "Got True instead"),
        (lambda: Arm("a", -0.1), "Got -0.1 instead"),
        (lambda: Holdout("h", 2.0), "Got 2.0 instead"),
        (lambda: Layer(" l"), "without spaces around it"),
        (lambda: Step(MONDAY), "must change share or weights"),
        (lambda: Step("monday", 0.5), "must be a datetime. Got 'monday'"),  # type: ignore[arg-type]
    ],
)
def test_parts_are_checked_at_birth(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Plan((experiment(), experiment(salt="2"))), UsageError, "experiments must have each name once"),
        (lambda: Plan((experiment(), experiment(name="b", salt="page"))), UsageError, "would be drawn alike"),
        (lambda: Plan((experiment(layer="rankin"),), (Layer("ranking"),)), UnknownNameError, "Nearest: ranking"),
        (
            lambda: Plan((experiment(holdouts=("all",)),)),
            UnknownNameError,
            "no holdout .of experiment 'page'. is called",
        ),
        (lambda: Plan((experiment(start=0.2, traffic=0.5),)), UsageError, "Got start=0.2: leave it out"),
        (
            lambda: Plan(
                (experiment(layer="l", traffic=0.6), experiment(name="b", layer="l", start=0.5, traffic=0.5)),
                (Layer("l"),),
            ),
            UsageError,
            "'page' has 0 to 0.6 and 'b' begins at 0.5",
        ),
    ],
)
def test_a_plan_is_checked_at_birth(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_what_assign_refuses() -> None:
    plan = Plan((experiment(), experiment(name="shelf")))
    with pytest.raises(UnknownNameError, match="no experiment is called 'shelv'. Nearest: shelf"):
        assign(plan, ["ann"], experiment="shelv")
    with pytest.raises(UsageError, match="say which experiment: there are 2: page, shelf"):
        assign(plan, ["ann"])
    with pytest.raises(UsageError, match="say the moment"):
        assign(experiment(steps=(Step(MONDAY, 0.5),)), ["ann"])
    with pytest.raises(UsageError, match="only in a sticky experiment"):
        assign(experiment(), ["ann"], stored={})
    with pytest.raises(DataError, match="of one kind"):
        assign(experiment(), ["ann", 5])
