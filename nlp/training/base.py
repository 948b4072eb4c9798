"""What a text training begins with, by name: the base of our adapters, a BERT checkpoint, or any of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nlp.families import is_checkpoint, is_of_hub
from nlp.graphs import open_base
from nlp.graphs.parts import (
    BASE_TASK,
    CONFIG,
    DEFAULT_BASE,
    TOKENIZER,
    WEIGHTS,
    Base,
    read_tensors,
    shape_of_config,
)
from nlp.tokenize import TextTokenizer, load_tokenizer
from nlp.training.network import Adapting, build_network
from nlp.training.options import FULL, Recipe
from nlp.training.save import model_files
from shared.errors import DataError
from shared.lazy import require
from shared.weights import resolve
from shared.weights.cache import sha256_of
from shared.weights.folder import is_model_folder


class Start(Protocol):
    """An encoder before training."""

    @property
    def tokenizer(self) -> TextTokenizer:
        """Its own."""

    @property
    def positions(self) -> int:
        """The longest window in tokens."""

    @property
    def layers(self) -> int:
        """How many it has."""

    @property
    def sha256(self) -> str:
        """Of its weights."""

    @property
    def opt_in(self) -> str:
        """Why a model of it must be chosen by name, or empty."""

    def network(self, adapting: Adapting, *, head: str, names: Sequence[str] = (), features: int = 0) -> Any:
        """A torch module, as :class:`nlp.training.learner` calls it.

        Args:
            adapting: what of it is trained.
            head: one of :data:`nlp.training.network.HEADS`.
            names: of what the head tells apart; none for the start and end of an answer.
            features: how many codes a token can have beside its word.
        """

    def saved(
        self, network: Any, recipe: Recipe, *, types: bool = False, several: bool = False
    ) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The files of the trained network, on the CPU, and the options by which they are opened.

        Args:
            network: as training left it.
            recipe: how it was trained.
            types: whether it tells two texts of a window apart.
            several: whether a text may have several labels.
        """


@dataclass(frozen=True)
class BertStart:
    """A BERT encoder, trained by :mod:`nlp.training.network`; the attributes are those of :class:`Start`."""

    base: Base
    tokenizer: TextTokenizer
    opt_in: str = ""

    @property
    def positions(self) -> int:
        """The longest window in tokens."""
        return self.base.shape.positions

    @property
    def layers(self) -> int:
        """How many it has."""
        return self.base.shape.layers

    @property
    def sha256(self) -> str:
        """Of its weights."""
        return self.base.sha256

    def network(self, adapting: Adapting, *, head: str, names: Sequence[str] = (), features: int = 0) -> Any:
        """See :meth:`Start.network`."""
        return build_network(self.base, adapting, head=head, outputs=len(names) or 2, features=features)

    def saved(
        self, network: Any, recipe: Recipe, *, types: bool = False, several: bool = False
    ) -> tuple[dict[str, bytes], dict[str, Any]]:
        """See :meth:`Start.saved`."""
        del several  # the head is the same
        return model_files(network, self.base, recipe, types=types)


def find_start(recipe: Recipe) -> Start:
    """What a recipe begins with.

    A checkpoint of transformers that is a plain BERT encoder in a local folder and is trained whole becomes a graph in
    8-bit integers; any other checkpoint becomes one in float32, with its adapter beside it where it was trained by one.

    Raises:
        UnknownNameError: nothing is called that.
        DataError: there is no encoder that can be read.
        SourceError, WeightsError: a file cannot be had.
    """
    if is_checkpoint(recipe.base) and not (recipe.method == FULL and is_bert(recipe.base)):
        return require("nlp.training.checkpoints", extra="torch").open_checkpoint(recipe.base)  # type: ignore[no-any-return]
    return find_bert(recipe.base)


def find_bert(name: str | Path | None) -> BertStart:
    """A BERT encoder by its name.

    Args:
        name: a catalogue name or model folder of the task ``nlp.base``; a folder for which :func:`is_bert` is true; or
            ``None`` for all-MiniLM-L6-v2.

    Raises:
        UnknownNameError: nothing is called that.
        DataError: the folder holds no such encoder.
        WeightsError: a file cannot be had.
    """
    folder = Path(name or "").expanduser()
    if name is None or not (folder / CONFIG).is_file() or is_model_folder(folder):
        base = open_base(resolve(name or DEFAULT_BASE, task=BASE_TASK))
    else:
        shape = shape_of_config(folder / CONFIG)
        weights = folder / WEIGHTS
        base = Base(shape, read_tensors(weights, shape), sha256_of(weights), folder.name, folder / TOKENIZER)
    return BertStart(base, load_tokenizer(base.tokenizer))


def is_bert(name: str | Path) -> bool:
    """Whether a checkpoint is a local folder with a plain BERT encoder's configuration, tensors and tokeniser."""
    folder = Path(name).expanduser()
    if is_of_hub(name) or not all((folder / file).is_file() for file in (CONFIG, WEIGHTS, TOKENIZER)):
        return False
    try:
        shape_of_config(folder / CONFIG)
    except DataError:
        return False
    return True
