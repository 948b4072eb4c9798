"""From a PyTorch module to an ONNX graph, and whether the graph answers as the module does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.lazy import require
from shared.types import AnyArray

TOLERANCE = 1e-3
"""How far an output of the graph may lie from the module's own, as a share of the module's largest value in it."""
_OPSET = 17
_LIMIT = 2_000_000_000


def trace(
    module: Any,
    given: Mapping[str, Any],
    path: Path,
    *,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Trace a module into an ONNX file.

    Args:
        module: a ``torch.nn.Module`` in evaluation, called with the tensors of ``given`` in order.
        given: a tensor for each input of the graph, by the input's name.
        path: the file to write.
        outputs: names of the graph's outputs.
        axes: names of the axes that may have any length, by input or output and number of the axis.

    Raises:
        DataError: the module cannot be traced, or is too large for one file.
    """
    torch = require("torch", extra="torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # tracing warns of every shape that it takes as fixed; the caller's check judges
            torch.onnx.export(
                module,
                tuple(given.values()),
                str(path),
                input_names=list(given),
                output_names=list(outputs),
                opset_version=_OPSET,
                dynamic_axes=axes,
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise DataError(f"this model cannot be exported to ONNX: {_first_line(error)}") from error
    if path.stat().st_size > _LIMIT:
        raise DataError(f"a graph must fit into {_LIMIT:,} bytes. This one has {path.stat().st_size:,}")


def differs(wanted: Mapping[str, AnyArray], got: Mapping[str, AnyArray]) -> str:
    """What differs between outputs by more than :data:`TOLERANCE`, or nothing.

    Example:
        >>> differs({"logits": np.float32([1.0, -2.0])}, {"logits": np.float32([1.0, -2.1])})
        'logits differs by 0.1 of 2, more than 0.001 of it'
    """
    for name, value in wanted.items():
        if got[name].shape != value.shape:
            return f"{name} has shape {got[name].shape} where {value.shape} is expected"
        largest = float(np.abs(value).max()) if value.size else 0.0
        apart = float(np.abs(got[name] - value).max()) if value.size else 0.0
        if not apart <= TOLERANCE * max(largest, 1e-6):
            return f"{name} differs by {apart:.3g} of {largest:.3g}, more than {TOLERANCE:g} of it"
    return ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
