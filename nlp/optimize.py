"""A text model in 8-bit integers, where it still answers the same: made, compared on texts, timed, refused or kept.

Where it does not with all products in integers, those that lose most are left in float, more of them each time
(:data:`IN_FLOAT`); the first form that answers the same is the fastest that does.

What counts as the same is stated for each family. ``text-classifier`` and ``nli``: the share of windows with the same
best label (of several labels, the share of labels on the same side of a half). ``token-classifier``: the share of
tokens with the same best tag. ``extractive-reader``: the share of windows with the same best stretch of the context, or
none in both. ``pair-scorer``: the share of pairs of windows that come in the same order.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from nlp.families import open_model
from nlp.opening import ADAPTER, GRAPH, TOKENIZER, TextGraph, load_text_graph
from nlp.qa.decode import MOST_TOKENS, best_spans, scores
from shared.backends.forms import Precision
from shared.backends.integers import is_quantised, losses, measure, spared, to_integers
from shared.backends.trials import Tried, differs_too_much, form_name, not_worth_it, paired_speed
from shared.catalogue import ModelCard, optimized_folder
from shared.errors import BackendError, DataError, InputError, UnknownNameError, UsageError
from shared.types import AnyArray, Int64
from shared.weights import Opened, write_model_folder

TEXTS = 256
"""Texts that are used: a window of each."""
TYPICAL = 64
"""Of them, how many say how large the values within the graph become."""
IN_FLOAT = (0.0, 0.15, 0.35, 0.6)
"""Shares of the multiplications that are left in float, one after the other, until a form answers like the original."""
PAIRED = ("nli", "extractive-reader", "pair-scorer")
"""Families whose windows hold two texts."""
PRECISIONS: tuple[Precision, ...] = ("int8",)
Answer: TypeAlias = Mapping[str, AnyArray]


def _same_best(wanted: Answer, got: Answer) -> Sequence[bool]:
    return [bool(w.argmax() == g.argmax()) for w, g in zip(wanted.values(), got.values())]


def _same_sides(wanted: Answer, got: Answer) -> Sequence[bool]:
    sides: list[bool] = ((wanted["logits"] > 0) == (got["logits"] > 0)).ravel().tolist()
    return sides


def _same_tags(wanted: Answer, got: Answer) -> Sequence[bool]:
    tags: list[bool] = (wanted["logits"][0].argmax(axis=1) == got["logits"][0].argmax(axis=1)).tolist()
    return tags


SAME: Mapping[str, Callable[[Answer, Answer], Sequence[bool]]] = MappingProxyType(
    {"text-classifier": _same_best, "nli": _same_best, "token-classifier": _same_tags}
)
"""What of one window is the same between two graphs, by family."""
BOUNDS = {
    "text-classifier": 0.99,
    "nli": 0.99,
    "token-classifier": 0.99,
    "extractive-reader": 0.95,
    "pair-scorer": 0.97,
}
"""Agreement that a form must reach unless the user says another, by family."""


def optimize(
    model: str | Path,
    *,
    task: str,
    texts: Path,
    out: Path | None = None,
    precision: str = "auto",
    bound: float | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Bring a model into 8-bit integers, and keep it in a model folder if it is faster and answers like the original.

    Args:
        model: any name that :mod:`nlp.families` opens, of a graph in float32.
        task: which task it serves.
        texts: a file with a typical text a line; the first :data:`TEXTS` that can be read are used. Where the model
            reads two texts at once, they stand in a line with a tab between; a line without one goes with the next.
        out: folder to write; ``None``: ``TRIPTYCH_HOME/optimized/NAME-int8``, whose model is from then on known by the
            name ``NAME-int8``.
        precision: ``"int8"``, or ``"auto"`` for what helps on this machine, which is the same here.
        bound: least agreement with the original, in [0, 1]; ``None`` takes :data:`BOUNDS`.
        threads: processor threads of both.

    Returns:
        JSON-ready: ``model``, ``task``, ``texts``, ``bound``, ``cosine`` (mean over windows, of the two graphs'
        numbers), ``tried`` (a row a form, with the share ``in_float`` of its multiplications that were left in float),
        ``written`` (a folder or ``None``), ``name`` (by which it is opened, or ``None``).

    Raises:
        UsageError: ``bound`` is outside [0, 1], no text can be used, or the model is in 8-bit integers already.
        UnknownNameError: no precision is called that, or models of this family cannot be compared.
        DataError: the file of texts cannot be read.
    """
    if precision not in ("auto", *PRECISIONS):
        raise UnknownNameError("precision of text models", precision, ("auto", *PRECISIONS))
    source = open_model(model, task=task)
    card = source.card
    if card.family not in BOUNDS:
        raise UnknownNameError("family of text models that can be optimised", card.family, BOUNDS)
    least = BOUNDS[card.family] if bound is None else bound
    if not 0 <= least <= 1:
        raise UsageError(f"bound must lie in [0, 1]. Got {least} instead")
    if ADAPTER in source.files or is_quantised(source.files[GRAPH]):
        raise UsageError(f"model {card.name!r} must be in float32. Its graph is in 8-bit integers already")
    base = load_text_graph(source, threads=threads)
    feeds, second = _feeds(base, _lines(texts))
    trial = _Trial(base, source, feeds, second, least, threads)
    rows, cosine, content = _forms(trial)
    row = rows[-1]
    written = None
    if not row.refused:
        facts = {"agreement": _rounded(row.agreement), "speed": _rounded(row.speed), "judged_on": len(feeds)}
        made = _made(card, {**facts, "in_float": IN_FLOAT[len(rows) - 1]})
        written = out or optimized_folder() / made.name
        write_model_folder(written, made, content)
    return {
        "model": card.name,
        "task": task,
        "texts": len(feeds),
        "bound": least,
        "cosine": cosine,
        "tried": [{**dataclasses.asdict(row), "in_float": share} for row, share in zip(rows, IN_FLOAT)],
        "written": str(written) if written else None,
        "name": form_name(card, "int8") if written and out is None else None,
    }


