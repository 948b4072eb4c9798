"""The models behind the pages: each opened once for all visitors, and never before the first page stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import nlp
import recsys
import vision
from demos.choosing import Choice, at_hand
from demos.library import SEED, readings
from demos.opening import Model, Room
from demos.recent import Recent
from nlp.retrieval.rerank import DEFAULT_RERANKER, open_reranker
from nlp.translation.engine import pairs_of
from shared.catalogue import ModelCard, cards, default, find
from shared.predictor import Predictor
from shared.tasks import find_task
from vision.segmentation.promptable import prompting_at_hand

if TYPE_CHECKING:
    from nlp.retrieval.rerank import Reranker
    from nlp.types import Answers, Entities, TextLabels, Translation
    from recsys import Interactions, Recommender
    from vision.segmentation.promptable import PromptableSegmenter
    from vision.types import Classification, Detections, Faces, Segmentation

HEADS = {
    "Sentiment": ("sst2-bge-lora", "sst2-minilm", "distilbert-sst2"),
    "Topic": ("agnews-minilm", "agnews-minilm-lora"),
    "Question type": ("trec-minilm", "trec-minilm-lora"),
    "Spam": ("sms-spam-minilm",),
    "Language": ("language-id",),
}
"""Catalogue names of the trained text classifiers, by what they tell; the first is asked unless another is chosen."""
OTHERS = "Something else"
"""What classifiers tell that this machine has beside those: of its owner's own training, mostly."""
SEGMENTERS = {
    "Things it knows": ("deeplabv3", "deeplabv3-257", "yolo11n-seg", "yolov8n-seg"),
    "The foreground": ("u2netp",),
    "People, with soft edges": ("modnet",),
}
"""Catalogue names of the segmenters, by what they find; those that are not here are among the first kind."""
PROMPTABLE = "mobile-sam"
ZERO_SHOT = "minilm-zero-shot"
OWN_LABELS_KEPT = 4
LOWEST_SCORE = 0.05
"""The least score of a box that the detector gives; the page's slider shows fewer."""


