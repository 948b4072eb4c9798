"""What each text says of a recogniser's figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlp.judged import text_attributes
from nlp.ner.datasets import EntityTexts
from nlp.spans import Span
from shared.evaluation.bca import Figure, f1
from shared.evaluation.items import ItemFigure, Items, Mean, Total
from shared.evaluation.spans import SpanCounts, span_counts
from shared.types import AnyArray, Bool, Float64


def text_f1(counts: SpanCounts, failed: Bool) -> Float64:
    """F1 of each text's own entities, shape (n,): 1 where there are none and none were given, 0 where it failed.

    The mean over texts counts a text of one entity as much as one of fifty; F1 over all entities at once does not.

    Args:
        counts: of n texts.
        failed: shape (n,), bool.
    """
    right, either = counts.right.sum(axis=1), counts.predicted.sum(axis=1) + counts.true.sum(axis=1)
    found = np.divide(2 * right, either, out=np.ones(len(either)), where=either > 0)
    return np.where(failed, 0.0, found)


def entity_items(data: EntityTexts, found: Sequence[Sequence[Span]], failed: Bool) -> Items:
    """The items of an evaluation of a recogniser.

    Args:
        data: the data set, of which the first n texts were read.
        found: the entities that each of the n texts was given.
        failed: shape (n,), bool.
    """
    n = len(failed)
    strict, partial, bounds = (span_counts(data.spans[:n], found, match=way) for way in ("strict", "partial", "bounds"))
    figures: dict[str, ItemFigure] = {
        "f1": Total(_three(strict), f1),
        "precision": Total(_three(strict), _share(1)),
        "recall": Total(_three(strict), _share(2)),
        "f1_macro": Total(np.concatenate([strict.right, strict.predicted, strict.true], axis=1), macro_f1_of_totals),
        "f1_partial": Total(_three(partial), f1),
        "f1_bounds": Total(_three(bounds), f1),
        "f1_texts": Mean(text_f1(strict, failed)),
    }
    if not strict.labels:
        del figures["f1_macro"]  # a total needs a column
    return Items(
        tuple(f"line {line}" for line in data.lines[:n]),
        figures,
        "f1_texts",
        text_attributes(data.texts[:n]) | _entity_attributes(data.texts[:n], data.spans[:n]),
        groups=np.array(data.documents[:n], np.int64) if 1 < len(set(data.documents[:n])) < n else None,
    )


def macro_f1_of_totals(totals: Float64) -> Float64:
    """Mean F1 of the labels that have a span on either side; 0 where none has.

    Args:
        totals: right, predicted and true of each of m labels, one after the other, shape (..., 3 m).

    Example:
        >>> float(macro_f1_of_totals(np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])))  # of two labels 1 and 0
        0.5
    """
    right, predicted, true = np.split(totals, 3, axis=-1)
    either = predicted + true
    each = np.divide(2 * right, either, out=np.zeros_like(either), where=either > 0)
    there = (either > 0).sum(axis=-1)
    mean: Float64 = each.sum(axis=-1) / np.maximum(there, 1)
    return mean


def _three(counts: SpanCounts) -> Float64:
    return np.column_stack([part.sum(axis=1) for part in (counts.right, counts.predicted, counts.true)])


def _share(column: int) -> Figure:
    """What is right of one total, 0 where that is 0."""

    def figure(totals: Float64) -> Float64:
        right, of = totals[..., 0], totals[..., column]
        return np.divide(right, of, out=np.zeros_like(right), where=of != 0)

    return figure


def _entity_attributes(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> dict[str, AnyArray]:
    """How many entities are true, of which kinds, and whether all begin with a capital."""
    labels = sorted({label for held in spans for _, _, label in held})
    kinds = {f"has {label}": np.array([any(span[2] == label for span in held) for held in spans]) for label in labels}
    return {
        "entities": np.array([len(set(held)) for held in spans], np.int64),
        "casing of entities": np.array([_casing(text, held) for text, held in zip(texts, spans)], np.str_),
        **kinds,
    }


def _casing(text: str, spans: Sequence[Span]) -> str:
    """``capital``, ``small``, or ``mixed`` where entities differ; ``none`` where there are none."""
    found = {"capital" if text[start : start + 1].isupper() else "small" for start, _, _ in spans}
    return found.pop() if len(found) == 1 else "mixed" if found else "none"
