"""What the last check of each model says, as gauges for Prometheus: in a server's own metrics, or in a file.

==========================================  =========================================================================
``triptych_monitoring_alarm``               1 where the last window alarmed, else 0
``triptych_monitoring_items``               items of that window
``triptych_monitoring_failed``              of them, those that failed
``triptych_monitoring_checked_timestamp``   when it was checked, in seconds since 1970
``triptych_monitoring_effect``              by ``column`` and ``test``: how far the column lies from the reference
``triptych_monitoring_p_value``             by ``column`` and ``test``, corrected
``triptych_monitoring_drifted``             by ``column``: 1 where it drifted
``triptych_monitoring_beyond``              by ``column`` and ``check``: share of items that quality counts
``triptych_monitoring_accuracy``            by ``end`` (``value``, ``low``, ``high``): estimated without labels
``triptych_monitoring_rule``                by ``rule`` and ``severity``: 1 where it fires
==========================================  =========================================================================

All have the labels ``task`` and ``version``. A column that a later check no longer has disappears.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.lazy import require
from shared.monitoring.checking import Check, write_whole

_NAME = "triptych_monitoring_"
_HELP: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "alarm": ("1 where the last window alarmed", ()),
    "items": ("answered items of the last window", ()),
    "failed": ("failed items of the last window", ()),
    "checked_timestamp": ("when the last window was checked, in seconds since 1970", ()),
    "effect": ("how far a column lies from the reference", ("column", "test")),
    "p_value": ("corrected p-value of a column's test", ("column", "test")),
    "drifted": ("1 where a column drifted", ("column",)),
    "beyond": ("share of items beyond a bound of quality", ("column", "check")),
    "accuracy": ("accuracy estimated without labels", ("end",)),
    "rule": ("1 where a rule fires", ("rule", "severity")),
}


class Gauges:
    """The last check of each model, as a collector of ``prometheus_client``.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._checks: dict[tuple[str, str], tuple[float, Check]] = {}

    def put(self, check: Check, *, version: str = "") -> None:
        """Take the place of the last check of that model."""
        self._checks[check.task, version] = (self._clock(), check)

    def collect(self) -> Iterator[Any]:
        """The metric families; see this module."""
        core = require("prometheus_client.core", extra="monitoring")
        families = {
            name: core.GaugeMetricFamily(_NAME + name, said, labels=("task", "version", *labels))
            for name, (said, labels) in _HELP.items()
        }
        for (task, version), (at, check) in sorted(self._checks.items()):
            for name, labels, value in _rows(check, at):
                families[name].add_metric((task, version, *labels), value)
        yield from (family for family in families.values() if family.samples)


def write_gauges(check: Check, path: str | Path, *, version: str = "") -> None:
    """The gauges of a check in a file, whole or not at all: what node_exporter's textfile collector reads (``*.prom``).

    Raises:
        UsageError: it cannot be written.
        MissingDependencyError: prometheus_client is not installed.
    """
    library = require("prometheus_client", extra="monitoring")
    registry, gauges = library.CollectorRegistry(), Gauges()
    gauges.put(check, version=version)
    registry.register(gauges)
    write_whole(path, library.generate_latest(registry))


def _rows(check: Check, at: float) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "alarm", (), float(check.alarm)
    yield "items", (), float(check.window["items"])
    yield "failed", (), float(check.window["failed"])
    yield "checked_timestamp", (), at
    drifted = set(check.drifted)
    tests = check.drift.to_json()["columns"]
    for row in tests:
        labels = (str(row["name"]), str(row["test"]))
        yield "effect", labels, float(row["effect"])
        yield "p_value", labels, float(row["adjusted"])
    for name in dict.fromkeys(str(row["name"]) for row in tests):
        yield "drifted", (name,), float(name in drifted)
    for one in check.quality:
        yield "beyond", (one.column, one.check), one.window
    if check.estimate is not None:
        yield from (("accuracy", (end,), value) for end, value in zip(("value", "low", "high"), check.estimate))
    for alert in check.alerts:
        yield "rule", (alert.rule, alert.severity), float(alert.firing)
