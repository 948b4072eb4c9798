"""The models behind the pages: each opened once, and never before the first page stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

import nlp
import recsys
import vision
from demos.library import SEED, readings
from demos.recent import Recent
from nlp.retrieval.rerank import DEFAULT_RERANKER, open_reranker
from nlp.translation.task import directions
from shared.catalogue import ModelCard, ModelFile, default, find
from shared.errors import TriptychError
from shared.predictor import Predictor
from shared.settings import offline
from shared.weights import locate
from shared.weights.words import human
from vision.segmentation.promptable import prompting_at_hand

if TYPE_CHECKING:
    from nlp.retrieval.rerank import Reranker
    from nlp.types import Answers, Entities, TextLabels, Translation
    from recsys import Interactions, Recommender
    from vision.segmentation.promptable import PromptableSegmenter
    from vision.types import Classification, Detections, Faces, Segmentation

T = TypeVar("T")

HEADS = {
    "Sentiment": "sst2-bge-lora",
    "Topic": "agnews-minilm",
    "Question type": "trec-minilm",
    "Spam": "sms-spam-minilm",
    "Language": "language-id",
}
"""Catalogue names of the trained text classifiers, by what they tell."""
SEGMENTERS = {"Things of 20 kinds": "deeplabv3", "The foreground": "u2netp", "People, with soft edges": "modnet"}
"""Catalogue names of the segmenters, by what they find."""
PROMPTABLE = "mobile-sam"
ZERO_SHOT = "minilm-zero-shot"
OWN_LABELS_KEPT = 4
LOWEST_SCORE = 0.05
"""The least score of a box that the detector gives; the page's slider shows fewer."""


@dataclass(eq=False)
class Model(Generic[T]):
    """One model of a page. Whoever asks first opens it; the others wait for that same one.

    Attributes:
        job: what it is for, for people.
        card: what is known of it before it is opened.
        open: opens it, fetching files that are not here.
        built: how it comes to be where it has no files to fetch, for people; else empty.

    Example:
        >>> from shared.testing import fake_card
        >>> model = Model("Greet", fake_card(name="hello"), lambda: "hello")
        >>> model.opened, model.get(print), model.opened
        Opening hello
        (False, 'hello', True)
    """

    job: str
    card: ModelCard
    open: Callable[[], T]
    built: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _value: list[T] = field(default_factory=list, repr=False)
    _warming: list[bool] = field(default_factory=list, repr=False)

    @property
    def opened(self) -> bool:
        """Whether it is in memory."""
        return bool(self._value)

    def missing(self) -> list[ModelFile]:
        """The files that its first use will fetch."""
        found = locate(self.card)
        return [file for file in self.card.files if found[file.name] is None]

    def get(self, say: Callable[[str], object]) -> T:
        """The opened model.

        Args:
            say: told in words what the caller is about to wait for; not called when it waits for nothing.

        Raises:
            WeightsError: a file cannot be had. The next call tries again.
        """
        if not self.opened:
            say(self._waiting())
        with self._lock:
            if not self._value:
                self._value.append(self.open())
            return self._value[0]

    def forget(self) -> None:
        """Let go of it; whoever asks next opens it anew, and who has it keeps it."""
        with self._lock:
            self._value.clear()

    def warm(self) -> None:
        """Begin to open it beside everything else, unless a file would be fetched; who asks meanwhile waits for it."""
        if self.opened or self._warming or self.missing():
            return
        self._warming.append(True)
        # No daemon: a runtime that compiles a graph while the interpreter goes away would take it down.
        threading.Thread(target=self._opened_quietly, name=f"warm {self.card.name}").start()

    def _opened_quietly(self) -> None:
        with suppress(TriptychError):  # whoever asks is told
            self.get(lambda _: None)

    def _waiting(self) -> str:
        missing = [] if offline() else self.missing()
        if missing:
            return f"Fetching {self.card.name} ({human(sum(file.size or 0 for file in missing))}), once"
        size = f" ({human(self.card.size)})" if self.card.files else ""
        return f"{'Building' if self.built else 'Opening'} {self.card.name}{size}"


@dataclass(frozen=True)
class OwnLabels:
    """Text classifiers for labels that visitors write; the last few sets of labels stay open.

    Attributes:
        card: of the model that tells labels apart by their meaning.
    """

    card: ModelCard
    _recent: Recent[tuple[str, ...], Model[Predictor[str, TextLabels]]] = field(
        default_factory=lambda: Recent(OWN_LABELS_KEPT)
    )

    @property
    def opened(self) -> bool:
        """Whether one is in memory."""
        return any(model.opened for model in self._recent.values())

    def model(self, labels: tuple[str, ...]) -> Model[Predictor[str, TextLabels]]:
        """The classifier for these labels."""

        def opened() -> Predictor[str, TextLabels]:
            return nlp.text_classifier(self.card.name, labels=labels)

        return self._recent.made(labels, lambda: Model("Text", self.card, opened))


