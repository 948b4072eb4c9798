"""How good a reader is on questions whose answers are known, as SQuAD's own script measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.qa.data import Question, read_questions
from nlp.qa.judged import WORDS, question_items, question_word
from nlp.types import Answers
from shared.batch.progress import Progress
from shared.errors import UsageError
from shared.evaluation.answers import (
    best_no_answer_threshold,
    exact_match_score,
    no_answer_auc_score,
    token_f1_score,
)
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, bootstrap, percentile_interval
from shared.evaluation.report import Evaluation, Metric, Section, Table
from shared.types import AnyArray, Failure, Float64, Int64

_LENGTHS = (500, 1000, 2000)
"""Characters of contexts between slices."""
_ANSWER_WORDS = ((1, 1, "1 word"), (2, 4, "2 to 4 words"), (5, 1 << 30, "5 words and more"))
_SHOWN = 120
"""Characters of a text on a page."""


def evaluate_qa(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Evaluation:
    """``em`` and ``f1`` of the best answer or of refusing to answer; ``no_answer_auc`` where some have no answer.

    Args:
        dataset: a file; see :func:`nlp.qa.data.read_questions`.
        model: as :func:`nlp.question_answerer` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many questions.
        seed: of the bootstrap.
        device: as :func:`nlp.question_answerer` takes it.
        threads: as :func:`nlp.question_answerer` takes it.
        options: further options of :func:`nlp.question_answerer`.

    Raises:
        UsageError: an argument is out of its range.
        DataError: the data set is malformed.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    questions = read_questions(dataset, format=format)[:limit]
    reader = nlp.question_answerer(model, device=device, threads=threads, **options)
    results: list[Answers | Failure] = []
    with Progress(len(questions), done=0) as progress:
        for result in reader.stream((asked.question, asked.context) for asked in questions):
            results.append(result)
            progress.add(1, isinstance(result, Failure))
    return judged(
        questions, results, model=reader.card.name, dataset=str(dataset), rng=np.random.default_rng(seed), seed=seed
    )


def judged(
    questions: Sequence[Question],
    results: Sequence[Answers | Failure],
    *,
    model: str,
    dataset: str,
    rng: np.random.Generator,
    seed: int,
) -> Evaluation:
    """The figures of answers that were given; a question whose answer failed counts as wrong."""
    impossible = np.array([not asked.answers for asked in questions])
    version = 2 if impossible.any() else 1
    given = [_given(result, refuse=version == 2) for result in results]
    forced = [_given(result, refuse=False) for result in results]
    nothing = np.array([1.0 if isinstance(result, Failure) else result.no_answer for result in results])
    em, f1 = (_scored(score, questions, results, given, version) for score in (exact_match_score, token_f1_score))
    groups = _groups([asked.article for asked in questions])

    def figure(values: Float64, chosen: AnyArray | None = None) -> Metric:
        return _mean(values, np.ones(len(values), np.bool_) if chosen is None else chosen, groups, rng)

    metrics = {"em": figure(em), "f1": figure(f1)}
    notes: dict[str, Any] = {
        "interval": f"percentile bootstrap over {_unit(groups, questions)}, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
        "script": "SQuAD 2.0" if version == 2 else "SQuAD 1.1: the best answer counts, however unsure",
    }
    if version == 2 and not impossible.all():
        metrics["no_answer_auc"] = bootstrap(
            lambda drawn: _auc(nothing, impossible, [groups[at] for at in drawn.tolist()]), len(groups), rng=rng
        )
        metrics["answerable_em"], metrics["answerable_f1"] = figure(em, ~impossible), figure(f1, ~impossible)
        metrics["unanswerable_accuracy"] = figure(em, impossible)
        for name, score in (("em", exact_match_score), ("f1", token_f1_score)):
            free = _scored(score, questions, results, forced, version)
            best, at = best_no_answer_threshold(np.where(impossible, 0.0, free), nothing, impossible)
            notes[f"best_{name}"] = f"{best:.4f}, refusing where no_answer is above {at:.4f}"
    slices = {name: {"em": figure(em, held), "f1": figure(f1, held)} for name, held in _slices(questions).items()}
    failed = sum(isinstance(result, Failure) for result in results)
    return Evaluation(
        "nlp.qa",
        model,
        dataset,
        len(questions),
        failed,
        metrics,
        notes,
        slices,
        sections=lambda most: _page(questions, given, f1, most),
        items=partial(
            question_items, questions, {"em": em, "f1": f1}, nothing, refuses=version == 2 and not impossible.all()
        ),
    )


