"""Three small worlds in which a visitor can make something drift, and knows the truth.

Texts are made up from phrases, so that whether each is kind or not is known; pictures are cut out of the example
pictures; readers are the simulated ones of :mod:`demos.library`. Reference and window are drawn alike, so that where
nothing is changed nothing has drifted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from demos.library import books, readings
from nlp.monitoring import observe as observe_text
from recsys.monitoring import observe as observe_request
from shared.monitoring.columns import Columns
from shared.monitoring.drift import Drift, drift
from shared.monitoring.estimate import Calibration, Estimate, Labelled, calibration, estimated_accuracy
from shared.monitoring.signals import Observed, batch_of
from vision.monitoring import observe as observe_picture

REFERENCE = 400
"""Items that the window is held against."""
WINDOWS = (50, 200)
"""Fewest and most items of a window."""
_POOL = 250
_SPOILT = 100
CROP = 160
"""Pixels of a side of what is cut out of a picture."""


@dataclass(frozen=True)
class Checked:
    """What is told of one window.

    Attributes:
        drift: what the tests found.
        reference: the columns of the reference.
        window: those of the window.
        estimate: the accuracy without labels, where there is a calibration.
        truth: the accuracy by the labels that this world knows, in [0, 1].
    """

    drift: Drift
    reference: Columns
    window: Columns
    estimate: Estimate | None = None
    truth: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        told = self.drift.to_json()
        if self.estimate is not None:
            told["estimated_accuracy"] = {name: getattr(self.estimate, name) for name in ("value", "low", "high")}
            told["true_accuracy"] = self.truth
        return told


def checked(reference: Columns, window: Columns, *, rate: float, seed: int) -> Checked:
    """Whether a window drifted, by the columns that both have.

    Args:
        reference: what the window is held against.
        window: the window.
        rate: of false alarms of the whole check, in (0, 1).
        seed: of whatever the tests draw.
    """
    both = alike(reference, window)
    return Checked(drift(*both, rate=rate, rng=np.random.default_rng(seed)), *both)


def columns_of(observed: Sequence[Observed]) -> Columns:
    """Observed items as columns.

    Example:
        >>> columns_of([Observed({"words": 3.0}), Observed({"words": 4.0})]).n
        2
    """
    batch = batch_of(observed)
    return Columns(batch.n, batch.numbers, batch.categories, batch.embeddings)


def alike(reference: Columns, window: Columns) -> tuple[Columns, Columns]:
    """Both with the columns in which both have values."""
    numbers = [
        name
        for name, values in reference.numbers.items()
        if np.isfinite(values).any() and np.isfinite(window.numbers.get(name, np.full(1, np.nan))).any()
    ]
    categories = [name for name, counts in reference.categories.items() if counts and window.categories.get(name)]
    vectors = reference.embeddings is not None and window.embeddings is not None
    kept = [
        Columns(
            one.n,
            {name: one.numbers[name] for name in numbers},
            {name: one.categories[name] for name in categories},
            one.embeddings if vectors else None,
        )
        for one in (reference, window)
    ]
    return kept[0], kept[1]


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


TEXTS: Mapping[str, Callable[[int, np.random.Generator], tuple[list[str], list[str]]]] = {
    "Kitchen machines instead of films": lambda n, rng: _texts(_KITCHEN, n, rng),
    "German": lambda n, rng: _texts(_GERMAN, n, rng),
    "Shouted, with markup and links": lambda n, rng: _changed(_texts(_FILM, n, rng), _shouted),
    "Misspelt": lambda n, rng: _changed(_texts(_FILM, n, rng), lambda text: _misspelt(text, 0.15, rng)),
}
"""What may come in instead of film reviews."""


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

    def labelled(self) -> Labelled:
        """Confidence, answers and whether they are right."""
        sure = np.array([one.confidence for one in self.observed], np.float64)
        return Labelled(sure, self.correct, [str(one.label) for one in self.observed])

    def take(self, at: np.ndarray[Any, Any]) -> Answered:
        """Some of them."""
        return Answered(tuple(self.observed[k] for k in at), self.correct[at])


@dataclass(frozen=True)
class TextWorld:
    """Film reviews, and what comes in instead; a classifier of sentiment has answered all of them.

    Attributes:
        reference: film reviews.
        usual: further ones.
        others: texts of another kind, by the names of :data:`TEXTS`.
        known: what the reference says of accuracy, spoilt in two ways of our own.
    """

    reference: Answered
    usual: Answered
    others: Mapping[str, Answered]
    known: Calibration

    @classmethod
    def build(cls, classifier: Any, *, seed: int = 0) -> TextWorld:
        """Make the texts, and ask the classifier."""
        rng = np.random.default_rng(seed)

        def asked(made: tuple[list[str], list[str]]) -> Answered:
            results = classifier.predict(made[0])
            observed = tuple(observe_text(text, result) for text, result in zip(made[0], results))
            return Answered(observed, np.array([one.label == true for one, true in zip(observed, made[1])], np.bool_))

        reference = asked(_texts(_FILM, REFERENCE, rng))
        shifts = {
            name: [
                asked(_changed(_texts(_FILM, _SPOILT, rng), lambda text, s=share: spoil(text, s, rng))).labelled()  # type: ignore[misc]
                for share in shares
            ]
            for name, spoil, shares in (
                ("words left out", _without_words, (0.3, 0.6)),
                ("letters wrong", _misspelt, (0.08, 0.3)),
            )
        }
        own = reference.labelled()
        known = calibration(own.confidence, own.correct, labels=own.labels, shifts=shifts, rng=rng)
        others = {name: asked(make(_POOL, rng)) for name, make in TEXTS.items()}
        return cls(reference, asked(_texts(_FILM, _POOL, rng)), others, known)

    def window(self, kind: str, share: float, *, size: int, seed: int) -> Answered:
        """A window: film reviews, and instead of a share of them texts of another kind."""
        rng = np.random.default_rng(seed)
        other = int(rng.binomial(size, share))
        parts = [
            self.usual.take(rng.permutation(_POOL)[: size - other]),
            self.others[kind].take(rng.permutation(_POOL)[:other]),
        ]
        return Answered(
            tuple(one for part in parts for one in part.observed), np.concatenate([p.correct for p in parts])
        )

    def check(self, kind: str, share: float, *, size: int, rate: float, seed: int) -> Checked:
        """Whether such a window drifted, and how accurate the classifier is on it.

        Args:
            kind: a key of :data:`TEXTS`.
            share: of the window that is of that kind, in [0, 1].
            size: items of the window.
            rate: of false alarms, in (0, 1).
            seed: of the window and of the tests.
        """
        window = self.window(kind, share, size=size, seed=seed)
        found = checked(columns_of(self.reference.observed), columns_of(window.observed), rate=rate, seed=seed)
        sure = window.labelled()
        estimate = estimated_accuracy(
            self.known, sure.confidence, labels=sure.labels, rng=np.random.default_rng(seed)
        )  # fmt: skip
        return Checked(found.drift, found.reference, found.window, estimate, float(window.correct.mean()))


@dataclass(frozen=True)
class PictureWorld:
    """Parts cut out of some pictures, and what a classifier says of them.

    Attributes:
        pictures: they are cut out of.
        classifier: what is asked of each part.
        reference: the columns of parts that are left as they are.
    """

    pictures: tuple[Image.Image, ...]
    classifier: Any
    reference: Columns = field(repr=False)

    @classmethod
    def build(cls, paths: Sequence[str], classifier: Any, *, seed: int = 0) -> PictureWorld:
        """Cut the reference out of pictures on this machine."""
        opened = tuple(_small(path) for path in paths)
        made = cls(opened, classifier, Columns(0))
        return cls(opened, classifier, made._observed(REFERENCE // 2, np.random.default_rng(seed), 1.0, 0.0, 0.0))

    def check(  # noqa: PLR0917 - three sliders
        self, light: float, blur: float, noise: float, *, size: int, rate: float, seed: int
    ) -> Checked:
        """Whether a window of spoilt parts drifted.

        Args:
            light: factor of the brightness; 1 changes nothing.
            blur: radius in pixels.
            noise: standard deviation of each value, in [0, 255].
            size: parts of the window.
            rate: of false alarms, in (0, 1).
            seed: of the window and of the tests.
        """
        window = self._observed(size, np.random.default_rng([seed, 1]), light, blur, noise)
        return checked(self.reference, window, rate=rate, seed=seed)

    def spoilt(  # noqa: PLR0917
        self, n: int, rng: np.random.Generator, light: float, blur: float, noise: float
    ) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
        """Parts of the pictures, each (160, 160, 3), uint8, RGB, made darker, blurred and noisy."""
        found = []
        for at in rng.integers(0, len(self.pictures), n):
            picture = self.pictures[at]
            left, top = (int(rng.integers(0, side - CROP + 1)) for side in picture.size)
            part = picture.crop((left, top, left + CROP, top + CROP))
            pixels = np.asarray(part.filter(ImageFilter.GaussianBlur(blur)) if blur else part, np.float64) * light
            if noise:
                pixels = pixels + rng.normal(0, noise, pixels.shape)
            found.append(pixels.clip(0, 255).round().astype(np.uint8))
        return found

    def _observed(  # noqa: PLR0917
        self, n: int, rng: np.random.Generator, light: float, blur: float, noise: float
    ) -> Columns:
        parts = self.spoilt(n, rng, light, blur, noise)
        seen = [observe_picture(part, result) for part, result in zip(parts, self.classifier.predict(parts))]
        return without(columns_of(seen), "width", "height", "aspect")


def _small(path: str) -> Image.Image:
    with Image.open(path) as picture:
        shown = picture.convert("RGB")
    scale = 320 / min(shown.size)
    return shown.resize((max(CROP, round(shown.width * scale)), max(CROP, round(shown.height * scale))))


def without(columns: Columns, *names: str) -> Columns:
    """The columns but for some numbers.

    Example:
        >>> without(Columns(1, {"a": np.zeros(1), "b": np.zeros(1)}), "a").names
        ('b',)
    """
    numbers = {name: values for name, values in columns.numbers.items() if name not in names}
    return Columns(columns.n, numbers, columns.categories, columns.embeddings)


@dataclass(frozen=True)
class ReaderWorld:
    """Readers who ask for recommendations, and newcomers who read what few others do.

    Attributes:
        predictor: that answers them.
        histories: what each reader read; the first are the reference.
        rare: the rarer half of the books.
    """

    predictor: Any
    histories: tuple[tuple[str, ...], ...]
    rare: tuple[str, ...]

    @classmethod
    def build(cls, predictor: Any, *, seed: int = 0) -> ReaderWorld:
        """Draw readers whom the model has not seen."""
        read: dict[str, list[str]] = {}
        for reader, book in readings(2 * REFERENCE, rng=np.random.default_rng(seed + 1)):
            read.setdefault(reader, []).append(book)
        model = predictor.model
        known = {item: int(n) for item, n in zip(model.item_ids.ids, model.popularity)}
        rare = sorted((book.id for book in books()), key=lambda book: known.get(book, 0))[: len(books()) // 2]
        return cls(predictor, tuple(map(tuple, read.values())), tuple(rare))

    def check(self, share: float, *, size: int, rate: float, seed: int) -> Checked:
        """Whether a window drifted in which a share of the readers are newcomers.

        Args:
            share: of the window, in [0, 1].
            size: readers of the window.
            rate: of false alarms, in (0, 1).
            seed: of the window and of the tests.
        """
        rng = np.random.default_rng(seed)
        usual = rng.permutation(np.arange(REFERENCE, len(self.histories)))[:size]
        window = [list(self.histories[at]) for at in usual]
        for at in np.flatnonzero(rng.random(size) < share):
            window[at] = [str(book) for book in rng.choice(self.rare, len(window[at]), replace=False)]
        reference = [list(history) for history in self.histories[:REFERENCE]]
        return checked(self._observed(reference), self._observed(window), rate=rate, seed=seed)

    def _observed(self, histories: Sequence[list[str]]) -> Columns:
        results = self.predictor.predict(histories)
        seen = [observe_request(h, result, predictor=self.predictor) for h, result in zip(histories, results)]
        return without(columns_of(seen), "count")
