"""The same request elsewhere: what the pages show is run by a shell and answers as the page does."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import handle_file

from demos import classify, entities, text, translate
from demos.ask import page as ask
from demos.detect import page as detect
from demos.examples import CLASSIFY, DETECT, SEGMENT, pictures
from demos.faces import elsewhere as faces_elsewhere
from demos.models import SEGMENTERS
from demos.segment import page as segment
from demos.sharing import Elsewhere, Upload, form_file, to_service, to_this_application, upload

Answers = Callable[[Elsewhere, Path], tuple[list[Any], list[Any]]]
AWKWARD = 'It\'s a "dull" film: $HOME, `ls`, \\n and\n--a second line; Ada Lovelace saw it in Zürich.'


def about(result: Any) -> Any:
    """The result with its numbers to three digits: one window or two cores may change the last ones."""
    return json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 3))


@pytest.mark.weights
@pytest.mark.parametrize("model", ["sst2-bge-lora", "sst2-minilm"])
def test_text_elsewhere(model: str, client: Any, tmp_path: Path, answers: Answers) -> None:
    given = AWKWARD, "Sentiment", "", model
    page = client.predict(*given, api_name="/text")[0]
    (python,), (command,) = answers(text.elsewhere(*given), tmp_path)
    assert about(python) == about(command["result"]) == about(page)


@pytest.mark.weights
def test_entities_elsewhere(client: Any, tmp_path: Path, answers: Answers) -> None:
    given = AWKWARD, ["person", "email"], "label"
    page = client.predict(*given, api_name="/entities")[0]
    (found, redacted), (command, cleaned) = answers(entities.elsewhere(*given), tmp_path)
    assert about(found) == about(command["result"]) == about(page["entities"])
    assert redacted == cleaned["result"] == page["redacted"]
    assert redacted["text"] != AWKWARD


@pytest.mark.weights
def test_detect_elsewhere(client: Any, tmp_path: Path, answers: Answers) -> None:
    name = "a street.jpg"
    shutil.copy(pictures(DETECT)[0], tmp_path / name)
    page = client.predict(handle_file(tmp_path / name), 0.4, False, api_name="/detect")[0]
    wanted = detect.elsewhere({"path": str(tmp_path / name), "orig_name": name}, 0.4, False, [])
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    assert page["labels"]
    assert about(python) == about(command["result"]) == about(page)


def test_detect_elsewhere_in_tiles_and_of_some_classes() -> None:
    wanted = detect.elsewhere({"path": "x.jpg"}, 0.3, True, ["bus"])
    assert wanted is not None
    assert "vision.tiled(vision.detector(score_threshold=0.3, classes=('bus',)))" in wanted.python
    assert wanted.command == "triptych predict vision.detection --score-threshold 0.3 --classes bus --tile 640 -- x.jpg"


@pytest.mark.weights
def test_segment_elsewhere(client: Any, tmp_path: Path, answers: Answers) -> None:
    name = "a street.jpg"
    shutil.copy(pictures(SEGMENT)[0], tmp_path / name)
    page = client.predict(handle_file(tmp_path / name), api_name="/segment")[0]
    file = {"path": str(tmp_path / name), "orig_name": name}
    kind, (model, *_) = next(iter(SEGMENTERS.items()))
    wanted = segment.elsewhere(file, model, kind)
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    assert python["labels"] == command["result"]["labels"] == page["labels"]
    assert about(python["areas"]) == about(page["areas"])


@pytest.mark.weights
@pytest.mark.parametrize("model", [None, "mobilenetv2-224"])
def test_classify_elsewhere(model: str | None, client: Any, tmp_path: Path, answers: Answers) -> None:
    name = "it's a lion; isn't it.jpg"
    shutil.copy(pictures(CLASSIFY)[0], tmp_path / name)
    page = client.predict(handle_file(tmp_path / name), model, api_name="/classify")[0]
    wanted = classify.elsewhere({"path": str(tmp_path / name), "orig_name": name}, model)
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    assert about(python) == about(command["result"]) == about(page)


@pytest.mark.weights
def test_ask_elsewhere(client: Any, tmp_path: Path, answers: Answers) -> None:
    pasted, question = '# Alps\n\nThe Eiger\'s summit is 3,967 m "high".\n', "How high is the Eiger?"
    page = client.predict(None, pasted, question, ask.SENTENCES, api_name="/ask")[0]
    (python,), command = answers(ask.elsewhere(None, pasted, question, ask.SENTENCES), tmp_path)
    told = [found["text"] for found in page["answers"]]
    assert told
    assert [found["text"] for found in python["answers"]] == told
    assert [found["text"] for found in command[-1]["result"]["answers"]] == told


@pytest.mark.weights
def test_faces_elsewhere(client: Any, tmp_path: Path, answers: Answers, two_men: Path) -> None:
    name = "two men.jpg"
    shutil.copy(two_men, tmp_path / name)
    file = {"path": str(tmp_path / name), "orig_name": name}
    page = client.predict(handle_file(tmp_path / name), api_name="/faces")[0]
    wanted = faces_elsewhere.find_elsewhere(file)
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    assert len(page["xyxy"]) == 2
    assert about(python["xyxy"]) == about(command["result"]["xyxy"]) == about(page["xyxy"])


@pytest.mark.weights
@pytest.mark.parametrize(
    ("given", "term"),
    [
        (("zh to en", "- 地点：图书馆", "图书馆 = City Library", None), "City Library"),
        (("en to de", "Two men are standing on the street.", "street = Gasse", "en-xx-captions"), "Gasse"),
    ],
)
def test_translate_elsewhere(given: Any, term: str, client: Any, tmp_path: Path, answers: Answers) -> None:
    page = client.predict(*given, api_name="/translate")[0]
    (python,), (command,) = answers(translate.elsewhere(*given), tmp_path)
    assert term in page["text"]
    assert python["text"] == command["result"]["text"] == page["text"]


@pytest.mark.weights
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_answers_as_the_page_does(client: Any, address: str, tmp_path: Path) -> None:
    name = 'a "lion", it\'s.jpg'
    shutil.copy(pictures(CLASSIFY)[0], tmp_path / name)
    wanted = classify.elsewhere({"orig_name": name})
    assert wanted is not None
    for shown, page in [
        (
            text.elsewhere(AWKWARD, "Topic", "", "agnews-minilm"),
            client.predict(AWKWARD, "Topic", "", api_name="/text")[0],
        ),
        (wanted, client.predict(handle_file(tmp_path / name), api_name="/classify")[0]),
    ]:
        script = to_this_application(shown, address)
        ran = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        data = next(line for line in ran.stdout.splitlines() if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))[0] == page


SHOWN = [
    text.elsewhere(AWKWARD, text.OWN, "a film, food", "minilm-zero-shot"),
    entities.elsewhere(AWKWARD, ["person"], "label", "en-core-web-md"),
    entities.elsewhere(AWKWARD, [], "label"),
    translate.elsewhere("en to de", AWKWARD, "film = Streifen\nit's = das ist"),
    faces_elsewhere.find_elsewhere({"orig_name": "-a b.jpg"}),
    ask.elsewhere([{"orig_name": "my plan.pdf"}], AWKWARD, "-- Who?", ask.SENTENCES),
    ask.elsewhere(None, "long " * 1000, "Who?", ask.FEW_WORDS),
]


@pytest.mark.parametrize("wanted", SHOWN, ids=lambda wanted: wanted.endpoint)
def test_what_is_shown_is_quoted_right(wanted: Elsewhere) -> None:
    compile(wanted.python, "shown", "exec")
    for script in (wanted.command, to_service(wanted), to_this_application(wanted, "http://localhost:7860/")):
        subprocess.run(["sh", "-n", "-c", script], check=True)
    assert f"/v1/tasks/{wanted.task} " in to_service(wanted)
    assert f"http://localhost:7860/gradio_api/call/{wanted.endpoint} " in to_this_application(
        wanted, "http://localhost:7860/"
    )


def test_the_service_is_asked_with_json_or_a_form() -> None:
    own = to_service(SHOWN[0])
    assert own.startswith('# where "triptych serve nlp.classification=minilm-zero-shot --port 8765" runs:\n')
    body = json.loads(shlex.split(own, comments=True)[-1])
    assert body == {"item": AWKWARD, "model": "minilm-zero-shot", "options": {"labels": ["a film", "food"]}}
    file = Elsewhere("", "", "classify", [], "vision.classification", Upload("a b.jpg"))
    assert shlex.split(to_service(file), comments=True)[-2:] == ["-F", "file=@a b.jpg"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"path": "/tmp/x/cat.jpg"}, "cat.jpg"),
        ({"orig_name": "../../etc/passwd"}, "passwd"),
        ({"orig_name": "C:\\me\\cat.jpg"}, "cat.jpg"),
    ],
)
def test_an_upload_has_a_name_and_no_folder(value: dict[str, str], name: str) -> None:
    assert upload(value) == Upload(name)
    assert upload(None) is None
    assert form_file("file", Upload("a,b.jpg")) == 'file=@"a,b.jpg"'


@pytest.mark.weights
@pytest.mark.browser
def test_the_strip_shows_the_request_and_the_result(
    visit: Callable[..., Any], look: Callable[[Any, str], None], address: str
) -> None:
    found = visit()
    page = found.open("text")
    page.get_by_label("Text", exact=True).fill("A warm film.")
    page.get_by_role("button", name="Tell").click()
    page.locator(".prose.says", has_text="sure").wait_for(timeout=120_000)
    page.get_by_role("button", name="Use it elsewhere").click()
    shown = text.elsewhere("A warm film.", "Sentiment", "", "sst2-bge-lora")
    page.wait_for_function("document.querySelector('.listing textarea')?.value.length > 0")
    listing = page.locator(".listing textarea:visible")
    assert listing.input_value() == shown.python
    page.get_by_role("tab", name="Command").click()
    assert listing.input_value() == shown.command
    page.get_by_role("tab", name="curl, here").click()
    assert listing.input_value() == to_this_application(shown, address)
    look(page, "strip")
    page.get_by_role("tab", name="JSON").click()
    page.get_by_text("TextLabels").first.wait_for()
    found.assert_well_behaved()
