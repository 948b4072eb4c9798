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
from shared.evaluation.comparing import compare_evaluations
from shared.evaluation.items import Items, Mean, Pooled, Total
from shared.evaluation.report import Evaluation
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
