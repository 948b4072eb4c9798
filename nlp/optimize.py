"""A text model in 8-bit integers, where it still answers the same: made, compared on texts, timed, refused or kept.

Where it does not with all products in integers, those that lose most are left in float, more of them each time
(:data:`IN_FLOAT`); the first form that answers the same is the fastest that does.

A reader's answers change where two of them score almost the same. Before more is left in float, such near-ties are
therefore handed to the original, which then stands beside the form; see :mod:`nlp.qa.again`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlp.agreement import AS_MADE, READER, Answer, agreement, context_lead, context_scores
from nlp.families import open_model
from nlp.opening import ADAPTER, GRAPH, TOKENIZER, TextGraph, load_text_graph
from nlp.qa.again import ASK_AGAIN_BELOW, ASKED_AGAIN, FLOAT_GRAPH, clear_from, leads_by
from nlp.qa.decode import Reading, reading
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
TIMED = 64
"""Of them, how many the two graphs are timed on."""
PAIRED = ("nli", READER, "pair-scorer")
"""Families whose windows hold two texts."""
PRECISIONS: tuple[Precision, ...] = ("int8",)
BOUNDS = {
    "text-classifier": 0.99,
    "nli": 0.99,
    "token-classifier": 0.99,
    READER: 0.99,
    "pair-scorer": 0.97,
}
"""Agreement that a form must reach unless the user says another, by family."""
STAND_WRONG = 1 / 5
"""Of the answers that may differ, the share that a reader's form is expected to let stand: texts vary."""


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
        numbers), ``tried`` (a row a form, with the share ``in_float`` of its multiplications that were left in float
        and the share ``asked_again`` of the texts that are near-ties and left to the reader in float32), ``written``
        (a folder or ``None``), ``name`` (by which it is opened, or ``None``).

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
    forms, refused = _forms(trial)
    kept = forms[-1] if forms and not refused and not forms[-1].row.refused else None
    written = None
    if kept:
        facts = {"agreement": _rounded(kept.row.agreement), "speed": _rounded(kept.row.speed), "judged_on": len(feeds)}
        made = _made(card, {**facts, "in_float": IN_FLOAT[len(forms) - 1], **kept.facts})
        written = out or optimized_folder() / made.name
        write_model_folder(written, made, kept.content)
    rows = [(form.row, form.facts.get(ASKED_AGAIN, 0.0)) for form in forms]
    if refused:
        rows.append((Tried("int8", None, None, refused), 0.0))
    return {
        "model": card.name,
        "task": task,
        "texts": len(feeds),
        "bound": least,
        "cosine": forms[-1].cosine if forms and not refused else None,
        "tried": [
            {**dataclasses.asdict(row), "in_float": share, "asked_again": asked}
            for (row, asked), share in zip(rows, IN_FLOAT)
        ],
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


@dataclasses.dataclass(frozen=True)
class _Form:
    """What became of a form, what its card says beside that, and its files."""

    row: Tried
    cosine: float
    facts: Mapping[str, Any]
    content: Mapping[str, bytes]


def _forms(trial: _Trial) -> tuple[list[_Form], str]:
    """Form after form, each with more in float than the one before, until one answers like the original.

    Beside them, why the runtime refused the next, or nothing.
    """
    typical = _spread(trial.feeds, TYPICAL)
    forms: list[_Form] = []
    try:
        closely = trial.source.card.family == READER
        measured = measure(trial.source.files[GRAPH], typical, closely=closely)
        wanted = trial.base.answers(trial.feeds)
        lost: Mapping[str, float] = {}
        for share in IN_FLOAT:
            if share and not lost:
                lost = losses(measured, typical)
            graph = to_integers(measured, in_float=spared(measured.products, lost, share) if share else ())
            forms.append(_tried(trial, graph, wanted))
            if forms[-1].row.speed is not None:
                break
    except BackendError as error:
        return forms, str(error)
    return forms, ""


def _tried(trial: _Trial, graph: bytes, wanted: Sequence[Answer]) -> _Form:
    """A form: opened from a folder of its own, compared and, where it answers like the original, timed."""
    base, source, card = trial.base, trial.source, trial.source.card
    content = {GRAPH: graph, TOKENIZER: source.files[TOKENIZER].read_bytes()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = write_model_folder(place, _made(card, {}), content)
        form = load_text_graph(Opened(made, {name: place / name for name in content}), threads=trial.threads)
        got = form.answers(trial.feeds)
    several = bool(card.options.get("multi_label"))
    how = reading(card) if card.family == READER else AS_MADE
    cosine = _cosine(wanted, got)
    below, again = 0.0, np.zeros(len(got), bool)
    if card.family == READER:
        below, again = _near_ties(wanted, got, trial.second, how, least=trial.least)
    settled = [w if asked else g for w, g, asked in zip(wanted, got, again)]
    found = agreement(card.family, wanted, settled, several=several, second=trial.second, how=how)
    reason = differs_too_much(found, trial.least)
    facts: dict[str, Any] = {}
    if below:
        facts = {ASK_AGAIN_BELOW: below, ASKED_AGAIN: _rounded(float(again.mean()))}
        content[FLOAT_GRAPH] = source.files[GRAPH].read_bytes()
    if reason:
        return _Form(Tried("int8", found, None, reason), cosine, facts, {})
    timed = _spread(range(len(trial.feeds)), TIMED)
    once, twice = [trial.feeds[at] for at in timed], [trial.feeds[at] for at in timed if again[at]]
    speed = paired_speed(lambda: base.answers(once), lambda: (form.answers(once), base.answers(twice)))
    return _Form(Tried("int8", found, speed, not_worth_it(speed)), cosine, facts, content)


def _near_ties(
    wanted: Sequence[Answer], got: Sequence[Answer], second: Sequence[slice], how: Reading, *, least: float
) -> tuple[float, AnyArray]:
    """How far ahead a reader's answer in integers must be to stand, 0 where all may or none; and which are not.

    The texts' own agreement does not decide whether to ask again: of a few hundred it is as often too good as too bad.
    Texts that the form was made of move less than others and say nothing of those, where there are others.
    """
    leads = [context_lead(answer, at, how) for answer, at in zip(got, second, strict=True)]
    ahead = np.array([found.ahead for found in leads])
    exact = [leads_by(context_scores(w, at), found.stretch, how) for w, at, found in zip(wanted, second, leads)]
    others = sorted(set(range(len(got))) - set(_spread(range(len(got)), TYPICAL))) or range(len(got))
    moved = (ahead - np.array(exact))[list(others)]
    below = clear_from(ahead, moved, wrong=STAND_WRONG * (1 - least))
    # upwards, so that what the card says is at least what was found
    below = float(np.ceil(below * 1e4) / 1e4) if np.isfinite(below) else 0.0
    return below, ahead < below


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """So many of the items at most, from all over them."""
    return list(items[:: max(1, len(items) // most)][:most])


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
