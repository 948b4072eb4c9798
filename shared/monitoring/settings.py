"""How a live model is watched, as a server's configuration says it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import UsageError


@dataclass(frozen=True)
class Monitoring:
    """What of a task's live predictions is logged and checked; see :mod:`shared.monitoring`.

    Attributes:
        log: folder of a prediction log; none is kept when not given.
        rate: share of the requests that is watched, in (0, 1].
        inputs: whether texts are logged too, redacted; else what is observed of them alone.
        days: that parts of the log are kept.
        megabytes: of the log that are kept.
        profile: folder of the reference profile; no window is checked when not given.
        window: watched answers that are held against it together, at least 50.
        alarm_rate: chance of a false alarm of each window, in (0, 1).
        rules: a TOML file of alert rules.
    """

    log: str | None = None
    rate: float = 0.1
    inputs: bool = False
    days: float = 30.0
    megabytes: float = 1024.0
    profile: str | None = None
    window: int = 1000
    alarm_rate: float = 0.01
    rules: str | None = None

    def __post_init__(self) -> None:
        if self.log is None and self.profile is None:
            raise UsageError("monitoring must have a log, a profile, or both. Got neither")
        if not 0 < self.rate <= 1 or not 0 < self.alarm_rate < 1 or self.window < 50:
            raise UsageError(
                "monitoring must have a rate in (0, 1], an alarm_rate in (0, 1) and a window of at least 50. "
                f"Got {self.rate}, {self.alarm_rate} and {self.window}"
            )
        if not self.days > 0 or not self.megabytes > 0:
            raise UsageError(f"days and megabytes must be above 0. Got {self.days} and {self.megabytes}")
        if self.profile is None and self.rules is not None:
            raise UsageError("rules are for windows that are checked, which need a profile. Got rules without one")
        if self.log is None and self.inputs:
            raise UsageError("inputs are kept in a log. Got inputs = true without one")
