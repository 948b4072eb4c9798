"""A linear head over sentence vectors: trained, or made of the sentences that describe the labels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp.classification.prepare import hypotheses
from nlp.encoder import Encoder, check_poolings
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UsageError
from shared.types import Float32

HEAD = "head.npz"
FAMILY = "linear-head"


@dataclass(frozen=True)
class Head:
    """Logits of labels as a linear function of a vector.

    Attributes:
        labels: name of each label, length n.
        weights: shape (n, dim), float32.
        bias: shape (n,), float32.
        poolings: what of the encoder the vector is made of; see :data:`nlp.encoder.POOLINGS`.
        temperature: what logits are divided by before they become probabilities, above 0.
        multi_label: whether each label is judged by itself.
        thresholds: where it is, the least probability from which each label holds, shape (n,), float32; ``None`` for
            0.5 each.
    """

    labels: tuple[str, ...]
    weights: Float32
    bias: Float32
    poolings: tuple[str, ...]
    temperature: float = 1.0
    multi_label: bool = False
    thresholds: Float32 | None = None

    def logits(self, vector: Float32) -> Float32:
        """From a vector, shape (dim,), to a number for each label, shape (n,)."""
        return self.weights @ vector + self.bias


def zero_shot_head(encoder: Encoder, labels: Mapping[str, str], *, template: str, temperature: float) -> Head:
    """A head that compares a text with the sentences that stand for the labels.

    A label's logit is the cosine of the two vectors, divided by ``temperature``.

    Args:
        encoder: what reads both.
        labels: descriptions by name.
        template: see :func:`nlp.classification.prepare.hypotheses`.
        temperature: above 0; the smaller, the surer the answers.

    Raises:
        UsageError: a description has no token, or the template is malformed.
    """
    sentences = hypotheses(labels, template)
    for name, description in labels.items():
        try:
            encoder.ids(description)
        except InputError as error:
            raise UsageError(f"label {name!r} cannot be used: {error}") from error
    vectors = encoder.vectors([encoder.ids(sentence) for sentence in sentences])
    scale = np.float32(1 / temperature)
    return Head(tuple(labels), vectors * scale, np.zeros(len(labels), dtype=np.float32), ("mean",))


def head_bytes(head: Head) -> bytes:
    """The head's numbers as an ``.npz`` file; the same numbers give the same bytes."""
    file = io.BytesIO()
    np.savez(file, weights=head.weights, bias=head.bias)
    return file.getvalue()


def read_head(path: Path, card: ModelCard, *, dim: int) -> Head:
    """The head of a model.

    Args:
        path: its ``head.npz``.
        card: its card, whose options name ``labels`` and ``poolings``, and perhaps a ``temperature``, ``multi_label``
            and ``thresholds``.
        dim: length of the encoder's token vectors.

    Raises:
        DataError: the file is no head, or is not the one that the card tells of.
    """
    labels = names_of(card, "labels")
    try:
        poolings = check_poolings(names_of(card, "poolings"))
        with np.load(path, allow_pickle=False) as arrays:
            weights, bias = arrays["weights"], arrays["bias"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"model {card.name!r} ({card.origin}): {path} must be a text head. {error}") from error
    shape = (len(labels), dim * len(poolings))
    if weights.shape != shape or bias.shape != shape[:1] or {weights.dtype, bias.dtype} != {np.dtype(np.float32)}:
        raise DataError(
            f"model {card.name!r} ({card.origin}): {path} must hold float32 weights of shape {shape} and a bias. "
            f"Got {weights.dtype} {weights.shape} and {bias.dtype} {bias.shape} instead"
        )
    several = bool(card.options.get("multi_label"))
    return Head(labels, weights, bias, poolings, temperature_of(card), several, thresholds_of(card))


def temperature_of(card: ModelCard) -> float:
    """What a card says that logits are divided by; 1 where it says nothing.

    Raises:
        DataError: it is no number above 0.
    """
    value = card.options.get("temperature", 1.0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise DataError(f"model {card.name!r} ({card.origin}): options.temperature must be above 0. Got {value!r}")
    return float(value)


def thresholds_of(card: ModelCard) -> Float32 | None:
    """The least probability from which a card says that each label holds; ``None`` where it says nothing.

    Raises:
        DataError: they are no numbers in [0, 1], one for each label.
    """
    given = card.options.get("thresholds")
    if given is None:
        return None
    labels = names_of(card, "labels")
    plain = isinstance(given, Sequence) and len(given) == len(labels)
    if not plain or not all(isinstance(value, int | float) and 0 <= value <= 1 for value in given):
        raise DataError(
            f"model {card.name!r} ({card.origin}): options.thresholds must be {len(labels)} numbers in [0, 1], one for "
            f"each label. Got {given!r}"
        )
    return np.array(given, dtype=np.float32)


def names_of(card: ModelCard, option: str) -> tuple[str, ...]:
    """The names that one of a card's options lists.

    Raises:
        DataError: it is no list of names.
    """
    value = card.options.get(option)
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise DataError(f"model {card.name!r} ({card.origin}): options.{option} must be a list of names. Got {value!r}")
    return tuple(value)
