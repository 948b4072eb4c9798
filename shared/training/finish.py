"""The end of a training: the model in its folder, its figures through the task's own opener, its page, its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.catalogue import ModelCard
from shared.evaluation.report import Metric
from shared.training.folder import Reached, TrainFolder
from shared.weights import write_model_folder
from shared.weights.cache import write_bytes
from shared.weights.exports import plain_name


@dataclass(frozen=True)
class Stated:
    """What whoever trains says of the model.

    Attributes:
        licence: SPDX identifier of the model's licence.
        data_licence: of the data.
        summary: one line, or ``None`` for one that is made.
    """

    licence: str
    data_licence: str
    summary: str | None


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        reached: epoch by epoch.
        metric: by which the best epoch was chosen.
        train: items learnt from.
        val: items of the validation.
        items: what they are called, in the plural.
        skipped: a row for each item that was left out.
        weights_sha256: of the weights that it began with; empty without any.
    """

    reached: Reached
    metric: str
    train: int
    val: int
    items: str
    skipped: Sequence[Mapping[str, Any]] = ()
    weights_sha256: str = ""


@dataclass(frozen=True)
class Made:
    """What the trained model is.

    Attributes:
        task: that it serves.
        family: of its graph.
        backend: that runs it.
        labels: its classes, by number.
        options: what the family needs to know.
        files: content by name.
        limits: what it is not good for, for its page.
        opt_in: a licence that binds the model whatever is stated of it, or empty.
    """

    task: str
    family: str
    backend: str
    labels: tuple[str, ...]
    options: Mapping[str, Any]
    files: Mapping[str, bytes]
    limits: str
    opt_in: str = ""


def finish(
    folder: TrainFolder,
    made: Made,
    course: Course,
    stated: Stated,
    *,
    dataset: Path,
    digest: str,
    split: str,
    recipe: Mapping[str, Any],
    evaluate: Callable[[Path], Mapping[str, Metric]],
) -> dict[str, Any]:
    """Save the model, measure it, and write its page and its report.

    Args:
        folder: of the training.
        made: the model.
        course: how it came about.
        stated: what is said of it.
        dataset: what it was trained on.
        digest: of that data.
        split: where its two sides came from.
        recipe: the settings, JSON-ready.
        evaluate: from the model's folder to its figures on the validation items, with intervals.

    Returns:
        The report, JSON-ready.
    """
    out = folder.out
    summary = stated.summary or f"trained on {dataset.resolve().name}: {', '.join(made.labels[:8])}"
    training = {"data": digest, "data_licence": stated.data_licence, **recipe}
    if course.weights_sha256:
        training["weights_sha256"] = course.weights_sha256
    options = {**made.options, **({"labels": list(made.labels)} if made.labels else {}), "training": training}
    name = plain_name(out.resolve().name)
    licence = made.opt_in or stated.licence
    card = ModelCard(name, made.task, made.family, made.backend, licence, summary, options=options, opt_in=made.opt_in)
    write_model_folder(out, card, made.files)
    figures = {key: _rounded(metric) for key, metric in evaluate(out).items()}
    card = replace(card, options={**options, "training": {**training, "figures": figures}})
    write_model_folder(out, card, made.files)
    report = {
        "model": name,
        "folder": str(out),
        "task": made.task,
        "data": {
            "name": dataset.resolve().name,
            "licence": stated.data_licence,
            "train": course.train,
            "val": course.val,
            "split": split,
        },
        "skipped": [dict(row) for row in course.skipped],
        "recipe": dict(recipe),
        "epochs": course.reached.epoch,
        "best_epoch": course.reached.best_epoch,
        f"best_{course.metric}": round(course.reached.best_score, 4),
        "figures": figures,
        "seconds": round(course.reached.seconds, 1),
        "history": [dict(row) for row in course.reached.history],
    }
    write_bytes(out / "README.md", page(card, report, made.limits, items=course.items).encode())
    folder.finish(report)
    return report


def _rounded(metric: Metric) -> dict[str, float]:
    return {"value": round(metric.value, 4), "low": round(metric.low, 4), "high": round(metric.high, 4)}


def page(card: ModelCard, report: Mapping[str, Any], limits: str, *, items: str) -> str:
    """The model's page in Markdown: data, recipe, figures, limits; ``items`` says what the data consists of."""
    data = report["data"]
    left_out = len(report["skipped"])
    labels = card.options.get("labels")
    classes = f" Classes: {', '.join(f'`{label}`' for label in labels)}." if labels else ""
    return f"""# {card.name}: {card.summary}

Task `{card.task}`, licence {card.licence}.{classes}

## Data

`{data["name"]}`: {data["train"]:,} {items} to learn from, {data["val"]:,} for validation ({data["split"]}).
{left_out:,} {items} could not be used and were left out{"; `report.json` names them" if left_out else ""}.
Licence of the data, as stated by whoever trained this: {data["licence"]}.

## Recipe

{_bullets(report["recipe"])}

Best epoch {report["best_epoch"]} of {report["epochs"]}, {report["seconds"]:.0f} s. `report.json` tells every epoch.

## Figures

Of the graph in this folder on the validation {items}, with 95 % bootstrap intervals over {items}:

| figure | value | interval |
|---|---|---|
{_rows(report["figures"])}

The validation {items} chose the best epoch too, so these figures are a little kind. Evaluate on {items} that the
training has not seen.

## Limits

{limits}
"""


def _bullets(recipe: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in recipe.items())


def _rows(figures: Mapping[str, Mapping[str, float]]) -> str:
    return "\n".join(
        f"| {name} | {row['value']:.4f} | {row['low']:.4f} to {row['high']:.4f} |" for name, row in figures.items()
    )
