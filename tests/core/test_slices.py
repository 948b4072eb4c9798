"""Slices: planted weaknesses are found and confirmed, noise is not, and the tests are SciPy's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.report import Metric
from shared.evaluation.slice_changes import changed_slices
from shared.evaluation.slices import Slice, Slices, slice_figures, worst_slices
from shared.evaluation.slicing import cut


def items(seed: int, n: int = 2000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    lang, source = rng.choice(["de", "en", "fr"], n), rng.choice(["mail", "web", "chat", "phone"], n)
    return {"lang": lang, "source": source, "length": rng.gamma(2, 10, n)}


def right(seed: int, known: dict[str, np.ndarray], weak: np.ndarray, low: float = 0.5) -> np.ndarray:
    return (np.random.default_rng([seed, 1]).random(len(weak)) < np.where(weak, low, 0.9)).astype(float)


@pytest.mark.parametrize("by", ["sliceline", "effect_size"])
@pytest.mark.parametrize("seed", range(3))
def test_the_planted_pair_is_the_worst_and_the_other_half_says_so(by: str, seed: int) -> None:
    known = items(seed)
    weak = (known["lang"] == "fr") & (known["source"] == "chat")
    found = worst_slices(
        right(seed, known, weak),
        known,
        by=by,
        confirm=True,
        rng=np.random.default_rng(seed),  # type: ignore[arg-type]
    )
    worst, again = found.slices[0], found.confirmed[0]
    assert worst.name == "lang = fr and source = chat"
    assert worst.adjusted_p_value < 1e-4
    assert again is not None
    assert again.conditions == worst.conditions
    assert again.adjusted_p_value < 0.01
    assert again.effect.low < -0.4 < again.effect.high
    assert sorted([*worst.items, *again.items]) == np.flatnonzero(weak).tolist()


def test_noise_is_found_by_the_search_and_not_confirmed() -> None:
    """Over 40 sets without a weak slice few alarms are left after correction, and the held-out effect is about 0."""
    alarms, searched, held = 0, [], []
    for seed in range(40):
        known = items(seed, 600)
        scores = right(seed, known, np.zeros(600, np.bool_))
        found = worst_slices(scores, known, most=1, support=20, confirm=True, rng=np.random.default_rng(seed))
        alarms += found.slices[0].adjusted_p_value < 0.05
        searched.append(found.slices[0].effect.value)
        held.append(found.confirmed[0].effect.value if found.confirmed[0] else 0.0)
    assert alarms <= 5
    assert np.mean(searched) < -0.05
    assert abs(np.mean(held)) < 0.03


@pytest.mark.parametrize("depth", [1, 2])
def test_every_figure_is_that_of_a_loop(depth: int) -> None:
    known, rng = items(3, 300), np.random.default_rng(0)
    scores = rng.normal(size=300)
    scores[::17] = np.nan
    found = worst_slices(scores, known, most=1000, depth=depth, support=5)
    assert found.left_out == 18
    whole = scores[~np.isnan(scores)]
    cuts = [cut(name, values, 300, 4) for name, values in known.items()]
    masks = [one.codes == code for one in cuts for code in range(len(one.conditions))]
    if depth == 2:
        pairs = [(a, b) for at, a in enumerate(cuts) for b in cuts[at + 1 :]]
        codes = [(a, b, range(len(a.conditions)), range(len(b.conditions))) for a, b in pairs]
        masks += [(a.codes == x) & (b.codes == y) for a, b, xs, ys in codes for x, y in product(xs, ys)]
    held = [mask & ~np.isnan(scores) for mask in masks]
    big = [mask for mask in held if 5 <= mask.sum() <= whole.size - 5]
    assert found.tested == len(big)
    assert found.small == len([mask for mask in held if mask.any()]) - len(big)
    wanted = {tuple(np.flatnonzero(mask)): scores[mask].mean() for mask in big}
    worse = {key: mean for key, mean in wanted.items() if mean < whole.mean()}
    assert {tuple(one.items): pytest.approx(one.figure.value) for one in found.slices} == worse
    for one in found.slices:
        inside, outside = scores[one.items], np.delete(scores, one.items)
        outside = outside[~np.isnan(outside)]
        assert one.effect.value == pytest.approx(inside.mean() - outside.mean())
        assert one.p_value == pytest.approx(stats.ttest_ind(inside, outside).pvalue)
        spread = np.sqrt((inside.var() + outside.var()) / 2)
        assert one.effect_size == pytest.approx((inside.mean() - outside.mean()) / spread)
        loss = whole.max() - whole
        score = 0.95 * ((whole.max() - inside).mean() / loss.mean() - 1) - 0.05 * (whole.size / len(one) - 1)
        assert one.score == pytest.approx(score)
        interval = stats.ttest_1samp(inside, 0).confidence_interval(0.95)
        assert (one.figure.low, one.figure.high) == pytest.approx((interval.low, interval.high))
    scored = [one.score for one in found.slices]
    assert scored == sorted(scored, reverse=True)


def test_the_difference_of_two_shares_is_newcombes() -> None:
    """R. Newcombe (1998), table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    scores = np.repeat([1.0, 0.0, 1.0, 0.0], [56, 14, 48, 32])
    found = slice_figures(scores, {"arm": np.repeat(["a", "b"], [70, 80])})
    effect = found.slices[0].effect
    assert (effect.value, effect.low, effect.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_slice_where_everything_fails_is_not_certain() -> None:
    found = slice_figures(np.repeat([0.0, 1.0], [4, 96]), {"kind": np.repeat(["x", "y"], [4, 96])})
    assert found.slices[0].figure.high == pytest.approx(stats.binomtest(0, 4).proportion_ci(method="wilson").high)


@pytest.mark.parametrize("order", [("lang", "place"), ("place", "lang")])
def test_a_place_within_a_language_makes_no_pair_with_it(order: tuple[str, str]) -> None:
    known = {"lang": np.repeat(["de", "fr"], 60), "place": np.repeat(["Ulm", "Kiel", "Lyon", "Nice"], 30)}
    found = worst_slices(np.arange(120.0), {name: known[name] for name in order}, most=99, support=10)
    assert found.tested == 6


def test_a_pair_that_says_no_more_than_its_part_is_left_out() -> None:
    lang = np.repeat(["de", "fr"], 50)
    found = worst_slices(np.repeat([1.0, 0.0], 50), {"lang": lang, "country": lang}, most=9, support=10)
    assert [one.name for one in found.slices] == ["lang = fr", "country = fr"]
    assert found.tested == 4


@pytest.mark.parametrize(
    ("values", "conditions", "codes"),
    [
        ([3.0, 1.0, 2.0, 4.0], ("x < 2.5", "x >= 2.5"), [1, 0, 0, 1]),
        ([1.0, np.nan, 2.0, 3.0], ("x < 2", "x >= 2", "x is missing"), [0, 2, 1, 1]),
        ([0.0, 0.0, 0.0, 5.0], ("x is a number",), [0, 0, 0, 0]),
        ([np.nan] * 4, ("x is a number", "x is missing"), [1, 1, 1, 1]),
        ([7, 7, 8, 8], ("x = 7", "x = 8"), [0, 0, 1, 1]),
        (["b", None, "a", "b"], ("x = a", "x = b", "x is missing"), [1, 2, 0, 1]),
        ([True, False, True, True], ("x = False", "x = True"), [1, 0, 1, 1]),
    ],
)
def test_attributes_are_cut(values: list[object], conditions: tuple[str, ...], codes: list[int]) -> None:
    found = cut("x", values, 4, 2)
    assert (found.conditions, found.codes.tolist()) == (conditions, codes)


def test_whole_numbers_of_many_values_are_cut_at_quantiles() -> None:
    assert cut("x", np.arange(100), 100, 4).conditions == (
        "x < 24.75",
        "24.75 <= x < 49.5",
        "49.5 <= x < 74.25",
        "x >= 74.25",
    )


def test_only_what_changed_is_said_to_have_changed() -> None:
    known = items(7, 900)
    rng = np.random.default_rng(7)
    first = rng.random(900)
    second = first + rng.normal(0, 0.1, 900) - 0.1 * (known["lang"] == "fr")
    first[5] = np.nan
    found = changed_slices(first, second, known, rng=rng, resamples=2000)
    assert found[0].name == "lang = fr"
    assert [one.name for one in found if one.adjusted_p_value < 0.05 and one.apart.high < 0] == ["lang = fr"]
    assert found[0].difference.low < -0.1 < found[0].difference.high
    assert 5 not in np.concatenate([one.items for one in found])
    own, rest = known["lang"] == "fr", known["lang"] != "fr"
    rest[5] = own[5] = False
    apart = (second - first)[own].mean() - (second - first)[rest].mean()
    assert found[0].apart.value == pytest.approx(apart)
    assert found[0].second - found[0].first == pytest.approx(found[0].difference.value)


def test_changes_of_right_and_wrong_have_mcnemars_p_value() -> None:
    lang = np.repeat(["de", "fr"], 40)
    first, second = np.ones(80), np.ones(80)
    second[40:50], first[50:52] = 0, 0
    found = changed_slices(first, second, {"lang": lang}, rng=np.random.default_rng(0), resamples=10)
    assert (found[0].name, found[0].p_value) == ("lang = fr", pytest.approx(stats.binomtest(2, 12).pvalue))
    assert (found[1].difference.value, found[1].p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("scores", "attributes", "options", "match"),
    [
        ([1.0, 0.0], {}, {}, "at least one attribute"),
        ([1.0, 0.0], {"a": ["x"]}, {}, "attribute 'a' must have one value for each of 2 items"),
        ([1.0, np.nan], {"a": ["x", "y"]}, {}, "two finite ones"),
        ([1.0, np.inf], {"a": ["x", "y"]}, {}, "two finite ones"),
        ([1.0, 0.0], {"a": ["x", "y"]}, {"support": 1}, "support=1"),
        ([1.0, 0.0], {"a": ["x", "y"]}, {"depth": 3}, "depth=3"),
        ([1.0, 0.0], {"a": ["x", "y"]}, {"confirm": True}, "needs rng"),
        ([1.0, 0.0], {"a": ["x", "y"]}, {"confirm": True, "rng": np.random.default_rng(0)}, "needs 4 items"),
    ],
)
def test_what_cannot_be_sliced_is_said(
    scores: list[float], attributes: dict[str, list[str]], options: dict[str, object], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        worst_slices(scores, attributes, **options)  # type: ignore[arg-type]


def test_unknown_orders_and_results_that_disagree_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Nearest: sliceline"):
        worst_slices([1.0, 0.0], {"a": ["x", "y"]}, by="slice_line")  # type: ignore[arg-type]
    metric = Metric(0.0, 0.0, 0.0)
    with pytest.raises(UsageError, match="needs conditions and items"):
        Slice((), np.array([0]), metric, metric, 0.0, 0.0, 1.0, 1.0)
    one = Slice((("a", "a = x"),), np.array([0]), metric, metric, 0.0, 0.0, 1.0, 1.0)
    with pytest.raises(UsageError, match="must be confirmed or none"):
        Slices(metric, (one,), 1, 0, 0, (one, one))


def test_equal_figures_have_no_worst_slice() -> None:
    rng = np.random.default_rng(0)
    assert worst_slices(np.full(200, 0.1), items(0, 200)).slices == ()
    assert worst_slices(np.full(200, 0.1), items(0, 200), confirm=True, rng=rng).confirmed == ()
    assert worst_slices(np.arange(20), {"a": np.arange(20) % 2}, support=15).tested == 0


def test_systems_of_other_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="both systems"):
        changed_slices([1.0], [1.0, 2.0], {"a": ["x"]}, rng=np.random.default_rng(0))
