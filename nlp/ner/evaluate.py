"""How good a recogniser is on texts with known entities: data, predictor and metrics brought together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import nlp
from nlp.ner.datasets import COLUMNS, FORMATS, EntityTexts, parse_entity_map, read_entity_texts
from nlp.ner.judged import entity_items, text_f1
from nlp.spans import Span
from shared.batch.progress import Progress
from shared.errors import UnknownNameError, UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, bootstrap, mean_interval
from shared.evaluation.report import Evaluation, Gallery, Metric, Section, Shown, Table
from shared.evaluation.spans import SpanCounts, f1, macro_f1, precision, recall, span_counts
from shared.tasks import Option
from shared.types import Failure, Float64

__all__ = ["EVALUATE_OPTIONS", "FORMATS", "evaluate_ner"]

WORDS = ("data", "own")
CONLL_LABELS: Mapping[str, str] = {
    "PERSON": "PER",
    "GPE": "LOC",
    "LOC": "LOC",
    "FAC": "LOC",
    "ORG": "ORG",
    "NORP": "MISC",
    "LANGUAGE": "MISC",
    "EVENT": "MISC",
    "WORK_OF_ART": "MISC",
    "PRODUCT": "MISC",
    "LAW": "MISC",
}
"""The label of CoNLL-2003 that a label of OntoNotes comes nearest to; its numbers and dates have none."""
EVALUATE_OPTIONS = (
    *COLUMNS,
    Option("context", str, "document", "what of a file of columns is read at once: document or sentence"),
    Option("words", str, "data", "words of a file of columns: data (as they stand there) or own (the model's rule)"),
    Option("label_map", str, None, "the data set's label for labels of the model: MODEL=DATA,MODEL=DATA,..."),
)
_LENGTHS = ((1, 1, "1 word"), (2, 2, "2 words"), (3, 3, "3 words"), (4, 10**9, "4 words or more"))
_TEXT_WORDS = (20, 100, 400)
"""Words of texts between slices."""
_SHOWN = 60
Figure: TypeAlias = Callable[[Float64, Float64, Float64], float]


def evaluate_ner(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    word_column: int | None = None,
    tag_column: int | None = None,
    context: str = "document",
    words: str = "data",
    label_map: str | None = None,
    **options: Any,
) -> Evaluation:
    """Precision, recall and F1 of entities: both ends and the label must agree (``f1``), and in part (``f1_partial``).

    ``f1_texts`` is the mean over texts of each one's own F1; see :func:`nlp.ner.judged.text_f1`.

    By class: the same of each label, of entities by their words, and of texts by theirs.

    Args:
        dataset: a file; see :func:`nlp.ner.datasets.read_entity_texts`.
        model: as :func:`nlp.entity_recognizer` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many texts: documents or sentences, as ``context`` says.
        seed: of the bootstrap, whose unit is the text.
        device: as :func:`nlp.entity_recognizer` takes it.
        threads: as :func:`nlp.entity_recognizer` takes it.
        word_column: see :func:`nlp.ner.datasets.read_entity_texts`.
        tag_column: see :func:`nlp.ner.datasets.read_entity_texts`.
        context: see :func:`nlp.ner.datasets.read_entity_texts`.
        words: ``"data"`` gives the model the words of a file of columns, which is the field's protocol; ``"own"`` joins
            them with spaces and leaves it to the model to find words, as in use.
        label_map: ``"MODEL=DATA,..."``. Without it a model of OntoNotes is read by :data:`CONLL_LABELS` where the data
            set's labels are those of CoNLL. The model's entities of labels that the data set does not have are left
            out.
        options: further options of :func:`nlp.entity_recognizer`.

    Raises:
        UsageError: an argument is out of its range.
        DataError: the data set is malformed.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1. Got {limit} instead")
    if words not in WORDS:
        raise UnknownNameError("kind of words", words, WORDS)
    data = read_entity_texts(dataset, format=format, context=context, word_column=word_column, tag_column=tag_column)
    predictor = nlp.entity_recognizer(model, device=device, threads=threads, **options)
    items = data.items if words == "data" else data.texts
    n = len(items[:limit])
    raw: list[list[Span] | None] = []
    with Progress(n, done=0) as progress:
        for result in predictor.stream(islice(items, n)):
            raw.append(None if isinstance(result, Failure) else [(e.start, e.end, e.label) for e in result.entities])
            progress.add(1, raw[-1] is None)
    truth = list(data.spans[:n])
    table, how = _label_table(truth, raw, parse_entity_map(label_map))
    found = [[(a, b, table[label]) for a, b, label in spans or () if label in table] for spans in raw]
    strict, failed = span_counts(truth, found), np.array([spans is None for spans in raw], np.bool_)
    figures: dict[str, tuple[SpanCounts, Figure]] = {
        "f1": (strict, _micro(f1)),
        "precision": (strict, _micro(lambda right, given, _: precision(right, given))),
        "recall": (strict, _micro(lambda right, _, true: recall(right, true))),
        "f1_macro": (strict, macro_f1),
        "f1_partial": (span_counts(truth, found, match="partial"), _micro(f1)),
        "f1_bounds": (span_counts(truth, found, match="bounds"), _micro(f1)),
    }
    metrics = {name: _interval(of, figure, seed) for name, (of, figure) in figures.items()}
    metrics["f1_texts"] = mean_interval(text_f1(strict, failed), rng=np.random.default_rng(seed))
    notes = {
        "interval": f"percentile bootstrap over texts, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
        "agreement": "f1: both ends and the label; f1_partial: the label, half where ends differ; f1_bounds: ends; "
        "f1_texts: mean of each text's own f1",
        "texts": f"{data_kind(data, context)}, words: {words}",
        "labels": how,
    }
    return Evaluation(
        "nlp.ner",
        predictor.card.name,
        str(dataset),
        n,
        int(failed.sum()),
        metrics,
        notes,
        by_class=_by_label(strict, seed) | _by_length(data, truth, found, strict, seed),
        sections=lambda worst: _sections(data, found, worst),
        items=partial(entity_items, data, found, failed),
    )


