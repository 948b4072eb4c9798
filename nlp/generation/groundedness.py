"""Does a passage bear out what was written: judged by words, by a reader, by inference between texts.

- *Words*: the claim's telling words and numbers stand in the passage (:mod:`nlp.qa.citations`). Needs no model.
- *Reader*: an extractive reader is asked the same question of the passage. The groundedness of an answer is the
  probability that the reader gives to the stretches that it agrees with, each times how far they agree. After
  question-answering checks of faithfulness: E. Durmus, H. He and M. Diab, "FEQA", ACL 2020; O. Honovich et al., "Q2",
  EMNLP 2021.
- *NLI*: how likely a model of natural language inference holds it that the passage entails the claim. After
  P. Laban et al., "SummaC", TACL 2022, and O. Honovich et al., "TRUE", NAACL 2022.

What each is worth is measured on pairs with known truth by ``bench/groundedness.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nlp.classification.entailment import entailment_classifier
from nlp.opening import TextGraph, open_text_graph
from nlp.qa.citations import check_claim
from nlp.retrieval.types import Passage
from nlp.types import Answers
from shared.evaluation.answers import normalise_answer
from shared.predictor import Predictor
from shared.types import Failure, Float64

WORDS, READER, NLI = "words", "reader", "nli"
MARKS = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
GROUNDED = 0.5
"""From which score on a claim counts as borne out."""


@dataclass(frozen=True)
class Claim:
    """Something that was written, and what it may rest on.

    Attributes:
        question: what was asked; empty where nothing was.
        text: a sentence of the answer, or the whole of it; marks of citations are left out of it.
        passage: the passage.
    """

    question: str
    text: str
    passage: Passage


class Judge(Protocol):
    """From claims to how surely each is borne out by its passage."""

    def __call__(self, claims: Sequence[Claim], /) -> Float64:
        """Scores in [0, 1], shape (n,), float64, in the order of the claims."""


def by_words(claims: Sequence[Claim]) -> Float64:
    """The share of a claim's telling words that stand in its passage, and 0 where a number or a quotation does not.

    Example:
        >>> eiger = Passage("a", None, "", "The Eiger is 3,967 metres high.", 0, 31)
        >>> by_words([Claim("", text, eiger) for text in ("The Eiger is 3,967 metres high [1].", "4,000 m.")]).tolist()
        [1.0, 0.0]
    """
    found = []
    for claim in claims:
        cited = check_claim(claim.text, 1, claim.passage)
        whole = cited.quoted and _numbers(claim.text) <= _numbers(f"{claim.passage.heading} {claim.passage.text}")
        found.append(cited.support if whole else 0.0)
    return np.array(found, np.float64)


@dataclass(frozen=True)
class ByReader:
    """A judge by an extractive reader; see this module's docstring. A claim without a question scores 0.

    Attributes:
        reader: as :func:`nlp.question_answerer` opens it.
    """

    reader: Predictor[Any, Answers]

    def __call__(self, claims: Sequence[Claim]) -> Float64:
        """See :class:`Judge`."""
        asked = [at for at, claim in enumerate(claims) if claim.question.strip() and claim.passage.text.strip()]
        scores = np.zeros(len(claims))
        pairs = [(claims[at].question, claims[at].passage.text) for at in asked]
        for at, result in zip(asked, self.reader.predict(pairs, on_error="keep"), strict=True):
            if not isinstance(result, Failure):
                plain = MARKS.sub("", claims[at].text)
                agreed = sum(one.score * agreement(one.text, plain) for one in result.answers)
                scores[at] = min(1.0, agreed)
        return scores


def agreement(stretch: str, answer: str) -> float:
    """How far a stretch of a passage and an answer say the same: shared words over those of the shorter, in [0, 1].

    The shorter counts because one may be a whole sentence around the other; 0 where a number of the stretch is not in
    the answer.

    Example:
        >>> agreement("3,967 metres", "The Eiger is 3,967 metres high."), agreement("in 1858", "1859")
        (1.0, 0.0)
    """
    left, right = (set(normalise_answer(text).split()) for text in (stretch, answer))
    if not left or not right or not (_numbers(stretch) <= _numbers(answer) or _numbers(answer) <= _numbers(stretch)):
        return 0.0
    return len(left & right) / min(len(left), len(right))


@dataclass(frozen=True)
class ByNli:
    """A judge by inference between texts.

    Attributes:
        graph: an open graph of the family ``nli``.
        threads: how many tokenise.
    """

    graph: TextGraph
    threads: int | None = None

    def __call__(self, claims: Sequence[Claim]) -> Float64:
        """See :class:`Judge`. A passage is read whole, in windows, as a classifier of texts reads it."""
        scores = np.zeros(len(claims))
        places: dict[str, list[int]] = {}
        for at, claim in enumerate(claims):
            if claim.passage.text.strip() and hypothesis(claim):
                places.setdefault(hypothesis(claim), []).append(at)
        for text, own in places.items():
            model = entailment_classifier(
                self.graph, {"claim": text}, template="{}", multi_label=True, threads=self.threads
            )
            passages = [claims[at].passage.text for at in own]
            for at, result in zip(own, model.predict(passages, on_error="keep"), strict=True):
                scores[at] = 0.0 if isinstance(result, Failure) else float(result.scores[0])
        return scores


def hypothesis(claim: Claim) -> str:
    """What a passage should entail: the claim, after its question where it is no sentence by itself.

    Example:
        >>> hypothesis(Claim("How high is it?", "3,967 metres [1]", Passage("a", None, "", "", 0, 0)))
        'How high is it? 3,967 metres'
    """
    plain = MARKS.sub("", claim.text).strip()
    whole = plain.endswith((".", "!", "?")) and len(plain.split()) > 3
    return plain if whole or not claim.question else f"{claim.question} {plain}"


def open_judges(
    *, reader: str | None = None, nli: str | None = None, threads: int | None = None, device: str = "auto"
) -> dict[str, Judge]:
    """The judges that are asked for, by name; that by words always.

    Args:
        reader: a reader's name, ``"default"`` for the default one, or ``None`` for none.
        nli: the name of a model of the family ``nli``, or ``None`` for none.
        threads: processor threads.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.

    Raises:
        UnknownNameError, WeightsError: a model is not there.
    """
    import nlp  # noqa: PLC0415 - this module is imported by what the package opens

    found: dict[str, Judge] = {WORDS: by_words}
    if reader is not None:
        name = None if reader == "default" else reader
        found[READER] = ByReader(nlp.question_answerer(name, top_k=5, device=device, threads=threads))
    if nli is not None:
        graph = open_text_graph(nli, task="nlp.classification", families=[NLI], device=device, threads=threads)
        found[NLI] = ByNli(graph, threads)
    return found


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", MARKS.sub(" ", text)))
