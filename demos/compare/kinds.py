"""What the page that compares can compare: kinds of work, each with models of the catalogue that do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from demos.models import Models, Pool
from demos.opening import Model
from demos.pages import refusal
from shared.catalogue import ModelCard, find
from shared.predictor import Predictor


@dataclass(frozen=True)
class Kind:
    """One kind of work.

    Attributes:
        task: for example ``"nlp.ner"``.
        models: catalogue names, or names of ``settings``. The first is the one that is there, the second is to take its
            place.
        form: of a labelled data set, for people.
        options: of the task's opener and of its evaluation.
        settings: one model opened in another way: by its name here a catalogue name, and options beside the others.
    """

    task: str
    models: tuple[str, ...]
    form: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    def catalogued(self, name: str) -> str:
        """The catalogue name of one of the models."""
        return self.settings[name][0] if name in self.settings else name

    def how(self, name: str) -> dict[str, Any]:
        """The options with which one of the models is opened and evaluated."""
        return {**self.options, **(self.settings[name][1] if name in self.settings else {})}

    def choices(self) -> list[tuple[str, str]]:
        """What a visitor chooses from, a catalogue name with its licence, and the names."""
        return [(name if name in self.settings else f"{name} · {find(name).licence}", name) for name in self.models]


_TABLE = "a CSV of text, label"
TEXTS = {
    "Sentiment": Kind("nlp.classification", ("sst2-minilm", "sst2-bge-lora"), _TABLE),
    "Topic": Kind("nlp.classification", ("agnews-minilm", "agnews-minilm-lora"), _TABLE),
    "Question type": Kind("nlp.classification", ("trec-minilm", "trec-minilm-lora"), _TABLE),
    "English to German": Kind(
        "nlp.translation",
        ("en-xx", "en-xx-captions"),
        "a TSV of source, target",
        {"source": "en", "target": "de"},
    ),
}
"""Kinds of texts by the name that a visitor chooses; :func:`kinds_of_texts` has names too, where spaCy is here."""
PICTURES = {
    "What it is of": Kind(
        "vision.classification",
        ("mobilenetv2-224", "mobilenetv2", "efficientnet-lite0"),
        "a zip of one folder a class, named as ImageNet names it or by its WordNet id",
    ),
    "Where things are": Kind(
        "vision.detection", ("efficientdet-lite0", "yolo11n"), "a zip of images with COCO, VOC or YOLO annotations"
    ),
    "Which pixels": Kind(
        "vision.segmentation", ("deeplabv3-257", "deeplabv3"), "a zip of images/ and masks/, or of VOC's folders"
    ),
}
"""Kinds of pictures by the name that a visitor chooses."""
_READER = "squadshifts-minilm-lora"
QUESTIONS = {
    "Answers": Kind(
        "nlp.qa",
        (_READER, f"{_READER} (never refuses)", f"{_READER} (refuses sooner)"),
        "JSON as SQuAD has it, or a CSV of question, context, answer",
        {"top_k": 1},
        {
            f"{_READER} (never refuses)": (_READER, {"no_answer_threshold": 40.0}),
            f"{_READER} (refuses sooner)": (_READER, {"no_answer_threshold": -9.0}),
        },
    ),
}
"""Kinds of questions by the name that a visitor chooses: one reader, as it is and with other thresholds."""


def kinds_of_texts() -> dict[str, Kind]:
    """:data:`TEXTS`, and names where both models of them can run."""
    names = Kind("nlp.ner", ("en-core-web-md", "conll2003-minilm-lora"), "a file of CoNLL's columns")
    return TEXTS | ({"Names": names} if find_spec("spacy") else {})


@dataclass(frozen=True)
class Bench:
    """The models that are compared.

    Attributes:
        kinds: by the name that a visitor chooses.
        pool: where the models come from.
    """

    kinds: Mapping[str, Kind]
    pool: Pool

    @classmethod
    def of(cls, kinds: Mapping[str, Kind], models: Models) -> Bench:
        """A bench that shares what the other pages have open."""
        return cls(kinds, models.pool)

    def pair(self, kind: str, first: str | None, second: str | None) -> tuple[Kind, str, str]:
        """The kind, and its two models.

        They are the kind's own first two where none are named, or those with which the page begins: a client that
        leaves them out sends those.

        Raises:
            gradio.Error: a name is not among them, or both are one.
        """
        found = self.kinds.get(kind)
        if found is None:
            raise refusal(f"what to compare must be one of {', '.join(self.kinds)}. Got {kind!r} instead")
        begun = next(iter(self.kinds.values())).models
        if (first, second) == begun[:2]:
            first = second = None
        names = first or found.models[0], second or found.models[1]
        for name in names:
            if name not in found.models:
                raise refusal(f"a model for {kind!r} must be one of {', '.join(found.models)}. Got {name!r} instead")
        if names[0] == names[1]:
            raise refusal(f"choose two different models. Both are {names[0]}")
        return found, *names

    def model(self, kind: Kind, name: str) -> Model[Predictor[Any, Any]]:
        """One of the models of a kind."""
        return self.pool.model("Compare", find(kind.catalogued(name)), **kind.how(name))

    def cards(self, *names: str) -> list[ModelCard]:
        """What is known of some of the models, each once."""
        kinds = {name: kind for kind in self.kinds.values() for name in kind.models}
        return list({card.name: card for card in (find(kinds[name].catalogued(name)) for name in names)}.values())
