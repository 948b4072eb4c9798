"""A sentence encoder: text to a vector, the same vector whatever other texts run beside it.

Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019): the mean of the last layer's token vectors, scaled to length 1.

An int8 graph with dynamic quantisation scales its activations by the largest one in the *whole* batch, so a padded
batch gives a text another vector than the text alone (cosine down to 0.95 between the two, all-MiniLM-L6-v2). Every
window is therefore a request of its own: nothing is padded, the answer does not depend on neighbours by a single bit,
and it costs no time, because the requests of a batch run side by side, one on each processor thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from nlp.tokenize import TextTokenizer, load_tokenizer
from nlp.windows import batches, windows
from shared.backends import Backend, open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Pipeline
from shared.types import AnyArray, Float32, Int64
from shared.weights import Opened, resolve

TASK_NAME = "nlp.embedding"
FAMILY = "sentence-encoder"
DEFAULT_ENCODER = "all-minilm-l6-v2"
GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"
TEXTS_AT_ONCE = 128
"""Texts whose windows are sorted by length together: enough that threads seldom wait for the last window."""


@dataclass(frozen=True)
class Pooling:
    """From token vectors to one vector.

    Attributes:
        window: token vectors of a window, shape (tokens, dim), to shape (dim,).
        joined: how the windows of a long text meet: ``"share"`` adds them, weighted by the share of the text that each
            is the first to show; ``"max"`` and ``"min"`` keep the outermost values.
    """

    window: Callable[[Float32], Float32]
    joined: str


POOLINGS: Mapping[str, Pooling] = MappingProxyType(
    {
        "mean": Pooling(lambda tokens: tokens.mean(axis=0), "share"),
        "cls": Pooling(lambda tokens: tokens[0], "share"),
        "max": Pooling(lambda tokens: tokens.max(axis=0), "max"),
        "min": Pooling(lambda tokens: tokens.min(axis=0), "min"),
    }
)
_STARTS = {"share": 0.0, "max": -np.inf, "min": np.inf}


def check_poolings(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if each is a key of :data:`POOLINGS` and there is one at least.

    Raises:
        UnknownNameError: one of them is not.
        UsageError: there are none, or one comes twice.
    """
    checked = tuple(names)
    for name in checked:
        if name not in POOLINGS:
            raise UnknownNameError("pooling", name, POOLINGS)
    if not checked or len(set(checked)) != len(checked):
        raise UsageError(f"poolings must be different names of {', '.join(POOLINGS)}. Got {checked} instead")
    return checked


@dataclass(frozen=True)
class Encoder:
    """A loaded encoder. Use :func:`open_encoder`.

    Attributes:
        card: what model this is.
        tokenizer: its tokeniser.
        backend: its graph: ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, each (1, tokens) int64,
            to one output of shape (1, tokens, dim) float32.
        size: tokens of a window, special ones not counted.
        overlap: tokens that neighbouring windows of a long text share at least.
        budget: tokens that are handed to the backend at once; bounds the memory of answers whatever comes.
        dim: length of a token's vector.
        poolings: how a text's vector is made where the caller does not say; the card's, or the mean.
    """

    card: ModelCard
    tokenizer: TextTokenizer
    backend: Backend
    size: int
    overlap: int
    budget: int
    dim: int
    poolings: tuple[str, ...] = ("mean",)

    def ids(self, text: str) -> Int64:
        """Tokens of a text, shape (n,) int64; see :meth:`nlp.tokenize.TextTokenizer.ids` for what is refused."""
        return self.tokenizer.ids(text)

    def vectors(self, texts: Sequence[Int64], *, poolings: Sequence[str] | None = None) -> Float32:
        """Encode a batch of tokenised texts.

        Args:
            texts: what :meth:`ids` gave for each, none empty.
            poolings: names of :data:`POOLINGS`; their vectors are scaled to length 1 each and laid end to end.
                ``None`` takes the encoder's own.

        Returns:
            Shape (texts, len(poolings) * dim), float32.

        Raises:
            BackendError: the runtime refused the batch.
        """
        kinds = [POOLINGS[name] for name in (self.poolings if poolings is None else poolings)]
        found = np.empty((len(texts), len(kinds), self.dim), dtype=np.float32)
        found[:] = np.array([_STARTS[kind.joined] for kind in kinds], dtype=np.float32)[:, None]
        places = [
            (text, window)
            for text, ids in enumerate(texts)
            for window in windows(len(ids), size=self.size, overlap=self.overlap)
        ]
        lengths = np.array([window.stop - window.start for _, window in places], dtype=np.int64)
        for batch in batches(lengths, budget=self.budget):
            chosen = [places[at] for at in batch]
            feeds = [self._feed(texts[text][window.start : window.stop]) for text, window in chosen]
            for (text, window), tokens in zip(chosen, self._answers(feeds)):
                for kind, vector in zip(kinds, found[text]):
                    _join(vector, kind, tokens, window.share)
        norms = np.linalg.norm(found, axis=2, keepdims=True)
        np.divide(found, np.maximum(norms, np.finfo(np.float32).tiny), out=found)
        return found.reshape(len(texts), len(kinds) * self.dim)

    def _feed(self, ids: Int64) -> dict[str, AnyArray]:
        tokens = self.tokenizer.window(ids)[None]
        values = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        return {spec.name: values[spec.name] for spec in self.backend.inputs}

    def _answers(self, feeds: list[dict[str, AnyArray]]) -> list[Float32]:
        output = self.backend.outputs[0].name
        return [answer[output][0] for answer in self.backend.run(feeds)]


