"""Text classifiers on torch: fine-tuned whole or by adapters, or taught by pairs where few texts are labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.classification.joined import Joined
from nlp.families import is_checkpoint
from nlp.tokenize import TextTokenizer
from nlp.training.base import Start, find_bert, find_start
from nlp.training.calibrate import fit_temperature
from nlp.training.examples import Example, collate
from nlp.training.learner import answers, learner
from nlp.training.options import Recipe
from nlp.training.save import BACKEND
from nlp.training.thresholds import judged, settled
from nlp.types import TextLabels
from shared.errors import DataError, InputError, UsageError
from shared.evaluation.classification import accuracy_score, macro_f1_score
from shared.evaluation.intervals import bootstrap
from shared.evaluation.ranked import labels_f1_score, micro_f1_score
from shared.evaluation.report import Metric
from shared.lazy import require
from shared.training.finish import Course, Made
from shared.training.folder import Reached, TrainFolder
from shared.training.loop import Learner, derived, fit
from shared.training.options import BALANCED
from shared.types import Failure, Float32, Int64

TASK, FAMILY = "nlp.classification", "text-classifier"
LIMITS = (
    "Every text gets one of these labels, also one that none of them fits. What a label means is what the training's "
    "texts show of it. Long texts are read in windows, and their windows' answers joined."
)
LIMITS_OF_SEVERAL = (
    "Each label is judged by itself, so a text may get several or none. From which probability on a label holds was "
    "chosen on the validation texts. What a label means is what the training's texts show of it."
)


@dataclass(frozen=True)
class Read:
    """Texts as token ids.

    Attributes:
        ids: of each text that can be used, without special tokens.
        codes: position of its label, or a row of zeros and ones; see :class:`nlp.classification.joined.Joined`.
        rows: its position among all texts.
        skipped: a row for each text that cannot be used.
    """

    ids: tuple[Int64, ...]
    codes: Int64
    rows: tuple[int, ...]
    skipped: tuple[Mapping[str, Any], ...]


def read(data: Joined, tokenizer: TextTokenizer) -> Read:
    """Tokenise texts; those that cannot be read are left out and told of."""
    ids: list[Int64] = []
    rows: list[int] = []
    skipped: list[Mapping[str, Any]] = []
    for row, (text, place) in enumerate(zip(data.texts, data.places)):
        try:
            ids.append(tokenizer.ids(text))
            rows.append(row)
        except InputError as error:
            skipped.append({"input": place, "kind": error.kind, "message": str(error)})
    return Read(tuple(ids), data.codes[rows], tuple(rows), tuple(skipped))


def examples(found: Read, tokenizer: TextTokenizer, room: int, rng: np.random.Generator | None) -> list[Example]:
    """A window of each text: the whole of a short one, of a long one a part that ``rng`` draws, or its beginning."""
    made = []
    targets: Any = found.codes.astype(np.float32 if found.codes.ndim == 2 else np.int64)
    for ids, target in zip(found.ids, targets):
        spare = max(0, len(ids) - room)
        start = int(rng.integers(spare + 1)) if rng is not None and spare else 0
        made.append(Example(tokenizer.window(ids[start : start + room]), np.asarray(target)))
    return made


def learn(
    train: Joined, val: Joined, recipe: Recipe, folder: TrainFolder, device: Any, *, class_weight: str
) -> tuple[Made, Course]:
    """Fine-tune, or go on fine-tuning.

    Raises:
        DataError: a label has no text that can be read, or the training goes astray.
        UsageError: the recipe does not fit the base.
        WeightsError: the base or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    base = find_start(recipe)
    tokenizer = base.tokenizer
    room = min(recipe.max_tokens, base.positions) - len(tokenizer.before) - len(tokenizer.after)
    seen, unseen = read(train, tokenizer), read(val, tokenizer)
    _check(seen, train, unseen)
    balanced, several = class_weight == BALANCED, train.several
    metric = "macro_f1" if balanced else "micro_f1" if several else "accuracy"
    torch.manual_seed(derived(recipe.seed))
    outputs = len(train.labels)
    network = base.network(recipe.adapting(base.layers), head="text", names=train.labels).to(device)
    held = examples(unseen, tokenizer, room, None)

    def logits() -> Float32:
        return np.stack(answers(network, held, device))

    def score() -> float:
        if several:
            return judged(logits(), unseen.codes, balanced=balanced)
        found = logits().argmax(axis=1)
        return macro_f1_score(unseen.codes, found) if balanced else accuracy_score(unseen.codes, found)

    weights = None
    if balanced:
        if several:
            counts = seen.codes.sum(axis=0)
            factors = (len(seen.codes) - counts) / counts
        else:
            factors = len(seen.codes) / (outputs * np.bincount(seen.codes, minlength=outputs))
        weights = torch.tensor(factors, dtype=torch.float32, device=device)
    reached = fit(
        learner(
            network,
            lambda epoch: examples(seen, tokenizer, room, np.random.default_rng([recipe.seed, epoch, 2])),
            score,
            metric,
            recipe=recipe,
            device=device,
            weights=weights,
        ),
        recipe.schedule,
        folder,
        seed=recipe.seed,
    )
    told: dict[str, Any] = {"multi_label": several}
    if several:
        told["temperature"], told["thresholds"] = settled(logits(), unseen.codes)
    else:
        told["temperature"] = fit_temperature(logits(), unseen.codes)
    return _made(network.cpu(), base, recipe, train, told), _course(reached, metric, seen, unseen, base.sha256)


