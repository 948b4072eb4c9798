"""The ask page: what its endpoint answers, what it refuses, and what a visitor sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.ask import FEW_WORDS, SENTENCES
from demos.ask_shown import answers_html
from nlp.retrieval.types import CitedAnswer, Passage

EIGER = "# Alps\n\n## Eiger\n\nThe Eiger is 3,967 metres high. It was first climbed in 1858 by Charles Barrington.\n"


def test_passages_are_escaped_and_marked() -> None:
    passage = Passage("/tmp/x/a<b>.md", 2, "<i>", "a <script> & b", 5, 19)
    shown = answers_html([CitedAnswer("<script>", 7, 15, 0.5, passage)])
    assert "<mark>&lt;script&gt;</mark> &amp; b" in shown
    assert "a&lt;b&gt;.md, page 2, &lt;i&gt;, characters 7 to 15" in shown
    assert "/tmp" not in shown
    assert answers_html([]) == ""


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
