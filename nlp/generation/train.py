"""Fine-tune a causal language model on what it is asked and should answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlp.generation.data import Example, read_examples
from nlp.prompts.store import find_prompt
from nlp.training.options import BUDGET, DEEP, FULL, LORA, Recipe
from shared.errors import DataError, UsageError
from shared.tasks import Option, check_dataset
from shared.training.finish import Stated, finish
from shared.training.folder import open_train_folder
from shared.training.loop import AUTO, Schedule, choose_device
from shared.training.options import CARD, MACHINE, check_choice, recipe_table

ROOM = 2_000_000_000
"""Bytes that a training needs at most, with an adapter; a whole model of more parameters needs more."""
USUAL = {LORA: 2e-4, FULL: 2e-5}
"""Highest learning rate where it is not given."""
TRAIN_OPTIONS = (
    Option("base", str, None, "the language model to begin with: a folder of a checkpoint, or hf:OWNER/NAME; needed"),
    Option("method", str, LORA, f"one of {', '.join(DEEP)}: a small adapter, or every weight"),
    Option("prompt", str, None, "prompt that rows with variables are filled into"),
    Option("whole", bool, False, "save the base merged with the adapter, so that the folder needs nothing else"),
    Option("base_licence", str, None, "SPDX identifier of the base's licence, where a folder does not state it"),
    Option("validation", str, None, "file of the same layout that chooses the best epoch; else --val-share"),
    Option("val_share", float, 0.1, "share of the groups that is kept for that where there is no file, in (0, 1)"),
    Option("rank", int, 16, "rank of the low-rank additions, at least 1; for --method lora"),
    Option("layers", int, None, "layers that are trained, counted from the top; all when not given"),
    Option("dropout", float, 0.0, "share of values that is dropped in training, in [0, 1)"),
    Option("epochs", int, 3, "passes over the data at most, at least 1"),
    Option("batch_size", int, 16, "examples of one step at most, at least 1"),
    Option("token_budget", int, BUDGET, "tokens of one step at most, padding counted"),
    Option("learning_rate", float, None, "highest learning rate; 0.0002 for lora, 0.00002 for full"),
    Option("weight_decay", float, 0.01, "shrinkage of the weights, at least 0"),
    Option("patience", int, 0, "epochs without a better score after which training stops; 0 never"),
    Option("max_tokens", int, 512, "tokens of an example at most; longer ones are left out and named"),
    Option("precision", str, AUTO, "auto (bfloat16 where the device has instructions for it), float32 or bfloat16"),
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
    base: str | Path | None = None,
    method: str = LORA,
    prompt: str | None = None,
    whole: bool = False,
    base_licence: str | None = None,
    validation: str | Path | None = None,
    val_share: float = 0.1,
    rank: int = 16,
    layers: int | None = None,
    dropout: float = 0.0,
    epochs: int = 3,
    batch_size: int = 16,
    token_budget: int = BUDGET,
    learning_rate: float | None = None,
    weight_decay: float = 0.01,
    patience: int = 0,
    max_tokens: int = 512,
    precision: str = AUTO,
    data_licence: str = "not stated",
    licence: str = "Apache-2.0",
    summary: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Fine-tune a language model and save it as a model folder; goes on where a kill stopped it.

    The loss is that of the completions alone: what the model is told teaches it nothing. Of a chat the last answer is
    the completion.

    Args:
        dataset: what is asked and what should be answered; see :func:`nlp.generation.data.read_examples`.
        out: the folder to write: new, empty, or of this very training.
        format: of the data; ``None`` looks.
        seed: of everything random.
        base: the model to begin with.
        method: ``"lora"`` or ``"full"``.
        prompt: name or folder of the prompt that rows with variables are filled into.
        whole: whether the base is saved too, merged with the adapter; what ``"full"`` always does.
        base_licence: of the base, where it does not state one.
        validation: chooses the best epoch; its completions are never learnt from.
        val_share: share of the groups kept for that where ``validation`` is ``None``.
        rank: of the additions.
        layers: that are trained, from the top; ``None`` for all.
        dropout: in training.
        epochs: at most.
        batch_size: examples of a step at most.
        token_budget: tokens of a step at most.
        learning_rate: the highest; ``None`` takes :data:`USUAL`.
        weight_decay: shrinkage of the weights.
        patience: epochs without a better score; 0 for no end.
        max_tokens: of an example.
        precision: of the losses.
        data_licence: for the card.
        licence: SPDX identifier for the card; the base's own stands where it asks for more than to be named.
        summary: one line for the card.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads; ``None`` uses every processor of this process.

    Returns:
        A JSON-ready report.

    Raises:
        UsageError: an option is out of its range, no base is named, or ``out`` cannot be used.
        DataError: a file is malformed, or has too few rows with completions.
        PlanMismatchError: ``out`` was begun under another plan.
        MissingDependencyError: the extra ``torch`` is not installed.
    """
    check_choice("method", method, DEEP)
    if base is None:
        raise UsageError("a language model must be named to begin with: --base FOLDER or --base hf:OWNER/NAME")
    if not 0 < val_share < 1:
        raise UsageError(f"val_share must lie in (0, 1). Got {val_share} instead")
    rate = USUAL[method] if learning_rate is None else learning_rate
    schedule = Schedule(epochs, batch_size, rate, weight_decay, patience)
    given_rank = 0 if method == FULL else rank
    recipe = Recipe(method, str(base), given_rank, layers, dropout, schedule, token_budget, max_tokens, seed, precision)
    machine = choose_device(device, threads)
    recipe = recipe.on(machine)
    filling = None if prompt is None else find_prompt(prompt)
    examples = _with_completion(read_examples(dataset, format=format, prompt=filling), dataset)
    if validation is not None:
        judged = check_dataset(Path(validation))
        learnt, unseen = examples, _with_completion(read_examples(judged, format=format, prompt=filling), judged)
        split = f"of {judged.name}"
    else:
        learnt, unseen = _split(examples, val_share, seed=seed)
        split = f"{val_share:g} of the groups, drawn with seed {seed}"
    table = {**recipe_table(recipe), "whole": whole or method == FULL}
    if filling is not None:
        table |= {"prompt": f"{filling.name} {filling.version}", "prompt_digest": filling.digest}
    stated = Stated(licence, data_licence, summary or f"{Path(str(base)).name} fine-tuned on {dataset.resolve().name}")
    digest = _digest(learnt)
    card = {**vars(stated), "base_licence": base_licence}
    plan = {"task": "nlp.generation", "data": digest, "validation": _digest(unseen), "recipe": table, "card": card}
    with open_train_folder(out, plan, room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        from nlp.training import causal  # noqa: PLC0415 - it opens saved models by the task's opener, which imports this

        made, course = causal.learn(
            learnt, unseen, recipe, folder, machine, whole=whole or method == FULL, base_licence=base_licence
        )
        return finish(
            folder,
            made,
            course,
            stated,
            dataset=dataset,
            digest=digest,
            split=split,
            recipe=table,
            evaluate=lambda saved: causal.evaluate(saved, unseen, threads=threads, seed=seed),
        )


def _with_completion(examples: Sequence[Example], path: Path) -> list[Example]:
    found = [one for one in examples if one.completion.strip()]
    if not found:
        raise DataError(f"{path} must have rows with a completion, or a chat that ends with an answer. It has none")
    return found


def _split(examples: Sequence[Example], share: float, *, seed: int) -> tuple[list[Example], list[Example]]:
    groups = sorted({one.group for one in examples})
    if len(groups) < 2:
        raise DataError(
            f"a part for validation needs two rows that are not alike. Got {len(groups)} group: name a file "
            "(--validation)"
        )
    order = np.random.default_rng([seed, 1]).permutation(len(groups)).tolist()
    kept = {groups[at] for at in order[: min(len(groups) - 1, max(1, round(share * len(groups))))]}
    return [one for one in examples if one.group not in kept], [one for one in examples if one.group in kept]


def _digest(examples: Sequence[Example]) -> str:
    rows = [([dict(message) for message in one.messages], one.completion, one.answers) for one in examples]
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()
