"""What a text training begins with, by name: the base of our adapters, or a checkpoint in a folder."""

from __future__ import annotations

from pathlib import Path

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
from shared.errors import DataError
from shared.weights import resolve
from shared.weights.cache import sha256_of
from shared.weights.folder import is_model_folder


def find_base(name: str | Path | None) -> Base:
    """An encoder by its name.

    Args:
        name: a catalogue name or model folder of the task ``nlp.base``; a folder with a BERT checkpoint's
            ``config.json``, ``model.safetensors`` and ``tokenizer.json``; or ``None`` for all-MiniLM-L6-v2.

    Raises:
        UnknownNameError: nothing is called that.
        DataError: the folder holds no such encoder.
        WeightsError: a file cannot be had.
    """
    folder = Path(name or "").expanduser()
    if name is None or not (folder / CONFIG).is_file() or is_model_folder(folder):
        return open_base(resolve(name or DEFAULT_BASE, task=BASE_TASK))
    missing = [file for file in (WEIGHTS, TOKENIZER) if not (folder / file).is_file()]
    if missing:
        raise DataError(f"{folder} must hold {CONFIG}, {WEIGHTS} and {TOKENIZER}. It lacks {', '.join(missing)}")
    shape = shape_of_config(folder / CONFIG)
    weights = folder / WEIGHTS
    return Base(shape, read_tensors(weights, shape), sha256_of(weights), folder.name, folder / TOKENIZER)


def is_catalogued(name: str | Path | None) -> bool:
    """Whether an adapter can name this base for whoever opens it: not a bare checkpoint's folder."""
    folder = Path(name or "").expanduser()
    return name is None or is_model_folder(folder) or not (folder / CONFIG).is_file()
