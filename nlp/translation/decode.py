"""Translated sentences back into the text that they came from."""

from __future__ import annotations

from collections.abc import Sequence

from nlp.translation.checks import WORDS
from nlp.translation.engine import Drafted, probability
from nlp.translation.masking import unmask
from nlp.translation.prepare import Prepared
from nlp.types import TranslatedSentence, Translation

MOST_WARNINGS = 20
UNSPACED = ("zh", "ja", "th", "lo", "km", "my")
"""Languages whose sentences stand side by side without a space."""


def decode(
    drafts: Sequence[Drafted],
    prepared: Prepared,
    *,
    target: str,
    via: tuple[str, ...],
    warnings: tuple[str, ...] = (),
    estimate: str = "model",
) -> Translation:
    """Put the translation of each sentence into the place of the sentence; all between them stays as it was.

    Args:
        drafts: one for each sentence.
        prepared: the text.
        target: language of the translations.
        via: languages on the way there.
        warnings: what is known to be doubtful already.
        estimate: where their scores come from.
    """
    text, at = "", 0
    sentences: list[TranslatedSentence] = []
    said = list(warnings)
    for number, ((start, end), masked, draft) in enumerate(
        zip(prepared.spans, prepared.masked, drafts, strict=True), 1
    ):
        between = prepared.text[at:start]
        if not between and sentences and target not in UNSPACED:
            between = " "
        text += between
        translated = unmask(draft.text, masked.pieces)
        score = probability(draft.log_score)
        sentences.append(TranslatedSentence(start, end, len(text), len(text) + len(translated), score))
        text += translated
        at = end
        said += [f"sentence {number}: {WORDS[fault]}" for fault in draft.faults]
    text += prepared.text[at:]
    if len(said) > MOST_WARNINGS:
        said[MOST_WARNINGS:] = [f"and {len(said) - MOST_WARNINGS} warnings more"]
    weight = sum(draft.pieces for draft in drafts)
    mean = sum(probability(draft.log_score) * draft.pieces for draft in drafts) / weight if weight else 1.0
    return Translation(
        text,
        prepared.source or target,
        target,
        min(1.0, mean),
        tuple(sentences),
        via,
        tuple(dict.fromkeys(said)),
        estimate,
    )
