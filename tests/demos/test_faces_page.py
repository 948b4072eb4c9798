"""The face page: what its endpoints answer, the same elsewhere, and what a visitor sees on each of its tabs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demos.examples import FACES, pictures
from demos.faces.elsewhere import album_elsewhere, known_elsewhere, verify_elsewhere
from demos.faces.known import Known
from demos.faces.seen import shown_name
from demos.sharing import Elsewhere, to_this_application

pytestmark = pytest.mark.weights
Answers = Callable[[Elsewhere, Path], tuple[list[Any], list[Any]]]
LEFT, RIGHT = (300, 150, 760, 610), (720, 0, 1280, 560)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-pings")
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@pytest.fixture
def album(two_men: Path, tmp_path: Path) -> Path:
    """Two men together and each alone, nobody, and a letter."""
    shutil.copy(two_men, tmp_path / "both.jpg")
    with Image.open(two_men) as image:
        image.crop(LEFT).save(tmp_path / "left.jpg", quality=92)
        image.crop(RIGHT).save(tmp_path / "right.jpg", quality=92)
    Image.new("RGB", (64, 64), "green").save(tmp_path / "green.png")
    (tmp_path / "letter.jpg").write_text("Dear all, this is no picture.")
    return tmp_path


@pytest.fixture
def visitor(client: Any) -> Iterator[Any]:
    """The client, with nobody enrolled afterwards."""
    yield client
    with suppress(AppError):  # where nobody is any more
        client.predict(api_name="/faces_forget_all")


def files(album: Path, *names: str) -> list[Any]:
    return [handle_file(album / name) for name in names]


def test_faces(client: Any, two_men: Path, album: Path) -> None:
    result, answer, drawn, listed = client.predict(handle_file(two_men), api_name="/faces")
    assert result["type"] == "Faces"
    assert "embeddings" not in result
    assert "2 faces" in answer
    assert Path(drawn).is_file()
    assert listed.count("sharpness") == 2
    assert "No face found" in client.predict(handle_file(album / "green.png"), api_name="/faces")[1]


def test_two_pictures_are_compared(client: Any, album: Path) -> None:
    left, right, both, green = files(album, "left.jpg", "right.jpg", "both.jpg", "green.png")
    result, answer, curve, *drawn = client.predict(left, both, 0.01, api_name="/faces_verify")
    assert result["same"]
    assert (result["far"], result["threshold"]) == (0.01, 0.3054)
    assert "**One person**: alike by" in answer
    assert "pairs of strangers" in answer
    assert f"this pair {result['similarity']:.2f}" in curve
    assert len(drawn) == 2
    result, answer, *_ = client.predict(left, right, api_name="/faces_verify")
    assert not result["same"]
    assert result["far"] == 0.001
    assert "Two persons" in answer
    result, answer, curve, *_ = client.predict(right, green, api_name="/faces_verify")
    assert result is None
    assert "no face was found in green.png" in answer
    assert "this pair" not in curve
    assert "the other picture" in client.predict(right, None, api_name="/faces_verify")[1]
    with pytest.raises(AppError, match=r"must be one of 0\.01, 0\.001, 0\.0001"):
        client.predict(left, right, 0.5, api_name="/faces_verify")


def test_people_are_enrolled_identified_and_forgotten(visitor: Any, shared_app: Any, address: str, album: Path) -> None:
    both = handle_file(album / "both.jpg")
    nobody, answer, _, _, _ = visitor.predict(both, api_name="/faces_identify")
    assert [face["matches"] for face in nobody["faces"]] == [[], []]
    assert "2 faces, and nobody is enrolled yet" in answer
    given = files(album, "left.jpg", "green.png", "letter.jpg")
    told, answer, taken, people, _ = visitor.predict("Left <i>", given, None, api_name="/faces_enroll")
    assert told["people"] == {"Left <i>": 1}
    assert [row["enrolled"] for row in told["pictures"]] == [True, False, False]
    assert "no face was found" in taken
    assert "letter.jpg begins with" in taken
    assert "Left &lt;i&gt;" in people
    assert "1 new" in answer
    told, answer, *_ = visitor.predict("Left <i>", files(album, "left.jpg"), None, api_name="/faces_enroll")
    assert "0 new" in answer
    told, *_ = visitor.predict("Right", None, files(album, "right.jpg")[0], api_name="/faces_enroll")
    assert told["people"] == {"Left <i>": 1, "Right": 1}
    assert told["pictures"][0]["input"] == "snapshot-1.png"

    found, answer, drawn, listed, _ = visitor.predict(both, 0.0001, api_name="/faces_identify")
    by_place = sorted(found["faces"], key=lambda face: face["xyxy"][0])
    assert [face["matches"][0]["person"] for face in by_place] == ["Left <i>", "Right"]
    assert found["threshold"] == 0.4321
    assert Path(drawn).is_file()
    assert "Left &lt;i&gt;" in listed
    stranger = Client(address, verbose=False)
    assert "nobody is enrolled yet" in stranger.predict(both, api_name="/faces_identify")[1]
    stranger.close()

    told, answer, _, people, _ = visitor.predict(["Right"], api_name="/faces_forget")
    assert told == {"people": ["Right"], "faces": 1, "left": {"Left <i>": 1}}
    assert "Right" not in people
    found, answer, *_ = visitor.predict(both, api_name="/faces_identify")
    assert "1 unknown" in answer
    with pytest.raises(AppError, match="Right"):
        visitor.predict(["Right"], api_name="/faces_forget")
    assert list(shared_app.folder.glob("triptych-faces-*"))
    told, *_ = visitor.predict(api_name="/faces_forget_all")
    assert told["left"] == {}
    assert not list(shared_app.folder.glob("triptych-faces-*"))


@pytest.mark.parametrize(
    ("name", "pictures", "words"),
    [
        ("", ["left.jpg"], "a name of 1 to 60 signs"),
        ("x" * 61, ["left.jpg"], "a name of 1 to 60 signs"),
        ("Ada", [], "give a picture of this person"),
        ("Ada", ["left.jpg"] * 11, "at most 10 pictures of one person. Got 11"),
        (
            "Ada",
            ["green.png", "letter.jpg"],
            r"nobody was enrolled. green\.png: no face was found. letter\.jpg: ",
        ),
    ],
)
def test_who_cannot_be_enrolled(client: Any, album: Path, name: str, pictures: list[str], words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(name, files(album, *pictures), None, api_name="/faces_enroll")
    assert "nobody is enrolled yet" in client.predict(files(album, "left.jpg")[0], api_name="/faces_identify")[1]


def test_an_album_is_grouped_and_a_bad_picture_costs_no_other(client: Any, album: Path) -> None:
    with zipfile.ZipFile(album / "men.zip", "w") as held:
        held.write(album / "left.jpg", "one/left.jpg")
    (album / "broken.zip").write_bytes(b"no zip")
    given = files(album, "both.jpg", "letter.jpg", "men.zip", "right.jpg", "green.png", "broken.zip")
    found, answer, shown = client.predict(given, "hierarchical", 0.001, api_name="/faces_album")
    assert (found["groups"], found["method"], len(found["faces"])) == (2, "hierarchical", 4)
    alone = {face["input"]: face["cluster"] for face in found["faces"] if face["input"] != "both.jpg"}
    together = {face["cluster"] for face in found["faces"] if face["input"] == "both.jpg"}
    assert set(alone) == {"men/one/left.jpg", "right.jpg"}
    assert set(alone.values()) == together == {0, 1}
    assert "**2 persons** among 4 faces of 6 pictures" in answer
    assert [one["input"] for one in found["left_out"]] == ["broken.zip", "letter.jpg", "green.png"]
    assert shown.count("data:image/jpeg;base64,") == 4
    assert "No face found" in client.predict(files(album, "green.png"), api_name="/faces_album")[1]


@pytest.mark.parametrize(
    ("pictures", "method", "words"),
    [
        ([], "dbscan", "give pictures with people"),
        (["left.jpg"], "guess", "must be one of dbscan, hierarchical"),
        (["green.png"] * 51, "dbscan", "at most 50 files. Got 51"),
        (["letter.jpg", "letter.jpg"], "dbscan", "none of these 2 files can be used"),
    ],
)
def test_albums_that_are_none(client: Any, album: Path, pictures: list[str], method: str, words: str) -> None:
    uploaded = {name: handle_file(album / name) for name in set(pictures)}
    with pytest.raises(AppError, match=words):
        client.predict([uploaded[name] for name in pictures], method, api_name="/faces_album")


def near(one: float, other: float) -> bool:
    """One window or two cores may change the last digits."""
    return abs(one - other) < 1e-3


def raw(*names: str) -> list[dict[str, str]]:
    return [{"orig_name": name} for name in names]


def test_verification_elsewhere(client: Any, album: Path, answers: Answers) -> None:
    page = client.predict(*files(album, "left.jpg", "both.jpg"), 0.01, api_name="/faces_verify")[0]
    first, second = raw("left.jpg", "both.jpg")
    wanted = verify_elsewhere(first, second, 0.01)
    assert wanted is not None
    (python,), (command,) = answers(wanted, album)
    assert near(python.pop("similarity"), page["similarity"])
    assert near(command["result"].pop("similarity"), page.pop("similarity"))
    assert python == command["result"] == page


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_known_elsewhere(visitor: Any, address: str, album: Path, answers: Answers) -> None:
    visitor.predict("It's L", files(album, "left.jpg"), None, api_name="/faces_enroll")
    page = visitor.predict(files(album, "both.jpg")[0], 0.001, api_name="/faces_identify")[0]
    matches = [{one["person"]: one["similarity"] for one in face["matches"]} for face in page["faces"]]
    assert sorted(map(len, matches)) == [0, 1]
    known = Known(files={"It's L": ["left.jpg"]})
    wanted = known_elsewhere(known, raw("both.jpg")[0], 0.001)
    assert wanted is not None
    python, (enrolled, command) = answers(wanted, album)
    assert (enrolled["person"], enrolled["reason"]) == ("It's L", "there already")  # by the program, in one gallery
    for told in (python, [{m["person"]: m["similarity"] for m in face["matches"]} for face in command["faces"]]):
        assert [list(one) for one in told] == [list(one) for one in matches]
        assert all(near(one[name], other[name]) for one, other in zip(told, matches) for name in other)
    script = to_this_application(wanted, address)
    ran = subprocess.run(["sh", "-c", script], cwd=album, capture_output=True, text=True, check=True)
    came = [json.loads(line.removeprefix("data: ")) for line in ran.stdout.splitlines() if line.startswith("data: [")]
    assert came[0][0]["people"] == {"It's L": 1}
    assert came[1][0] == page


def test_an_album_elsewhere(client: Any, album: Path, answers: Answers) -> None:
    with zipfile.ZipFile(album / "my men.zip", "w") as held:
        held.write(album / "left.jpg", "l.jpg")
        held.write(album / "right.jpg", "r.jpg")
    names = ["both.jpg", "my men.zip", "green.png"]
    page = client.predict(files(album, *names), "dbscan", 0.001, api_name="/faces_album")[0]
    wanted = album_elsewhere(raw(*names), "dbscan", 0.001)
    assert wanted is not None
    python, command = answers(wanted, album)
    groups = [(face["input"], face["face"], face["cluster"]) for face in page["faces"]]
    assert len(groups) == 4
    assert [(row["input"], row["face"], row["cluster"]) for row in python] == groups
    assert [(row["input"], row["face"], row["cluster"]) for row in command] == groups


def says(page: Any, pattern: str) -> None:
    page.locator(".prose.says:visible", has_text=re.compile(pattern)).wait_for(timeout=120_000)


@pytest.mark.browser
def test_every_tab_answers_in_the_browser(
    visit: Callable[..., Any],
    look: Callable[[Any, str], None],
    in_both: Callable[[Any], list[str]],
    album: Path,
) -> None:
    found = visit()
    page = found.open("faces")
    upload = page.locator("input[type=file]")
    upload.first.set_input_files(str(album / "both.jpg"))
    says(page, "2 faces")
    page.get_by_alt_text("The picture with a box and five points on each face").wait_for()
    assert page.locator(".facts:visible tbody tr").count() == 2
    look(page, "faces-found")

    page.get_by_role("tab", name="Verify").click()
    curve = page.get_by_role("img", name="How many pairs of strangers are how alike. From 0.38 on")
    curve.wait_for()
    found.settled()
    inputs = page.get_by_role("tabpanel").locator("visible=true").locator("input[type=file]")
    inputs.first.set_input_files(str(album / "both.jpg"))
    says(page, "Now choose the other picture")
    inputs.last.set_input_files(str(album / "left.jpg"))
    says(page, "One person: alike by .* 0.38 or more")
    curve.and_(page.get_by_role("img", name=re.compile("This pair is alike by .*, above it"))).wait_for()
    page.get_by_role("radio", name="1 in 10,000").locator("visible=true").check()
    says(page, "0.43 or more")
    look(page, "faces-verified")
    assert in_both(found) == []

    page.get_by_role("tab", name="Who is it?").click()
    found.settled()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    panel.get_by_label("Name").fill("Left")
    panel.locator("input[type=file]").first.set_input_files([str(album / "left.jpg"), str(album / "green.png")])
    panel.get_by_text("green", exact=True).wait_for()
    panel.get_by_role("button", name="Enrol").click()
    says(page, "Left is known by 1 picture")
    panel.locator(".facts", has_text="Pictures given").get_by_text("left out: no face was found").wait_for()
    panel.locator("input[type=file]").last.set_input_files(str(album / "both.jpg"))
    says(page, "Left and 1 unknown")
    page.get_by_alt_text("The picture with a name on each face").wait_for()
    look(page, "faces-known")
    page.get_by_role("button", name="Use it elsewhere").locator("visible=true").click()
    page.get_by_role("tab", name="Command").locator("visible=true").click()
    wanted = known_elsewhere(Known(files={"Left": ["left.jpg"]}), raw("both.jpg")[0], 0.001)
    assert wanted is not None
    assert page.locator(".listing textarea:visible").input_value() == wanted.command
    panel.get_by_label("Whom to forget").click()
    page.get_by_role("option", name="Left").click()
    panel.get_by_role("button", name="Forget these").click()
    says(page, "Forgotten: Left, 1 picture")
    panel.locator(".facts", has_text="Nobody yet").wait_for()

    page.get_by_role("tab", name="Album").click()
    found.settled()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    names = ("both.jpg", "left.jpg", "letter.jpg", "right.jpg")
    panel.locator("input[type=file]").last.set_input_files([str(album / name) for name in names])
    panel.get_by_text("right", exact=True).wait_for()
    panel.get_by_role("button", name="Group").click()
    says(page, "2 persons among 4 faces of 4 pictures, none alone")
    assert panel.get_by_role("img", name=re.compile(r"Person [12], in both\.jpg")).count() == 2
    panel.locator(".facts", has_text="Pictures without a face").get_by_text("letter.jpg begins with").wait_for()
    panel.get_by_label("Groups alike on average").check()
    page.get_by_role("button", name="Use it elsewhere").locator("visible=true").click()
    page.wait_for_function(
        "[...document.querySelectorAll('.listing textarea')].some(box => box.value.includes('method=\\'hierarchical'))"
    )
    look(page, "faces-album")
    assert in_both(found) == []
    found.assert_well_behaved()


@pytest.mark.browser
def test_examples_are_answered_at_once(visit: Callable[..., Any]) -> None:
    found = visit(width=390)
    page = found.open("faces")
    name = shown_name(pictures(FACES)[0])
    page.get_by_role("tab", name="Verify").click()
    page.get_by_role("button", name=f"{name}, and the same").locator("visible=true").click()
    says(page, "One person: alike by")
    page.get_by_role("tab", name="Who is it?").click()
    page.get_by_role("button", name=f"{name}, and the same").locator("visible=true").click()
    says(page, rf"{name}( and \d unknown)? · ")
    page.get_by_role("button", name="Forget everybody").click()
    says(page, f"Forgotten: {name}, 1 picture")
    page.get_by_role("tab", name="Album").click()
    page.get_by_role("button", name="The examples").click()
    says(page, r"\d persons? among \d+ faces of \d+ pictures")
    page.locator(".facts:visible", has_text="Pictures without a face").get_by_text("no face was found").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found.assert_well_behaved()


@pytest.mark.browser
def test_somebody_is_enrolled_from_the_webcam(chromium: Any, chromium_path: str, address: str, album: Path) -> None:
    """In a browser whose camera sees the left man."""
    with Image.open(album / "left.jpg") as image:
        image.resize((480, 480)).save(album / "camera.jpg", quality=90)
    (album / "camera.mjpeg").write_bytes((album / "camera.jpg").read_bytes() * 3)
    seen = f"--use-file-for-fake-video-capture={album / 'camera.mjpeg'}"
    browser = chromium.browser_type.launch(executable_path=chromium_path, args=[*QUIET, *CAMERA, seen])
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{address}faces")
    page.get_by_role("tab", name="Who is it?").click()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    panel.get_by_label("Name").fill("Left")
    panel.get_by_text("Click to Access Webcam").click()
    panel.get_by_label("capture photo").click()
    panel.get_by_label("Remove Image").or_(panel.get_by_label("Clear")).first.wait_for()
    panel.get_by_role("button", name="Enrol").click()
    says(page, "Left is known by 1 picture, 1 new")
    panel.locator(".facts", has_text="Pictures given").get_by_text("snapshot-1.png").wait_for()
    panel.get_by_role("button", name="Forget everybody").click()
    says(page, "Forgotten: Left")
    browser.close()
