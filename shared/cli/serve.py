"""``triptych serve``: tasks over HTTP."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from shared.errors import UsageError
from shared.lazy import require
from shared.tasks import task_names

HELP = """Serve tasks over HTTP until SIGTERM or Ctrl+C.

Each TASK or TASK=MODEL is loaded and warmed; several models of one task are its versions 1, 2 and so on, the first the
default. --config names a TOML file that says more: versions, aliases, splits, shadows, limits; options of the command
win over it. docs/serving.md shows requests.

\b
  triptych serve nlp.classification vision.detection --port 8000
  triptych serve nlp.classification=minilm-sst2 --api-key-file keys.txt --rate 50
  triptych serve nlp.classification=registry:sentiment@champion
  triptych serve vision.detection --ui
  triptych serve --config serve.toml"""

LIMITS = ("max_batch", "max_wait_ms", "queue", "timeout", "max_body_mb")


@click.command("serve", help=HELP)
@click.argument("tasks", nargs=-1, metavar="[TASK[=MODEL]]...")
@click.option("--host", default=None, help="address to listen on; 0.0.0.0 for every network  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="0 takes any free one  [default: 8000]")
@click.option("--workers", type=click.IntRange(1), default=None, help="processes, each with models of its own")
@click.option(
    "--threads", type=click.IntRange(1), default=None, help="processor threads of each model; all when not given"
)
@click.option("--max-batch", type=click.IntRange(1), default=None, help="items that run together at most")
@click.option("--max-wait-ms", type=click.FloatRange(0), default=None, help="longest that an item waits for company")
@click.option("--queue", type=click.IntRange(1), default=None, help="items that wait for a model; more get 429")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=None, help="seconds, after which 504")
@click.option("--max-body-mb", type=click.FloatRange(0, min_open=True), default=None, help="MiB of a request's body")
@click.option("--api-key-file", default=None, help="a file of keys, NAME KEY [admin] a line; everybody without")
@click.option("--rate", default=None, metavar="N/s", help="requests a second of each key, or address")
@click.option("--ui", is_flag=True, default=None, help="the demo pages too, under /ui; needs the extra demos")
@click.option("--config", "config_file", type=click.Path(path_type=Path), default=None, help="a TOML file")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="what answers")
def command(tasks: tuple[str, ...], *, rate: str | None, config_file: Path | None, engine: str, **given: Any) -> int:
    """See :data:`HELP`."""
    require("fastapi", extra="serve")
    serving = require("shared.serving", extra="serve")
    config = serving.Config() if config_file is None else serving.read_config(config_file)
    named = {name: value for name, value in given.items() if value is not None}
    limits = dataclasses.replace(config.limits, **{name: named.pop(name) for name in LIMITS if name in named})
    if named.pop("ui", False):
        named["ui"] = config.ui or "/ui"
    if rate is not None:
        named["rate"] = _rate(rate)
    models = (*config.models, *_models(tasks, config.models, serving.ServedModel))
    if not models:
        raise UsageError(f"say what to serve: a TASK, TASK=MODEL, or --config. Tasks: {', '.join(task_names())}")
    config = dataclasses.replace(config, models=models, limits=limits, **named)
    if engine == "ray":
        code: int = require("shared.serving.ray_app", extra="cluster").serve(config, say=_say)
        return code
    code = serving.serve(config, say=_say)
    return code


def _say(text: str) -> None:
    click.echo(text, err=True)


def _models(tasks: tuple[str, ...], before: tuple[Any, ...], kind: Any) -> list[Any]:
    """The models of ``TASK[=MODEL]`` words, numbered among those of their task."""
    found: list[Any] = []
    for word in tasks:
        task, equals, model = word.partition("=")
        if equals and not model:
            raise UsageError(f"a word must be TASK or TASK=MODEL. Got {word!r} instead")
        taken = {one.version for one in (*before, *found) if one.task == task}
        version = next(str(n) for n in range(1, len(taken) + 2) if str(n) not in taken)
        found.append(kind(task, model or None, version))
    return found


def _rate(text: str) -> float:
    """Requests a second from ``50``, ``50/s`` or ``600/m``."""
    number, _, unit = text.partition("/")
    try:
        return float(number) / {"": 1, "s": 1, "m": 60, "h": 3600}[unit.strip()]
    except (ValueError, KeyError):
        raise UsageError(f"--rate must be like 50/s or 600/m. Got {text!r} instead") from None
