"""Exports of checkpoints: the graph answers as the library's own model does. Small models with random weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vision
from shared.errors import DataError, UnknownNameError, UsageError
from vision.boxes import box_iou
from vision.labels import label_set

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(0)
PICTURE = (RNG.random((7, 9, 3)).repeat(30, axis=0).repeat(40, axis=1) * 255).astype(np.uint8)
NAMES = {number: f"c{number}" for number in range(5)}


@pytest.fixture
def torch(empty_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(tmp_path))
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def saved(folder: Path, model: Any, processor: Any) -> Path:
    """A transformers checkpoint whose weights differ from place to place, so that no two answers tie."""
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def named(config: Any, **facts: Any) -> Any:
    return config(id2label=NAMES, label2id={name: number for number, name in NAMES.items()}, **facts)


def test_a_classifier_of_torchvision_answers_as_torchvision_does(torch: Any, tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    from PIL import Image

    from shared.weights.cache import sha256_of

    weights = models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
    model = models.shufflenet_v2_x0_5().eval()
    torch.save(model.state_dict(), tmp_path / "own.pth")
    path = (tmp_path / "own.pth").rename(tmp_path / f"own-{sha256_of(tmp_path / 'own.pth')[:8]}.pth")
    classifier = vision.classifier(f"torchvision:shufflenet_v2_x0_5:{path}", top_k=1000)
    found = classifier.predict([PICTURE])[0]
    assert isinstance(found, vision.Classification)
    with torch.inference_mode():
        own = model(weights.transforms()(Image.fromarray(PICTURE))[None])[0].softmax(0).numpy()
    np.testing.assert_allclose(found.scores, own[found.class_ids], atol=2e-4)
    assert classifier.card.options["labels"] == "imagenet1k"
    with pytest.raises(UnknownNameError, match=r"weights of torchvision's shufflenet.* 'IMAGENET'.*IMAGENET1K_V1"):
        vision.classifier("torchvision:shufflenet_v2_x0_5:IMAGENET")
    with pytest.raises(
        UnknownNameError, match="no torchvision model for vision.detection is called 'shufflenet_v2_x0_5'"
    ):
        vision.detector("torchvision:shufflenet_v2_x0_5")
    with pytest.raises(DataError, match="must fit torchvision's shufflenet_v2_x1_0"):
        vision.classifier(f"torchvision:shufflenet_v2_x1_0:{path}")


def test_a_pickle_named_as_weights_is_not_run(torch: Any, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    for name in ("evil.pth", "evil.pt"):
        torch.save({"model": Evil()}, tmp_path / name)
        (tmp_path / f"plain-{name}").write_bytes(pickle.dumps(Evil()))
    for name in ("evil", "plain-evil"):
        with pytest.raises(DataError, match="must be a file of tensors by name"):
            vision.classifier(f"torchvision:shufflenet_v2_x0_5:{tmp_path / name}.pth")
        pytest.importorskip("ultralytics")
        with pytest.raises(DataError, match="nothing else of a pickle is read"):
            vision.detector(tmp_path / f"{name}.pt")
    assert not (tmp_path / "ran").exists()


def test_a_detector_of_ultralytics(torch: Any, tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    yolo = ultralytics.YOLO("yolo11n.yaml", verbose=False)
    yolo.model.args = {**dict(yolo.model.args), "imgsz": 64}
    yolo.model.names = dict(zip(range(80), label_set("coco").names.values()))
    torch.save({"model": yolo.model, "epoch": -1, "train_args": {"imgsz": 64}}, tmp_path / "own.pt")
    detector = vision.detector(tmp_path / "own.pt", score_threshold=0.0, max_detections=5)
    assert (detector.card.family, detector.card.options["labels"]) == ("yolo", "coco80")
    found = detector.predict([PICTURE])[0]
    assert isinstance(found, vision.Detections)
    assert found.image_size == (210, 360)
    with pytest.raises(UsageError, match="must be a model of vision.classification. It is one of vision.detection"):
        vision.classifier(tmp_path / "own.pt")


def test_an_image_classifier_of_transformers(torch: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = named(
        transformers.ViTConfig, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=64, patch_size=16,
    )  # fmt: skip
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    model = transformers.ViTForImageClassification(config)
    folder = saved(tmp_path / "vit", model, processor)
    found = vision.classifier(folder).predict([PICTURE])[0]
    assert isinstance(found, vision.Classification)
    with torch.inference_mode():
        own = model(**processor(PICTURE, return_tensors="pt")).logits[0].softmax(0).numpy()
    np.testing.assert_allclose(found.scores, own[found.class_ids], atol=5e-3)
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | {"auto_map": {}}))
    with pytest.raises(DataError, match="code of its own, which is never run"):
        vision.classifier(folder)


def test_detectors_of_transformers(torch: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    backbone = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    small = {
        "encoder_layers": 1,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "decoder_attention_heads": 2,
        "d_model": 32,
    }
    detr = named(
        transformers.DetrConfig, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
        backbone_config=transformers.ResNetConfig(**backbone, out_features=["stage4"]), decoder_layers=1,
        encoder_attention_heads=2, num_queries=10, **small,
    )  # fmt: skip
    rtdetr = named(
        transformers.RTDetrConfig, encoder_hidden_dim=32, encoder_in_channels=[8, 16, 16], feat_strides=[8, 16, 32],
        backbone_config=transformers.RTDetrResNetConfig(
            **backbone, layer_type="basic", out_features=["stage2", "stage3", "stage4"]
        ),
        num_queries=20, decoder_in_channels=[32, 32, 32], num_feature_levels=3, decoder_layers=2, num_denoising=0,
        anchor_image_size=None, **small,
    )  # fmt: skip
    for name, model, processor, fit in [
        (
            "detr",
            transformers.DetrForObjectDetection(detr),
            transformers.DetrImageProcessor(size={"shortest_edge": 128, "longest_edge": 213}),
            "shortest",
        ),
        (
            "rtdetr",
            transformers.RTDetrForObjectDetection(rtdetr),
            transformers.RTDetrImageProcessor(size={"height": 128, "width": 128}),
            "stretch",
        ),
    ]:
        folder = saved(tmp_path / name, model, processor)
        detector = vision.detector(folder, score_threshold=0.0, max_detections=10)
        assert (detector.card.family, detector.card.options["fit"]) == ("detr", fit)
        for picture in (PICTURE, np.ascontiguousarray(PICTURE.transpose(1, 0, 2))):
            found = detector.predict([picture])[0]
            assert isinstance(found, vision.Detections)
            with torch.inference_mode():
                answer = model(**processor(picture, return_tensors="pt"))
            (own,) = processor.post_process_object_detection(answer, threshold=0.0, target_sizes=[picture.shape[:2]])
            best = own["scores"].argsort(descending=True)[:10].numpy()
            np.testing.assert_allclose(found.scores, own["scores"].numpy()[best], atol=0.01)
            height, width = picture.shape[:2]
            boxes = np.clip(own["boxes"].numpy()[best], 0, [width, height, width, height])
            assert np.median(box_iou(found.xyxy, boxes).max(axis=1)) > 0.9
