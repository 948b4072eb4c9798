"""A translation sentence by sentence, for whoever reads on while it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nlp.translation.decode import UNSPACED
from nlp.translation.prepare import Prepared
from nlp.types import TranslatedSentence, Translation
from shared.predictor import Pipeline


def parts(translator: Pipeline[str, Prepared, Any, Translation], text: str) -> Iterator[Translation]:
    """Each sentence's translation as it is made, with what stands before it.

    Args:
        translator: see :func:`nlp.translator`.
        text: as the translator takes it.

    Returns:
        One translation a sentence; their texts laid end to end are the translation of the whole. Sentences are placed
        in the whole text (``start``, ``end``) and in their own part's translation.

    Raises:
        InputError: the text cannot be translated.
    """
    whole = translator.prepare(text)
    if not whole.masked:
        yield translator.decode(translator.run([whole])[0], whole)
        return
    at = 0
    for number, ((start, end), masked) in enumerate(zip(whole.spans, whole.masked), 1):
        stop = len(whole.text) if number == len(whole.masked) else end
        piece = Prepared(whole.text[at:stop], whole.source, ((start - at, end - at),), (masked,))
        found = translator.decode(translator.run([piece])[0], piece)
        space = " " if start == at and number > 1 and found.target not in UNSPACED else ""
        yield _moved(found, at, space)
        at = stop


def joined(said: Sequence[Translation]) -> Translation:
    """What parts say together: the translation of as much of the text as they are of.

    Args:
        said: the first of what :func:`parts` gave, at least one.

    Example:
        >>> bread = Translation("Brot.", "en", "de", 0.9, (TranslatedSentence(0, 6, 0, 5, 0.9),))
        >>> salt = Translation(" Salz.", "en", "de", 0.7, (TranslatedSentence(7, 12, 1, 6, 0.7),))
        >>> both = joined([bread, salt])
        >>> both.text, both.sentences[1].target_start, both.score
        ('Brot. Salz.', 6, 0.8)
    """
    sentences: list[TranslatedSentence] = []
    length = 0
    for part in said:
        sentences += (
            replace(one, target_start=one.target_start + length, target_end=one.target_end + length)
            for one in part.sentences
        )
        length += len(part.text)
    return replace(
        said[0],
        text="".join(part.text for part in said),
        score=sum(part.score for part in said) / len(said),
        sentences=tuple(sentences),
        warnings=tuple(dict.fromkeys(warning for part in said for warning in part.warnings)),
    )


def _moved(found: Translation, at: int, space: str) -> Translation:
    """A part with its sentences where they stand in the whole text, and ``space`` before its own."""
    more = len(space)
    sentences = tuple(
        TranslatedSentence(one.start + at, one.end + at, one.target_start + more, one.target_end + more, one.score)
        for one in found.sentences
    )
    return replace(found, text=space + found.text, sentences=sentences)
