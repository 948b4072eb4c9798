"""Every piece of face recognition on cases small enough to know the answer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.catalogue import ModelCard
from shared.errors import BackendError, DataError, InputError, UnknownNameError, UsageError
from shared.testing import fake_card
from shared.types import Result
from shared.weights import write_model_folder
from vision import Faces, Verification
from vision.faces.align import ARCFACE, aligned_crop, similarity_transform
from vision.faces.cluster import cluster
from vision.faces.decode import MAX_CANDIDATES, STRIDES, candidates, suppress
from vision.faces.embed import embedder_id, make_embedder
from vision.faces.pairs import read_pairs, read_people
from vision.faces.prepare import detector_input, fitted, prepare
from vision.faces.quality import detail, face_quality, head_pose
from vision.faces.task import EMBEDDERS, NAME
from vision.faces.verify import card_threshold, compare
from vision.opening import open_graph

TEMPLATE = np.array(ARCFACE)
ANGLE = st.floats(-math.pi, math.pi)


def faces(n: int = 2, **changes: Any) -> Faces:
    corners = np.float32([[10 * i, 10, 10 * i + 8, 20] for i in range(n)]).reshape(-1, 4)
    facts: dict[str, Any] = {
        "image_size": (40, 60),
        "xyxy": corners,
        "landmarks": np.zeros((n, 5, 2), np.float32),
        "scores": np.linspace(0.9, 0.5, n).astype(np.float32),
        "quality": np.full(n, 0.5, np.float32),
        "quality_parts": np.full((n, 3), 0.5, np.float32),
        "pose": np.zeros((n, 3), np.float32),
        "embeddings": np.eye(4, dtype=np.float32)[np.arange(n) % 4],
        "embedder": "e",
    }
    return Faces(**(facts | changes))


@pytest.mark.parametrize("result", [faces(), faces(0), faces(embeddings=None), Verification(0.5, 0.4, True)])
def test_results_survive_json(result: Result) -> None:
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": np.float32([0.5, 0.9])}, "scores must never rise"),
        ({"xyxy": np.float32([[0, 0, 61, 9], [0, 0, 1, 1]])}, "x2 <= 60"),
        ({"embeddings": np.float32([[1, 0], [1, 1]])}, r"unit length. Got lengths \[1.0, 1.41"),
        ({"embeddings": np.ones((1, 1), np.float32)}, "must have shape"),
        ({"landmarks": np.zeros((2, 4, 2), np.float32)}, "must have shape"),
    ],
)
def test_faces_are_checked_at_birth(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        faces(**changes)


def test_a_verification_is_checked_at_birth() -> None:
    with pytest.raises(UsageError, match="be the same from the threshold on"):
        Verification(0.3, 0.4, True)


def test_the_main_face_is_large_and_in_the_middle() -> None:
    small, large, edge = [26, 16, 34, 24], [20, 8, 44, 34], [0, 0, 26, 28]
    three = {"xyxy": np.float32([small, large, edge])}
    assert faces(3, **three).main == 1
    two = {"xyxy": np.float32([edge, [22, 8, 40, 30]])}
    assert faces(2, **two).main == 1  # the edge's is larger and far from the middle
    assert faces(0).main is None


@given(st.floats(0.05, 20), ANGLE, st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again(scale: float, angle: float, x: float, y: float) -> None:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    wanted = np.array([[c, -s, x], [s, c, y]])
    moved = TEMPLATE @ wanted[:, :2].T + wanted[:, 2]
    np.testing.assert_allclose(similarity_transform(TEMPLATE, moved), wanted, atol=1e-6 * max(1, scale, abs(x), abs(y)))


def test_similarity_equals_umeyama_by_singular_values() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        source, target = rng.normal(0, 30, (5, 2)), TEMPLATE
        x, y = source - source.mean(axis=0), target - target.mean(axis=0)
        u, d, vt = np.linalg.svd(y.T @ x / 5)
        sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        rotation = u @ np.diag(sign) @ vt
        scale = (d * sign).sum() / x.var(axis=0).sum()
        shift = target.mean(axis=0) - scale * rotation @ source.mean(axis=0)
        got = similarity_transform(source, target)
        np.testing.assert_allclose(got, np.c_[scale * rotation, shift], atol=1e-9)
    many = rng.normal(0, 30, (3, 5, 2))
    np.testing.assert_allclose(
        similarity_transform(many, TEMPLATE), [similarity_transform(one, TEMPLATE) for one in many]
    )


def smooth(side: int) -> Image.Image:
    rows, columns = np.mgrid[:side, :side] / side
    planes = [np.sin(7 * rows) * np.cos(5 * columns), rows, np.cos(9 * rows * columns)]
    return Image.fromarray((np.stack(planes, axis=-1) * 100 + 120).astype(np.uint8))


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (0.9, 0.3), (1.7, -0.5), (0.2, 0.1)])
def test_the_crop_shows_the_landmarks_where_the_template_has_them(scale: float, angle: float) -> None:
    picture = smooth(600)
    pixels = np.asarray(picture, np.float64)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    middle = np.array([300.0, 300.0])
    transform = np.c_[[[c, -s], [s, c]], [55.5, 55.5] - np.array([[c, -s], [s, c]]) @ middle]
    crop = aligned_crop(picture, transform, 112)
    for target in ((20, 30), (56, 56), (90, 70)):
        source = np.linalg.solve(transform[:, :2], np.array(target) - transform[:, 2])
        x, y = source.round().astype(int)
        assert np.abs(crop[target[1], target[0]] - pixels[y, x]).max() <= 6


def test_a_crop_that_leaves_the_picture_is_black_there_and_a_plain_shift_changes_nothing() -> None:
    picture = smooth(64)
    shift = np.array([[1.0, 0, 16], [0, 1.0, 0]])
    crop = aligned_crop(picture, shift, 64)
    assert not crop[:, :15].any()
    np.testing.assert_array_equal(crop[:, 16:], np.asarray(picture)[:, :48])
    assert not aligned_crop(picture, np.zeros((2, 3)), 16).any()
    assert not aligned_crop(picture, np.array([[0.1, 0, 900], [0, 0.1, 900]]), 16).any()


def test_the_crop_equals_opencv() -> None:
    cv2 = pytest.importorskip("cv2", reason="the reference of alignment is OpenCV")
    picture = smooth(200)
    landmarks = TEMPLATE @ np.array([[0.8, -0.25], [0.25, 0.8]]) + [30, 50]
    transform = similarity_transform(landmarks, TEMPLATE)
    wanted = cv2.warpAffine(np.asarray(picture), transform, (112, 112), flags=cv2.INTER_LINEAR)
    got = aligned_crop(picture, transform, 112)
    assert np.abs(got.astype(int) - wanted)[2:-2, 2:-2].max() <= 2


def raw_answer(width: int, height: int, cells: list[tuple[int, int, int, float]]) -> list[np.ndarray[Any, Any]]:
    """Twelve outputs in which some cells tell of a face: stride, row, column, score."""
    outputs = []
    for parts in (1, 1, 4, 10):
        for stride in STRIDES:
            array = np.zeros((1, (width // stride) * (height // stride), parts), np.float32)
            for its, row, column, score in cells:
                if its == stride:
                    values = {1: score, 4: [0.5, 0.25, math.log(2), math.log(3)], 10: np.arange(10) / 4}
                    array[0, row * (width // stride) + column] = values[parts]
            outputs.append(array)
    return outputs


def test_boxes_and_landmarks_by_hand() -> None:
    found = candidates(raw_answer(96, 64, [(16, 2, 4, 0.81)]), width=96, score_threshold=0.5)
    np.testing.assert_allclose(found["scores"], [0.81])
    np.testing.assert_allclose(found["xyxy"], [[72 - 16, 36 - 24, 72 + 16, 36 + 24]], rtol=1e-6)
    np.testing.assert_allclose(found["landmarks"][0, :2], [[64, 36], [72, 44]])
    assert found["landmarks"].shape == (1, 5, 2)


def test_faces_are_filtered_suppressed_and_ordered() -> None:
    cells = [(8, 0, 0, 0.7), (8, 0, 1, 0.65), (8, 7, 11, 0.9), (32, 1, 2, 0.4)]
    outputs = raw_answer(96, 64, cells)
    found = suppress(candidates(outputs, width=96, score_threshold=0.5), iou_threshold=0.3, max_faces=10)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    all_of_them = suppress(candidates(outputs, width=96, score_threshold=0.1), iou_threshold=1.0, max_faces=10)
    assert len(all_of_them.scores) == 4
    one = suppress(candidates(outputs, width=96, score_threshold=0.5), iou_threshold=0.3, max_faces=1)
    np.testing.assert_allclose(one.scores, [0.9])
    none = suppress(candidates(outputs, width=96, score_threshold=0.95), iou_threshold=0.3, max_faces=1)
    assert none.xyxy.shape == (0, 4)
    assert none.landmarks.shape == (0, 5, 2)


def test_scores_beyond_one_are_clipped_and_many_cells_are_cut_to_the_best() -> None:
    outputs = raw_answer(640, 640, [(8, 3, 3, 7.0)])
    assert candidates(outputs, width=640, score_threshold=0.5)["scores"].max() == 1
    for at in (0, 3):
        outputs[at][...] = np.linspace(0.5, 0.6, outputs[at].size).reshape(outputs[at].shape)
    assert len(candidates(outputs, width=640, score_threshold=0.1)["scores"]) == MAX_CANDIDATES


def test_the_detector_reads_whole_cells_bgr() -> None:
    pixels = np.zeros((33, 20, 3), np.uint8)
    pixels[..., 0] = 200
    view = detector_input(pixels)
    assert (view.shape, view.dtype) == ((1, 3, 64, 32), np.float32)
    assert (view[0, 2, :33, :20] == 200).all()
    assert not view[0, :2].any()
    assert not view[0, :, 33:].any()


def test_large_pictures_are_reduced_and_small_ones_are_not_enlarged() -> None:
    given = prepare(np.zeros((500, 2000, 3), np.uint8), size=320)
    assert (given.inner, given.outer, given.picture.size) == ((80, 320), (500, 2000), (640, 160))
    assert fitted(1, 5000, 320) == (1, 320)
    with pytest.raises(InputError, match="must be one of"):
        prepare(b"<html>", size=320)


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray[Any, Any]:
    """The five points of the head that the fit knows, turned and seen from far away."""
    from vision.faces.quality import _head

    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return 1.5 * (_head() @ (about_z @ about_x @ about_y).T)[:, :2] + [300, 200]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-60, -25, 0, 10, 45])
def test_a_turned_head_is_told_by_its_angle(axis: int, degrees: int) -> None:
    angles = [0.0, 0.0, 0.0]
    angles[axis] = degrees
    np.testing.assert_allclose(head_pose(turned(*angles)[None])[0], angles, atol=0.5)


def test_signs_of_the_angles() -> None:
    frontal = np.repeat(TEMPLATE[None], 3, axis=0)
    frontal[0, 2, 0] += 8  # the nose to the right
    frontal[1, 2, 1] -= 8  # the nose up
    frontal[2] = (frontal[2] - 56) @ np.array([[0.9, 0.1], [-0.1, 0.9]]) + 56  # the right eye lower
    yaw, pitch, roll = head_pose(frontal).T
    assert yaw[0] > 10
    assert pitch[1] > 10
    assert roll[2] > 5


def test_quality_falls_with_size_blur_and_pose() -> None:
    rng = np.random.default_rng(0)
    sharp = Image.fromarray(rng.integers(0, 256, (112, 112, 3), np.uint8)).resize((56, 56)).resize((112, 112))
    details = [detail(np.asarray(sharp))]
    for factor in (2, 4, 8):
        small = sharp.resize((112 // factor,) * 2, Image.Resampling.BOX)
        details.append(detail(np.asarray(small.resize((112, 112), Image.Resampling.BICUBIC))))
    assert details == sorted(details, reverse=True)
    box, straight = np.array([[0, 0, 120, 140]]), np.zeros((1, 3))
    best = face_quality(box, straight, details[:1])[0]
    assert best > 0.8
    for worse in (
        (box / 3, straight, details[:1]),
        (box, np.array([[50, 0, 0]]), details[:1]),
        (box, straight, [0.01]),
    ):
        assert face_quality(*worse)[0] < best
    assert face_quality(box, np.array([[120, 0, 0]]), details[:1])[0] == 0
    np.testing.assert_array_equal(face_quality(box, np.array([[0, 0, 90]]), details[:1])[0], best)


def test_detail_does_not_count_contrast() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    faint = (pixels.astype(int) // 3 + 60).astype(np.uint8)
    assert detail(faint) == pytest.approx(detail(pixels), rel=0.02)


def tiny_embedder(folder: Path, *, side: int, dimension: int, batch: str | int = 1, **options: Any) -> Path:
    """A model folder whose graph averages each channel over a grid of cells and weighs the averages."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, (3 * 16, dimension)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[side // 4] * 2, strides=[side // 4] * 2),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, side, side])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, dimension])
    graph = helper.make_graph(nodes, "g", [given], [answer], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = fake_card(name="tiny", task=NAME, family="face-embedder", backend="openvino", options=options)
    write_model_folder(folder, card, {"tiny.onnx": model.SerializeToString()})
    return folder


def opened(folder: Path) -> Any:
    card, backend = open_graph(folder, task=NAME, families=EMBEDDERS, device="cpu", threads=1)
    return make_embedder(card, backend), card


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("mirror", [False, True])
def test_another_embedder_is_a_card(tmp_path: Path, batch: str | int, channels: str, mirror: bool) -> None:
    mean, std = [0.5, 0.4, 0.3], [0.5, 0.25, 0.2]
    options = {"channels": channels, "mirror": mirror, "mean": mean, "std": std}
    embedder, _ = opened(tiny_embedder(tmp_path, side=16, dimension=7, batch=batch, **options))
    assert (embedder.size, embedder.dimension) == (16, 7)
    np.testing.assert_allclose(embedder.template, TEMPLATE / 7)
    crops = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    weights = np.random.default_rng(3).normal(0, 1, (48, 7)).astype(np.float32)

    def by_hand(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        shown = pixels[..., ::-1] if channels == "bgr" else pixels
        values = (shown / 255 - mean) / std
        return values.reshape(4, 4, 4, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1).reshape(-1) @ weights

    wanted = [by_hand(crop) + (by_hand(crop[:, ::-1]) if mirror else 0) for crop in crops]
    wanted = [one / np.linalg.norm(one) for one in wanted]
    np.testing.assert_allclose(embedder(list(crops)), wanted, atol=2e-4)
    assert embedder([]).shape == (0, 7)


def test_a_template_of_its_own(tmp_path: Path) -> None:
    points = [[4.0, 5.0], [12.0, 5.0], [8.0, 9.0], [5.0, 12.0], [11.0, 12.0]]
    embedder, _ = opened(tiny_embedder(tmp_path, side=16, dimension=4, template=points))
    np.testing.assert_array_equal(embedder.template, points)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 20}, "option size must be the side of the graph's square input. Got 20"),
        ({"template": [[1.0, 2.0]]}, r"template must be five points x, y. Got shape \(1, 2\)"),
        ({"channels": "grey"}, "channels must be 'rgb' or 'bgr'. Got 'grey'"),
    ],
)
def test_a_card_that_does_not_fit_says_so(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        opened(tiny_embedder(tmp_path, side=16, dimension=4, **options))


def test_an_embedding_without_direction_is_refused(tmp_path: Path) -> None:
    embedder, _ = opened(tiny_embedder(tmp_path, side=16, dimension=4))
    with pytest.raises(BackendError, match="must have a direction"):
        embedder([np.zeros((16, 16, 3), np.uint8)])


def test_thresholds_do_not_change_what_an_embedder_is(tmp_path: Path) -> None:
    cards: list[ModelCard] = []
    for at, options in enumerate([{}, {"thresholds": {"0.001": 0.4}}, {"mirror": True}]):
        cards.append(opened(tiny_embedder(tmp_path / str(at), side=16, dimension=4, **options))[1])
    plain, calibrated, mirrored = map(embedder_id, cards)
    assert plain == calibrated != mirrored
    assert card_threshold(cards[1], 0.001) == 0.4
    with pytest.raises(UsageError, match=r"a threshold for \(0.001\). Got 0.01 instead.*triptych faces calibrate"):
        card_threshold(cards[1], 0.01)
    with pytest.raises(UsageError, match=r"\(none\)"):
        card_threshold(cards[0], 0.01)


def test_main_faces_are_compared() -> None:
    angle = 0.3
    one = faces(1, embeddings=np.float32([[1, 0]]))
    other = faces(1, embeddings=np.float32([[math.cos(angle), math.sin(angle)]]))
    found = compare(one, other, threshold=0.9, far=0.01)
    assert found.similarity == pytest.approx(math.cos(angle), abs=1e-6)
    assert (found.same, found.far) == (True, 0.01)
    assert not compare(one, other, threshold=0.99).same
    assert compare(one, one, threshold=1.0).similarity <= 1


@pytest.mark.parametrize(
    ("second", "options", "error", "words"),
    [
        (faces(0), {}, InputError, "The second shows none that was found"),
        (faces(embeddings=None), {}, UsageError, "Open the recognizer with embed=True"),
        (faces(embedder="other"), {}, UsageError, "embedded by one model to be compared. Got embedders e and other"),
        (faces(), {"threshold": 2.0}, UsageError, r"threshold must lie in \[-1, 1\]. Got 2.0"),
    ],
)
def test_what_cannot_be_compared(second: Faces, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        compare(faces(), second, **({"threshold": 0.4} | options))


@pytest.mark.parametrize("method", ["dbscan", "hierarchical"])
def test_clusters_are_persons(method: Any) -> None:
    rng = np.random.default_rng(0)
    persons = np.linalg.qr(rng.normal(0, 1, (32, 32)))[0][:4]
    sizes = [3, 9, 5, 1]
    truth = np.repeat(np.arange(4), sizes)
    embeddings = persons[truth] + rng.normal(0, 0.04, (truth.size, 32))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = cluster(embeddings, threshold=0.6, method=method)
    assert found.tolist() == np.array([2, 0, 1, -1])[truth].tolist()
    assert cluster(embeddings, threshold=0.6, method=method, min_faces=1).max() == 3
    assert cluster(embeddings[:1], threshold=0.6, method=method).tolist() == [-1]
    assert cluster(np.zeros((0, 32)), threshold=0.6, method=method).tolist() == []
    assert cluster([], threshold=0.6, method=method).tolist() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "kmeans"}, "method must be one of dbscan, hierarchical"),
        ({"threshold": 3}, "threshold must lie in"),
        ({"min_faces": 0}, "min_faces must be at least 1"),
        ({"embeddings": np.zeros(3)}, r"shape \(n, d\)"),
    ],
)
def test_wrong_cluster_arguments_say_so(options: dict[str, Any], words: str) -> None:
    given = {"embeddings": np.eye(3), "threshold": 0.5} | options
    with pytest.raises(UsageError, match=words):
        cluster(given.pop("embeddings"), **given)


