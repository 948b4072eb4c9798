"""Texts without what they should not tell: persons by a recogniser, the rest by patterns and check digits.

No redaction is perfect: a name that the recogniser misses stays. Try yours on texts of your own, and see
:mod:`nlp.ner.identifiers` for what counts as an e-mail address, a number and so on.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, cast, overload

from nlp.ner.identifiers import IDENTIFIERS, find_identifiers
from nlp.ner.task import RULES_ONLY, Recogniser, entity_recognizer
from nlp.spans import Span, without_overlaps
from nlp.tokenize import check_text
from nlp.types import Redacted, Redaction
from shared.catalogue import ModelCard
from shared.errors import InputError, UnknownNameError, UsageError
from shared.predictor import OnError, Pipeline
from shared.types import Failure

LABELS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "person": frozenset({"PER", "PERSON"}),
        "organisation": frozenset({"ORG", "ORGANIZATION", "ORGANISATION", "COMPANY"}),
        "place": frozenset({"LOC", "LOCATION", "GPE", "FAC", "FACILITY", "CITY", "COUNTRY", "PROVINCE"}),
    }
)
"""Labels of recognisers, in capitals, that mean each kind."""
KINDS = (*LABELS, *IDENTIFIERS)
DEFAULT_KINDS = ("person", *IDENTIFIERS)
STYLES = ("label", "mask", "hash")

Redactor: TypeAlias = Pipeline[str, Any, Any, Redacted]
_DIGITS = 12
_MASK = "*"
_NUMBERS = ("card", "iban", "phone")


def redactor(
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    style: str = "label",
    key: bytes | None = None,
    model: str | Path | Recogniser | None = None,
    device: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Redactor:
    """Open a redactor.

    Args:
        kinds: what is taken out, of :data:`KINDS`.
        style: what stands for it: ``"label"``, its kind (``[PERSON]``); ``"mask"``, as many ``*`` as it had characters;
            ``"hash"``, its kind and a keyed hash of it (``[PERSON:9f86d081884c]``), so that one is known again.
        key: of the hash (HMAC-SHA256); at least 16 bytes. Whoever has it can test guesses, so keep it as a secret. With
            ``None`` one is drawn now, and no hash can be compared with those of another redactor.
        model: as :func:`nlp.entity_recognizer` takes it, or a recogniser that is open; opened only where ``kinds`` need
            it.
        device: as :func:`nlp.entity_recognizer` takes it.
        threads: as :func:`nlp.entity_recognizer` takes it.
        options: further options of :func:`nlp.entity_recognizer`: with ``gazetteer`` and ``patterns`` labelled by kinds
            (``person``, or a kind of your own that ``kinds`` names) you say what else is taken out.

    Returns:
        A predictor from texts to :class:`~nlp.types.Redacted`. A text without a word comes back as it is.

    Raises:
        UsageError: a style or key is malformed, or there are no kinds.
        UnknownNameError: a kind or model is unknown.
        WeightsError: a file of the recogniser cannot be had.

    Example:
        >>> plain = redactor(["email"]).predict(["write to ada@example.org!"])[0]
        >>> plain.text, [(span.kind, span.start, span.end) for span in plain.spans]
        ('write to [EMAIL]!', [('email', 9, 24)])
    """
    asked = _check_kinds(kinds, own=bool(options.get("gazetteer") or options.get("patterns")))
    replace = _replacing(style, key)
    patterns = [kind for kind in asked if kind in IDENTIFIERS]
    named = [kind for kind in asked if kind not in IDENTIFIERS]
    by_model = bool(named) and (model is not None or any(kind in LABELS for kind in named))
    finder: Recogniser | None = None
    if isinstance(model, Pipeline):
        finder = model if named else None
    elif named:
        finder = entity_recognizer(model if by_model else RULES_ONLY, device=device, threads=threads, **options)

    def decode(raw: Any, prepared: tuple[str, Any]) -> Redacted:
        text, mid = prepared
        spans = find_identifiers(text, patterns)
        if finder is not None and mid is not None:
            spans = [*spans, *_of_entities(finder, raw, mid, named)]
        return redacted(text, without_overlaps(spans), replace)

    card = ModelCard(
        f"redactor of {', '.join(asked)}", "nlp.redaction", "redactor", "none", "Apache-2.0",
        f"takes {', '.join(asked)} out of texts" + (f", by {finder.card.name}" if finder else ""),
    )  # fmt: skip
    return Pipeline(
        card,
        lambda text: _prepare(finder, text),
        lambda batch: _run(finder, batch),
        decode,
        batch_size=finder.batch_size if finder else 64,
        threads=threads,
    )


@overload
def redact(texts: str, kinds: Sequence[str] = ..., **options: Any) -> Redacted: ...
@overload
def redact(
    texts: Sequence[str], kinds: Sequence[str] = ..., *, on_error: OnError = ..., **options: Any
) -> list[Redacted | Failure]: ...
def redact(
    texts: str | Sequence[str],
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    on_error: OnError = "raise",
    **options: Any,
) -> Redacted | list[Redacted | Failure]:
    """Take what should not be told out of a text, or out of several.

    The recogniser that was used last stays open. To stream, and to hash with one key for all, use :func:`redactor`.

    Args:
        texts: a text, or a list.
        kinds: as :func:`redactor` takes them.
        on_error: for a list; see :meth:`shared.predictor.Predictor.predict`.
        options: further options of :func:`redactor`.

    Raises:
        PredictError: a text cannot be read and ``on_error`` is ``"raise"``.
        UsageError, UnknownNameError, WeightsError: see :func:`redactor`.

    Example:
        >>> redact("4539 5787 6362 1486, order 4539 5787 6362 1487", ["card"]).text
        '[CARD], order 4539 5787 6362 1487'
    """
    plain = all(isinstance(value, str | int | bytes | None) for value in options.values())
    opened = (_kept if plain else redactor)(tuple(kinds), **options)
    if isinstance(texts, str):
        return cast("Redacted", opened.predict([texts])[0])
    return opened.predict(texts, on_error=on_error)


@lru_cache(maxsize=1)
def _kept(kinds: tuple[str, ...], **options: Any) -> Redactor:
    return redactor(kinds, **options)


def redacted(text: str, spans: Sequence[Span], replace: Callable[[str, str], str]) -> Redacted:
    """The text with something else in the place of spans.

    Args:
        text: the text.
        spans: what goes, in order, none overlapping another; their labels are kinds.
        replace: from a kind and the stretch to what stands for it.
    """
    parts: list[str] = []
    found: list[Redaction] = []
    at = new = 0
    for start, stop, kind in spans:
        kept, put = text[at:start], replace(kind, text[start:stop])
        new += len(kept)
        found.append(Redaction(kind, start, stop, new, new + len(put)))
        parts += [kept, put]
        at, new = stop, new + len(put)
    return Redacted("".join([*parts, text[at:]]), tuple(found))


def _prepare(finder: Recogniser | None, text: object) -> tuple[str, Any]:
    """The text, and what the recogniser makes of it; ``None`` where there is no word to look at."""
    try:
        checked = check_text(text)
        return checked, None if finder is None else finder.prepare(checked)
    except InputError as error:
        if error.kind == "empty" and isinstance(text, str):
            return text, None
        raise


def _run(finder: Recogniser | None, batch: Sequence[tuple[str, Any]]) -> list[Any]:
    ready = [mid for _, mid in batch if mid is not None]
    answers = iter(finder.run(ready) if finder is not None and ready else ())
    return [None if mid is None else next(answers) for _, mid in batch]


def _of_entities(finder: Recogniser, raw: Any, mid: Any, kinds: Sequence[str]) -> list[Span]:
    meant = {label: kind for kind in kinds for label in (*LABELS.get(kind, ()), kind.upper())}
    found = ((entity, meant.get(entity.label.upper())) for entity in finder.decode(raw, mid).entities)
    return [(entity.start, entity.end, kind) for entity, kind in found if kind is not None]


def _check_kinds(kinds: Sequence[str], *, own: bool) -> tuple[str, ...]:
    if isinstance(kinds, str) or not kinds:
        raise UsageError(f"kinds must be a list of {', '.join(KINDS)}, one at least. Got {kinds!r} instead")
    for kind in kinds:
        if kind not in KINDS and not (own and isinstance(kind, str) and kind):
            raise UnknownNameError("kind to redact", str(kind), KINDS)
    return tuple(dict.fromkeys(kinds))


def _replacing(style: str, key: bytes | None) -> Callable[[str, str], str]:
    if style not in STYLES:
        raise UnknownNameError("style of redaction", style, STYLES)
    if key is not None and (style != "hash" or not isinstance(key, bytes) or len(key) < 16):
        raise UsageError("key must be at least 16 bytes, and goes with style='hash'. Got another key or style")
    if style == "label":
        return lambda kind, _: f"[{kind.upper()}]"
    if style == "mask":
        return lambda _, found: _MASK * len(found)
    secret = key or secrets.token_bytes(32)

    def hashed(kind: str, found: str) -> str:
        same = "".join(filter(str.isalnum, found)) if kind in _NUMBERS else " ".join(found.split())
        digest = hmac.new(secret, f"{kind}\n{same.casefold()}".encode(), hashlib.sha256).hexdigest()
        return f"[{kind.upper()}:{digest[:_DIGITS]}]"

    return hashed
