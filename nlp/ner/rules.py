"""What a user's own lists and patterns find, and how it meets what a model finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlp.ner.gazetteer import Gazetteer, Phrases, longest_first, read_gazetteer
from nlp.ner.patterns import Patterns, Rows, read_patterns
from nlp.spans import Span, without_overlaps
from nlp.types import Entities, Entity


@dataclass(frozen=True)
class Rules:
    """A user's lists and patterns. Use :func:`read_rules`.

    Attributes:
        sources: gazetteers and patterns, in the order in which they were given.
        first: whether what they find stands where a model finds something else.
    """

    sources: tuple[Gazetteer | Patterns, ...]
    first: bool

    def find(self, text: str) -> list[Span]:
        """What the rules find, in order and without overlaps: the longest first, then the earliest, then the first."""
        return without_overlaps(longest_first([span for source in self.sources for span in source.find(text)]))

    def merge(self, text: str, found: Entities) -> Entities:
        """What the rules and a model find; of two that overlap the one that has precedence stays, whole."""
        own = [
            (start, stop, Entity(text[start:stop], label, start, stop, 1.0)) for start, stop, label in self.find(text)
        ]
        models = [(entity.start, entity.end, entity) for entity in found.entities]
        kept = without_overlaps([*own, *models] if self.first else [*models, *own])
        return Entities(tuple(entity for _, _, entity in kept))


def read_rules(
    gazetteer: Phrases | Sequence[Phrases] | None,
    patterns: Rows | None,
    *,
    case: bool = False,
    first: bool = True,
    language: str = "en",
) -> Rules | None:
    """Read a user's lists and patterns; ``None`` where there are none.

    Raises:
        DataError, UsageError, MissingDependencyError: see :func:`nlp.ner.gazetteer.read_gazetteer` and
            :func:`nlp.ner.patterns.read_patterns`.
    """
    lists = [gazetteer] if isinstance(gazetteer, str | Path | Mapping) else gazetteer or ()
    sources: list[Gazetteer | Patterns] = [read_gazetteer(source, case=case) for source in lists]
    if patterns:
        sources.append(read_patterns(patterns, language=language))
    return Rules(tuple(sources), first) if sources else None
