"""A text graph in 8-bit integers for ONNX Runtime: weights once, activations as they come ("dynamic quantisation").

One scale serves all activations of a product, so a few large channels would leave little resolution to the others.
Typical inputs say how large each channel becomes; the channels are divided, and the weights multiplied, by a power of
that (G. Xiao and others, "SmoothQuant", ICML 2023, equation 4, here with a migration strength of 0.85). Products that
lose most by integers may be left in float. What multiplies activations with one another stays in float, and so do
embeddings: in integers they make the file smaller, the answers worse, and nothing faster.

Weights take all 8 bits of each output channel's own scale. A processor without VNNI adds two products of a uint8 and an
int8 in 16 bits, which do not hold them; there :mod:`shared.backends.onnxruntime` has the runtime take a slower way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.backends.closer import LARGEST, Integers, moments, passes, rounded, row_nodes, row_product, unlike
from shared.backends.typical import answers, taken, watching
from shared.errors import BackendError
from shared.lazy import require
from shared.types import AnyArray, Float32

EVENED = 0.85
"""How much of a channel's size is moved into the weights, in [0, 1]."""
SLIGHT = 0.001
"""Share of all multiplications below which a product gains nothing by integers where it should come close."""
JUDGED = 8
"""Typical inputs on which it is measured what each product loses."""
_MICROSOFT = "com.microsoft"
_INTEGER = ("MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul", "DynamicQuantizeLinear", "QuantizeLinear")
_LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Product:
    """Products of one tensor with constant weights, which share its integers.

    Attributes:
        given: name of the tensor.
        answers: names of the products.
        divisors: what its channels are divided by, shape (channels,), float32, above 0.
        cost: weights, which is how many multiplications a row of the tensor takes.
        by_rows: whether each row of the tensor has a scale of its own; the divisors are then 1.
    """

    given: str
    answers: tuple[str, ...]
    divisors: Float32
    cost: int
    by_rows: bool = False


@dataclass(frozen=True)
class Measured:
    """A graph in float32 and what is known of its products.

    Attributes:
        graph: an ``onnx.ModelProto``.
        weights: constants by name; those of the products have shape (channels, columns).
        products: in the graph's order.
        rounded: weights in integers that are kept in place of the nearest ones, by the product's name.
    """

    graph: Any
    weights: Mapping[str, AnyArray]
    products: tuple[Product, ...]
    rounded: Mapping[str, Integers] = field(default_factory=dict)


def is_quantised(path: Path) -> bool:
    """Whether a graph computes in 8-bit integers already.

    Raises:
        BackendError: it is no ONNX graph.
    """
    return any(node.op_type in (*_INTEGER, "DynamicQuantizeMatMul") for node in _read(path).graph.node)


def measure(path: Path, typical: Sequence[Mapping[str, AnyArray]], *, closely: bool = False) -> Measured:
    """Run typical inputs through a graph and see what its products with constants take.

    Args:
        path: an ONNX graph in float32.
        typical: its inputs by name, for at least one request.
        closely: whether the integers are to come closer to float; see :mod:`shared.backends.closer`. It takes longer
            here and hardly longer when the model runs. Products that are next to nothing stay in float then.

    Raises:
        BackendError: ONNX Runtime refuses the graph, or it has no products that integers would serve.
    """
    graph = _read(path)
    onnx = require("onnx", extra="all")
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    found: dict[str, list[Any]] = {}
    for node in graph.graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants and len(constants[node.input[1]].dims) == 2:
            found.setdefault(node.input[0], []).append(node)
    if not found:
        raise BackendError(f"{path.name} must have matrix products for integers to serve. It has none")
    used = {node.input[1] for nodes in found.values() for node in nodes}
    weights = {name: onnx.numpy_helper.to_array(constants[name]).astype(np.float32) for name in used}
    sizes, rows = taken(graph, list(found), typical)
    total = sum(weights[node.input[1]].size for nodes in found.values() for node in nodes)
    products = []
    for given, nodes in found.items():
        held = [weights[node.input[1]] for node in nodes]
        cost = sum(weight.size for weight in held)
        if closely and cost < SLIGHT * total:
            continue
        # a scale a row is one more step a column of the product, and one less a channel of the tensor
        narrows = sum(weight.shape[1] for weight in held) < len(sizes[given])
        by_rows = closely and narrows and unlike(rows[given])
        divisors = np.ones_like(sizes[given]) if by_rows else evening(sizes[given], held)
        products.append(Product(given, tuple(node.output[0] for node in nodes), divisors, cost, by_rows))
    measured = Measured(graph, weights, tuple(products))
    return replace(measured, rounded=_rounded(measured, typical)) if closely else measured


