"""A world of made-up texts, in which it is known whether each is kind, and what may come in their place.

A classifier of sentiment answers all of them: what is estimated of its accuracy without labels stands beside the truth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from demos.drift.worlds import REFERENCE, Checked, checked, columns_of
from nlp.monitoring import observe
from shared.errors import UnknownNameError
from shared.monitoring.estimate import Calibration, Labelled, calibration, estimated_accuracy
from shared.monitoring.signals import Observed

POOL = 200
"""Texts of each kind that windows are drawn from."""
_SPOILT = 60
_RESAMPLES = 100

_FILM = (
    ("The film", "The story", "The cast", "The music", "The ending", "The dialogue", "The lead", "The script"),
    (
        "is a joy from start to end", "moved me to tears", "is warm and funny", "never puts a foot wrong",
        "is beautifully made", "kept me smiling", "is clever and kind", "is a small wonder",
    ),
    (
        "is loud and empty", "bored me within minutes", "falls apart", "is a waste of a good idea",
        "is clumsy and long", "made me look at the clock", "is dull beyond belief", "has no heart",
    ),
    ("", " from the first scene on", " even on a rainy evening", " for two whole hours", ", and my friends agree"),
)  # fmt: skip
_KITCHEN = (
    ("The kettle", "The toaster", "This blender", "The coffee machine", "The mixer", "The oven"),
    (
        "has run for three years without a fault", "boils a litre in two minutes", "does what the box says",
        "has not leaked once", "comes apart for cleaning", "outlasts the two that I had before",
    ),
    (
        "stopped on the third day", "leaks from the lid", "smells of burnt plastic", "trips the fuse each morning",
        "arrived with a crack", "went back to the shop",
    ),
    ("", " at full load", " in a kitchen of four", " with hard water", ", model 3200"),
)  # fmt: skip
_GERMAN = (
    ("Der Film", "Das Stück", "Das Ende", "Der Schnitt", "Das Drehbuch", "Der Ton"),
    (
        "ist eine Freude von Anfang bis Ende", "hat mich zu Tränen gerührt", "ist warm und witzig",
        "ist wunderbar gespielt", "ist klug und freundlich", "ist ein kleines Wunder",
    ),
    (
        "ist laut und leer", "hat mich bald gelangweilt", "fällt auseinander", "ist plump und lang",
        "ist unsagbar öde", "hat kein Herz",
    ),
    ("", " von der ersten Szene an", " auch an einem Regentag", " zwei volle Stunden lang"),
)  # fmt: skip
_Phrases = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _texts(phrases: _Phrases, n: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Texts of one to three sentences of one mind, and which mind: ``"positive"`` or ``"negative"``."""
    texts, truth = [], []
    subjects, good, bad, tails = phrases
    for _ in range(n):
        kind = bool(rng.random() < 0.5)
        said = good if kind else bad
        count = int(rng.integers(1, 4))
        texts.append(" ".join(f"{rng.choice(subjects)} {rng.choice(said)}{rng.choice(tails)}." for _ in range(count)))
        truth.append("positive" if kind else "negative")
    return texts, truth


def _shouted(text: str) -> str:
    return f"<b>{text.upper()}</b> >>> http://tickets.example/?id=4711 <<<"


def _without_words(text: str, share: float, rng: np.random.Generator) -> str:
    return " ".join(word for word in text.split() if rng.random() > share) or text


def _misspelt(text: str, share: float, rng: np.random.Generator) -> str:
    return "".join(str(rng.choice(list("etaoin"))) if rng.random() < share else letter for letter in text)


def _cut(text: str, words: float) -> str:
    return " ".join(text.split()[: int(words)])


TEXTS: Mapping[str, Callable[[int, np.random.Generator], tuple[list[str], list[str]]]] = {
    "Kitchen machines instead of films": lambda n, rng: _texts(_KITCHEN, n, rng),
    "German": lambda n, rng: _texts(_GERMAN, n, rng),
    "Shouted, with markup and links": lambda n, rng: _changed(_texts(_FILM, n, rng), _shouted),
    "Misspelt": lambda n, rng: _changed(_texts(_FILM, n, rng), lambda text: _misspelt(text, 0.15, rng)),
}
"""What may come in instead of film reviews."""


_SHIFTS: Mapping[str, tuple[Callable[[str, float, np.random.Generator], str], tuple[float, float]]] = {
    "words left out": (_without_words, (0.3, 0.6)),
    "letters wrong": (_misspelt, (0.08, 0.3)),
    "cut short": (lambda text, words, rng: _cut(text, words), (3, 2)),
}
"""What the reference is spoilt by, to learn what a loss of confidence means: nothing of what may come in."""


