"""A window against the reference: drift, the quality of items, accuracy without labels, and the rules that it breaks.

The stated rate of false alarms is shared: half of it is the tests' of drift, half that of the checks of quality, so
that a window in which nothing has changed alarms with a chance of at most ``rate``, rules aside.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError, UsageError
from shared.monitoring.alerts import Alert, Rules
from shared.monitoring.columns import Columns
from shared.monitoring.comparable import comparable
from shared.monitoring.drift import ColumnDrift, Drift, drift
from shared.monitoring.estimate import Calibration, Estimate, calibration, estimated_accuracy
from shared.monitoring.profile import Profile
from shared.monitoring.quality import Quality, quality
from shared.monitoring.shapes import Shape, shapes
from shared.monitoring.signals import LABEL

FEWEST = 50
"""Answers of known truth from which on accuracy is estimated."""


@dataclass(frozen=True)
class Check:
    """What is said of a window.

    Attributes:
        task: of the model.
        model: what identifies it.
        reference: when the reference was made, its items and failures.
        window: the same of the window, with its first and last time.
        rate: chance of a false alarm of drift and quality together.
        drift: what the tests say.
        quality: what the checks of items say.
        estimate: accuracy without labels: value, lower and upper end; ``None`` where nothing is known to estimate from.
        alerts: what the rules say.
        shapes: of each column in both, for the report.
        notes: sentences that a reader must know, such as columns that could not be compared.
    """

    task: str
    model: str
    reference: Mapping[str, Any]
    window: Mapping[str, Any]
    rate: float
    drift: Drift
    quality: tuple[Quality, ...]
    estimate: tuple[float, float, float] | None
    alerts: tuple[Alert, ...]
    shapes: tuple[Shape, ...]
    notes: tuple[str, ...] = ()

    @property
    def alarm(self) -> bool:
        """Whether anything is to be said of the window: drift, quality or a rule that fires."""
        return self.drift.alarm or any(one.bad for one in self.quality) or any(one.firing for one in self.alerts)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted, each once."""
        return tuple(dict.fromkeys(row["name"] for row in self.drift.to_json()["columns"] if row["drifted"]))

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object, from which :func:`read_check` reads the check back."""
        return {
            "task": self.task,
            "model": self.model,
            "alarm": self.alarm,
            "rate": self.rate,
            "reference": dict(self.reference),
            "window": dict(self.window),
            "drift": self.drift.to_json(),
            "quality": [one.to_json() for one in self.quality],
            "estimate": None if self.estimate is None else dict(zip(("value", "low", "high"), self.estimate)),
            "alerts": [one.to_json() for one in self.alerts],
            "shapes": [one.to_json() for one in self.shapes],
            "notes": list(self.notes),
        }

    def report(self, path: str | Path) -> None:
        """Write the HTML page of the check, below 2 MB; see :mod:`shared.monitoring.report`.

        Raises:
            UsageError: the file cannot be written.
        """
        from shared.monitoring.report import check_html  # noqa: PLC0415 - a page is made only where one is asked for

        write_whole(path, check_html(self).encode("utf-8"))


def check(
    profile: Profile,
    window: Profile,
    *,
    rate: float = 0.01,
    rules: Rules | None = None,
    rng: np.random.Generator | None = None,
) -> Check:
    """Hold a window against the reference profile.

    Args:
        profile: the reference.
        window: what came since.
        rate: chance of a false alarm of the whole check where nothing has changed, in (0, 1).
        rules: further bounds of the user's own.
        rng: what the tests that draw are drawn with; the same for the same window when not given.

    Raises:
        UsageError: the two are of different tasks, one has no answered item, or ``rate`` is out of its range.
    """
    if not 0 < rate < 1:
        raise UsageError(f"rate must lie between 0 and 1. Got {rate} instead")
    if profile.task != window.task:
        raise UsageError(f"profile and window must be of one task. Got {profile.task} and {window.task}")
    for name, one in (("profile", profile), ("window", window)):
        if not one.n:
            raise UsageError(f"the {name} must have answered items. It has none, and {one.failed} that failed")
    identity = hashlib.sha256(
        repr((window.n, window.failed, window.first, window.last, window.sample.keys.tobytes())).encode()
    ).hexdigest()
    drawn = rng or np.random.default_rng(int(identity[:16], 16))
    reference, part, notes = _same_columns(*comparable(profile, window))
    if profile.model and window.model and profile.model != window.model:
        notes = (*notes, "the window is of another model than the profile: its answers may differ by that alone")
    drifted, estimate = drift(reference, part, rate=rate / 2, rng=drawn), _estimate(profile, window)
    if drifted.alarm and estimate is not None and estimate.method == "confidence":
        notes = (*notes, "accuracy is read off confidence, which falls too little where inputs drifted: expect less")
    if estimate is not None and estimate.note:
        notes = (*notes, f"estimated accuracy: {estimate.note}")
    found = Check(
        profile.task,
        window.model or profile.model,
        _facts(profile),
        _facts(window),
        rate,
        drifted,
        quality(profile, window, rate=rate / 2),
        None if estimate is None else (float(estimate.value), float(estimate.low), float(estimate.high)),
        (),
        shapes(profile, window),
        notes,
    )
    return found if rules is None else _judged(found, rules, window, identity)


def read_check(path: str | Path) -> Check:
    """A check out of the JSON that ``triptych monitor check --json`` prints.

    Raises:
        DataError: the file holds none.
    """
    try:
        table = json.loads(Path(path).read_text("utf-8"))
        drifted = dict(table["drift"])
        columns = tuple(ColumnDrift(**row) for row in drifted.pop("columns"))
        known = {name: drifted[name] for name in ("alarm", "rate", "n_reference", "n_window")}
        estimate = table["estimate"]
        return Check(
            table["task"],
            table["model"],
            table["reference"],
            table["window"],
            table["rate"],
            Drift(columns=columns, **known),
            tuple(Quality(**row) for row in table["quality"]),
            None if estimate is None else (estimate["value"], estimate["low"], estimate["high"]),
            tuple(Alert.from_json(row) for row in table["alerts"]),
            tuple(Shape.from_json(row) for row in table["shapes"]),
            tuple(table["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} must be the JSON of a check, as 'triptych monitor check --json' prints it. {error!r}"
        ) from error


def write_whole(path: str | Path, content: bytes) -> None:
    """A file whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, place)
    except OSError as error:
        raise UsageError(f"{place} must be a file that can be written. {error.strerror}") from error