def _rounded(measured: Measured, typical: Sequence[Mapping[str, AnyArray]]) -> dict[str, Integers]:
    """The weights of all products as integers that suit typical inputs."""
    products = {product.given: product for product in measured.products}
    multiplied = {node.output[0]: node.input[1] for node in measured.graph.graph.node if node.op_type == "MatMul"}
    found = {}
    for names in passes({name: len(product.divisors) for name, product in products.items()}):
        for name, sums in moments(answers(watching(measured.graph, names), typical), names).items():
            divisors = products[name].divisors.astype(np.float64)
            for at in products[name].answers:
                weight = measured.weights[multiplied[at]] * products[name].divisors[:, None]
                found[at] = rounded(weight, sums / np.outer(divisors, divisors))
    return found


def evening(sizes: Float32, weights: Sequence[Float32]) -> Float32:
    """What the channels of a tensor are divided by, about 1 in the mean.

    Args:
        sizes: largest absolute value of each channel, shape (channels,).
        weights: what it is multiplied with, each (channels, columns).

    Returns:
        Shape (channels,), float32, above 0.

    Example:
        >>> [f"{size:.2f}" for size in evening(np.float32([100, 1]), [np.float32([[1], [1]])])]
        ['7.08', '0.14']
    """
    largest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    # a channel that was never seen says nothing: it is taken to be as large as the smallest that was
    least = float(sizes[sizes > 0].min()) if (sizes > 0).any() else 1.0
    logs = EVENED * np.log(np.maximum(sizes, least)) - (1 - EVENED) * np.log(np.maximum(largest, _LEAST))
    found: Float32 = np.exp(logs - logs.mean()).astype(np.float32)
    return found


def losses(measured: Measured, typical: Sequence[Mapping[str, AnyArray]]) -> dict[str, float]:
    """What the graph's answers lose by each product in integers, the others being in float.

    Args:
        measured: what :func:`measure` gave.
        typical: inputs by name; the first :data:`JUDGED` are used.

    Returns:
        The mean squared difference to the answers in float, by :attr:`Product.given`.

    Raises:
        BackendError: ONNX Runtime refuses a form.
    """
    feeds = typical[:JUDGED]
    wanted = list(answers(measured.graph, feeds))
    names = [product.given for product in measured.products]
    found = {}
    for name in names:
        got = answers(to_integers(measured, in_float=[other for other in names if other != name]), feeds)
        found[name] = float(
            np.mean([np.square(w - g).mean() for ws, gs in zip(wanted, got, strict=True) for w, g in zip(ws, gs)])
        )
    return found


def spared(products: Sequence[Product], lost: Mapping[str, float], share: float) -> list[str]:
    """Those that lose most by integers, of at least a share of all multiplications.

    Args:
        products: of a graph.
        lost: what :func:`losses` gave.
        share: in [0, 1]; 0 spares none.

    Example:
        >>> one, two = (Product(name, (), np.float32([1]), 50) for name in ("a", "b"))
        >>> spared([one, two], {"a": 0.1, "b": 0.2}, 0.4)
        ['b']
    """
    left = share * sum(product.cost for product in products)
    found: list[str] = []
    for product in sorted(products, key=lambda product: -lost[product.given]):
        if left <= 0:
            break
        found.append(product.given)
        left -= product.cost
    return found


