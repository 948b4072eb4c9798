"""A reader in integers whose near-ties the float32 graph decides: what is asked again, and what that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa
from click.testing import CliRunner

import nlp
from nlp.opening import open_text_graph
from nlp.optimize import optimize
from nlp.qa.again import Again, clear_from, lead, leads_by, open_again
from nlp.qa.decode import Reading, Scores
from nlp.qa.task import reader
from nlp.types import Answers
from shared import catalogue
from shared.backends import Backend, TensorSpec
from shared.cli.main import triptych
from shared.errors import DataError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.types import AnyArray

QUESTION = "How high is the Eiger?"
BOTH = "The Rhine is 1233 kilometres long and the very high Eiger is 3967 metres high."
CLEAR = "The Eiger is 3967 metres high."
CAPITAL = "The capital is Bern."


class TestReaderThatAsksAgain(PredictorContract):
    def build(self) -> Predictor[Any, Answers]:
        return nlp.question_answerer(tiny_qa.twice_folder())

    def good(self) -> list[tuple[str, str]]:
        return [(QUESTION, BOTH), (QUESTION, CLEAR), ("Who?", "Bob built it. " * 40 + "In Bern.")]

    def bad(self) -> object:
        return ("Who?", " ")


class Counted:
    """A graph that remembers how many tokens each request held."""

    def __init__(self, graph: Backend) -> None:
        self.graph = graph
        self.asked: list[int] = []

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.graph.outputs

    def run(self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Any = None) -> list[dict[str, AnyArray]]:
        self.asked += [feed["input_ids"].shape[1] for feed in feeds]
        return self.graph.run(feeds, keep=keep)


def counted(**options: Any) -> tuple[Predictor[Any, Answers], Counted]:
    graph = open_text_graph(tiny_qa.twice_folder(), task="nlp.qa", families=["extractive-reader"])
    again = open_again(graph)
    assert again is not None
    exact = Counted(again.graph.backend)
    again = Again(replace(again.graph, backend=exact), again.below)
    return reader(graph, Reading(max_answer_tokens=4, **options), top_k=3, threads=1, again=again), exact


def best(found: Any) -> str | None:
    assert isinstance(found, Answers)
    return found.best.text if found.best else None


@pytest.mark.parametrize(
    ("below", "context", "wanted"),
    [
        (0.5, BOTH, "3967"),  # 16.2 beside 16 in the form: 16 beside 14 in float32
        (0.19, BOTH, "1233"),
        (0.5, CAPITAL, "Bern"),  # 3.8 beside 4 of [CLS]: 10 in float32
        (0.19, CAPITAL, None),
        (0.19, CLEAR, "3967"),
    ],
)
def test_a_near_tie_is_decided_in_float32(below: float, context: str, wanted: str | None) -> None:
    found = nlp.question_answerer(tiny_qa.twice_folder(ask_again_below=below)).predict([(QUESTION, context)])[0]
    assert best(found) == wanted


def test_what_was_asked_again_is_the_exact_readers_answer() -> None:
    items = [(QUESTION, BOTH), (QUESTION, CAPITAL)]
    twice, exact = (nlp.question_answerer(folder) for folder in (tiny_qa.twice_folder(), tiny_qa.reader_folder()))
    assert twice.predict(items) == exact.predict(items)


def test_only_what_is_unclear_is_asked_again_and_neighbours_change_nothing() -> None:
    items = [(QUESTION, CLEAR), (QUESTION, BOTH), (QUESTION, CAPITAL), (QUESTION, CLEAR)]
    answerer, exact = counted()
    together = answerer.predict(items)
    assert [best(found) for found in together] == ["3967", "3967", "Bern", "3967"]
    assert len(exact.asked) == 3  # both windows of the second, one of the third
    assert [answerer.predict([item])[0] for item in items] == together
    assert list(answerer.stream(iter(items))) == together


def test_of_a_long_context_only_the_windows_that_matter_are_asked_again() -> None:
    filler = "stone " * 60
    answerer, exact = counted()
    found = answerer.predict([(QUESTION, f"1233 {filler} 3967 {filler} 1858")])[0]
    assert best(found) == "3967"
    assert len(exact.asked) == 2
    exact.asked.clear()
    # of "no answer" the least counts, and every window says the same
    assert best(answerer.predict([(QUESTION, f"{filler} bern {filler}")])[0]) == "bern"
    assert len(exact.asked) > 6


def test_the_threshold_of_no_answer_moves_what_is_a_near_tie() -> None:
    answerer, exact = counted(no_answer_threshold=-3.0)
    assert best(answerer.predict([(QUESTION, CAPITAL)])[0]) is None
    assert exact.asked == []
    answerer, exact = counted(no_answer=False)
    assert best(answerer.predict([(QUESTION, CAPITAL)])[0]) == "Bern"
    assert exact.asked == []


def window(start: list[float], end: list[float], null: float) -> Scores:
    return Scores(np.float32(start), np.float32(end), null)


@pytest.mark.parametrize(
    ("found", "starts", "below", "stretch", "ahead", "windows"),
    [
        ([window([5, 0], [5, 0], 1)], [0], 0.0, (0, 0), 5.0, ()),
        ([window([5, 0], [5, 0], 1)], [0], 6.0, (0, 0), 5.0, (0,)),
        ([window([1, 0], [1, 0], 9)], [0], 0.0, None, 7.0, ()),
        ([window([5], [5], -20)], [0], 0.0, (0, 0), 30.0, ()),
        # a stretch that two windows hold is one answer, as good as the better of them says
        ([window([0, 5], [0, 5], 0), window([6, 0], [6, 0], 0)], [0, 1], 3.0, (1, 1), 6.0, (0, 1)),
        ([window([0, 5], [0, 5], 0), window([6, 0], [6, 0], 0)], [0, 1], 1.0, (1, 1), 6.0, (1,)),
        # the least "no answer" of 4 is near the best; that of 9 is far from being the least
        ([window([2], [2.5], 4), window([0], [0], 9)], [0, 1], 1.0, (0, 0), 0.5, (0,)),
        ([window([2], [2.5], 4), window([0], [0], 4.6)], [0, 1], 1.0, (0, 0), 0.5, (0, 1)),
    ],
)
def test_how_clear_an_answer_is(
    found: list[Scores], starts: list[int], below: float, stretch: Any, ahead: float, windows: Any
) -> None:
    seen = lead(found, starts, Reading(), below=below)
    assert (seen.stretch, seen.windows) == (stretch, windows if below else seen.windows)
    assert seen.ahead == pytest.approx(ahead)


def test_a_lead_is_the_same_seen_from_the_answer() -> None:
    chance = np.random.default_rng(4)
    for _ in range(50):
        start, end = chance.normal(size=(2, 7)).astype(np.float32)
        scored = Scores(start, end, float(chance.normal() + 2))
        how = Reading(max_answer_tokens=3, no_answer_threshold=0.3)
        seen = lead([scored], [0], how)
        assert leads_by(scored, seen.stretch, how) == pytest.approx(seen.ahead, abs=1e-6)
        other = None if seen.stretch else (0, 0)
        assert leads_by(scored, other, how) < 0


def test_leads_that_stand_leave_few_others() -> None:
    chance = np.random.default_rng(5)
    ahead, moved = chance.exponential(size=200), chance.normal(size=200) * 0.3
    every = [(float(np.mean([(a >= bound) * (moved > a).mean() for a in ahead])), bound) for bound in ahead]
    for wrong in (0.001, 0.01, 0.03):
        assert clear_from(ahead, moved, wrong=wrong) == min(bound for share, bound in every if share <= wrong)
    assert clear_from(ahead, np.zeros(200), wrong=0.0) == 0.0
    assert clear_from(ahead, np.full(200, 99.0), wrong=0.0) == np.inf


@pytest.mark.parametrize("value", [0, -1.0, True, "much", float("inf")])
def test_the_option_is_checked(value: Any) -> None:
    with pytest.raises(DataError, match="ask_again_below must be a number above 0"):
        nlp.question_answerer(tiny_qa.twice_folder(ask_again_below=value))


def test_the_second_graph_must_be_there() -> None:
    with pytest.raises(DataError, match=r"must have a file model-float32\.onnx, for its option ask_again_below"):
        nlp.question_answerer(tiny_qa.twice_folder(exact=False))


def multiplied(scores: Mapping[str, float]) -> bytes:
    """A reader whose words' scores come of a product, for integers to serve."""
    from onnx import helper

    table = np.zeros((len(tiny_qa.VOCABULARY), 2), np.float32)
    for word, score in scores.items():
        table[tiny_qa.VOCABULARY.index(word)] = score
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "same"], ["logits"]),
    ]
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    tables = {"table": table, "same": np.eye(2, dtype=np.float32)}
    return tiny_qa.onnx_graph(nodes, tables, inputs, {"logits": ["one", "tokens", 2]})


