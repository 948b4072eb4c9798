"""``triptych monitor profile TASK SOURCE --out PROFILE``: what a model saw and said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.errors import InputError, UsageError
from shared.tasks import Option, Task
from shared.types import Failure

HELP = """Profile SOURCE into the folder PROFILE, whatever its length in a size that stays the same.

SOURCE is inputs, as 'triptych batch' takes them, which the model then answers; the folder of a finished batch job; or a
prediction log that 'triptych serve' writes. The first is how a reference is made: with --truth how sure the model was
and whether it was right is kept, from which accuracy is estimated later without labels; with --spoilt also of items
that are spoilt on purpose, without which such an estimate holds only while nothing shifts.

\b
Examples:
  triptych monitor profile nlp.classification reviews.csv --truth label --spoilt --out reference
  triptych monitor profile vision.classification photos/ --truth folder --out reference
  triptych monitor profile nlp.classification log/ --since 2026-03-02 --until 2026-03-03 --out monday"""

_OWN = (
    Option("truth", str, None, "the table's column of true labels, or folder: the name of a picture's folder"),
    Option("spoilt", bool, False, "with --truth: learn how accuracy falls when items are spoilt; costs 14 to 25 runs"),
    Option("column", str, None, "the table's column of items; path, image or file, text, user or id when not given"),
    Option("limit", int, None, "profile the first N items only"),
    Option("batch_size", int, None, "items that run together; the model's own when not given"),
    Option("embedder", str, None, "a model whose vectors are watched in the place of the small ones"),
    Option("version", str, None, "of a log: only the model that was served under it"),
    Option("since", str, None, "of a log: only from then on, ISO 8601, UTC without a zone"),
    Option("until", str, None, "of a log: only before then"),
    Option("seed", int, 0, "of samples; parts that will be merged need seeds of their own"),
)


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    out = click.Option(["--out"], type=click.Path(path_type=Path), required=True, help="the folder of the profile")
    return [click.Argument(["source"], metavar="SOURCE"), out, *model_options(task), *map(click_option, _OWN)]


def run(task: Task, *, source: str, out: Path, **options: Any) -> int:
    """Profile and save; returns the exit code."""
    import numpy as np  # noqa: PLC0415 - NumPy is loaded only where it is used

    from shared.monitoring.log_reading import is_log, profile_log  # noqa: PLC0415
    from shared.monitoring.profile_files import save_profile  # noqa: PLC0415
    from shared.monitoring.profiling import Truth, is_job, profile_job, profile_source  # noqa: PLC0415
    from shared.monitoring.teaching import taught_source  # noqa: PLC0415

    own = {option.name: options.pop(option.name) for option in _OWN}
    rng, model = np.random.default_rng(own["seed"]), options.pop("model")
    asked = not is_log(source) and not is_job(source)
    if is_log(source):
        _refuse("a prediction log", own, "truth", "spoilt", "column", "limit", "batch_size", "embedder")
        window = {name: _moment(name, own[name]) for name in ("since", "until")}
        profile = profile_log(source, rng=rng, version=own["version"], **window)
        if profile.task != task.name:
            raise UsageError(f"{source} must be a log of {task.name}. It is of {profile.task}")
    elif own["spoilt"] and (own["truth"] is None or "spoilt" not in task.tools):
        raise UsageError("--spoilt needs --truth, and a task whose items can be spoilt, such as nlp.classification")
    else:
        _refuse("inputs and batch jobs", own, "version", "since", "until")
        if is_job(source):
            _refuse("a batch job", own, "truth", "spoilt", "column", "limit", "batch_size", "embedder")
            profile = profile_job(task, None if model is None else task.open(model, **options), source, rng=rng)
        else:
            predictor, truth = task.open(model, **options), None if own["truth"] is None else Truth(own["truth"])
            how: dict[str, Any] = {name: own[name] for name in ("column", "limit", "batch_size")}
            embed = _embedding(task, own["embedder"])
            profile = profile_source(task, predictor, source, rng=rng, truth=truth, embed=embed, **how)
            if own["spoilt"] and truth is not None:
                taught = taught_source(task, predictor, source, truth=truth, rng=rng, **how)
                profile = replace(profile, calibration=taught.arrays())
    save_profile(profile, out)
    columns = len(profile.numbers) + len(profile.categories)
    _, correct = profile.truth
    known = f"; of {len(correct):,} answers of known truth {correct.mean():.1%} are right" if len(correct) else ""
    click.echo(f"{out}: {profile.n:,} items, {profile.failed:,} failed, {columns} columns{known}")
    if asked and profile.failed:
        click.echo(f"triptych: {profile.failed} of {profile.n + profile.failed} items failed", err=True)
    return 1 if asked and profile.failed else 0


def _embedding(task: Task, name: str | None) -> Any:
    if name is None:
        return None
    if "embedder" not in task.tools:
        raise UsageError(f"--embedder is for tasks that have embedders. Got {task.name}, which has none")
    opened = task.tools["embedder"](name)

    def embed(item: Any) -> Any:
        found = opened.predict([item], on_error="keep")[0]
        if isinstance(found, Failure):
            raise InputError(found.kind, found.message)
        return found

    return embed


def _refuse(what: str, given: dict[str, Any], *names: str) -> None:
    for name in names:
        if given[name] is not None and given[name] is not False:
            raise UsageError(f"--{name.replace('_', '-')} must be left out for {what}. Got {given[name]!r}")


def _moment(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{name} must be a time such as 2026-03-09 or 2026-03-09T12:00:00Z. Got {text!r}") from None


command = TaskGroup("profile", TaskCommand(HELP, parameters, run, lambda task: task.observe is not None))
