"""Train an extractive reader on questions whose answers are known, in SQuAD's form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from nlp.qa.data import Question, read_questions
from nlp.training.options import DEEP, ENCODER, LORA, EncoderOptions, make_recipe
from nlp.training.save import ROOM
from shared.errors import DataError, UsageError
from shared.tasks import Option, check_dataset
from shared.training.finish import Stated, finish
from shared.training.folder import open_train_folder
from shared.training.loop import choose_device
from shared.training.options import CARD, MACHINE, check_choice, recipe_table

TRAIN_OPTIONS = (
    Option("method", str, LORA, f"one of {', '.join(DEEP)}: a small adapter, or a whole graph"),
    Option("validation", str, None, "file of the same layout that chooses the best epoch; else --val-share"),
    Option("val_share", float, 0.1, "share of the articles that is kept for that where there is no file, in (0, 1)"),
    Option("val_limit", int, 400, "questions that judge an epoch, drawn at random, at least 1"),
    Option("parts", int, 1, "epochs that one pass over the questions takes: a long training saves more often"),
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
    val_limit: int = 400,
    parts: int = 1,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    **encoder: Unpack[EncoderOptions],
) -> dict[str, Any]:
    """Train a reader and save it as a model folder, named like the folder; goes on where a kill stopped it.

    Args:
        dataset: questions; see :func:`nlp.qa.data.read_questions`. Those without an answer teach when to refuse.
        out: the folder to write: new, empty, or of this very training.
        format: of the data; ``None`` looks.
        seed: of everything random.
        method: ``"lora"`` or ``"full"``.
        validation: chooses the best epoch, the threshold of refusing and the temperature.
        val_share: share of the articles kept for that where ``validation`` is ``None``.
        val_limit: questions that judge an epoch; the figures are of all of them.
        parts: epochs that one pass over the questions takes.
        data_licence: for the card.
        licence: SPDX identifier for the card.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.
        encoder: see :class:`nlp.training.options.EncoderOptions`; ``epochs`` of which ``parts`` are a pass over the
            questions, and ``max_tokens`` of at least 128.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, or ``out`` cannot be used.
        DataError: a file is malformed, or has too few questions.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: torch is not installed.
    """
    check_choice("method", method, DEEP)
    if not 0 < val_share < 1:
        raise UsageError(f"val_share must lie in (0, 1). Got {val_share} instead")
    for name, value in (("val_limit", val_limit), ("parts", parts)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1. Got {value} instead")
    recipe = make_recipe(method=method, seed=seed, **encoder)
    machine = choose_device(device, threads)
    recipe = recipe.on(machine)
    questions = read_questions(dataset, format=format)
    if validation is not None:
        judged = check_dataset(Path(validation))
        learnt, unseen, split = questions, read_questions(judged, format=format), f"of {judged.name}"
    else:
        learnt, unseen = _split(questions, val_share, seed=seed)
        split = f"{val_share:g} of the articles, drawn with seed {seed}"
    table = {**recipe_table(recipe), "parts": parts, "val_limit": val_limit}
    stated = Stated(licence, data_licence, summary)
    digest = _digest(learnt)
    plan = {"task": "nlp.qa", "data": digest, "validation": _digest(unseen), "recipe": table, "card": vars(stated)}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        from nlp.training import reader  # noqa: PLC0415 - it opens saved models by the task's opener, which imports this

        made, course = reader.learn(learnt, unseen, recipe, folder, machine, parts=parts, val_limit=val_limit)
        return finish(
            folder,
            made,
            course,
            stated,
            dataset=dataset,
            digest=digest,
            split=split,
            recipe=table,
            evaluate=lambda saved: reader.evaluate(saved, unseen, threads=threads, seed=seed),
        )


def _split(questions: Sequence[Question], share: float, *, seed: int) -> tuple[list[Question], list[Question]]:
    articles = sorted({asked.article for asked in questions})
    if len(articles) < 2:
        raise DataError(
            f"a part for validation needs two articles at least. Got {len(articles)}: name a file (--validation FILE)"
        )
    order = np.random.default_rng([seed, 1]).permutation(len(articles)).tolist()
    kept = {articles[at] for at in order[: min(len(articles) - 1, max(1, round(share * len(articles))))]}
    return (
        [asked for asked in questions if asked.article not in kept],
        [asked for asked in questions if asked.article in kept],
    )


def _digest(questions: Sequence[Question]) -> str:
    rows = [(asked.question, asked.context, asked.answers, asked.starts) for asked in questions]
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()