class Pool:
    """Every model that a page may ask, by what it is opened with, so that pages share it.

    Args:
        room: the memory that they share.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._models: dict[str, Model[Any]] = {}
        self._lock = threading.Lock()

    def model(self, job: str, card: ModelCard, **options: Any) -> Model[Predictor[Any, Any]]:
        """A model that its task opens with these options; the job of who asks first is its own."""

        def opened() -> Predictor[Any, Any]:
            name = None if card.name == default(card.task).name else card.name  # translators of the default share it
            return find_task(card.task).open(name, device="auto", threads=None, **options)

        key = repr((card.fingerprint, sorted(options.items())))
        with self._lock:
            return self._models.setdefault(key, Model(job, card, opened, room=self.room))

    def choice(self, job: str, found: Iterable[ModelCard], **options: Any) -> Choice[Any]:
        """Those of the cards that can be opened here, to choose from."""
        return Choice({card.name: self.model(job, card, **options) for card in found})


@dataclass(frozen=True)
class OwnLabels:
    """Text classifiers for labels that visitors write; the last few sets of labels stay open.

    Attributes:
        card: of the model that tells labels apart by their meaning.
        room: the memory that they share with the other models.
        job: as a model has it.
        built: as a model has it.
    """

    card: ModelCard
    room: Room | None = None
    job: str = "Text"
    built: str = ""
    _recent: Recent[tuple[str, ...], Model[Predictor[str, TextLabels]]] = field(
        default_factory=lambda: Recent(OWN_LABELS_KEPT, left=Model.forget)
    )

    @property
    def opened(self) -> bool:
        """Whether one is in memory."""
        return any(model.opened for model in self._recent.values())

    def model(self, labels: tuple[str, ...]) -> Model[Predictor[str, TextLabels]]:
        """The classifier for these labels."""

        def opened() -> Predictor[str, TextLabels]:
            return nlp.text_classifier(self.card.name, labels=labels)

        return self._recent.made(labels, lambda: Model(self.job, self.card, opened, room=self.room))


@dataclass(frozen=True)
class Models:
    """Every model of the pages.

    Attributes:
        pool: where they come from.
        classifiers: what a picture is of.
        detectors: where things are, with every score that the page's slider can reach.
        segmenters: which pixels belong to what, by what a visitor wants found.
        promptable: the thing at a click; ``None`` where its export is neither here nor can be made.
        faces: faces with their embeddings, and whether two are one person's.
        heads: trained text classifiers, by what a visitor wants told.
        own_labels: text classifiers for labels that visitors write.
        recognisers: what a text names.
        translators: texts into another language, by the direction that a visitor chooses.
        reranker: which passages of a visitor's documents fit a question.
        readers: where in a passage the answer stands.
        recommenders: fitted here over simulated readers, by the name that a visitor chooses.
    """

    pool: Pool
    classifiers: Choice[Classification]
    detectors: Choice[Detections]
    segmenters: Mapping[str, Choice[Segmentation]]
    promptable: Model[PromptableSegmenter] | None
    faces: Model[Predictor[Any, Faces]]
    heads: Mapping[str, Choice[TextLabels]]
    own_labels: OwnLabels
    recognisers: Choice[Entities]
    translators: Mapping[str, Choice[Translation]]
    reranker: Model[Reranker]
    readers: Choice[Answers]
    recommenders: Mapping[str, Model[Recommender]]

    def choices(self) -> list[Choice[Any]]:
        """What a visitor chooses from, in the order of the pages."""
        return [
            self.classifiers,
            self.detectors,
            *self.segmenters.values(),
            *self.heads.values(),
            self.recognisers,
            *self.translators.values(),
            self.readers,
        ]

    def further(self) -> set[str]:
        """Names of those that nobody asks unless they are chosen."""
        choices = self.choices()
        return {card.name for choice in choices for card in choice.cards} - {one.first.card.name for one in choices}

    def all(self) -> list[Model[Any] | OwnLabels]:
        """Each once, those that a visitor chooses from first."""
        chosen = [model for choice in self.choices() for model in choice.models.values()]
        clicked = [] if self.promptable is None else [self.promptable]
        named = {model.card.name: model for model in sorted(chosen, key=lambda model: model.opened)}
        order = dict.fromkeys(model.card.name for model in chosen)  # one may go several ways: the opened one is told of
        return [
            *(named[name] for name in order),
            *clicked,
            self.faces,
            self.own_labels,
            self.reranker,
            *self.recommenders.values(),
        ]


def declare(*, room: Room | None = None) -> Models:
    """The models of each task that can be opened here, the default first; none is opened.

    Args:
        room: the memory that they share; ``None`` for one of :data:`demos.opening.MOST_MEMORY`.
    """
    room = Room() if room is None else room
    pool = Pool(room)
    clicked = Model("Segment", find(PROMPTABLE), vision.promptable_segmenter, room=room)
    return Models(
        pool,
        pool.choice("Classify", at_hand(cards("vision.classification"))),
        pool.choice("Detect", at_hand(cards("vision.detection")), score_threshold=LOWEST_SCORE),
        {kind: pool.choice("Segment", found) for kind, found in _by_kind("vision.segmentation", SEGMENTERS).items()},
        clicked if prompting_at_hand() else None,
        pool.model("Faces", default("vision.faces")),
        {kind: pool.choice("Text", found) for kind, found in _heads().items()},
        OwnLabels(find(ZERO_SHOT), room),
        pool.choice("Entities", at_hand(cards("nlp.ner"))),
        _translators(pool),
        Model("Ask", find(DEFAULT_RERANKER), open_reranker, room=room),
        pool.choice("Ask", at_hand(cards("nlp.qa")), top_k=1),
        {
            "EASE": _recommender("ease", "EASE, a linear model of books by books", _fit_ease),
            "Nearest neighbours": _recommender("item-knn", "books with the same readers", _fit_item_knn),
        },
    )


def _by_kind(task: str, kinds: Mapping[str, tuple[str, ...]], *, rest: str = "") -> dict[str, list[ModelCard]]:
    """The models of a task by kind, in the table's order; what it does not list is of the kind ``rest``, or the first.

    The first of each kind is always there, as a task's default is.
    """
    here = {card.name: card for card in at_hand(cards(task))}
    here |= {first: find(first) for first, *_ in kinds.values()}
    found = {kind: [here.pop(name) for name in names if name in here] for kind, names in kinds.items()}
    found.setdefault(rest or next(iter(kinds)), []).extend(here.values())
    return {kind: those for kind, those in found.items() if those}


def _heads() -> dict[str, list[ModelCard]]:
    """Trained text classifiers; one for labels of a visitor's own is none of them."""
    asked = find(ZERO_SHOT).family
    found = _by_kind("nlp.classification", HEADS, rest=OTHERS)
    kept = {kind: [card for card in those if card.family != asked] for kind, those in found.items()}
    return {kind: those for kind, those in kept.items() if those}


def _translators(pool: Pool) -> dict[str, Choice[Translation]]:
    """By direction, those of defaults first: the models that go it, those that are chosen by name last."""
    here = sorted(at_hand(cards("nlp.translation")), key=lambda card: (not card.default, bool(card.opt_in), card.name))
    ways: dict[tuple[str, str], list[ModelCard]] = {}
    for card in here:
        for pair in sorted(pairs_of(card)):
            ways.setdefault(pair, []).append(card)
    return {
        f"{source} to {target}": pool.choice("Translate", found, source=source, target=target)
        for (source, target), found in ways.items()
    }


def _recommender(name: str, summary: str, fit: Callable[[Interactions], Recommender]) -> Model[Recommender]:
    card = ModelCard(f"{name}-books", "recsys.collaborative", name, "numpy", "Apache-2.0", summary)
    return Model("Recommend", card, lambda: fit(_readings()), built="fitted over simulated readers at first use")


def _fit_ease(interactions: Interactions) -> Recommender:
    return recsys.fit_ease(interactions, recsys.EaseConfig(l2=50.0))


def _fit_item_knn(interactions: Interactions) -> Recommender:
    return recsys.fit_item_knn(interactions)


def _readings() -> Interactions:
    return recsys.from_records(readings(rng=np.random.default_rng(SEED)))
