"""Segmentation by prompts: a picture is embedded once, then any number of points and boxes are answered from that.

The protocol of prompts is that of "Segment anything" (A. Kirillov et al., ICCV 2023): a box, or several points, tell
which thing is meant, and one mask answers; a single point may mean a part, a thing or a group, so that three masks are
made and the one that the model expects to fit best is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from shared.backends import Backend, open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UsageError
from shared.predictor import OnError, Pipeline
from shared.settings import home
from shared.types import AnyArray, Failure, Float32, UInt8
from shared.weights import Opened, resolve
from shared.weights.exports import exported
from shared.weights.folder import is_model_folder
from vision.detection.prepare import Letterbox, letterbox
from vision.images import ImageSource
from vision.masks import Rle, encode_mask, rle_box
from vision.segmentation import sam_export
from vision.segmentation.prompts import Prompts, check_inside
from vision.segmentation.readers import segments
from vision.segmentation.resample import part_of_map, resample
from vision.tensors import feeder
from vision.types import Segmentation

TASK_NAME = "vision.prompting"
DEFAULT = "mobile-sam"
LABEL = "thing"
_TOGETHER = 8
"""Prompts that the decoder answers at once, so that memory stays bounded whatever their number."""
PromptedImage: TypeAlias = tuple[ImageSource, Prompts]
"""An item of :class:`PromptableSegmenter`: a picture and what is asked of it."""


@dataclass(frozen=True)
class _Decoder:
    """What answers prompts from an embedding."""

    backend: Backend

    def masks(self, embedding: Float32, prompts: Prompts, given: Letterbox) -> tuple[AnyArray, AnyArray]:
        """Logits of one mask a thing, shape (n, rows, columns), and the overlaps that the model expects, shape (n,)."""
        down, across = (inner / outer for inner, outer in zip(given.inner, given.outer))
        coordinates = prompts.coordinates * np.array([across, down], np.float32)
        found = [
            self._some(
                embedding, coordinates[at : at + _TOGETHER], prompts.labels[at : at + _TOGETHER], prompts.ambiguous
            )
            for at in range(0, prompts.things, _TOGETHER)
        ]
        maps, expected = (np.concatenate(parts) for parts in zip(*found))
        return maps, expected

    def _some(
        self, embedding: Float32, coordinates: Float32, labels: Float32, ambiguous: bool
    ) -> tuple[AnyArray, AnyArray]:
        feed = {"embedding": embedding, "coordinates": coordinates, "labels": labels}

        def keep(answer: dict[str, AnyArray]) -> dict[str, AnyArray]:
            expected = answer["expected_iou"]
            chosen = 1 + expected[:, 1:].argmax(axis=1) if ambiguous else np.zeros(len(expected), np.int64)
            rows = np.arange(len(expected))
            return {"masks": answer["masks"][rows, chosen], "expected_iou": expected[rows, chosen]}

        answer = self.backend.run([feed], keep=keep)[0]
        return answer["masks"], answer["expected_iou"]


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture that any number of prompts can be asked about.

    Attributes:
        embedding: what the encoder made of it, shape (1, 256, 64, 64), float32.
        given: how the picture lay in what the encoder was given.
    """

    embedding: Float32
    given: Letterbox
    _decoder: _Decoder = field(repr=False)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the upright picture in pixels."""
        return self.given.outer

    def segment(
        self,
        *,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
    ) -> Segmentation:
        """One segment for each thing that is asked for, in the same order, at the picture's own size.

        Args:
            points: see :class:`Prompts`.
            point_labels: see :class:`Prompts`.
            boxes: see :class:`Prompts`.

        Raises:
            UsageError: the prompts are malformed, or a point lies outside of the picture.
        """
        prompts = Prompts(points, point_labels, boxes)
        check_inside(prompts, self.given.outer)
        return _segmentation(self._decoder.masks(self.embedding, prompts, self.given), self.given)


@dataclass(frozen=True)
class PromptableSegmenter:
    """A predictor from pictures with :class:`Prompts` to :class:`~vision.types.Segmentation`; and :meth:`embed`."""

    _pipeline: Pipeline[Any, Any, Any, Any]
    _embed: Callable[[ImageSource], EmbeddedImage]

    @property
    def card(self) -> ModelCard:
        """What model this is."""
        return self._pipeline.card

    def embed(self, image: ImageSource) -> EmbeddedImage:
        """Encode a picture, the costly part, once for all prompts.

        Raises:
            InputError: the picture cannot be used.
        """
        return self._embed(image)

    def predict(
        self, items: Sequence[PromptedImage], /, *, on_error: OnError = "raise"
    ) -> list[Segmentation | Failure]:
        """See :meth:`shared.predictor.Predictor.predict`."""
        return self._pipeline.predict(items, on_error=on_error)

    def stream(
        self, items: Iterable[PromptedImage], /, *, batch_size: int | None = None, on_error: OnError = "keep"
    ) -> Iterator[Segmentation | Failure]:
        """See :meth:`shared.predictor.Predictor.stream`."""
        return self._pipeline.stream(items, batch_size=batch_size, on_error=on_error)


def promptable_segmenter(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    allow_urls: bool = False,
) -> PromptableSegmenter:
    """Open a segmenter of whatever points and boxes tell.

    The checkpoint is exported once, which needs the extra ``torch``; later openings need it no more.

    Args:
        name: a catalogue name, a model folder, or ``None`` for MobileSAM.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.
        allow_urls: whether pictures that are ``http(s)`` addresses are fetched.

    Raises:
        UsageError: ``device`` or ``threads`` is out of its range.
        UnknownNameError: no model is called that.
        WeightsError: a model file cannot be had.
        MissingDependencyError: the checkpoint must be exported first, which needs the extra ``torch``.

    Example:
        A click on a thing, and a box around another::

            photo = vision.promptable_segmenter().embed("street.jpg")
            photo.segment(points=[[420, 310]])
            photo.segment(boxes=[[100, 80, 260, 330]])
    """
    opened = _opened(DEFAULT if name is None else name)
    card = opened.card
    if card.family != "sam" or not {sam_export.ENCODER, sam_export.DECODER} <= set(opened.files):
        raise DataError(
            f"{card.origin}: model {card.name!r} must be of family 'sam', with {sam_export.ENCODER} and "
            f"{sam_export.DECODER}. Got {card.family!r} with {sorted(opened.files)} instead"
        )
    encoder, graph = (
        open_backend(card.backend, opened.files[file], device=device, threads=threads)
        for file in (sam_export.ENCODER, sam_export.DECODER)
    )
    decoder = _Decoder(graph)
    prepare = partial(letterbox, size=card.options["size"], fit="corner", allow_urls=allow_urls)
    feed = feeder(encoder.inputs[0], card.options)

    def encode(given: Letterbox) -> EmbeddedImage:
        pixels = feed(given.pixels)
        height, width = given.inner
        pixels[..., height:, :] = 0  # the padding is nothing, not black
        pixels[..., width:] = 0
        name = encoder.inputs[0].name
        answer = encoder.run([{name: pixels}])[0]
        return EmbeddedImage(next(iter(answer.values())), _without_pixels(given), decoder)

    def prepare_item(item: PromptedImage) -> tuple[Letterbox, Prompts]:
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[1], Prompts):
            raise InputError(
                "wrong-type", f"an item must be a pair of a picture and its Prompts. Got {type(item).__name__} instead"
            )
        given = prepare(item[0])
        try:
            check_inside(item[1], given.outer)
        except UsageError as error:
            raise InputError("bad-prompt", str(error)) from error
        return given, item[1]

    def run(batch: Sequence[tuple[Letterbox, Prompts]]) -> list[tuple[AnyArray, AnyArray]]:
        return [decoder.masks(encode(given).embedding, prompts, given) for given, prompts in batch]

    pipeline = Pipeline(
        card,
        prepare_item,
        run,
        lambda found, item: _segmentation(found, item[0]),
        batch_size=1,
        threads=threads,
        side_by_side=True,
    )
    return PromptableSegmenter(pipeline, lambda image: encode(prepare(image)))


def prompting_at_hand() -> bool:
    """Whether MobileSAM opens here as things stand: it was exported before, or the libraries of its export are here."""
    export = [find_spec(library) for library in ("torch", "torchvision", "timm", "transformers")]
    return all(export) or any(is_model_folder(place) for place in (home() / "exports").glob(f"{DEFAULT}-*"))


def _opened(name: str | Path) -> Opened:
    opened = resolve(name, task=TASK_NAME)
    if opened.card.family != sam_export.LIBRARY:
        return opened
    found = sam_export.checkpoint(opened.card, opened.files)
    return resolve(exported(found, task=TASK_NAME, export=sam_export.export), task=TASK_NAME)


def _segmentation(found: tuple[AnyArray, AnyArray], given: Letterbox) -> Segmentation:
    maps, expected = found
    rows, columns = maps.shape[1:]
    part = part_of_map(given, (rows, columns))
    masks: list[Rle] = [encode_mask(resample(values, part, given.outer) > 0) for values in maps]
    boxes = np.stack([rle_box(mask) for mask in masks])
    n = len(masks)
    return segments(
        "prompted",
        given.outer,
        labels=[LABEL] * n,
        masks=masks,
        scores=expected,
        class_ids=np.zeros(n, np.int32),
        xyxy=boxes,
    )


def _without_pixels(given: Letterbox) -> Letterbox:
    """The same geometry without 3 MB of pixels."""
    rows, columns = given.pixels.shape[1:3]
    nothing: UInt8 = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (1, rows, columns, 3))
    return Letterbox(nothing, given.inner, given.outer, given.offset)
