"""Tables of a plan: where the data are, how a challenger meets traffic, and when a run starts by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.errors import UsageError
from shared.lazy import require
from shared.lifecycle.canary import CanaryRules
from shared.weights.words import masked

_EVERY = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXTRA = "lifecycle"


@dataclass(frozen=True)
class DataPlan:
    """Where the data are.

    Attributes:
        source: a file or folder, as the plan has it.
        format: one of :data:`shared.lifecycle.rows.FORMATS`; found by the name when empty.
    """

    source: str
    format: str = ""


@dataclass(frozen=True)
class CanaryPlan:
    """How a challenger meets traffic.

    Attributes:
        rules: how it is judged.
        traffic: labelled data that are replayed; empty where there is a log.
        exposures: folder of the log of a server's split.
        outcomes: table of what came of its units.
        unit: the outcomes' column of units.
        time: their column of times.
        server: address of that server, which is told when an alias has moved; empty where somebody else tells it.
        server_key: file with an admin key of it.
    """

    rules: CanaryRules
    traffic: str = ""
    exposures: str = ""
    outcomes: str = ""
    unit: str = "unit"
    time: str = "time"
    server: str = ""
    server_key: str = ""

    def __post_init__(self) -> None:
        if bool(self.traffic) == bool(self.exposures and self.outcomes):
            raise UsageError("[canary] must have traffic to replay, or exposures and outcomes of a server's split")
        if self.server and (self.traffic or not self.server.startswith(("http://", "https://"))):
            raise UsageError(
                "server of [canary] must be the http(s):// address of the server that logs the exposures. "
                f"Got {masked(self.server)!r}{' beside traffic that is replayed' if self.traffic else ''}"
            )


@dataclass(frozen=True)
class Trigger:
    """When a run starts by itself.

    Attributes:
        every: time between the starts of two runs, such as ``"6h"``; units are s, m, h, d, w.
        cron: five fields, in UTC.
        drift: file of a check; a new content whose ``"alarm"`` is true starts a run.
        log: in the place of a file the folder of a prediction log, which ``watch`` then checks window by window.
        window: length of a window of the log.
        rate: chance that a window alarms where nothing has changed.
        profile: the reference; that of the latest run that was promoted when empty.
        poll: how often ``watch`` looks.
    """

    every: str = ""
    cron: str = ""
    drift: str = ""
    log: str = ""
    window: str = "1d"
    rate: float = 0.01
    profile: str = ""
    poll: str = "30s"

    def __post_init__(self) -> None:
        if self.every and self.cron:
            raise UsageError("[trigger] must have every or cron, not both")
        if self.drift and self.log:
            raise UsageError("[trigger] must have drift, the file of a check, or the log of predictions, not both")
        for text in filter(None, (self.every, self.poll, self.window)):
            seconds_of(text)
        if self.cron:
            library = require("cronsim", extra=EXTRA)
            try:
                library.CronSim(self.cron, _EPOCH)
            except library.CronSimError as error:
                raise UsageError(f"[trigger]: cron must be five fields, such as '0 3 * * *'. {error}") from error


def seconds_of(text: str) -> float:
    """Seconds of a length of time.

    Raises:
        UsageError: it is none, or none at all.

    Example:
        >>> seconds_of("1.5h")
        5400.0
    """
    found = _EVERY.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"a length of time must be like 30s, 15m, 6h, 1d or 2w. Got {text!r} instead")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]]).total_seconds()
