"""Which models lead from one language to another: one where there is one, else two over a language between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nlp.translation.codes import short_code
from nlp.translation.engine import Engine
from shared.errors import UnknownNameError, UsageError

MOST_HOPS = 2
Pair = tuple[str, str]


@dataclass(frozen=True)
class Routes:
    """Models by pair of languages; each is loaded when a text first needs it.

    Attributes:
        openers: what loads the model of a pair; for pairs of one model it gives the same one.
        by_name: pairs of models that are taken only where they are named, for messages.
    """

    openers: Mapping[Pair, Callable[[], Engine]]
    by_name: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    _loaded: dict[Pair, Engine] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def engine(self, pair: Pair) -> Engine:
        """The model of a pair that is known."""
        with self._lock:
            if pair not in self._loaded:
                self._loaded[pair] = self.openers[pair]()
            return self._loaded[pair]

    def known(self, language: str) -> str:
        """The code by which these models know a language: the one that is given, or the short one of NLLB's."""
        return language if language in self._languages() else short_code(language)

    def path(self, source: str, target: str) -> tuple[Pair, ...]:
        """The fewest pairs that lead from one language to another; none where they are the same.

        Raises:
            UnknownNameError: no models lead there; the message lists the pairs that are known.
        """
        if source == target:
            return ()
        if (source, target) in self.openers:
            return ((source, target),)
        between = [code for code in self._languages() if {(source, code), (code, target)} <= set(self.openers)]
        if not between:
            hint = self._hint(lambda pair: pair == (source, target))
            raise UnknownNameError("pair of languages", f"{source}-{target}", self.names(), hint)
        best = "en" if "en" in between else between[0]
        return (source, best), (best, target)

    def sources(self, target: str) -> list[str]:
        """The languages that can be translated into one, sorted.

        Raises:
            UsageError: there are none.
        """
        direct = {source for source, to in self.openers if to == target}
        found = sorted((direct | {source for source, to in self.openers if to in direct}) - {target})
        if not found:
            known = ", ".join(self._languages(1))
            hint = self._hint(lambda pair: pair[1] == target)
            raise UsageError(f"target must be a language that a model writes: {known}. Got {target!r} instead{hint}")
        return found

    def reached(self, source: str, targets: Sequence[str]) -> list[str]:
        """Those of some languages that one language can be translated into.

        Raises:
            UsageError: there are none.
        """
        onward = {to for left, to in self.openers if left == source}
        far = onward | {to for left, to in self.openers if left in onward}
        found = [code for code in targets if code in far]
        if not found:
            raise UsageError(
                f"models must lead from {source!r} back to one of {', '.join(targets)}. There are: "
                f"{', '.join(self.names()) or 'none'}"
            )
        return found

    def _hint(self, fits: Callable[[Pair], bool]) -> str:
        found = sorted(name for name, pairs in self.by_name.items() if any(map(fits, pairs)))
        return f". To be chosen by name: {', '.join(found)} (--model {found[0]})" if found else ""

    def names(self) -> list[str]:
        """The pairs that a model translates, as ``"en-de"``."""
        return sorted(f"{source}-{target}" for source, target in self.openers)

    def _languages(self, side: int | None = None) -> Sequence[str]:
        return sorted({pair[at] for pair in self.openers for at in ((0, 1) if side is None else (side,))})