@dataclass(frozen=True)
class Models:
    """Every model of the pages.

    Attributes:
        classifier: what a picture is of.
        detector: where things are, with every score that the page's slider can reach.
        segmenters: which pixels belong to what, by what a visitor wants found.
        promptable: the thing at a click; ``None`` where its export is neither here nor can be made.
        faces: faces with their embeddings, and whether two are one person's.
        heads: trained text classifiers, by the name that a visitor chooses.
        own_labels: text classifiers for labels that visitors write.
        entities: what a text names.
        translators: texts into another language, by the direction that a visitor chooses.
        reranker: which passages of a visitor's documents fit a question.
        reader: where in a passage the answer stands.
        recommenders: fitted here over simulated readers, by the name that a visitor chooses.
    """

    classifier: Model[Predictor[Any, Classification]]
    detector: Model[Predictor[Any, Detections]]
    segmenters: Mapping[str, Model[Predictor[Any, Segmentation]]]
    promptable: Model[PromptableSegmenter] | None
    faces: Model[Predictor[Any, Faces]]
    heads: Mapping[str, Model[Predictor[str, TextLabels]]]
    own_labels: OwnLabels
    entities: Model[Predictor[Any, Entities]]
    translators: Mapping[str, Model[Predictor[str, Translation]]]
    reranker: Model[Reranker]
    reader: Model[Predictor[Any, Answers]]
    recommenders: Mapping[str, Model[Recommender]]

    def all(self) -> list[Model[Any]]:
        """All of them, in the order of the pages."""
        clicked = [] if self.promptable is None else [self.promptable]
        pictures: list[Model[Any]] = [self.classifier, self.detector, *self.segmenters.values(), *clicked, self.faces]
        texts: list[Model[Any]] = [*self.heads.values(), self.entities, *self.translators.values()]
        return [*pictures, *texts, self.reranker, self.reader, *self.recommenders.values()]


def declare() -> Models:
    """The defaults of each task, none opened."""
    return Models(
        Model("Classify", default("vision.classification"), vision.classifier),
        Model("Detect", default("vision.detection"), lambda: vision.detector(score_threshold=LOWEST_SCORE)),
        {kind: _segmenter(name) for kind, name in SEGMENTERS.items()},
        Model("Segment", find(PROMPTABLE), vision.promptable_segmenter) if prompting_at_hand() else None,
        Model("Faces", default("vision.faces"), vision.face_recognizer),
        {kind: _head(name) for kind, name in HEADS.items()},
        OwnLabels(find(ZERO_SHOT)),
        Model("Entities", default("nlp.ner"), nlp.entity_recognizer),
        {f"{source} to {target}": _translator(source, target, card) for (source, target), card in directions().items()},
        Model("Ask", find(DEFAULT_RERANKER), open_reranker),
        Model("Ask", default("nlp.qa"), lambda: nlp.question_answerer(top_k=1)),
        {
            "EASE": _recommender("ease", "EASE, a linear model of books by books", _fit_ease),
            "Nearest neighbours": _recommender("item-knn", "books with the same readers", _fit_item_knn),
        },
    )


def _segmenter(name: str) -> Model[Predictor[Any, Segmentation]]:
    return Model("Segment", find(name), lambda: vision.segmenter(name))


def _head(name: str) -> Model[Predictor[str, TextLabels]]:
    return Model("Text", find(name), lambda: nlp.text_classifier(name))


def _translator(source: str, target: str, card: ModelCard) -> Model[Predictor[str, Translation]]:
    return Model("Translate", card, lambda: nlp.translator(source=source, target=target))


def _recommender(name: str, summary: str, fit: Callable[[Interactions], Recommender]) -> Model[Recommender]:
    card = ModelCard(f"{name}-books", "recsys.collaborative", name, "numpy", "Apache-2.0", summary)
    return Model("Recommend", card, lambda: fit(_readings()), built="fitted over simulated readers at first use")


def _fit_ease(interactions: Interactions) -> Recommender:
    return recsys.fit_ease(interactions, recsys.EaseConfig(l2=50.0))


def _fit_item_knn(interactions: Interactions) -> Recommender:
    return recsys.fit_item_knn(interactions)


def _readings() -> Interactions:
    return recsys.from_records(readings(rng=np.random.default_rng(SEED)))
