"""The models that can do a page's job on this machine, and the picker in which a visitor chooses one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import gradio as gr

from demos.opening import Model
from demos.pages import refusal
from shared.catalogue import ModelCard
from shared.predictor import Predictor
from shared.settings import offline
from shared.weights import locate
from shared.weights.words import human

Out = TypeVar("Out")

_LIBRARIES = {
    "spacy": "spacy",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "ultralytics": "ultralytics",
}
"""What a family of models needs beside the light install, by the family's name."""


@dataclass(frozen=True)
class Choice(Generic[Out]):
    """Models that do one job, each opened once for all visitors.

    Attributes:
        models: by catalogue name, one at least. The first is asked where a visitor names none.
    """

    models: Mapping[str, Model[Predictor[Any, Out]]]

    @property
    def first(self) -> Model[Predictor[Any, Out]]:
        """The one that is asked where none is named."""
        return next(iter(self.models.values()))

    @property
    def cards(self) -> list[ModelCard]:
        """What is known of them."""
        return [model.card for model in self.models.values()]

    def named(self, name: str | None) -> Model[Predictor[Any, Out]]:
        """The model of that name, or the first.

        Raises:
            gradio.Error: it is not among them.
        """
        if name is None:
            return self.first
        if not isinstance(name, str) or name not in self.models:
            raise refusal(f"the model must be one of {', '.join(self.models)}. Got {name!r} instead")
        return self.models[name]

    def told(self, name: str | None) -> str | None:
        """How the model is named in a request outside the page: not at all where its task takes it unasked."""
        card = self.named(name).card
        return None if card.default else card.name


def of_kind(choices: Mapping[str, Choice[Out]], kind: str, name: str | None) -> Model[Predictor[Any, Out]]:
    """The model of that name, or the first of its kind: where none is named, or the picker still shows another kind's.

    Raises:
        gradio.Error: there is no such kind, or no kind has such a model.
    """
    if kind not in choices:
        raise refusal(f"it must be one of {', '.join(choices)}. Got {kind!r} instead")
    others = {other for choice in choices.values() for other in choice.models} - set(choices[kind].models)
    return choices[kind].named(None if isinstance(name, str) and name in others else name)


def at_hand(cards: Iterable[ModelCard]) -> list[ModelCard]:
    """Those of the cards that a visitor may choose here.

    A model must have its libraries, and files that are here or can be fetched. One that is opt-in must be here already:
    fetching it is for who runs the pages to decide. The default is always there: who asks it is told what it lacks.
    """
    return [card for card in cards if card.default or _offered(card)]


def picker(*kinds: Sequence[ModelCard]) -> gr.Dropdown:
    """Lay out the choice of a model with its licence and size, and under it what is known of the one chosen.

    Args:
        kinds: what a visitor may choose from, by and by; see :func:`offered`.
    """
    cards = {card.name: card for kind in kinds for card in kind}
    model = gr.Dropdown(label="Model", **offered(kinds[0]))
    note = gr.Markdown(about(kinds[0][0]), elem_classes="note", label="About the model")
    model.change(
        lambda name: about(cards[name]) if isinstance(name, str) and name in cards else "",
        model,
        note,
        preprocess=False,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    return model


def offered(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """What the picker shows of these models, the first of them chosen.

    Other values pass through it, for :class:`Choice` to refuse: Gradio would hold a client to the first kind's models.
    """
    choices = [(titled(card), card.name) for card in cards]
    return {"choices": choices, "value": cards[0].name, "allow_custom_value": True}


def titled(card: ModelCard) -> str:
    """Name, licence and size, for people.

    Example:
        >>> from shared.testing import fake_card
        >>> titled(fake_card(name="hello"))
        'hello · Apache-2.0'
    """
    return " · ".join([card.name, card.licence, *([human(card.size)] if card.size else [])])


def about(card: ModelCard) -> str:
    """What else is to be known before it is asked: what it is, what it was trained for, whether it is fetched first.

    Example:
        >>> from shared.testing import fake_card
        >>> about(fake_card(name="hello", summary="says hello", opt_in="it shouts"))
        'Says hello. Chosen by name only: it shouts.'
    """
    parts = [f"{card.summary[:1].upper()}{card.summary[1:].rstrip('.')}."]
    if card.opt_in:
        parts.append(f"Chosen by name only: {card.opt_in.rstrip('.')}.")
    if not _files_here(card):
        parts.append("It is fetched at its first use.")
    return " ".join(parts)


def _offered(card: ModelCard) -> bool:
    library = _LIBRARIES.get(card.family)
    if library is not None and find_spec(library) is None:
        return False
    return _files_here(card) or not (card.opt_in or offline())


def _files_here(card: ModelCard) -> bool:
    found = locate(card)
    return all(found[file.name] is not None for file in card.files)
