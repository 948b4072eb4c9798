"""The reader: windows, spans, offsets, no answer; over tiny graphs of the real runtime."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa

import nlp
from nlp.qa.decode import best_spans
from nlp.types import Answer, Answers
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result

QUESTION = "How high is the Eiger?"


class TestReader(PredictorContract):
    def build(self) -> Predictor[Any, Answers]:
        return nlp.question_answerer(tiny_qa.reader_folder())

    def good(self) -> list[tuple[str, str]]:
        return [(QUESTION, "The Eiger is 3967 metres high."), ("Who?", "Bob built it. " * 40 + "In Bern.")]

    def bad(self) -> object:
        return ("Who?", " ")


def answers(item: Any, **options: Any) -> Answers:
    found = nlp.question_answerer(tiny_qa.reader_folder(), **options).predict([item])[0]
    assert isinstance(found, Answers)
    return found


@pytest.mark.parametrize(
    "item",
    [
        (QUESTION, "The Eiger is 3967 metres high."),
        {"question": QUESTION, "context": "The Eiger is 3967 metres high.", "id": 7},
        json.dumps({"question": QUESTION, "context": "The Eiger is 3967 metres high."}),
    ],
)
def test_an_answer_is_a_stretch_of_the_context(item: Any) -> None:
    found = answers(item)
    assert found.best == found.answers[0]
    assert (found.answers[0].text, found.answers[0].start, found.answers[0].end) == ("3967", 13, 17)
    # the stretch sums to 16, [CLS] to 4
    assert found.no_answer == pytest.approx(1 / (1 + math.exp(16 - 4)))
    assert sum(answer.score for answer in found.answers) + found.no_answer == pytest.approx(1)


def test_answers_never_overlap_and_are_ranked() -> None:
    found = answers(("When?", "The Rhine is 1233 kilometres long , first climbed in 1858 by Ann"), top_k=9)
    assert [answer.text for answer in found.answers][:2] == ["1233", "1858"]
    scores = [answer.score for answer in found.answers]
    assert scores == sorted(scores, reverse=True)
    for first in found.answers:
        for second in found.answers:
            assert first is second or first.end <= second.start or second.end <= first.start
    assert len(answers(("When?", "1233 in 1858"), top_k=1).answers) == 1


def test_a_stretch_may_be_several_tokens_and_no_longer_than_allowed() -> None:
    context = "bern 3967 1233 in alps"
    assert answers(("Who?", context)).answers[0].text == "3967"  # 8 + 8 beats 8 + 7
    start = np.float32([0, 5, 0, 0, 0])
    end = np.float32([0, 0, 0, 5, 1])
    for longest, wanted in ((5, [1, 3]), (3, [1, 3]), (2, [3, 3]), (1, [1, 1])):
        spans, sums = best_spans(start, end, longest=longest, most=1)
        assert spans.tolist()[0] == wanted or sums[0] == 5
    assert best_spans(start, end, longest=3, most=1)[0].tolist() == [[1, 3]]


def test_the_best_spans_are_brute_forces() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        n, longest = int(rng.integers(1, 30)), int(rng.integers(1, 8))
        start, end = rng.normal(size=(2, n)).astype(np.float32)
        every = {(i, j): float(start[i]) + float(end[j]) for i in range(n) for j in range(i, min(n, i + longest))}
        spans, sums = best_spans(start, end, longest=longest, most=20)
        wanted = sorted(every.values(), reverse=True)[:20]
        np.testing.assert_allclose(sums, wanted, rtol=1e-6)
        assert [every[i, j] for i, j in spans.tolist()] == pytest.approx(sums.tolist())


@pytest.mark.parametrize("place", range(0, 200, 7))
def test_an_answer_is_found_wherever_it_stands_in_a_long_context(place: int) -> None:
    words = ["thing"] * 200
    words[place] = "3967"
    context = "  ".join(words)
    found = answers((QUESTION, context))
    assert found.best is not None
    assert found.best.text == "3967"
    assert context[found.best.start : found.best.end] == "3967"
    assert found.best.start == context.index("3967")


def test_no_answer_is_an_answer() -> None:
    found = answers((QUESTION, "Bob built a stone bridge."))
    assert found.best is None
    assert found.no_answer == pytest.approx(1 / (1 + math.exp(-4)))  # [CLS] sums to 4, words to 0
    assert found.answers  # what it would say if it had to
    assert answers((QUESTION, "Bob built it."), no_answer_threshold=5.0).best is not None
    sure = nlp.question_answerer(tiny_qa.reader_folder(no_answer=False)).predict([(QUESTION, "Bob built it.")])[0]
    assert isinstance(sure, Answers)
    assert sure.no_answer == 0


def test_temperature_and_threshold_are_the_cards() -> None:
    folder = tiny_qa.reader_folder(temperature=4.0, no_answer_threshold=2.0)
    found = nlp.question_answerer(folder).predict([(QUESTION, "It is 3967.")])[0]
    assert isinstance(found, Answers)
    assert found.no_answer == pytest.approx(1 / (1 + math.exp((16 - 4 + 2) / 4)))


def test_one_output_of_two_columns_is_read_as_well() -> None:
    found = nlp.question_answerer(tiny_qa.reader_folder(joined=True)).predict([(QUESTION, "It is 3967 high.")])[0]
    assert found == answers((QUESTION, "It is 3967 high."))


HOSTILE = (
    "Eiger 3967 \u202e\u0645\u0631\u062d\u0628\u0627 metres",
    "👩‍👩‍👧‍👦 Eiger 3967 👍🏽 high",
    "e\u0301iger \u0301\u0302 3967 \u0300",
    "\x00Eiger\x00 \x00 3967\x00 metres",
    "\ufeff3967\u200b\u200d metres\u00a0high",
    "山3967山 lake",
    "３９６７ 3967",
)


@pytest.mark.parametrize("context", HOSTILE)
def test_offsets_index_the_text_as_it_was_given(context: str) -> None:
    found = answers((QUESTION, context), top_k=5)
    for answer in found.answers:
        assert context[answer.start : answer.end] == answer.text
    if "山" not in context:
        assert found.answers[0].text.strip("\x00\u200b\u200d\u0300") == "3967"


def test_a_mixed_bag_of_texts_never_breaks_the_offsets() -> None:
    chance = random.Random(5)
    pool = [*"abc .,\n\t\x00\u0301\u200d\u202e", "👩‍👧", "3967", "Eiger", "İ", "ß", "ﬁ", "山", " ", "\r\n"]
    items = [("Who?", "".join(chance.choices(pool, k=chance.randint(1, 80)))) for _ in range(150)]
    found = nlp.question_answerer(tiny_qa.reader_folder(), top_k=4).predict(items, on_error="keep")
    for (_, context), result in zip(items, found):
        if isinstance(result, Failure):
            assert result.kind == "empty"
        else:
            assert all(context[a.start : a.end] == a.text for a in result.answers)


@pytest.mark.parametrize(
    ("item", "kind", "words"),
    [
        ("Who?", "wrong-type", "a question and its context"),
        (("Who?",), "wrong-type", "a question and its context"),
        ({"question": "Who?"}, "wrong-type", "an object with 'question' and 'context'"),
        (("Who?", 3), "wrong-type", "a text must be a str"),
        ((None, "x"), "wrong-type", "a text must be a str"),
        (("", "x"), "empty", "at least one word"),
        (("Who?", "\u200b\x00"), "empty", "at least one word"),
        (("Who?", "x\ud800"), "corrupt", "lone surrogate"),
        (("who " * 40, "bern"), "too-large", "a question must have at most 10 tokens"),
        ("[" * 50_000, "wrong-type", "a question and its context"),
    ],
)
def test_bad_items_say_what_is_wrong(item: Any, kind: str, words: str) -> None:
    good = (QUESTION, "It is 3967.")
    first, second = nlp.question_answerer(tiny_qa.reader_folder()).predict([item, good], on_error="keep")
    assert isinstance(first, Failure)
    assert first.kind == kind
    assert words in first.message
    assert isinstance(second, Answers)


def test_a_context_of_a_megabyte_without_a_space_is_read() -> None:
    context = "x" * 1_000_000 + " 3967"
    found = nlp.question_answerer(tiny_qa.reader_folder()).predict([("Who?", context)])[0]
    assert isinstance(found, Answers)
    assert found.best is not None
    assert found.best.text == "3967"


def test_wrong_options_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="top_k must be at least 1"):
        nlp.question_answerer(tiny_qa.reader_folder(), top_k=0)
    with pytest.raises(DataError, match="temperature above 0"):
        nlp.question_answerer(tiny_qa.reader_folder(temperature=0.0))
    with pytest.raises(DataError, match="max_answer_tokens must be at least 1"):
        nlp.question_answerer(tiny_qa.reader_folder(), max_answer_tokens=0)
    with pytest.raises(UnknownNameError, match=r"no nlp\.qa model is called 'squat'"):
        nlp.question_answerer("squat")


def test_results_check_themselves() -> None:
    with pytest.raises(UsageError, match="must bound its text"):
        Answer("x", 3, 3, 0.5)
    with pytest.raises(UsageError, match=r"score must lie in \[0, 1\]"):
        Answer("x", 3, 4, 1.5)
    with pytest.raises(UsageError, match=r"no_answer must lie in \[0, 1\]"):
        Answers((), math.nan)
    found = Answers((Answer("x", 3, 4, 0.5),), 0.25)
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found
