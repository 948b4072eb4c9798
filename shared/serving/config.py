"""What is served, to whom and within which bounds: frozen data. :mod:`~shared.serving.config_file` reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import UnknownNameError, UsageError
from shared.monitoring.settings import Monitoring


@dataclass(frozen=True)
class Limits:
    """Bounds that hold for every request.

    Attributes:
        max_batch: items that run together, at least 1.
        max_wait_ms: longest that an item waits for company when others are likely to come, in milliseconds; 0 never.
        queue: items that wait for a model at most, at least 1; more are refused with 429.
        max_queue_ms: estimated milliseconds until an answer beyond which an item is refused with 429, whatever the
            queue's length.
        timeout: seconds after which a request ends with 504.
        body_seconds: seconds within which a request's body must have come, else 408.
        max_body_mb: megabytes (2^20 bytes) of a request's body at most.
        max_held_mb: megabytes of the bodies of all requests that have no answer yet; a large one beyond them is refused
            with 429, one of up to 32 KiB never.
        max_items: items of one batch request.
        max_pixels: width times height of a picture; seen in its header, before pixels are decoded.
        max_text: characters of all texts of one item together.
        long_text: characters of an item from which on it runs beside the others, one such item at a time, so that
            they do not wait for it; where the model can be called in several threads.
        max_history: interactions of one history.
        variants: sets of request options of a model that are held open at once.
    """

    max_batch: int = 32
    max_wait_ms: float = 2.0
    queue: int = 64
    max_queue_ms: float = 5000.0
    timeout: float = 30.0
    body_seconds: float = 10.0
    max_body_mb: float = 20.0
    max_held_mb: float = 256.0
    max_items: int = 256
    max_pixels: int = 89_478_485
    max_text: int = 100_000
    long_text: int = 4_000
    max_history: int = 10_000
    variants: int = 4

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, least = getattr(self, one.name), 0 if one.name == "max_wait_ms" else None
            if value < 0 or (value == 0 and least is None):
                raise UsageError(f"{one.name} must be above 0. Got {value} instead")

    @property
    def max_body(self) -> int:
        """Bytes of a request's body at most."""
        return int(self.max_body_mb * 2**20)

    @property
    def max_held(self) -> int:
        """Bytes of all bodies at most, and at least one body."""
        return max(int(self.max_held_mb * 2**20), self.max_body)


@dataclass(frozen=True)
class ServedModel:
    """A model that is loaded at the start.

    Attributes:
        task: for example ``"vision.detection"``.
        model: a catalogue name, a model folder, ``registry:NAME@ALIAS`` or whatever else the task opens; its default
            when not given.
        version: by which it is known among the models of its task.
        aliases: further names, such as ``"default"``, which is what a request gets that names no model. The first
            model of a task is the default where none says so.
        options: keywords of the task's opener.
        request_options: which of the task's options a request may set itself.
    """

    task: str
    model: str | None = None
    version: str = "1"
    aliases: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    request_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitArm:
    """One arm of a split: which model its units get (a version or an alias), and its share of them in [0, 1]."""

    model: str
    weight: float


@dataclass(frozen=True)
class Split:
    """Requests of a task that name no model, divided among models by their ``X-Unit-Id``.

    Attributes:
        experiment: its name, written into the exposure log.
        arms: at least two by name, with weights that sum to 1.
        salt: what units are hashed with; the experiment's name when empty.
        log: folder of an exposure log; exposures are only counted when not given.
    """

    experiment: str
    arms: Mapping[str, SplitArm]
    salt: str = ""
    log: str | None = None


@dataclass(frozen=True)
class Shadow:
    """A second model that answers a task's requests too, behind the answer and for nobody.

    Attributes:
        model: its version or alias.
        share: of the requests, in (0, 1].
        backlog: items that wait for it at most; further ones are left out and counted.
    """

    model: str
    share: float = 1.0
    backlog: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.backlog < 1:
            raise UsageError(
                f"a shadow must have a share in (0, 1] and a backlog of at least 1. Got {self.share} and {self.backlog}"
            )


@dataclass(frozen=True)
class Config:
    """Everything that an application is built from.

    Attributes:
        models: loaded at the start, in this order.
        limits: bounds of every request.
        splits: experiments by task.
        shadows: shadow models by task.
        monitoring: what is logged and checked, by task.
        host: address to listen on.
        port: 0 takes any free one.
        threads: processor threads of each model; ``None`` uses every processor.
        workers: processes that serve, each with models, queues, rates and metrics of its own.
        api_key_file: who may come in; everybody when not given. See :mod:`shared.serving.keys`.
        rate: requests a second of each key, or of each address where there are no keys; unbounded when not given.
        drain_seconds: how long a stopping server goes on accepting while it says that it is not ready.
        tracing: whether spans are made; needs the extra ``tracing``.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        root_path: where a proxy in front serves this application.
        ui: path under which the demo pages stand, for example ``"/ui"``; nowhere when empty.
    """

    models: tuple[ServedModel, ...] = ()
    limits: Limits = field(default_factory=Limits)
    splits: Mapping[str, Split] = field(default_factory=dict)
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    monitoring: Mapping[str, Monitoring] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    threads: int | None = None
    workers: int = 1
    api_key_file: str | None = None
    rate: float | None = None
    drain_seconds: float = 0.0
    tracing: bool = False
    device: str = "auto"
    root_path: str = ""
    ui: str = ""

    def __post_init__(self) -> None:
        if self.ui and (not self.ui.startswith("/") or self.ui.endswith("/") or self.ui.startswith("/v1")):
            raise UsageError(
                'ui must begin with a slash, not end with one and lie outside /v1, as "/ui" does. '
                f"Got {self.ui!r} instead"
            )
        if self.ui and self.workers > 1:
            raise UsageError("the pages keep what a visitor does in one process. Serve them with 1 worker, without Ray")
        if self.workers < 1 or (self.rate is not None and self.rate <= 0) or self.drain_seconds < 0:
            raise UsageError(
                "a server needs at least 1 worker, a rate above 0 and drain_seconds of at least 0. "
                f"Got workers={self.workers}, rate={self.rate}, drain_seconds={self.drain_seconds}"
            )
        served = {one.task for one in self.models}
        for task in (*self.splits, *self.shadows, *self.monitoring):
            if task not in served:
                more = ". A split, a shadow or monitoring needs models of its task"
                raise UnknownNameError("served task", task, served, more)