@pytest.fixture
def whole(empty_home: Path) -> Path:
    options = {"max_tokens": 24, "overlap": 6, "max_answer_tokens": 4}
    card = {"name": "small", "task": "nlp.qa", "family": "extractive-reader", "options": options}
    return tiny_qa.model_folder(card, multiplied(tiny_qa.SCORES))


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nlp.optimize.paired_speed", lambda original, form: (original(), form()) and 2.0)
    lines = [f"{QUESTION}\t{context}" for context in [CLEAR] * 10 + [BOTH] * 2]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    return tmp_path / "texts.txt"


def test_optimising_finds_what_must_be_asked_again(whole: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = multiplied({**tiny_qa.SCORES, "1233": 8.1})
    monkeypatch.setattr("nlp.optimize.to_integers", lambda measured, *, in_float: form)
    report = optimize(whole, task="nlp.qa", texts=texts)
    (row,) = report["tried"]
    assert (row["agreement"], row["asked_again"], row["refused"]) == (1.0, pytest.approx(2 / 12, abs=1e-4), "")
    card = catalogue.find("small-int8")
    assert card.options["asked_again"] == pytest.approx(2 / 12, abs=1e-4)
    assert 0.2 < card.options["ask_again_below"] <= 8  # the near-ties' lead, and that of the others
    small, exact = nlp.question_answerer("small-int8"), nlp.question_answerer(whole)
    assert small.predict([(QUESTION, BOTH)]) == exact.predict([(QUESTION, BOTH)])


def test_a_form_that_agrees_asks_nothing_again(whole: Path, texts: Path) -> None:
    report = optimize(whole, task="nlp.qa", texts=texts)
    assert [(row["agreement"], row["asked_again"]) for row in report["tried"]] == [(1.0, 0.0)]
    card = catalogue.find("small-int8")
    assert not {"ask_again_below", "asked_again"} & set(card.options)
    assert [file.name for file in card.files] == ["model.onnx", "tokenizer.json"]


def test_the_command_says_how_much_is_asked_again(whole: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = multiplied({**tiny_qa.SCORES, "1233": 8.1})
    monkeypatch.setattr("nlp.optimize.to_integers", lambda measured, *, in_float: form)
    arguments = ["models", "optimize", str(whole), "--task", "nlp.qa", "--texts", str(texts)]
    run = CliRunner().invoke(triptych, arguments, standalone_mode=False, catch_exceptions=False)
    assert run.return_value == 0
    assert "kept if fastest; 16.7% of the texts are near-ties that float32 decides" in run.stdout


def test_texts_that_the_form_was_made_of_do_not_say_how_far_others_move(
    whole: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = multiplied({**tiny_qa.SCORES, "1233": 8.1})
    monkeypatch.setattr("nlp.optimize.to_integers", lambda measured, *, in_float: form)
    monkeypatch.setattr("nlp.optimize.TYPICAL", 6)  # every other line
    for first, asked in ((0, 0.0), (1, 2 / 12)):
        contexts = [BOTH if at in (first, first + 2) else CLEAR for at in range(12)]
        texts.write_text("\n".join(f"{QUESTION}\t{context}" for context in contexts))
        row = optimize(whole, task="nlp.qa", texts=texts)["tried"][0]
        assert row["asked_again"] == pytest.approx(asked, abs=1e-4)
        assert row["agreement"] == pytest.approx(1.0 if asked else 10 / 12)