def _given(result: Answers | Failure, *, refuse: bool) -> str:
    if isinstance(result, Failure) or not result.answers:
        return ""
    best = result.best if refuse else result.answers[0]
    return "" if best is None else best.text


def _scored(
    score: Callable[..., float],
    questions: Sequence[Question],
    results: Sequence[Answers | Failure],
    given: Sequence[str],
    version: int,
) -> Float64:
    return np.array(
        [
            0.0 if isinstance(result, Failure) else score(text, asked.answers, version=version)
            for asked, result, text in zip(questions, results, given, strict=True)
        ]
    )


def _groups(articles: Sequence[str]) -> list[Int64]:
    """Places of the questions of each article; of each question alone where all are of one article."""
    names, codes = np.unique(np.array(articles, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        return [np.array([at], dtype=np.int64) for at in range(len(articles))]
    order = np.argsort(codes, kind="stable")
    return list(np.split(order, np.cumsum(np.bincount(codes))[:-1]))


def _unit(groups: Sequence[Int64], questions: Sequence[Question]) -> str:
    return "questions" if len(groups) == len(questions) else f"{len(groups)} articles"


def _mean(values: Float64, chosen: AnyArray, groups: Sequence[Int64], rng: np.random.Generator) -> Metric:
    """The mean of the chosen questions' values, with an interval over groups of questions that are alike."""
    sums = np.array([values[group[chosen[group]]].sum() for group in groups])
    counts = np.array([chosen[group].sum() for group in groups])
    drawn = np.array([rng.integers(0, len(groups), len(groups)) for _ in range(RESAMPLES)])
    totals = counts[drawn].sum(axis=1)
    draws = np.divide(sums[drawn].sum(axis=1), totals, out=np.full(RESAMPLES, np.nan), where=totals > 0)
    return percentile_interval(float(values[chosen].mean()), draws)


def _auc(nothing: Float64, impossible: AnyArray, groups: Sequence[Int64]) -> float:
    at = np.concatenate(groups)
    return no_answer_auc_score(nothing[at], impossible[at])


def _slices(questions: Sequence[Question]) -> Mapping[str, AnyArray]:
    """Questions by what they ask with, how long contexts and first answers are; slices of none or all are left out."""
    words = np.array([question_word(asked.question) for asked in questions])
    lengths = np.searchsorted(_LENGTHS, [len(asked.context) for asked in questions], side="right")
    names = [f"context up to {most} characters" for most in _LENGTHS] + [f"context over {_LENGTHS[-1]} characters"]
    found = {f"question: {word}": words == word for word in (*WORDS, "other")}
    found |= {name: lengths == at for at, name in enumerate(names)}
    words_of_answers = np.array([len(asked.answers[0].split()) if asked.answers else 0 for asked in questions])
    for low, high, title in _ANSWER_WORDS:
        found[f"answer of {title}"] = (words_of_answers >= low) & (words_of_answers <= high)
    found["no answer"] = np.array([not asked.answers for asked in questions])
    return {name: held for name, held in found.items() if held.any() and not held.all()}


def _page(questions: Sequence[Question], given: Sequence[str], f1: Float64, most: int) -> list[Section]:
    worst = np.argsort(f1, kind="stable")[:most].tolist()
    rows = [
        (
            questions[at].question[:_SHOWN],
            given[at][:_SHOWN] or "(no answer)",
            " | ".join(dict.fromkeys(questions[at].answers))[:_SHOWN] or "(no answer)",
            round(float(f1[at]), 3),
        )
        for at in worst
        if f1[at] < 1
    ]
    return [Table("Answers that went wrong, worst first", ("question", "answered", "true", "F1"), tuple(rows))]