def _judged(found: Check, rules: Rules, window: Profile, identity: str) -> Check:
    return replace(found, alerts=rules.judge(found, window, identity=identity))


def _facts(profile: Profile) -> dict[str, Any]:
    facts: dict[str, Any] = {"created": profile.created, "items": profile.n, "failed": profile.failed}
    facts |= {"rate": profile.rate}
    timed = {"first": profile.first, "last": profile.last, "per_second": profile.per_second}
    return facts | {name: value for name, value in timed.items() if math.isfinite(value)}


def _same_columns(reference: Columns, window: Columns) -> tuple[Columns, Columns, tuple[str, ...]]:
    """Both with the columns that both have values of; what is left out, in a sentence."""
    numbers = [
        name
        for name, values in reference.numbers.items()
        if name in window.numbers and np.isfinite(values).any() and np.isfinite(window.numbers[name]).any()
    ]
    categories = [name for name, counts in reference.categories.items() if counts and window.categories.get(name)]
    vectors = [reference.embeddings, window.embeddings]
    alike = all(one is not None for one in vectors) and vectors[0].shape[1] == vectors[1].shape[1]  # type: ignore[union-attr]
    left = sorted({*reference.names, *window.names} - {*numbers, *categories})
    notes = (f"not compared, as one side has no values: {', '.join(left)}",) if left else ()
    if not alike and any(one is not None for one in vectors):
        notes = (*notes, "embeddings are not compared: they are of different models, or one side has none")

    def kept(one: Columns) -> Columns:
        return Columns(
            one.n,
            {name: one.numbers[name] for name in numbers},
            {name: one.categories[name] for name in categories},
            one.embeddings if alike else None,
        )

    return kept(reference), kept(window), notes


def _estimate(profile: Profile, window: Profile) -> Estimate | None:
    sure, right = profile.truth
    confidence = window.confidence
    if not len(confidence) or (not profile.calibration and len(sure) < FEWEST):
        return None
    taught = profile.calibration
    known = Calibration.of_arrays(taught) if taught else calibration(sure, right.astype(bool))
    columns = {name: window.columns.numbers.get(name, np.zeros(0)) for name in known.names.tolist()}
    return estimated_accuracy(known, confidence, labels=window.columns.categories.get(LABEL), numbers=columns)