def pairs_file(folder: Path, text: str) -> Path:
    for name in ("a", "b", "c"):
        Image.new("RGB", (4, 4)).save(folder / f"{name}.png")
    (folder / "pairs.csv").write_text(text)
    return folder / "pairs.csv"


def test_pairs_are_read(tmp_path: Path) -> None:
    text = "fold,img1,img2,same\n1,a.png,b.png,1\n2,b.png,c.png,0\n2,a.png,c.png,False\n"
    for where in (pairs_file(tmp_path, text), tmp_path):
        pairs = read_pairs(where)
        assert [Path(path).name for path in pairs.paths] == ["a.png", "b.png", "c.png"]
        assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 1, 0], [1, 2, 2])
        assert pairs.same.tolist() == [True, False, False]
        assert pairs.folds is not None
        assert pairs.folds.tolist() == [1, 2, 2]
    one = read_pairs(tmp_path, limit=1)
    assert (len(one.paths), one.folds) == (2, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("img1,img2\na.png,b.png\n", "header that names img1, img2, same"),
        ("img1,img2,same\na.png,b.png,yes\n", "line 2: same must be 1 or 0. Got 'yes'"),
        ("img1,img2,same\na.png,d.png,1\n", "line 2: img2 must be a file.*Got 'd.png'"),
        ("img1,img2,same,fold\na.png,b.png,1,x\n", "fold must be a whole number. Got 'x'"),
        ("img1,img2,same\na.png,b.png\n", "line 2: must have as many cells"),
        ("img1,img2,same\n", "at least one pair"),
    ],
)
def test_malformed_pairs_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pairs(pairs_file(tmp_path, text))


def test_what_is_no_data_set_of_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="or a folder that holds one. It holds none"):
        read_pairs(tmp_path)
    with pytest.raises(UnknownNameError, match="face-pairs"):
        read_pairs(tmp_path, format="face-pair")
    with pytest.raises(UsageError, match="limit must be at least 1"):
        read_pairs(tmp_path, limit=0)
    with pytest.raises(DataError, match="at least two. It holds 0"):
        read_people(tmp_path)


def test_people_are_the_first_folders(tmp_path: Path) -> None:
    for name in ("ann/1.png", "ann/deep/2.png", "bob/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    paths, people = read_people(tmp_path)
    assert people == ("ann", "ann", "bob")
    assert len(paths) == 3
