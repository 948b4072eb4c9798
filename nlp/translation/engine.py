"""One loaded translation model: masked sentences in, checked translations out.

A model folder holds ``model.bin`` and ``config.json`` of CTranslate2, its vocabulary (``shared_vocabulary.json``, or
``source_vocabulary.json`` and ``target_vocabulary.json``), and pieces (see :mod:`nlp.translation.pieces`). The card's
options:

- ``pairs``: what it translates, ``["en-de", "en-fr"]``; or ``languages``: each of them into each other;
- ``before``, ``after``: tokens around the pieces of a source, ``prefix``: tokens that a translation begins with; in
  them
  ``{source}`` and ``{target}`` stand for the languages;
- ``codes``: what the model calls a language, where that is not its code;
- ``narrowest``, ``widest``: pieces of a translation for each of its source, beyond which one is doubted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlp.translation.checks import ADDED, LOOP, LOST, NARROWEST, SHORT, WIDEST, Limits, faults
from nlp.translation.pieces import Pieces, load_pieces
from shared.backends.base import check_threads
from shared.catalogue import ModelCard
from shared.errors import BackendError, DataError, UsageError
from shared.lazy import require
from shared.settings import cpu_count
from shared.weights import Opened

FAMILY = "ctranslate2"
MODEL, CONFIG = "model.bin", "config.json"
VOCABULARIES = ("shared_vocabulary.json", "source_vocabulary.json", "target_vocabulary.json")
LENGTH_PENALTY = "length_penalty"
"""The option of a card by which hypotheses are divided by their length to a power: above 1 favours long ones."""
BATCH_TOKENS, LEAST_TOKENS = 512, 128
"""Tokens that run together, padding counted: at most, and at least where fewer would keep more threads busy."""
BATCHES = 2
"""Batches for each thread that sentences are cut into, so that none waits long for the last."""
MOST_PIECES, SPARE_PIECES = 512, 24
"""Pieces of a translation at most; how many it may have beyond what its source's length allows."""
LONGEST_PIECES = 220
"""Pieces of a sentence that are read; the caller keeps sentences shorter."""
MORE_BEAMS = 3
"""By how many hypotheses a second try is wider than the first."""
_FOREIGN_MARK = "X{}X"
_FOREIGN = re.compile(r"[Xx]\s?(\d{1,2})\s?[Xx]")
_MARK = re.compile(r"<m(\d{1,2})>")


