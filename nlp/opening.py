"""From a model's name to its card, tokeniser and running graph: what every opener over a text graph begins with.

A model folder of a text graph holds ``card.toml``, ``model.onnx`` and ``tokenizer.json``. The graph takes one window
of one text at a time: ``input_ids`` and ``attention_mask``, each (1, tokens) int64; where it has them
``token_type_ids`` and ``features`` (a code a token), of the same shape and type. The card's ``options`` say how long a
window may be:

- ``max_tokens``: tokens of a window, the special ones counted;
- ``overlap``: tokens that neighbouring windows of a long text share at least (an eighth of a window when not said);
- ``token_budget``: tokens that are handed to the runtime at once (8,192 when not said).

Requests are never padded into a batch: dynamic int8 scales by the largest value of the whole batch, so an answer would
depend on its neighbours (see :mod:`nlp.encoder`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp.families import open_model
from nlp.pairs import PairTemplate, pair_template
from nlp.tokenize import TextTokenizer, load_tokenizer
from nlp.windows import Window, batches, windows
from shared.backends import Backend, Keep, open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError
from shared.types import AnyArray, Int64
from shared.weights import Opened

GRAPH, TOKENIZER, ADAPTER = "model.onnx", "tokenizer.json", "adapter.safetensors"
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "features")
TOKEN_BUDGET = 8192


@dataclass(frozen=True)
class TextGraph:
    """A loaded text graph. Use :func:`open_text_graph`.

    Attributes:
        card: what model this is.
        tokenizer: its tokeniser.
        backend: its graph; see this module's docstring for what it takes.
        files: the model's files by the card's name for each.
        size: tokens of a window of one text, special ones not counted.
        overlap: tokens that neighbouring windows of a long text share at least.
        budget: tokens that are handed to the backend at once; bounds the memory of answers whatever comes.
    """

    card: ModelCard
    tokenizer: TextTokenizer
    backend: Backend
    files: Mapping[str, Path]
    size: int
    overlap: int
    budget: int

    @property
    def takes(self) -> frozenset[str]:
        """Names of the graph's inputs."""
        return frozenset(spec.name for spec in self.backend.inputs)

    @property
    def room(self) -> int:
        """Tokens of a window, special ones counted."""
        return self.size + len(self.tokenizer.before) + len(self.tokenizer.after)

    def windows(self, n: int) -> list[Window]:
        """Where the windows of a text of ``n`` tokens lie; see :func:`nlp.windows.windows`."""
        return windows(n, size=self.size, overlap=self.overlap)

    def pairs(self) -> PairTemplate:
        """How this model's tokeniser joins two texts.

        Raises:
            DataError: the tokeniser knows no pairs.
        """
        return pair_template(self.tokenizer)

    def feed(self, tokens: Int64, *, types: Int64 | None = None, features: Int64 | None = None) -> dict[str, AnyArray]:
        """One request.

        Args:
            tokens: a whole window, special tokens in their places, shape (n,), int64; see
                :meth:`nlp.tokenize.TextTokenizer.window` and :meth:`nlp.pairs.PairTemplate.join`.
            types: which of two texts each token is of, shape (n,), int64; zeros when not given.
            features: a code a token, shape (n,), int64; zeros when not given.

        Returns:
            What the graph takes, each array of shape (1, n).
        """
        blank = np.zeros_like(tokens)
        values = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": blank if types is None else types,
            "features": blank if features is None else features,
        }
        return {spec.name: values[spec.name][None] for spec in self.backend.inputs}

    def answers(
        self, feeds: Sequence[Mapping[str, AnyArray]], *, keep: Keep | None = None
    ) -> list[dict[str, AnyArray]]:
        """Run requests, the longest first, no more tokens at once than the budget, and answer them in their own order.

        Args:
            feeds: what :meth:`feed` gave for each.
            keep: what to keep of each request's outputs; see :data:`shared.backends.Keep`.

        Raises:
            BackendError: the runtime refused a request.
        """
        lengths = np.array([feed["input_ids"].shape[1] for feed in feeds], dtype=np.int64)
        found: list[dict[str, AnyArray]] = [{} for _ in feeds]
        for batch in batches(lengths, budget=self.budget):
            for at, answer in zip(batch.tolist(), self.backend.run([feeds[at] for at in batch], keep=keep)):
                found[at] = answer
        return found


