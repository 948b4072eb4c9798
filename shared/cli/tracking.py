"""How commands log what they do: ``--track/--no-track``, ``--run-name``, and one block around the work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared import catalogue
from shared.errors import TriptychError
from shared.tasks import Task
from shared.weights import read_model_folder
from shared.weights.cache import CARD_NAME
from shared.weights.folder import is_model_folder, to_toml
from shared.weights.named import named

if TYPE_CHECKING:
    from shared.catalogue import ModelCard
    from shared.lifecycle.runs import Run, Value

OPTIONS = ("track", "run_name")


def tracking_options() -> list[click.Parameter]:
    """``--track/--no-track`` and ``--run-name``."""
    said = "log a run where TRIPTYCH_TRACKING says; see triptych runs"
    return [
        click.Option(["--track/--no-track"], default=True, help=said),
        click.Option(
            ["--run-name"], default=None, help="what the run is called; the task and the command if not given"
        ),
    ]


@contextmanager
def logged(
    kind: str,
    task: Task,
    *,
    track: bool,
    run_name: str | None,
    dataset: Path,
    params: Mapping[str, Any],
    model: str | None,
    card: ModelCard | None = None,
) -> Iterator[Run]:
    """The run that a command's work is logged in; ``card`` is the model's, where that is known before."""
    from shared.lifecycle.tracking import tracked  # noqa: PLC0415 - not part of the command line

    told = {key: value for key, value in params.items() if value not in (None, ())}
    facts = {"dataset": dataset.name, "model": model or (card.name if card else "")}
    if card is not None:
        facts["model.sha256"] = hashlib.sha256(card.fingerprint.encode()).hexdigest()
    url = None if track else "off"
    with tracked(kind, run_name, task=task.name, params=told, dataset=dataset, tags=facts, url=url) as run:
        yield run
    if run.id:
        click.echo(f"triptych: logged as run {run.id[:8]}; triptych runs show {run.id[:8]}", err=True)


def log_json(run: Run, name: str, content: Mapping[str, Any]) -> None:
    """Log an object as a file of that name."""
    run.text(name, json.dumps(content, ensure_ascii=False, indent=1, default=str))


def log_card(run: Run, card: ModelCard | None) -> None:
    """Log a model's card, and the page that stands beside it in its folder."""
    if card is not None and run.id:
        run.text(CARD_NAME, to_toml(card))
        if Path(card.origin).name == CARD_NAME:
            run.artefact(Path(card.origin).with_name("README.md"))


def card_of(model: str | Path | None, task: Task) -> ModelCard | None:
    """The card of a model by its name; ``None`` where the name is an algorithm's or another library's."""
    try:
        name = named(model)
        if name is None:
            return catalogue.default(task.name)
        if is_model_folder(Path(name)):
            return read_model_folder(Path(name))
        return catalogue.find(str(name), task=task.name)
    except TriptychError:
        return None


def log_report(run: Run, report: Mapping[str, Any], *, given: Mapping[str, Any], options: Iterable[str]) -> None:
    """Log a training's report: figures as figures, what it settled as parameters, its time and its counts as facts.

    Args:
        run: to log in.
        report: as :attr:`shared.tasks.Task.train` returns it.
        given: the options of the command: what was given stays as it was given.
        options: the names of all that the training has.
    """
    history = [row for row in report.get("history", ()) if "epoch" in row]
    for row in history:
        series = {name: value for name, value in row.items() if name != "epoch" and not _is_time(name)}
        run.metrics(figures(series), step=int(row["epoch"]))
    # behind the last epoch, whose score may have the same name and is not that of the model that was kept
    run.metrics(figures(report.get("figures", {})), step=1 + max((int(row["epoch"]) for row in history), default=-1))
    plain = {name: value for name, value in report.items() if isinstance(value, int | float | str)}
    own = {name: value for name, value in plain.items() if name in set(options)}
    settled = {**report.get("options", {}), **report.get("recipe", {}), **own}
    known = {name for name, value in given.items() if value not in (None, ())}
    run.params({name: value for name, value in settled.items() if name not in known and value is not None})
    facts = {name: value for name, value in plain.items() if name not in settled and not isinstance(value, str)}
    run.tags({f"training.{name}": value for name, value in facts.items()})
    log_json(run, "training.json", report)


def _is_time(name: str) -> bool:
    return name == "seconds" or name.endswith("_seconds")


def figures(metrics: Mapping[str, Any]) -> dict[str, Value]:
    """Figures as JSON has them, for a run: ``{"value", "low", "high"}`` by name, or numbers."""
    found: dict[str, Value] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
            found[name] = (value["value"], value["low"], value["high"])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found
