"""SQuAD's figures: known answers, corner cases of both scripts, thresholds, and whole evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa

from nlp.qa.data import Question, read_questions
from nlp.qa.evaluate import evaluate_qa, judged
from nlp.types import Answer, Answers
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.answers import (
    best_no_answer_threshold,
    exact_match_score,
    no_answer_auc_score,
    normalise_answer,
    token_f1_score,
)
from shared.types import Failure

# text, answers, version, exact match, F1; worked out by hand after the two scripts
CASES: list[tuple[str, list[str], int, float, float]] = [
    ("Denver Broncos", ["Denver Broncos"], 1, 1, 1),
    ("the Denver Broncos!", ["denver broncos"], 1, 1, 1),
    ("Broncos", ["Denver Broncos", "The Broncos"], 1, 1, 1),
    ("Denver", ["Denver Broncos"], 1, 0, 2 / 3),
    ("in the year of 1990", ["1990", "in 1990"], 1, 0, 2 / 3),  # in year of 1990 against in 1990: 2 of 4, 2 of 2
    ("b b c", ["b c c"], 1, 0, 2 / 3),  # two shared tokens as bags, not three
    ("", ["x"], 1, 0, 0),
    ("the", ["a"], 1, 1, 0),  # nothing is left of either: 1.1 matches them and finds no shared token
    ("the", ["a"], 2, 1, 1),
    ("", [], 2, 1, 1),
    ("x", [], 2, 0, 0),
    ("", ["x"], 2, 0, 0),
    ("x", ["the", "x y"], 2, 0, 2 / 3),  # an answer of which nothing is left is passed over
    ("U.S.", ["US"], 2, 1, 1),
    ("don’t", ["dont"], 2, 0, 0),  # only ASCII punctuation goes
    ("Éire", ["eire"], 2, 0, 0),
]


@pytest.mark.parametrize(("text", "answers", "version", "em", "f1"), CASES)
def test_scores_are_those_of_the_scripts(text: str, answers: list[str], version: int, em: float, f1: float) -> None:
    assert exact_match_score(text, answers, version=version) == em
    assert token_f1_score(text, answers, version=version) == pytest.approx(f1)


def test_normalising() -> None:
    assert normalise_answer("  An  apple, a day\tkeeps the-doctor  away ") == "apple day keeps thedoctor away"
    assert normalise_answer("theatre an") == "theatre"


def test_no_answer_auc_counts_ties_half() -> None:
    assert no_answer_auc_score(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])) == 0.875
    assert np.isnan(no_answer_auc_score(np.array([0.5]), np.array([True])))
    with pytest.raises(UsageError, match=r"one shape \(n,\)"):
        no_answer_auc_score(np.array([0.5]), np.array([True, False]))


def test_the_best_threshold_is_brute_forces() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(1, 12))
        impossible = rng.random(n) < 0.4
        scores = np.where(impossible, 0.0, rng.random(n).round(1))
        odds = rng.random(n).round(1)
        best, at = best_no_answer_threshold(scores, odds, impossible)
        every = {t: float(np.where(odds > t, impossible, scores).mean()) for t in [-np.inf, *np.unique(odds).tolist()]}
        assert best == pytest.approx(max(every.values()))
        assert every[at] == pytest.approx(best)
    with pytest.raises(UsageError, match="scores must be of"):
        best_no_answer_threshold(np.array([]), np.array([]), np.array([]))


def squad(paragraphs: list[dict[str, Any]], path: Path) -> Path:
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def test_both_versions_are_read(tmp_path: Path) -> None:
    asked = [
        {"id": "1", "question": "q1", "answers": [{"text": "x", "answer_start": 0}]},
        {"id": "2", "question": "q2", "answers": [], "is_impossible": True},
        {"id": "3", "question": "q3", "answers": [{"text": "x", "answer_start": 0}], "is_impossible": True},
    ]
    found = read_questions(squad([{"context": "x y", "qas": asked}], tmp_path / "s.json"))
    assert found == [
        Question("1", "q1", "x y", ("x",), "t"),
        Question("2", "q2", "x y", (), "t"),
        Question("3", "q3", "x y", (), "t"),
    ]
    lines = tmp_path / "s.jsonl"
    lines.write_text('{"question": "q", "context": "c", "answers": ["c"]}\n\n')
    assert read_questions(lines) == [Question("1", "q", "c", ("c",), "c")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must have a list 'data'"),
        ('{"data": [{"title": "t"}]}', r"data\[0\] must have a list 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', r"paragraphs\[0\] must have a text 'context'"),
        ('{"data": [{"paragraphs": [{"context": "", "qas": [{}]}]}]}', r"qas\[0\] must have a text 'question'"),
        ('{"data": [3]}', "must have a list 'paragraphs'"),
        ('{"data": []}', "It holds none"),
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
    ],
)
def test_malformed_files_say_where(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_questions(path)
    with pytest.raises(UnknownNameError, match="no question data format is called 'squat'. Nearest: squad"):
        read_questions(path, format="squat")


def asked(number: int, *answers: str, article: str = "a", question: str = "who?") -> Question:
    return Question(str(number), question, "context", answers, article)


def told(text: str, no_answer: float = 0.1) -> Answers:
    return Answers((Answer(text, 0, len(text), 1 - no_answer),), no_answer)


def test_an_evaluation_of_version_2() -> None:
    questions = [asked(1, "x", article="a"), asked(2, "x y", article="b"), asked(3), asked(4), asked(5, "z")]
    results = [told("x"), told("y"), told("q", 0.9), told("q", 0.2), Failure(4, "empty", "no")]
    found = judged(questions, results, model="m", dataset="d", rng=np.random.default_rng(0), seed=0)
    values = {name: metric.value for name, metric in found.metrics.items()}
    assert (found.n, found.failed) == (5, 1)
    assert values["em"] == pytest.approx(2 / 5)  # x, and the refused one
    assert values["f1"] == pytest.approx((1 + 2 / 3 + 1) / 5)
    assert values["answerable_f1"] == pytest.approx((1 + 2 / 3) / 3)
    assert values["unanswerable_accuracy"] == 0.5
    # no-answer scores 0.9 and 0.2 of those without, 0.1, 0.1 and 1.0 (failed) of those with an answer
    assert values["no_answer_auc"] == pytest.approx(4 / 6)
    assert found.notes["best_em"].startswith("0.4000") or float(found.notes["best_em"][:6]) >= 0.4
    assert "2 articles" in found.notes["interval"]
    assert found.sections is not None
    (page,) = found.sections(10)
    assert len(page.rows) == 3  # type: ignore[union-attr]


def test_answers_are_sliced_by_their_words() -> None:
    questions = [asked(1, "x"), asked(2, "y z"), asked(3, "a b c d e f")]
    found = judged(
        questions,
        [told("x", 0.9), told("y z", 0.9), told("a", 0.9)],
        model="m",
        dataset="d",
        rng=np.random.default_rng(0),
        seed=0,
    )
    slices = {name: row["em"].value for name, row in found.by_class.items() if name.startswith("answer")}
    assert slices == {"answer of 1 word": 1.0, "answer of 2 to 4 words": 1.0, "answer of 5 words and more": 0.0}


def test_version_1_never_refuses() -> None:
    found = judged(
        [asked(1, "x"), asked(2, "y", question="When?")],
        [told("x", 0.9), told("y", 0.9)],
        model="m",
        dataset="d",
        rng=np.random.default_rng(0),
        seed=0,
    )
    assert found.metrics["em"].value == 1
    assert "no_answer_auc" not in found.metrics
    assert set(found.by_class) == {"question: who", "question: when"}
    assert "over questions" in found.notes["interval"]


def test_a_whole_evaluation_through_a_reader(tmp_path: Path) -> None:
    asked = [
        {"id": "1", "question": "How high?", "answers": [{"text": "3967", "answer_start": 13}]},
        {"id": "2", "question": "Who?", "answers": [], "is_impossible": True},
    ]
    paragraphs = [
        {"context": "The Eiger is 3967 metres high.", "qas": asked[:1]},
        {"context": "Bob built a bridge.", "qas": asked[1:]},
        {"context": " ", "qas": [asked[0] | {"id": "3"}]},
    ]
    path = squad(paragraphs, tmp_path / "s.json")
    found = evaluate_qa(path, model=tiny_qa.reader_folder())
    assert (found.n, found.failed) == (3, 1)
    assert found.metrics["em"].value == pytest.approx(2 / 3)
    assert found.metrics["unanswerable_accuracy"].value == 1
    assert evaluate_qa(path, model=tiny_qa.reader_folder(), limit=1).metrics["f1"].value == 1
    with pytest.raises(UsageError, match="limit must be at least 1"):
        evaluate_qa(path, model=tiny_qa.reader_folder(), limit=0)


class TestTables:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("q.csv", 'question,context,answers\nwho?,"Ada, and\nBob",Ada|Bob| Ada\n\nwhy?,no reason,\n'),
            ("q.tsv", 'context\tquestion\tnote\tanswers\n"Ada, and\nBob"\twho?\t-\tAda|Bob\nno reason\twhy?\t-\t\n'),
        ],
    )
    def test_questions_of_a_table(self, name: str, content: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(content.encode())
        first, second = read_questions(tmp_path / name)
        assert (first.question, first.context, first.answers) == ("who?", "Ada, and\nBob", ("Ada", "Bob"))
        assert (first.article, first.id) == (first.context, "2")
        assert second.answers == ()

    def test_one_answer_keeps_its_bars_and_names_are_taken(self, tmp_path: Path) -> None:
        (tmp_path / "q.csv").write_text("id,article,question,context,answer\n7,a,which?,x|y z,x|y\n")
        assert read_questions(tmp_path / "q.csv") == [Question("7", "which?", "x|y z", ("x|y",), "a")]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                "question,context\nq,c\n",
                "line 1 must name the columns question, context and answer or answers. It lacks an",
            ),
            ("answer\nq\n", "It lacks question, context: got .'answer'."),
            ('question,context,answer\nq,"a\nb",b\n ,c,\n', "line 4 must have a question. Got ' '"),
            ('question,context,answer\nq,"a\nb",b\nq,,\n', "line 4 must have a context. Got ''"),
            ("question,context,answer\nq,c\n", "line 2 must have 3 fields, as the header has. Got 2"),
            ('question,context,answer\nq,c,a\n"q" x,c,a\n', "line 3: "),
            ("question,context,answer\n", "must hold questions. It holds none"),
        ],
    )
    def test_malformed_tables_name_the_line(self, content: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "q.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            read_questions(tmp_path / "q.csv")
