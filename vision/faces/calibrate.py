"""Thresholds at stated false-accept rates, measured on pictures of many persons and saved with the model's card."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import DataError, UsageError
from shared.evaluation.verification import threshold_at_far
from shared.types import Bool, Float32, Float64
from shared.weights import ensure, write_model_folder
from vision.faces.evaluate import main_embeddings, pair_similarities
from vision.faces.pairs import read_pairs, read_people
from vision.opening import GRAPHS

if TYPE_CHECKING:
    from vision.faces.task import FaceRecognizer

FARS = (0.01, 0.001, 0.0001)
MOST_PICTURES = 5000
"""Pictures that are paired each with each; twelve million pairs, 100 MB."""
_LEAST_ACCEPTED = 10
"""Impostor pairs that a threshold must let through at least for its rate to be more than a guess."""
_DIGITS = 4


def calibrate(
    recognizer: FaceRecognizer, dataset: Path, out: Path, *, fars: Sequence[float] = FARS, name: str | None = None
) -> dict[str, Any]:
    """Measure the thresholds of a model, and write the model with them into a folder.

    Args:
        recognizer: the whole pipeline, as it will be used.
        dataset: a CSV of pairs (:func:`vision.faces.pairs.read_pairs`), whose impostor pairs count; or a folder of one
            folder of pictures a person, of which every two pictures of different persons are an impostor pair.
        out: the model folder to write.
        fars: false-accept rates. Each needs at least ten impostor pairs that it lets through: 10 / far pairs in all.
        name: the calibrated model's name; ``None`` keeps the model's own.

    Returns:
        The thresholds by rate, how many pictures and pairs they stand on, and how many genuine pairs each accepts.

    Raises:
        DataError: the data set is malformed, or has too few impostor pairs for a rate.
        UsageError: a rate is not between 0 and 1, or something stands in ``out``.
    """
    for far in fars:
        if not 0 < far < 1:
            raise UsageError(f"far must lie between 0 and 1. Got {far} instead")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"OUT must be a new or empty folder. Something stands in {out} already")
    same, similarity, pictures, missed = _similarities(dataset, recognizer)
    impostors, genuine = similarity[~same], similarity[same]
    for far in fars:
        if far * impostors.size < _LEAST_ACCEPTED:
            raise DataError(
                f"a threshold at a false-accept rate of {far:g} needs at least {_LEAST_ACCEPTED / far:,.0f} impostor "
                f"pairs. {dataset} gives {impostors.size:,}: give more pictures, or a larger rate"
            )
    thresholds = {
        f"{far:g}": round(threshold_at_far(impostors, far=far), _DIGITS) for far in sorted(fars, reverse=True)
    }
    card = recognizer.card
    told = f"{impostors.size} impostor pairs of {pictures} pictures in {dataset.name}"
    calibrated = dataclasses.replace(
        card,
        name=name or card.name,
        opt_in="",
        options=dict(card.options) | {"thresholds": thresholds, "calibrated_on": told},
    )
    files = {file: path.read_bytes() for file, path in ensure(card).items() if file.endswith(GRAPHS)}
    saved = write_model_folder(out, calibrated, files)
    return {
        "model": saved.name,
        "folder": str(out),
        "thresholds": {float(far): threshold for far, threshold in thresholds.items()},
        "true_accept_rates": {float(far): float((genuine >= value).mean()) for far, value in thresholds.items()}
        if genuine.size
        else None,
        "pictures": pictures,
        "without_face": missed,
        "impostor_pairs": int(impostors.size),
        "genuine_pairs": int(genuine.size),
    }


def _similarities(dataset: Path, recognizer: FaceRecognizer) -> tuple[Bool, Float64, int, int]:
    """Whether each pair is genuine, its similarity, how many pictures there are, and how many show no face."""
    if dataset.is_file() or list(dataset.glob("*.csv")):
        pairs = read_pairs(dataset)
        embeddings = main_embeddings(recognizer, pairs.paths)
        similarity = pair_similarities(pairs, embeddings)
        compared = ~np.isnan(similarity)
        return pairs.same[compared], similarity[compared], len(pairs.paths), _missed(embeddings)
    paths, people = read_people(dataset)
    if len(paths) > MOST_PICTURES:
        raise DataError(f"{dataset} must hold at most {MOST_PICTURES:,} pictures. It holds {len(paths):,}: take a part")
    embeddings = main_embeddings(recognizer, paths)
    seen = ~np.isnan(embeddings).any(axis=1)
    codes = np.unique(people, return_inverse=True)[1][seen]
    rows, columns = np.triu_indices(codes.size, k=1)
    known = embeddings[seen]
    similarity = (known @ known.T)[rows, columns].astype(np.float64)
    return codes[rows] == codes[columns], similarity, len(paths), _missed(embeddings)


def _missed(embeddings: Float32) -> int:
    return int(np.isnan(embeddings).any(axis=1).sum())
