"""The task ``nlp.translation``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

from nlp.language import detect_language
from nlp.monitoring import observe
from nlp.translation.decode import decode
from nlp.translation.engine import Drafted, Engine, load_engine, pairs_of
from nlp.translation.evaluate import EVALUATE_OPTIONS, FORMATS, evaluate_translation
from nlp.translation.glossary import Terms, read_glossary
from nlp.translation.models import CHECKPOINT_FAMILY, open_translation
from nlp.translation.prepare import Prepared, prepare
from nlp.translation.roundtrip import ESTIMATES, MODEL, ROUND_TRIP, judged
from nlp.translation.routes import Pair, Routes
from nlp.translation.streaming import joined, parts
from nlp.types import Translation
from shared import catalogue
from shared.catalogue import ModelCard
from shared.errors import InputError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.weights import Opened

NAME = "nlp.translation"
TARGET = "en"
BEAM, WIDEST_BEAM = 5, 16
TEXTS_AT_ONCE = 128
"""Texts whose sentences are sorted by length together: enough for several batches a thread."""
Translator: TypeAlias = Pipeline[str, Prepared, Sequence[Drafted], Translation]


def translator(
    name: str | Path | None = None,
    *,
    source: str | None = None,
    target: str = TARGET,
    beam: int = BEAM,
    glossary: Terms | None = None,
    wrapped: bool = False,
    estimate: str = MODEL,
    back: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Translator:
    """Open a translator into one language.

    Line breaks, lists and what else stands between sentences stay as they are, and so do mark-up, code, addresses,
    placeholders and numbers of two figures and more within them.

    Args:
        name: a catalogue name, a model folder, ``hf:OWNER/NAME`` or a local folder of a Marian, NLLB or M2M-100
            checkpoint; ``None`` takes for each pair of languages the catalogue's model, or two over a language between.
        source: code of the texts' language (``"de"``); ``None`` detects it in each text.
        target: code of the language to translate to. NLLB's codes (``"deu_Latn"``) are taken for both as well.
        beam: hypotheses that are followed at once, 1 to 16: more are slower and often better.
        glossary: translations by term, or a file with a term, a tab and its translation a line. A term's translation
            stands in the text as it is written there: nothing inflects it.
        wrapped: read lines that follow one another as one paragraph (a mail's, say); their breaks are then not kept.
        estimate: where scores come from: ``"model"``, its own probabilities; or ``"round-trip"``: the translation is
            translated back, and how like that is to the text is its score; see :mod:`nlp.translation.roundtrip`.
        back: what translates back, as ``name``; ``None`` takes the model itself where it leads back, else the
            catalogue's.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from texts to :class:`~nlp.types.Translation`.

    Raises:
        UsageError: an option is out of its range, or no model writes ``target``.
        UnknownNameError: no model is called that, or none leads from ``source`` to ``target``; the message lists the
            pairs.
        WeightsError: a model file cannot be had.
        MissingDependencyError: the model needs a library that is not installed.
        DataError: files cannot be read.
    """
    if not 1 <= beam <= WIDEST_BEAM:
        raise UsageError(f"beam must be between 1 and {WIDEST_BEAM}. Got {beam} instead")
    check_estimate(estimate, back=back)
    terms = read_glossary(glossary)
    routes, card = _routes(name, device=device, threads=threads)
    source, target = source and routes.known(source), routes.known(target)
    sources = routes.sources(target)
    returning = None
    if estimate == ROUND_TRIP:
        returning = _way_back(routes, back, device=device, threads=threads)
        if source is not None:
            returning.path(target, source)
        sources = returning.reached(target, sources)
    if source is not None and source != target:
        for pair in routes.path(source, target):
            routes.engine(pair)

    def reader(language: str) -> Engine | None:
        path = routes.path(language, target)
        return routes.engine(path[0]) if path else None

    def run(batch: Sequence[Prepared]) -> list[list[Drafted]]:
        return _translated(batch, routes, target, beam=beam, back=returning)

    def finished(drafts: Sequence[Drafted], prepared: Prepared) -> Translation:
        via = tuple(left for left, _ in routes.path(prepared.source, target)[1:]) if prepared.source else ()
        same = prepared.source == target and not drafts
        said = (f"the text is in {target!r} already",) if same else ()
        return decode(drafts, prepared, target=target, via=via, warnings=said, estimate=estimate)

    language = (
        (lambda text: source) if source is not None else partial(_detected, sources=(*sources, target), target=target)
    )
    return Pipeline(
        card,
        lambda text: prepare(text, source=language, engine=reader, glossary=terms, wrapped=wrapped),
        run,
        finished,
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
    )


def _detected(text: str, *, sources: Sequence[str], target: str) -> str:
    found = detect_language(text)
    if found.labels[0] in sources:
        return found.labels[0]
    raise InputError(
        "unsupported",
        f"a text must be in a language that can be translated into {target!r}: {', '.join(sources)}. It looks like "
        f"{found.labels[0]!r} ({found.scores[0]:.0%} sure): name its language (--source) if that is wrong",
    )


def check_estimate(estimate: str, *, back: str | Path | None) -> None:
    """Check where scores are to come from.

    Raises:
        UsageError: from nowhere that is known, or a model for the way back is named that nothing asks for.
    """
    if estimate not in ESTIMATES:
        raise UsageError(f"estimate must be one of {', '.join(ESTIMATES)}. Got {estimate!r} instead")
    if back is not None and estimate != ROUND_TRIP:
        raise UsageError(f"back is for --estimate {ROUND_TRIP}. Got back {str(back)!r} and estimate {estimate!r}")


def _way_back(routes: Routes, back: str | Path | None, *, device: str, threads: int | None) -> Routes:
    if back is not None:
        return _routes(back, device=device, threads=threads)[0]
    return Routes({**_catalogued(device, threads), **routes.openers})


def _through(routes: Routes, texts: Sequence[str], source: str, target: str, *, beam: int) -> list[Drafted]:
    """Sentences hop by hop to the language that they are to be in."""
    drafts = [Drafted(text, 0.0, 0) for text in texts]
    for hop in routes.path(source, target):
        made = routes.engine(hop).translate([draft.text for draft in drafts], *hop, beam=beam)
        drafts = [_after(one, two) for one, two in zip(drafts, made)]
    return drafts


def _translated(
    batch: Sequence[Prepared], routes: Routes, target: str, *, beam: int, back: Routes | None
) -> list[list[Drafted]]:
    """All sentences of a batch at once, language by language; with ``back`` scored by their return."""
    answers: list[list[Drafted]] = [[] for _ in batch]
    for language in dict.fromkeys(text.source for text in batch if text.masked):
        mine = [at for at, text in enumerate(batch) if text.source == language and text.masked]
        sentences = [sentence.text for at in mine for sentence in batch[at].masked]
        drafts = _through(routes, sentences, language, target, beam=beam)
        if back is not None:
            returned = _through(back, [draft.text for draft in drafts], target, language, beam=beam)
            drafts = judged(sentences, drafts, returned)
        left = iter(drafts)
        for at in mine:
            answers[at] = [next(left) for _ in batch[at].masked]
    return answers


def _after(first: Drafted, second: Drafted) -> Drafted:
    """A hop after another: probabilities multiply, and faults of both stay."""
    wrong = tuple(dict.fromkeys((*first.faults, *second.faults)))
    return Drafted(second.text, first.log_score + second.log_score, second.pieces, wrong)


def _routes(name: str | Path | None, *, device: str, threads: int | None) -> tuple[Routes, ModelCard]:
    """The models to choose from, and the card that stands for them."""
    if name is not None:
        opened = open_translation(name)
        loaded = load_engine(opened, device=device, threads=threads)
        return Routes({pair: (lambda: loaded) for pair in pairs_of(loaded.card)}), loaded.card
    asked_for = {card.name: sorted(pairs_of(card)) for card in _with_pairs() if card.opt_in}
    return Routes(_catalogued(device, threads), asked_for), catalogue.default(NAME)


def _catalogued(device: str, threads: int | None) -> dict[Pair, Callable[[], Engine]]:
    return {pair: partial(_engine, card.name, card.fingerprint, device, threads) for pair, card in directions().items()}


def _with_pairs() -> list[ModelCard]:
    return [card for card in catalogue.cards(NAME) if _says_pairs(card.options)]


def _candidates() -> list[ModelCard]:
    """The catalogue's models that say what they translate: defaults first, those that must be converted last."""
    known = [card for card in _with_pairs() if not card.opt_in]
    return sorted(known, key=lambda card: (not card.default, card.family == CHECKPOINT_FAMILY, card.name))


def _says_pairs(options: Mapping[str, object]) -> bool:
    return bool(options.get("pairs") or options.get("languages"))


def whole(name: str | Path | None = None) -> list[Opened]:
    """One model with its files, in CTranslate2's form; what :attr:`shared.tasks.Task.whole` gives."""
    return [open_translation(catalogue.default(NAME).name if name is None else name)]


@lru_cache(maxsize=8)
def _engine(name: str, fingerprint: str, device: str, threads: int | None) -> Engine:
    """A model of the catalogue; translators of one process share it."""
    return load_engine(open_translation(name), device=device, threads=threads)


def directions() -> dict[Pair, ModelCard]:
    """The pairs of languages that the catalogue's models translate, and the model of each."""
    found: dict[Pair, ModelCard] = {}
    for card in _candidates():
        for pair in sorted(pairs_of(card)):
            found.setdefault(pair, card)
    return found


_OPTIONS = (
    Option("source", str, None, "code of the texts' language (de); detected in each text when not given"),
    Option("target", str, TARGET, "code of the language to translate to"),
    Option("beam", int, BEAM, f"hypotheses that are followed at once, 1 to {WIDEST_BEAM}"),
    Option("glossary", str, None, "a file with a term, a tab and its translation a line"),
    Option("wrapped", bool, False, "read lines that follow one another as one paragraph"),
    Option("estimate", str, MODEL, f"where scores come from, {' or '.join(ESTIMATES)}: translated back, chrF of that"),
    Option("back", str, None, "model for the way back; this one where it leads back, else the catalogue's"),
)

TASK = Task(
    name=NAME,
    summary="a text in another language, sentence by sentence",
    inputs="text",
    open=translator,
    observe=observe,
    options=_OPTIONS,
    evaluate=evaluate_translation,
    formats=FORMATS,
    evaluate_options=EVALUATE_OPTIONS,
    tools={"parts": parts, "joined": joined},
    whole=whole,
)
