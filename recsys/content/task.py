"""The task ``recsys.content`` as commands, pages and batch jobs see it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from recsys.collaborative.task import OPENING_OPTIONS, POSITIVE_OPTION, READING_OPTIONS, open_model
from recsys.content.catalogue import as_known, find_encoder, read_items, read_pictures, read_vectors
from recsys.content.embeddings import fit_embeddings
from recsys.content.model import Content, ContentConfig, fit_vectors
from recsys.content.tfidf import TfidfConfig, fit_content
from recsys.data import Interactions
from recsys.evaluate import divide_options
from recsys.fitting import SAVING_OPTIONS, SPLIT_OPTIONS, evaluate_fit, fit_and_save, read_kept
from recsys.monitoring import observe
from recsys.reading import FORMATS
from shared.errors import UsageError
from shared.evaluation.report import Evaluation
from shared.tasks import Option, Task

NAME = "recsys.content"
_CONTENT = ("items", "item_column", "text", "vectors", "encoder", "pictures", "picture_encoder", "picture_share")


def fit(interactions: Interactions, options: dict[str, Any], *, threads: int | None = None) -> Content:
    """A content model from a catalogue of texts, of pictures, of both, or of vectors.

    Args:
        interactions: what happened.
        options: ``items`` with ``item_column``, ``text`` and ``encoder``; ``pictures`` with ``picture_encoder`` and,
            beside texts, ``picture_share``; or ``vectors``; and fields of
            :class:`~recsys.content.tfidf.TfidfConfig`. ``None`` stands for what was not given.
        threads: of an encoder.

    Raises:
        DataError: a file is malformed.
        UsageError: none or too many of items, pictures and vectors are given, or an option is wrong.
    """
    given = {key: value for key, value in options.items() if value is not None}
    where = {key: given.pop(key) for key in _CONTENT if key in given}
    if (bool({"items", "pictures"} & set(where))) == ("vectors" in where):
        raise UsageError(
            f"{NAME} needs to know what items are. Give --items FILE with their text, --pictures FOLDER, or "
            "--vectors FILE.npz"
        )
    if ("pictures" in where) != ("picture_encoder" in where):
        raise UsageError("--pictures and --picture-encoder belong together. Got only one of them")
    if set(where) & {"vectors", "encoder", "pictures"}:
        unfit = sorted(set(given) - {field.name for field in dataclasses.fields(ContentConfig)})
        if unfit:
            raise UsageError(f"options of words do not fit vectors. Got {', '.join(unfit)}: leave them out")
    if "vectors" in where:
        ids, vectors = read_vectors(where["vectors"])
        return fit_vectors(interactions, ContentConfig(**given), items=as_known(ids, interactions), vectors=vectors)
    texts = _texts(interactions, where) if "items" in where else {}
    if "pictures" in where:
        return _fit_pictures(interactions, ContentConfig(**given), texts, where, threads=threads)
    if "encoder" in where:
        encode = find_encoder(where["encoder"], threads=threads)
        return fit_embeddings(interactions, ContentConfig(**given), items=texts, encode=encode)
    return fit_content(interactions, TfidfConfig(**given), items=texts)


def _texts(interactions: Interactions, where: dict[str, Any]) -> dict[Any, str]:
    columns = [name.strip() for name in where.get("text", "").split(",") if name.strip()]
    read = read_items(where["items"], item=where.get("item_column"), text=columns)
    return dict(zip(as_known(list(read), interactions), read.values()))


def _fit_pictures(
    interactions: Interactions,
    config: ContentConfig,
    texts: dict[Any, str],
    where: dict[str, Any],
    *,
    threads: int | None,
) -> Content:
    read = read_pictures(where["pictures"])
    pictures = dict(zip(as_known(list(read), interactions), read.values()))
    see = find_encoder(where["picture_encoder"], threads=threads)
    if not texts:
        return fit_embeddings(interactions, config, items=pictures, encode=see)
    if "encoder" not in where:
        raise UsageError("words and pictures have no common measure. Name an encoder of the texts too: --encoder TASK")
    return fit_embeddings(
        interactions,
        config,
        items=texts,
        encode=find_encoder(where["encoder"], threads=threads),
        pictures=pictures,
        encode_pictures=see,
        picture_share=where.get("picture_share", 0.5),
    )


def train(
    dataset: Path,
    out: Path,
    *,
    format: str | None = None,
    seed: int = 0,
    positive: str = "all",
    name: str | None = None,
    licence: str = "LicenseRef-own-data",
    threads: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Fit a content model on a whole ratings file and save it.

    Args:
        dataset: a ratings file; see :func:`recsys.load_interactions`.
        out: the model folder to write.
        format: the file's format; ``None`` detects.
        seed: taken for the sake of the command; nothing here is random.
        positive: ``"all"``, or ``">=4"``: only interactions of at least that value are kept.
        name: the model's name; ``None`` takes the family's.
        licence: SPDX identifier of the data's licence.
        threads: of an encoder and of the linear algebra.
        options: keywords of :func:`recsys.load_interactions`, and those of :func:`fit`.

    Returns:
        What was fitted, on how much, and how long it took.
    """
    reading, content = divide_options(options)
    kept = read_kept(dataset, format, positive, reading)
    model, report = fit_and_save(
        lambda part: fit(part, content, threads=threads), kept, out, name=name, licence=licence, threads=threads
    )
    return report | {"new_items": int((model.popularity == 0).sum())}


