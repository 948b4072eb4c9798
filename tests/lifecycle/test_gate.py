"""The promotion gate: what passes, what refuses, and that all reasons come at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gate_toys as toys
import numpy as np
import pytest

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.report import Metric
from shared.lifecycle.gates import Contender, Judgement, judge
from shared.lifecycle.latency import Latency, compared_latency, first_items
from shared.lifecycle.rules import Rules, rules_of

N = 400


def right(share: float, n: int = N) -> np.ndarray[Any, Any]:
    return (np.arange(n) < share * n).astype(float)


def gate(challenger: Contender, champion: Contender | None, timed: Any = None, **table: Any) -> Judgement:
    return judge(challenger, champion, rules=rules_of(table), rng=np.random.default_rng(0), latency=timed)


def rule(found: Judgement, name: str) -> bool:
    return {ruling.rule: ruling.held for ruling in found.rulings}[name]


ACCURACY = {"accuracy": {"need": "not worse", "margin": 0.02}}


@pytest.mark.parametrize(
    ("champion", "challenger", "asked", "held"),
    [
        (0.80, 0.80, {"need": "not worse", "margin": 0.02}, True),  # none of 400 differs, and 150 would do
        (0.80, 0.80, {"need": "not worse", "margin": 0.005}, False),  # 600 would do
        (0.80, 0.79, {"need": "not worse", "margin": 0.015}, False),  # the interval reaches beyond the margin
        (0.80, 0.79, {"need": "not worse", "margin": 0.03}, True),
        (0.80, 0.86, {"need": "not worse", "margin": 0.02}, True),
        (0.80, 0.86, {"need": "better"}, True),
        (0.80, 0.81, {"need": "better"}, False),  # 4 of 400: p = 0.125
        (0.80, 0.74, {"need": "better"}, False),  # surely different, and worse
        (0.80, 0.86, {"floor": 0.80}, True),
        (0.80, 0.82, {"floor": 0.80}, False),  # the value is above, its lower end is not
    ],
)
def test_one_figure(tmp_path: Path, champion: float, challenger: float, asked: dict[str, Any], held: bool) -> None:
    one = toys.contender(tmp_path, "toy/1", right(champion))
    other = toys.contender(tmp_path, "toy/2", right(challenger))
    found = gate(other, one, figures={"accuracy": asked})
    assert found.passed is held
    assert bool(found.reasons) is not held


def test_better_is_corrected_over_the_figures_that_must_be(tmp_path: Path) -> None:
    # 6 of 400 gained, none lost: p = 0.03125 alone, 0.0625 beside another such figure.
    before, after = right(0.80), right(0.815)
    one = toys.contender(tmp_path, "toy/1", before, more={"other": before})
    other = toys.contender(tmp_path, "toy/2", after, more={"other": after})
    alone = gate(other, one, figures={"accuracy": {"need": "better"}})
    assert alone.passed
    assert "p = 0.031" in alone.rulings[-1].said
    both = gate(other, one, figures={"accuracy": {"need": "better"}, "other": {"need": "better"}})
    assert len(both.reasons) == 2
    assert "p = 0.062" in both.reasons[0]


def test_without_rules_the_first_figure_must_not_be_worse(tmp_path: Path) -> None:
    one = toys.contender(tmp_path, "toy/1", right(0.8))
    assert gate(toys.contender(tmp_path, "toy/2", right(0.8)), one).passed
    assert "accuracy may be worse by 0.01" in gate(toys.contender(tmp_path, "toy/3", right(0.7)), one).reasons[0]


def test_all_reasons_come_at_once(tmp_path: Path) -> None:
    kinds = np.repeat(["x", "y"], N // 2)
    before = np.ones(N)
    after = np.where(kinds == "y", np.arange(N) % 2, 1.0)
    one = toys.contender(tmp_path, "toy/1", before, kind=kinds)
    other = toys.contender(
        tmp_path, "toy/2", after, kind=kinds, size=5000, card_licence="AGPL-3.0", card_opt_in="AGPL-3.0",
        card_options={"labels": ["a", "b"]},
    )  # fmt: skip
    slow = Latency(0.001, 0.003, Metric(3.0, 2.9, 3.1), 50, 3)
    found = gate(
        other,
        one,
        lambda: slow,
        items=1000,
        figures={"accuracy": {"need": "not worse", "margin": 0.02, "floor": 0.9}},
        slices={"floor": 0.6, "floors": {"kind = y": 0.9, "kind = z": 0.1}},
        size={"ratio": 2.0, "megabytes": 0.001},
        licence={"allowed": ["MIT"]},
        latency={"ratio": 1.5},
    )
    assert not found.passed
    refused = {ruling.rule for ruling in found.rulings if not ruling.held}
    assert refused == {
        "items", "licence", "floor of accuracy", "figure accuracy", "slices, floor", "slice kind = y",
        "slice kind = z", "slices, loss", "size", "size beside the champion", "latency",
    }  # fmt: skip
    said = "\n".join(found.reasons)
    for part in ("400 items, and 1000", "its licence is AGPL-3.0", "only be chosen by name", "kind = y 0.5000",
                 "slice kind = z must have 30 items", "3.0000 [2.9000, 3.1000] of the champion's time"):  # fmt: skip
        assert part in said
    assert found.to_json()["verdict"] == "refuse"


def test_slices_that_only_seem_worse_do_not_refuse(tmp_path: Path) -> None:
    kinds = np.repeat([f"k{n}" for n in range(10)], N // 10)
    before = right(0.8)
    after = before.copy()
    after[:2] = 0  # two of forty: p = 0.5 in that slice
    after[-8:-6] = 1
    one, other = (toys.contender(tmp_path, f"toy/{n}", r, kind=kinds) for n, r in enumerate((before, after)))
    found = gate(other, one, figures={"accuracy": {"need": "not worse", "margin": 0.02}}, slices={"floor": 0.2})
    assert rule(found, "slices, loss")
    assert not rule(found, "slices, floor")  # two kinds were never right
    assert rule(gate(other, one, figures=ACCURACY, slices={"floor": 0.0}), "slices, floor")


def test_a_drop_allows_some_loss(tmp_path: Path) -> None:
    kinds = np.repeat(["x", "y"], N // 2)
    after = np.where((kinds == "y") & (np.arange(N) % 10 == 0), 0.0, 1.0)
    one, other = (toys.contender(tmp_path, f"toy/{n}", r, kind=kinds) for n, r in enumerate((np.ones(N), after)))
    figures = {"accuracy": {"need": "not worse", "margin": 0.2}}
    assert not gate(other, one, figures=figures).passed
    assert gate(other, one, figures=figures, slices={"drop": 0.1}).passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card_task": "test.other"}, "the champion's task is test.right, the challenger's test.other"),
        ({"card_options": {"labels": ["a", "c", "d"]}}, "it lacks b and adds c, d"),
    ],
)
def test_another_task_or_other_labels_are_not_compared(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    one = toys.contender(tmp_path, "toy/1", right(0.8))
    other = toys.contender(tmp_path, "toy/2", right(0.9), **changes)
    found = gate(other, one)
    assert found.compared is None
    assert said in found.reasons[0]
    if "card_options" in changes:
        assert gate(other, one, labels={"same": False}).passed


def test_without_a_champion_only_floors_are_asked(tmp_path: Path) -> None:
    only = toys.contender(tmp_path, "toy/1", right(0.8))
    table = {"figures": {"accuracy": {"need": "better", "floor": 0.7}}, "latency": {"ratio": 1.1}, "size": {"ratio": 1}}

    def never() -> Latency:
        raise AssertionError("there is nothing to measure against")

    found = gate(only, None, never, **table)
    assert found.passed
    assert [ruling.rule for ruling in found.rulings] == ["items", "licence", "floor of accuracy"]
    assert not gate(only, None, figures={"accuracy": {"floor": 0.79}}).passed


def test_a_figure_that_nobody_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ask for acuracy. The evaluation has accuracy"):
        gate(toys.contender(tmp_path, "toy/1", right(0.8)), None, figures={"acuracy": {"floor": 0.5}})


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        ({"figures": {"f1": {"need": "not worse"}}}, UsageError, "must have a margin"),
        ({"figures": {"f1": {"need": "not worse", "margin": 0.0}}}, UsageError, "margin must be above 0"),
        ({"figures": {"f1": {"need": "beter"}}}, UnknownNameError, "Nearest: better"),
        ({"figures": {"f1": {}}}, UsageError, "a need or a floor"),
        ({"figures": {"f1": {"flor": 0.5}}}, UnknownNameError, "Nearest: floor"),
        ({"alpha": 0.7}, UsageError, "alpha must lie in"),
        ({"alfa": 0.05}, UnknownNameError, "Nearest: alpha"),
        ({"alpha": "0.05"}, UsageError, "alpha of the rules of a gate must be of type float"),
        ({"size": {}}, UsageError, "ratio or megabytes"),
        ({"latency": {}}, UsageError, "must have ratio"),
        ({"slices": {"floors": {"kind = x": "high"}}}, UsageError, "must be a number"),
        ({"licence": {"allowed": "MIT"}}, UsageError, "allowed of .licence. must be of type tuple"),
    ],
)
def test_rules_that_are_wrong_are_refused(table: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        rules_of(table)


def test_the_rules_of_the_docstring_are_rules() -> None:
    import tomllib

    import shared.lifecycle.rules as module

    text = str(module.__doc__).partition("::\n")[2]
    found = rules_of(tomllib.loads(text))
    assert found.figures[0].floor == 0.8
    assert found.to_json()["slices"]["floors"] == {"label = spam": 0.8}
    assert Rules().to_json()["latency"] is None


class Paced:
    """A predictor that moves a clock of the test's own."""

    def __init__(self, clock: list[float], pace: float) -> None:
        self.clock, self.pace = clock, pace

    def predict(self, items: Any, /, *, on_error: str = "raise") -> list[Any]:
        self.clock[0] += self.pace * len(items[0])
        return list(items)


