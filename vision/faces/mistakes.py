"""The pairs that were judged wrongly, side by side for a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from shared.errors import InputError
from shared.evaluation.report import Gallery, Section, Shown
from shared.evaluation.verification import decisions_right
from shared.types import Float64
from vision.faces.pairs import FacePairs
from vision.faces.prepare import fitted
from vision.images import View, load_view

LONGEST = 180
"""Pixels of the longer side of each of the two pictures."""


def pair_sections(pairs: FacePairs, similarity: Float64, thresholds: Float64) -> Callable[[int], list[Section]]:
    """The sections of a report on pairs.

    Args:
        pairs: what was compared.
        similarity: shape (n,), NaN where a picture could not be used or shows no face.
        thresholds: shape (n,), what each pair was judged at.
    """

    def sections(worst: int) -> list[Section]:
        wrong = np.flatnonzero(~decisions_right(pairs.same, similarity, threshold=thresholds))
        off = np.nan_to_num(np.abs(similarity - thresholds), nan=np.inf)
        order = wrong[np.argsort(-off[wrong], kind="stable")]

        def shown(at: int) -> Shown:
            paths = [pairs.paths[side[at]] for side in (pairs.first, pairs.second)]
            true = "one person" if pairs.same[at] else "two persons"
            said = f"similarity {similarity[at]:.3f}, threshold {thresholds[at]:.3f}"
            judged = "no face was found, or a picture cannot be used" if np.isnan(similarity[at]) else said
            return Shown(" and ".join(Path(path).name for path in paths), (f"true: {true}", judged), _beside(paths))

        note = f"{wrong.size} of {pairs.same.size} pairs; those without a face come first, then the farthest off."
        return [Gallery("Pairs that were judged wrongly", tuple(map(shown, order[:worst].tolist())), note)]

    return sections


def _beside(paths: list[str]) -> bytes:
    """Two pictures in one small JPEG; one that cannot be read is left out, and nothing is left where neither can."""
    pictures = []
    for path in paths:
        try:
            pictures.append(Image.fromarray(load_view(path, _small)[0]))
        except InputError:
            continue
    if not pictures:
        return b""
    both = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        both.paste(picture, (left, 0))
        left += picture.width
    file = io.BytesIO()
    both.save(file, "JPEG", quality=80)
    return file.getvalue()


def _small(height: int, width: int) -> View:
    return View((0, 0, width, height), fitted(height, width, LONGEST))
