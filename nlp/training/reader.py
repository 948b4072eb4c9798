"""Extractive readers on torch: an encoder that points at where an answer begins and ends, or says there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.pairs import pair_template
from nlp.qa.data import Question
from nlp.qa.decode import MOST_TOKENS
from nlp.qa.evaluate import judged
from nlp.training.base import find_start
from nlp.training.calibrate import fit_temperature
from nlp.training.examples import Example
from nlp.training.learner import answers, learner
from nlp.training.options import Recipe
from nlp.training.reading import LONGEST_QUESTION, Found, example, held_out, judge, read
from nlp.training.save import BACKEND
from shared.errors import DataError, UsageError
from shared.evaluation.answers import best_no_answer_threshold
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.training.finish import Course, Made
from shared.training.folder import TrainFolder
from shared.training.loop import derived, fit
from shared.types import Bool

TASK, FAMILY = "nlp.qa", "extractive-reader"
LIMITS = (
    "It points at words of the text that it is given and knows nothing else. It was taught what has no answer by "
    "questions that were asked of other texts, so it notices a wrong text better than a question with a false premise."
)


def learn(
    train: Sequence[Question],
    val: Sequence[Question],
    recipe: Recipe,
    folder: TrainFolder,
    device: Any,
    *,
    parts: int,
    val_limit: int | None,
) -> tuple[Made, Course]:
    """Train, or go on training.

    Args:
        train: questions to learn from.
        val: questions to judge by.
        recipe: how.
        folder: of the training.
        device: torch's.
        parts: epochs that one pass over the questions takes, so that a long training saves its state more often.
        val_limit: questions of ``val`` that judge an epoch, drawn at random; ``None`` for all.

    Raises:
        DataError: no question can be used, or training goes astray.
        UsageError: the recipe does not fit the base, or windows have no room for a question.
        WeightsError: the base or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    base = find_start(recipe)
    tokenizer = base.tokenizer
    template = pair_template(tokenizer)
    room = min(recipe.max_tokens, base.positions)
    if room < 2 * LONGEST_QUESTION:
        raise UsageError(f"max_tokens must be at least {2 * LONGEST_QUESTION} for questions. Got {room} instead")
    seen, _, skipped = read(train, tokenizer)
    unseen, _, skipped_val = read(val, tokenizer)
    if len(seen) < parts or not unseen:
        raise DataError(f"training needs questions to learn from and to judge by. Got {len(seen)} and {len(unseen)}")
    torch.manual_seed(derived(recipe.seed))
    network = base.network(recipe.adapting(base.layers), head="spans").to(device)
    drawn = np.random.default_rng(recipe.seed).permutation(len(unseen))[:val_limit]
    chosen = [unseen[at] for at in drawn]
    held, owners, places = held_out(chosen, template, room)
    impossible = np.array([not one.spans for one in chosen])

    def examples(epoch: int) -> list[Example]:
        whole, part = divmod(epoch - 1, parts)
        order = np.random.default_rng([recipe.seed, whole, 4]).permutation(len(seen))[part::parts]
        rng = np.random.default_rng([recipe.seed, epoch, 5])
        return [example(seen[at], template, room, rng) for at in order]

    def found() -> Found:
        return judge(chosen, template, answers(network, held, device), owners, places, longest=MOST_TOKENS)

    reached = fit(
        learner(
            network,
            examples,
            lambda: _settled(found(), impossible)[0],
            "f1",
            recipe=recipe,
            device=device,
        ),
        recipe.schedule,
        folder,
        seed=recipe.seed,
    )
    now = found()
    _, threshold = _settled(now, impossible)
    temperature = 1.0
    if impossible.any() and not impossible.all():
        logits = np.stack([np.zeros_like(now.margins), now.margins - np.float32(threshold)], axis=1)
        temperature = fit_temperature(logits, impossible.astype(np.int64))
    files, options = base.saved(network.cpu(), recipe, types=True)
    told = {
        **options,
        "max_tokens": room,
        "overlap": room // 4,
        "max_answer_tokens": MOST_TOKENS,
        "no_answer_threshold": threshold,
        "temperature": temperature,
        "no_answer": bool(impossible.any()),
    }
    course = Course(reached, "f1", len(seen), len(unseen), "questions", (*skipped, *skipped_val), base.sha256)
    return Made(TASK, FAMILY, BACKEND, (), told, files, LIMITS, base.opt_in), course


def _settled(found: Found, impossible: Bool) -> tuple[float, float]:
    """The best mean score that refusing beyond some margin reaches, and that margin; 0 where all have answers."""
    if not impossible.any():
        return float(found.scores.mean()), 0.0
    best, threshold = best_no_answer_threshold(found.scores, found.margins, impossible)
    return best, round(float(threshold), 4) if np.isfinite(threshold) else float(found.margins.min())


def evaluate(model: Path, questions: Sequence[Question], *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved reader, through its opener."""
    results = nlp.question_answerer(model, threads=threads).predict(
        [(asked.question, asked.context) for asked in questions], on_error="keep"
    )
    rng = np.random.default_rng(seed)
    return judged(questions, results, model=model.name, dataset=model.name, rng=rng, seed=seed).metrics
