"""Checkpoints of transformers, of the hub or a folder: exported once. Safetensors only, and never code of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.backends.tracing import differs
from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.types import AnyArray
from shared.weights import Opened
from shared.weights.checkpoints import CONFIG, architecture, from_folder, from_hub, gathered
from shared.weights.exports import Checkpoint, Exported, plain_name
from shared.weights.words import say
from vision.boxes import from_centres
from vision.families.agreement import same_boxes
from vision.families.labels import labels_option
from vision.families.onnx import to_onnx

LIBRARY = "transformers"
PROCESSOR = "preprocessor_config.json"
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_QUERIES = ("class_queries_logits", "masks_queries_logits")


@dataclass(frozen=True)
class Kind:
    """What transformers can do for one of our tasks.

    Attributes:
        task: ours.
        ending: how the names of the architectures end.
        auto: the class that loads them.
        family: which prepare and decode serve the graph.
        outputs: names of the graph's outputs, which are attributes of the model's answer.
    """

    task: str
    ending: str
    auto: str
    family: str
    outputs: tuple[str, ...]


KINDS = (
    Kind("vision.classification", "ForImageClassification", "ImageClassification", "image-classifier", ("logits",)),
    Kind("vision.detection", "ForObjectDetection", "ObjectDetection", "detr", ("logits", "pred_boxes")),
    Kind("vision.segmentation", "ForSemanticSegmentation", "SemanticSegmentation", "semantic", ("logits",)),
    Kind("vision.segmentation", "ForUniversalSegmentation", "UniversalSegmentation", "queries", _QUERIES),
    Kind("vision.segmentation", "ForInstanceSegmentation", "InstanceSegmentation", "queries", _QUERIES),
)


def from_name(name: str, *, task: str) -> Checkpoint:
    """The checkpoint ``OWNER/NAME[@REVISION]`` of the hub; see :func:`shared.weights.checkpoints.from_hub`."""
    return from_card(from_hub(name, task=task, beside=[PROCESSOR]))


def from_path(path: Path, *, task: str) -> Checkpoint:
    """The checkpoint in a local folder; see :func:`shared.weights.checkpoints.from_folder`."""
    return from_card(from_folder(path, task=task, beside=[PROCESSOR]))


def from_card(opened: Opened) -> Checkpoint:
    """The checkpoint of a catalogue row of this family, or of files that were found."""
    card = opened.card
    return Checkpoint(LIBRARY, card.name, dict(opened.files), dict(card.options), card.licence, card.opt_in)


def export(checkpoint: Checkpoint, task: str) -> Exported:
    """The graph of a checkpoint.

    Raises:
        UsageError: it serves another task.
        DataError: it cannot be read or exported.
    """
    name = architecture(checkpoint.files[CONFIG])
    kind = next((kind for kind in KINDS if kind.task == task and name.endswith(kind.ending)), None)
    if kind is None:
        endings = [kind.ending for kind in KINDS if kind.task == task]
        raise UsageError(f"a checkpoint for {task} must be one of ...{', ...'.join(endings)}. It is a {name}")
    model, processor = _loaded(checkpoint, kind)
    labels = ["" if text == "N/A" else text for text in _labels(model.config.id2label)]
    options = {"labels": labels_option(labels), **_fit(processor, kind)}
    if kind.family == "detr":
        count = model(pixel_values=_blank(options)).logits.shape[-1]
        options["activation"] = "softmax" if count == len(labels) + 1 else "sigmoid"
    elif kind.family == "queries" and "instance" not in checkpoint.name.lower():
        options["kind"] = "semantic" if "semantic" in checkpoint.name.lower() else "instance"
    content = _graph(model, processor, kind, options)
    plain = plain_name(checkpoint.name)
    facts = (plain, task, kind.family, "openvino", checkpoint.licence, f"{checkpoint.name}, a {name} of transformers")
    return Exported(ModelCard(*facts, options=options, opt_in=checkpoint.opt_in), {f"{plain}.onnx": content})


def _loaded(checkpoint: Checkpoint, kind: Kind) -> tuple[Any, Mapping[str, Any]]:
    """The model, in evaluation, and what its image processor does to a picture."""
    transformers = require("transformers", extra="torch")
    with gathered(checkpoint.files) as folder:
        safe = {"trust_remote_code": False, "local_files_only": True}
        try:
            auto = getattr(transformers, f"AutoModelFor{kind.auto}")
            model = auto.from_pretrained(folder, use_safetensors=True, attn_implementation="eager", **safe)
            processor = transformers.AutoImageProcessor.from_pretrained(folder, **safe).to_dict()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise DataError(f"transformers cannot read {checkpoint.name}: {str(error).splitlines()[0]}") from error
    return model.eval().float(), processor


def _labels(names: Mapping[Any, str]) -> list[str]:
    by_number = {int(number): str(name) for number, name in names.items()}
    return [by_number.get(number, "") for number in range(max(by_number) + 1)]


def _fit(processor: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """What part of a picture the model sees and at which size, as a card's options say it."""
    size, crop = dict(processor.get("size") or {}), processor.get("crop_size")
    options: dict[str, Any] = {"resampling": _RESAMPLING.get(int(processor.get("resample") or 2), "bilinear")}
    if kind.task != "vision.classification":
        if "height" in size:
            return options | {"size": [size["height"], size["width"]], "fit": "stretch"}
        short = size["shortest_edge"]
        return options | {"size": [short, size.get("longest_edge") or 4 * short], "fit": "shortest"}
    fit = "stretch" if "height" in size else "crop"
    resize = size.get("height") or size["shortest_edge"]
    seen = dict(crop)["height"] if crop and processor.get("do_center_crop") else resize
    if processor.get("crop_pct") and "shortest_edge" in size:
        # as ConvNeXt's processor does: small inputs are the middle of a larger picture, large ones all of it
        fit, seen, resize = (
            ("crop", resize, int(resize / processor["crop_pct"])) if resize < 384 else ("stretch", resize, resize)
        )
    return options | {"size": seen, "resize": resize, "fit": fit}


