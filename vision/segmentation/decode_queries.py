"""Family ``queries``: a fixed number of queries, each with logits of the classes and a mask of the whole picture.

Two outputs, by the names that MaskFormer and Mask2Former have in transformers: ``class_queries_logits`` (1, queries,
classes + 1), whose last class says that a query found nothing, and ``masks_queries_logits`` (1, queries, rows,
columns). The card's ``kind`` says what they were trained for. ``"instance"``: each query and class is a thing, its
score the probability of the class times the mean probability of its mask's cells. ``"semantic"``: the score of a class
at a cell is the sum over the queries of the probability of the class times that of the mask. (B. Cheng et al.,
"Per-pixel classification is not all you need for semantic segmentation", NeurIPS 2021.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.backends import TensorSpec
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.types import AnyArray, Bool, Float32
from vision.detection.prepare import Letterbox
from vision.labels import label_set
from vision.masks import rle_box
from vision.reader import Kept, Reader
from vision.segmentation.decode_semantic import kept_of_scores, semantic
from vision.segmentation.readers import Asked, things
from vision.segmentation.resample import mask_in_box, part_of_map
from vision.types import Segmentation

_CLASSES, _MASKS = "class_queries_logits", "masks_queries_logits"
_TINY = 1e-6


def reader(card: ModelCard, outputs: Sequence[TensorSpec], asked: Asked) -> Reader[Segmentation]:
    """How a graph of this family is read; see :data:`vision.segmentation.graphs.FAMILIES`.

    Raises:
        DataError: it has no such outputs, or one of another number of classes, or ``kind`` is neither.
    """
    count = max(label_set(card.options["labels"]).names) + 1
    shapes = {output.name: output.shape for output in outputs}
    kind = card.options.get("kind", "instance")
    logits, maps = shapes.get(_CLASSES, ()), shapes.get(_MASKS, ())
    if len(logits) != 3 or logits[2] not in (count + 1, None) or len(maps) != 4 or kind not in ("instance", "semantic"):
        raise DataError(
            f"{card.origin}: model {card.name!r} must answer with {_CLASSES} (1, queries, {count + 1}) and {_MASKS} "
            f"(1, queries, rows, columns), and its option kind must be 'instance' or 'semantic'. "
            f"Got {shapes} and {kind!r} instead"
        )
    background = card.options.get("background")

    def keep_semantic(answer: dict[str, AnyArray]) -> Kept:
        return kept_of_scores(class_scores(answer[_CLASSES][0], answer[_MASKS][0]))

    def keep_instances(answer: dict[str, AnyArray]) -> Kept:
        return candidates(answer[_CLASSES][0], answer[_MASKS][0], asked)

    def decode_semantic(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        return semantic(found, given, asked, background)

    def decode_instances(found: Mapping[str, AnyArray], given: Letterbox) -> Segmentation:
        return instances(found, given, asked)

    if kind == "semantic":
        return Reader(keep_semantic, decode_semantic)
    return Reader(keep_instances, decode_instances)


def class_scores(logits: AnyArray, maps: AnyArray) -> Float32:
    """Logarithms of the sums over the queries, shape (classes, rows, columns), to be read as a semantic answer.

    Args:
        logits: shape (queries, classes + 1).
        maps: shape (queries, rows, columns), logits of the masks.
    """
    by_class = _softmax(logits)[:, :-1].T @ _sigmoid(maps).reshape(len(maps), -1)
    scores: Float32 = np.log(np.maximum(by_class, _TINY)).reshape(-1, *maps.shape[1:]).astype(np.float32)
    return scores


def candidates(logits: AnyArray, maps: AnyArray, asked: Asked) -> Kept:
    """The things that reach the threshold, best first: ``scores`` (n,), ``class_ids`` (n,), ``maps`` (n, rows, cols).

    Args:
        logits: shape (queries, classes + 1).
        maps: shape (queries, rows, columns), logits of the masks.
        asked: what the user asked for.
    """
    classes = _softmax(logits)[:, :-1]
    present: Bool = maps > 0
    somewhere = np.asarray(present.any(axis=(1, 2)))
    inside = (_sigmoid(maps) * present).sum(axis=(1, 2)) / (present.sum(axis=(1, 2)) + _TINY)
    scores = classes * inside[:, None]
    wanted = np.isin(np.arange(classes.shape[1]), list(asked.classes.names))
    queries, numbers = np.nonzero((scores >= asked.score_threshold) & wanted & somewhere[:, None])
    order = np.argsort(-scores[queries, numbers], kind="stable")[: asked.max_segments]
    queries, numbers = queries[order], numbers[order]
    return {"scores": scores[queries, numbers], "class_ids": numbers, "maps": maps[queries]}


def instances(found: Mapping[str, AnyArray], given: Letterbox, asked: Asked) -> Segmentation:
    """The result of one picture: things with the smallest boxes around their masks."""
    part = part_of_map(given, found["maps"].shape[1:])
    height, width = given.outer
    whole = np.array([0, 0, width, height])
    masks = [mask_in_box(values, part, whole, given.outer, above=0.0) for values in found["maps"]]
    boxes = np.array([rle_box(mask) for mask in masks], np.float32).reshape(-1, 4)
    return things(asked, given.outer, masks, boxes=boxes, scores=found["scores"], class_ids=found["class_ids"])


def _softmax(logits: AnyArray) -> Float32:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Float32 = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares


def _sigmoid(values: AnyArray) -> Float32:
    shares: Float32 = (0.5 * (1 + np.tanh(0.5 * values))).astype(np.float32)  # cannot overflow
    return shares
