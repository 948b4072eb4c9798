"""Taggers of words on torch: an encoder with a head on every token, beside each word's shape its own vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.ner.datasets import TaggedSentence, of_sentences
from nlp.ner.shapes import SHAPES
from nlp.spans import spans_of_tags
from nlp.training.base import find_start
from nlp.training.examples import IGNORED, Example
from nlp.training.learner import answers, learner
from nlp.training.options import Recipe
from nlp.training.save import BACKEND
from nlp.training.tagging import SCHEME, Sentence, cut, in_scheme, read_sentence, tag_names, window
from shared.errors import DataError
from shared.evaluation.intervals import bootstrap
from shared.evaluation.report import Metric
from shared.evaluation.spans import f1, precision, recall, span_counts, span_f1_score
from shared.lazy import require
from shared.training.finish import Course, Made
from shared.training.folder import TrainFolder
from shared.training.loop import derived, fit
from shared.types import Failure, Int64

TASK, FAMILY = "nlp.ner", "token-classifier"
LIMITS = (
    "It finds things of these kinds as the training's texts name them; other languages, times and genres are read "
    "worse. Letter case is seen by the shape of each word alone: text in capitals, or without any, is read worse too."
)
Documents = Sequence[Sequence[TaggedSentence]]


def learn(
    train: Documents, val: Documents, recipe: Recipe, folder: TrainFolder, device: Any, *, val_limit: int | None
) -> tuple[Made, Course]:
    """Train, or go on training.

    Args:
        train: sentences of each document to learn from.
        val: sentences of each document to judge by.
        recipe: how.
        folder: of the training.
        device: torch's.
        val_limit: documents of ``val`` that judge an epoch, drawn at random; ``None`` for all.

    Raises:
        DataError: the tags mark no entity, validation has one of a kind that is not learnt, or training goes astray.
        UsageError: the recipe does not fit the base.
        WeightsError: the base or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    base = find_start(recipe)
    tokenizer = base.tokenizer
    unknown = next(filter(None, map(tokenizer.tokenizer.token_to_id, ("[UNK]", "<unk>"))), 0)

    def read(documents: Documents) -> list[list[Sentence]]:
        return [
            [read_sentence(tokenizer, row.words, in_scheme(row.tags), unknown) for row in document]
            for document in documents
        ]

    seen, unseen = read(train), read(val)
    tags = tag_names(seen)
    strange = sorted(set(tag_names(unseen)) - set(tags))
    if len(tags) < 2 or strange:
        raise DataError(
            f"training must have entities, and every tag that validation has. It lacks {', '.join(strange) or 'any'}"
        )
    numbers = {tag: at for at, tag in enumerate(tags)}
    room = min(recipe.max_tokens, base.positions) - len(tokenizer.before) - len(tokenizer.after)
    torch.manual_seed(derived(recipe.seed))
    network = base.network(recipe.adapting(base.layers), head="tokens", names=tags, features=SHAPES).to(device)
    drawn = np.random.default_rng(recipe.seed).permutation(len(unseen))[:val_limit]
    groups = cut([unseen[at] for at in drawn], room=room, rng=None)
    held = [window(tokenizer, group, numbers, told=True) for group in groups]
    truth = [spans_of_tags([tag for sentence in group for tag in sentence.tags]) for group in groups]

    def examples(epoch: int) -> list[Example]:
        rng = np.random.default_rng([recipe.seed, epoch, 7])
        made = cut(seen, room=room, rng=rng)
        return [window(tokenizer, group, numbers, told=bool(rng.integers(2))) for group in made]

    def score() -> float:
        logits = answers(network, held, device)
        found = [
            spans_of_tags([tags[at] for at in row[example.target != IGNORED].argmax(axis=1)])
            for row, example in zip(logits, held)
        ]
        return span_f1_score(truth, found)

    reached = fit(
        learner(
            network,
            examples,
            score,
            "f1",
            recipe=recipe,
            device=device,
        ),
        recipe.schedule,
        folder,
        seed=recipe.seed,
    )
    files, options = base.saved(network.cpu(), recipe)
    size = min(recipe.max_tokens, base.positions)
    told = {**options, "max_tokens": size, "overlap": size // 4, "tags": tags, "scheme": SCHEME}
    course = Course(reached, "f1", len(seen), len(unseen), "documents", (), base.sha256)
    return Made(TASK, FAMILY, BACKEND, (), told, files, LIMITS, base.opt_in), course


def evaluate(model: Path, documents: Documents, *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved tagger on sentences with tags, through its opener; intervals are over documents."""
    items = [[list(row.words) for row in document] for document in documents]
    results = nlp.entity_recognizer(model, threads=threads).predict(items, on_error="keep")
    truth = [of_sentences(document)[2] for document in documents]
    found = [
        () if isinstance(row, Failure) else tuple((e.start, e.end, e.label) for e in row.entities) for row in results
    ]
    counts = span_counts(truth, found)

    def drawn(figure: Callable[..., float], *which: int) -> Metric:
        def of(rows: Int64) -> float:
            sums = [float(part.sum()) for part in counts.totals(rows)]
            return figure(*(sums[at] for at in which))

        return bootstrap(of, len(truth), rng=np.random.default_rng(seed))

    return {"f1": drawn(f1, 0, 1, 2), "precision": drawn(precision, 0, 1), "recall": drawn(recall, 0, 2)}
