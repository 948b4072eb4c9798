"""The end of a training: the graph in its folder, its figures through the task's own opener, its page, its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.catalogue import ModelCard
from shared.evaluation.report import Metric
from shared.weights import write_model_folder
from shared.weights.cache import write_bytes
from vision.families.exports import plain_name
from vision.training.backbone import Weights
from vision.training.folder import Reached, TrainFolder
from vision.training.pictures import Skipped, skipped_rows

GRAPH = "model.onnx"
BACKEND = "openvino"


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
class Learnt:
    """What came of a training.

    Attributes:
        network: the torch module with the weights of its best epoch, on the CPU.
        reached: how the training went.
        metric: by which the best epoch was chosen.
        train: pictures learnt from.
        val: pictures of the validation.
        skipped: pictures that were left out.
        weights: what the backbone began with.
    """

    network: Any
    reached: Reached
    metric: str
    train: int
    val: int
    skipped: tuple[Skipped, ...]
    weights: Weights


@dataclass(frozen=True)
class Model:
    """What the trained model is.

    Attributes:
        task: that it serves.
        family: of its graph.
        labels: its classes, by number.
        options: what the family needs to know.
        graph: ONNX.
        limits: what it is not good for, for its page.
        opt_in: a licence that binds the model whatever is stated of it, or empty.
    """

    task: str
    family: str
    labels: tuple[str, ...]
    options: Mapping[str, Any]
    graph: bytes
    limits: str
    opt_in: str = ""


def finish(
    folder: TrainFolder,
    model: Model,
    learnt: Learnt,
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
        model: what was made.
        learnt: how.
        stated: what is said of it.
        dataset: what it was trained on.
        digest: of that data.
        split: where its two sides came from.
        recipe: the settings, JSON-ready.
        evaluate: from the model's folder to its figures on the validation pictures, with intervals.

    Returns:
        The report, JSON-ready.
    """
    out = folder.out
    summary = stated.summary or f"trained on {dataset.resolve().name}: {', '.join(model.labels[:8])}"
    training = {"data": digest, "data_licence": stated.data_licence, **recipe}
    if learnt.weights.sha256:
        training["weights_sha256"] = learnt.weights.sha256
    options = {**model.options, "labels": list(model.labels), "training": training}
    name = plain_name(out.resolve().name)
    licence = model.opt_in or stated.licence
    card = ModelCard(name, model.task, model.family, BACKEND, licence, summary, options=options, opt_in=model.opt_in)
    write_model_folder(out, card, {GRAPH: model.graph})
    figures = {key: _rounded(metric) for key, metric in evaluate(out).items()}
    card = replace(card, options={**options, "training": {**training, "figures": figures}})
    write_model_folder(out, card, {GRAPH: model.graph})
    report = {
        "model": name,
        "folder": str(out),
        "task": model.task,
        "data": {
            "name": dataset.resolve().name,
            "licence": stated.data_licence,
            "train": learnt.train,
            "val": learnt.val,
            "split": split,
        },
        "skipped": skipped_rows(learnt.skipped),
        "recipe": dict(recipe),
        "epochs": learnt.reached.epoch,
        "best_epoch": learnt.reached.best_epoch,
        f"best_{learnt.metric}": round(learnt.reached.best_score, 4),
        "figures": figures,
        "seconds": round(learnt.reached.seconds, 1),
        "history": [dict(row) for row in learnt.reached.history],
    }
    write_bytes(out / "README.md", page(card, report, model.limits).encode())
    folder.finish(report)
    return report


def _rounded(metric: Metric) -> dict[str, float]:
    return {"value": round(metric.value, 4), "low": round(metric.low, 4), "high": round(metric.high, 4)}


def page(card: ModelCard, report: Mapping[str, Any], limits: str) -> str:
    """The model's page in Markdown: data, recipe, figures, limits."""
    data = report["data"]
    left_out = len(report["skipped"])
    return f"""# {card.name}: {card.summary}

Task `{card.task}`, licence {card.licence}. Classes: {", ".join(f"`{label}`" for label in card.options["labels"])}.

## Data

`{data["name"]}`: {data["train"]:,} pictures to learn from, {data["val"]:,} for validation ({data["split"]}).
{left_out:,} pictures could not be used and were left out{"; `report.json` names them" if left_out else ""}.
Licence of the data, as stated by whoever trained this: {data["licence"]}.

## Recipe

{_bullets(report["recipe"])}

Best epoch {report["best_epoch"]} of {report["epochs"]}, {report["seconds"]:.0f} s. `report.json` tells every epoch.

## Figures

Of the graph in this folder on the validation pictures, with 95 % bootstrap intervals over pictures:

| figure | value | interval |
|---|---|---|
{_rows(report["figures"])}

The validation pictures chose the best epoch too, so these figures are a little kind. Evaluate on pictures that the
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