@dataclass(frozen=True)
class Drafted:
    """A masked sentence's translation.

    Attributes:
        text: the translation, with marks.
        log_score: mean log-probability of its tokens, at most 0.
        pieces: how many pieces it has.
        faults: what is wrong with it; keys of :data:`nlp.translation.checks.WORDS`.
    """

    text: str
    log_score: float
    pieces: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """A loaded model. Use :func:`load_engine`. Safe to call in several threads.

    Attributes:
        card: what model this is.
        translator: a ``ctranslate2.Translator``.
        pieces: how it cuts sentences.
        limits: how long its translations may be.
    """

    card: ModelCard
    translator: Any = field(repr=False)
    pieces: Pieces = field(repr=False)
    limits: Limits = field(default_factory=Limits)

    def translate(self, sentences: Sequence[str], source: str, target: str, *, beam: int) -> list[Drafted]:
        """Masked sentences to their translations, in order.

        One with a fault is tried again: with more hypotheses, the first of which without a fault is taken, and where
        marks are still lost, part by part between its marks.

        Args:
            sentences: each of at most :data:`LONGEST_PIECES` pieces; what is beyond is not read.
            source: language of the sentences.
            target: language to translate to.
            beam: hypotheses that are followed at once.

        Raises:
            BackendError: the runtime refused.
        """
        once = list(dict.fromkeys(sentences))
        drafts = [found[0] for found in self._hypotheses(once, source, target, beam=beam)]
        doubted = [at for at, draft in enumerate(drafts) if draft.faults]
        looping = [at for at in doubted if LOOP in drafts[at].faults]
        for mine, loop in ((looping, True), ([at for at in doubted if at not in looping], False)):
            again = self._hypotheses(
                [once[at] for at in mine], source, target, beam=beam + MORE_BEAMS, again=True, loop=loop
            )
            for at, found in zip(mine, again):
                drafts[at] = min([drafts[at], *found], key=lambda draft: len(draft.faults))
        lost = [at for at in doubted if {LOST, ADDED} & set(drafts[at].faults)]
        for at, draft in zip(lost, self._in_parts([once[at] for at in lost], source, target, beam=beam)):
            drafts[at] = draft
        table = dict(zip(once, drafts))
        return [table[sentence] for sentence in sentences]

    def room(self, pieces: int) -> int:
        """Pieces of a translation at most, where the longest sentence beside it has so many."""
        return min(MOST_PIECES, round(self.limits.widest * pieces) + SPARE_PIECES)

    def _hypotheses(
        self, sentences: Sequence[str], source: str, target: str, *, beam: int, again: bool = False, loop: bool = False
    ) -> list[list[Drafted]]:
        if not sentences:
            return []
        cut = [self.pieces.encode(self._outward(sentence))[:LONGEST_PIECES] for sentence in sentences]
        codes = {name: self._code(code) for name, code in (("source", source), ("target", target))}
        before, after, prefix = (
            [token.format(**codes) for token in self.card.options.get(name, ())]
            for name in ("before", "after", "prefix")
        )
        favour = float(self.card.options.get(LENGTH_PENALTY, 1.0))
        try:
            results = self.translator.translate_batch(
                [[*before, *pieces, *after] for pieces in cut],
                target_prefix=[prefix] * len(cut) if prefix else None,
                max_batch_size=tokens_at_once(sum(map(len, cut)), self.translator.num_translators),
                batch_type="tokens",
                beam_size=beam,
                num_hypotheses=beam if again else 1,
                length_penalty=favour,
                return_scores=True,
                max_decoding_length=self.room(max(map(len, cut))),
                min_decoding_length=1,
                disable_unk=True,
                no_repeat_ngram_size=4 if loop else 0,
                repetition_penalty=1.1 if loop else 1.0,
                coverage_penalty=0.2 if again else 0.0,
            )
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"CTranslate2 refused a batch for {self.card.name}: {error}") from error
        return [
            [
                self._drafted(sentence, pieces, hypothesis[len(prefix) :], score * len(hypothesis) ** (favour - 1))
                for hypothesis, score in zip(result.hypotheses, result.scores)
            ]
            for sentence, pieces, result in zip(sentences, cut, results)
        ]

    def _drafted(
        self, sentence: str, source_pieces: Sequence[str], target_pieces: Sequence[str], score: float
    ) -> Drafted:
        text = self._inward(self.pieces.decode(target_pieces))
        wrong = faults(sentence, source_pieces, text, target_pieces, limits=self.limits)
        return Drafted(text, min(0.0, float(score)), len(target_pieces), wrong)

    def _in_parts(self, sentences: Sequence[str], source: str, target: str, *, beam: int) -> list[Drafted]:
        """What stands between marks by itself; so no mark can be lost."""
        cut = [_MARK.split(sentence) for sentence in sentences]  # text, number, text, number, ..., text
        parts = list(dict.fromkeys(part.strip() for row in cut for part in row[::2] if _has_letter(part)))
        table = dict(zip(parts, (found[0] for found in self._hypotheses(parts, source, target, beam=beam))))
        return [self._joined(row, table) for row in cut]

    def _joined(self, row: Sequence[str], table: Mapping[str, Drafted]) -> Drafted:
        text, used = "", []
        for at, part in enumerate(row):
            if at % 2:
                text += f"<m{part}>"
            elif _has_letter(part):
                draft = table[part.strip()]
                used.append(draft)
                lead, trail = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
                text += f"{lead}{_MARK.sub('', draft.text)}{trail}"
            else:
                text += part
        count = sum(draft.pieces for draft in used)
        mean = sum(draft.log_score * draft.pieces for draft in used) / count if count else 0.0
        kinds = dict.fromkeys(fault for draft in used for fault in draft.faults if fault in (LOOP, SHORT))
        return Drafted(text, mean, count, tuple(kinds))

    def _code(self, language: str) -> str:
        return str(self.card.options.get("codes", {}).get(language, language))

    def _outward(self, text: str) -> str:
        """Marks in the form in which this model is likeliest to carry them over."""
        return text if self.pieces.learnt_marks else _MARK.sub(lambda mark: _FOREIGN_MARK.format(mark[1]), text)

    def _inward(self, text: str) -> str:
        return text if self.pieces.learnt_marks else _FOREIGN.sub(lambda mark: f"<m{mark[1]}>", text)


