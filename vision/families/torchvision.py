"""Models of torchvision by name and weights enum: classifiers, detectors, segmenters; exported once.

What the weights' own transforms do to a picture, and the names of their classes, come from the weights enum. A file
of weights is read with PyTorch's restricted unpickler, which runs nothing that the file brings along, and its hash must
begin with the digits in the name that its publisher gave it.
"""

from __future__ import annotations

import inspect
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.catalogue import ModelCard, ModelFile, cards
from shared.errors import DataError, HashMismatchError, UnknownNameError, UsageError
from shared.lazy import require
from shared.weights import Opened, cache, ensure, http
from shared.weights.exports import Checkpoint, Exported, plain_name
from vision.families.agreement import same_boxes
from vision.families.labels import labels_option
from vision.families.onnx import to_onnx

LIBRARY = "torchvision"
_PREFIXES = {
    ("vision.classification", "torchvision.models"): "",
    ("vision.detection", "torchvision.models.detection"): "",
    ("vision.segmentation", "torchvision.models.segmentation"): "",
    ("vision.segmentation", "torchvision.models.detection"): "maskrcnn",
}
"""The modules in which torchvision keeps its models of each task, and how the names of those that serve it begin."""
_BACKENDS = {"boxes": "onnxruntime", "masks": "onnxruntime"}
"""What runs graphs that suppress boxes themselves: OpenVINO answered one box where there was none (2026.4)."""
_PROMISED = re.compile(r"-([0-9a-f]{8,64})\.pth$")
_LIMIT = 8 << 30


def from_name(name: str, *, task: str) -> Checkpoint:
    """The checkpoint of ``NAME``, ``NAME:WEIGHTS`` or ``NAME:FILE``; weights are fetched unless they are here.

    Raises:
        UnknownNameError: torchvision has no such model for the task, or no such weights of it.
        WeightsError: the weights cannot be had, or are not those that their publisher named.
    """
    arch, _, asked = name.partition(":")
    weights = _weights(arch, task, "" if asked.endswith(".pth") else asked)
    settings = {"arch": arch, "weights": weights.name}
    facts = _licence(weights)
    if asked.endswith(".pth"):
        path = Path(asked).expanduser()
        if not path.is_file():
            raise UsageError(f"weights of {arch} must be an existing .pth file. Nothing stands at {path}")
        _check_promise(path, path.name)
        return Checkpoint(LIBRARY, f"{arch}-{path.stem}", {"weights.pth": path}, settings, "unknown", "")
    path = _fetched(weights.url)
    return Checkpoint(LIBRARY, f"{arch}-{weights.name}", {"weights.pth": path}, settings, *facts)


def from_path(path: Path, *, task: str) -> Checkpoint:
    """Raise a :class:`~shared.errors.UsageError`: a file alone does not say which model it is for."""
    raise UsageError(f"weights of torchvision must come with the model that they are for: torchvision:NAME:{path}")


def from_card(opened: Opened) -> Checkpoint:
    """The checkpoint of a catalogue row of this family, whose options are ``arch`` and ``weights``."""
    card = opened.card
    path = next(iter(opened.files.values()))
    return Checkpoint(LIBRARY, card.name, {"weights.pth": path}, dict(card.options), card.licence, card.opt_in)


def export(checkpoint: Checkpoint, task: str) -> Exported:
    """The graph of a checkpoint.

    Raises:
        UnknownNameError: torchvision has no such model for the task.
        DataError: the file does not fit the model, or the model cannot be exported.
    """
    arch = checkpoint.settings["arch"]
    weights = _weights(arch, task, checkpoint.settings["weights"])
    state = _state(checkpoint.files["weights.pth"])
    if task == "vision.classification":
        make = _classifier
    elif hasattr(weights.transforms(), "resize_size"):
        make = _segmenter
    else:
        make = _detector if task == "vision.detection" else _instance_segmenter
    family, options, content = make(arch, weights, state)
    name = plain_name(checkpoint.name)
    summary = f"{arch} of torchvision, weights {checkpoint.settings['weights']}"
    card = ModelCard(
        name,
        task,
        family,
        _BACKENDS.get(family, "openvino"),
        checkpoint.licence,
        summary,
        (),
        options,
        False,
        checkpoint.opt_in,
    )
    return Exported(card, {f"{name}.onnx": content})


