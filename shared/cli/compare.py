"""``triptych compare TASK DATASET --models A B``: what differs, by how much, how surely, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from shared.cli.evaluate import parameters as evaluate_parameters
from shared.cli.evaluate import report_option
from shared.cli.options import TaskCommand, TaskGroup
from shared.cli.tracking import figures, log_json, logged
from shared.errors import UsageError
from shared.evaluation.report import Evaluation
from shared.evaluation.writing import check_report, write_report
from shared.tasks import Task, check_dataset

HELP = """Evaluate two models on the same items of a labelled DATASET, one after the other, and compare them.

Each difference is the second model's figure less the first's, with a paired 95 % bootstrap interval, a p-value, the
p-value corrected over the figures, and the least difference that so many items would have shown. Slices of the items
that changed are named. An item that fails counts as wrong there; ends with 1 when items failed. The options are those
of evaluate and go to both models."""
_OF_EVALUATE_ALONE = ("model", "against", "per_user", "as_json", "by_class", "slices", "noise", "report", "worst")


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task: that of evaluate with two models in the place of one."""
    kept = [parameter for parameter in evaluate_parameters(task) if parameter.name not in _OF_EVALUATE_ALONE]
    said = "catalogue names, algorithms or model folders: the one that is there, and the one that is to take its place"
    return [
        *kept,
        click.Option(["--models"], nargs=2, required=True, metavar="A B", help=said),
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object"),
        report_option(),
    ]


def run(
    task: Task,
    *,
    dataset: Path,
    models: tuple[str, str],
    as_json: bool,
    report: Path | None,
    seed: int,
    track: bool,
    run_name: str | None,
    **options: Any,
) -> int:
    """Evaluate both, compare, print and write the report; returns the exit code."""
    import numpy as np  # noqa: PLC0415 - the command line is made without it

    from shared.evaluation.compared_words import compared_json, compared_page, compared_text  # noqa: PLC0415
    from shared.evaluation.comparing import compare_evaluations  # noqa: PLC0415

    if report is not None:
        check_report(report)
    check_dataset(dataset)
    told = options | {"seed": seed, "models": " ".join(models)}
    with logged(
        "compare", task, track=track, run_name=run_name, dataset=dataset, params=told, model=models[1]
    ) as logging:
        evaluate = cast("Callable[..., Evaluation]", task.evaluate)
        found = []
        for number, name in enumerate(models, 1):
            click.echo(f"triptych: evaluating {name}, {number} of 2", err=True)
            result = evaluate(dataset, model=name, seed=seed, **options)
            if result.items is None:
                raise UsageError(
                    f"{task.name} must tell what each item says of its figures. With these options it does not: "
                    "two models of it are compared by evaluating both, or by another metric"
                )
            found.append(result)
        compared = compare_evaluations(found[0], found[1], rng=np.random.default_rng(seed))
        if as_json:
            click.echo(json.dumps(compared_json(compared), ensure_ascii=False))
        else:
            click.echo(compared_text(compared))
        if report is not None:
            write_report(report, page=lambda: compared_page(compared), content=lambda: compared_json(compared))
            click.echo(f"triptych: wrote {report}", err=True)
        content = compared_json(compared)
        changes = {f"{figure.name} difference": vars(figure.difference) for figure in compared.figures}
        logging.metrics(figures(changes | {f"{figure.name} p": figure.p_value for figure in compared.figures}))
        log_json(logging, "comparison.json", content)
        if report is not None:
            logging.artefact(report)
    return 1 if any(compared.failed) else 0


command = TaskGroup("compare", TaskCommand(HELP, parameters, run, lambda task: task.evaluate is not None))
