"""Models on disk: a model folder whose one file is an ``.npz`` without pickles."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np

from recsys.data import read_csr
from recsys.families import find_family
from recsys.ids import Vocabulary
from recsys.model import Recommender
from shared.catalogue import ModelCard
from shared.errors import DataError, TriptychError
from shared.weights import resolve, write_model_folder

TASK = "recsys.collaborative"
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
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # the stubs read the keywords as allow_pickle
    return write_model_folder(folder, describe(model, name=name, licence=licence), {FILE: content.getvalue()})


def describe(model: Recommender, *, name: str | None = None, licence: str = "LicenseRef-own-data") -> ModelCard:
    """The card of a model, without files; see :func:`save`."""
    facts = {"users": len(model.user_ids), "items": len(model.item_ids), "interactions": int(model.histories.nnz)}
    return ModelCard(
        name=name or model.family,
        task=TASK,
        family=model.family,
        backend="numpy",
        licence=licence,
        summary=f"{model.family} of {facts['users']} users and {facts['items']} items",
        options={"config": dataclasses.asdict(model.config), **facts},
    )


def load(folder: str | Path) -> Recommender:
    """Read a model folder. The file's hash is checked and nothing in it is executed.

    Raises:
        DataError: the folder holds no recommender, or a malformed one.
        WeightsError: the file is missing, or its bytes are not those of the card.
    """
    opened = resolve(Path(folder), task=TASK)
    family = find_family(opened.card.family)
    config = opened.card.options.get("config", {})
    try:
        with np.load(opened.files[FILE], allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        users, items = Vocabulary.from_arrays("user", arrays), Vocabulary.from_arrays("item", arrays)
        histories = read_csr("histories", arrays, (len(users), len(items)))
        return family.restore(config, (users, items, histories), arrays)
    except TriptychError as error:
        raise DataError(f"{folder} must hold a saved recommender. {error}") from error
    except (ValueError, TypeError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder} must hold a saved recommender. {type(error).__name__}: {error}") from error
