"""Written answers judged: exact, abstaining, grounded, cited; and what is asked, from files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa
from tiny_text_graphs import graph_bytes, table, text_folder

import nlp
from nlp.generation.data import read_examples
from nlp.generation.evaluate import evaluate_generation
from nlp.generation.groundedness import ByReader, Claim, agreement, by_words, hypothesis, open_judges
from nlp.generation.judged import judge
from nlp.generation.types import Generated
from nlp.prompts.store import find_prompt
from nlp.retrieval.types import Passage
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.report import Evaluation
from shared.testing.evaluations import EvaluationContract, items_of
from shared.types import Int64

ROWS: list[dict[str, Any]] = [
    {"id": "height", "variables": {"question": "How high is the Eiger?", "passages": [
        "The Eiger is 3,967 metres high.", "Bern lies on the Aare."]}, "answers": ["3,967 metres"], "cites": [1]},
    {"id": "river", "variables": {"question": "Which river passes Bern?", "passages": [
        "The Rhine passes Basel.", "Bern lies on the Aare."]}, "answers": ["the Aare", "Aare"], "cites": [2]},
    {"id": "none", "variables": {"question": "Who wrote it?", "passages": ["The hut opens in June."]}, "answers": []},
    {"id": "hut", "variables": {"question": "When does the hut open?", "passages": ["The hut opens in June."]},
     "answers": ["June"], "cites": [1]},
]  # fmt: skip
GOOD = ["The Eiger is 3,967 metres high [1].", "Aare", "I don't know.", "The hut opens in June [1]."]
POOR = [
    "The Eiger is 4,000 metres high [1]. It is in Bern [2].",
    "Bern lies on the Aare [1].",
    "Ann wrote it [1].",
    "I don't know.",
]


def asked(path: Path, rows: Sequence[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answered(path: Path, texts: Sequence[str], rows: Sequence[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps({"id": row["id"], "text": text}) + "\n" for row, text in zip(rows, texts)))
    return path


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Evaluation]:
    def run(texts: Sequence[str], **options: Any) -> Evaluation:
        model = answered(tmp_path / "answers.jsonl", texts)
        return evaluate_generation(asked(tmp_path / "asked.jsonl"), model=model, prompt="grounded-answer", **options)

    return run


def test_right_answers_have_their_known_figures(evaluate: Callable[..., Evaluation]) -> None:
    found = evaluate(GOOD)
    figures = {name: round(metric.value, 4) for name, metric in found.metrics.items()}
    assert figures == {
        "em": 0.5,  # Aare, and nothing where nothing is
        # "eiger is 3967 metres high" has two of five words right, "hut opens in june" one of four
        "f1": round((2 * 2 / 7 + 1 + 1 + 2 / 5) / 4, 4),
        "contains": 1.0,
        "abstention": 1.0,
        "answerable_f1": round((2 * 2 / 7 + 1 + 2 / 5) / 3, 4),
        "unanswerable_accuracy": 1.0,
        "form": 0.75,  # Aare cites nothing
        "grounded_words": 1.0,
        "citation_precision": 1.0,
        "citation_recall": round(2 / 3, 4),
        "cites_precision": 1.0,
        "cites_recall": round(2 / 3, 4),
    }
    assert found.notes["prompt"].startswith("grounded-answer 1.0.0, ")
    assert found.notes["abstained"] == 1
    assert (found.n, found.failed) == (4, 0)


def test_poor_answers_show_what_is_wrong_with_them(evaluate: Callable[..., Evaluation]) -> None:
    figures = {name: metric.value for name, metric in evaluate(POOR).metrics.items()}
    assert figures["abstention"] == 0.5  # it speaks where nothing is, and does not where something is
    assert figures["unanswerable_accuracy"] == 0.0
    # 4,000 stands nowhere; that it is in Bern does by its one telling word; the Aare is right by the other passage
    assert figures["grounded_words"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert figures["citation_precision"] == pytest.approx(1 / 4)  # of four citations that of Bern alone holds
    assert figures["cites_precision"] == pytest.approx(1 / 3)  # 1 of {1, 2}, none of {1}
    assert figures["cites_recall"] == pytest.approx(1 / 3)


def test_a_missing_answer_is_a_failure_and_counts_as_wrong(tmp_path: Path) -> None:
    model = answered(tmp_path / "answers.jsonl", GOOD[:3])
    found = evaluate_generation(asked(tmp_path / "asked.jsonl"), model=model, prompt="grounded-answer")
    assert found.failed == 1
    assert found.metrics["abstention"].value == 0.75
    assert found.metrics["contains"].value == 0.75
    (tmp_path / "answers.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1 must be an object with id and text"):
        evaluate_generation(asked(tmp_path / "asked.jsonl"), model=model, prompt="grounded-answer")
    with pytest.raises(UsageError, match="limit must be at least 1"):
        evaluate_generation(tmp_path / "asked.jsonl", limit=0)


class TestAnswers(EvaluationContract):
    n = len(ROWS)

    def evaluate(self, order: Int64 | None, model: int) -> Evaluation:
        import tempfile

        rows = ROWS if order is None else [ROWS[at] for at in order.tolist()]
        texts = (GOOD, POOR)[model]
        texts = texts if order is None else [texts[at] for at in order.tolist()]
        with tempfile.TemporaryDirectory() as folder:
            data = asked(Path(folder) / "asked.jsonl", rows)
            given = answered(Path(folder) / "answers.jsonl", texts, rows)
            return evaluate_generation(data, model=given, prompt="grounded-answer")


def test_slices_know_the_questions(evaluate: Callable[..., Evaluation]) -> None:
    items = items_of(evaluate(GOOD))
    assert items.attributes["question word"].tolist() == ["how", "which", "who", "when"]
    assert items.attributes["passages"].tolist() == [2, 2, 1, 1]
    assert items.attributes["answerable"].tolist() == [True, True, False, True]
    assert items.groups is None


def test_rows_of_a_group_are_drawn_together(tmp_path: Path) -> None:
    rows = [{**row, "group": str(at // 2)} for at, row in enumerate(ROWS)]
    data, given = asked(tmp_path / "asked.jsonl", rows), answered(tmp_path / "answers.jsonl", GOOD, rows)
    found = evaluate_generation(data, model=given, prompt="grounded-answer")
    assert found.notes["interval"].startswith("percentile bootstrap over 2 groups")
    groups = items_of(found).groups
    assert groups is not None
    assert groups.tolist() == ["0", "0", "1", "1"]


def test_a_reader_agrees_with_what_stands_there() -> None:
    judge_of = ByReader(nlp.question_answerer(tiny_qa.reader_folder(), top_k=5))
    text = "The Eiger mountain is 3967 metres high."
    other = "Ann built the old stone bridge near Bern."
    right, wrong = (Passage("a", None, "", one, 0, len(one)) for one in (text, other))
    question = "How high is the Eiger mountain?"
    scores = judge_of(
        [Claim(question, "3967", right), Claim(question, "3967", wrong), Claim(question, "4000", right),
         Claim("", "3967", right), Claim(question, "It is 3967 metres [1].", right)]
    )  # fmt: skip
    assert scores.shape == (5,)
    assert scores[0] > 0.5
    assert scores[4] == pytest.approx(scores[0], abs=0.3)
    assert max(scores[1:4]) < 0.2
    assert judge_of([]).shape == (0,)


@pytest.mark.parametrize(
    ("stretch", "answer", "wanted"),
    [
        ("3,967 metres", "It is 3,967 metres high", 1.0),
        ("3,967 metres", "It is 4,000 metres high", 0.0),
        ("the Rhine", "Rhine", 1.0),
        ("upper Rhine", "Rhine valley", 0.5),
        ("", "x", 0.0),
        ("in June 1858", "June", 1.0),
    ],
)
def test_agreement(stretch: str, answer: str, wanted: float) -> None:
    assert agreement(stretch, answer) == wanted


def test_words_and_hypotheses() -> None:
    passage = Passage("a", None, "Alps", "The Eiger is 3,967 metres high.", 0, 31)
    texts = ["Eiger: 3,967 metres.", 'It is "very high".', "Jungfrau glacier", "Alps and 12 goats"]
    assert by_words([Claim("", text, passage) for text in texts]).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert hypothesis(Claim("Who?", "Ann built the bridge [2].", passage)) == "Ann built the bridge."
    assert hypothesis(Claim("Who?", "Ann [2]", passage)) == "Who? Ann"
    assert set(open_judges()) == {"words"}


def test_inference_between_texts_judges(tmp_path: Path, empty_home: Path) -> None:
    # of its words "good" entails and "bad" contradicts, whoever says them
    rows = table({"good": [0, 0, 3], "bad": [3, 0, 0]}, 3)
    options = {"max_tokens": 24, "entailment": 2, "contradiction": 0}
    folder = text_folder(tmp_path / "nli", "nli", graph_bytes(rows), **options)
    judge_of = open_judges(nli=str(folder), threads=1)["nli"]
    claims = [Claim("", "the film", Passage("a", None, "", text, 0, len(text))) for text in ("good", "bad", "the", "")]
    scores = judge_of(claims)
    assert scores[0] > 0.5 > scores[1]
    assert scores[2] == pytest.approx(0.5)
    assert scores[3] == 0.0
    with pytest.raises(UnknownNameError, match="family of nlp.classification"):
        open_judges(nli=str(text_folder(tmp_path / "other", "text-classifier", graph_bytes(rows), labels=["a", "b"])))


def test_the_strongest_judge_decides_of_citations() -> None:
    example = read_examples_of([{**ROWS[0], "id": "x"}])

    def sure(claims: Sequence[Claim]) -> Any:
        return np.array([0.9 if "Eiger" in one.passage.text else 0.1 for one in claims])

    both = judge(example, ["It is very tall [1]. Nice [2]."], judges={"words": by_words, "nli": sure})
    assert both.figures["citation_precision"].tolist() == [[1.0, 2.0]]
    assert both.figures["grounded_nli"].tolist() == [[0.9, 1.0]]
    alone = judge(example, ["It is very tall [1]. Nice [2]."], judges={"words": by_words})
    assert alone.figures["citation_precision"].tolist() == [[0.0, 2.0]]


def read_examples_of(rows: Sequence[dict[str, Any]]) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return read_examples(asked(Path(folder) / "x.jsonl", rows), prompt=find_prompt("grounded-answer"))


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ('{"promt": "x"}', UnknownNameError, "row 1 is called 'promt'. Nearest: prompt"),
        ('{"prompt": "x", "messages": []}', DataError, "prompt, messages or variables, one of them"),
        ('{"completion": "x"}', DataError, "one of them. Got none"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', DataError, "messages must be a list of objects"),
        ('{"messages": []}', DataError, "messages must be a list of objects"),
        ('{"variables": {"question": "x"}}', UsageError, "name the prompt that they are filled into"),
        ('{"variables": 3}', DataError, "variables must be a table"),
        ('{"prompt": 3}', DataError, "prompt must be a text"),
        ('{"prompt": "x", "answers": "y"}', DataError, "answers must be a list of texts"),
        ('{"prompt": "x", "cites": [0]}', DataError, "cites must be a list of numbers from 1"),
        ('{"prompt": "x", "passages": [3]}', DataError, "passages must be texts or tables"),
        ("[1]", DataError, "row 1 must be a JSON object"),
        ("{", DataError, "row 1 must be JSON"),
        ("", DataError, "must hold rows. It holds none"),
        ('{"prompt": "x", "id": 1}\n{"prompt": "y", "id": 1}', DataError, "must have an id of its own. 1 have one"),
    ],
)
def test_wrong_rows_say_so(tmp_path: Path, row: str, error: type[Exception], words: str) -> None:
    (tmp_path / "rows.jsonl").write_text(row)
    with pytest.raises(error, match=words):
        read_examples(tmp_path / "rows.jsonl")


def test_rows_of_each_kind(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"prompt": "x", "completion": "y"}, {"messages": chat}, {"messages": chat[:1], "answers": ["c"]}]
    found = read_examples(asked(tmp_path / "rows.jsonl", rows))
    assert [one.completion for one in found] == ["y", "b", ""]
    assert [one.truths for one in found] == [("y",), ("b",), ("c",)]
    assert found[1].messages == ({"role": "user", "content": "a"},)
    squad = {"data": [{"title": "t", "paragraphs": [{"context": "It is old.", "qas": [
        {"id": "q", "question": "How?", "answers": [{"text": "old", "answer_start": 6}]}]}]}]}  # fmt: skip
    (tmp_path / "squad.json").write_text(json.dumps(squad))
    one = read_examples(tmp_path / "squad.json", prompt=find_prompt("short-answer"))[0]
    assert (one.question, one.completion, one.group, one.passages[0].text) == ("How?", "old", "t", "It is old.")
    with pytest.raises(UnknownNameError, match="format of what is asked"):
        read_examples(tmp_path / "squad.json", format="csv")


def test_a_result_says_how_it_ended() -> None:
    with pytest.raises(UsageError, match="stopped must be end, length or given"):
        Generated("x", "tired")