def _join(vector: Float32, kind: Pooling, tokens: Float32, share: float) -> None:
    """Take a window's token vectors, shape (tokens, dim), into the vector of its text, shape (dim,)."""
    pooled = kind.window(tokens)
    if kind.joined == "share":
        vector += np.float32(share) * pooled
    elif kind.joined == "max":
        np.maximum(vector, pooled, out=vector)
    else:
        np.minimum(vector, pooled, out=vector)


def open_encoder(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    beside: ModelCard | None = None,
) -> Encoder:
    """Open a sentence encoder.

    Args:
        name: a catalogue name, a model folder, or ``None`` for all-MiniLM-L6-v2.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        beside: the model that stands on the encoder, where one does; see :func:`shared.weights.resolve`.

    Raises:
        UnknownNameError: nothing is called that, or it is no sentence encoder.
        WeightsError: a file cannot be had.
        DataError: its files or options are not those of a sentence encoder.
        BackendError: the runtime refuses the graph or the device.
    """
    return load_encoder(resolve(name or DEFAULT_ENCODER, task=TASK_NAME, beside=beside), device=device, threads=threads)


def load_encoder(opened: Opened, *, device: str = "auto", threads: int | None = None) -> Encoder:
    """Load an encoder whose files are here; see :func:`open_encoder`."""
    card = opened.card
    if card.family != FAMILY:
        raise UnknownNameError(f"family of {TASK_NAME}", card.family, [FAMILY])
    missing = sorted({GRAPH, TOKENIZER} - set(opened.files)) + sorted(
        {"max_tokens", "overlap", "token_budget"} - set(card.options)
    )
    if missing:
        raise DataError(f"{card.origin}: model {card.name!r} must have the files and options of an encoder: {missing}")
    backend = open_backend(card.backend, opened.files[GRAPH], device=device, threads=threads)
    dim = backend.outputs[0].shape[-1]
    inputs = {spec.name for spec in backend.inputs}
    if dim is None or not inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise DataError(
            f"{opened.files[GRAPH]} must take input_ids, attention_mask and token_type_ids and answer token vectors "
            f"of one length. It takes {sorted(inputs)} and answers {backend.outputs[0].shape}"
        )
    tokenizer = load_tokenizer(opened.files[TOKENIZER])
    own = check_poolings(card.options.get("poolings", ("mean",)))
    size = card.options["max_tokens"] - len(tokenizer.before) - len(tokenizer.after)
    return Encoder(card, tokenizer, backend, size, card.options["overlap"], card.options["token_budget"], dim, own)


def embedder(
    name: str | Path | None = None, *, device: str = "auto", threads: int | None = None
) -> Pipeline[str, Int64, Float32, Float32]:
    """Open a sentence embedder.

    Args:
        name: as :func:`open_encoder` takes it.
        device: as :func:`open_encoder` takes it.
        threads: as :func:`open_encoder` takes it.

    Returns:
        A predictor from texts to vectors, each shape (384,) float32 and of length 1 for the default model. The dot
        product of two is their cosine. A text of any length is read whole: one longer than a window is the mean of its
        windows, each weighted by the share of the text that it is the first to show.

    Raises:
        UnknownNameError: no encoder is called that.
        WeightsError: a model file cannot be had.
    """
    encoder = open_encoder(name, device=device, threads=threads)
    return Pipeline(
        encoder.card,
        encoder.ids,
        lambda batch: list(encoder.vectors(batch)),
        lambda vector, _: vector,
        batch_size=TEXTS_AT_ONCE,
        threads=threads,
    )
