"""Other forms of a graph for OpenVINO: its own format, bfloat16 at run time, or 8-bit integers by calibration."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from shared.backends.openvino import the_core
from shared.errors import BackendError, UsageError
from shared.lazy import require
from shared.types import AnyArray

Precision: TypeAlias = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
GRAPH, WEIGHTS = "model.xml", "model.bin"


def without_gain(precision: Precision) -> str:
    """Why this processor gains nothing from a precision, or nothing to say."""
    able = the_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        return f"this processor computes no bfloat16 (it can {', '.join(sorted(able))})"
    return ""


def convert(path: Path, precision: Precision, feeds: Sequence[AnyArray]) -> dict[str, bytes]:
    """A graph of one input in another form.

    Args:
        path: the graph, as OpenVINO reads it.
        precision: ``"int8"`` needs the extra ``optimize``; ``"bf16"`` is the same file as ``"fp32"``, for it is the
            runtime that computes otherwise.
        feeds: inputs that are typical, at least one for ``"int8"``.

    Returns:
        Content by file name: the graph and its weights.

    Raises:
        UsageError: there is nothing to calibrate with.
        MissingDependencyError: ``"int8"`` without its extra.
        BackendError: OpenVINO cannot read or change the graph.
    """
    openvino = require("openvino", extra="all")
    try:
        graph = the_core().read_model(str(path))
        if precision == "int8":
            graph = _quantised(graph, feeds)
        with tempfile.TemporaryDirectory() as folder:
            openvino.save_model(graph, str(Path(folder) / GRAPH), compress_to_fp16=False)
            return {name: (Path(folder) / name).read_bytes() for name in (GRAPH, WEIGHTS)}
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot bring {path.name} into the form {precision}: {error}") from error


def _quantised(graph: Any, feeds: Sequence[AnyArray]) -> Any:
    if not feeds:
        raise UsageError("int8 needs typical inputs to calibrate with: give a folder of images. Got none")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    nncf = require("nncf", extra="optimize")
    # symmetric weights, asymmetric activations: half of networks have activations that are never negative
    return nncf.quantize(graph, nncf.Dataset(list(feeds)), preset=nncf.QuantizationPreset.MIXED, subset_size=len(feeds))