def learn_from_few(train: Joined, recipe: Recipe, folder: TrainFolder, device: Any) -> tuple[Made, Course]:
    """Teach the encoder by pairs which texts belong together, then fit a head on its vectors.

    L. Tunstall and others, "Efficient few-shot learning without prompts" (SetFit), 2022: pairs of equal and of
    different labels, the cosine of their vectors drawn to 1 and to 0, then logistic regression.

    Raises:
        DataError: a label has no text that can be read, or the training goes astray.
        UsageError: the recipe does not fit the base.
        WeightsError: the base or the folder cannot be had.
    """
    torch = require("torch", extra="torch")
    if is_checkpoint(recipe.base):
        raise UsageError(
            f"few-shot begins with an encoder of the catalogue or a model folder. Got the checkpoint {recipe.base}: "
            "give --method lora or full"
        )
    base = find_bert(recipe.base)
    tokenizer = base.tokenizer
    room = min(recipe.max_tokens, base.positions) - len(tokenizer.before) - len(tokenizer.after)
    seen = read(train, tokenizer)
    _check(seen, train, seen)
    torch.manual_seed(derived(recipe.seed))
    network = base.network(recipe.adapting(base.layers), head="text", names=train.labels).to(device)
    texts = examples(seen, tokenizer, room, None)

    def vectors() -> Any:
        network.eval()
        with torch.no_grad():
            parts = (collate(texts[at : at + 32], device) for at in range(0, len(texts), 32))
            return torch.cat([network.pooled(part.ids, part.types, part.mask) for part in parts])

    learner_of_pairs = _pairs(network, texts, seen.codes, vectors, recipe=recipe, device=device)
    reached = fit(learner_of_pairs, recipe.schedule, folder, seed=recipe.seed)
    from nlp.classification.linear import softmax_regression  # noqa: PLC0415 - only this way of training needs sklearn

    weight, bias = softmax_regression(vectors().cpu().numpy(), seen.codes, 1.0, balanced=True)
    with torch.no_grad():
        network.value("head.weight").copy_(torch.from_numpy(weight))
        network.value("head.bias").copy_(torch.from_numpy(bias))
    told = {"multi_label": False, "temperature": 1.0}
    return _made(network.cpu(), base, recipe, train, told), _course(reached, "separation", seen, seen, base.sha256)


