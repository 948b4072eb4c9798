"""The task ``nlp.classification``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from nlp.attribution import explain
from nlp.classification.decode import decode
from nlp.classification.entailment import FAMILY as NLI_FAMILY
from nlp.classification.entailment import entailment_classifier
from nlp.classification.graphs import FAMILY as GRAPH_FAMILY
from nlp.classification.graphs import JOINS, graph_classifier
from nlp.classification.growing import GROW_OPTIONS, grow_classification
from nlp.classification.heads import FAMILY as HEAD_FAMILY
from nlp.classification.heads import HEAD, Head, read_head, zero_shot_head
from nlp.classification.prepare import Labels, parse_labels
from nlp.classification.tfidf import FAMILY as TFIDF_FAMILY
from nlp.classification.tfidf import open_tfidf
from nlp.classification.train import TRAIN_OPTIONS, train
from nlp.datasets import COLUMNS, FORMATS
from nlp.encoder import GRAPH, TEXTS_AT_ONCE, Encoder, embedder, open_encoder
from nlp.encoder import TASK_NAME as EMBEDDING
from nlp.evaluate import evaluate_classification
from nlp.families import open_model
from nlp.labels import LABEL_MAP
from nlp.language import FAMILY as LANGUAGE_FAMILY
from nlp.language import identifier_of
from nlp.monitoring import observe
from nlp.opening import load_text_graph, merged
from nlp.optimize import optimize
from nlp.spoiling import spoilings
from nlp.types import TextLabels
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.weights import Opened, resolve

NAME = "nlp.classification"
ZERO_SHOT_FAMILY = "zero-shot"
ZERO_SHOT = "minilm-zero-shot"
ZERO_SHOT_FAMILIES = (ZERO_SHOT_FAMILY, NLI_FAMILY)
FAMILIES = (HEAD_FAMILY, GRAPH_FAMILY, TFIDF_FAMILY, LANGUAGE_FAMILY, *ZERO_SHOT_FAMILIES)
Classifier: TypeAlias = Pipeline[str, Any, Any, TextLabels]


def text_classifier(
    name: str | Path | None = None,
    *,
    labels: Labels | None = None,
    template: str | None = None,
    multi_label: bool = False,
    joined: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Classifier:
    """Open a text classifier: a trained one, or one for labels of your own.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`nlp.families` knows, or ``None``: the sentiment of a
            sentence without ``labels``, likeness to the labels with them.
        labels: for a zero-shot model: names, each perhaps as ``"name=description"``, or descriptions by name; at least
            two. A trained model has its own.
        template: for a zero-shot model: the sentence that is compared with the text, with ``{}`` where a label's
            description goes; ``None`` takes the model's.
        multi_label: for a zero-shot model by entailment: judge each label by itself.
        joined: how the windows of a long text meet, a key of :data:`nlp.classification.graphs.JOINS`; ``None`` takes
            the model's. A head over sentence vectors has one way only.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from texts of any length to :class:`~nlp.types.TextLabels`.

    Raises:
        UsageError: an option is malformed, missing, or does not go with the model.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
        DataError: a model folder's files do not fit one another.
    """
    asked = parse_labels(labels) if labels else None
    opened = open_model(name or (ZERO_SHOT if asked else None), task=NAME)
    card = opened.card
    if card.family not in FAMILIES:
        raise UnknownNameError(f"family of {NAME}", card.family, FAMILIES)
    _check_options(card, asked=asked, template=template, multi_label=multi_label, joined=joined)
    if card.family == LANGUAGE_FAMILY:
        return identifier_of(opened, threads=threads)
    if card.family == TFIDF_FAMILY:
        return open_tfidf(opened, threads=threads)
    if card.family in (GRAPH_FAMILY, NLI_FAMILY):
        graph = load_text_graph(opened, device=device, threads=threads)
        if card.family == GRAPH_FAMILY:
            return graph_classifier(graph, joined=joined, threads=threads)
        return entailment_classifier(
            graph, asked or {}, template=template, multi_label=multi_label, joined=joined, threads=threads
        )
    encoder = open_encoder(card.options["encoder"], device=device, threads=threads, beside=card)
    if asked:
        sentence = template or card.options["template"]
        head = zero_shot_head(encoder, asked, template=sentence, temperature=card.options["temperature"])
    else:
        head = _trained_head(opened, encoder)
    return Pipeline(
        card,
        encoder.ids,
        lambda batch: list(encoder.vectors(batch, poolings=head.poolings)),
        lambda vector, _: decode(vector, head),
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
        reentrant=True,
    )


def whole(name: str | Path | None = None) -> list[Opened]:
    """A classifier, and the encoder that it stands on; what :attr:`shared.tasks.Task.whole` gives."""
    opened = merged(open_model(name, task=NAME))
    if opened.card.family not in (HEAD_FAMILY, ZERO_SHOT_FAMILY):
        return [opened]
    return [opened, resolve(opened.card.options["encoder"], task=EMBEDDING, beside=opened.card)]


def _check_options(
    card: ModelCard, *, asked: Mapping[str, str] | None, template: str | None, multi_label: bool, joined: str | None
) -> None:
    """Raise a :class:`~shared.errors.UsageError` for options that do not go with the model."""
    if card.family not in ZERO_SHOT_FAMILIES and (asked or template or multi_label):
        trained = card.options.get("labels", [])
        known = ", ".join(trained[:20]) + (f" and {len(trained) - 20} more" if len(trained) > 20 else "")
        raise UsageError(
            f"labels, template and multi_label are for zero-shot models, such as {ZERO_SHOT!r}. "
            f"Model {card.name!r} was trained for its own labels{': ' * bool(known)}{known}"
        )
    if card.family in ZERO_SHOT_FAMILIES and not asked:
        raise UsageError(f"model {card.name!r} needs labels to choose from, at least two (--labels A --labels B)")
    if multi_label and card.family != NLI_FAMILY:
        raise UsageError(
            f"multi_label is for models that judge each label by itself, of the family {NLI_FAMILY!r}. "
            f"Model {card.name!r} compares the labels with one another"
        )
    if joined is not None and card.family not in (GRAPH_FAMILY, NLI_FAMILY):
        raise UsageError(
            f"joined is for models of the families {GRAPH_FAMILY!r} and {NLI_FAMILY!r}. "
            f"Model {card.name!r} is a {card.family}"
        )


def _trained_head(opened: Opened, encoder: Encoder) -> Head:
    card, given = opened.card, encoder.card.file(GRAPH).sha256
    if card.options.get("encoder_sha256") != given:
        raise DataError(
            f"model {card.name!r} ({card.origin}) was trained over an encoder with sha256 "
            f"{card.options.get('encoder_sha256')}. {encoder.card.name!r} has {given}: train the head again"
        )
    return read_head(opened.files[HEAD], card, dim=encoder.dim)


_LABELS = Option("labels", str, (), "a label to choose from, NAME or NAME=DESCRIPTION; two at least", multiple=True)
_TEMPLATE = Option("template", str, None, "sentence that stands for a label, {} where its description goes")
_MULTI = Option("multi_label", bool, False, "judge each of your labels by itself (models by entailment only)")
_JOINED = Option("joined", str, None, f"how the windows of a long text meet: {', '.join(JOINS)}; the model's own way")

TASK = Task(
    name=NAME,
    summary="what a text is about: a trained model's labels, or labels of your own",
    inputs="text",
    open=text_classifier,
    observe=observe,
    options=(_LABELS, _TEMPLATE, _MULTI, _JOINED),
    evaluate=evaluate_classification,
    formats=FORMATS,
    train=train,
    train_options=TRAIN_OPTIONS,
    train_resumes=True,
    evaluate_options=(*COLUMNS, LABEL_MAP),
    grow=grow_classification,
    grow_options=GROW_OPTIONS,
    tools={
        "explain": explain,
        "optimize": partial(optimize, task=NAME),
        "embedder": embedder,
        "spoilt": spoilings,
    },
    whole=whole,
)
