"""What labelled items, as they are and spoilt, say of the accuracy of others; see :mod:`shared.monitoring.estimate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.monitoring.kriging import Shifts
from shared.types import AnyArray, Bool, Float64

_SHIFT = "shift_"


@dataclass(frozen=True)
class Calibration:
    """What labelled items say of the accuracy of others.

    All arrays are float64 unless said; ``draws`` is 1 + resamples.

    Attributes:
        method: of the curve, ``"platt"`` or ``"isotonic"``.
        confidence: shape (n,), of the labelled items.
        correct: shape (n,), bool.
        labels: shape (n,), text, the answers; empty where they were not given.
        knots: shape (k,), confidences between which the curve is straight.
        curves: shape (draws, k), the share of right answers at each knot; the first row is of all items, the others of
            items drawn again.
        anchors: shape (draws, 2), accuracy and mean calibrated confidence of the reference.
        shifts: what was seen of spoilt copies, none where none were given.
        names: shape (d,), text, of the columns by which shifts are told to look alike.
        centre: shape (d,), their means over the labelled items.
        scale: shape (d,), their standard deviations.
        doubt: by how much falls of other kinds lie further off than their variance says, at least 1.
        error: expected calibration error of items that the curve was not fitted to, in [0, 1].
    """

    method: str
    confidence: Float64
    correct: Bool
    labels: AnyArray
    knots: Float64
    curves: Float64
    anchors: Float64
    shifts: Shifts
    names: AnyArray
    centre: Float64
    scale: Float64
    doubt: float
    error: float

    @property
    def accuracy(self) -> float:
        """Of the labelled items."""
        return float(self.correct.mean())

    def calibrated(self, confidence: AnyArray) -> Float64:
        """The share of right answers at each confidence, shape as given."""
        return np.asarray(np.interp(np.asarray(confidence, np.float64), self.knots, self.curves[0]))

    def arrays(self) -> dict[str, AnyArray]:
        """All of it as plain arrays, for an npz file; :meth:`of_arrays` reads them."""
        own = {name: np.asarray(getattr(self, name)) for name in _own()}
        return own | {_SHIFT + name: getattr(self.shifts, name) for name in Shifts.__dataclass_fields__}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, AnyArray]) -> Calibration:
        """What :meth:`arrays` gave.

        Raises:
            UsageError: one is missing.
        """
        shifts = [_SHIFT + name for name in Shifts.__dataclass_fields__]
        if missing := sorted({*_own(), *shifts} - set(arrays)):
            raise UsageError(f"arrays of a calibration must have {', '.join(missing)}. Got {', '.join(sorted(arrays))}")
        own: dict[str, Any] = {name: arrays[name] for name in _own()}
        own |= {"method": str(own["method"]), "doubt": float(own["doubt"]), "error": float(own["error"])}
        return cls(shifts=Shifts(*(arrays[name] for name in shifts)), **own)


def _own() -> list[str]:
    return [name for name in Calibration.__dataclass_fields__ if name != "shifts"]
