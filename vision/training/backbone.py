"""torchvision's classifiers as the lower part of our networks: by name, with weights that are checked, norms frozen."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.catalogue import cards
from shared.errors import DataError, OfflineError, UnknownNameError, UsageError, WeightsError
from shared.lazy import require
from shared.settings import offline
from shared.weights import ensure
from shared.weights.cache import sha256_of

DEFAULT_BACKBONE = "mobilenet_v2"
IMAGENET, NONE = "imagenet", "none"
TASK = "vision.classification"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels on the scale 0..1: what torchvision's own weights were trained with."""
STRIDES = (4, 8, 16, 32)
_HEADS = ("avgpool", "fc", "classifier", "heads", "head", "dropout")


@dataclass(frozen=True)
class Stage:
    """A feature map of a backbone.

    Attributes:
        name: of the child module that gives it.
        stride: pixels of the input for one cell.
        channels: how many it has.
    """

    name: str
    stride: int
    channels: int


@dataclass(frozen=True)
class Weights:
    """Where a backbone's weights came from.

    Attributes:
        source: ``"imagenet"``, ``"none"`` or a file's name.
        sha256: of the file; empty without one.
    """

    source: str
    sha256: str


def build_backbone(name: str, weights: str) -> tuple[Any, Weights]:
    """A torchvision classifier on the CPU.

    Args:
        name: as torchvision calls it.
        weights: ``"imagenet"`` (the catalogue's row of that architecture, or else torchvision's default weights from
            their publisher), ``"none"`` (random, from torch's generator as it stands) or a ``.pth`` or ``.safetensors``
            file of a matching state dict; of a ``.pth`` only tensors are read, never code.

    Raises:
        UnknownNameError: torchvision has no such classifier.
        WeightsError: the weights cannot be had.
        DataError: the file's tensors do not fit.
    """
    models = require("torchvision.models", extra="torch")
    if name not in models.list_models(models):
        raise UnknownNameError("backbone of torchvision", name, models.list_models(models))
    network = models.get_model(name, weights=None)
    if weights == NONE:
        return network, Weights(NONE, "")
    tensors, found = _tensors(name, weights)
    try:
        network.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"{weights} must hold weights of torchvision's {name}. {str(error)[:300]}") from error
    return network, found


def _tensors(name: str, weights: str) -> tuple[Any, Weights]:
    if weights == IMAGENET:
        row = next((card for card in cards(TASK) if card.options.get("arch") == name), None)
        if row is None:
            return _published(name)
        (path,) = ensure(row).values()
        return _read(path), Weights(IMAGENET, sha256_of(path))
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UsageError(f"weights must be {IMAGENET}, {NONE} or a file of weights. Nothing stands at {weights}")
    return _read(path), Weights(path.name, sha256_of(path))


def _published(name: str) -> tuple[Any, Weights]:
    if offline():
        raise OfflineError(
            f"the weights of {name} would be fetched from torchvision's publisher, and TRIPTYCH_OFFLINE is set: "
            "name a file of them (--weights FILE), or unset it"
        )
    default = require("torchvision.models", extra="torch").get_model_weights(name).DEFAULT
    try:
        tensors = default.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the weights of {name} could not be had from {default.url} ({error}): name a file of them (--weights FILE)"
        ) from error
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode() + tensors[key].cpu().contiguous().numpy().tobytes())
    return tensors, Weights(IMAGENET, digest.hexdigest())


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return require("safetensors.torch", extra="torch").load_file(path)
    torch = require("torch", extra="torch")
    pickle = require("pickle", extra="torch")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(f"{path} must hold a plain state dict, saved by torch.save. {str(error)[:200]}") from error


def body_and_stages(network: Any) -> tuple[Any, tuple[Stage, ...]]:
    """The part of a classifier that gives feature maps, and the deepest map at each of :data:`STRIDES`.

    Raises:
        UsageError: it has no such maps (a plain vision transformer, say).
    """
    torch = require("torch", extra="torch")
    body = network.features if hasattr(network, "features") else network
    found: dict[int, Stage] = {}
    kept: dict[str, Any] = {}
    size, value = 128, torch.zeros(1, 3, 128, 128)
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for name, child in body.named_children():
                if name in _HEADS:
                    break
                value = child(value)
                kept[name] = child
                if value.ndim == 4 and value.shape[2] > 0 and size % value.shape[2] == 0:
                    stride = size // value.shape[2]
                    found[stride] = Stage(name, stride, value.shape[1])
    except (RuntimeError, TypeError, AssertionError) as error:
        raise UsageError(
            f"a backbone must be a chain of layers over pictures. {type(network).__name__} is none ({error}): take "
            f"another, such as {DEFAULT_BACKBONE} or resnet18"
        ) from error
    finally:
        network.train(was_training)
    if not set(STRIDES) <= set(found):
        raise UsageError(
            f"a backbone must have feature maps of strides {', '.join(map(str, STRIDES))}. "
            f"{type(network).__name__} has {sorted(found)}: take another, such as {DEFAULT_BACKBONE} or resnet18"
        )
    return torch.nn.Sequential(OrderedDict(kept)) if body is network else body, tuple(
        found[stride] for stride in STRIDES
    )


def freeze_norms(network: Any) -> None:
    """Keep batch norms at the statistics of their training, in place.

    Where a convolution stands right before one in a chain the two become one convolution, which computes the same and
    trains faster; elsewhere the norm's numbers become constants.
    """
    torch = require("torch", extra="torch")
    fuse = require("torch.nn.utils.fusion", extra="torch").fuse_conv_bn_eval
    frozen = require("torchvision.ops", extra="torch").FrozenBatchNorm2d
    network.eval()
    for chain in [module for module in network.modules() if isinstance(module, torch.nn.Sequential)]:
        names = list(chain._modules)
        for first, second in pairwise(names):
            norm = chain._modules[second]
            if isinstance(chain._modules[first], torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                chain._modules[first] = fuse(chain._modules[first], norm)
                chain._modules[second] = torch.nn.Identity()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                constant = frozen(child.num_features, eps=child.eps)
                constant.load_state_dict({key: value for key, value in child.state_dict().items() if "num_" not in key})
                setattr(module, name, constant)


def freeze(body: Any, stages: tuple[Stage, ...], trainable: str) -> None:
    """Leave a part of a backbone as it is, in place.

    Args:
        body: as :func:`body_and_stages` gives it.
        stages: as :func:`body_and_stages` gives them.
        trainable: ``"head"`` leaves all of it, ``"top"`` the layers up to stride 8, ``"all"`` none.
    """
    training = trainable == "all"
    for name, child in body.named_children():
        child.requires_grad_(training)
        training = training or (trainable == "top" and name == stages[1].name)
