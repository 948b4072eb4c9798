"""Translations that are scored by what comes back of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_translator
from click.testing import CliRunner

import nlp
from shared.cli.main import triptych
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.generation import chrf_score


@pytest.fixture(scope="module")
def folder() -> Path:
    return tiny_translator.english_german()


BACK = {german: english for english, german in tiny_translator.TO_GERMAN.items()} | {"Hund": "world"}


@pytest.fixture(scope="module")
def back() -> Path:
    return tiny_translator.translator_folder(BACK, pair="de-en", name="tiny-de-en")


class TestRoundTrip:
    def test_what_comes_back_whole_scores_one(self, folder: Path, back: Path) -> None:
        model = nlp.translator(folder, source="en", target="de", estimate="round-trip", back=back)
        (found,) = model.predict(["the cat sleeps.\nHello world!\nthe dog sleeps."])
        assert (found.text, found.estimate) == ("die Katze schläft.\nHallo Welt!\ndie Hund schläft.", "round-trip")
        assert [one.score for one in found.sentences[:2]] == pytest.approx([1.0, 1.0])
        wanted = chrf_score(["the world sleeps."], ["the dog sleeps."]) / 100
        assert found.sentences[2].score == pytest.approx(wanted)
        assert min(one.score for one in found.sentences) < found.score < 1
        own = nlp.translator(folder, source="en", target="de").predict(["the dog sleeps."])[0]
        assert own.estimate == "model"

    def test_the_command(self, folder: Path, back: Path) -> None:
        given = ["--model", str(folder), "--source", "en", "--target", "de"]
        ran = CliRunner().invoke(
            triptych,
            ["predict", "nlp.translation", "the cat.", *given, "--estimate", "round-trip", "--back", str(back)],
        )
        assert ran.exit_code == 0, ran.output
        result = json.loads(ran.stdout)["result"]
        assert (result["estimate"], result["score"]) == ("round-trip", pytest.approx(1.0))

    def test_no_way_back_is_said_before_any_text(self, folder: Path) -> None:
        with pytest.raises(UnknownNameError, match="pair of languages is called 'de-en'"):
            nlp.translator(folder, source="en", target="de", estimate="round-trip", back=folder)
        with pytest.raises(UsageError, match="models must lead from 'de' back to one of en. There are: en-de"):
            nlp.translator(folder, target="de", estimate="round-trip", back=folder)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"estimate": "magic"}, "estimate must be one of model, round-trip. Got 'magic'"),
            ({"back": "x"}, "back is for --estimate round-trip. Got back 'x' and estimate 'model'"),
        ],
    )
    def test_options_that_do_not_fit(self, options: dict[str, Any], message: str, folder: Path) -> None:
        with pytest.raises(UsageError, match=message):
            nlp.translator(folder, target="de", **options)
