"""What each written answer says of its figures: exactness, abstention, groundedness and citations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlp.generation.data import Example
from nlp.generation.groundedness import GROUNDED, MARKS, Claim, Judge
from nlp.judged import text_attributes
from nlp.prompts.forms import Form
from nlp.qa.citations import claims
from nlp.qa.generate import UNKNOWN
from nlp.qa.judged import question_word
from shared.evaluation.answers import exact_match_score, normalise_answer, token_f1_score
from shared.evaluation.bca import ratio
from shared.evaluation.items import ItemFigure, Items, Mean, Total
from shared.types import Bool, Float64


@dataclass(frozen=True)
class Judged:
    """Written answers and what became of them, n of each.

    Attributes:
        examples: what was asked.
        texts: what was written; empty where it failed.
        failed: shape (n,).
        abstained: shape (n,), whether the model said that it does not know.
        figures: by name what each adds to a total over another total, shape (n, 2): a mean by (value, 1), or (0, 0)
            where an answer has no part in it.
    """

    examples: tuple[Example, ...]
    texts: tuple[str, ...]
    failed: Bool
    abstained: Bool
    figures: Mapping[str, Float64]

    def items(self) -> Items:
        """The same as items of an evaluation, by which models are compared and slices are searched."""
        found: dict[str, ItemFigure] = {}
        for name, rows in self.figures.items():
            if name in _COUNTS:
                found[name] = Total(rows, ratio)
            else:
                found[name] = Mean(
                    np.divide(rows[:, 0], rows[:, 1], out=np.full(len(rows), np.nan), where=rows[:, 1] > 0)
                )
        asked = [one.question or (one.messages[-1]["content"] if one.messages else "") for one in self.examples]
        known = {f"{name} of question": values for name, values in text_attributes(asked).items()}
        known["question word"] = np.array([question_word(one) for one in asked], np.str_)
        known["answerable"] = np.array([bool(one.truths) for one in self.examples], np.bool_)
        known["passages"] = np.array([len(one.passages) for one in self.examples], np.int64)
        groups = np.array([one.group for one in self.examples], np.str_)
        return Items(
            tuple(one.id for one in self.examples),
            found,
            "f1",
            known,
            groups=groups if 1 < len(np.unique(groups)) < len(groups) else None,
        )


_COUNTS = frozenset({"citation_precision", "citation_recall", "cites_precision", "cites_recall"})
"""Figures of counts over all answers together; the others are means over answers."""


def judge(
    examples: Sequence[Example],
    texts: Sequence[str | None],
    *,
    judges: Mapping[str, Judge],
    form: Form | None = None,
    unknown: str = UNKNOWN,
) -> Judged:
    """Judge answers.

    - ``em``, ``f1``: SQuAD's exact match and token F1 with the best of the true answers, marks of citations left out;
      abstaining is right where there is no true answer, and wrong where there is. ``contains``: a true answer stands
      in the text, word for word once both are normalised.
    - ``abstention``: share of answers that abstain where they should and do not where they should not.
    - ``grounded_NAME``: the mean over an answer's sentences of its best passage's score by that judge; of answers that
      say something and have passages.
    - ``citation_precision``: share of citations whose passage bears the sentence out; ``citation_recall``: share of
      sentences that some passage which they cite bears out (T. Gao et al., "Enabling large language models to generate
      text with citations", EMNLP 2023), by the strongest judge that there is: NLI, else words.
    - ``cites_precision``, ``cites_recall``: the passages cited against those that should be, where rows say so.
    - ``form``: share of answers in the form that the prompt asks for.

    Args:
        examples: length n.
        texts: what was written to each, length n; ``None`` where it failed.
        judges: by name; see :func:`nlp.generation.groundedness.open_judges`.
        form: that is asked for.
        unknown: what stands for abstaining.
    """
    n = len(examples)
    written = [text or "" for text in texts]
    failed = np.array([text is None for text in texts], np.bool_)
    abstained = np.array([_abstains(text, unknown) for text in written], np.bool_)
    figures: dict[str, Float64] = {}
    scored = [(one, "" if gone else MARKS.sub("", text)) for one, text, gone in zip(examples, written, abstained)]
    knows = np.array([one.answers is not None or bool(one.completion) for one in examples], np.bool_)
    impossible = np.array([not _truths(one, unknown) for one in examples], np.bool_) & knows
    for name, score in (("em", exact_match_score), ("f1", token_f1_score), ("contains", _contains)):
        values = np.array(
            [score(text, _truths(one, unknown)) if known else 0.0 for (one, text), known in zip(scored, knows)]
        )
        figures[name] = _rows(np.where(failed, 0.0, values), knows)
    figures["abstention"] = _rows((abstained == impossible) & ~failed, knows)
    if impossible.any():
        figures["answerable_f1"] = figures["f1"] * (~impossible)[:, None]
        figures["unanswerable_accuracy"] = figures["em"] * impossible[:, None]
    if form is not None:
        figures["form"] = _rows(np.array([not form.fault(text) for text in written]) & ~failed, np.ones(n, np.bool_))
    if judges and any(one.passages for one in examples):
        figures |= _grounded(examples, written, abstained | failed, judges)
    return Judged(tuple(examples), tuple(written), failed, abstained, figures)


def _grounded(
    examples: Sequence[Example], written: Sequence[str], silent: Bool, judges: Mapping[str, Judge]
) -> dict[str, Float64]:
    """Each sentence against each passage, by each judge."""
    said: list[list[tuple[str, tuple[int, ...]]]] = [
        [] if quiet or not one.passages else claims(text) for one, text, quiet in zip(examples, written, silent)
    ]
    pairs = [Claim(one.question, text, p) for one, own in zip(examples, said) for text, _ in own for p in one.passages]
    strongest = next(name for name in ("nli", "words") if name in judges)
    figures: dict[str, Float64] = {}
    for name, judge_of in judges.items():
        scores = judge_of(pairs) if pairs else np.zeros(0)
        at, tables = 0, []
        for one, own in zip(examples, said):
            size = len(own) * len(one.passages)
            tables.append(scores[at : at + size].reshape(len(own), len(one.passages)))
            at += size
        speaks = np.array([len(own) > 0 for own in said], np.bool_)
        means = [float(table.max(axis=1).mean()) if own else 0.0 for table, own in zip(tables, said)]
        figures[f"grounded_{name}"] = _rows(np.array(means), speaks)
        if name == strongest:
            figures |= _cited(examples, said, tables)
    return figures


def _cited(
    examples: Sequence[Example], said: Sequence[Sequence[tuple[str, tuple[int, ...]]]], tables: Sequence[Float64]
) -> dict[str, Float64]:
    counts = np.zeros((len(examples), 4))  # citations that hold, citations, sentences borne out, sentences
    wanted = np.zeros((len(examples), 3))  # right ones, cited ones, those that should be
    for row, (one, own, table) in enumerate(zip(examples, said, tables)):
        every: set[int] = set()
        for (_, numbers), scores in zip(own, table):
            held = [1 <= n <= len(one.passages) and scores[n - 1] >= GROUNDED for n in numbers]
            counts[row] += (sum(held), len(numbers), any(held), 1)
            every |= set(numbers)
        if one.cites is not None:
            wanted[row] = len(every & set(one.cites)), len(every), len(set(one.cites))
    found: dict[str, Float64] = {}
    if counts[:, 1].any():
        found = {"citation_precision": counts[:, :2], "citation_recall": counts[:, 2:]}
    if any(one.cites for one in examples):
        found["cites_recall"] = wanted[:, [0, 2]]
        if wanted[:, 1].any():
            found["cites_precision"] = wanted[:, :2]
    return found


def _truths(one: Example, unknown: str) -> tuple[str, ...]:
    """The true answers; none where the right answer is to abstain."""
    return tuple(MARKS.sub("", text) for text in one.truths if not _abstains(text, unknown))


def _abstains(text: str, unknown: str) -> bool:
    return not text.strip() or normalise_answer(text) == normalise_answer(unknown)


def _contains(text: str, answers: Sequence[str]) -> float:
    """1 where a true answer stands in the text as a run of words; where there is none, where nothing is said."""
    held = f" {normalise_answer(text)} "
    if not answers:
        return float(not held.strip())
    return float(any(f" {normalise_answer(one)} " in held for one in answers if normalise_answer(one)))


def _rows(values: Float64 | Bool, held: Bool) -> Float64:
    """What each answer adds to a mean over those that have a part in it."""
    return np.column_stack([np.where(held, values, 0.0), held]).astype(np.float64)
