"""What the vision tasks answer."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.errors import UsageError
from shared.types import AnyArray, ArrayForm, Bool, Float32, Float64, Int32, Int64, Result, UInt8, array_field
from vision.masks import Rle, decode_mask

SegmentationKind: TypeAlias = Literal["semantic", "foreground", "instance", "prompted"]


@dataclass(frozen=True, eq=False)
class Classification(Result):
    """What a picture is of: the likeliest classes, best first.

    Attributes:
        labels: names of the classes, length k.
        scores: shape (k,), float32, probabilities in [0, 1] that never rise; over all classes they add up to 1.
        class_ids: shape (k,), int32, the model's own numbers of the classes.

    Example:
        >>> best = Classification(("tabby", "lynx"), np.float32([0.75, 0.25]), np.int32([281, 287]))
        >>> Result.from_json(best.to_json()) == best
        True
    """

    labels: tuple[str, ...]
    scores: Float32 = array_field("float32", ("k",), 0.0, 1.0)
    class_ids: Int32 = array_field("int32", ("k",), 0)

    def check(self, axes: Mapping[str, int]) -> None:
        _check_ranking(self, len(self.labels), axes["k"], self.scores)


@dataclass(frozen=True, eq=False)
class Detections(Result):
    """Where things are in a picture, best first.

    Attributes:
        labels: name of the class of each box, length n.
        image_size: height and width of the upright picture in pixels.
        xyxy: shape (n, 4), float32, corners x1, y1, x2, y2 in pixels of the upright picture as it came (before any
            resizing), with 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height. x runs right, y runs down, and the
            top left corner of the picture is (0, 0).
        scores: shape (n,), float32, in [0, 1], never rising.
        class_ids: shape (n,), int32, the model's own numbers of the classes (1 to 90 for the COCO categories).

    Example:
        >>> found = Detections(("cat",), (480, 640), np.float32([[8, 8, 64, 32]]), np.float32([0.5]), np.int32([17]))
        >>> Result.from_json(found.to_json()) == found
        True
    """

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    xyxy: Float32 = array_field("float32", ("n", 4), 0.0)
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    class_ids: Int32 = array_field("int32", ("n",), 0)

    def check(self, axes: Mapping[str, int]) -> None:
        _check_ranking(self, len(self.labels), axes["n"], self.scores)
        _check_boxes(self, self.image_size, self.xyxy)


def _write_png(alpha: AnyArray) -> str:
    file = io.BytesIO()
    Image.fromarray(alpha).save(file, "PNG", compress_level=4)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _read_png(text: Any) -> AnyArray:
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
        if image.mode != "L":
            raise UsageError(
                f"an alpha map must be a PNG of 8-bit grey in base64. Got one of mode {image.mode} instead"
            )
        return np.array(image)
    except (TypeError, binascii.Error, UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise UsageError(f"an alpha map must be a PNG of 8-bit grey in base64. Reading it failed: {error}") from error


@dataclass(frozen=True, eq=False)
class Segmentation(Result):
    """Which pixels of a picture belong to what: one type for every kind of segmentation.

    - ``"semantic"``: one segment for each class that is there, largest first; pixels in no segment are background.
    - ``"foreground"``: one segment, the foreground (none where there is none), and how opaque each pixel is.
    - ``"instance"``: one segment a thing, best first; things may overlap.
    - ``"prompted"``: one segment for each prompt, in the order of the prompts; one may be empty.

    In JSON the masks are COCO's run lengths, and ``alpha`` is a grey PNG in base64: without loss, an order of magnitude
    smaller than its numbers, and shown by any browser; run lengths would not shorten soft edges.

    Attributes:
        kind: which of the four.
        image_size: height and width of the upright picture in pixels.
        labels: name of each segment's class, length n.
        masks: the pixels of each segment, length n, each of ``image_size``.
        xyxy: shape (n, 4), float32, corners x1, y1, x2, y2 in pixels with 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <=
            height: for instances the model's own box, else the smallest around the mask.
        scores: shape (n,), float32, in [0, 1]: for semantic segments and the foreground how sure the model is of their
            pixels on average, for instances the score of the thing, never rising, for prompts the overlap with the
            thing that the model expects of its own answer.
        class_ids: shape (n,), int32, the model's own numbers of the classes; 0 for prompts.
        areas: shape (n,), int64, pixels of each mask.
        alpha: shape (height, width), uint8, 0 transparent to 255 opaque, for ``"foreground"``; else ``None``.

    Example:
        >>> from vision.masks import encode_mask
        >>> left = encode_mask(np.array([[1, 0], [1, 0]]))
        >>> box, score, number, area = np.float32([[0, 0, 1, 2]]), np.float32([0.9]), np.int32([8]), np.int64([2])
        >>> found = Segmentation("semantic", (2, 2), ("cat",), (left,), box, score, number, area)
        >>> found.shares, Result.from_json(found.to_json()) == found
        (array([0.5]), True)
    """

    kind: SegmentationKind
    image_size: tuple[int, int]
    labels: tuple[str, ...]
    masks: tuple[Rle, ...]
    xyxy: Float32 = array_field("float32", ("n", 4), 0.0)
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    class_ids: Int32 = array_field("int32", ("n",), 0)
    areas: Int64 = array_field("int64", ("n",), 0)
    alpha: UInt8 | None = array_field("uint8", ("h", "w"), form=ArrayForm(_write_png, _read_png), optional=True)

    @property
    def shares(self) -> Float64:
        """Areas as shares of the picture, shape (n,), in [0, 1]."""
        return self.areas / (self.image_size[0] * self.image_size[1])

    def mask(self, at: int) -> Bool:
        """The pixels of one segment, shape (height, width), bool."""
        return decode_mask(self.masks[at])

    def class_map(self, *, background: int = 0) -> Int32:
        """The class of each pixel, shape (height, width), int32; where segments overlap that of the earlier one.

        Args:
            background: the number of pixels that are in no segment.
        """
        numbers = np.full(self.image_size, background, np.int32)
        for at in reversed(range(len(self.masks))):
            numbers[self.mask(at)] = self.class_ids[at]
        return numbers

    def polygons(self, at: int, *, tolerance: float = 0.0) -> list[Float64]:
        """The outlines of one segment in pixels; see :func:`vision.polygons.mask_polygons`."""
        from vision.polygons import mask_polygons  # noqa: PLC0415 - results are read where outlines are never asked for

        return mask_polygons(self.masks[at], tolerance=tolerance)

    def select(self, keep: AnyArray) -> Segmentation:
        """The segments at some positions, or where a mask of shape (n,) is true; ``alpha`` stays as it is."""
        at = np.arange(len(self.masks))[keep]
        labels, masks = tuple(self.labels[i] for i in at), tuple(self.masks[i] for i in at)
        return replace(
            self,
            labels=labels,
            masks=masks,
            xyxy=self.xyxy[at],
            scores=self.scores[at],
            class_ids=self.class_ids[at],
            areas=self.areas[at],
        )

    def to_json(self) -> dict[str, Any]:
        """As every result, with ``shares`` beside the areas."""
        return super().to_json() | {"shares": self.shares.round(6).tolist()}

    def check(self, axes: Mapping[str, int]) -> None:
        if self.kind not in get_args(SegmentationKind):
            known = ", ".join(map(repr, get_args(SegmentationKind)))
            raise UsageError(f"Segmentation.kind must be one of {known}. Got {self.kind!r} instead")
        if not len(self.labels) == len(self.masks) == axes["n"]:
            raise UsageError(
                "Segmentation must have a label and a mask for each score. "
                f"Got {len(self.labels)} labels, {len(self.masks)} masks, {axes['n']} scores instead"
            )
        _check_boxes(self, self.image_size, self.xyxy)
        others = {mask.size for mask in self.masks} | ({(axes["h"], axes["w"])} if self.alpha is not None else set())
        if others - {self.image_size}:
            raise UsageError(
                f"Segmentation must have masks and alpha of the picture's size {self.image_size}. "
                f"Got {sorted(others)} instead"
            )
        if (self.alpha is not None) != (self.kind == "foreground"):
            raise UsageError(
                "Segmentation.alpha must be given for kind 'foreground' and no other. "
                f"Got {'none' if self.alpha is None else 'one'} for kind {self.kind!r}"
            )
        if self.kind == "instance" and (np.diff(self.scores) > 0).any():
            raise UsageError(f"scores of instances must never rise. Got {self.scores.tolist()[:10]} instead")


@dataclass(frozen=True, eq=False)
class Faces(Result):
    """The faces of a picture, best first. A picture without a face is a result with n = 0.

    Attributes:
        image_size: height and width of the upright picture in pixels.
        xyxy: shape (n, 4), float32, corners x1, y1, x2, y2 in pixels of the upright picture as it came, with
            0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height.
        landmarks: shape (n, 5, 2), float32, x and y in the same pixels: the eyes, the tip of the nose, the corners of
            the mouth; left first as one looks at the picture. They may lie outside it.
        scores: shape (n,), float32, in [0, 1], never rising: how sure the detector is.
        quality: shape (n,), float32, in [0, 1]: how fit the face is for being recognised, 1 the best.
        quality_parts: shape (n, 3), float32, in [0, 1]: size, sharpness, frontality; see :mod:`vision.faces.quality`.
        pose: shape (n, 3), float32, degrees in [-180, 180]: yaw, pitch, roll.
        embeddings: shape (n, d), float32, each of unit length; ``None`` where none were asked for.
        embedder: what identifies the model that made the embeddings, or empty.

    Example:
        >>> none = [np.zeros(shape, np.float32) for shape in ((0, 4), (0, 5, 2), 0, 0, (0, 3), (0, 3), (0, 128))]
        >>> nobody = Faces((480, 640), *none)
        >>> len(nobody), nobody.main, Result.from_json(nobody.to_json()) == nobody
        (0, None, True)
    """

    image_size: tuple[int, int]
    xyxy: Float32 = array_field("float32", ("n", 4), 0.0)
    landmarks: Float32 = array_field("float32", ("n", 5, 2))
    scores: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    quality: Float32 = array_field("float32", ("n",), 0.0, 1.0)
    quality_parts: Float32 = array_field("float32", ("n", 3), 0.0, 1.0)
    pose: Float32 = array_field("float32", ("n", 3), -180.0, 180.0)
    embeddings: Float32 | None = array_field("float32", ("n", "d"), optional=True)
    embedder: str = ""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def main(self) -> int | None:
        """The face that the picture is of: large and near the middle; ``None`` where there is no face.

        Of each box the area counts, less twice the squared distance of its middle from the picture's.
        """
        if not len(self):
            return None
        low, high = self.xyxy[:, :2].astype(np.float64), self.xyxy[:, 2:].astype(np.float64)
        off = (low + high) / 2 - np.array(self.image_size[::-1]) / 2
        return int(np.argmax((high - low).prod(axis=1) - 2 * (off**2).sum(axis=1)))

    def check(self, axes: Mapping[str, int]) -> None:
        _check_ranking(self, axes["n"], axes["n"], self.scores)
        _check_boxes(self, self.image_size, self.xyxy)
        if self.embeddings is None:
            return
        lengths = np.linalg.norm(self.embeddings, axis=1)
        if not np.allclose(lengths, 1, atol=1e-3):
            raise UsageError(f"Faces.embeddings must be of unit length. Got lengths {lengths.tolist()[:5]} instead")


@dataclass(frozen=True, eq=False)
class Verification(Result):
    """Whether two faces are one person's.

    Attributes:
        similarity: cosine of their embeddings, in [-1, 1].
        threshold: similarity from which they count as one person's.
        same: whether the similarity reaches the threshold.
        far: false-accept rate that the threshold was chosen for; ``None`` where the caller chose the threshold.

    Example:
        >>> Verification(0.52, 0.36, True, 0.001).to_json()["same"]
        True
    """

    similarity: float
    threshold: float
    same: bool
    far: float | None = None

    def check(self, axes: Mapping[str, int]) -> None:
        if not -1 <= self.similarity <= 1 or self.same != (self.similarity >= self.threshold):
            raise UsageError(
                "Verification must have a similarity in [-1, 1], and be the same from the threshold on. "
                f"Got {self.similarity}, {self.threshold} and {self.same} instead"
            )


def _check_boxes(result: Result, image_size: tuple[int, int], xyxy: Float32) -> None:
    owner = type(result).__name__
    height, width = image_size
    if height < 1 or width < 1:
        raise UsageError(f"{owner}.image_size must be (height, width) in pixels. Got {image_size} instead")
    x1, y1, x2, y2 = xyxy.T
    outside = (x1 > x2) | (y1 > y2) | (x2 > width) | (y2 > height)
    if outside.any():
        raise UsageError(
            f"{owner}.xyxy must be x1, y1, x2, y2 with x1 <= x2 <= {width} and y1 <= y2 <= {height}. "
            f"Got {xyxy[outside][0].tolist()} instead"
        )


def _check_ranking(result: Result, labels: int, n: int, scores: Float32) -> None:
    owner = type(result).__name__
    if labels != n:
        raise UsageError(f"{owner} must have a label for each score. Got {labels} labels, {n} scores instead")
    if (np.diff(scores) > 0).any():
        raise UsageError(f"{owner}.scores must never rise. Got {scores.tolist()[:10]} instead")
