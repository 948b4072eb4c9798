"""Segmenters of every family on tiny real graphs whose answers are known, their results, and their evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_segmenters as tiny
from PIL import Image

import vision
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.report import Evaluation
from shared.testing.contracts import PredictorContract
from shared.types import AnyArray, Failure, Result
from vision.labels import LabelSet
from vision.masks import Rle, decode_mask, encode_mask
from vision.segmentation.datasets import read_masked_images
from vision.segmentation.draw import cut_out, draw_segmentation
from vision.segmentation.evaluate import evaluate_segmentation, match_classes
from vision.segmentation.prompts import Prompts
from vision.types import Segmentation


def halves(left: str, right: str, height: int = 16, width: int = 32) -> AnyArray:
    """A picture of two colours side by side."""
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3, "black": (0, 0, 0)}
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = colours[left], colours[right]
    return picture


def segmentation(**changes: Any) -> Segmentation:
    mask = np.zeros((6, 8), np.bool_)
    mask[1:3, 2:7] = True
    facts: dict[str, Any] = {
        "kind": "instance",
        "image_size": (6, 8),
        "labels": ("cat", "dog"),
        "masks": (encode_mask(mask), encode_mask(~mask)),
        "xyxy": np.float32([[2, 1, 7, 3], [0, 0, 8, 6]]),
        "scores": np.float32([0.9, 0.25]),
        "class_ids": np.int32([17, 18]),
        "areas": np.int64([10, 38]),
    }
    return Segmentation(**(facts | changes))


ALPHA = np.uint8(np.arange(48).reshape(6, 8) * 5)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.by_colour(tmp_path_factory.mktemp("colours"))


class TestTinySegmenter(PredictorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        return vision.segmenter(tiny.by_colour(tmp_path_factory.mktemp("contract")))

    def good(self) -> list[Any]:
        return [halves("red", "blue"), halves("green", "green", 9, 40), halves("blue", "green", 33, 12)]

    def bad(self) -> Any:
        return b"<html>"


class TestTinyPromptable(PredictorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def predictor(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        return vision.promptable_segmenter(tiny.around_points(tmp_path_factory.mktemp("prompted")))

    def good(self) -> list[Any]:
        return [
            (halves("red", "blue"), Prompts(points=[[9, 8]])),
            (halves("red", "red"), Prompts(boxes=[[1, 2, 9, 8]])),
        ]

    def bad(self) -> Any:
        return (halves("red", "blue"), Prompts(points=[[99, 8]]))

    def test_inputs_are_not_changed(self, predictor: Any) -> None:
        picture = halves("red", "blue")
        before = picture.copy()
        predictor.predict([(picture, Prompts(points=[[9, 8]]))])
        assert (picture == before).all()


def test_classes_of_pixels_at_the_pictures_own_size(colours: Path) -> None:
    found = vision.segmenter(colours).predict([halves("red", "blue"), halves("green", "green", 7, 5)])
    two, one = found
    assert isinstance(two, Segmentation)
    assert isinstance(one, Segmentation)
    assert (two.kind, two.image_size, set(two.labels)) == ("semantic", (16, 32), {"red", "blue"})
    assert sorted(two.areas.tolist()) == [256, 256]
    assert two.shares.tolist() == [0.5, 0.5]
    at = two.labels.index("red")
    assert two.xyxy[at].tolist() == [0, 0, 16, 16]
    assert two.mask(at)[:, :16].all()
    assert not two.mask(at)[:, 16:].any()
    assert (two.class_map() == np.where(np.arange(32) < 16, 0, 2)).all()
    assert two.scores.min() > 0.99
    assert (one.labels, one.areas.tolist()) == (("green",), [35])
    assert two.polygons(at, tolerance=1.0)[0].shape == (4, 2)


def test_classes_that_are_not_wanted_are_background(colours: Path) -> None:
    found = vision.segmenter(colours, classes=["blue"]).predict([halves("red", "blue")])[0]
    assert isinstance(found, Segmentation)
    assert (found.labels, found.class_ids.tolist()) == (("blue",), [2])
    with pytest.raises(UnknownNameError, match="no class of this model is called 'violet'"):
        vision.segmenter(colours, classes=["violet"])


@pytest.mark.parametrize("fit", ["stretch", "corner", "centre"])
@pytest.mark.parametrize("shape", [(8, 8), (64, 16), (5, 90), (1, 1)])
def test_masks_lie_where_the_picture_does(tmp_path: Path, fit: str, shape: tuple[int, int]) -> None:
    model = vision.segmenter(tiny.by_colour(tmp_path, fit=fit, background=0))
    height, width = shape
    picture = halves("green", "blue", height, width)
    found = model.predict([picture])[0]
    assert isinstance(found, Segmentation)
    wanted = picture.argmax(axis=2)
    assert (found.class_map() == wanted).mean() > 0.95


def test_an_alpha_map_and_what_is_cut_out(tmp_path: Path) -> None:
    picture = halves("black", "white")
    found = vision.segmenter(tiny.by_light(tmp_path)).predict([picture])[0]
    assert isinstance(found, Segmentation)
    assert found.alpha is not None
    assert (found.kind, found.labels, found.areas.tolist()) == ("foreground", ("foreground",), [256])
    assert (found.alpha[:, :10] == 0).all()
    assert (found.alpha[:, 22:] == 255).all()
    cut = cut_out(picture, found)
    assert (cut.mode, cut.size) == ("RGBA", (32, 16))
    assert (np.asarray(cut)[..., 3] == found.alpha).all()
    nothing = vision.segmenter(tmp_path).predict([halves("black", "black")])[0]
    assert isinstance(nothing, Segmentation)
    assert nothing.labels == ()
    assert nothing.alpha is not None
    assert not nothing.alpha.any()


def test_a_map_is_stretched_where_the_card_says_so(tmp_path: Path) -> None:
    picture = halves("black", "red")  # a third of full light
    found = vision.segmenter(tiny.by_light(tmp_path, stretch=True)).predict([picture])[0]
    assert isinstance(found, Segmentation)
    assert found.alpha is not None
    assert (found.alpha.min(), found.alpha.max()) == (0, 255)


def test_a_graph_that_wrote_its_sizes_down_reads_another_size(tmp_path: Path) -> None:
    import openvino

    from shared.backends import open_backend

    ops = openvino.opset13
    given = ops.parameter([1, 3, 9, 9], name="x", dtype=np.float32)
    pooled = ops.avg_pool(given, [9, 9], [0, 0], [0, 0], [9, 9], True)
    sizes, axes = (ops.constant(np.int32(values)) for values in ([9, 9], [2, 3]))
    large = openvino.opset11.interpolate(
        pooled, sizes, "linear_onnx", "sizes", axes=axes, coordinate_transformation_mode="align_corners"
    )
    path = tmp_path / "graph.xml"
    openvino.save_model(openvino.Model([ops.add(given, large)], [given], "graph"), str(path), compress_to_fp16=False)
    picture = np.random.default_rng(0).random((1, 3, 17, 25)).astype(np.float32)
    backend = open_backend("openvino", path, input_shape=picture.shape)
    found = next(iter(backend.run([{backend.inputs[0].name: picture}])[0].values()))
    np.testing.assert_allclose(found, picture + picture.mean(axis=(2, 3), keepdims=True), rtol=1e-5)


BOXES = np.float32([[2, 2, 6, 6], [2, 2, 6, 7], [0, 0, 8, 4]])


def test_yolo_masks_are_mixed_from_prototypes_inside_their_boxes(tmp_path: Path) -> None:
    prototypes = np.zeros((1, 2, 4, 4), np.float32)
    prototypes[0, 0, :, :2], prototypes[0, 0, :, 2:] = 1, -1  # the left half
    prototypes[0, 1, :2], prototypes[0, 1, 2:] = 1, -1  # the upper half
    rows = np.zeros((1, 4 + 2 + 2, 3), np.float32)
    rows[0, :4] = [[4, 4, 4], [4, 4, 2], [8, 8, 8], [8, 8, 4]]  # centre x, centre y, width, height
    rows[0, 4:6] = [[0.9, 0.8, 0.1], [0.0, 0.0, 0.7]]
    rows[0, 6:] = [[1, 1, 0], [0, 0, 1]]
    place = tiny.constant(
        tmp_path, "yolo-seg", {"output0": rows, "output1": prototypes}, {"labels": ["cat", "dog"], "fit": "stretch"}
    )
    found = vision.segmenter(place).predict([np.zeros((16, 16, 3), np.uint8)])[0]
    assert isinstance(found, Segmentation)
    assert found.labels == ("cat", "dog")  # the second box is the first one's double
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.mask(0)[:, :8].all()
    assert not found.mask(0)[:, 8:].any()
    assert found.mask(1)[:8].all()
    assert not found.mask(1)[8:].any()
    assert found.xyxy.tolist() == [[0, 0, 16, 16], [0, 0, 16, 8]]
    few = vision.segmenter(place, max_segments=1, score_threshold=0.1).predict([np.zeros((16, 16, 3), np.uint8)])[0]
    assert isinstance(few, Segmentation)
    assert len(few.masks) == 1


@pytest.mark.parametrize("mask_of", ["input", "box"])
def test_masks_of_the_input_and_of_a_box(tmp_path: Path, mask_of: str) -> None:
    masks = np.zeros((2, 1, 8, 8), np.float32)
    masks[0, 0] = masks[1, 0, :, 4:] = 1
    answers = {
        "boxes": np.float32([[2, 2, 6, 6], [0, 0, 8, 8]]),
        "scores": np.float32([0.9, 0.6]),
        "labels": np.int64([1, 2]),
        "masks": masks,
    }
    place = tiny.constant(tmp_path, "masks", answers, {"labels": ["", "cat", "dog"], "mask_of": mask_of})
    found = vision.segmenter(place).predict([np.zeros((80, 160, 3), np.uint8)])[0]
    assert isinstance(found, Segmentation)
    assert (found.labels, found.kind) == (("cat", "dog"), "instance")
    assert found.xyxy.tolist() == [[40, 20, 120, 60], [0, 0, 160, 80]]
    cat = np.zeros((80, 160), np.bool_)
    cat[20:60, 40:120] = True
    assert (found.mask(0) == cat).all()
    assert found.mask(1)[:, 81:].all()
    assert not found.mask(1)[:, :79].any()
    only = vision.segmenter(place, classes=["dog"]).predict([np.zeros((8, 8, 3), np.uint8)])[0]
    assert isinstance(only, Segmentation)
    assert only.labels == ("dog",)


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_queries_are_things_or_classes(tmp_path: Path, kind: str) -> None:
    maps = np.full((1, 3, 4, 4), -8, np.float32)
    maps[0, 0, :, :2] = maps[0, 1, :, 2:] = maps[0, 2] = 8
    logits = np.full((1, 3, 3), -9, np.float32)
    logits[0, 0, 0] = logits[0, 1, 1] = logits[0, 2, 2] = 9  # the third query found nothing
    answers = {"class_queries_logits": logits, "masks_queries_logits": maps}
    place = tiny.constant(tmp_path, "queries", answers, {"labels": ["cat", "dog"], "kind": kind})
    found = vision.segmenter(place).predict([np.zeros((8, 16, 3), np.uint8)])[0]
    assert isinstance(found, Segmentation)
    assert found.kind == kind
    assert found.mask(found.labels.index("cat"))[:, :8].all()
    assert found.mask(found.labels.index("dog"))[:, 8:].all()
    assert found.areas.tolist() == [64, 64]
    assert found.scores.min() > 0.99


def test_prompts_are_answered_in_their_order(tmp_path: Path) -> None:
    photo = vision.promptable_segmenter(tiny.around_points(tmp_path)).embed(halves("red", "blue", 128, 64))
    assert photo.image_size == (128, 64)
    point = photo.segment(points=[[20, 40]])  # 64 px of the network are 128 px of the picture
    assert (point.kind, point.labels, point.scores.tolist()) == ("prompted", ("thing",), pytest.approx([0.9]))
    x1, y1, x2, y2 = point.xyxy[0].tolist()
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((20, 40), abs=4)
    assert y2 - y1 == pytest.approx(48, abs=6)
    boxes = photo.segment(boxes=[[28, 88, 36, 96], [16, 24, 24, 32]])
    assert boxes.scores.tolist() == pytest.approx([0.5, 0.5])
    centres = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
    np.testing.assert_allclose(centres, [[32, 92], [20, 28]], atol=4)
    several = photo.segment(points=[[[20, 40], [24, 40]]] * 20, point_labels=[[1, 0]] * 20)
    assert several.scores.tolist() == pytest.approx([0.5] * 20)
    assert len({mask.counts for mask in several.masks}) == 1


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({}, "at least one point or box"),
        ({"point_labels": [1]}, "at least one point or box"),
        ({"boxes": [[1, 1, 5, 5]], "point_labels": [1]}, "point_labels must come with points"),
        ({"points": [1, 2]}, r"shape \(n, k, 2\)"),
        ({"points": [[1, 2, 3]]}, "2 a row"),
        ({"points": [[1, float("nan")]]}, "finite numbers"),
        ({"points": "here"}, "points must be numbers"),
        ({"points": [[1, 2]], "point_labels": [2]}, r"1 \(on the thing\) or 0"),
        ({"points": [[1, 2]], "point_labels": [1, 1]}, r"shape \(1, 1\)"),
        ({"boxes": [[5, 1, 1, 5]]}, "x1 < x2 and y1 < y2. Got"),
        ({"boxes": [[[1, 1, 5, 5]]]}, r"shape \(n, 4\)"),
        ({"points": [[[1, 1]], [[2, 2]]], "boxes": [1, 1, 5, 5]}, "Got points of 2 and boxes of 1"),
    ],
)
def test_wrong_prompts_say_so(prompts: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Prompts(**prompts)


def test_prompts_must_lie_in_their_picture(tmp_path: Path) -> None:
    model = vision.promptable_segmenter(tiny.around_points(tmp_path))
    photo = model.embed(halves("red", "blue"))
    with pytest.raises(UsageError, match="0 <= x <= 32 and 0 <= y <= 16. Got"):
        photo.segment(points=[[33, 4]])
    with pytest.raises(UsageError, match="must reach into the picture of 32 x 16"):
        photo.segment(boxes=[[40, 2, 50, 8]])
    assert photo.segment(boxes=[[-5, -5, 99, 99]]).masks
    failed = model.predict([halves("red", "blue")], on_error="keep")[0]  # type: ignore[list-item]
    assert isinstance(failed, Failure)
    assert "a pair of a picture and its Prompts" in failed.message


@pytest.mark.parametrize(
    "result",
    [segmentation(), segmentation().select(np.zeros(0, int)), segmentation(kind="foreground", alpha=ALPHA)],
    ids=["two", "nothing", "alpha"],
)
def test_results_survive_json(result: Segmentation) -> None:
    text = json.dumps(result.to_json())
    assert Result.from_json(json.loads(text)) == result
    assert len(text) < 900


def test_a_selection_keeps_its_parts_together() -> None:
    dog = segmentation().select(np.array([False, True]))
    assert (dog.labels, dog.areas.tolist(), dog.class_ids.tolist()) == (("dog",), [38], [18])
    assert dog.shares.tolist() == [38 / 48]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "panoptic"}, "kind must be one of 'semantic'"),
        ({"labels": ("cat",)}, "Got 1 labels, 2 masks, 2 scores"),
        ({"image_size": (6, 9)}, r"of the picture's size \(6, 9\)"),
        ({"alpha": ALPHA}, "given for kind 'foreground' and no other. Got one for kind 'instance'"),
        ({"kind": "foreground"}, "Got none for kind 'foreground'"),
        ({"kind": "foreground", "alpha": ALPHA[:2]}, "alpha of the picture's size"),
        ({"scores": np.float32([0.1, 0.9])}, "scores of instances must never rise"),
        ({"xyxy": np.float32([[2, 1, 7, 3], [0, 0, 9, 6]])}, "x2 <= 8"),
        ({"areas": np.int32([10, 38])}, "must be a int64 array"),
    ],
)
def test_a_segmentation_is_checked_at_birth(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        segmentation(**changes)


def test_an_alpha_map_must_be_a_grey_png() -> None:
    data = segmentation(kind="foreground", alpha=ALPHA).to_json()
    for wrong in ("no base64!", "QUJD", 7, None):
        with pytest.raises(UsageError, match="alpha"):
            Result.from_json(data | {"alpha": wrong})


def test_drawing_colours_each_segment_and_leaves_the_rest() -> None:
    picture = np.full((6, 8, 3), 200, np.uint8)
    found = segmentation().select(np.array([0]))
    drawn = np.asarray(draw_segmentation(picture, found, outlines=False))
    inside = decode_mask(found.masks[0])
    assert (drawn[~inside] == 200).all()
    assert (drawn[inside] != 200).any(axis=1).all()
    assert (picture == 200).all()
    assert draw_segmentation(Image.new("L", (16, 12)), found).size == (16, 12)
    faded = np.asarray(draw_segmentation(picture, segmentation(kind="foreground", alpha=ALPHA)))
    assert faded[0, 0].tolist() == [228, 228, 228]
    assert (np.asarray(cut_out(picture, found))[..., 3] == inside * 255).all()
    with pytest.raises(UsageError, match="8 x 6 or scaled evenly. Got 6 x 8"):
        draw_segmentation(np.zeros((8, 6, 3), np.uint8), found)
    with pytest.raises(UsageError, match="opacity must lie in"):
        draw_segmentation(picture, found, opacity=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score_threshold": 2}, "score_threshold must lie in"),
        ({"iou_threshold": 0.5}, "does not: leave it out"),
        ({"max_segments": 0}, "max_segments must be at least 1"),
        ({"device": "tpu"}, "device must be one of"),
    ],
)
def test_wrong_arguments_say_so(colours: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        vision.segmenter(colours, **options)


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("semantic", {"labels": ["a", "b"]}, r"scores \(1, 2, rows, columns\)"),
        ("semantic", {"labels": list("abc"), "output": "none"}, "must answer with scores"),
        ("matting", {"output": "none"}, "float32 map none"),
        ("yolo-seg", {"labels": ["a"]}, "must answer with prototypes"),
        ("masks", {"labels": ["a"]}, "must answer with boxes, scores, labels, masks"),
        ("queries", {"labels": ["a"]}, "class_queries_logits"),
        ("semantic", {"labels": list("abc"), "size": 16}, r"its size \(16, 16\).*Its graph reads \(8, 8\)"),
    ],
)
def test_a_card_that_does_not_fit_its_graph_says_so(
    tmp_path: Path, family: str, options: dict[str, Any], words: str
) -> None:
    logits = {"logits": np.zeros((1, 3, 8, 8), np.float32)}
    with pytest.raises(DataError, match=words):
        vision.segmenter(tiny.constant(tmp_path, family, logits, options))


def test_a_promptable_model_must_have_both_graphs(tmp_path: Path) -> None:
    place = tiny.folder(
        tmp_path, "sam", (tiny.by_light(tmp_path / "light") / "graph.onnx").read_bytes(), {}, task="vision.prompting"
    )
    with pytest.raises(DataError, match=r"with encoder.onnx and decoder.onnx. Got 'sam' with \['graph.onnx'\]"):
        vision.promptable_segmenter(place)


def with_masks(place: Path, names: str = "id,name\n0,red\n1,green\n2,blue\n9,void\n") -> Path:
    """Three pictures whose masks are right, half right, and void; and one whose picture is broken."""
    for folder in ("images", "masks"):
        (place / folder).mkdir(parents=True)
    (place / "classes.csv").write_text(names)
    truths = {"a": (0, 2), "b": (0, 1), "c": (9, 9), "d": (1, 1)}
    for name, sides in truths.items():
        Image.fromarray(halves("red", "blue")).save(place / "images" / f"{name}.png")
        Image.fromarray(np.repeat(np.uint8(sides), 16)[None].repeat(16, axis=0)).save(place / "masks" / f"{name}.png")
    (place / "images" / "d.png").write_bytes(b"\x89PNG no more")
    Image.fromarray(halves("red", "blue")).save(place / "images" / "without-a-mask.png")
    return place


def test_evaluation_counts_pixels_failures_and_nothing_that_is_void(tmp_path: Path, colours: Path) -> None:
    report = evaluate_segmentation(with_masks(tmp_path), model=colours)
    assert isinstance(report, Evaluation)
    assert (report.n, report.failed) == (4, 1)
    figures = {name: metric.value for name, metric in report.metrics.items()}
    # red: 2 halves right; green: a half and a picture missed; blue: one half right, one wrong
    assert report.notes["iou"] == {"red": 1.0, "green": 0.0, "blue": 0.5}
    assert figures["miou"] == pytest.approx(0.5)
    assert figures["dice"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert figures["pixel_accuracy"] == pytest.approx(3 / 6)


def test_classes_are_matched_by_name_synonym_and_by_hand(tmp_path: Path, colours: Path) -> None:
    place = with_masks(tmp_path, "id,name\n0,scarlet\n1,green\n2,blue\n")
    with pytest.raises(DataError, match="1 of 3 are not: scarlet. --map-class NAME=MODEL_CLASS"):
        evaluate_segmentation(place, model=colours)
    mapped = evaluate_segmentation(place, model=colours, map_class=["scarlet=red"])
    assert mapped.notes["iou"]["red"] == 1
    assert "red" not in evaluate_segmentation(place, model=colours, map_class=["scarlet="]).notes["iou"]
    with pytest.raises(DataError, match="the data set's own. Got \\['pink'\\]"):
        evaluate_segmentation(place, model=colours, map_class=["pink=red"])
    with pytest.raises(UsageError, match="DATASET_CLASS=MODEL_CLASS. Got 'scarlet'"):
        evaluate_segmentation(place, model=colours, map_class=["scarlet"])
    voc = match_classes({3: "Airplane", 4: "sky", 5: "couch"}, LabelSet({0: "none", 1: "aeroplane", 2: "sofa"}), 0, {})
    assert (voc.names, voc.truth[[3, 4, 5, 6]].tolist()) == (("none", "aeroplane", "sofa"), [1, 0, 2, 255])


def test_things_are_evaluated_by_their_outlines(tmp_path: Path) -> None:
    masks = np.zeros((2, 1, 8, 8), np.float32)
    masks[0, 0, 2:6, 2:6] = masks[1, 0, :4] = 1
    answers = {"boxes": BOXES[[0, 2]], "scores": np.float32([0.9, 0.6]), "labels": np.int64([1, 2]), "masks": masks}
    model = tiny.constant(tmp_path / "model", "masks", answers, {"labels": ["", "cat", "dog"]})
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 80)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG no more")

    def thing(number: int, image: int, category: int, outline: Any) -> dict[str, Any]:
        box = {"bbox": [20, 20, 40, 40], "area": 1600, "iscrowd": 0}
        return {"id": number, "image_id": image, "category_id": category, "segmentation": outline} | box

    square = [[20, 20, 60, 20, 60, 60, 20, 60]]
    annotations = [thing(1, 1, 5, square), thing(2, 1, 6, square), thing(3, 2, 5, square)]
    rows = [{"id": n, "file_name": f"{name}.png", "height": 80, "width": 80} for n, name in ((1, "a"), (2, "b"))]
    categories = [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}]
    data = {"images": rows, "annotations": annotations, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(data))
    report = evaluate_segmentation(tmp_path, model=model)
    assert (report.n, report.failed) == (2, 1)
    # one of two cats is found exactly; the dog's mask covers a third of the union
    assert report.metrics["map50"].value == pytest.approx((51 / 101 + 0) / 2, abs=1e-3)
    assert "mask AP" in report.notes["protocol"]
    with pytest.raises(DataError, match="of things must be judged by outlines"):
        evaluate_segmentation(with_masks(tmp_path / "m"), model=model, format="masks")


@pytest.mark.parametrize("layout", ["images/test", "test/images", "camvid"])
def test_parts_of_a_data_set_are_found(tmp_path: Path, layout: str) -> None:
    for split in ("train", "test"):
        folders = {
            "images/test": (f"images/{split}", f"masks/{split}"),
            "test/images": (f"{split}/images", f"{split}/masks"),
            "camvid": (split, f"{split}annot"),
        }[layout]
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
            Image.fromarray(np.uint8([[0, 8, 11]])).save(tmp_path / folder / f"{split}.png")
    if layout != "camvid":
        (tmp_path / "classes.txt").write_text("sky\n" + "other\n" * 7 + "car\n")
    data = read_masked_images(tmp_path)
    assert [Path(path).stem for path in data.images] == ["test"]
    assert data.truth(0).tolist() == [[0, 8, 255]]
    assert data.classes[8] == "car"
    assert [Path(path).stem for path in read_masked_images(tmp_path, split="train").images] == ["train"]
    with pytest.raises(DataError, match="with a part 'val'"):
        read_masked_images(tmp_path, split="val")


def test_malformed_data_sets_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold images/ and masks/"):
        read_masked_images(tmp_path)
    place = with_masks(tmp_path / "set")
    with pytest.raises(UnknownNameError, match="images with masks is called 'coco'"):
        read_masked_images(place, format="coco")
    with pytest.raises(UsageError, match="limit must be at least 1"):
        read_masked_images(place, limit=0)
    (place / "masks" / "a.png").write_bytes(b"no mask")
    with pytest.raises(DataError, match=r"a.png must be a mask.*Reading it failed"):
        read_masked_images(place).truth(0)
    Image.new("RGB", (4, 4)).save(place / "masks" / "a.png")
    with pytest.raises(DataError, match="Its mode is RGB"):
        read_masked_images(place).truth(0)
    for content, words in (("id,name\nx,red\n", "columns id,name"), ("id,name\n300,red\n", "lie in 0..255")):
        (place / "classes.csv").write_text(content)
        with pytest.raises(DataError, match=words):
            read_masked_images(place)
    (place / "classes.csv").unlink()
    with pytest.raises(DataError, match="must tell its classes"):
        read_masked_images(place)
    (place / "set.yaml").write_text("classes:\n  0: red\n  1: green\n")
    assert read_masked_images(place).classes == {0: "red", 1: "green"}
    (place / "set.yaml").write_text("classes: {a: red}")
    with pytest.raises(DataError, match="names by whole numbers"):
        read_masked_images(place)


def test_a_mask_of_another_size_is_told(tmp_path: Path, colours: Path) -> None:
    place = with_masks(tmp_path)
    Image.new("L", (4, 4)).save(place / "masks" / "a.png")
    with pytest.raises(DataError, match=r"a.png must be of its image's size \(16, 32\). It has \(4, 4\)"):
        evaluate_segmentation(place, model=colours)


def test_masks_are_what_coco_reads() -> None:
    rle = segmentation().masks[0]
    assert rle.to_json() == {"type": "Rle", "size": [6, 8], "counts": rle.counts}
    assert isinstance(Result.from_json(rle.to_json()), Rle)
