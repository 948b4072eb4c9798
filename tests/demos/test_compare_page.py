"""The page that compares: its pieces, its endpoints as a program calls them, and what it shows in a browser."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.archives import MOST_FILES, root_of, unpack
from demos.compare.controls import ONE, data_elsewhere, side_elsewhere, written
from demos.compare.differing import differing, matched
from demos.compare.kinds import PICTURES, QUESTIONS, TEXTS, Bench
from demos.compare.page import question_item
from demos.compare.samples import sample_pictures, sample_questions, sample_texts
from demos.examples import CLASSIFY, pictures
from demos.models import declare
from demos.sharing import to_service
from nlp.types import Answer, Answers
from shared.errors import InputError
from vision.masks import encode_mask
from vision.types import Classification, Detections, Segmentation


def boxes(*found: tuple[str, list[float]]) -> Detections:
    labels = tuple(label for label, _ in found)
    ids = np.array([{"cat": 16, "dog": 17}[label] for label in labels], np.int32)
    places = np.array([place for _, place in found], np.float32).reshape(-1, 4)
    return Detections(labels, (60, 80), places, np.linspace(0.9, 0.5, len(found)).astype(np.float32), ids)


def halves(label: str, columns: slice) -> Segmentation:
    mask = np.zeros((4, 10), np.bool_)
    mask[:, columns] = True
    area = np.int64([mask.sum()])
    box = np.float32([[columns.start, 0, columns.stop, 4]])
    return Segmentation("semantic", (4, 10), (label,), (encode_mask(mask),), box, np.float32([1]), np.int32([8]), area)


def test_boxes_of_one_class_that_overlap_are_one_thing() -> None:
    first = boxes(("cat", [0, 0, 10, 10]), ("cat", [40, 0, 50, 10]), ("dog", [0, 30, 10, 40]))
    second = boxes(("cat", [41, 0, 51, 10]), ("dog", [0, 0, 10, 10]), ("cat", [1, 0, 11, 10]))
    assert matched(first, second) == [(0, 2), (1, 0)]
    assert matched(first, boxes()) == []
    told = differing({"a": first, "b": second})
    assert told.line == "**2 boxes in both**, 1 of a alone, 1 of b alone"
    assert differing({"a": boxes(), "b": boxes()}).line == "**Neither finds anything**"


def test_pixels_are_counted_where_both_say_the_same() -> None:
    told = differing({"a": halves("cat", slice(0, 6)), "b": halves("cat", slice(2, 6))})
    assert told.line == "**The same on 80.0% of the pixels**"
    assert "66.7%" in told.html  # 16 of 24 pixels overlap
    other = differing({"a": halves("cat", slice(0, 6)), "b": halves("dog", slice(0, 6))})
    assert other.line == "**The same on 40.0% of the pixels**"


@pytest.mark.parametrize(
    ("second", "line"),
    [("lion", "**Both say lion**"), ("cat", "**They disagree**: a says lion, b says cat")],
)
def test_best_guesses_stand_side_by_side(second: str, line: str) -> None:
    one = Classification(("lion",), np.float32([0.9]), np.int32([291]))
    assert differing({"a": one, "b": Classification((second,), np.float32([0.6]), np.int32([1]))}).line == line


SOME, NONE = (lambda text: Answers((Answer(text, 4, 4 + len(text), 0.9),), 0.1)), Answers((), 0.8)


@pytest.mark.parametrize(
    ("second", "line"),
    [
        (SOME("ferry."), "**Both answer “The ferry”**"),
        (SOME("a boat"), "**They disagree**: a answers “The ferry”, b answers “a boat”"),
        (NONE, "**They disagree**: a answers “The ferry”, b finds no answer"),
    ],
)
def test_answers_stand_side_by_side(second: Answers, line: str) -> None:
    told = differing({"a": SOME("The ferry"), "b": second})
    assert told.line == line
    assert "4 to 13" in told.html
    assert differing({"a": NONE, "b": NONE}).line == "**Neither finds an answer**"


def zipped(path: Path, **files: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        for name, size in files.items():
            held.writestr(name, bytes(size))
    return path


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["pets/cat/1.jpg", "pets/dog/2.jpg"], "pets"),
        (["pets/", "pets/cat/1.jpg", "__MACOSX/pets/x"], "pets"),
        (["pets/instances.json", "pets/1.jpg"], "pets"),
        (["cat/1.jpg", "dog/2.jpg"], ""),
        (["cat/1.jpg", "cat/2.jpg"], ""),
        (["1.jpg"], ""),
    ],
)
def test_the_folder_of_a_data_set_is_found_in_its_zip(names: list[str], root: str) -> None:
    assert root_of(names) == root


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"../out.jpg": 1}, "inside of itself"),
        ({"a/../../out.jpg": 1}, "inside of itself"),
        ({"/etc/out.jpg": 1}, "inside of itself"),
        ({f"{at}.jpg": 1 for at in range(MOST_FILES + 1)}, "1 to 1,000 files"),
        ({"large.bin": 200_000_001}, "at most 200 MB"),
        ({}, "1 to 1,000 files"),
    ],
    ids=["up", "up within", "absolute", "many", "large", "empty"],
)
def test_a_zip_that_leaves_its_bounds_is_refused(tmp_path: Path, files: dict[str, int], message: str) -> None:
    (tmp_path / "into").mkdir()
    with pytest.raises(InputError, match=message):
        unpack(zipped(tmp_path / "set.zip", **files), tmp_path / "into")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["into", "set.zip"]


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.zip").write_text("Dear all")
    with pytest.raises(InputError, match=r"letter\.zip must be a zip"):
        unpack(tmp_path / "letter.zip", tmp_path)


def test_two_models_of_a_kind_are_chosen() -> None:
    bench = Bench.of(TEXTS, declare())
    for nothing in (None, None), ("sst2-minilm", "sst2-bge-lora"):
        assert bench.pair("Topic", *nothing)[1:] == ("agnews-minilm", "agnews-minilm-lora")
    assert bench.pair("Sentiment", "sst2-bge-lora", "sst2-minilm")[1:] == ("sst2-bge-lora", "sst2-minilm")
    assert bench.pair("Topic", "agnews-minilm-lora", "agnews-minilm")[1:] == ("agnews-minilm-lora", "agnews-minilm")
    for kind, first, second, message in [
        ("Weather", None, None, "must be one of Sentiment"),
        ("Topic", "sst2-minilm", None, "must be one of agnews-minilm"),
        ("Topic", "agnews-minilm-lora", None, "two different models"),
    ]:
        with pytest.raises(gr.Error, match=message):
            bench.pair(kind, first, second)


@pytest.mark.weights
def test_two_models_on_one_text(client: Any) -> None:
    result, answer, shown = client.predict("A joy to watch.", "Sentiment", api_name="/compare_text")
    assert {found["labels"][0] for found in result.values()} == {"positive"}
    assert "Both say positive" in answer
    assert "sst2-minilm" in shown
    with pytest.raises(AppError, match="two different models"):
        client.predict("A joy.", "Sentiment", "sst2-bge-lora", "sst2-bge-lora", api_name="/compare_text")


@pytest.mark.weights
def test_two_models_on_labelled_texts(client: Any, tmp_path: Path) -> None:
    sample = handle_file(sample_texts(str(tmp_path)))
    result, answer, shown = client.predict(sample, "Sentiment", api_name="/compare_table")
    assert result["dataset"] == "short-reviews.csv"
    assert "accuracy" in answer
    assert 'class="forest"' in shown


@pytest.mark.weights
def test_two_models_on_one_picture(client: Any) -> None:
    picture = handle_file(pictures(CLASSIFY)[0])
    result, answer, *_ = client.predict(picture, "What it is of", api_name="/compare_picture")
    assert list(result) == ["mobilenetv2-224", "mobilenetv2"]
    assert "Both say lion" in answer
    result, answer, shown, *drawn = client.predict(picture, "Which pixels", api_name="/compare_picture")
    assert {found["type"] for found in result.values()} == {"Segmentation"}
    assert "of the pixels" in answer
    assert "Overlap" in shown
    assert all(Path(one["value"] if isinstance(one, dict) else one).is_file() for one in drawn[-2:])


@pytest.mark.weights
def test_two_models_on_labelled_pictures(client: Any, tmp_path: Path) -> None:
    sample = handle_file(sample_pictures(str(tmp_path)))
    result, answer, shown, *_ = client.predict(sample, "What it is of", api_name="/compare_pictures")
    assert (result["n"], result["dataset"]) == (5, "few-pictures.zip")
    assert "No difference shown in top1" in answer
    assert "Where one alone is right" in shown
    wrong = handle_file(str(zipped(tmp_path / "wrong.zip", **{"letter.txt": 3})))
    with pytest.raises(AppError, match=r"wrong\.zip must hold one folder of images a class"):
        client.predict(wrong, "What it is of", api_name="/compare_pictures")


def test_a_table_without_labels_is_refused(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("words,kind\nA joy.,positive\n")
    with pytest.raises(AppError, match="text") as caught:
        client.predict(handle_file(str(path)), "Sentiment", api_name="/compare_table")
    assert "/tmp" not in str(caught.value)


@pytest.mark.weights
def test_a_comparison_elsewhere(client: Any, tmp_path: Path, answers: Callable[..., Any]) -> None:
    archive = Path(sample_pictures(str(tmp_path))).rename(tmp_path / "my pictures.zip")
    kind, names = PICTURES["What it is of"], ["mobilenetv2-224", "mobilenetv2"]
    page = client.predict(handle_file(str(archive)), "What it is of", api_name="/compare_pictures")[0]
    file = {"path": str(archive), "orig_name": "my pictures.zip"}
    wanted = data_elsewhere(kind, names, file, ["What it is of", *names], "compare_pictures")
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    same = {"models", "n", "verdict", "mcnemar"}
    assert {key: page[key] for key in same} == {key: python[key] for key in same} == {key: command[key] for key in same}


@pytest.mark.weights
def test_two_readers_on_one_question(client: Any) -> None:
    passage = "The ferry carries 240 passengers and 31 cars."
    result, answer, shown = client.predict("How many cars?", passage, api_name="/compare_answer")
    assert list(result) == list(QUESTIONS["Answers"].models[:2])
    assert "Both answer “31”" in answer
    assert "37 to 39" in shown
    _, answer, _ = client.predict("What does a ticket cost?", passage, api_name="/compare_answer")
    assert "squadshifts-minilm-lora finds no answer" in answer
    with pytest.raises(AppError, match="and the passage that may answer it"):
        client.predict("How many cars?", " ", api_name="/compare_answer")


@pytest.mark.weights
def test_two_readers_on_questions_here_and_elsewhere(client: Any, tmp_path: Path, answers: Callable[..., Any]) -> None:
    sample = Path(sample_questions(str(tmp_path))).rename(tmp_path / "few-questions.json")
    kind = QUESTIONS["Answers"]
    page, answer, shown = client.predict(handle_file(str(sample)), api_name="/compare_answers")
    assert page["models"] == list(kind.models[:2])
    assert (page["n"], page["groups"]) == (24, 12)
    assert {"em", "f1"} < set(page["figures"])
    assert answer.startswith("**squadshifts-minilm-lora (never refuses) is worse than squadshifts-minilm-lora: em ")
    assert "What does a ticket cost?" in shown
    file = {"path": str(sample), "orig_name": sample.name}
    wanted = data_elsewhere(kind, kind.models[:2], file, ["Answers", *kind.models[:2]], "compare_answers")
    assert wanted is not None
    (python,), (command,) = answers(wanted, tmp_path)
    same = {"models", "n", "verdict", "figures"}
    assert {key: page[key] for key in same} == {key: python[key] for key in same} == {key: command[key] for key in same}


def test_questions_that_cannot_be_read_are_refused(client: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("question,answer\nWho?,Ann\n")
    with pytest.raises(AppError, match=r"bad\.csv, line 1 must name the columns question, context") as caught:
        client.predict(handle_file(str(tmp_path / "bad.csv")), api_name="/compare_answers")
    assert str(tmp_path) not in str(caught.value)


def test_one_question_elsewhere_is_asked_of_both_readers() -> None:
    write = written(Bench.of(QUESTIONS, declare()), "compare_answer", "compare_answers", item=question_item)
    models = QUESTIONS["Answers"].models
    assert write("Who?", "", None, ONE, "Answers", *models[:2]) is None
    told = write("Who?", "It's Ann.", None, ONE, "Answers", *models[:2])
    assert told is not None
    compile(told.python, "shown", "exec")
    assert "top_k=1, no_answer_threshold=40.0)," in told.python
    assert told.data == ["Who?", "It's Ann.", "Answers", *models[:2]]
    first, second = told.command.splitlines()
    assert first.startswith("triptych predict nlp.qa --model squadshifts-minilm-lora --top-k 1 -- '{")
    assert "--no-answer-threshold 40.0 -- " in second


def test_one_item_elsewhere_is_asked_of_both() -> None:
    kind = TEXTS["English to German"]
    given = ["It's dull.", "English to German", *kind.models]
    text = side_elsewhere(kind, kind.models, given[0], given, "compare_text")
    compile(text.python, "shown", "exec")
    for name in kind.models:
        assert f"open_model({name!r}, device=\"auto\", threads=None, source='en', target='de')," in text.python
    quoted = "'It'\"'\"'s dull.'"
    assert text.command.splitlines() == [
        f"triptych predict nlp.translation --model {name} --source en --target de -- {quoted}" for name in kind.models
    ]
    assert to_service(text).startswith("# The service answers with one model at a time")


@pytest.mark.weights
@pytest.mark.browser
def test_every_part_answers_in_the_browser(
    visit: Callable[..., Any], look: Callable[[Any, str], Path], violations: Callable[[Any], list[str]]
) -> None:
    found = visit()
    page = found.open("compare")
    page.get_by_role("button", name="A central bank").click()
    page.locator(".prose.says:visible", has_text="agnews-minilm-lora").wait_for(timeout=60_000)
    page.locator(".prose.note:visible", has_text="agnews-minilm-lora").wait_for()
    page.get_by_role("button", name="Use it elsewhere").locator("visible=true").click()
    listing = page.locator(".listing textarea:visible")
    page.wait_for_function("document.querySelector('.listing textarea')?.value.includes('agnews-minilm')")
    assert "'nlp.classification'" in listing.input_value()
    assert violations(page) == []
    page.get_by_role("tab", name="Answers").click()
    page.get_by_role("button", name="Something that it does not say").click()
    page.locator(".prose.says:visible", has_text="squadshifts-minilm-lora finds no answer").wait_for(timeout=60_000)
    page.get_by_role("button", name="Compare on 24 short questions").click()
    page.locator(".prose.says:visible", has_text="is worse than squadshifts-minilm-lora: em").wait_for(timeout=60_000)
    assert violations(page) == []
    page.get_by_role("tab", name="Pictures").click()
    page.locator(".gallery-item:visible").first.click()
    page.locator(".prose.says:visible", has_text="Both say lion").wait_for(timeout=60_000)
    page.get_by_label("Which pixels").check()
    page.locator(".prose.says:visible", has_text="of the pixels").wait_for(timeout=60_000)
    page.get_by_alt_text("What the second one found").wait_for()
    page.get_by_role("button", name="Compare on five pictures").click()
    page.locator(".prose.says:visible", has_text="No difference shown in top1").wait_for(timeout=60_000)
    page.get_by_role("button", name="Use it elsewhere").locator("visible=true").click()
    page.get_by_role("tab", name="Command").locator("visible=true").click()
    shown = page.locator(".listing textarea:visible")
    assert "triptych compare vision.classification --models mobilenetv2-224 mobilenetv2" in shown.input_value()
    assert json.dumps("few-pictures.zip")[1:-1] in shown.input_value()
    assert violations(page) == []
    look(page, "compared")
    found.assert_well_behaved()
