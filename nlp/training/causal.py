"""Causal language models on torch: the loss of completions alone, by adapters of the library peft or of every weight.

Adapters are E. J. Hu and others', "LoRA" (ICLR 2022); their additions are scaled by ``lora_alpha`` / r = 1. An epoch is
judged by the likelihood of a token of the completions that were not learnt from: the exponential of the mean negative
log-likelihood, with its sign turned, in (0, 1].
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.families import checkpoint
from nlp.generation.causal import (
    ADAPTED,
    TASK_NAME,
    WHOLE,
    completion_ids,
    loaded,
    open_causal,
    prompt_ids,
    weights_sha256,
)
from nlp.generation.data import Example
from nlp.generation.evaluate import as_evaluation
from nlp.generation.judged import judge
from nlp.training.examples import IGNORED, orders
from nlp.training.options import FULL, Recipe
from shared.errors import DataError, UsageError
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.training.finish import Course, Made
from shared.training.folder import TrainFolder
from shared.training.loop import Learner, derived, fit
from shared.weights.checkpoints import ADAPTER_CONFIG, ADAPTER_MODEL

LIMITS = (
    "It writes what is likely, not what is true. Hold what it says of passages against them: "
    "`triptych evaluate nlp.generation` measures how far they bear it out."
)
METRIC = "token_likelihood"
JUDGED, MOST_WRITTEN = 100, 64
"""Validation rows that the finished model answers for its card, and tokens of each answer at most."""
_LAYER = re.compile(r"\.(?:layers?|blocks?|h)\.(\d+)\.")
_LINEAR = ("Linear", "Conv1D")


@dataclass(frozen=True)
class Row:
    """An example in tokens: what the model is told, then what it should answer."""

    ids: tuple[int, ...]
    told: int


def learn(
    train: Sequence[Example],
    val: Sequence[Example],
    recipe: Recipe,
    folder: TrainFolder,
    device: Any,
    *,
    whole: bool,
    base_licence: str | None,
) -> tuple[Made, Course]:
    """Train, or go on training.

    Args:
        train: rows to learn from.
        val: rows to judge by.
        recipe: how.
        folder: of the training.
        device: torch's.
        whole: whether the base is saved too.
        base_licence: of the base, where it does not state one.

    Raises:
        DataError: no row can be used, or training goes astray.
        UsageError: the recipe does not fit the base.
        WeightsError: the base or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    files = checkpoint(recipe.base, task=TASK_NAME)
    base = loaded(files, recipe.base)
    room = min(recipe.max_tokens, base.room)
    seen, skipped = rows_of(base.tokenizer, train, room)
    unseen, skipped_val = rows_of(base.tokenizer, val, room)
    if not seen or not unseen:
        raise DataError(
            f"training needs rows of at most {room} tokens to learn from and to judge by. Got {len(seen)} and "
            f"{len(unseen)}: raise --max-tokens"
        )
    torch.manual_seed(derived(recipe.seed))
    network = trainable(base.model, recipe).to(device)
    padding = int(base.tokenizer.pad_token_id or base.tokenizer.eos_token_id or 0)

    def batches(rows: Sequence[Row], epoch: int) -> Iterator[Any]:
        lengths = [len(row.ids) for row in rows]
        most = recipe.schedule.batch_size
        for order in orders(lengths, budget=recipe.token_budget, most=most, seed=recipe.seed, epoch=epoch):
            yield collate([rows[at] for at in order], padding, device)

    def score() -> float:
        losses, tokens = 0.0, 0
        for batch in batches(unseen, 0):
            count = int((batch["labels"][:, 1:] != IGNORED).sum())
            losses += float(loss(network, batch)) * count
            tokens += count
        return math.exp(-losses / tokens)

    learner = Learner(
        network,
        len(seen),
        sum(1 for _ in orders([len(row.ids) for row in seen], budget=recipe.token_budget,
                              most=recipe.schedule.batch_size, seed=recipe.seed, epoch=1)),
        lambda epoch: batches(seen, epoch),
        lambda batch: loss(network, batch),
        score,
        METRIC,
        lambda _: False,
        recipe.bfloat16,
    )  # fmt: skip
    reached = fit(learner, recipe.schedule, folder, seed=recipe.seed)
    saved = saved_files(network.cpu(), base.tokenizer, recipe, whole=whole)
    licence = files.card.licence if files.card.licence != "unknown" else base_licence or "unknown"
    told = {"base": recipe.base, "base_sha256": weights_sha256(files), "base_licence": licence, "max_tokens": room}
    opt_in = files.card.opt_in if licence == files.card.licence else ""
    family = WHOLE if whole else ADAPTED
    course = Course(reached, METRIC, len(seen), len(unseen), "rows", (*skipped, *skipped_val), weights_sha256(files))
    return Made(TASK_NAME, family, "torch", (), told, saved, LIMITS, opt_in), course


