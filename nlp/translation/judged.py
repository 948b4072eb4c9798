"""What each sentence says of a translator's figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlp.judged import text_attributes
from shared.evaluation.generation import METRICS, sentence_chrf, sentence_counts
from shared.evaluation.items import ItemFigure, Items, Mean, Total


def translation_items(
    sources: Sequence[str], references: Sequence[str], written: Sequence[str], languages: Sequence[str]
) -> Items:
    """The items of an evaluation of a translator. Their names are their places in the data set, from 1.

    Args:
        sources: length n.
        references: length n.
        written: the translations, length n; empty where one failed.
        languages: the language that each source is in; one only where it was given.
    """
    figures: dict[str, ItemFigure] = {}
    for name in METRICS:
        counts, figure = sentence_counts(name, written, references)
        figures[name] = Total(counts, figure, higher_is_better=name != "ter")
    figures["chrf_sentences"] = Mean(sentence_chrf(written, references))
    known = text_attributes(sources)
    known["has numbers"] = known.pop("digits") > 0
    if len(set(languages)) > 1:
        known["language"] = np.array(languages, np.str_)
    return Items(tuple(f"sentence {at}" for at in range(1, len(sources) + 1)), figures, "chrf_sentences", known)
