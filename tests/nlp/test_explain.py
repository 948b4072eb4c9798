"""Which words made a classifier say what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_text_graphs import graph_bytes, table, text_folder

import nlp
from nlp.attribution import MOST_CHARACTERS, MOST_STRETCHES
from nlp.datasets import read_labelled_texts
from shared.cli.main import triptych
from shared.errors import InputError, UnknownNameError, UsageError
from shared.types import Result

ROWS = table({"good": [4, 0], "bad": [0, 4]}, 2)


@pytest.fixture
def mood(tmp_path: Path, empty_home: Path) -> Path:
    return text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=["glad", "sad"])


def test_a_word_weighs_what_the_log_odds_fall_without_it(mood: Path) -> None:
    text = "The good, fine film"
    found = nlp.explain(nlp.text_classifier(mood), text)
    assert (found.label, found.words) == ("glad", ("The", "good", ",", "fine", "film"))
    assert [text[a:b] for a, b in found.spans] == list(found.words)
    # logits are a mean over seven tokens, and over six without a word: the log-odds are 4/7, 4/6, and 0 without "good"
    np.testing.assert_allclose(found.weights, [4 / 7 - 4 / 6, 4 / 7, *[4 / 7 - 4 / 6] * 3], atol=1e-5)
    assert found.score == pytest.approx(1 / (1 + np.exp(-4 / 7)), abs=1e-6)
    assert Result.from_json(found.to_json()) == found


def test_another_label_and_spans_of_ones_own(mood: Path) -> None:
    classifier = nlp.text_classifier(mood)
    found = nlp.explain(classifier, "good film bad", "sad", spans=[(0, 9), (10, 13)])
    assert (found.label, found.words) == ("sad", ("good film", "bad"))
    assert found.weights[0] < 0 < found.weights[1]
    assert nlp.explain(classifier, "good", spans=[]).words == ()
    with pytest.raises(UnknownNameError, match="no label of the classifier is called 'angry'"):
        nlp.explain(classifier, "good", "angry")
    for spans in ([(0, 99)], [(2, 2)], [(-1, 2)]):
        with pytest.raises(UsageError, match="pairs start < end within the text's 4 characters"):
            nlp.explain(classifier, "good", spans=spans)


def test_one_word_is_all_there_is(mood: Path) -> None:
    found = nlp.explain(nlp.text_classifier(mood), " good ")
    assert (found.words, found.spans.tolist()) == (("good",), [[1, 5]])
    assert found.weights[0] == pytest.approx(4 / 3, abs=1e-5)  # against a half, for nothing is left


def test_of_a_long_text_neighbours_go_together(tmp_path: Path) -> None:
    facts = {"labels": ["glad", "sad"], "max_tokens": 1024, "token_budget": 4096}
    folder = text_folder(tmp_path / "wide", "text-classifier", graph_bytes(ROWS), **facts)
    text = "film " * 700 + "good " * 200
    found = nlp.explain(nlp.text_classifier(folder), text)
    assert len(found.words) == MOST_STRETCHES
    assert " ".join(found.words).split() == text.split()
    assert found.weights[-1] > found.weights[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("\x00", "empty"),
        ("\ud800", "corrupt"),
        ("a" * (MOST_CHARACTERS + 1), "too-large"),
    ],
)
def test_what_cannot_be_explained_is_refused(text: str, kind: str, mood: Path) -> None:
    with pytest.raises(InputError) as caught:
        nlp.explain(nlp.text_classifier(mood), text)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "text",
    ["e\u0301te\u0301 good", "\u0645\u0631\u062d\u0628\u0627 good", "\U0001f469\u200d\U0001f467 good", "好 good\x00!"],
)
def test_spans_index_the_text_as_it_was_given(text: str, mood: Path) -> None:
    found = nlp.explain(nlp.text_classifier(mood), text)
    assert [text[a:b] for a, b in found.spans] == list(found.words)
    assert found.words[int(found.weights.argmax())] == "good"


def test_the_command_prints_explanations(mood: Path) -> None:
    arguments = ["predict", "nlp.classification", "--model", str(mood), "--explain", "good film", ""]
    run = CliRunner().invoke(triptych, arguments, standalone_mode=False, catch_exceptions=False)
    good, empty = (json.loads(line) for line in run.stdout.splitlines())
    assert good["explanation"]["words"] == ["good", "film"]
    assert good["explanation"]["weights"][0] > 0
    assert "explanation" not in empty
    long = CliRunner().invoke(triptych, [*arguments[:-2], "good " * 20_000], standalone_mode=False)
    row = json.loads(long.stdout)
    assert row["ok"]
    assert row["explanation"]["error"]["kind"] == "too-large"


@pytest.mark.weights
@pytest.mark.data
def test_the_weightiest_word_matters_more_than_any_other_drawn(data_root: Path) -> None:
    rows = read_labelled_texts(data_root / "nlp/sent_conv/data/stsa.binary.dev")
    texts = [text for text in rows.texts if len(text.split()) >= 8][:12]
    classifier, rng = nlp.text_classifier("sst2-minilm"), np.random.default_rng(0)
    falls = []
    for text in texts:
        found = nlp.explain(classifier, text)
        top, other = int(found.weights.argmax()), int(rng.integers(len(found.words)))
        left = [text[: found.spans[at, 0]] + text[found.spans[at, 1] :] for at in (top, other)]
        scores = [dict(zip(r.labels, r.scores))[found.label] for r in classifier.predict(left)]  # type: ignore[union-attr]
        falls.append([found.score - float(score) for score in scores])
    top_fall, other_fall = np.mean(falls, axis=0)
    assert top_fall > other_fall + 0.05
