"""The same recommendation as a program, as commands and over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from demos.recommend.reasons import SHOWN
from demos.sharing import Elsewhere, python_command, upload

POOL = 60
"""Candidates that diversity chooses from."""
_FITS = {
    "EASE": ("recsys.fit_ease(read, recsys.EaseConfig(l2=50.0))", "--algorithm ease --l2 50"),
    "Nearest neighbours": ("recsys.fit_item_knn(read)", "--algorithm item_knn"),
}
_BOOKS = """import json

import numpy as np

import recsys
from demos.library import readings

read = recsys.from_records(readings(rng=np.random.default_rng(0)))  # simulated readers of real books
model = {fit}
found = model.fold_in({picked!r}, {k})
print(json.dumps(found.to_json()))
"""
_VARIED = """import json

import numpy as np

import recsys
from demos.library import books, genres_of_books, readings

read = recsys.from_records(readings(rng=np.random.default_rng(0)))  # simulated readers of real books
model = {fit}
found = model.fold_in({picked!r}, {pool})
place = {{book.id: at for at, book in enumerate(books())}}
vectors = genres_of_books()[[place[item] for item in found.items]].astype(np.float32)
found = recsys.diversify(found, vectors=vectors, k={k}, relevance={relevance})
print(json.dumps(found.to_json()))
"""
_OWN = """import json
from pathlib import Path

from demos.recommend.own_ratings import read_shelf
from demos.recommend.reasons import varied

shelf = read_shelf(Path({ratings!r}), {titles})
model = shelf.recommenders[{model!r}].open()
found = varied(model.fold_in({picked!r}, {pool}), {diversity}, model, shelf)
print(json.dumps(found.to_json()))
"""


def elsewhere(  # noqa: PLR0917 - the inputs of the page, in their order
    picked: Sequence[str] | None,
    model: str,
    diversity: float,
    own: str,
    ratings: Mapping[str, Any] | None,
    titles: Mapping[str, Any] | None,
) -> Elsewhere:
    """The same request outside the page.

    Args:
        picked: ids of what is liked.
        model: by the name that a visitor chooses.
        diversity: in 0..1.
        own: not empty where the picks are of the visitor's own ratings.
        ratings: the raw value of their upload.
        titles: the raw value of the upload of titles.
    """
    picks, file, names = list(picked or ()), upload(ratings), upload(titles)
    if own and file is not None:
        named = "None" if names is None else f"Path({names.name!r})"
        given = {"ratings": file.name, "titles": named, "model": model, "picked": picks, "pool": POOL}
        program = _OWN.format(**given, diversity=diversity)
        return Elsewhere(
            program, python_command(program), "", [], "", None, remark="your ratings are known to your page alone"
        )
    fit, options = _FITS[model]
    history = {"history": picks}
    folder = "books-ease" if model == "EASE" else "books-item-knn"
    if diversity:
        program = _VARIED.format(fit=fit, picked=picks, pool=POOL, k=SHOWN, relevance=round(1 - diversity, 4))
        command, remark = python_command(program), "it ranks by score alone, without diversity"
    else:
        program = _BOOKS.format(fit=fit, picked=picks, k=SHOWN)
        command, remark = _commands(picks, folder, options), ""
    return Elsewhere(
        program, command, "recommend", [picks, model, diversity, ""], "recsys.collaborative", history, folder,
        remark=remark,
    )  # fmt: skip


def _commands(picks: Sequence[str], folder: str, options: str) -> str:
    """Write what the readers read, fit a model over it, ask it; whoever picked nothing is somebody new."""
    who = [word for pick in picks for word in ("--history", pick)] or ["--user", "somebody new"]
    return "\n".join(
        [
            "python -m demos.library > readings.csv",
            f"test -d {folder} || triptych train recsys.collaborative readings.csv {folder} --name {folder} {options}",
            shlex.join(["triptych", "recommend", folder, *who, "-k", str(SHOWN), "--json"]),
        ]
    )
