"""What each question says of a reader's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nlp.qa.data import Question
from shared.evaluation.answers import no_answer_auc_score
from shared.evaluation.items import ItemFigure, Items, Mean, Pooled
from shared.types import AnyArray, Bool, Float64

WORDS = ("what", "who", "when", "where", "why", "how", "which")
"""What questions ask with."""


def question_items(
    questions: Sequence[Question], scores: Mapping[str, Float64], no_answer: Float64, *, refuses: bool
) -> Items:
    """The items of an evaluation of a reader.

    Args:
        questions: length n.
        scores: ``em`` and ``f1`` of each, shape (n,); 0 where the answer failed.
        no_answer: the model's no-answer score of each, shape (n,).
        refuses: whether some questions have an answer and others none, so that each sort has figures of its own.
    """
    em, f1 = scores["em"], scores["f1"]
    impossible: Bool = np.array([not asked.answers for asked in questions], np.bool_)
    figures: dict[str, ItemFigure] = {"em": Mean(em), "f1": Mean(f1)}
    if refuses:
        figures["no_answer_auc"] = Pooled(list(zip(no_answer.tolist(), impossible.tolist())), _auc)
        figures["answerable_em"] = Mean(np.where(impossible, np.nan, em))
        figures["answerable_f1"] = Mean(np.where(impossible, np.nan, f1))
        figures["unanswerable_accuracy"] = Mean(np.where(impossible, em, np.nan))
    articles = np.array([asked.article for asked in questions], np.str_)
    return Items(
        tuple(asked.id for asked in questions),
        figures,
        "f1",
        question_attributes(questions),
        groups=articles if len(np.unique(articles)) > 1 else None,
    )


def question_attributes(questions: Sequence[Question]) -> dict[str, AnyArray]:
    """What is known of questions beside any model.

    Args:
        questions: length n.

    Returns:
        By name, each of shape (n,): ``question word`` (str, of :data:`WORDS` or ``"other"``), ``answerable`` (bool),
        ``characters of context``, ``words of question``, ``words of answer`` (int64, of the first true answer, 0 for
        none) and ``answer at`` (float64 in [0, 1], where in the context its first true answer begins, NaN where the
        file does not say).
    """
    return {
        "question word": np.array([question_word(asked.question) for asked in questions], np.str_),
        "answerable": np.array([bool(asked.answers) for asked in questions], np.bool_),
        "characters of context": np.array([len(asked.context) for asked in questions], np.int64),
        "words of question": np.array([len(asked.question.split()) for asked in questions], np.int64),
        "words of answer": np.array(
            [len(asked.answers[0].split()) if asked.answers else 0 for asked in questions], np.int64
        ),
        "answer at": np.array([_place(asked) for asked in questions], np.float64),
    }


def question_word(question: str) -> str:
    """The first of :data:`WORDS` in a question; ``"other"`` where there is none.

    Example:
        >>> question_word("In which year?")
        'which'
    """
    return next((word for word in question.lower().replace("?", " ").split() if word in WORDS), "other")


def _place(asked: Question) -> float:
    return asked.starts[0] / max(1, len(asked.context)) if asked.starts else float("nan")


def _auc(records: Sequence[tuple[float, bool]]) -> float:
    scores, impossible = zip(*records)
    return no_answer_auc_score(np.array(scores, np.float64), np.array(impossible, np.bool_))
