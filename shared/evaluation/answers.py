"""Figures of question answering, as SQuAD's own scripts define them.

P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text" (EMNLP 2016), and P. Rajpurkar et
al., "Know what you don't know: unanswerable questions for SQuAD" (ACL 2018). Version 1.1 and 2.0 of the script differ
where nothing is left of an answer once it is normalised: by 2.0 two such answers agree wholly, by 1.1 they share no
token.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, no ASCII punctuation, no English article, single spaces.

    Example:
        >>> normalise_answer("The  Eiffel-Tower!")
        'eiffeltower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match_score(predicted: str, answers: Sequence[str], *, version: int = 2) -> float:
    """1 where the normalised prediction is one of the normalised answers, else 0.

    Args:
        predicted: the model's answer, empty for none.
        answers: the true ones; none where the question has no answer.
        version: of the script, 1 or 2.

    Raises:
        UsageError: there is no such version, or version 1 is given no answer.

    Example:
        >>> exact_match_score("the Rhine", ["Rhine", "river Rhine"]), exact_match_score("", [])
        (1.0, 1.0)
    """
    return max(float(normalise_answer(predicted) == normalise_answer(a)) for a in _golds(answers, version))


def token_f1_score(predicted: str, answers: Sequence[str], *, version: int = 2) -> float:
    """The best F1 between the prediction's tokens and those of a true answer, as bags of words.

    Args:
        predicted: the model's answer, empty for none.
        answers: the true ones; none where the question has no answer.
        version: of the script, 1 or 2.

    Raises:
        UsageError: there is no such version, or version 1 is given no answer.

    Example:
        >>> round(token_f1_score("the upper Rhine", ["Rhine"]), 4)  # precision 1/2, recall 1
        0.6667
    """
    return max(_token_f1(predicted, answer, version) for answer in _golds(answers, version))


def no_answer_auc_score(no_answer: AnyArray, impossible: AnyArray) -> float:
    """The chance that a question without an answer gets a higher no-answer score than one with an answer, ties half.

    Args:
        no_answer: shape (n,), the model's no-answer scores.
        impossible: shape (n,), bool.

    Returns:
        In [0, 1]; NaN where all questions are of one sort.

    Example:
        >>> no_answer_auc_score(np.array([0.9, 0.2, 0.4]), np.array([True, False, False]))
        1.0
    """
    scores, truth = np.asarray(no_answer, np.float64), np.asarray(impossible, np.bool_)
    if scores.shape != truth.shape or scores.ndim != 1:
        raise UsageError(f"scores and truth must have one shape (n,). Got {scores.shape} and {truth.shape} instead")
    without, given = int(truth.sum()), int((~truth).sum())
    if not without or not given:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[places]  # from 1; equal scores share the mean of theirs
    return float((ranks[truth].sum() - without * (without + 1) / 2) / (without * given))


def best_no_answer_threshold(scores: AnyArray, no_answer: AnyArray, impossible: AnyArray) -> tuple[float, float]:
    """The highest mean score that refusing to answer from some no-answer score on can reach.

    A question counts its score where its no-answer score is at most the threshold; beyond it the model refuses, which
    scores 1 where there is no answer and 0 where there is one. This is the script's ``find_best_thresh``.

    Args:
        scores: shape (n,), the score of each answer had the model not refused: its figure where the question has an
            answer, and for one without 1 if the model gave none, else 0.
        no_answer: shape (n,).
        impossible: shape (n,), bool.

    Returns:
        The mean and the least threshold that reaches it; minus infinity where it is best to refuse always.

    Raises:
        UsageError: there are no questions, or the shapes differ.

    Example:
        >>> best_no_answer_threshold(np.array([1.0, 0.0]), np.array([0.1, 0.8]), np.array([False, True]))
        (1.0, 0.1)
    """
    figures, odds = np.asarray(scores, np.float64), np.asarray(no_answer, np.float64)
    truth = np.asarray(impossible, np.bool_)
    if not figures.size or not figures.shape == odds.shape == truth.shape:
        raise UsageError(f"scores must be of (n,) questions. Got {figures.shape}, {odds.shape}, {truth.shape} instead")
    order = np.argsort(odds, kind="stable")
    gains = np.concatenate([[truth.sum()], truth.sum() + np.cumsum((figures - truth)[order])])
    ends = np.append(odds[order][1:] != odds[order][:-1], True)  # equal scores are refused or answered together
    allowed = np.concatenate([[True], ends])
    best = int(np.flatnonzero(allowed)[np.argmax(gains[allowed])])
    return float(gains[best] / figures.size), float(odds[order][best - 1]) if best else float("-inf")


def _golds(answers: Sequence[str], version: int) -> Sequence[str]:
    if version not in (1, 2):
        raise UsageError(f"version must be 1 or 2. Got {version} instead")
    if version == 1:
        if not answers:
            raise UsageError("version 1 must be given at least one true answer. Got none: take version 2")
        return answers
    return [answer for answer in answers if normalise_answer(answer)] or [""]


def _token_f1(predicted: str, answer: str, version: int) -> float:
    mine, its = normalise_answer(predicted).split(), normalise_answer(answer).split()
    if version == 2 and not (mine and its):
        return float(mine == its)
    shared = sum((Counter(mine) & Counter(its)).values())
    return 2 * shared / (len(mine) + len(its)) if shared else 0.0