def _weights(arch: str, task: str, name: str) -> Any:
    """A member of a model's weights enum; its default for the empty name."""
    models = require("torchvision.models", extra="torch")
    known = [
        name
        for (served, home), prefix in _PREFIXES.items()
        if served == task
        for name in models.list_models(module=require(home, extra="torch"))
        if name.startswith(prefix)
    ]
    if arch not in known:
        raise UnknownNameError(f"torchvision model for {task}", arch, known)
    members = models.get_model_weights(arch).__members__
    if (name or "DEFAULT") not in members:
        raise UnknownNameError(f"weights of torchvision's {arch}", name, members)
    return members[name or "DEFAULT"]


def _licence(weights: Any) -> tuple[str, str]:
    """Licence and why the weights must be chosen by name: some were trained under terms of their own."""
    terms = str(weights.meta.get("license", ""))
    return ("CC-BY-NC-4.0", "its weights are for non-commercial use") if "SWAG" in terms else ("BSD-3-Clause", "")


def _fetched(url: str) -> Path:
    """A file of weights: from the catalogue's sources, the cache, a folder that the user named, or its publisher."""
    name = url.rpartition("/")[2]
    for card in cards():
        if card.family == LIBRARY and any(file.name == name for file in card.files):
            return ensure(card)[name]
    pinned = cache.read_lock_file().get(url)
    if pinned:
        here = cache.cached_path(pinned["sha256"], name)
        if cache.has_size(here, pinned["size"]):
            return here
    for folder in cache.named_folders():
        if (folder / name).is_file():
            return _check_promise(folder / name, name)
    with cache.locked(url, what=name):
        staging = cache.staging_path(url, ModelFile(name, None, None, (url,)))
        with cache.writing(staging):
            staging.parent.mkdir(parents=True, exist_ok=True)
        with http.new_client() as client:
            http.download(client, url, staging, what=name, limit=_LIMIT)
        _check_promise(staging, name, owned=True)
        came = cache.sha256_of(staging)
        path = cache.install(staging, cache.cached_path(came, name))
        cache.pin((url,), {"sha256": came, "size": path.stat().st_size})
    return path


def _check_promise(path: Path, name: str, *, owned: bool = False) -> Path:
    promised = _PROMISED.search(name)
    came = cache.sha256_of(path)
    if promised and not came.startswith(promised[1]):
        fate = "Fetch the file again"
        if owned:
            path.unlink()
            fate = "They were deleted"
        raise HashMismatchError(
            f"the bytes of {name} have sha256 {came} where its name promises one that begins with {promised[1]}. {fate}"
        )
    return path


def _state(path: Path) -> Mapping[str, Any]:
    torch = require("torch", extra="torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles; what they hold is judged below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} must be a file of tensors by name, as torch.save writes a state_dict. {error}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError(f"{path} must hold tensors by name. It holds {type(state).__name__}")
    return state


def _built(arch: str, state: Mapping[str, Any], **wanted: Any) -> Any:
    """A model with these weights; of the keywords wanted those that its builder knows."""
    models = require("torchvision.models", extra="torch")
    builder = models.get_model_builder(arch)
    takes = inspect.signature(inspect.unwrap(builder)).parameters
    known = {key: value for key, value in wanted.items() if key in takes or "kwargs" in takes}
    model = builder(weights=None, **({"weights_backbone": None} if "weights_backbone" in takes else {}), **known)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"the weights must fit torchvision's {arch}. {str(error).splitlines()[-1].strip()}") from error
    return model.eval()


