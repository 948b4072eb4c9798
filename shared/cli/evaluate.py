"""``triptych evaluate TASK DATASET``: figures with confidence intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from shared.cli.options import TaskCommand, TaskGroup, click_option, model_options
from shared.cli.tracking import card_of, figures, log_card, log_json, logged, tracking_options
from shared.errors import UsageError
from shared.evaluation.pages import WORST, evaluation_page
from shared.evaluation.report import Evaluation
from shared.evaluation.writing import check_report, write_report
from shared.tasks import Option, Task, check_dataset

if TYPE_CHECKING:
    from shared.evaluation.findings import Finding

HELP = """Evaluate a model on a labelled DATASET and print each figure with its 95 % bootstrap interval.

Items that fail count as wrong. Ends with 1 when items failed. With --json one object is printed:
{"task", "model", "dataset", "n", "failed", "metrics": {NAME: {"value", "low", "high"}}, "notes"}, and with --by-class
"by_class": {CLASS: {NAME: {"value", "low", "high"}}} too. --slices looks for the items that the model is worst at,
--label-noise for labels that look wrong. --report writes a file by the ending of its name: an HTML page that needs
nothing but itself, Markdown, or JSON."""


def parameters(task: Task) -> list[click.Parameter]:
    """The command line of one task."""
    own = [
        Option("format", str, None, f"how DATASET is laid out: {', '.join(task.formats)}; detected when not given"),
        Option("limit", int, None, "evaluate the first N items only"),
        Option("seed", int, 0, "seed of the bootstrap and of random splits"),
        *task.evaluate_options,
    ]
    dataset = click.Argument(["dataset"], type=click.Path(path_type=Path), metavar="DATASET")
    printed = [
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object"),
        click.Option(["--by-class"], is_flag=True, help="the figures of each class too"),
        click.Option(["--slices"], is_flag=True, help="the slices of the items that the model is worst at"),
        click.Option(["--label-noise", "noise"], is_flag=True, help="the items whose labels look wrong to the model"),
        report_option(),
        click_option(Option("worst", int, WORST, "items that went wrong on that page, at least 0")),
    ]
    replaced = {option.name for option in own}
    opening = [option for option in model_options(task) if option.name not in replaced]
    return [dataset, *opening, *map(click_option, own), *printed, *tracking_options()]


def report_option() -> click.Option:
    """``--report``, of every command that can write one."""
    said = "write a report there: .html, .md or .json"
    return click.Option(["--report"], type=click.Path(path_type=Path), metavar="FILE", help=said)


def run(
    task: Task,
    *,
    dataset: Path,
    as_json: bool,
    by_class: bool,
    slices: bool,
    noise: bool,
    report: Path | None,
    worst: int,
    track: bool,
    run_name: str | None,
    **options: Any,
) -> int:
    """Evaluate, print and write the report; returns the exit code."""
    if worst < 0:
        raise UsageError(f"worst must be at least 0. Got {worst} instead")
    if report is not None:
        check_report(report)
    evaluate = cast("Callable[..., Evaluation]", task.evaluate)
    check_dataset(dataset)
    model = options.get("model")
    card = card_of(model, task) if track else None
    with logged(
        "evaluate", task, track=track, run_name=run_name, dataset=dataset, params=options, model=model, card=card
    ) as logging:
        result = evaluate(dataset, **options)
        findings: tuple[Finding, ...] = ()
        if slices or noise:
            from shared.evaluation.findings import findings_of  # noqa: PLC0415 - loaded only where they are asked for

            findings = findings_of(result, slices=slices, noise=noise)
        found = {finding.name: finding.json for finding in findings}
        if as_json:
            click.echo(json.dumps(result.to_json(by_class=by_class) | found, ensure_ascii=False))
        else:
            click.echo("\n".join([result.to_text(by_class=by_class), *(finding.to_text() for finding in findings)]))
        if report is not None:
            further = [finding.section for finding in findings]
            write_report(
                report,
                page=lambda: evaluation_page(result, worst=worst, further=further),
                content=lambda: result.to_json(by_class=True) | found,
            )
            click.echo(f"triptych: wrote {report}", err=True)
        content = result.to_json(by_class=True)
        logging.metrics(figures(content["metrics"]))
        logging.tags({"n": result.n, "failed": result.failed})
        log_json(logging, "evaluation.json", content | found)
        log_card(logging, card)
        if report is not None:
            logging.artefact(report)
    return 1 if result.failed else 0


command = TaskGroup("evaluate", TaskCommand(HELP, parameters, run, lambda task: task.evaluate is not None))