@dataclasses.dataclass(frozen=True)
class _Trial:
    """What a form is made of and compared with."""

    base: TextGraph
    source: Opened
    feeds: Sequence[Mapping[str, AnyArray]]
    second: Sequence[slice]
    least: float
    threads: int | None


def _forms(trial: _Trial) -> tuple[list[Tried], float | None, dict[str, bytes]]:
    """Form after form, each with more in float than the one before, until one answers like the original."""
    step = max(1, len(trial.feeds) // TYPICAL)
    typical = trial.feeds[::step][:TYPICAL]
    rows: list[Tried] = []
    try:
        measured = measure(trial.source.files[GRAPH], typical)
        wanted = trial.base.answers(trial.feeds)
        lost: Mapping[str, float] = {}
        for share in IN_FLOAT:
            if share and not lost:
                lost = losses(measured, typical)
            form = to_integers(measured, in_float=spared(measured.products, lost, share) if share else ())
            row, cosine, content = _tried(trial, form, wanted)
            rows.append(row)
            if row.speed is not None:
                break
    except BackendError as error:
        return [*rows, Tried("int8", None, None, str(error))], None, {}
    return rows, cosine, content


def _tried(trial: _Trial, graph: bytes, wanted: Sequence[Answer]) -> tuple[Tried, float, dict[str, bytes]]:
    """A form: opened from a folder of its own, compared and, where it answers like the original, timed."""
    base, source, card = trial.base, trial.source, trial.source.card
    content = {GRAPH: graph, TOKENIZER: source.files[TOKENIZER].read_bytes()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = write_model_folder(place, _made(card, {}), content)
        form = load_text_graph(Opened(made, {name: place / name for name in content}), threads=trial.threads)
        got = form.answers(trial.feeds)
    several = bool(card.options.get("multi_label"))
    found, cosine = agreement(card.family, wanted, got, several=several, second=trial.second), _cosine(wanted, got)
    reason = differs_too_much(found, trial.least)
    if reason:
        return Tried("int8", found, None, reason), cosine, {}
    speed = paired_speed(lambda: base.answers(trial.feeds), lambda: form.answers(trial.feeds))
    return Tried("int8", found, speed, not_worth_it(speed)), cosine, content


def agreement(
    family: str,
    wanted: Sequence[Answer],
    got: Sequence[Answer],
    *,
    several: bool = False,
    second: Sequence[slice] = (),
) -> float:
    """How far two graphs of a family say the same of the same windows, in [0, 1].

    Args:
        family: a key of :data:`BOUNDS`.
        wanted: one graph's outputs for each window, at least one.
        got: the other's.
        several: whether several labels may hold.
        second: where the second text of each window stands; of readers, whose answers are stretches of it.

    Example:
        >>> one, other = ({"logits": np.float32([[0, number]])} for number in (1, -1))
        >>> agreement("text-classifier", [one, one], [one, other])
        0.5
    """
    if family == "pair-scorer":
        ours, theirs = (np.array([answer["logits"].ravel()[0] for answer in answers]) for answers in (wanted, got))
        pairs = list(itertools.combinations(range(len(ours)), 2))
        return float(np.mean([(ours[a] > ours[b]) == (theirs[a] > theirs[b]) for a, b in pairs])) if pairs else 1.0
    if family == "extractive-reader":
        return float(
            np.mean([_stretch(w, at) == _stretch(g, at) for w, g, at in zip(wanted, got, second, strict=True)])
        )
    same = _same_sides if several else SAME[family]
    return float(np.mean([hit for w, g in zip(wanted, got, strict=True) for hit in same(w, g)]))


def _stretch(answer: Answer, second: slice) -> tuple[int, int] | None:
    """First and last token of the best stretch, or ``None`` where the scores of the window's first token are higher."""
    found = scores(answer, second.start, second.stop - second.start)
    spans, sums = best_spans(found.start, found.end, longest=MOST_TOKENS, most=1)
    return (int(spans[0, 0]), int(spans[0, 1])) if len(sums) and sums[0] >= found.null else None


def _cosine(wanted: Sequence[Answer], got: Sequence[Answer]) -> float:
    """Mean over the windows of the cosine between all that the two graphs answered."""
    found = []
    for w, g in zip(wanted, got):
        one, other = (np.concatenate([part.ravel() for part in side.values()]).astype(np.float64) for side in (w, g))
        found.append(float(one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
    return round(float(np.mean(found)), 6)


def _made(card: ModelCard, facts: Mapping[str, Any]) -> ModelCard:
    options = {**card.options, "optimised_from": card.name, "precision": "int8", **facts}
    return dataclasses.replace(card, name=form_name(card, "int8"), backend="onnxruntime", options=options)


def _rounded(value: float | None) -> float:
    return round(value or 0.0, 4)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file of UTF-8 text with a typical text a line. {error}") from error
    return [line for line in text.split("\n") if line.strip()]


def _feeds(graph: TextGraph, lines: Sequence[str]) -> tuple[list[dict[str, AnyArray]], list[slice]]:
    """A window of each of the first lines that can be read, and where the second of its texts stands."""
    paired = graph.card.family in PAIRED
    found = []
    second_texts = []
    for line, after in zip(lines, [*lines[1:], *lines[:1]]):
        try:
            if paired:
                first, tab, second = line.partition("\t")
                feed, place = _pair(graph, graph.tokenizer.ids(first), graph.tokenizer.ids(second if tab else after))
            else:
                feed, place = graph.feed(graph.tokenizer.window(graph.tokenizer.ids(line)[: graph.size])), slice(0)
        except InputError:
            continue
        found.append(feed)
        second_texts.append(place)
        if len(found) == TEXTS:
            break
    if not found:
        raise UsageError(
            f"the file of texts must hold a text that can be read. Got {len(lines)} lines, none of them usable"
        )
    return found, second_texts


def _pair(graph: TextGraph, first: Int64, second: Int64) -> tuple[dict[str, AnyArray], slice]:
    """A window of two texts, each cut to what it has room for, and where the second stands."""
    pairs = graph.pairs()
    room = graph.room - pairs.special
    first = first[: max(1, room - len(second))] if len(second) < room // 2 else first[: max(1, room // 2)]
    second = second[: room - len(first)]
    tokens, types = pairs.join(first, second)
    begin = pairs.second_start(first)
    return graph.feed(tokens, types=types), slice(begin, begin + len(second))