def _classes(state: Mapping[str, Any], weights: Any, task: str) -> list[str]:
    """Names of the classes by number: those of the enum where the head has as many, else the numbers themselves."""
    names = [str(name) for name in weights.meta["categories"]]
    keys = [key for key in state if key.endswith("bias")]
    heads = {len(state[key]) for key in keys[-3:]}
    if len(names) in heads or task == "vision.detection":
        return names
    return [f"class {number}" for number in range(len(state[keys[-1]]))]


def _classifier(arch: str, weights: Any, state: Mapping[str, Any]) -> tuple[str, dict[str, Any], bytes]:
    if arch in ("googlenet", "inception_v3"):
        extras = {"aux_logits": True, "transform_input": True, "init_weights": False}
    else:
        extras = {}
    names = _classes(state, weights, "vision.classification")
    model = _built(arch, state, num_classes=len(names), **extras)
    transforms = weights.transforms()
    size, resize = transforms.crop_size[0], transforms.resize_size[0]
    options = {
        "size": size,
        "resize": resize,
        "resampling": transforms.interpolation.value,
        "labels": labels_option(names),
    }
    content = to_onnx(
        lambda images: (model(images),),
        model,
        outputs=("logits",),
        size=(size, size),
        mean=transforms.mean,
        std=transforms.std,
    )
    return "image-classifier", options, content


def _segmenter(arch: str, weights: Any, state: Mapping[str, Any]) -> tuple[str, dict[str, Any], bytes]:
    names = [str(name) for name in weights.meta["categories"]]
    model = _built(arch, state, num_classes=len(names), aux_loss=any(key.startswith("aux") for key in state))
    transforms = weights.transforms()
    side = transforms.resize_size[0]
    options = {
        "size": [side, 4 * side],  # torchvision sets no bound to the longer side
        "fit": "shortest",
        "resampling": transforms.interpolation.value,
        "labels": ["background", *names[1:]],
        "background": 0,
    }
    content = to_onnx(
        lambda images: (model(images)["out"],),
        model,
        outputs=("logits",),
        size=(side, side),
        mean=transforms.mean,
        std=transforms.std,
        dynamic=True,
    )
    return "semantic", options, content


def _detector(arch: str, weights: Any, state: Mapping[str, Any]) -> tuple[str, dict[str, Any], bytes]:
    return "boxes", *_finished(arch, weights, state, ("boxes", "labels", "scores"))


def _instance_segmenter(arch: str, weights: Any, state: Mapping[str, Any]) -> tuple[str, dict[str, Any], bytes]:
    return "masks", *_finished(arch, weights, state, ("boxes", "labels", "scores", "masks"))


def _finished(
    arch: str, weights: Any, state: Mapping[str, Any], outputs: tuple[str, ...]
) -> tuple[dict[str, Any], bytes]:
    """Options and graph of a model that itself answers finished things."""
    names = [str(name) for name in weights.meta["categories"]]
    model = _built(arch, state, num_classes=len(names))
    resize = model.transform
    labels = ["" if name in ("__background__", "N/A") else name for name in names]
    options: dict[str, Any] = {"labels": labels_option(labels)}
    if resize.fixed_size is not None:
        columns, rows = resize.fixed_size
        options |= {"size": [rows, columns], "fit": "stretch"}
    else:
        options |= {"size": [resize.min_size[-1], resize.max_size], "fit": "shortest"}
    dynamic = resize.fixed_size is None

    def call(images: Any) -> list[Any]:
        found = model([images[0]])[0]
        return [found[name] for name in outputs]

    size = (options["size"][0], options["size"][0] * 4 // 3) if dynamic else (options["size"][0], options["size"][1])
    content = to_onnx(
        call, model, outputs=outputs, size=size, dynamic=dynamic, backend=_BACKENDS["boxes"], agree=same_boxes
    )
    return options, content
