"""``triptych compare`` with tiny real graphs, and that each vision task's items give the evaluation's own figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_segmenters as tiny
from click.testing import CliRunner
from onnx import helper
from PIL import Image

from shared.cli.main import triptych
from shared.errors import UsageError
from shared.evaluation.classification import calibration_error
from shared.evaluation.comparing import compare_evaluations
from shared.evaluation.detection import FIGURES, Found, Things, detection_figures, detection_scores, match_boxes
from shared.evaluation.detection_items import image_f1, joined, pooled_figures
from shared.evaluation.item_figures import calibration_total, segmentation_totals
from shared.evaluation.items import Items, Mean, Pooled, Total
from shared.evaluation.matching import judge
from shared.evaluation.report import Evaluation
from shared.evaluation.segmentation import FIGURES as PIXEL_FIGURES
from shared.evaluation.segmentation import segmentation_intervals
from shared.types import Float64
from vision.evaluate import evaluate_classification
from vision.faces.items import pair_items
from vision.faces.pairs import FacePairs
from vision.items import chances_of, picture_attributes
from vision.segmentation.evaluate import evaluate_segmentation

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(triptych, list(arguments), standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout


def of_figure(figure: Mean | Total | Pooled) -> float:
    """The figure of all items."""
    if isinstance(figure, Mean):
        return float(np.nanmean(figure.values))
    if isinstance(figure, Total):
        return float(figure.figure(figure.rows.sum(axis=0)))
    return float(figure.figure(figure.records))


def items_of(evaluation: Evaluation) -> Items:
    """The items, whose figures must be the evaluation's own."""
    assert evaluation.items is not None
    found = evaluation.items()
    assert {*found.figures} == {*evaluation.metrics} != set()
    for name, figure in found.figures.items():
        assert of_figure(figure) == pytest.approx(evaluation.metrics[name].value), name
    return found


