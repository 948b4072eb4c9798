"""Training itself, on tiny pictures and a small backbone: what comes of it, that it repeats, that a kill costs nothing.

Run with the extra ``torch``; the backbone's weights are random and lie in a file, as a user's own may.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import vision
from shared.errors import DataError, PlanMismatchError
from shared.weights import read_model_folder

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
BACKBONE = "shufflenet_v2_x0_5"
COMMON: dict[str, Any] = {"backbone": BACKBONE, "threads": 1, "batch_size": 4, "seed": 1}
RED, BLUE = (220, 30, 30), (30, 30, 220)


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def weights(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    network = models.get_model(BACKBONE, weights=None)
    network.train()
    with torch.no_grad():
        for _ in range(40):  # statistics that keep its features from vanishing
            network(torch.randn(8, 3, 1, 1) + 0.3 * torch.randn(8, 3, 32, 32))
    torch.save(network.state_dict(), path)
    return str(path)


def noisy(colour: tuple[int, int, int], seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).normal(colour, 25, (48, 64, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue pictures, one folder a class."""
    root = tmp_path_factory.mktemp("coloured")
    for split, count in (("train", 6), ("val", 3)):
        for label, colour in (("red", RED), ("blue", BLUE)):
            (root / split / label).mkdir(parents=True)
            for n in range(count):
                noisy(colour, n).save(root / split / label / f"{n}.png")
    return root


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey pictures with a red square each, in COCO's form, in two parts."""
    root = tmp_path_factory.mktemp("boxed")
    (root / "images").mkdir()
    for split, count in (("train", 6), ("val", 3)):
        images, annotations = [], []
        for n in range(count):
            picture, x, y = noisy((120, 120, 120), n), 4 + 5 * n, 6 + 2 * n
            ImageDraw.Draw(picture).rectangle((x, y, x + 23, y + 23), fill=RED)
            picture.save(root / "images" / f"{split}{n}.png")
            images.append({"id": n, "file_name": f"{split}{n}.png", "height": 48, "width": 64})
            annotations.append({"id": n, "image_id": n, "category_id": 5, "bbox": [x, y, 24, 24], "area": 576})
        table = {"images": images, "annotations": annotations, "categories": [{"id": 5, "name": "square"}]}
        (root / f"{split}.json").write_text(json.dumps(table))
    return root


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red above blue, with masks, in two parts."""
    root = tmp_path_factory.mktemp("masked")
    for split, count in (("train", 6), ("val", 3)):
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True)
        for n in range(count):
            edge = 12 + 4 * n
            pixels = np.array(noisy(BLUE, n))
            pixels[:edge] = np.array(noisy(RED, n))[:edge]
            Image.fromarray(pixels).save(root / f"images/{split}/{n}.png")
            mask = np.where(np.arange(48)[:, None] < edge, 0, 1).repeat(64, axis=1).astype(np.uint8)
            Image.fromarray(mask).save(root / f"masks/{split}/{n}.png")
    (root / "classes.csv").write_text("id,name\n0,red\n1,blue\n")
    return root


def train_classifier(data: Path, out: Path, weights: str, **options: Any) -> dict[str, Any]:
    from vision.classification.train import train

    usual = {"epochs": 8, "size": 32, "resize": 40, "views": 2, "weights": weights}
    return train(data, out, **{**COMMON, **usual, **options})


def train_detector(data: Path, out: Path, weights: str, **options: Any) -> dict[str, Any]:
    from vision.detection.train import train

    usual = {"epochs": 2, "size": 64, "channels": 64, "convs": 1, "weights": weights}
    return train(data, out, **{**COMMON, **usual, **options})


def train_segmenter(data: Path, out: Path, weights: str, **options: Any) -> dict[str, Any]:
    from vision.segmentation.train import train

    usual = {"epochs": 12, "size": 64, "channels": 16, "trainable": "all", "weights": weights}
    return train(data, out, **{**COMMON, **usual, **options})


@pytest.fixture(scope="module")
def classifier(coloured: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out") / "colours"
    return out, train_classifier(coloured, out, weights, data_licence="CC0-1.0")


def test_a_head_learns_its_classes_and_the_opener_reads_it(coloured: Path, classifier: tuple[Path, Any]) -> None:
    out, report = classifier
    assert report["best_accuracy"] == 1.0
    assert report["figures"]["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    found = vision.classifier(out).predict([coloured / "val/red/0.png", coloured / "val/blue/0.png"])
    assert [result.labels[0] for result in found] == ["red", "blue"]


def test_the_folder_tells_data_recipe_figures_and_limits(classifier: tuple[Path, dict[str, Any]], weights: str) -> None:
    out, report = classifier
    card = read_model_folder(out)
    assert (card.name, card.family, card.options["labels"]) == ("colours", "image-classifier", ["blue", "red"])
    training = card.options["training"]
    assert training["weights_sha256"] == hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert (training["seed"], training["data_licence"]) == (1, "CC0-1.0")
    assert training["figures"] == report["figures"]
    assert report == json.loads((out / "report.json").read_text())
    assert [row["epoch"] for row in report["history"]] == list(range(1, 9))
    page = (out / "README.md").read_text()
    for text in (
        "`blue`, `red`",
        "12 pictures to learn from, 6 for validation",
        "CC0-1.0",
        "| accuracy | 1.0000 |",
        "## Limits",
    ):
        assert text in page
    assert not list((out / "_train").glob("*.safetensors"))


def test_a_finished_training_is_not_done_again(coloured: Path, classifier: tuple[Path, Any], weights: str) -> None:
    out, report = classifier
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "lock"}
    assert train_classifier(coloured, out, weights, data_licence="CC0-1.0") == report
    assert written == {path: path.stat().st_mtime_ns for path in written}
    with pytest.raises(PlanMismatchError, match=r"recipe.seed \(was 1, now 2\)"):
        train_classifier(coloured, out, weights, data_licence="CC0-1.0", seed=2)


def test_the_same_seed_gives_the_same_bytes(
    coloured: Path, classifier: tuple[Path, Any], weights: str, tmp_path: Path
) -> None:
    again = tmp_path / "colours"
    train_classifier(coloured, again, weights, data_licence="CC0-1.0")
    for name in ("model.onnx", "card.toml"):
        assert (again / name).read_bytes() == (classifier[0] / name).read_bytes()


def test_bad_pictures_are_reported_and_end_the_command_with_1(weights: str, coloured: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from shared.cli.main import triptych

    data = tmp_path / "data"
    for path in coloured.rglob("*.png"):
        target = data / path.relative_to(coloured)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (data / "train/red/7.jpg").write_bytes(b"<html>not found</html>")
    broken = data / "val/blue/0.png"
    broken.write_bytes(broken.read_bytes()[:100])
    options = f"--backbone {BACKBONE} --weights {weights} --size 32 --resize 40 --views 1 --epochs 2 --threads 1"
    result = CliRunner().invoke(
        triptych,
        ["train", "vision.classification", str(data), str(tmp_path / "out"), *options.split()],
        standalone_mode=False,
    )
    assert result.return_value == 1
    report = json.loads(result.stdout.strip().splitlines()[-1])
    assert sorted((Path(row["path"]).name, row["kind"]) for row in report["skipped"]) == [
        ("0.png", "corrupt"),
        ("7.jpg", "unsupported"),
    ]
    assert (report["data"]["train"], report["data"]["val"]) == (12, 5)


@pytest.fixture(scope="module")
def detector(boxed: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out") / "squares"
    return out, train_detector(boxed, out, weights)


def test_a_detector_is_opened_like_any_other(boxed: Path, detector: tuple[Path, dict[str, Any]]) -> None:
    out, report = detector
    card = read_model_folder(out)
    assert (card.family, card.options["labels"], card.options["size"]) == ("boxes", ["square"], [64, 64])
    assert set(report["figures"]) == {"map50", "map"}
    (found,) = vision.detector(out, score_threshold=0.0).predict([boxed / "images/val0.png"])
    assert found.image_size == (48, 64)
    assert set(found.labels) == {"square"}
    assert report["data"]["split"] == "the splits train and val"


def test_the_figure_of_the_training_is_that_of_the_saved_graph(detector: tuple[Path, dict[str, Any]]) -> None:
    report = detector[1]
    assert report["figures"]["map50"]["value"] == pytest.approx(report["best_map50"], abs=0.02)


def test_a_segmenter_learns_its_classes_and_the_opener_reads_it(masked: Path, weights: str, tmp_path: Path) -> None:
    report = train_segmenter(masked, tmp_path / "halves", weights)
    assert report["best_miou"] > 0.6
    assert report["figures"]["miou"]["value"] == pytest.approx(report["best_miou"], abs=0.05)
    (found,) = vision.segmenter(tmp_path / "halves").predict([masked / "images/val/1.png"])
    assert (found.kind, set(found.labels)) == ("semantic", {"red", "blue"})


RUN = """
import time
from pathlib import Path
from shared.training.folder import TrainFolder
save = TrainFolder.save
def waits(folder, reached, *given):
    while reached.epoch == 4:  # until it is killed, anywhere from the second epoch's end to here
        time.sleep(0.02)
    save(folder, reached, *given)
