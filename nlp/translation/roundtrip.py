"""How good translations seem when they are translated back: an estimate without a reference.

A sentence's estimate is chrF (M. Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015) of
its return against the sentence, divided by 100. The way back makes mistakes of its own, and a model that leaves words
as they are returns them whole, so the estimate ranks translations of one model; it is no probability, and not
calibrated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from nlp.translation.engine import Drafted
from shared.evaluation.generation import chrf_score

MODEL, ROUND_TRIP = "model", "round-trip"
ESTIMATES = (MODEL, ROUND_TRIP)
"""Where a translation's score comes from: the model's own probabilities, or the way back."""
LEAST = 1e-6
_MARK = re.compile(r"<m\d{1,2}>")


def return_score(sentence: str, returned: str) -> float:
    """How like a sentence is to what came back of it, in [0, 1]; marks of what was left as it is count nothing.

    Example:
        >>> return_score("the cat sleeps.", "the cat sleeps."), return_score("yes", "no")
        (1.0, 0.0)
    """
    left, right = (_MARK.sub("", text).strip() for text in (sentence, returned))
    if not left:
        return 1.0
    return min(1.0, chrf_score([right], [left]) / 100)


def judged(sentences: Sequence[str], drafts: Sequence[Drafted], returned: Sequence[Drafted]) -> list[Drafted]:
    """Translations whose scores are those of their return.

    Args:
        sentences: what was translated.
        drafts: their translations.
        returned: those translated back.
    """
    return [
        replace(draft, log_score=math.log(max(LEAST, return_score(sentence, back.text))))
        for sentence, draft, back in zip(sentences, drafts, returned, strict=True)
    ]
