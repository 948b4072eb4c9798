"""Checkpoints of ultralytics (``.pt``): detection, segmentation and classification, exported once.

Such a file is a pickle of a whole module, and unpickling may run any code. So it is read with PyTorch's restricted
unpickler and ultralytics' own list of its classes: a file that names anything else is refused, never run.
"""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

from shared.catalogue import cards
from shared.errors import DataError, UnknownNameError, UsageError
from shared.lazy import require
from shared.weights import Opened, ensure
from shared.weights.exports import Checkpoint, Exported
from vision.families.bare import AGPL, ultralytics_card
from vision.families.onnx import to_onnx

LIBRARY = "ultralytics"
_OUTPUTS = {"detect": ("output0",), "classify": ("output0",), "segment": ("output0", "output1")}


def from_name(name: str, *, task: str) -> Checkpoint:
    """The checkpoint that a row of the catalogue has under that file name.

    Raises:
        UnknownNameError: no row has; ultralytics' own downloads are not used.
    """
    rows = {file.name: card for card in cards(task) if card.family == LIBRARY for file in card.files}
    wanted = name if name.endswith(".pt") else f"{name}.pt"
    if wanted not in rows:
        raise UnknownNameError(f"ultralytics checkpoint for {task}", name, rows)
    return from_card(Opened(rows[wanted], ensure(rows[wanted])))


def from_path(path: Path, *, task: str) -> Checkpoint:
    """The checkpoint of a local ``.pt`` file.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"an ultralytics checkpoint must be an existing .pt file. Nothing stands at {path}")
    return Checkpoint(LIBRARY, path.stem, {"model.pt": path}, licence=AGPL, opt_in=AGPL)


def from_card(opened: Opened) -> Checkpoint:
    """The checkpoint of a catalogue row of this family."""
    card = opened.card
    path = next(iter(opened.files.values()))
    return Checkpoint(LIBRARY, card.name, {"model.pt": path}, dict(card.options), card.licence, card.opt_in)


def export(checkpoint: Checkpoint, task: str) -> Exported:
    """The graph of a checkpoint, as ultralytics' own export would have it, but of plain pixels.

    Raises:
        UsageError: it serves another task.
        DataError: it is no such checkpoint, or cannot be exported.
    """
    torch = require("torch", extra=LIBRARY)
    module = load(checkpoint.files["model.pt"])
    kind = getattr(module, "task", None) or module.args.get("task", "")
    side = int(checkpoint.settings.get("size") or _size(module, kind))
    names = {int(number): str(name) for number, name in module.names.items()}
    card = ultralytics_card(kind, checkpoint.name, names=names, size=(side, side), licence=checkpoint.licence)
    if card.task != task:
        raise UsageError(f"{checkpoint.name} must be a model of {task}. It is one of {card.task}")
    head, dynamic = module.model[-1], kind == "detect"  # a picture then needs no padding to a square
    head.export, head.dynamic, head.format = True, dynamic, "onnx"
    module = module.fuse(verbose=False)

    def call(images: Any) -> tuple[Any, ...]:
        answer = module(images)
        return answer if isinstance(answer, tuple) else (answer,)

    with torch.no_grad():
        call(torch.zeros(1, 3, side, side))  # the head keeps the anchors of the size that it saw last
    content = to_onnx(call, module, outputs=_OUTPUTS[kind], size=(side, side), dynamic=dynamic)
    return Exported(card, {f"{card.name}.onnx": content})


def load(path: Path) -> Any:
    """The module of a checkpoint, read without running anything that the file brings along."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    tasks = require("ultralytics.nn.tasks", extra=LIBRARY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickles; what they hold is judged below
            content, _ = tasks.torch_safe_load(str(path), safe_only=True)
    except (pickle.UnpicklingError, RuntimeError, TypeError, ModuleNotFoundError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} must be a checkpoint of ultralytics' own classes; nothing else of a pickle is read. {error}"
        ) from error
    module: Any = content.get("ema") or content.get("model") if isinstance(content, dict) else None
    if not hasattr(module, "fuse"):
        raise DataError(f"{path} must hold a model of ultralytics. It holds {type(content).__name__}")
    return module.float().eval()


def _size(module: Any, kind: str) -> int:
    trained = module.args.get("imgsz") if isinstance(module.args, dict) else getattr(module.args, "imgsz", None)
    return int(trained) if isinstance(trained, int) else 224 if kind == "classify" else 640
