"""Documents in: encodings, Markdown, HTML, PDF; and files that mean harm."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest

from nlp.retrieval import documents
from nlp.retrieval.documents import Document, markdown_headings, read_document
from nlp.retrieval.encodings import decode_text
from nlp.retrieval.html import read_html
from nlp.retrieval.markup import tokens
from shared.errors import InputError, UsageError

fpdf = pytest.importorskip("fpdf", reason="makes the PDFs: pip install fpdf2")
LATIN = "Grüße aus Zürich, façade, naïve"


def read(data: bytes, name: str = "a.txt", **options: Any) -> Document:
    return read_document(Path(name), data=data, **options)


# --- encodings


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (LATIN.encode(), LATIN, "utf-8"),
        (LATIN.encode("utf-8-sig"), LATIN, "utf-8-sig"),
        (LATIN.encode("utf-16"), LATIN, "utf-16"),
        (LATIN.encode("utf-16-le"), LATIN, "utf-16-le"),
        (LATIN.encode("utf-16-be"), LATIN, "utf-16-be"),
        (LATIN.encode("utf-32"), LATIN, "utf-32"),
        (LATIN.encode("cp1252"), LATIN, "cp1252"),
        ("“quoted” – 5 €".encode("cp1252"), "“quoted” – 5 €", "cp1252"),
        (LATIN.encode() + b"\n" + "é".encode("cp1252"), LATIN + "\né", "utf-8 with 1 bytes of cp1252"),
        ("日本語のテキスト".encode(), "日本語のテキスト", "utf-8"),
        (b"\x81 odd \xe9", "\x81 odd é", "cp1252"),
        (b"plain", "plain", "utf-8"),
    ],
)
def test_the_encoding_is_found(data: bytes, text: str, encoding: str) -> None:
    found = decode_text(data)
    assert (found.text, found.encoding) == (text, encoding)


def test_a_named_encoding_is_taken_at_its_word() -> None:
    assert decode_text("привет".encode("koi8-r"), encoding="koi8-r").text == "привет"
    with pytest.raises(InputError, match="the file must be utf-8") as caught:
        decode_text(b"\xff\xff", encoding="utf-8")
    assert caught.value.kind == "corrupt"
    with pytest.raises(UsageError, match="encoding must be one that Python knows"):
        decode_text(b"x", encoding="klingon")


@pytest.mark.parametrize("head", ['<meta charset="koi8-r">', "<meta http-equiv=x content='text/html; charset=KOI8-R'>"])
def test_a_page_declares_its_encoding(head: str) -> None:
    page = f"<html><head>{head}</head><body>привет".encode("koi8-r")
    found = read(page, "a.html")
    assert (found.pages[0].text, found.encoding) == ("привет", "koi8-r")
    wrong = b'<meta charset="no-such">caf\xc3\xa9'
    assert read(wrong, "a.html").pages[0].text == "café"
    latin = b'<meta charset="iso-8859-1">\x93caf\xe9\x94'
    assert read(latin, "a.html").pages[0].text == "“café”"


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 40, b"\x7fELF\x02\x01\x01" + bytes(500), b"\x89PNG\r\n\x1a\n" + bytes(99)]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="must hold text") as caught:
        read(data)
    assert caught.value.kind == "binary"


def test_some_zero_bytes_are_borne() -> None:
    text = "word \0 " + "word " * 200
    assert read(text.encode()).pages[0].text == text


# --- Markdown


def test_headings_of_markdown() -> None:
    text = (
        "Alps\n====\n\ntext\n\n# not really #tag\n```\n# code\n```\n~~~ sh\n# code\n~~\n~~~\n"
        "    # code\n- item\n---\n## Eiger ##\nHigh\n---\n#nothing\n#\n\n---\n"
    )
    found = [(h.level, h.title, text[h.start :].split("\n", maxsplit=1)[0]) for h in markdown_headings(text)]
    assert found == [
        (1, "Alps", "Alps"),
        (1, "not really #tag", "# not really #tag"),
        (2, "Eiger", "## Eiger ##"),
        (2, "High", "High"),
    ]
    found_document = read(b"# One\r\n\r\ntext\r\n## Two\r\n", "a.md")
    assert [(h.start, h.title) for h in found_document.pages[0].headings] == [(0, "One"), (15, "Two")]
    assert found_document.title == "One"


# --- HTML

PAGE = """<!DOCTYPE html><html><head><title> The &amp; Alps </title><style>p{color:red}</style></head><body>
<nav>menu</nav><h1>Alps</h1>
<p>The <b>Eiger</b>
is &lt;high&gt;.<br>Very.</p><script>if (a < b) document.write("<p>no</p>")</script>
<ul><li>one</li><li>two</li></ul><h2 class='a>b'>Rivers</h2><table><tr><td>Rhine</td><td>1233</td></tr><tr><td>x</table>
<pre>a  b
  c</pre><!-- <p>hidden --><p>caf&eacute;</p></body></html>"""


def test_html_is_what_a_reader_sees() -> None:
    found = read_html(PAGE)
    page = found.pages[0]
    assert found.title == "The & Alps"
    assert page.text.strip() == (
        "Alps\n\nThe Eiger is <high>.\nVery.\n\n- one\n- two\n\nRivers\n\nRhine\t1233\nx\n\na  b\n  c\n\ncafé"
    )
    assert [(h.level, h.title) for h in page.headings] == [(1, "Alps"), (2, "Rivers")]
    assert all(page.text[h.start :].startswith(h.title) for h in page.headings)


def test_tags_and_text() -> None:
    cases = {
        "a<b": ["a"],  # a tag that is never closed takes the rest
        "a < b <3": ["a < b <3"],
        "<p>x</p >y": ["p", "x", "p", "y"],
        "<A HREF='>'>x": ["a", "x"],
        '<a x=">" y>z': ["a", "z"],
        "<a '>'>x": ["a", "'>x"],  # a quotation mark that begins no value quotes nothing
        "<title>a<b>c</title>d": ["title", "a<b>c", "title", "d"],
        "<script><p></scripty></SCRIPT >x": ["script", "<p></scripty>", "script", "x"],
        "x<!-->y": ["x", "y"],
        "x<?php ?>y</>z": ["x", "y", "z"],
        "&#x110000; &#99999999999999999999; &amp": ["\ufffd \ufffd &"],
    }
    for source, wanted in cases.items():
        assert [token.value for token in tokens(source)] == wanted, source


SIZE = 300_000
BOMBS = {
    "less": "<" * SIZE,
    "comments": "<!--" * SIZE,
    "comment-ends": "<!--" + "-" * SIZE,
    "open tags": "<a " * SIZE,
    "depth": "<div>" * SIZE,
    "closing": "</div>" * SIZE,
    "one value": "<a x='" + "y" * SIZE,
    "quotes": "<a b=\"'" * SIZE,
    "spaces": "<a " + "= " * SIZE + '"',
    "blank": "<a =" + " " * SIZE + ('"' + " " * 50) * 500,
    "ampersands": "&#x" * SIZE,
    "scripts": "<script>" * SIZE,
    "titles": "<title>" * SIZE,
    "declarations": "<!" * SIZE,
    "number": "&#" + "9" * SIZE + ";",
    "tables": "<table><tr><td>" * (SIZE // 5),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_page_that_means_harm_costs_no_more_than_its_length(name: str) -> None:
    began = time.process_time()
    read_html(BOMBS[name])
    assert time.process_time() - began < 10


# --- PDF


def pdf(pages: list[str], *, sections: dict[int, str] | None = None, password: str = "") -> bytes:
    made = fpdf.FPDF()
    made.set_title("The Alps")
    for at, text in enumerate(pages):
        made.add_page()
        made.set_font("Helvetica", size=12)
        if sections and at in sections:
            made.start_section(sections[at])
        made.multi_cell(0, 6, text)
    if password:
        made.set_encryption(owner_password="owner", user_password=password)
    return bytes(made.output())


WHOLE = pdf(["The Eiger is 3967 metres high.", "Z\u00fcrich lies at a lake.", ""], sections={0: "Peaks", 1: "Towns"})


def test_pages_headings_and_title_of_a_pdf() -> None:
    found = read(WHOLE, "a.pdf")
    assert (found.kind, found.title) == ("pdf", "The Alps")
    assert [page.number for page in found.pages] == [1, 2, 3]
    assert found.pages[0].text.strip() == "The Eiger is 3967 metres high."
    assert found.pages[1].text.strip() == "Zürich lies at a lake."
    assert [[h.title for h in page.headings] for page in found.pages] == [["Peaks"], ["Towns"], []]
    assert read(WHOLE, "no-ending").kind == "pdf"


def outcome(data: bytes) -> str:
    """What became of a PDF: "pdf" where it could be read, else the kind of its fault."""
    try:
        return read(data, "a.pdf").kind
    except InputError as error:
        return error.kind


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_pdf_is_refused_or_read_in_part(tenth: int) -> None:
    assert outcome(WHOLE[: len(WHOLE) * tenth // 10]) in ("pdf", "corrupt", "empty")


@pytest.mark.parametrize(
    ("data", "name", "kind", "words"),
    [
        (pdf(["secret"], password="x"), "a.pdf", "encrypted", "locked by a password"),
        (pdf([""]), "a.pdf", "empty", "text recognition"),
        (b"%PDF-1.7 and nothing", "a.pdf", "corrupt", "cannot be read"),
        (b"not at all", "a.pdf", "corrupt", "does not begin as one"),
        (b"x", "a.docx", "unsupported", "must end in one of"),
        (b"  \n ", "a.txt", "empty", "must hold text"),
        (b"", "a.md", "empty", "must hold text"),
        (b"<script>x</script>", "a.html", "empty", "must hold text"),
    ],
)
def test_bad_files_say_what_is_wrong(data: bytes, name: str, kind: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(data, name)
    assert caught.value.kind == kind


def test_a_page_count_that_is_a_lie_and_one_that_is_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    lied = WHOLE.replace(b"/Count 3", b"/Count 9999999")
    assert lied != WHOLE
    assert outcome(lied) in ("pdf", "corrupt", "too-large")
    monkeypatch.setattr("nlp.retrieval.pdf.MOST_PAGES", 2)
    with pytest.raises(InputError, match="at most 2 pages. Got 3"):
        read(WHOLE, "a.pdf")
    monkeypatch.setattr("nlp.retrieval.pdf.MOST_PAGES", 9)
    monkeypatch.setattr("nlp.retrieval.pdf.MOST_CHARACTERS", 20)
    with pytest.raises(InputError, match="at most 20 characters"):
        read(WHOLE, "a.pdf")


def test_bits_turned_in_a_pdf_never_bring_the_process_down() -> None:
    data = bytearray(WHOLE)
    for at in range(0, len(data), 97):
        data[at] ^= 0x55
        assert outcome(bytes(data)) in ("pdf", "corrupt", "empty", "encrypted")
        data[at] ^= 0x55


def test_files_that_are_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.txt", tmp_path, tmp_path / ("x" * 300), Path("a\0b.txt")):
        with pytest.raises(InputError) as caught:
            read_document(path)
        assert caught.value.kind == "not-found"
    big = tmp_path / "big.txt"
    big.write_text("four words stand here")
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="at most 10 bytes"):
        read_document(big)


def test_reading_takes_bytes_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(io.BytesIO(WHOLE).getvalue())
    assert read_document(path) == read(WHOLE, "a.pdf")
