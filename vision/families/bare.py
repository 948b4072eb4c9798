"""A graph file without a model folder: the small card beside it, or what ultralytics wrote into the ONNX file."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.lazy import require
from shared.weights.exports import bare, folder_around, plain_name, small_card
from vision.families.labels import labels_option

GRAPHS = (".onnx", ".tflite")
ULTRALYTICS = {"detect": ("vision.detection", "yolo"), "classify": ("vision.classification", "image-classifier")} | {
    "segment": ("vision.segmentation", "yolo-seg")
}
"""Task and family of each kind of model that ultralytics trains and that is read here."""
AGPL = "AGPL-3.0"


def folder(path: Path, *, task: str) -> Path:
    """The model folder of a graph file: its own folder where that is one, else one in the cache.

    Raises:
        UsageError: there is no such file, nothing tells what it is, or it serves another task.
        DataError: its card is malformed, or names another graph.
    """
    around = folder_around(path)
    return around or bare(path, small_card(path) or _told_by_itself(path), {path.name: path}, task=task)


def _told_by_itself(path: Path) -> ModelCard | None:
    facts = onnx_metadata(path) if path.suffix == ".onnx" else {}
    return card_of_metadata(facts, path.stem) if facts.get("author") == "Ultralytics" else None


def onnx_metadata(path: Path) -> dict[str, str]:
    """What an ONNX file says of itself beside its graph.

    Raises:
        DataError: it is no ONNX file.
    """
    ort = require("onnxruntime", extra="all")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime") or isinstance(error, RuntimeError | ValueError):
            raise DataError(f"{path} must be an ONNX graph. ONNX Runtime says: {error}") from error
        raise
    return dict(session.get_modelmeta().custom_metadata_map)


def card_of_metadata(facts: Mapping[str, str], name: str) -> ModelCard:
    """The card of a model that ultralytics exported, from the metadata that it wrote: task, names and input size.

    Raises:
        DataError: the metadata is incomplete, or of a kind of model that is not read here.
    """
    kind = facts.get("task", "")
    try:
        names = ast.literal_eval(facts["names"])
        rows, columns = (int(side) for side in ast.literal_eval(facts["imgsz"]))
    except (KeyError, ValueError, SyntaxError, TypeError) as error:
        raise DataError(f"{name} must say its names and imgsz as ultralytics writes them. {error!r}") from error
    return ultralytics_card(kind, name, names=names, size=(rows, columns), licence=licence_of(facts.get("license", "")))


def ultralytics_card(
    kind: str, name: str, *, names: Mapping[int, str], size: tuple[int, int], licence: str = AGPL
) -> ModelCard:
    """The card of a graph in the layout of ultralytics' exports.

    Raises:
        DataError: that kind of model is not read here.
    """
    if kind not in ULTRALYTICS:
        raise DataError(f"{name} must be a model of ultralytics' {', '.join(ULTRALYTICS)}. Its task is {kind!r}")
    task, family = ULTRALYTICS[kind]
    labels = [names[number] for number in sorted(names)]
    options: dict[str, Any] = {"size": size[0] if size[0] == size[1] else list(size), "labels": labels_option(labels)}
    if kind == "classify":
        options |= {"resize": min(size), "answers": "probabilities"}
    summary = f"{name}, a model of ultralytics that can {kind}, {size[1]} x {size[0]} px, {len(labels)} classes"
    return ModelCard(plain_name(name), task, family, "openvino", licence, summary, options=options, opt_in=licence)


def licence_of(text: str) -> str:
    """The licence as its own short name, out of the sentence that ultralytics writes.

    Example:
        >>> licence_of("AGPL-3.0 License (https://example.org)"), licence_of("")
        ('AGPL-3.0', 'AGPL-3.0')
    """
    return text.split(" ", maxsplit=1)[0] or AGPL
