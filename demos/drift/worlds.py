"""Small worlds in which a visitor can make something drift: pictures and readers here, texts in another file.

Pictures are cut out of the example pictures; readers are the simulated ones of :mod:`demos.library`.
Reference and window are drawn alike, so that where nothing is changed nothing has drifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from demos.examples import CLASSIFY, DETECT, SEGMENT, pictures
from demos.library import books, readings
from recsys.model import Recommender
from recsys.monitoring import observe as observe_request
from recsys.predictor import RecommenderPredictor
from shared.catalogue import ModelCard
from shared.monitoring.columns import Columns
from shared.monitoring.drift import Drift, drift
from shared.monitoring.estimate import Estimate
from shared.monitoring.signals import Observed, batch_of
from vision.monitoring import observe as observe_picture

REFERENCE = 300
"""Items that the window is held against."""
WINDOWS = (50, 200)
"""Fewest and most items of a window."""
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

    def check(self, light: float, blur: float, noise: float, *, size: int, rate: float, seed: int) -> Checked:
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

    def spoilt(
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

    def _observed(self, n: int, rng: np.random.Generator, light: float, blur: float, noise: float) -> Columns:
        parts = self.spoilt(n, rng, light, blur, noise)
        seen = [observe_picture(part, result) for part, result in zip(parts, self.classifier.predict(parts))]
        return without(columns_of(seen), "width", "height", "aspect")


def example_paths() -> list[str]:
    """The example pictures of the other pages that are on this machine, each once."""
    return list(dict.fromkeys(pictures((*CLASSIFY, *DETECT, *SEGMENT))))


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

    predictor: RecommenderPredictor
    histories: tuple[tuple[str, ...], ...]
    rare: tuple[str, ...]

    @classmethod
    def build(cls, model: Recommender, *, seed: int = 0) -> ReaderWorld:
        """Draw readers whom the model has not seen."""
        read: dict[str, list[str]] = {}
        for reader, book in readings(2 * REFERENCE, rng=np.random.default_rng(seed + 1)):
            read.setdefault(reader, []).append(book)
        known = {item: int(n) for item, n in zip(model.item_ids.ids, model.popularity)}
        rare = sorted((book.id for book in books()), key=lambda book: known.get(book, 0))[: len(books()) // 2]
        card = ModelCard("readers", "recsys.collaborative", "ease", "numpy", "Apache-2.0", "recommends to readers")
        return cls(RecommenderPredictor(card, model), tuple(map(tuple, read.values())), tuple(rare))

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
