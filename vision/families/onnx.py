"""From a PyTorch module to an ONNX graph that answers the same, of pixels as they are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.backends import open_backend
from shared.backends.tracing import differs, trace
from shared.errors import BackendError, DataError
from shared.lazy import require
from shared.types import AnyArray

INPUT = "pixels"
_NORMAL = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def to_onnx(
    call: Callable[[Any], Sequence[Any]],
    module: Any,
    *,
    outputs: Sequence[str],
    size: tuple[int, int],
    mean: Sequence[float] = _NORMAL[0],
    std: Sequence[float] = _NORMAL[1],
    flip: bool = False,
    dynamic: bool = False,
    backend: str = "openvino",
    agree: Callable[[Mapping[str, AnyArray], Mapping[str, AnyArray]], str] | None = None,
) -> bytes:
    """Trace a module into a graph, and hold the graph against the module.

    The graph reads one input, ``pixels``: uint8 RGB of shape (1, rows, columns, 3). Scaling to 0..1 and normalising are
    part of it.

    Args:
        call: from images, shape (1, 3, rows, columns), float, normalised, to the module's outputs in order.
        module: what ``call`` uses; put into evaluation, in float32, on the processor.
        outputs: names of the outputs.
        size: rows and columns.
        mean: of each channel, on the scale 0..1.
        std: of each channel, on the scale 0..1.
        flip: whether the module reads B, G, R.
        dynamic: whether the graph is to read any size.
        backend: what will run it.
        agree: what differs between the module's outputs and the graph's, or nothing; ``None`` compares them value by
            value within :data:`shared.backends.tracing.TOLERANCE`.

    Raises:
        DataError: the module cannot be traced, is too large for one file, or the graph answers differently.
    """
    torch = require("torch", extra="torch")

    class Pixels(torch.nn.Module):  # type: ignore[name-defined,misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            for name, values in (("mean", mean), ("std", std)):
                self.register_buffer(name, torch.tensor(list(values)).reshape(1, 3, 1, 1), persistent=False)

        def forward(self, pixels: Any) -> tuple[Any, ...]:
            images = pixels.permute(0, 3, 1, 2).to(torch.float32) / 255
            return tuple(call(((images.flip(1) if flip else images) - self.mean) / self.std))

    whole = Pixels().eval().float().cpu()
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        trace(
            whole,
            {INPUT: torch.zeros(1, *size, 3, dtype=torch.uint8)},
            path,
            outputs=outputs,
            axes={INPUT: {1: "rows", 2: "columns"}} if dynamic else None,
        )
        content = path.read_bytes()
        rng = np.random.default_rng(0)
        rows, columns = size
        for shape in [size, (rows * 3 // 4 // 32 * 32, columns)] if dynamic else [size]:
            picture = _picture(rng, *shape)
            answer = whole(torch.from_numpy(picture))
            wanted = {name: value.numpy() for name, value in zip(outputs, answer, strict=True)}
            fault = (agree or differs)(wanted, _run(path, picture, backend))
            if fault:
                raise DataError(f"the exported graph must answer as the model does. For {shape} pixels {fault}")
    return content


def _run(path: Path, picture: AnyArray, backend: str) -> dict[str, AnyArray]:
    try:
        return open_backend(backend, path, threads=1).run([{INPUT: picture}])[0]
    except BackendError as error:
        raise DataError(f"the exported graph does not run for {picture.shape[1:3]} pixels: {error}") from error


def _picture(rng: np.random.Generator, rows: int, columns: int) -> AnyArray:
    """A picture with shapes of all sizes and no two places alike: ties would be broken one way here, another there."""
    values = np.zeros((rows, columns, 3), np.float32)
    for cell in (8, 32, 128):
        coarse = rng.random((-(-rows // cell), -(-columns // cell), 3), np.float32)
        values += coarse.repeat(cell, axis=0).repeat(cell, axis=1)[:rows, :columns]
    values += rng.random((rows, columns, 3), np.float32)
    return (values * (255 / 4)).astype(np.uint8)[None]
