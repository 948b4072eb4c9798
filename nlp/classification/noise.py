"""Labels of the training texts that look wrong to models that had not learnt from them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from nlp.classification.decode import probabilities
from nlp.classification.joined import Joined
from nlp.training.calibrate import fit_temperature
from shared.errors import UsageError
from shared.evaluation.label_noise import label_noise
from shared.types import Float32, Float64

FILE = "label_noise.csv"
COLUMNS = ("place", "label", "suggested", "probability", "suggested_probability", "text")


def check_noise(data: Joined) -> None:
    """Raise a :class:`~shared.errors.UsageError` for texts of several labels, where wrong ones are not looked for."""
    if data.several:
        raise UsageError("label_noise is for texts of one label. These may have several: leave it out")


def write_noise(data: Joined, held: Float32 | Float64, out: Path) -> dict[str, Any]:
    """Write the labels that look wrong by confident learning, the most doubtful first; see :data:`COLUMNS`.

    Args:
        data: texts of one label each.
        held: scores of each text by a model of other folds, shape (texts, labels). A temperature makes probabilities
            of them.
        out: the folder, to which :data:`FILE` is written.

    Returns:
        For the report: the file, how many candidates there are, and the share of wrong labels that is estimated.
    """
    chances = probabilities(held, temperature=fit_temperature(held.astype("float32"), data.codes))
    found = label_noise(data.codes, chances)
    with (out / FILE).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for at, given, likelier in zip(found.items.tolist(), found.given.tolist(), found.suggested.tolist()):
            sure = (f"{chances[at, label]:.4f}" for label in (given, likelier))
            rows.writerow([data.places[at], data.labels[given], data.labels[likelier], *sure, data.texts[at]])
    return {"file": str(out / FILE), "candidates": len(found), "estimated_rate": round(found.rate, 4)}