def _changed(made: tuple[list[str], list[str]], change: Callable[[str], str]) -> tuple[list[str], list[str]]:
    return [change(text) for text in made[0]], made[1]


@dataclass(frozen=True)
class Answered:
    """Texts with what a classifier said of them.

    Attributes:
        observed: what is watched of each.
        correct: whether each answer is right, bool, shape (n,).
    """

    observed: tuple[Observed, ...]
    correct: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def confidence(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """How sure the classifier was of each, float64, shape (n,), in [0, 1]."""
        return np.array([one.confidence for one in self.observed], np.float64)

    def take(self, at: np.ndarray[Any, Any]) -> Answered:
        """Some of them."""
        return Answered(tuple(self.observed[k] for k in at), self.correct[at])


@dataclass(frozen=True)
class TextWorld:
    """Film reviews, and what comes in instead; a classifier of sentiment has answered all of them.

    Attributes:
        classifier: what is asked.
        reference: film reviews.
        usual: further ones.
        known: what the reference, and the reference spoilt, says of accuracy.
    """

    classifier: Any
    reference: Answered = field(repr=False)
    usual: Answered = field(repr=False)
    known: Calibration = field(repr=False)
    _others: dict[str, Answered] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def build(cls, classifier: Any, *, seed: int = 0) -> TextWorld:
        """Make the texts, and ask the classifier."""
        rng = np.random.default_rng(seed)
        reference = _asked(classifier, _texts(_FILM, REFERENCE, rng))
        shifts = {
            name: [_asked(classifier, _spoilt(spoil, share, rng)) for share in shares]
            for name, (spoil, shares) in _SHIFTS.items()
        }
        known = calibration(
            reference.confidence,
            reference.correct,
            shifts={name: [Labelled(one.confidence, one.correct) for one in ones] for name, ones in shifts.items()},
            resamples=_RESAMPLES,
            rng=rng,
        )
        return cls(classifier, reference, _asked(classifier, _texts(_FILM, POOL, rng)), known)

    def others(self, kind: str) -> Answered:
        """Texts of another kind, made and answered when they are first wanted."""
        with self._lock:
            if kind not in self._others:
                made = TEXTS[kind](POOL, np.random.default_rng(list(TEXTS).index(kind) + 1))
                self._others[kind] = _asked(self.classifier, made)
            return self._others[kind]

    def window(self, kind: str, share: float, *, size: int, seed: int) -> Answered:
        """A window: film reviews, and instead of a share of them texts of another kind."""
        rng = np.random.default_rng(seed)
        other = int(rng.binomial(size, share))
        parts = [self.usual.take(rng.permutation(POOL)[: size - other])]
        if other:
            parts.append(self.others(kind).take(rng.permutation(POOL)[:other]))
        observed = tuple(one for part in parts for one in part.observed)
        return Answered(observed, np.concatenate([part.correct for part in parts]))

    def check(self, kind: str, share: float, *, size: int, rate: float, seed: int) -> Checked:
        """Whether such a window drifted, and how accurate the classifier is on it.

        Args:
            kind: a key of :data:`TEXTS`.
            share: of the window that is of that kind, in [0, 1].
            size: items of the window, at most :data:`POOL`.
            rate: of false alarms, in (0, 1).
            seed: of the window and of the tests.

        Raises:
            UnknownNameError: there is no such kind.
        """
        if kind not in TEXTS:
            raise UnknownNameError("kind of texts", kind, TEXTS)
        window = self.window(kind, share, size=size, seed=seed)
        found = checked(columns_of(self.reference.observed), columns_of(window.observed), rate=rate, seed=seed)
        estimate = estimated_accuracy(self.known, window.confidence, rng=np.random.default_rng(seed))
        return Checked(found.drift, found.reference, found.window, estimate, float(window.correct.mean()))


def _spoilt(
    spoil: Callable[[str, float, np.random.Generator], str], share: float, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    return _changed(_texts(_FILM, _SPOILT, rng), lambda text: spoil(text, share, rng))


def _asked(classifier: Any, made: tuple[list[str], list[str]]) -> Answered:
    results = classifier.predict(made[0])
    observed = tuple(observe(text, result) for text, result in zip(made[0], results))
    return Answered(observed, np.array([one.label == true for one, true in zip(observed, made[1])], np.bool_))
