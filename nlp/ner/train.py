"""Train a recogniser of named entities: an encoder with a head on every token, fine-tuned whole or by an adapter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from nlp.ner.datasets import COLUMNS, TaggedSentence, read_documents
from nlp.training.options import DEEP, ENCODER, LORA, EncoderOptions, make_recipe
from nlp.training.save import ROOM
from shared.errors import DataError, UsageError
from shared.tasks import Option, check_dataset
from shared.training.finish import Stated, finish
from shared.training.folder import open_train_folder
from shared.training.loop import choose_device
from shared.training.options import CARD, MACHINE, check_choice, recipe_table

TRAIN_FORMATS = ("conll", "iob2")
Documents = list[list[TaggedSentence]]

TRAIN_OPTIONS = (
    Option("method", str, LORA, f"one of {', '.join(DEEP)}: a small adapter, or a whole graph"),
    Option("validation", str, None, "file of the same layout that chooses the best epoch; else --val-share"),
    Option("val_share", float, 0.1, "share of the documents that is kept for that where there is no file, in (0, 1)"),
    Option("val_limit", int, None, "documents that judge an epoch, drawn at random; all when not given"),
    *COLUMNS,
    *ENCODER,
    Option("data_licence", str, "not stated", "licence of the data, for the model's card"),
    *CARD,
    *MACHINE,
)


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    method: str = LORA,
    validation: str | Path | None = None,
    val_share: float = 0.1,
    val_limit: int | None = None,
    word_column: int | None = None,
    tag_column: int | None = None,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    **encoder: Unpack[EncoderOptions],
) -> dict[str, Any]:
    """Train a recogniser and save it as a model folder, named like the folder; goes on where a kill stopped it.

    Args:
        dataset: a file of columns; see :func:`nlp.ner.datasets.read_documents`. Sentences of one document are read with
            each other as context, so documents must be marked where there are several.
        out: the folder to write: new, empty, or of this very training.
        format: ``"conll"`` or ``"iob2"``; ``None`` looks at the name's suffix.
        seed: of everything random.
        method: ``"lora"`` or ``"full"``.
        validation: chooses the best epoch.
        val_share: share of the documents kept for that where ``validation`` is ``None``.
        val_limit: documents that judge an epoch; the figures are of all of them.
        word_column: see :func:`nlp.ner.datasets.read_documents`.
        tag_column: see :func:`nlp.ner.datasets.read_documents`.
        data_licence: for the card.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.
        encoder: see :class:`nlp.training.options.EncoderOptions`.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, or ``out`` cannot be used.
        DataError: a file is malformed, or has no entity or too few documents.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: torch is not installed.
    """
    check_choice("method", method, DEEP)
    if not 0 < val_share < 1:
        raise UsageError(f"val_share must lie in (0, 1). Got {val_share} instead")
    if val_limit is not None and val_limit < 1:
        raise UsageError(f"val_limit must be at least 1. Got {val_limit} instead")
    recipe = make_recipe(method=method, seed=seed, **encoder)
    machine = choose_device(device, threads)
    recipe = recipe.on(machine)
    kind = check_choice("format", format or ("iob2" if dataset.suffix == ".iob2" else "conll"), TRAIN_FORMATS)
    layout: dict[str, Any] = {"format": kind, "word_column": word_column, "tag_column": tag_column}
    documents = read_documents(dataset, **layout)
    if validation is not None:
        judged = check_dataset(Path(validation))
        learnt, unseen = documents, read_documents(judged, **layout)
        parts = f"of {judged.name}"
    else:
        learnt, unseen = _split(documents, val_share, seed=seed)
        parts = f"{val_share:g} of the documents, drawn with seed {seed}"
    table = {**recipe_table(recipe), "val_limit": val_limit}
    stated = Stated(licence, data_licence, summary)
    digest = _digest(learnt)
    plan = {"task": "nlp.ner", "data": digest, "validation": _digest(unseen), "recipe": table, "card": vars(stated)}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        from nlp.training import tagger  # noqa: PLC0415 - it opens saved models by the task's opener, which imports this

        made, course = tagger.learn(learnt, unseen, recipe, folder, machine, val_limit=val_limit)
        return finish(
            folder,
            made,
            course,
            stated,
            dataset=dataset,
            digest=digest,
            split=parts,
            recipe=table,
            evaluate=lambda saved: tagger.evaluate(saved, unseen, threads=threads, seed=seed),
        )


def _split(documents: Documents, share: float, *, seed: int) -> tuple[Documents, Documents]:
    if len(documents) < 2:
        raise DataError(
            f"a part for validation needs two documents at least. Got {len(documents)}: mark where documents begin, or "
            "name a file (--validation FILE)"
        )
    order = np.random.default_rng([seed, 1]).permutation(len(documents)).tolist()
    kept = set(order[: min(len(documents) - 1, max(1, round(share * len(documents))))])
    return [documents[at] for at in order if at not in kept], [documents[at] for at in sorted(kept)]


def _digest(documents: Sequence[Sequence[TaggedSentence]]) -> str:
    rows = [[(row.words, row.tags) for row in document] for document in documents]
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()