def data_kind(data: EntityTexts, context: str) -> str:
    """What an item of a data set is, for people."""
    return "texts" if isinstance(data.items[0], str) else f"{context}s"


def _micro(figure: Callable[[float, float, float], float]) -> Figure:
    return lambda right, given, true: figure(float(right.sum()), float(given.sum()), float(true.sum()))


def _interval(counts: SpanCounts, figure: Figure, seed: int) -> Metric:
    return bootstrap(
        lambda at: figure(*counts.totals(at)),
        len(counts.true),
        rng=np.random.default_rng(seed),
        resamples=RESAMPLES,
        confidence=CONFIDENCE,
    )


def _by_label(counts: SpanCounts, seed: int) -> dict[str, dict[str, Metric]]:
    found: dict[str, dict[str, Metric]] = {}
    for at, label in enumerate(counts.labels):
        part = slice(at, at + 1)
        own = SpanCounts((label,), counts.right[:, part], counts.predicted[:, part], counts.true[:, part])
        found[label] = _triple(own, seed)
    return found


def _triple(counts: SpanCounts, seed: int) -> dict[str, Metric]:
    return {
        "f1": _interval(counts, _micro(f1), seed),
        "precision": _interval(counts, _micro(lambda right, given, _: precision(right, given)), seed),
        "recall": _interval(counts, _micro(lambda right, _, true: recall(right, true)), seed),
    }


def _by_length(
    data: EntityTexts,
    truth: Sequence[Sequence[Span]],
    found: Sequence[Sequence[Span]],
    strict: SpanCounts,
    seed: int,
) -> dict[str, dict[str, Metric]]:
    """Figures of entities of so many words, and of texts of so many; a slice that holds none or all is left out."""
    slices = {}
    whole = sum(map(len, truth)) + sum(map(len, found))
    for low, high, title in _LENGTHS:
        parts = [_of_length(side, data.texts, low, high) for side in (truth, found)]
        if 0 < sum(len(spans) for part in parts for spans in part) < whole:
            slices[f"entities of {title}"] = _triple(span_counts(*parts), seed)
    words = np.array([len(text.split()) for text in data.texts[: len(found)]])
    for least, most in pairwise((0, *_TEXT_WORDS, None)):
        rows = np.flatnonzero((words >= (least or 0)) & (words < (most or np.inf)))
        if 0 < len(rows) < len(words):
            own = SpanCounts(strict.labels, strict.right[rows], strict.predicted[rows], strict.true[rows])
            slices[f"texts under {most} words" if most else f"texts of {least} words and more"] = _triple(own, seed)
    return slices


def _of_length(side: Sequence[Sequence[Span]], texts: Sequence[str], low: int, high: int) -> list[list[Span]]:
    return [
        [span for span in spans if low <= len(text[span[0] : span[1]].split()) <= high]
        for spans, text in zip(side, texts)
    ]


def _label_table(
    truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span] | None], given: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """The data set's label for each of the model's that has one, and how it was found, for people."""
    known = {label for spans in truth for _, _, label in spans}
    own = {label for spans in found for _, _, label in spans or ()}
    for label in given.values():
        if known and label not in known:
            raise UnknownNameError("label of the data set", label, known)
    if given:
        table, how = {label: label for label in own & known} | dict(given), "as given"
    elif "PERSON" in own - known and known <= set(CONLL_LABELS.values()):
        table = {label: CONLL_LABELS[label] for label in own if CONLL_LABELS.get(label) in known}
        how = "of OntoNotes to those of CoNLL"
    else:
        table, how = {label: label for label in own & known}, "equal names"
    left = sorted(own - set(table))
    shown = ", ".join(f"{model}={table[model]}" for model in sorted(table) if model != table[model])
    return table, how + (f": {shown}" if shown else "") + (f"; left out: {', '.join(left)}" if left else "")


def _sections(data: EntityTexts, found: Sequence[Sequence[Span]], worst: int) -> list[Section]:
    truth, texts = data.spans[: len(found)], data.texts
    rows = []
    for low, high, title in _LENGTHS:
        parts = [_of_length(side, texts, low, high) for side in (truth, found)]
        right, given, true = (float(part.sum()) for part in span_counts(*parts).totals())
        rows.append(
            (
                title,
                int(true),
                int(given),
                f"{precision(right, given):.4f}",
                f"{recall(right, true):.4f}",
                f"{f1(right, given, true):.4f}",
            )
        )
    table = Table("By length of the entity", ("length", "true", "given", "precision", "recall", "F1"), tuple(rows))
    faults = sorted(range(len(found)), key=lambda at: -len(set(truth[at]) ^ set(found[at])))[:worst]
    shown = [_fault(data, at, set(truth[at]), set(found[at])) for at in faults if set(truth[at]) != set(found[at])]
    return [table, Gallery("Texts with most faults", tuple(shown), "what was missed, and what was given instead")]


def _fault(data: EntityTexts, at: int, truth: set[Span], found: set[Span]) -> Shown:
    def named(spans: set[Span]) -> str:
        listed = [f"{data.texts[at][a:b]} ({label})" for a, b, label in sorted(spans)]
        return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")

    lines = [f"missed: {named(truth - found)}", f"given: {named(found - truth)}"]
    return Shown(f"line {data.lines[at]}", tuple(line for line in lines if not line.endswith(": ")))
