"""The same application under Ray Serve: replicas that are added and taken away with the load.

Each replica is a process with the whole application, its models, queues and batches. Ray's proxy hands a request to
the replica that has least to do, starts replicas while those that run have more than ``max_batch`` requests each, and
takes them away when they are idle. Rates and metrics are each replica's own, and models are those of the configuration.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.errors import BackendError, UsageError
from shared.lazy import require
from shared.serving.app import build_app
from shared.serving.config import Config
from shared.serving.server import config_from_json, config_to_json
from shared.settings import cpu_count
from shared.tasks import find_task

NAME = "triptych"
SETTINGS = {
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    "RAY_worker_niceness": "0",
}
"""What Ray is told unless the environment says otherwise. Its own patience with the proxy, 5 and 10 seconds, ends a
start on a busy machine, where its own niceness of 15 lets whatever else runs go before those who wait for answers."""


def build_deployment(config: Config, *, most: int | None = None, find: str | None = None) -> Any:
    """The application as a deployment of Ray Serve, not yet run: hand it to ``serve.run``.

    Args:
        config: what each replica serves; ``threads`` are each replica's.
        most: replicas at most; the configuration's ``workers``, or as many as there are processors, when not given.
        find: ``"module:function"`` from a task's name to the task, for tasks that are not installed.

    Raises:
        UsageError: a split writes an exposure log, which one process alone may.
        MissingDependencyError: the extra ``cluster`` is not installed.
    """
    serve = require("ray.serve", extra="cluster")
    logged = [task for task, split in config.splits.items() if split.log]
    if logged:
        raise UsageError(f"one process writes an exposure log. With --engine local the split of {logged[0]} can log")
    highest = most or (config.workers if config.workers > 1 else cpu_count())
    text = config_to_json(replace(config, workers=max(2, highest)))

    def build() -> Any:
        return build_replica(text, find)

    class Replica:
        """One process with the application."""

    Replica.__name__ = Replica.__qualname__ = NAME
    deployment = serve.deployment(
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": highest,
            "target_ongoing_requests": config.limits.max_batch,
        },
        max_ongoing_requests=config.limits.queue + config.limits.max_batch,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=config.limits.timeout + 5,
    )
    return deployment(serve.ingress(build)(Replica)).bind()


def build_replica(text: str, find: str | None) -> Any:
    """The application of one replica, which counts as started when its models are warm."""
    config, lookup = config_from_json(text), find_task
    if find is not None:
        module, _, name = find.partition(":")
        lookup = getattr(require(module, extra="dev"), name)
    app = build_app(config, find=lookup, warm_first=True)
    app.state.service.says_id = False
    return app


def serve(config: Config, *, say: Callable[[str], object] = print) -> int:
    """Serve under Ray until SIGINT or SIGTERM; returns the exit code.

    It joins the cluster of ``RAY_ADDRESS``, or starts one of its own.

    Raises:
        UsageError: as :func:`build_deployment`.
        BackendError: Ray did not start, or no replica did.
        MissingDependencyError: the extra ``cluster`` is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    ray, engine = require("ray", extra="cluster"), require("ray.serve", extra="cluster")
    stop = threading.Event()
    deployment = build_deployment(config)
    ray.init(address=os.environ.get("RAY_ADDRESS", "local"))  # never a cluster that merely happens to run here
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        try:
            engine.start(http_options={"host": config.host, "port": config.port})
            engine.run(deployment, name=NAME, route_prefix=config.root_path or "/")
        except (ray.exceptions.RayError, RuntimeError, TimeoutError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise BackendError(f"Ray Serve must start and load the models. {reason}") from error
        say(f"Triptych answers at http://{config.host}:{config.port} through Ray Serve")
        stop.wait()
    finally:
        engine.shutdown()
        ray.shutdown()
    return 0
