"""How well faces are verified on labelled pairs, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import vision
from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES
from shared.evaluation.report import Evaluation
from shared.evaluation.verification import cross_validated, stratified_folds, verification_intervals
from shared.types import Failure, Float32, Float64
from vision.faces.items import pair_items
from vision.faces.mistakes import pair_sections
from vision.faces.pairs import FORMATS, FacePairs, read_pairs
from vision.faces.verify import DEFAULT_FAR

__all__ = ["FORMATS", "evaluate_faces", "main_embeddings", "pair_similarities"]


def evaluate_faces(
    dataset: Path,
    *,
    model: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    far: float = DEFAULT_FAR,
    threshold: float | None = None,
    **options: Any,
) -> Evaluation:
    """Verification figures on pairs of pictures; of each picture the main face counts.

    ``accuracy`` follows LFW's protocol: each fold is judged at the threshold that is best on the other folds. Where the
    data has one fold only, ten are made of it. ``accuracy_at_threshold`` judges all pairs at one threshold that is
    given, or at that of the model's card. A pair with a picture that cannot be used, or shows no face, is wrong in
    every figure.

    Args:
        dataset: as :func:`vision.faces.pairs.read_pairs` takes it.
        model: as :func:`vision.face_recognizer` takes it.
        format: of the data set; ``None`` looks.
        limit: only the first so many pairs.
        seed: of the bootstrap.
        device: as :func:`vision.face_recognizer` takes it.
        threads: as :func:`vision.face_recognizer` takes it.
        far: false-accept rate of ``tar_at_far`` and of the card's threshold.
        threshold: in place of the card's.
        options: further options of :func:`vision.face_recognizer`.

    Raises:
        DataError: the data set is malformed.
        UsageError: all pairs are of one sort, or the card has no threshold for ``far`` and none is given.
    """
    pairs = read_pairs(dataset, format=format, limit=limit)
    recognizer = vision.face_recognizer(model, device=device, threads=threads, **(options | {"embed": True}))
    used = recognizer.threshold(far=far) if threshold is None and _has_threshold(recognizer, far) else threshold
    similarity = pair_similarities(pairs, main_embeddings(recognizer, pairs.paths))
    folds = stratified_folds(pairs.same) if pairs.folds is None else pairs.folds
    figures = verification_intervals(
        pairs.same,
        similarity,
        folds=folds,
        far=far,
        threshold=used,
        rng=np.random.default_rng(seed),
        resamples=RESAMPLES,
        confidence=CONFIDENCE,
    )
    _, thresholds = cross_validated(pairs.same, similarity, folds)
    made = "10 made of the one" if pairs.folds is None else f"{np.unique(folds).size} of the data"
    impostors = int((~pairs.same).sum())
    notes = {
        "protocol": f"LFW, folds: {made}; thresholds {thresholds.min():.3f} to {thresholds.max():.3f}",
        "tar_at_far": f"FAR {far:g} of {impostors} impostor pairs" + " (none accepted)" * (far * impostors < 1),
        "accuracy_at_threshold": "none: the card has no threshold" if used is None else f"{used:.4f}",
        "interval": f"percentile bootstrap over pairs of each sort, {RESAMPLES} resamples, {CONFIDENCE:.0%}",
        "seed": seed,
    }
    failed = int(np.isnan(similarity).sum())
    name = recognizer.card.name
    sections = pair_sections(pairs, similarity, thresholds)
    items = pair_items(pairs, similarity, thresholds, far=far, threshold=used)
    count = len(pairs.same)
    return Evaluation("vision.faces", name, str(dataset), count, failed, figures, notes, {}, sections, items)


def main_embeddings(recognizer: vision.FaceRecognizer, paths: tuple[str, ...]) -> Float32:
    """The embedding of the main face of each picture; NaN where there is none, or the picture cannot be used.

    Returns:
        Shape (m, d), float32.
    """
    found = np.full((len(paths), recognizer.dimension), np.nan, np.float32)
    for at, result in enumerate(recognizer.stream(paths)):
        if not isinstance(result, Failure) and result.main is not None and result.embeddings is not None:
            found[at] = result.embeddings[result.main]
    return found


def pair_similarities(pairs: FacePairs, embeddings: Float32) -> Float64:
    """Cosine of each pair, shape (n,); NaN where a picture has no embedding."""
    first, second = embeddings[pairs.first].astype(np.float64), embeddings[pairs.second].astype(np.float64)
    cosine: Float64 = (first * second).sum(axis=1)
    return cosine


def _has_threshold(recognizer: vision.FaceRecognizer, far: float) -> bool:
    try:
        recognizer.threshold(far=far)
    except UsageError:
        return False
    return True