def _pairs(
    network: Any, texts: Sequence[Example], codes: Int64, vectors: Any, *, recipe: Recipe, device: Any
) -> Learner:
    functional = require("torch.nn.functional", extra="torch")
    torch = require("torch", extra="torch")
    size = max(2, recipe.schedule.batch_size // 2)
    steps = max(1, -(-len(texts) * 4 // size))
    same = torch.from_numpy(codes[:, None] == codes[None, :]).to(device)

    def feed(epoch: int) -> Iterator[Any]:
        rng = np.random.default_rng([recipe.seed, epoch, 3])
        for _ in range(steps):
            left = rng.integers(len(texts), size=size)
            alike = rng.random(size) < 0.5
            right = [int(rng.choice(np.flatnonzero((codes == codes[at]) == wanted))) for at, wanted in zip(left, alike)]
            rows = [*left.tolist(), *right]
            yield collate([texts[row] for row in rows], device), torch.tensor(alike, dtype=torch.float32, device=device)

    def loss(batch: Any) -> Any:
        both, wanted = batch
        left, right = network.pooled(both.ids, both.types, both.mask).chunk(2)
        return functional.mse_loss(functional.cosine_similarity(left, right), wanted)

    def separation() -> float:
        units = functional.normalize(vectors())
        likeness = units @ units.T
        return float(likeness[same].mean() - likeness[~same].mean())

    return Learner(network, steps * size, steps, feed, loss, separation, "separation", lambda _: False, recipe.bfloat16)


def _check(seen: Read, data: Joined, unseen: Read) -> None:
    known = np.arange(len(data.labels))
    learnt = np.isin(known, np.flatnonzero(seen.codes.any(axis=0)) if data.several else seen.codes)
    missing = [label for label, there in zip(data.labels, learnt) if not there]
    if missing or not len(unseen.codes):
        raise DataError(f"every label needs a text that can be read, and so does validation. {missing} have none")


def _made(network: Any, base: Start, recipe: Recipe, data: Joined, judging: Mapping[str, Any]) -> Made:
    files, options = base.saved(network, recipe, several=data.several)
    told = {**options, **judging}
    if data.label_map:
        told["label_map"] = dict(data.label_map)
    limits = LIMITS_OF_SEVERAL if data.several else LIMITS
    return Made(TASK, FAMILY, BACKEND, data.labels, told, files, limits, base.opt_in)


def _course(reached: Reached, metric: str, seen: Read, unseen: Read, sha256: str) -> Course:
    left_out = seen.skipped if unseen is seen else (*seen.skipped, *unseen.skipped)
    return Course(reached, metric, len(seen.codes), len(unseen.codes), "texts", left_out, sha256)


def evaluate(model: Path, data: Joined, *, threads: int | None, seed: int) -> Mapping[str, Metric]:
    """Figures of a saved classifier on labelled texts, through its opener."""
    results = nlp.text_classifier(model, threads=threads).predict(data.texts, on_error="keep")
    if data.several:
        return _figures_of_several(results, data, seed)
    found = [None if isinstance(result, Failure) else result.labels[0] for result in results]
    truth = [data.labels[code] for code in data.codes]

    def interval(figure: Any) -> Metric:
        def drawn(rows: Int64) -> float:
            return float(figure([truth[at] for at in rows], [found[at] for at in rows]))

        return bootstrap(drawn, len(truth), rng=np.random.default_rng(seed))

    return {"accuracy": interval(accuracy_score), "macro_f1": interval(macro_f1_score)}


def _figures_of_several(results: Sequence[TextLabels | Failure], data: Joined, seed: int) -> Mapping[str, Metric]:
    """Texts that failed are given no label, and are not right even where none is true."""
    given = np.array([[not isinstance(r, Failure) and label in r.held for label in data.labels] for r in results])
    failed = np.array([isinstance(result, Failure) for result in results])
    truth = data.codes == 1
    right = (given == truth).all(axis=1) & ~failed

    def interval(figure: Callable[[Int64], float]) -> Metric:
        return bootstrap(figure, len(truth), rng=np.random.default_rng(seed))

    return {
        "accuracy": interval(lambda rows: float(right[rows].mean())),
        "micro_f1": interval(lambda rows: micro_f1_score(truth[rows], given[rows])),
        "macro_f1": interval(lambda rows: labels_f1_score(truth[rows], given[rows])),
    }
