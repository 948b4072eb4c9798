"""Text in, frozen results out: what a text is about, and where it stands among others.

Names are imported when they are first asked for::

    nlp.text_classifier().predict(["a warm, funny film"])[0].labels
    nlp.text_classifier(labels=["travel", "cooking"]).predict(["Simmer for an hour."])
    nlp.embedder().predict(["a warm, funny film"])[0].shape

An item is a ``str`` of any length; :mod:`nlp.tokenize` says what is refused, :mod:`nlp.windows` how long texts are
read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from nlp.classification.task import text_classifier
    from nlp.encoder import embedder
    from nlp.types import TextLabels

__all__ = ["TextLabels", "embedder", "text_classifier"]
_HOMES = {
    "nlp.classification.task": ("text_classifier",),
    "nlp.encoder": ("embedder",),
    "nlp.types": ("TextLabels",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