TrainFolder.save = waits
from test_train_torch import {name}
{name}(Path({data!r}), Path({out!r}), {weights!r}, **{options!r})
"""


@pytest.mark.parametrize("task", ["classifier", "detector", "segmenter"])
def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(
    task: str, weights: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue({"classifier": "coloured", "detector": "boxed", "segmenter": "masked"}[task])
    run: Callable[..., dict[str, Any]] = globals()[f"train_{task}"]
    options = {"epochs": 6, "trainable": "all"} if task == "classifier" else {"epochs": 6}
    whole, broken = tmp_path / "whole" / "model", tmp_path / "broken" / "model"
    code = RUN.format(name=f"train_{task}", data=str(data), out=str(broken), weights=weights, options=options)
    folders = [str(Path(__file__).parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    state = broken / "_train/state.json"
    limit = time.monotonic() + 300
    while not (state.exists() and json.loads(state.read_bytes())["reached"]["epoch"] >= 2):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    error = process.communicate()[1].decode()
    assert state.exists(), error
    before = json.loads(state.read_bytes())["reached"]
    assert 2 <= before["epoch"] < 4, error
    report = run(data, broken, weights, **options)
    assert [row["epoch"] for row in report["history"]] == list(range(1, 7))
    assert report["history"][: before["epoch"]] == before["history"]
    run(data, whole, weights, **options)
    for name in ("model.onnx", "card.toml"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_a_damaged_state_is_said(torch: Any, tmp_path: Path) -> None:
    from shared.training.folder import Reached, open_train_folder

    tensors = {"network/a": torch.ones(3)}
    with open_train_folder(tmp_path, {"task": "x"}, room=1) as folder:
        folder.save(Reached(1, 1, 0.5), tensors, {"a": torch.ones(3)})
        found = folder.load()
        assert found is not None
        assert (found[0].epoch, found[1]["network/a"].tolist()) == (1, [1.0, 1.0, 1.0])
        path = tmp_path / "_train/epoch-00001.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
        with pytest.raises(DataError, match=r"epoch-00001.safetensors is damaged"):
            folder.load()


def test_only_the_newest_state_and_the_best_weights_are_kept(torch: Any, tmp_path: Path) -> None:
    from shared.training.folder import Reached, open_train_folder

    with open_train_folder(tmp_path, {"task": "x"}, room=1) as folder:
        for epoch, best in ((1, 1), (2, 2), (3, 2)):
            folder.save(Reached(epoch, best, 0.5), {"a": torch.full((2,), float(epoch))}, {"a": torch.tensor([epoch])})
        names = sorted(path.name for path in (tmp_path / "_train").glob("*.safetensors"))
        assert names == ["best-00002.safetensors", "epoch-00003.safetensors"]
        assert folder.best(Reached(3, 2, 0.5))["a"].tolist() == [2]


def test_freezing_norms_changes_no_answer(torch: Any) -> None:
    from vision.training.backbone import freeze_norms

    models = pytest.importorskip("torchvision.models")
    for name in (BACKBONE, "resnet18"):
        torch.manual_seed(0)
        network = models.get_model(name, weights=None)
        network.train()
        pixels = torch.randn(4, 3, 64, 64)
        with torch.no_grad():
            network(pixels)  # statistics other than 0 and 1
            before = network.eval()(pixels)
            freeze_norms(network)
            network.train()
            network.requires_grad_(False)
            assert not [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
            torch.testing.assert_close(network.eval()(pixels), before, rtol=1e-3, atol=1e-4)


def test_features_times_the_head_are_the_networks_answer(torch: Any) -> None:
    from vision.training.features import compute_features, last_linear

    models = pytest.importorskip("torchvision.models")
    network = models.get_model(BACKBONE, weights=None).eval()
    name, head = last_linear(network)
    assert name == "fc"
    pictures = torch.randn(5, 3, 64, 64)
    features = compute_features(
        network, head, lambda view, at: pictures[at] + view, items=5, views=2, device=torch.device("cpu"), batch=2
    )
    assert features.shape == (2, 5, head.in_features)
    with torch.no_grad():
        torch.testing.assert_close(head(features[1]), network(pictures + 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("mobilenet_v2", [24, 32, 96, 1280]), ("resnet18", [64, 128, 256, 512]), ("efficientnet_b0", [24, 40, 112, 1280])],
)
def test_stages_of_a_backbone(torch: Any, name: str, channels: list[int]) -> None:
    from vision.training.backbone import STRIDES, body_and_stages, build_backbone, freeze

    network, _ = build_backbone(name, "none")
    body, stages = body_and_stages(network)
    assert [stage.stride for stage in stages] == list(STRIDES)
    assert [stage.channels for stage in stages] == channels
    shares = {}
    for trainable in ("head", "top", "all"):
        freeze(body, stages, trainable)
        shares[trainable] = np.mean([parameter.requires_grad for parameter in body.parameters()])
    assert shares["head"] == 0 < shares["top"] < shares["all"] == 1


def test_a_backbone_without_maps_or_with_other_weights_is_refused(torch: Any, weights: str, tmp_path: Path) -> None:
    from shared.errors import UnknownNameError, UsageError
    from vision.training.backbone import body_and_stages, build_backbone

    with pytest.raises(UnknownNameError, match="mobilenet_v2"):
        build_backbone("mobilenet_v22", "none")
    with pytest.raises(DataError, match="must hold weights of torchvision's resnet18"):
        build_backbone("resnet18", weights)
    with pytest.raises(UsageError, match="weights must be imagenet, none or a file"):
        build_backbone("resnet18", str(tmp_path / "none.pth"))
    with pytest.raises(UsageError, match="a backbone must be a chain of layers"):
        body_and_stages(build_backbone("vit_b_16", "none")[0])


def test_code_in_a_weights_file_is_never_run(torch: Any, tmp_path: Path) -> None:
    from vision.training.backbone import build_backbone

    mark = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    torch.save({"a": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(DataError, match="must hold a plain state dict"):
        build_backbone(BACKBONE, str(tmp_path / "bad.pth"))
    assert not mark.exists()


def test_boxes_move_with_the_pixels(torch: Any) -> None:
    from vision.training.augment import box_transform
    from vision.training.batches import seeded

    change = box_transform("both", 114)
    picture = torch.zeros(3, 96, 128, dtype=torch.uint8)
    picture[0, 30:60, 40:90] = 255
    box = torch.tensor([[40.0, 30.0, 90.0, 60.0]])
    for at in range(20):
        changed, target = seeded(lambda _: change(picture, box, torch.tensor([3])), at, seed=0, epoch=1)
        rows, columns = np.nonzero(changed[0].numpy().astype(int) - changed[1].numpy() > 60)
        wanted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert target["labels"].tolist() == [3]
        assert target["boxes"].tolist()[0] == pytest.approx(wanted, abs=1.5)


def test_a_loss_that_is_no_number_ends_with_advice(coloured: Path, weights: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the loss is no longer a number in epoch .*lower learning_rate than 1e\\+30"):
        train_classifier(coloured, tmp_path / "out", weights, trainable="all", learning_rate=1e30)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.weights
def test_ants_and_bees(torch: Any, data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchvision.models")
    from vision.classification.train import train
    from vision.evaluate import evaluate_classification

    began = time.process_time()
    train(data_root / "vision/hymenoptera", tmp_path / "bees")
    assert time.process_time() - began < 300
    figures = evaluate_classification(data_root / "vision/hymenoptera/val", model=tmp_path / "bees", top_k=1)
    assert figures.metrics["top1"].value >= 0.93


def test_ultralytics_trains_where_it_is_asked_for(
    torch: Any, boxed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    library = pytest.importorskip("ultralytics")
    network = library.YOLO("yolo11n.yaml")
    network.save(tmp_path / "start.pt")
    report = train_detector(
        boxed, tmp_path / "squares", str(tmp_path / "start.pt"), trainer="ultralytics", epochs=1, size=64
    )
    card = read_model_folder(tmp_path / "squares")
    assert (card.licence, card.opt_in, card.family) == ("AGPL-3.0", "AGPL-3.0", "yolo")
    assert (report["epochs"], report["data"]["train"]) == (1, 6)
    assert "ultralytics is under AGPL-3.0" in capsys.readouterr().err
    assert not (tmp_path / "squares/_train/ultralytics").exists()
    (found,) = vision.detector(tmp_path / "squares", score_threshold=0.0).predict([boxed / "images/val0.png"])
    assert set(found.labels) <= {"square"}