def to_integers(measured: Measured, *, in_float: Collection[str] = ()) -> bytes:
    """The graph with its products in 8-bit integers.

    Args:
        measured: what :func:`measure` gave.
        in_float: products that stay in float, by :attr:`Product.given`.
    """
    onnx = require("onnx", extra="all")
    changed = [product for product in measured.products if product.given not in in_float]
    chosen = {answer: product for product in changed for answer in product.answers}
    biases = _biases(measured, [at for at, product in chosen.items() if not product.by_rows])
    added = {answer for answer, _ in biases.values()}
    constants: dict[str, AnyArray] = {}
    nodes: list[Any] = []
    begun: set[str] = set()
    for node in measured.graph.graph.node:
        if node.output and node.output[0] in added:
            continue
        product = chosen.get(node.output[0]) if node.op_type == "MatMul" else None
        if product is None:
            nodes.append(node)
            continue
        given, at = product.given, node.output[0]
        weights = measured.rounded.get(at) or _integers(measured.weights[node.input[1]] * product.divisors[:, None])
        if given not in begun:
            begun.add(given)
            nodes += row_nodes(given, constants) if product.by_rows else _evened(product, constants)
        if product.by_rows:
            nodes += row_product(given, at, weights, constants)
            continue
        integers, scale = weights
        constants |= {f"{at}/weight": integers, f"{at}/step": scale, f"{at}/none": np.zeros(len(scale), np.int8)}
        feeds = [f"{given}/integers", f"{at}/weight", f"{given}/scale", f"{at}/step", f"{given}/zero", f"{at}/none"]
        answer, *bias = biases.get(at, (at,))
        nodes.append(onnx.helper.make_node("MatMulIntegerToFloat", [*feeds, *bias], [answer], domain=_MICROSOFT))
    return _written(measured.graph, nodes, constants)


def _biases(measured: Measured, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What is added to a product alone, which the runtime adds as it multiplies: the sum's name and the bias's."""
    graph = measured.graph.graph
    constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    columns: dict[str, int] = {}
    users: dict[str, list[Any]] = {name: [] for name in names}
    for node in graph.node:
        if node.op_type == "MatMul" and node.output[0] in users:
            columns[node.output[0]] = measured.weights[node.input[1]].shape[1]
        for name in set(node.input) & set(users):
            users[name].append(node)
    given = {output.name for output in graph.output}
    found = {}
    for name, nodes in users.items():
        if len(nodes) == 1 and nodes[0].op_type == "Add" and name not in given:
            other = nodes[0].input[1 if nodes[0].input[0] == name else 0]
            if constants.get(other) == (columns[name],):
                found[name] = (nodes[0].output[0], other)
    return found


def _evened(product: Product, constants: dict[str, AnyArray]) -> list[Any]:
    """Nodes that divide a tensor's channels and bring it into uint8 under one scale."""
    onnx = require("onnx", extra="all")
    given = product.given
    constants[f"{given}/evening"] = 1 / product.divisors
    parts = [f"{given}/{part}" for part in ("integers", "scale", "zero")]
    return [
        onnx.helper.make_node("Mul", [given, f"{given}/evening"], [f"{given}/evened"]),
        onnx.helper.make_node("DynamicQuantizeLinear", [f"{given}/evened"], parts),
    ]


def _written(graph: Any, nodes: Sequence[Any], constants: Mapping[str, AnyArray]) -> bytes:
    onnx = require("onnx", extra="all")
    used = {name for node in nodes for name in node.input}
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    held = [tensor for tensor in graph.graph.initializer if tensor.name in used]
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend([*held, *(onnx.numpy_helper.from_array(v, name) for name, v in constants.items())])
    if _MICROSOFT not in {opset.domain for opset in made.opset_import}:
        made.opset_import.append(onnx.helper.make_opsetid(_MICROSOFT, 1))
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _integers(weight: Float32) -> tuple[AnyArray, Float32]:
    """Weights as integers, and the scale of each column."""
    largest = np.abs(weight).max(axis=0)
    scale = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def _read(path: Path) -> Any:
    onnx = require("onnx", extra="all")
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        if type(error).__module__.startswith("google") or isinstance(error, OSError | ValueError):
            raise BackendError(f"{path} must be an ONNX graph. {error}") from error
        raise
