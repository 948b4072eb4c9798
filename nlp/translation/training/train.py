"""Training of a translation model: the loss of label-smoothed tokens under the suite's one training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.translation.training.data import Batch, Encoded, collate, encode_examples, pad_id, plan_pass, read_examples
from nlp.translation.training.loss import smoothed_cross_entropy
from nlp.translation.training.network import Shape, build_network
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.training.folder import open_train_folder
from shared.training.loop import AUTO, BFLOAT16, Learner, Schedule, choose_precision, derived, fit
from shared.types import Int64

SMOOTHING = 0.1
ROOM = 2 * 1024**3
NEVER = -10.0
"""Where the bias of pieces begins that no target of the training text has."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a translation model, but the text itself.

    Attributes:
        directions: pairs of source and target language.
        shares: of every domain, the part that one pass takes of it; ``"*"`` is every domain that is not named.
        passes: over the text.
        epoch_steps: batches after which the state is saved.
        tokens: target tokens of a batch.
        shape: of the network.
        learning_rate: highest.
        seed: of everything random.
        start: a file of weights to start from; ``None`` starts from nothing.
        precision: one of :data:`shared.training.loop.PRECISIONS`; of the losses, while weights stay float32.
    """

    directions: tuple[tuple[str, str], ...]
    shares: Mapping[str, float]
    shape: Shape
    passes: float = 16
    epoch_steps: int = 200
    tokens: int = 2048
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0
    start: Path | None = None
    precision: str = AUTO


def train_translator(text: Path, vocabulary: Path, out: Path, recipe: Recipe, *, valid: Path) -> dict[str, Any]:
    """Train, or go on training, a translation model, and leave ``model.safetensors`` and ``report.json`` in ``out``.

    Args:
        text: a folder of ``DOMAIN.LEFT-RIGHT.tsv``.
        vocabulary: ``tokenizer.json`` of :func:`nlp.translation.training.vocabulary.learn_vocabulary`.
        out: the folder of the training; the same call goes on with it.
        recipe: how.
        valid: a folder of such files for the score: minus the mean cross-entropy of a token.

    Raises:
        DataError: text, vocabulary or weights are not what they must be.
        UsageError: a value is out of its range, or ``out`` holds something else.
        PlanMismatchError: ``out`` was begun under another recipe.
    """
    torch = require("torch", extra="torch")
    tokenizer = require("tokenizers", extra="torch").Tokenizer.from_file(str(vocabulary))
    if tokenizer.get_vocab_size() != recipe.shape.vocabulary:
        raise UsageError(
            f"the shape's vocabulary must be that of {vocabulary}, {tokenizer.get_vocab_size()} pieces. "
            f"Got {recipe.shape.vocabulary} instead"
        )
    examples = read_examples(text, recipe.directions, recipe.shares)
    domains = {name: encode_examples(tokenizer, rows) for name, rows in examples.items()}
    held = read_examples(valid, recipe.directions, {"*": 1.0})["*"]
    pad = pad_id(tokenizer)
    written = _written(domains)
    tests = plan_pass(
        {"*": encode_examples(tokenizer, held)}, {"*": 1.0}, tokens=recipe.tokens, number=0, rng=_rng(0, 0)
    )

    def planned(number: int) -> list[Any]:
        return plan_pass(domains, recipe.shares, tokens=recipe.tokens, number=number, rng=_rng(recipe.seed, number))

    a_pass = min(len(planned(number)) for number in range(3)) - 2
    torch.manual_seed(derived(recipe.seed))
    network = build_network(recipe.shape)
    if recipe.start is not None:
        _load(network, recipe.start)
    else:
        with torch.no_grad():
            network.bias.fill_(NEVER)
            network.bias[torch.from_numpy(written)] = 0.0

    def batches(epoch: int) -> Iterator[Batch]:
        at, rest = divmod((epoch - 1) * recipe.epoch_steps, a_pass)
        plan = planned(at)
        for _ in range(recipe.epoch_steps):
            if rest == a_pass:
                at, rest = at + 1, 0
                plan = planned(at)
            yield collate(plan[rest], pad)
            rest += 1

    def score() -> float:
        sums = [_cross_entropy(network, collate(rows, pad), pad, None, smoothing=0.0) for rows in tests]
        return -sum(float(mean) * count for mean, count in sums) / sum(count for _, count in sums)

    learner = Learner(
        network=network,
        items=recipe.epoch_steps,
        steps=recipe.epoch_steps,
        batches=batches,
        loss=lambda batch: _cross_entropy(network, batch, pad, written, smoothing=SMOOTHING)[0],
        score=score,
        metric="minus_loss",
        trained_before=lambda _: False,
        bfloat16=choose_precision(recipe.precision, torch.device("cpu")) == BFLOAT16,
    )
    schedule = Schedule(
        epochs=max(1, round(recipe.passes * a_pass / recipe.epoch_steps)),
        batch_size=1,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        patience=0,
    )
    with open_train_folder(out, _plan(recipe, text, vocabulary), room=ROOM) as folder:
        done = folder.report()
        if done is not None:
            return done
        reached = fit(learner, schedule, folder, seed=recipe.seed)
        torch_files = require("safetensors.torch", extra="torch")
        torch_files.save_file(_own(network), str(out / "model.safetensors"))
        report = {
            "examples": {name: len(rows) for name, rows in domains.items()},
            "steps": schedule.epochs * recipe.epoch_steps,
            "seconds": round(reached.seconds),
            "history": list(reached.history),
        }
        folder.finish(report)
    return report


def _written(domains: Mapping[str, Sequence[Encoded]]) -> Int64:
    """The pieces that stand in some target, sorted: the projection onto the others need not be computed in training."""
    found = [target[2:] for examples in domains.values() for example in examples for target in example.targets]
    return np.unique(np.concatenate(found))


def _cross_entropy(network: Any, batch: Batch, pad: int, written: Int64 | None, *, smoothing: float) -> tuple[Any, int]:
    """The mean over the real tokens after the language's own, and how many they are.

    Padding is taken out before the projection onto the vocabulary; with ``written`` that is onto those pieces alone.
    """
    torch = require("torch", extra="torch")
    source, target, rows = (torch.from_numpy(part) for part in (batch.source, batch.target, batch.rows))
    real = source != pad
    memory = network.encode(source, real)
    states = network.decode(target[:, :-1], memory[rows], real[rows])
    labels = target[:, 1:].clone()
    labels[:, 0] = pad
    there = labels != pad
    if written is None:
        logits, wanted = network.logits(states[there]), labels[there]
    else:
        pieces = torch.from_numpy(written)
        logits = torch.nn.functional.linear(states[there], network.embedding.weight[pieces], network.bias[pieces])
        wanted = torch.searchsorted(pieces, labels[there])
    return smoothed_cross_entropy(logits, wanted, smoothing=smoothing), int(there.sum())


def _own(network: Any) -> dict[str, Any]:
    return {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}


def _load(network: Any, path: Path) -> None:
    tensors = require("safetensors.torch", extra="torch").load_file(str(path))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path} must hold weights of this shape of network. {str(error)[:300]}") from error


def _rng(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(derived(seed, number))


def _plan(recipe: Recipe, text: Path, vocabulary: Path) -> dict[str, Any]:
    return {
        **asdict(recipe),
        "start": _digest([recipe.start]) if recipe.start else None,
        "vocabulary_sha256": _digest([vocabulary]),
        "text_sha256": _digest(sorted(text.glob("*.tsv"))),
    }


def _digest(paths: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.read_bytes())
    return whole.hexdigest()
