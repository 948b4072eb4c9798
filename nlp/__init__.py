"""Text in, frozen results out: what a text is about, and where it stands among others.

Names are imported when they are first asked for::

    nlp.text_classifier().predict(["a warm, funny film"])[0].labels
    nlp.text_classifier(labels=["travel", "cooking"]).predict(["Simmer for an hour."])
    nlp.explain(nlp.text_classifier(), "a warm, funny film").weights
    nlp.detect_language("Wo ist der Bahnhof?").labels
    nlp.embedder().predict(["a warm, funny film"])[0].shape
    nlp.translator(target="en").predict(["你好，世界。"])[0].text
    nlp.entity_recognizer().predict(["Ada Lovelace lived in London."])[0].entities

An item is a ``str`` of any length; :mod:`nlp.tokenize` says what is refused, :mod:`nlp.windows` how long texts are
read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from nlp.attribution import explain
    from nlp.classification.task import text_classifier
    from nlp.encoder import embedder
    from nlp.generation.task import text_generator
    from nlp.language import detect_language
    from nlp.ner.task import entity_recognizer
    from nlp.qa.ask import answerer, asker
    from nlp.qa.task import question_answerer
    from nlp.redaction import redact, redactor
    from nlp.retrieval.index import open_index
    from nlp.translation.task import translator
    from nlp.types import (
        Answer,
        Answers,
        Attribution,
        Entities,
        Entity,
        Redacted,
        TextLabels,
        TranslatedSentence,
        Translation,
    )

__all__ = [
    "Answer",
    "Answers",
    "Attribution",
    "Entities",
    "Entity",
    "Redacted",
    "TextLabels",
    "TranslatedSentence",
    "Translation",
    "answerer",
    "asker",
    "detect_language",
    "embedder",
    "entity_recognizer",
    "explain",
    "open_index",
    "question_answerer",
    "redact",
    "redactor",
    "text_classifier",
    "text_generator",
    "translator",
]
_HOMES = {
    "nlp.attribution": ("explain",),
    "nlp.classification.task": ("text_classifier",),
    "nlp.encoder": ("embedder",),
    "nlp.generation.task": ("text_generator",),
    "nlp.language": ("detect_language",),
    "nlp.ner.task": ("entity_recognizer",),
    "nlp.qa.ask": ("answerer", "asker"),
    "nlp.qa.task": ("question_answerer",),
    "nlp.retrieval.index": ("open_index",),
    "nlp.redaction": ("redact", "redactor"),
    "nlp.translation.task": ("translator",),
    "nlp.types": (
        "Answer",
        "Answers",
        "Attribution",
        "Entities",
        "Entity",
        "Redacted",
        "TextLabels",
        "TranslatedSentence",
        "Translation",
    ),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
