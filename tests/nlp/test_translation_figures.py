"""BLEU, chrF and TER are sacrebleu's own, and so are their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.generation import METRICS, bleu_score, chrf_score, corpus_figures, signature, ter_error

WRITTEN = ["the cat sat on a mat .", "it is raining", "", "two men walk down the street"]
RIGHT = ["the cat sat on the mat .", "it rains", "a dog", "two men are walking down the street"]


def library(name: str) -> float:
    metrics = pytest.importorskip("sacrebleu.metrics")
    return float(getattr(metrics, METRICS[name])().corpus_score(WRITTEN, [RIGHT]).score)


@pytest.mark.parametrize(("name", "figure"), [("bleu", bleu_score), ("chrf", chrf_score), ("ter", ter_error)])
def test_figures_are_those_of_the_library(name: str, figure: object) -> None:
    assert figure(WRITTEN, RIGHT) == pytest.approx(library(name))  # type: ignore[operator]
    found = corpus_figures(WRITTEN, RIGHT, names=[name], rng=np.random.default_rng(0))[name]
    assert found.value == pytest.approx(library(name))
    assert found.low <= found.value <= found.high


def test_intervals_are_the_bootstrap_of_the_corpus_figure() -> None:
    rng = np.random.default_rng(3)
    draws = rng.integers(0, 4, (50, 4))
    scores = [bleu_score([WRITTEN[at] for at in row], [RIGHT[at] for at in row]) for row in draws]
    low, high = np.percentile(scores, [2.5, 97.5])
    found = corpus_figures(WRITTEN, RIGHT, names=["bleu"], rng=np.random.default_rng(3), resamples=50)["bleu"]
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_a_right_answer_is_a_hundred_and_no_edits() -> None:
    assert bleu_score(RIGHT[:1], RIGHT[:1]) == pytest.approx(100)
    assert chrf_score(RIGHT, RIGHT) == pytest.approx(100)
    assert ter_error(RIGHT, RIGHT) == 0


def test_what_cannot_be_scored() -> None:
    assert math.isnan(bleu_score([], []))
    with pytest.raises(UsageError, match="a hypothesis for each of 4 references. Got 1"):
        bleu_score(["one"], RIGHT)
    with pytest.raises(UsageError, match="at least one sentence. Got none"):
        corpus_figures([], [], rng=np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="no figure of written text is called 'blue'. Nearest: bleu"):
        signature("blue")


def test_signatures_say_how_it_was_computed() -> None:
    assert "tok:13a" in signature("bleu")
    assert "nc:6|nw:0" in signature("chrf")
    assert "tok:tercom" in signature("ter")