def rows_of(tokenizer: Any, examples: Sequence[Example], room: int) -> tuple[list[Row], list[dict[str, Any]]]:
    """Examples in tokens, and a row for each that is too long."""
    found, skipped = [], []
    for one in examples:
        told = prompt_ids(tokenizer, one.messages)
        ids = (*told, *completion_ids(tokenizer, one.messages, one.completion))
        if len(ids) > room or not told:
            fault = f"must have at most {room} tokens and something that it is asked. Got {len(ids)} and {len(told)}"
            skipped.append({"id": one.id, "kind": "too-large", "message": fault})
        else:
            found.append(Row(ids, len(told)))
    return found, skipped


def collate(rows: Sequence[Row], padding: int, device: Any) -> dict[str, Any]:
    """Rows side by side, padded at the end: ``input_ids``, ``attention_mask`` and ``labels``, (rows, tokens) each.

    A label is :data:`nlp.training.examples.IGNORED` where the model is told and not taught.
    """
    torch = require("torch", extra="torch")
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        whole = torch.tensor(row.ids)
        ids[at, : len(whole)] = whole
        mask[at, : len(whole)] = 1
        labels[at, row.told : len(whole)] = whole[row.told :]
    return {name: one.to(device) for name, one in (("input_ids", ids), ("attention_mask", mask), ("labels", labels))}


def loss(network: Any, batch: Mapping[str, Any]) -> Any:
    """The mean negative log-likelihood of the tokens that are taught, each from those before it."""
    functional = require("torch.nn.functional", extra="torch")
    logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return functional.cross_entropy(
        logits.float().flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
    )


def trainable(model: Any, recipe: Recipe) -> Any:
    """The model with what is to be trained, and no more, needing gradients.

    Raises:
        UsageError: it has fewer layers than are asked for, or none that additions could stand on.
    """
    torch = require("torch", extra="torch")
    numbers = {part: _number(part) for part, _ in model.named_modules()}
    layers = max((number for number in numbers.values() if number is not None), default=-1) + 1
    chosen = layers - recipe.adapting(layers).layers
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = recipe.dropout
    if recipe.method == FULL:
        for part, parameter in model.named_parameters():
            number = _number(part)
            parameter.requires_grad = number >= chosen if number is not None else chosen == 0
        return model
    targets = [
        part
        for part, module in model.named_modules()
        if type(module).__name__ in _LINEAR and (number := numbers[part]) is not None and number >= chosen
    ]
    if not targets:
        raise UsageError(f"{recipe.base} has no layers that low-rank additions could stand on: give --method full")
    peft = require("peft", extra="torch")
    kinds = {type(module).__name__ for part, module in model.named_modules() if part in set(targets)}
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.rank,
        lora_dropout=recipe.dropout,
        target_modules=targets,
        fan_in_fan_out=kinds == {"Conv1D"},
    )
    network = peft.get_peft_model(model, config)
    network.peft_config["default"].base_model_name_or_path = recipe.base.removeprefix("hf:")
    return network


def saved_files(network: Any, tokenizer: Any, recipe: Recipe, *, whole: bool) -> dict[str, bytes]:
    """The files of a trained network, on the CPU: an adapter's two, or a whole checkpoint's with its tokeniser."""
    with tempfile.TemporaryDirectory() as place:
        if not whole:
            network.save_pretrained(place)
            return {name: (Path(place) / name).read_bytes() for name in (ADAPTER_CONFIG, ADAPTER_MODEL)}
        model = network if recipe.method == FULL else network.merge_and_unload()
        model.save_pretrained(place, max_shard_size="1TB")
        tokenizer.save_pretrained(place)
        return {path.name: path.read_bytes() for path in sorted(Path(place).iterdir()) if path.is_file()}


def evaluate(model: Path, examples: Sequence[Example], *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved model on the first validation rows, through its opener."""
    causal = open_causal(model, threads=threads)
    chosen = list(examples[:JUDGED])
    texts: list[str | None] = []
    for one in chosen:
        room = min(MOST_WRITTEN, causal.room - len(causal.ids(one.messages)))
        texts.append("".join(causal.pieces(one.messages, most_tokens=room)).strip() if room > 0 else None)
    found = judge(chosen, texts, judges={})
    return as_evaluation(found, model=model.name, dataset=model.name, seed=seed).metrics


def _number(part: str) -> int | None:
    """The layer that a part belongs to, if it does to one."""
    found = _LAYER.search(f".{part}.")
    return int(found[1]) if found else None
