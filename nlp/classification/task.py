"""The task ``nlp.classification``: its opener, and its row for commands, pages and batch jobs."""

from __future__ import annotations

from pathlib import Path

from nlp.classification.decode import decode
from nlp.classification.heads import FAMILY, HEAD, Head, read_head, zero_shot_head
from nlp.classification.prepare import Labels, parse_labels
from nlp.classification.train import TRAIN_OPTIONS, train
from nlp.datasets import COLUMNS, FORMATS
from nlp.encoder import GRAPH, TEXTS_AT_ONCE, Encoder, open_encoder
from nlp.evaluate import evaluate_classification
from nlp.labels import LABEL_MAP
from nlp.types import TextLabels
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Pipeline
from shared.tasks import Option, Task
from shared.types import Float32, Int64
from shared.weights import Opened, resolve

NAME = "nlp.classification"
ZERO_SHOT_FAMILY = "zero-shot"
ZERO_SHOT = "minilm-zero-shot"


def text_classifier(
    name: str | Path | None = None,
    *,
    labels: Labels | None = None,
    template: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Pipeline[str, Int64, Float32, TextLabels]:
    """Open a text classifier: a trained one, or one for labels of your own.

    Args:
        name: a catalogue name, a model folder, or ``None``: the sentiment of a sentence without ``labels``, likeness to
            the labels with them.
        labels: for a zero-shot model: names, each perhaps as ``"name=description"``, or descriptions by name; at least
            two. A trained model has its own.
        template: for a zero-shot model: the sentence that is compared with the text, with ``{}`` where a label's
            description goes; ``None`` takes the model's.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Returns:
        A predictor from texts of any length to :class:`~nlp.types.TextLabels`.

    Raises:
        UsageError: labels or template are malformed, missing for a zero-shot model, or given for a trained one.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
        DataError: a model folder's head does not fit its encoder.
    """
    asked = parse_labels(labels) if labels else None
    opened = resolve(name or (ZERO_SHOT if asked else None), task=NAME)
    card = opened.card
    if card.family not in (FAMILY, ZERO_SHOT_FAMILY):
        raise UnknownNameError(f"family of {NAME}", card.family, [FAMILY, ZERO_SHOT_FAMILY])
    if card.family == FAMILY and (asked or template):
        raise UsageError(
            f"labels and template are for zero-shot models, such as {ZERO_SHOT!r}. "
            f"Model {card.name!r} was trained for its own labels: {', '.join(card.options['labels'])}"
        )
    if card.family == ZERO_SHOT_FAMILY and not asked:
        raise UsageError(f"model {card.name!r} needs labels to choose from, at least two (--labels A --labels B)")
    encoder = open_encoder(card.options["encoder"], device=device, threads=threads)
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

TASK = Task(
    name=NAME,
    summary="what a text is about: a trained model's labels, or labels of your own",
    inputs="text",
    open=text_classifier,
    options=(_LABELS, _TEMPLATE),
    evaluate=evaluate_classification,
    formats=FORMATS,
    train=train,
    train_options=TRAIN_OPTIONS,
    evaluate_options=(*COLUMNS, LABEL_MAP),
)
