"""Text in, frozen results out: what a text is about, and where it stands among others.

Names are imported when they are first asked for::

    nlp.text_classifier().predict(["a warm, funny film"])[0].labels
    nlp.text_classifier(labels=["travel", "cooking"]).predict(["Simmer for an hour."])
    nlp.embedder().predict(["a warm, funny film"])[0].shape

An item is a ``str`` of any length; :mod:`nlp.tokenize` says what is refused, :mod:`nlp.windows` how long texts are
read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
