"""Segmentation held against the libraries that the models come from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared.errors import DataError
from shared.types import AnyArray, Float32
from shared.weights import resolve
from vision.detection.prepare import Letterbox
from vision.labels import LabelSet
from vision.masks import decode_mask
from vision.segmentation.decode_queries import candidates as query_candidates
from vision.segmentation.decode_queries import class_scores, instances
from vision.segmentation.decode_semantic import kept_of_scores, semantic
from vision.segmentation.readers import Asked
from vision.segmentation.resample import pasted_in_box

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _torch() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


def smooth(rng: np.random.Generator, count: int, side: int) -> Float32:
    """Maps with few large shapes, in about -6..6."""
    from PIL import Image

    maps = [Image.fromarray(rng.standard_normal((5, 5)).astype(np.float32)) for _ in range(count)]
    return np.stack([np.asarray(m.resize((side, side), Image.Resampling.BICUBIC)) for m in maps]) * np.float32(6)


def query_answers(seed: int) -> tuple[AnyArray, AnyArray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 4)).astype(np.float32) * 4, smooth(rng, 6, 96)


GIVEN = Letterbox(np.zeros((1, 384, 384, 3), np.uint8), (384, 384), (120, 160))
ASKED = Asked(LabelSet({0: "a", 1: "b", 2: "c"}), 0.3, None, 100)


@pytest.mark.parametrize("seed", range(3))
def test_semantic_queries_equal_transformers(seed: int) -> None:
    import torch
    from transformers import Mask2FormerImageProcessor

    logits, maps = query_answers(seed)
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(logits)[None], masks_queries_logits=torch.from_numpy(maps)[None]
    )
    wanted = Mask2FormerImageProcessor().post_process_semantic_segmentation(outputs, target_sizes=[(120, 160)])[0]
    found = semantic(kept_of_scores(class_scores(logits, maps)), GIVEN, Asked(ASKED.classes, 0.0, None, 100), None)
    assert (found.class_map(background=-1) == wanted.numpy()).mean() > 0.98


@pytest.mark.parametrize("seed", range(3))
def test_instance_queries_equal_transformers(seed: int) -> None:
    import torch
    from transformers import Mask2FormerImageProcessor

    logits, maps = query_answers(seed)
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(logits)[None], masks_queries_logits=torch.from_numpy(maps)[None]
    )
    found = instances(query_candidates(logits, maps, ASKED), GIVEN, ASKED)
    theirs = Mask2FormerImageProcessor().post_process_instance_segmentation(
        outputs, threshold=0.3, target_sizes=[(120, 160)], return_binary_maps=True
    )[0]
    assert theirs["segments_info"]
    for row, binary in zip(theirs["segments_info"], theirs["segmentation"]):
        mask = binary.numpy() > 0
        same = np.flatnonzero((found.class_ids == row["label_id"]) & (abs(found.scores - row["score"]) < 0.02))
        overlaps = [(found.mask(at) & mask).sum() / (found.mask(at) | mask).sum() for at in same]
        assert max(overlaps, default=0) > 0.9, row


def test_segformer_logits_equal_transformers() -> None:
    import torch
    from transformers import SegformerImageProcessor

    logits = smooth(np.random.default_rng(3), 3, 96)
    outputs = SimpleNamespace(logits=torch.from_numpy(logits)[None])
    wanted = SegformerImageProcessor().post_process_semantic_segmentation(outputs, target_sizes=[(120, 160)])[0]
    found = semantic(kept_of_scores(logits), GIVEN, Asked(ASKED.classes, 0.0, None, 100), None)
    assert (found.class_map(background=-1) == wanted.numpy()).mean() > 0.999


def test_a_mask_of_a_box_is_pasted_as_torchvision_does() -> None:
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    rng = np.random.default_rng(4)
    for values in 1 / (1 + np.exp(-smooth(rng, 5, 28))):
        x, y = rng.random(2) * 60
        box = np.float32([x, y, x + 150 + rng.random() * 60, y + 120 + rng.random() * 40])  # it rounds to whole pixels
        theirs = paste_masks_in_image(torch.from_numpy(values)[None, None], torch.from_numpy(box)[None], (240, 320))
        wanted = theirs[0, 0].numpy() > 0.5
        found = decode_mask(pasted_in_box(values, box, (240, 320), above=0.5))
        assert (found & wanted).sum() / (found | wanted).sum() > 0.93


@pytest.mark.weights
@pytest.mark.slow
def test_the_exported_graphs_answer_as_mobile_sam_does() -> None:
    """Masks of the graphs, at a picture's size, against the modules with SAM's own two-step enlarging."""
    pytest.importorskip("timm")
    import torch
    from sklearn.datasets import load_sample_image

    import vision
    from vision.detection.prepare import letterbox
    from vision.segmentation.prompts import Prompts
    from vision.segmentation.sam_export import modules

    checkpoint = next(iter(resolve("mobile-sam", task="vision.prompting", progress=False).files.values()))
    encoder, decoder = modules(checkpoint)
    picture = load_sample_image("china.jpg")
    boxes = np.float32([[20, 40, 400, 380], [220, 60, 420, 250], [0, 300, 640, 427]])
    given = letterbox(picture, size=1024, fit="corner")
    pixels = (given.pixels[0] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pixels[given.inner[0] :] = pixels[:, given.inner[1] :] = 0
    prompts = Prompts(boxes=boxes)
    scale = np.float32([given.inner[1] / 640, given.inner[0] / 427])
    with torch.inference_mode():
        embedding = encoder(torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32)))
        logits, _ = decoder(embedding, torch.from_numpy(prompts.coordinates * scale), torch.from_numpy(prompts.labels))
        enlarge = torch.nn.functional.interpolate
        square = enlarge(logits[:, :1], (1024, 1024), mode="bilinear")[..., : given.inner[0], : given.inner[1]]
        wanted = enlarge(square, (427, 640), mode="bilinear")[:, 0].numpy() > 0
    found = vision.promptable_segmenter().embed(picture).segment(boxes=boxes)
    for at in range(len(boxes)):
        assert (found.mask(at) & wanted[at]).sum() / (found.mask(at) | wanted[at]).sum() > 0.99


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    import pickle

    import torch

    from vision.segmentation.sam_export import modules

    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("must never be said",))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(DataError, match="weights alone; nothing else of a pickle is read"):
        modules(tmp_path / "evil.pt")
    torch.save({"image_encoder.neck.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"must be a checkpoint of MobileSAM. It lacks \d+ weights"):
        modules(tmp_path / "other.pt")