def _has_letter(text: str) -> bool:
    return any(map(str.isalpha, text))


def tokens_at_once(total: int, threads: int) -> int:
    """How many tokens run together on one thread, so that every thread has its share of all.

    Args:
        total: tokens of all sentences.
        threads: how many translate at once.

    Example:
        >>> tokens_at_once(10_000, 2), tokens_at_once(1_000, 2), tokens_at_once(30, 2)
        (512, 250, 128)
    """
    return min(BATCH_TOKENS, max(LEAST_TOKENS, -(-total // (BATCHES * threads))))


def pairs_of(card: ModelCard) -> frozenset[tuple[str, str]]:
    """What a model translates, as pairs of languages.

    Raises:
        DataError: its card does not say so.

    Example:
        >>> from shared.testing import fake_card
        >>> sorted(pairs_of(fake_card(options={"pairs": ["en-de", "en-fr"]})))
        [('en', 'de'), ('en', 'fr')]
    """
    languages = card.options.get("languages")
    if languages:
        return frozenset((left, right) for left in languages for right in languages if left != right)
    pairs = [tuple(str(pair).split("-")) for pair in card.options.get("pairs", ())]
    found = frozenset((pair[0], pair[1]) for pair in pairs if len(pair) == 2)
    if len(found) != len(pairs) or not found:
        raise DataError(
            f"{card.origin}: options of model {card.name!r} must say what it translates, as pairs = ['en-de'] or "
            f"languages. Got {dict(card.options)} instead"
        )
    return found


def load_engine(opened: Opened, *, device: str = "auto", threads: int | None = None) -> Engine:
    """Load a model whose files are here.

    Raises:
        UsageError: ``device`` or ``threads`` is out of its range.
        DataError: files are missing or cannot be read.
        BackendError: CTranslate2 refused the model.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise UsageError(f"device must be auto, cpu or gpu. Got {device!r} instead")
    check_threads(threads)
    card, files = opened.card, opened.files
    vocabularies = [name for name in VOCABULARIES if name in files]
    missing = [name for name in (MODEL, CONFIG) if name not in files] + ([] if vocabularies else [VOCABULARIES[0]])
    if missing:
        raise DataError(f"{card.origin}: model {card.name!r} must have {', '.join(missing)}. It has {sorted(files)}")
    pairs_of(card)
    pieces = load_pieces(files)
    library = require("ctranslate2", extra="all")
    try:
        translator = library.Translator(
            card.name,
            device={"gpu": "cuda"}.get(device, device),
            inter_threads=threads or cpu_count(),
            intra_threads=1,
            files=_contents(files, (MODEL, CONFIG, *vocabularies)),
        )
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"CTranslate2 refused the model {card.name!r}: {error}") from error
    limits = Limits(float(card.options.get("narrowest", NARROWEST)), float(card.options.get("widest", WIDEST)))
    return Engine(card, translator, pieces, limits)


def _contents(files: Mapping[str, Path], names: Iterable[str]) -> dict[str, bytes]:
    return {name: files[name].read_bytes() for name in names}


def probability(log_score: float) -> float:
    """A mean log-probability as a probability, in [0, 1].

    Example:
        >>> probability(0.0), round(probability(-0.7), 2)
        (1.0, 0.5)
    """
    return math.exp(min(0.0, log_score))
