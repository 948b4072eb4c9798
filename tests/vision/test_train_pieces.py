"""The parts of training that need no torch: schedules, splits, folders, pictures, options and their errors."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from PIL import Image

from shared.cli.main import triptych
from shared.errors import DataError, MissingDependencyError, PlanMismatchError, UsageError
from shared.training.folder import open_train_folder
from shared.training.loop import Schedule, derived
from vision.classification.train import train as train_classifier
from vision.detection.train import train as train_detector
from vision.images import View
from vision.segmentation.train import train as train_segmenter
from vision.training import labelled, masked
from vision.training.batches import orders
from vision.training.boxed import read_data as read_boxed
from vision.training.data import make_split, named_folders
from vision.training.detector import rectangle
from vision.training.pictures import sift

ROOT = Path(__file__).resolve().parents[2]
PLAN = {"task": "vision.classification", "data": "abc", "recipe": {"epochs": 3, "seed": 0}}


def save_picture(path: Path, colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def schedule(**changes: Any) -> Schedule:
    values = {"epochs": 2, "batch_size": 4, "learning_rate": 0.1, "weight_decay": 0.0, "patience": 0}
    return Schedule(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1. Got 0 instead"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0. Got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"backbone_rate": 1.5}, r"backbone_rate must be in \[0, 1\]"),
    ],
)
def test_a_schedule_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schedule(**changes)


def test_the_learning_rate_rises_and_falls_and_never_stops_before_the_end() -> None:
    rates = [schedule().rate(step, 200) for step in range(200)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert np.all(np.diff(rates[10:]) < 0)
    assert 0 < rates[-1] < 0.001


def test_a_split_is_stratified_disjoint_and_the_seeds_own() -> None:
    groups = ["a"] * 50 + ["b"] * 10 + ["c"]
    split = make_split(groups, val_share=0.2, seed=3)
    assert sorted((*split.train, *split.val)) == list(range(61))
    assert [sum(groups[at] == name for at in split.val) for name in "abc"] == [10, 2, 0]
    assert split == make_split(groups, val_share=0.2, seed=3)
    assert split.val != make_split(groups, val_share=0.2, seed=4).val


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="val_share must lie between 0 and 1"):
        make_split(["a", "a"], val_share=share, seed=0)


def test_one_item_cannot_be_split() -> None:
    with pytest.raises(DataError, match="two items of one class"):
        make_split(["a", "b"], val_share=0.5, seed=0)


@pytest.mark.parametrize(("names", "wanted"), [(["train", "val"], "val"), (["train", "valid", "test"], "valid")])
def test_the_data_sets_own_folders_are_found(tmp_path: Path, names: list[str], wanted: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert named_folders(tmp_path) == (tmp_path / "train", tmp_path / wanted)


def test_a_training_folder_alone_is_said(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="must have one of val, valid, validation, test too"):
        named_folders(tmp_path)


def test_every_item_comes_once_an_epoch_in_the_seeds_order() -> None:
    first = orders(11, 4, seed=1, epoch=1)
    assert [len(batch) for batch in first] == [4, 4, 3]
    assert [len(batch) for batch in orders(9, 4, seed=1, epoch=1)] == [4, 5]
    assert sorted(at for batch in first for at in batch) == list(range(11))
    assert first == orders(11, 4, seed=1, epoch=1)
    assert len({str(orders(11, 4, seed=s, epoch=e)) for s in (0, 1) for e in (1, 2)}) == 4


def test_derived_seeds_differ_and_fit_torch() -> None:
    seeds = [derived(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
    assert len(set(seeds)) == 64
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("sizes", "longer", "wanted"),
    [([(480, 640)] * 3, 320, (256, 320)), ([(360, 480)], 480, (384, 480)), ([(640, 480)], 320, (320, 256))],
)
def test_the_networks_rectangle_has_the_usual_pictures_ratio(
    sizes: list[tuple[int, int]], longer: int, wanted: tuple[int, int]
) -> None:
    assert rectangle(sizes, longer) == wanted


def test_bad_pictures_are_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = save_picture(tmp_path / "a.png", size=(40, 20))
    broken = tmp_path / "b.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 and nothing more")
    paths = [str(broken), str(good), str(tmp_path / "none.png")]
    pictures, kept, skipped = sift(paths, lambda h, w: View((0, 0, w, h), (h // 2, w // 2)))
    assert kept.tolist() == [1]
    assert len(pictures) == 1
    pixels, outer = pictures[0]
    assert (pixels.shape, outer) == ((10, 20, 3), (20, 40))
    assert [item.kind for item in skipped] == ["corrupt", "not-found"]
    assert "2 of 3 pictures are left out" in capsys.readouterr().err


def test_no_picture_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="None of 1 can: .*not-found"):
        sift([str(tmp_path / "none.png")], lambda h, w: View((0, 0, w, h), (h, w)))


def test_pictures_beyond_the_memory_are_decoded_again(tmp_path: Path) -> None:
    paths = [str(save_picture(tmp_path / f"{n}.png", (n, n, n))) for n in range(4)]
    pictures, _, _ = sift(paths, lambda h, w: View((0, 0, w, h), (h, w)), memory=2 * 24 * 16 * 3)
    assert pictures.kept == 2
    assert [int(pictures[at][0][0, 0, 0]) for at in range(4)] == [0, 1, 2, 3]


class TestFolder:
    def test_a_plan_under_which_nothing_was_done_is_no_hindrance(self, tmp_path: Path) -> None:
        for plan in (PLAN, {**PLAN, "data": "other"}):
            with open_train_folder(tmp_path / "out", plan, room=1) as folder:
                assert folder.load() is None
        assert json.loads((tmp_path / "out/_train/plan.json").read_text())["data"] == "other"

    def test_the_same_plan_goes_on_and_another_is_refused(self, tmp_path: Path) -> None:
        with open_train_folder(tmp_path / "out", PLAN, room=1) as folder:
            assert folder.load() is None
            (folder.inner / "epoch-00001.safetensors").write_bytes(b"")
        with open_train_folder(tmp_path / "out", PLAN, room=1):
            pass
        other = {**PLAN, "recipe": {"epochs": 4, "seed": 0}}
        with (
            pytest.raises(PlanMismatchError, match="another plan. Different: recipe.epochs \\(was 3, now 4\\)"),
            open_train_folder(tmp_path / "out", other, room=1),
        ):
            pass

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(UsageError, match="holds other files"), open_train_folder(tmp_path, PLAN, room=1):
            pass

    def test_a_file_or_a_place_that_cannot_be_written_is_said_before_training(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        for out, message in ((file, "is a file"), (file / "below", "must be a folder that can be written")):
            with pytest.raises(UsageError, match=message), open_train_folder(out, PLAN, room=1):
                pass

    def test_too_little_room_is_said_before_training(self, tmp_path: Path) -> None:
        with (
            pytest.raises(UsageError, match="needs about .* are free under .*make room"),
            open_train_folder(tmp_path / "out", PLAN, room=10**18),
        ):
            pass

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        (tmp_path / "out/_train").mkdir(parents=True)
        lock = FileLock(tmp_path / "out/_train/lock")
        with (
            lock,
            pytest.raises(UsageError, match="one process trains in a folder"),
            open_train_folder(tmp_path / "out", PLAN, room=1),
        ):
            pass

    def test_a_disk_that_is_full_is_said_and_what_was_there_stays(self, tmp_path: Path) -> None:
        code = (
            "import resource; from pathlib import Path; from shared.training.folder import open_train_folder\n"
            f"with open_train_folder(Path({str(tmp_path / 'out')!r}), {PLAN!r}, room=1) as folder:\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
            "    folder.finish({'text': 'x' * 100})\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
        assert "report.json could not be written in" in done.stderr
        assert "give the same command again to go on" in done.stderr
        assert json.loads((tmp_path / "out/_train/plan.json").read_text())["data"] == "abc"
        assert not (tmp_path / "out/report.json").exists()

    def test_a_finished_training_answers_with_its_report(self, tmp_path: Path) -> None:
        with open_train_folder(tmp_path / "out", PLAN, room=1) as folder:
            folder.finish({"model": "m"})
        with open_train_folder(tmp_path / "out", PLAN, room=10**18) as folder:
            assert folder.report() == {"model": "m"}


def image_folder(root: Path) -> Path:
    for split, count in (("train", 3), ("val", 2)):
        for label, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
            for n in range(count):
                save_picture(root / split / label / f"{n}.png", colour)
    return root


def test_labelled_pictures_come_from_their_own_folders_or_a_split(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    own = labelled.read_data(root, format=None, val_share=0.2, seed=0)
    assert (own.labels, len(own.train), len(own.val)) == (("blue", "red"), 6, 4)
    assert own.split == "the folders train and val"
    made = labelled.read_data(root / "train", format=None, val_share=0.34, seed=0)
    assert (len(made.train), made.val_ids.tolist()) == (4, [0, 1])
    save_picture(root / "train/red/3.png")
    assert labelled.read_data(root, format=None, val_share=0.2, seed=0).digest != own.digest


@pytest.mark.parametrize(
    ("strange", "message"), [("val/green", r"and \['green'\] for validation alone"), (None, "two classes at least")]
)
def test_classes_must_be_two_and_known(tmp_path: Path, strange: str | None, message: str) -> None:
    save_picture(tmp_path / "train/red/0.png")
    save_picture(tmp_path / "val/red/0.png")
    if strange:
        save_picture(tmp_path / "train/blue/0.png")
        save_picture(tmp_path / strange / "0.png")
    with pytest.raises(DataError, match=message):
        labelled.read_data(tmp_path, format=None, val_share=0.2, seed=0)


def coco_file(root: Path, split: str, boxes: int) -> None:
    save_picture(root / "images" / f"{split}.png", size=(60, 40))
    annotations = [
        {"id": n, "image_id": 1, "category_id": 7, "bbox": [5 * n, 5, 20, 20], "iscrowd": 0, "area": 400}
        for n in range(boxes)
    ]
    content = {
        "images": [{"id": 1, "file_name": f"{split}.png", "height": 40, "width": 60}],
        "categories": [{"id": 3, "name": "never"}, {"id": 7, "name": "cell"}],
        "annotations": annotations,
    }
    (root / f"instances_{split}.json").write_text(json.dumps(content))


def test_boxed_pictures_come_by_named_splits_with_classes_from_0(tmp_path: Path) -> None:
    coco_file(tmp_path, "train", 3)
    coco_file(tmp_path, "val", 1)
    data = read_boxed(tmp_path, format=None, images=None, train_split="train", val_split="val", val_share=0.2, seed=0)
    assert data.labels == ("cell",)
    assert data.train[0].class_ids.tolist() == [0, 0, 0]
    assert data.val[0].xyxy.tolist() == [[0, 5, 20, 25]]
    assert data.split == "the splits train and val"


def test_pictures_without_things_cannot_train_a_detector(tmp_path: Path) -> None:
    coco_file(tmp_path, "train", 0)
    coco_file(tmp_path, "val", 0)
    with pytest.raises(DataError, match="training needs things in its pictures"):
        read_boxed(tmp_path, format=None, images=None, train_split="train", val_split="val", val_share=0.2, seed=0)


def test_masks_come_with_classes_from_0(tmp_path: Path) -> None:
    for n in range(5):
        save_picture(tmp_path / f"images/{n}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 24), 4, np.uint8)).save(tmp_path / f"masks/{n}.png")
    (tmp_path / "classes.csv").write_text("id,name\n4,cat\n9,dog\n255,void\n")
    data = masked.read_data(tmp_path, format=None, images=None, train_split=None, val_split=None, val_share=0.2, seed=0)
    assert (data.labels, len(data.train), len(data.val)) == (("cat", "dog"), 4, 1)
    assert [int(data.numbers[n]) for n in (4, 9, 0, 255)] == [0, 1, 255, 255]


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (train_classifier, {"trainable": "top"}, "trainable must be one of head, all. Got 'top' instead"),
        (train_classifier, {"class_weight": "rare"}, "class_weight must be one of none, balanced"),
        (train_classifier, {"flips": "left"}, "flips must be one of none, horizontal, both"),
        (train_classifier, {"seed": -1}, "seed must be a whole number from 0 on"),
        (train_classifier, {"size": 8}, r"size must lie in 32\.\.4096 pixels"),
        (train_classifier, {"resize": 200}, r"resize must lie in 224\.\.4096 pixels"),
        (train_classifier, {"views": 0}, "views must be at least 1"),
        (train_classifier, {"weights": "none"}, "weights must not be none where only the head is trained"),
        (train_classifier, {"epochs": 0}, "epochs must be at least 1"),
        (train_detector, {"trainable": "bottom"}, "trainable must be one of head, top, all"),
        (train_detector, {"channels": 48}, "channels must be a multiple of 32 from 64 on. Got 48"),
        (train_detector, {"convs": 0}, "convs must be at least 1"),
        (train_detector, {"weights": "none"}, "weights must not be none where a part of them stays"),
        (train_segmenter, {"channels": 4}, "channels must be at least 8"),
        (train_segmenter, {"class_weight": "rare"}, "class_weight must be one of none, balanced"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_read(
    tmp_path: Path, train: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(tmp_path / "none", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
@pytest.mark.parametrize("train", [train_classifier, train_detector, train_segmenter])
def test_without_torch_the_pip_command_is_said(tmp_path: Path, train: Any) -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[torch\]'"):
        train(image_folder(tmp_path / "data"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["vision.classification", "vision.detection", "vision.segmentation"])
def test_the_command_tells_every_option(task: str) -> None:
    result = CliRunner().invoke(triptych, ["train", task, "--help"])
    assert result.exit_code == 0
    for word in ("--backbone", "--weights", "--epochs", "--flips", "--data-licence", "--seed", "goes on where"):
        assert word in result.output
