"""A classifier in two: everything below its last layer, and that layer; what comes out below is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shared.batch.progress import Progress
from shared.errors import UsageError
from shared.lazy import require

MEMORY = 2 * 1024**3
"""Bytes of features that are kept at most."""


def last_linear(network: Any) -> tuple[str, Any]:
    """Name and module of the last linear layer, which maps features to classes.

    Raises:
        UsageError: there is none.
    """
    linear = require("torch.nn", extra="torch").Linear
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, linear)]
    if not found:
        raise UsageError(f"a backbone must end in a linear layer. {type(network).__name__} has none: take another")
    name, module = found[-1]
    return str(name), module


def replace_module(network: Any, name: str, module: Any) -> None:
    """Put a module in the place of the one of that dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def compute_features(
    network: Any, head: Any, make: Callable[[int, int], Any], *, items: int, views: int, device: Any, batch: int = 32
) -> Any:
    """What the last layer is given, for several views of every picture.

    Args:
        network: the whole classifier, on its device.
        head: its last layer.
        make: from a view's and a picture's position to the network's input, shape (3, size, size).
        items: how many pictures there are.
        views: how many views of each.
        device: of the network.
        batch: pictures that go through at once.

    Returns:
        A float32 tensor on the device, shape (views, items, features).

    Raises:
        UsageError: they would not fit into :data:`MEMORY`.
    """
    torch = require("torch", extra="torch")
    wanted = 4 * views * items * head.in_features
    if wanted > MEMORY:
        raise UsageError(
            f"the features of {items:,} pictures in {views} views each would take {wanted:,} bytes, and at most "
            f"{MEMORY:,} are kept: give fewer views, or train all layers (--trainable all)"
        )
    caught: list[Any] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach().flatten(1)))
    network.eval()
    try:
        with torch.no_grad(), Progress(views * items, done=0) as progress:
            for view in range(views):
                for at in range(0, items, batch):
                    rows: Sequence[int] = range(at, min(at + batch, items))
                    pixels = torch.stack([make(view, row) for row in rows]).to(device)
                    network(pixels.contiguous(memory_format=torch.channels_last))
                    progress.add(len(rows), 0)
    finally:
        handle.remove()
    return torch.cat(caught).reshape(views, items, -1)