def classifier(place: Path, name: str, weights: Any) -> Path:
    """A model folder that answers with the weighed means of the channels."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["scores"]),
    ]
    content = tiny.graph(
        nodes, {"x": (1, 3, 8, 8)}, {"scores": (1, 3)}, {"w": 9 * np.asarray(weights, dtype=np.float32)}
    )
    options = {"size": 8, "resize": 8, "labels": [*COLOURS], "answers": "logits"}
    return tiny.folder(place / name, "image-classifier", content, options, task="vision.classification", name=name)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A hundred and twenty pictures of three colours, some of them dim; one of them broken, one of them mislabelled."""
    rng = np.random.default_rng(0)
    for at in range(120):
        name = [*COLOURS][at % 3]
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        shade = np.array(COLOURS[name]) * (0.3 if at % 4 == 0 else 1.0)
        pixels = np.clip(shade + rng.normal(0, 5, (8 + at % 2, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{at:03}.png")
    (tmp_path / "data" / "red" / "000.png").write_bytes(b"\x89PNG no more")
    Image.new("RGB", (8, 8), COLOURS["blue"]).save(tmp_path / "data" / "green" / "mislabelled.png")
    return tmp_path / "data"


@pytest.fixture
def models(tmp_path: Path) -> tuple[str, str]:
    """One that knows all colours, and one that takes green for blue."""
    good = np.eye(3)
    blind = good[:, [0, 2, 1]] * [1, 0.2, 1]
    return str(classifier(tmp_path, "seeing", good)), str(classifier(tmp_path, "blind", blind))


@pytest.mark.usefixtures("empty_home")
def test_the_command_finds_the_class_that_was_lost(pictures: Path, models: tuple[str, str], tmp_path: Path) -> None:
    arguments = ["compare", "vision.classification", str(pictures), "--models", *models]
    code, said = run(*arguments, "--json")
    found = json.loads(said)
    assert code == 1
    assert (found["models"], found["n"], found["failed"]) == (["seeing", "blind"], 121, [1, 1])
    top1 = found["figures"]["top1"]
    assert top1["first"] == pytest.approx(119 / 121)
    assert top1["difference"]["value"] == pytest.approx(top1["second"] - top1["first"])
    assert top1["p_value"] < 1e-6
    changed = {row["slice"]: row["difference"]["value"] for row in found["slices"]["changed"]}
    assert changed["class = green"] < -0.9
    assert changed["class = blue"] < -0.7
    assert "class = red" not in changed
    assert found["mcnemar"]["only_first"] > 60
    assert "blind is worse than seeing: top1 -0." in found["verdict"]
    for name, words in (("r.html", '<div class="forest">'), ("r.md", "# vision.classification: blind beside seeing")):
        _, text = run(*arguments, "--report", str(tmp_path / name))
        assert words in (tmp_path / name).read_text("utf-8")
        assert "blind is worse than seeing" in text
    run(*arguments, "--report", str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) == found


@pytest.mark.usefixtures("empty_home")
def test_a_model_beside_itself(pictures: Path, models: tuple[str, str]) -> None:
    _, said = run("compare", "vision.classification", str(pictures), "--models", models[0], models[0], "--json")
    found = json.loads(said)
    assert found["models"] == ["seeing (first)", "seeing (second)"]
    assert all(figure["difference"]["value"] == 0 for figure in found["figures"].values())
    assert all(figure["p_value"] == 1 for figure in found["figures"].values())
    assert not found["slices"]["changed"]


@pytest.mark.usefixtures("empty_home")
def test_evaluate_shows_slices_and_labels(pictures: Path, models: tuple[str, str], tmp_path: Path) -> None:
    arguments = ["evaluate", "vision.classification", str(pictures), "--slices", "--label-noise"]
    _, said = run(*arguments, "--model", models[1], "--json")
    found = json.loads(said)
    assert {"class = green", "class = blue"} & {row["slice"] for row in found["slices"]["slices"]}
    assert found["slices"]["slices"][0]["figure"]["value"] < 0.1
    _, said = run(*arguments, "--model", models[0], "--json", "--report", str(tmp_path / "r.md"))
    found = json.loads(said)["label_noise"]
    assert [Path(row["item"]).name for row in found["items"]] == ["mislabelled.png"]
    assert (found["items"][0]["label"], found["items"][0]["answer"]) == ("green", "blue")
    text = (tmp_path / "r.md").read_text("utf-8")
    assert "## Worst slices" in text
    assert "mislabelled.png" in text
    _, said = run(*arguments, "--model", models[0])
    assert "Labels that look wrong: 1 of 120 labels" in said
    with pytest.raises(UsageError, match="must end in"):
        run(*arguments, "--report", str(tmp_path / "r.pdf"))


@pytest.mark.usefixtures("empty_home")
def test_a_classifiers_items(pictures: Path, models: tuple[str, str]) -> None:
    found = items_of(evaluate_classification(pictures, model=models[0], top_k=2))
    assert (found.main, len(found)) == ("top1", 121)
    assert found.chances is not None
    assert found.chances.classes == tuple(COLOURS)
    assert np.isnan(found.chances.probabilities).any(axis=1).sum() == 1
    assert np.nansum(found.chances.probabilities, axis=1).max() == pytest.approx(1)
    assert {*np.unique(found.attributes["class"])} == {*COLOURS}
    broken = next(at for at, name in enumerate(found.ids) if name.endswith("000.png"))
    assert np.isnan(found.attributes["height"][broken])
    assert found.right()[broken] == 0


@pytest.mark.usefixtures("empty_home")
def test_a_segmenters_items(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "classes.csv").write_text("id,name\n0,red\n1,green\n2,blue\n")
    for at in range(40):
        truth, shown = np.repeat([[at % 3, (at + 1) % 3]], 8, axis=0), np.repeat([[at % 3, at * 7 % 3]], 8, axis=0)
        pixels = np.array([*COLOURS.values()], np.uint8)[shown.repeat(8, axis=1)]
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / f"{at:02}.png")
        Image.fromarray(np.uint8(truth.repeat(8, axis=1))).save(tmp_path / "data" / "masks" / f"{at:02}.png")
    model = tiny.by_colour(tmp_path / "model")
    report = evaluate_segmentation(tmp_path / "data", model=model)
    found = items_of(report)
    assert found.main == "image_miou"
    assert found.attributes["classes in it"].tolist() == [2] * 40
    same = compare_evaluations(report, report, rng=np.random.default_rng(0))
    assert all(figure.p_value == 1 for figure in same.figures)


def boxed(seed: int, images: int = 60) -> tuple[list[Things], list[Found], list[Found]]:
    """Things of two classes, what a good detector finds of them, and what a poor one does."""
    rng = np.random.default_rng(seed)
    truth, good, poor = [], [], []
    for at in range(images):
        n = 0 if at % 10 == 0 else int(rng.integers(1, 6))
        corner = rng.uniform(0, 300, (n, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 150, (n, 2))], axis=1)
        ids = rng.integers(1, 3, n)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        truth.append(Things(boxes, ids, areas, np.zeros(n, np.bool_)))
        for side, shift in ((good, 2.0), (poor, 12.0)):
            extra = int(rng.integers(0, 2))
            moved = np.concatenate(
                [boxes + rng.normal(0, shift, boxes.shape), np.array([[0.0, 0, 9, 9]] * extra)[:extra].reshape(-1, 4)]
            )
            side.append(Found(moved, np.r_[ids, [1] * extra].astype(np.int64), rng.random(n + extra)))
    return truth, good, poor


def test_pooled_detection_is_what_detection_figures_are() -> None:
    truth, good, poor = boxed(0)
    one, other = match_boxes(truth, good), match_boxes(truth, poor)
    values = detection_figures(one, rng=np.random.default_rng(0), resamples=10).overall
    pooled = pooled_figures(one, [*FIGURES, "image_f1"])
    assert [*pooled] == [*FIGURES]
    for name, metric in values.items():
        assert of_figure(pooled[name]) == pytest.approx(metric.value)
    # weights of a mixture: images of the first and of the second are those of one data set that was found so
    rng = np.random.default_rng(1)
    taken = rng.integers(0, 2, len(truth)).astype(np.bool_)
    mixed = match_boxes(truth, [a if first else b for a, b, first in zip(good, poor, taken)])
    records = [*pooled["map"].records, *pooled_figures(other, ["map"])["map"].records]
    weights = np.concatenate([taken, ~taken])[None].astype(np.float64)
    for name in ("map", "map50", "ar10", "map_small"):
        assert pooled[name].weighed is not None
        wanted = detection_scores(mixed)[name]
        assert pooled[name].weighed(records, weights) == pytest.approx(wanted, abs=1e-12)  # type: ignore[misc]
    twice = [pooled["map"].records[at] for at in (1, 1, 2)]
    weighed = detection_scores(one, weights=np.bincount([1, 1, 2], minlength=60)[None])["map"]
    assert pooled["map"].figure(twice) == pytest.approx(weighed[0])
    assert joined([one]) is one


def test_f1_of_images_by_hand_and_beside_what_a_viewer_sees() -> None:
    truth, good, _ = boxed(2)
    found = image_f1(match_boxes(truth, good), min_score=0.3)
    for at, (there, seen) in enumerate(zip(truth, good)):
        judged = judge(there, seen, min_score=0.3)
        right, wrong, missed = (int(part.sum()) for part in (judged.right, judged.wrong, judged.missed))
        whole = 2 * right + wrong + missed
        assert found[at] == pytest.approx(2 * right / whole if whole else 1.0)


def test_totals_are_the_figures_that_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    right, sure = rng.random(50) < 0.7, rng.random(50)
    assert of_figure(calibration_total(right, sure)) == pytest.approx(calibration_error(right, sure))
    failed = np.where(np.arange(50) < 5, np.nan, sure)
    assert of_figure(calibration_total(right, failed)) == pytest.approx(calibration_error(right[5:], sure[5:]))
    assert np.isnan(of_figure(calibration_total(right, np.full(50, np.nan))))
    with pytest.raises(UsageError, match=r"must have one shape \(n,\)"):
        calibration_total(right, sure[:3])
    confusions = rng.integers(0, 9, (20, 3, 4))
    confusions[:, 2] = confusions[:, :, 2] = 0
    wanted = segmentation_intervals(confusions, rng=rng, resamples=5)
    totals = segmentation_totals(confusions)
    assert [*totals] == [*PIXEL_FIGURES]
    for name, total in totals.items():
        assert of_figure(total) == pytest.approx(wanted[name].value)


def test_chances_are_shares_among_the_data_sets_own_classes() -> None:
    names = {"n02": 7, "n01": 3}
    rows: list[Any] = [np.float32([0.2, 0.6]), None, np.float32([0, 0]), np.float32([0.5, 0.0])]
    found = chances_of(["n01", "n02", "n02", "n02"], names, rows)
    assert found is not None
    assert (found.classes, found.truth.tolist()) == (("n01", "n02"), [0, 1, 1, 1])
    assert found.probabilities[[0, 3]].tolist() == [pytest.approx([0.25, 0.75]), [1.0, 0.0]]
    assert np.isnan(found.probabilities[[1, 2]]).all()
    assert chances_of(["a"], {"a": 1}, [None]) is None


def test_attributes_of_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (100, 100, 100)).save(tmp_path / "a.JPG", quality=95)
    Image.new("L", (10, 10), 255).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"\x89PNG no more")
    found = picture_attributes([str(tmp_path / name) for name in ("a.JPG", "b.png", "c.png")])
    assert found["height"].tolist()[:2] == [20, 10]
    assert found["aspect"].tolist()[:2] == [2, 1]
    assert found["area"][0] == pytest.approx(0.0008)
    assert found["brightness"].tolist()[:2] == pytest.approx([100, 255], abs=1)
    assert found["format"].tolist() == ["jpeg", "png", "png"]
    assert all(np.isnan(found[name][2]) for name in ("height", "width", "area", "aspect", "brightness"))


def test_pairs_of_faces(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "b.png")
    paths = (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    first, second = np.array([0, 0, 0, 1]), np.array([1, 1, 0, 1])
    pairs = FacePairs(paths, first, second, np.array([True, False, True, False]), None)
    similarity: Float64 = np.array([0.9, 0.2, np.nan, 0.4])
    found = pair_items(pairs, similarity, np.full(4, 0.5), far=0.5, threshold=0.3)()
    assert found.figures["accuracy"].values.tolist() == [1, 1, 0, 1]  # type: ignore[union-attr]
    assert found.figures["accuracy_at_threshold"].values.tolist() == [1, 1, 0, 0]  # type: ignore[union-attr]
    assert of_figure(found.figures["auc"]) == 0.5
    assert len(set(found.ids)) == 4
    assert found.attributes["smaller area"].tolist() == [0.0004, 0.0004, 0.0004, 0.0016]
    assert found.attributes["pair"].tolist() == ["one person", "two persons"] * 2
    eer = found.figures["eer"]
    assert isinstance(eer, Pooled)
    assert np.isnan(eer.figure(eer.records[:1]))
    without = pair_items(pairs, similarity, np.full(4, 0.5), far=0.5, threshold=None)()
    assert "accuracy_at_threshold" not in without.figures