def open_text_graph(
    name: str | Path | None,
    *,
    task: str,
    families: Collection[str],
    device: str = "auto",
    threads: int | None = None,
) -> TextGraph:
    """A text graph by any name.

    Args:
        name: a catalogue name, a model folder, a name that :mod:`nlp.families` knows, or ``None`` for the task's
            default.
        task: the task that it must serve.
        families: the families that the task's prepare and decode know.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Raises:
        UnknownNameError: nothing is called that, or the card's family is none of ``families``.
        UsageError: the model serves another task.
        WeightsError: a file cannot be had.
        MissingDependencyError: a checkpoint must be exported first, which needs an extra.
        DataError: files or options are not those of a text graph.
        BackendError: the runtime refuses the graph or the device.
    """
    opened = open_model(name, task=task)
    if opened.card.family not in families:
        raise UnknownNameError(f"family of {task}", opened.card.family, families)
    return load_text_graph(opened, device=device, threads=threads)


def load_text_graph(opened: Opened, *, device: str = "auto", threads: int | None = None) -> TextGraph:
    """Load a text graph whose files are here; see :func:`open_text_graph`.

    A model that is an adapter over a base is merged with it first, once.
    """
    opened = merged(opened)
    card = opened.card
    missing = sorted({GRAPH, TOKENIZER} - set(opened.files)) + sorted({"max_tokens"} - set(card.options))
    if missing:
        raise DataError(
            f"{card.origin}: model {card.name!r} must have the files and options of a text graph: {missing}"
        )
    tokenizer = load_tokenizer(opened.files[TOKENIZER])
    room = _whole(card, "max_tokens", None)
    size = room - len(tokenizer.before) - len(tokenizer.after)
    overlap, budget = _whole(card, "overlap", max(0, size // 8)), _whole(card, "token_budget", TOKEN_BUDGET)
    if size < 1 or overlap >= size or budget < 1:
        raise DataError(
            f"{card.origin}: model {card.name!r} must have room for a token beside the special ones, an overlap "
            f"smaller than that room and a token_budget of at least 1. Got max_tokens={room}, overlap={overlap}, "
            f"token_budget={budget} instead"
        )
    backend = open_backend(card.backend, opened.files[GRAPH], device=device, threads=threads)
    inputs = {spec.name for spec in backend.inputs}
    if not {"input_ids", "attention_mask"} <= inputs <= set(INPUTS):
        raise DataError(
            f"{opened.files[GRAPH]} must take input_ids and attention_mask, and beside them only "
            f"{', '.join(INPUTS[2:])}. It takes {', '.join(sorted(inputs))}"
        )
    return TextGraph(card, tokenizer, backend, opened.files, size, overlap, budget)


def merged(opened: Opened) -> Opened:
    """A model that is an adapter as one that is a graph, merged with its base once; any other as it is."""
    if ADAPTER not in opened.files:
        return opened
    from nlp.graphs import merged_folder  # noqa: PLC0415 - only models with an adapter need what merges them

    return merged_folder(opened)


def whole(name: str | Path | None, *, task: str) -> list[Opened]:
    """A task's text graph with the files that it runs from; what :attr:`shared.tasks.Task.whole` gives."""
    return [merged(open_model(name, task=task))]


def _whole(card: ModelCard, option: str, default: int | None) -> int:
    value = card.options.get(option, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(
            f"{card.origin}: options.{option} of model {card.name!r} must be a whole number of at least 0. "
            f"Got {value!r} instead"
        )
    return value