def _normal(processor: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel on the scale 0..1, whatever the processor's own scale."""
    factor = 255 * float(processor.get("rescale_factor") or 1 / 255) if processor.get("do_rescale", True) else 255.0
    shift = 1.0 if processor.get("rescale_offset") else 0.0
    normal = bool(processor.get("do_normalize"))
    mean = list(processor["image_mean"]) if normal else [0.0] * 3
    std = list(processor["image_std"]) if normal else [1.0] * 3
    return [(value + shift) / factor for value in mean], [value / factor for value in std]


def _graph(model: Any, processor: Mapping[str, Any], kind: Kind, options: dict[str, Any]) -> bytes:
    """The graph; where only one size can be traced, of pictures stretched to a square, which ``options`` then say."""
    mean, std = _normal(processor)

    def call(images: Any) -> list[Any]:
        answer = model(pixel_values=images)
        return [getattr(answer, name) for name in kind.outputs]

    def traced(size: tuple[int, int], dynamic: bool) -> bytes:
        return to_onnx(
            call,
            model,
            outputs=kind.outputs,
            size=size,
            mean=mean,
            std=std,
            flip=bool(processor.get("do_flip_channel_order")),
            dynamic=dynamic,
            agree=_AGREE.get(kind.family),
        )

    size = options["size"]
    if options["fit"] != "shortest":
        return traced((size, size) if isinstance(size, int) else (size[0], size[1]), dynamic=False)
    short = size[0] // 32 * 32
    try:
        return traced((short, short * 4 // 3 // 32 * 32), dynamic=True)
    except DataError as error:
        say(f"its graph reads one size only, so every picture is stretched to {short} x {short} ({error})")
    options |= {"size": [short, short], "fit": "stretch"}
    return traced((short, short), dynamic=False)


def _blank(options: Mapping[str, Any]) -> Any:
    torch = require("torch", extra="torch")
    return torch.zeros(1, 3, options["size"][0], options["size"][0])


def _same_queries(wanted: Mapping[str, AnyArray], got: Mapping[str, AnyArray]) -> str:
    """As value by value; where that differs, the best boxes must be the same, in whatever order the queries came."""
    return differs(wanted, got) and same_boxes(_best(wanted), _best(got))


def _best(answer: Mapping[str, AnyArray], count: int = 100) -> dict[str, AnyArray]:
    logits, boxes = answer["logits"][0], answer["pred_boxes"][0]
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    order = np.argsort(-scores.max(axis=1), kind="stable")[:count]
    return {
        "boxes": from_centres(boxes[order]) * 640,
        "scores": scores.max(axis=1)[order],
        "labels": scores.argmax(axis=1)[order],
    }


_AGREE: Mapping[str, Callable[[Mapping[str, AnyArray], Mapping[str, AnyArray]], str]] = {"detr": _same_queries}
