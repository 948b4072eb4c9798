"""What the server says of itself: metrics for Prometheus, one JSON line a request, and spans where they are wanted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.lazy import require
from shared.monitoring.gauges import Gauges

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one application; every label has few values: routes, tasks, versions and kinds that are known."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of: dict[str, Any] = {"namespace": "triptych", "registry": self.registry}
        self.requests = Counter("requests", "requests by route, task and status", ("route", "task", "status"), **of)
        self.seconds = Histogram(
            "request_seconds",
            "seconds from a request to the end of its answer",
            ("route", "task"),
            buckets=SECONDS,
            **of,
        )
        model = ("task", "version")
        self.items = Counter("items", "items answered", model, **of)
        self.failures = Counter("failures", "items and requests that failed, by kind", ("task", "kind"), **of)
        self.rejected = Counter("rejected", "requests that were refused, by kind", ("kind",), **of)
        self.depth = Gauge("queue_depth", "items that wait", model, **of)
        self.running = Gauge("running_items", "items that are being answered", model, **of)
        self.batches = Histogram("batch_size", "items of a batch", model, buckets=SIZES, **of)
        self.service = Histogram("batch_seconds", "seconds of a batch", model, buckets=SECONDS, **of)
        self.waited = Histogram("queue_seconds", "seconds that items waited", model, buckets=SECONDS, **of)
        self.dropped = Counter("dropped_items", "items that were dropped before they ran", model, **of)
        self.shadowed = Counter("shadow_items", "items for a shadow, by outcome", ("task", "outcome"), **of)
        self.exposed = Counter("exposures", "units that an experiment showed an arm", ("experiment", "arm"), **of)
        self.watched = Counter("monitored_items", "predictions for the log, by outcome", ("task", "outcome"), **of)
        self.gauges = Gauges()
        self.registry.register(self.gauges)
        self.in_flight = Gauge("requests_in_flight", "requests without an answer yet", **of)

    def text(self) -> bytes:
        """All of them in Prometheus' text form."""
        return generate_latest(self.registry)


class Log:
    """One JSON object a line on standard error."""

    def __init__(self, file: Any = None) -> None:
        self._file = file

    def line(self, event: str, **facts: Any) -> None:
        """Write one line; facts that are ``None`` are left out."""
        row = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        row |= {name: value for name, value in facts.items() if value is not None}
        (self._file or sys.stderr).write(orjson.dumps(row, default=str).decode() + "\n")


class Tracing:
    """Spans of OpenTelemetry; without ``on`` it does nothing, and the library need not be there.

    Raises:
        MissingDependencyError: it is on and the extra ``tracing`` is not installed.
    """

    def __init__(self, *, on: bool) -> None:
        self._tracer: Any = None
        if on:
            self._trace = require("opentelemetry.trace", extra="tracing")
            self._propagate = require("opentelemetry.propagate", extra="tracing")
            self._tracer = self._trace.get_tracer("triptych.serving")

    @contextlib.contextmanager
    def span(
        self, name: str, headers: Mapping[str, str] | None = None, attributes: Mapping[str, Any] | None = None
    ) -> Iterator[Any]:
        """A span around a block, a child of the one that the headers name (W3C ``traceparent``)."""
        if self._tracer is None:
            yield None
            return
        context = self._propagate.extract(dict(headers or {}))
        with self._tracer.start_as_current_span(name, context=context, attributes=dict(attributes or {})) as span:
            yield span