def test_latency_is_a_ratio_on_the_same_items_in_turns() -> None:
    clock = [0.0]
    found = compared_latency(
        Paced(clock, 0.010), Paced(clock, 0.025), ["a", "bb", "ccc"], rng=np.random.default_rng(0),
        clock=lambda: clock[0],
    )  # fmt: skip
    assert found.ratio.value == pytest.approx(2.5)
    assert (found.champion, found.challenger) == (pytest.approx(0.02), pytest.approx(0.05))
    with pytest.raises(UsageError, match="an item and a round"):
        compared_latency(Paced(clock, 1), Paced(clock, 1), [], rng=np.random.default_rng(0))


def test_the_machine_slowing_down_slows_both() -> None:
    clock, calls = [0.0], [0]

    class Slowing(Paced):
        def predict(self, items: Any, /, *, on_error: str = "raise") -> list[Any]:
            calls[0] += 1
            self.clock[0] += self.pace * (1 + calls[0] * 0.01)  # the whole machine gets slower with every call
            return list(items)

    one, other = Slowing(clock, 0.01), Slowing(clock, 0.01)
    found = compared_latency(one, other, ["a"] * 40, rng=np.random.default_rng(0), clock=lambda: clock[0])
    assert 0.97 < found.ratio.value < 1.03
    assert found.ratio.low <= 1 <= found.ratio.high


def test_items_for_latency_are_read_as_batch_jobs_read_them(tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("text,label\none,a\ntwo,b\nthree,a\n")
    assert first_items(table, "text", 2) == ["one", "two"]
    table.write_text("words,label\none,a\n")
    assert first_items(table, "text", 2, column="words") == ["one"]
