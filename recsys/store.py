"""Models on disk: a model folder whose one file is an ``.npz`` without pickles."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

from recsys.data import read_csr
from recsys.families import find_family
from recsys.ids import Vocabulary
from recsys.model import Recommender
from recsys.packing import pack, unpack
from shared.catalogue import ModelCard
from shared.errors import DataError, TriptychError, UsageError
from shared.weights import read_model_folder, resolve, write_model_folder
from shared.weights.named import named

DOMAIN = "recsys"
"""What the tasks of recommenders begin with. Any of them will do for opening, because a card's family says what to
restore: content models of before were saved under the task of the collaborative ones."""
FILE = "model.npz"


def save(
    model: Recommender, folder: Path, *, name: str | None = None, licence: str = "LicenseRef-own-data"
) -> ModelCard:
    """Write a model folder: ``card.toml``, and the model's arrays in ``model.npz``.

    The same model always gives the same bytes. The folder holds the training histories: keep it as you keep those.

    Args:
        model: what to save.
        folder: where to; made when it does not exist.
        name: the model's name; ``None`` takes its family's.
        licence: SPDX identifier of the data's licence.

    Returns:
        The card.
    """
    arrays = {**model.user_ids.to_arrays(), **model.item_ids.to_arrays(), **model.arrays()}
    for part in ("data", "indices", "indptr"):
        arrays[f"histories.{part}"] = getattr(model.histories, part)
    return write_model_folder(folder, describe(model, name=name, licence=licence), {FILE: pack(arrays)})


def describe(model: Recommender, *, name: str | None = None, licence: str = "LicenseRef-own-data") -> ModelCard:
    """The card of a model, without files; see :func:`save`."""
    facts = {"users": len(model.user_ids), "items": len(model.item_ids), "interactions": int(model.histories.nnz)}
    return ModelCard(
        name=name or model.family,
        task=model.task,
        family=model.family,
        backend="numpy",
        licence=licence,
        summary=f"{model.family} of {facts['users']} users and {facts['items']} items",
        options={"config": dataclasses.asdict(model.config), **facts},
    )


def load(folder: str | Path, *, mmap: bool = False, verify: bool = True) -> Recommender:
    """Read a model folder. Nothing in it is executed.

    Args:
        folder: what :func:`save` wrote, or ``registry:NAME@ALIAS``.
        mmap: leave the arrays in the file and let the system read the pages that are asked for, shared by all processes
            that do so. The file must then stay as it is while the model lives. What this skips: whether what the family
            learned is finite is not looked at, which would read every page.
        verify: check the file's hash, which reads it once from end to end. ``False`` trusts the folder, so that a
            mapped model opens at once whatever its size.

    Raises:
        DataError: the folder holds no recommender, or a malformed one.
        WeightsError: the file is missing, or its bytes are not those of the card.
    """
    card, path = _find(model_folder(folder), verify)
    family = find_family(card.family)
    config = card.options.get("config", {})
    try:
        arrays = unpack(path, mmap=mmap)
        users, items = Vocabulary.from_arrays("user", arrays), Vocabulary.from_arrays("item", arrays)
        histories = read_csr("histories", arrays, (len(users), len(items)))
        return family.restore(config, (users, items, histories), arrays)
    except TriptychError as error:
        raise DataError(f"{folder} must hold a saved recommender. {error}") from error
    except (ValueError, TypeError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder} must hold a saved recommender. {type(error).__name__}: {error}") from error


def model_folder(name: str | Path) -> Path:
    """The folder of a saved model: ``registry:NAME@ALIAS`` leads to one, anything else is one."""
    return Path(named(name) or name).expanduser()


def _find(folder: Path, verify: bool) -> tuple[ModelCard, Path]:
    card = read_model_folder(folder)
    if card.task.partition(".")[0] != DOMAIN:
        raise UsageError(f"{folder} must hold a model of a task of {DOMAIN}. It holds one of {card.task}")
    if verify:
        opened = resolve(folder, task=card.task)
        return opened.card, opened.files[FILE]
    return card, folder / FILE
