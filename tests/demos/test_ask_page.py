"""The ask page: what its endpoint answers, what it refuses, and what a visitor sees."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import bad_files
import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.ask import shown as ask_shown
from demos.ask.page import FEW_WORDS, MANUAL, SENTENCES, Shelf, _with_pages
from demos.ask.shown import answers_html, around_html, beneath, highlighted, page_html
from nlp.retrieval.documents import read_document
from nlp.retrieval.pdf_pages import PagePicture
from nlp.retrieval.types import CitedAnswer, Passage
from shared.errors import InputError

MARKED = """image => {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    found += Math.abs(pixels[at] - 255) + Math.abs(pixels[at + 1] - 211) + Math.abs(pixels[at + 2] - 77) < 30;
  }
  return found;
}"""
"""How many pixels of a picture have the colour of an answer."""
EIGER = "# Alps\n\n## Eiger\n\nThe Eiger is 3,967 metres high. It was first climbed in 1858 by Charles Barrington.\n"


def test_passages_are_escaped_and_marked() -> None:
    passage = Passage("/tmp/x/a<b>.md", 2, "<i>", "a <script> & b", 5, 19)
    shown = answers_html([CitedAnswer("<script>", 7, 15, 0.5, passage)])
    assert "<mark>&lt;script&gt;</mark> &amp; b" in shown
    assert "a&lt;b&gt;.md, page 2, &lt;i&gt;, characters 7 to 15" in shown
    assert "/tmp" not in shown
    assert answers_html([]) == ""


def found_in(path: Path, words: str, *, page: int | None = None) -> CitedAnswer:
    """An answer that stands somewhere in a document, and 20 characters on both sides of it as its passage."""
    text = read_document(path).pages[0 if page is None else page - 1].text
    start = text.index(words)
    begin, end = max(0, start - 20), start + len(words) + 20
    passage = Passage(str(path), page, "", text[begin:end], begin, min(end, len(text)))
    return CitedAnswer(words, start, start + len(words), 0.9, passage)


def test_an_answer_is_marked_where_it_stands_on_its_page() -> None:
    kept: list[Any] = []
    answers = [found_in(MANUAL, words, page=2) for words in ("four hours and\nten minutes", "a warm\nkitchen")]
    first, second = beneath(answers, lambda picture: kept.append(picture) or f"/tmp/a b/{len(kept)}.jpeg")
    assert (first.count("<details style"), " open>" in first, " open>" in second) == (1, True, False)
    assert 'src="gradio_api/file=/tmp/a%20b/1.jpeg"' in first
    assert 'alt="Page 2 of bread-machine.pdf with the answer marked: four hours and ten minutes"' in first
    assert [picture.size for picture in kept] == [(1000, 1284)] * 2
    strong = [(np.array(picture) == ask_shown._ANSWER).all(axis=2).nonzero() for picture in kept]
    (rows, columns), (others, beside) = strong
    assert columns.max() < 500 < beside.min()  # the one in the left column, the other in the right
    assert np.ptp(rows) > 40  # on two lines
    assert np.ptp(others) > 40


def test_washes_leave_ink_and_dark_pages_are_marked_by_a_line() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20] = 255
    boxes = np.array([[5, 5, 55, 15], [10, 5, 20, 15], [10, 25, 20, 35]], np.float32)
    drawn = np.array(highlighted(PagePicture(1, pixels, boxes, np.array([0, 1, 1]))))
    assert drawn[10, 50].tolist() == list(ask_shown._PASSAGE)
    assert drawn[30, 15].tolist() == [0, 0, 0]
    assert drawn[24, 15].tolist() == drawn[4, 15].tolist() == list(ask_shown._EDGE)
    assert drawn[10, 2].tolist() == [255, 255, 255]
    plain = PagePicture(1, pixels, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert np.array_equal(np.array(highlighted(plain)), pixels)


def test_what_cannot_be_drawn_leaves_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = found_in(MANUAL, "four hours", page=2)

    def fail(*_: object, **__: object) -> None:
        raise InputError("too-large", "a page must take <5> seconds")

    monkeypatch.setattr(ask_shown, "page_picture", fail)
    (more,) = beneath([answer], str)
    assert "The page itself cannot be shown: a page must take &lt;5&gt; seconds" in more
    assert "<mark>four hours</mark>" in answers_html([answer], [more])
    gone = (
        Passage(str(tmp_path / "gone.pdf"), 1, "", "x", 0, 1),
        Passage(str(tmp_path / "gone.md"), None, "", "x", 0, 1),
    )
    assert beneath([CitedAnswer("x", 0, 1, 1.0, passage) for passage in gone], str) == ["", ""]


def test_pictures_go_as_uploads_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    shown = gr.HTML()
    shelf = Shelf("key", cast(Any, None), cast(Any, None), (found_in(MANUAL, "four hours", page=2),))
    told = _with_pages(shelf, shown)
    (path,) = shown.temp_files
    assert f'src="gradio_api/file={path}"' in told
    assert Path(path).is_relative_to(tmp_path)
    assert Path(path).is_file()
    assert _with_pages(None, shown) == gr.skip()


def test_pages_of_answers_that_others_have_replaced_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf("key", cast(Any, None), cast(Any, None), (found_in(MANUAL, "four hours", page=2),))

    def ask_again(answers: object, keep: object) -> list[str]:
        shelf.answers = ()
        return ["too late"]

    monkeypatch.setattr("demos.ask.page.beneath", ask_again)
    assert _with_pages(shelf, gr.HTML()) == gr.skip()


def test_a_text_is_shown_around_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a&b.md"
    path.write_text(f"{'<i> ' * 30}The Eiger is high.{' more' * 30}")
    answer = found_in(path, "Eiger")
    (whole,) = beneath([answer], str)
    assert "The <mark>Eiger</mark> is high." in whole
    assert html.escape("<i> " * 30) in whole
    assert "…" not in whole
    assert 'aria-label="a&amp;b.md around the answer"' in whole
    monkeypatch.setattr(ask_shown, "AROUND", 10)
    (cut,) = beneath([answer], str)
    assert "…" in cut
    assert len(html.unescape(cut)) < len(html.unescape(whole)) - 100
    assert around_html(f"  {answer.passage.text} ", found_in(path, "Eiger")) == ""


def test_what_stands_in_for_a_picture_is_escaped_and_short() -> None:
    passage = Passage('/tmp/a"b.pdf', 1, "", '"><b> ' * 100, 0, 600)
    shown = page_html(CitedAnswer(passage.text, 0, 600, 1.0, passage), "/tmp/x.jpeg", (10, 20), unfolded=True)
    assert "<b>" not in shown
    assert 'a"b' not in shown
    assert len(shown) < 1500


@pytest.mark.weights
def test_documents_are_asked(client: Any, tmp_path: Path) -> None:
    (tmp_path / "alps.md").write_text(EIGER)
    (tmp_path / "rhine.html").write_text("<h1>Rhine</h1><p>The Rhine is 1,233 km long.</p>")
    files = [handle_file(tmp_path / name) for name in ("alps.md", "rhine.html")]
    result, answer, shown = client.predict(files, "", "How high is the Eiger?", SENTENCES, api_name="/ask")
    best = result["answers"][0]
    assert best["text"] == "The Eiger is 3,967 metres high."
    assert (best["start"], best["end"]) == (EIGER.index("The Eiger"), EIGER.index(" It was"))
    assert best["passage"]["file"] == "alps.md"
    assert "<mark>The Eiger is 3,967 metres high.</mark>" in shown
    assert "from 2 passages" in answer
    result, answer, shown = client.predict(files, "", "Who composed the opera Carmen?", SENTENCES, api_name="/ask")
    assert result["answers"] == []
    assert "I don't know" in answer
    assert "of reading" not in answer  # the documents were read once
    result, _, _ = client.predict(None, EIGER, "Who climbed the Eiger first?", SENTENCES, api_name="/ask")
    assert result["answers"][0]["passage"]["file"] == "pasted text.md"


@pytest.mark.weights
def test_a_reader_answers_with_a_few_words(client: Any) -> None:
    result, _, shown = client.predict(None, EIGER, "Who climbed the Eiger first?", FEW_WORDS, api_name="/ask")
    best = result["answers"][0]
    assert best["text"] == EIGER[best["start"] : best["end"]] == "Charles Barrington"
    assert "<mark>Charles Barrington</mark>" in shown
    assert result["way"] == "reader"
    result, answer, _ = client.predict(None, EIGER, "Who composed the opera Carmen?", api_name="/ask")
    assert result["answers"] == []
    assert "I don't know" in answer


@pytest.mark.weights
@pytest.mark.parametrize(
    ("pasted", "question", "words"),
    [
        ("", "Who?", "give a document"),
        (EIGER, " ", "write a question"),
        (EIGER, "x" * 501, "at most 500 characters"),
        ("x " * 500_001, "Who?", "at most 1,000,000 characters here"),
    ],
)
def test_what_cannot_be_asked_is_refused(client: Any, pasted: str, question: str, words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(None, pasted, question, api_name="/ask")


@pytest.mark.weights
def test_a_bad_document_is_named(client: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing")
    with pytest.raises(AppError, match=r"broken\.pdf: the PDF cannot be read"):
        client.predict([handle_file(tmp_path / "broken.pdf")], "", "Who?", api_name="/ask")


@pytest.mark.weights
@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_an_example_is_answered_where_it_stands(
    visit: Callable[..., Any], look: Callable[[Any, str], None], width: int, dark: bool
) -> None:
    seen = visit(width=width)
    page = seen.open("ask", dark=dark)
    page.get_by_text("When can I not have coffee?").click()
    page.locator("mark").first.wait_for(timeout=120_000)
    assert page.locator("mark").first.inner_text() == "Monday at 7:30"
    assert "Office handbook > Coffee machine" in page.locator(".cited h3").first.inner_text()
    look(page, f"ask-{width}{'-dark' if dark else ''}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    seen.assert_well_behaved()


@pytest.mark.weights
@pytest.mark.browser
def test_a_page_of_a_pdf_is_shown_with_its_answer_marked(
    visit: Callable[..., Any], look: Callable[[Any, str], None], in_both: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    """The example, which fits a narrow screen, and then a document of one's own in its place."""
    seen = visit(width=390)
    page = seen.open("ask")
    page.get_by_text("A manual of three pages").click()
    picture = page.get_by_alt_text("Page 2 of bread-machine.pdf with the answer marked")
    picture.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth === 1000", arg=picture.element_handle())
    assert picture.evaluate(MARKED) > 500
    look(page, "ask-page-390")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert in_both(seen) == []
    (tmp_path / "eiger.pdf").write_bytes(bad_files.pdf())
    page.get_by_label("Clear").first.click()
    page.get_by_test_id("file-upload").first.set_input_files(str(tmp_path / "eiger.pdf"))
    page.get_by_text("eiger.pdf").first.wait_for()
    page.get_by_label("Question").fill("How high is the Eiger?")
    page.get_by_role("button", name="Ask", exact=True).click()
    picture = page.get_by_alt_text("Page 1 of eiger.pdf with the answer marked: 3,967 metres")
    picture.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth === 1000", arg=picture.element_handle())
    assert picture.evaluate(MARKED) > 500
    seen.assert_well_behaved()