def evaluate(
    dataset: Path,
    *,
    model: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    k: int = 10,
    include_seen: bool = False,
    titles: str | None = None,
    split: str | None = None,
    train: float = 0.75,
    positive: str = "all",
    **options: Any,
) -> Evaluation:
    """Evaluate content on a split of a ratings file, or a saved model on interactions that it has not seen.

    See :func:`recsys.evaluate.evaluate`, whose protocol this is; without a model one is fitted as by :func:`fit`.

    Raises:
        DataError: the data are malformed or too few.
        UsageError: an argument is wrong.
    """
    reading, content = divide_options(options)
    return evaluate_fit(
        lambda part: fit(part, content, threads=threads),
        dataset,
        task=NAME,
        model=model,
        format=format,
        limit=limit,
        seed=seed,
        device=device,
        threads=threads,
        k=k,
        include_seen=include_seen,
        split=split,
        train=train,
        positive=positive,
        reading=reading,
        own=content,
    )


_SHARED = (
    Option("items", str, None, "a file with a header and an item a row: its id and its text"),
    Option("item_column", str, None, "the column of ids in the items' file; the first when not given"),
    Option("text", str, None, "the columns of text, like title,genres; all others when not given"),
    Option("encoder", str, None, "a task that offers an encoder, like nlp.classification[:MODEL]; else words (TF-IDF)"),
    Option("pictures", str, None, "a folder of pictures called by their item's id, or a table with a column picture"),
    Option("picture_encoder", str, None, "a task that offers an encoder of pictures, like vision.classification"),
    Option("picture_share", float, None, "of the likeness of two items that have text and picture, in 0..1; 0.5"),
    Option("vectors", str, None, "an .npz with ids and vectors, of texts or pictures, in place of --items"),
    POSITIVE_OPTION,
    *(
        Option(field.name, type(field.default), None, f"{field.metadata['help']} (default: {field.default})")
        for field in dataclasses.fields(TfidfConfig)
    ),
    *READING_OPTIONS,
)

TASK = Task(
    name=NAME,
    summary="What a user would like next, from what items are about; new items among them",
    inputs="id",
    open=partial(open_model, task=NAME),
    observe=observe,
    options=OPENING_OPTIONS,
    evaluate=evaluate,
    formats=tuple(FORMATS),
    train=train,
    train_options=(*_SHARED, *SAVING_OPTIONS),
    evaluate_options=(*SPLIT_OPTIONS, *_SHARED),
)
