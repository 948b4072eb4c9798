"""Model folders: ``card.toml`` beside the files that it names. Whatever is trained or fitted here is saved as one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from shared.catalogue import ModelCard, ModelFile, read
from shared.errors import DataError, UsageError
from shared.weights.cache import CARD_NAME, write_bytes


def is_model_folder(folder: Path) -> bool:
    """Whether a card stands in the folder."""
    return (folder / CARD_NAME).is_file()


def read_model_folder(folder: Path) -> ModelCard:
    """The card of a model folder. Its files are not opened.

    Raises:
        DataError: the folder has no card, or one that is malformed or tells of several models.
    """
    if not is_model_folder(folder):
        state = "there is no such folder" if not folder.exists() else f"it has no {CARD_NAME}"
        raise DataError(f"{folder} must be a model folder, with a {CARD_NAME} in it; {state}")
    cards = read(folder / CARD_NAME)
    if len(cards) != 1:
        raise DataError(f"{folder / CARD_NAME} must describe one model. Got {[card.name for card in cards]} instead")
    return cards[0]


def write_model_folder(folder: Path, card: ModelCard, files: Mapping[str, bytes]) -> ModelCard:
    """Save a model: its files, and the card with their sizes and hashes.

    A model that was there before is replaced: its card goes first and the new card comes last, so that a kill at any
    moment leaves a folder without a card rather than a mixture. Other files of the folder stay.

    Args:
        folder: where to; made when missing.
        card: what the model is; its ``files``, ``default`` and ``origin`` are set anew.
        files: content by file name.

    Returns:
        The card as :func:`read_model_folder` reads it.

    Raises:
        UsageError: there are no files, or a name is a path or that of the card.
        WeightsError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from shared.testing import fake_card
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = write_model_folder(Path(folder), fake_card(), {"head.bin": b"abc"})
        >>> saved.file("head.bin").size
        3
    """
    wrong = [name for name in files if Path(name).name != name or name in ("", ".", "..", CARD_NAME)]
    if wrong or not files:
        raise UsageError(
            f"a model folder's files must be plain names other than {CARD_NAME}, at least one. Got {sorted(files)}"
        )
    (folder / CARD_NAME).unlink(missing_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
    rows = tuple(
        ModelFile(name, len(content), hashlib.sha256(content).hexdigest(), ()) for name, content in files.items()
    )
    card = dataclasses.replace(card, files=rows, default=False)
    write_bytes(folder / CARD_NAME, to_toml(card).encode())
    return read_model_folder(folder)


def to_toml(card: ModelCard) -> str:
    """The card as a catalogue document of one row; see :mod:`shared.catalogue` for the schema."""
    row: dict[str, Any] = {
        "task": card.task,
        "family": card.family,
        "backend": card.backend,
        "licence": card.licence,
        "summary": card.summary,
    }
    if card.default:
        row["default"] = True
    if card.opt_in:
        row["opt_in"] = card.opt_in
    if card.options:
        row["options"] = _plain(card.options)
    row["files"] = [
        {key: _plain(value) for key, value in dataclasses.asdict(file).items() if value is not None}
        for file in card.files
    ]
    return tomli_w.dumps({"models": {card.name: row}})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
