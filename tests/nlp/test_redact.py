"""What is taken out of texts, what must not be, and where everything is afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tagger import tagger_folder

import nlp
from nlp.ner.identifiers import IDENTIFIERS, find_identifiers, luhn
from nlp.redaction import redacted
from nlp.types import Redacted
from shared.cli.main import triptych
from shared.errors import PredictError, UnknownNameError, UsageError
from shared.types import Failure, Result

FOUND = {
    "email": "ada@example.org|a.b+c@mail.example.co.uk|o'neil@x-y.com|käthe@müller.de|A_1@EXAMPLE.MUSEUM",
    "phone": "+44 20 7946 0958|+1 (212) 555-0100|+1-212-555-0100|+4930123456|+33 1 23 45 67 89|(212) 555-0100"
    "|212-555-0100|212.555.0100|1-800-555-0199|030 1234567|01 23 45 67 89|020 7946 0958|0171/1234567|(030) 1234-5678"
    "|+44 (0)20 7946 0958",
    "card": "4539578763621486|4539 5787 6362 1486|5555-5555-5555-4444|3782 822463 10005|6011111111111117",
    "iban": "GB82WEST12345698765432|GB82 WEST 1234 5698 7654 32|DE89 3704 0044 0532 0130 00"
    "|fr1420041010050500013m02606",
    "ip": "10.0.0.1|192.168.255.254|2001:db8::ff00:42:8329|fe80::1|2001:0db8:0000:0000:0000:ff00:0042:8329",
}
ORDINARY = [
    "He was born on 12-05-1987, or 12/05/1987 or 1987-05-12, at 12:30:45.",
    "The 01-02-2024 15 sale and 09/11/2001 3000.",
    "It cost 1,234,567.89 in 1990-1995, up 12.5 % from 1.234.567,89.",
    "Version 1.2.3.4, v10.0.0.1, release 2.0.1.9 and 300.1.2.3 and 1.2.3.4.5",
    "Order 4539578763621487, invoice 1234567890123, ISBN 978-3-16-148410-0.",
    "Room 020, pages 100-200 2019 2020 2021 2022, score 6-3 7-6 (7-4).",
    "GB82WEST12345698765433 and XX00 ABCD, GB82 WEST",
    "12345678 1234567890 0.123456789 007",
    "std::vector<int>, a::b, 12:30, ::",
    "me@home, @handle, a@b, x@y.1, user@@example",
    "3.14159265358979 2.71828182845904 1e-10",
    "4111 11111111 1111, 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "coordinates 40.712776 -74.005974, 52 30 15 N",
    "ratio 16:9:4:3 and 0123456789abcdef",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts.split("|")])
@pytest.mark.parametrize("around", ["{}", "see {}.", "({}),", "a\n{}\nb", "“{}”", "é👍🏽 {} 東"])
def test_identifiers_are_found_whole(kind: str, text: str, around: str) -> None:
    whole = around.format(text)
    start = whole.index(text)
    assert find_identifiers(whole, IDENTIFIERS) == [(start, start + len(text), kind)]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_numbers_are_left_alone(text: str) -> None:
    assert find_identifiers(text, IDENTIFIERS) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Tel: 1234567", "1234567"),
        ("phone no. 555-0100.", "555-0100"),
        ("Fax 030 1234", "030 1234"),
        ("mobile number is 07911 123456", "07911 123456"),
        ("Tél. : 01.23.45.67.89", "01.23.45.67.89"),
    ],
)
def test_a_number_that_is_called_one_is_a_phone(text: str, number: str) -> None:
    at = text.index(number)
    assert find_identifiers(text, ["phone"]) == [(at, at + len(number), "phone")]


def test_neighbours_are_told_apart() -> None:
    text = "4539 5787 6362 1486 GB82 WEST 1234 5698 7654 32 AND a@b.org,c@d.org"
    kinds = [(text[start:stop], kind) for start, stop, kind in find_identifiers(text, IDENTIFIERS)]
    assert kinds == [
        ("4539 5787 6362 1486", "card"),
        ("GB82 WEST 1234 5698 7654 32", "iban"),
        ("a@b.org", "email"),
        ("c@d.org", "email"),
    ]


@given(st.from_regex(r"[0-9]{2,18}", fullmatch=True))
def test_luhn_finds_every_single_wrong_digit(digits: str) -> None:
    whole = next(digits + check for check in "0123456789" if luhn(digits + check))
    for at, digit in enumerate(whole):
        wrong = whole[:at] + str((int(digit) + 1) % 10) + whole[at + 1 :]
        assert not luhn(wrong)


SLOW = ["1", "1 ", "+1", "a@", "1.", ":", "GB82", "0", "tel ", "a@" + "b" * 60 + ".", "(0", "1-"]


@pytest.mark.parametrize("part", SLOW)
def test_no_text_makes_the_patterns_slow(part: str) -> None:
    from time import process_time

    begun = process_time()
    find_identifiers(part * (300_000 // len(part)), IDENTIFIERS)
    assert process_time() - begun < 5


def test_an_unknown_kind_of_identifier_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no kind of identifier is called 'e-mail'. Nearest: email"):
        find_identifiers("", ["e-mail"])


TEXT = "the Ada Lovelace, ada@example.org, in Paris"


def test_persons_and_patterns_together() -> None:
    found = nlp.redact(TEXT, model=tagger_folder())
    assert found.text == "the [PERSON], [EMAIL], in Paris"
    assert [(span.kind, TEXT[span.start : span.end]) for span in found.spans] == [
        ("person", "Ada Lovelace"),
        ("email", "ada@example.org"),
    ]
    assert Result.from_json(found.to_json()) == found
    assert "Lovelace" not in json.dumps(found.to_json())
    assert nlp.redact(TEXT, ["place"], model=tagger_folder()).text == "the Ada Lovelace, ada@example.org, in [PLACE]"


def test_masks_keep_the_length() -> None:
    found = nlp.redact(TEXT, ["person", "email"], style="mask", model=tagger_folder())
    assert found.text == "the ************, ***************, in Paris"


def test_hashes_are_keyed_and_know_the_same_again() -> None:
    key = b"sixteen bytes or more"
    texts = ["+44 20 7946 0958", "+442079460958", "+44 20 7946 0959"]
    one, same, other = (r.text for r in nlp.redact(texts, ["phone"], style="hash", key=key))
    assert one == same != other
    assert one.startswith("[PHONE:")
    assert len(one) == len("[PHONE:]") + 12
    assert nlp.redact(texts[0], ["phone"], style="hash", key=key[::-1]).text != one
    drawn = [nlp.redactor(["phone"], style="hash").predict(texts[:1])[0].text for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_texts_without_words_come_back() -> None:
    texts = ["", " \n", "\x00\x00", "the Ada."]
    found = nlp.redact(texts, model=tagger_folder())
    assert [one.text for one in found] == ["", " \n", "\x00\x00", "the [PERSON]"]


def test_what_cannot_be_read_is_a_failure() -> None:
    good, bad, worse = nlp.redact(["a@b.org", "\ud800 a@b.org", None], ["email"], on_error="keep")
    assert good.text == "[EMAIL]"
    assert isinstance(bad, Failure)
    assert (bad.kind, worse.kind) == ("corrupt", "wrong-type")
    with pytest.raises(PredictError, match="lone surrogate"):
        nlp.redact("\ud800", ["email"])


def test_lists_and_patterns_of_ones_own() -> None:
    options = {"gazetteer": {"person": ["Zarathustra"]}, "patterns": [{"label": "badge", "regex": r"\bB-[0-9]+\b"}]}
    found = nlp.redact("Zarathustra has B-77 and a@b.org", ["person", "badge", "email"], model="rules", **options)
    assert found.text == "[PERSON] has [BADGE] and [EMAIL]"
    assert nlp.redact("B-77", ["badge"], **options).text == "[BADGE]"


@settings(deadline=None)
@given(st.text("ab é👍🏽", max_size=20), st.lists(st.integers(0, 20), max_size=6, unique=True))
def test_positions_map_there_and_back(text: str, cuts: list[int]) -> None:
    edges = sorted(cut for cut in cuts if cut <= len(text))
    spans = [(a, b, "x") for a, b in zip(edges[::2], edges[1::2])]
    found = redacted(text, spans, lambda kind, stretch: "[X]")
    inside = {at for start, stop, _ in spans for at in range(start, stop)}
    for at, letter in enumerate(text):
        now = found.redacted(at)
        if at in inside:
            assert found.text[now : now + 3] == "[X]"
            assert found.original(now) == found.original(now + 2) == max(s for s, _, _ in spans if s <= at)
        else:
            assert found.text[now] == letter
            assert found.original(now) == at
    assert found.redacted(len(text)) == len(found.text)
    assert found.original(len(found.text)) == len(text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kinds": []}, UsageError, "kinds must be a list of person"),
        ({"kinds": "email"}, UsageError, "kinds must be a list"),
        ({"kinds": ["mail"]}, UnknownNameError, "no kind to redact is called 'mail'. Nearest: email"),
        ({"kinds": ["email"], "style": "blur"}, UnknownNameError, "no style of redaction is called 'blur'"),
        ({"kinds": ["email"], "style": "hash", "key": b"short"}, UsageError, "key must be at least 16 bytes"),
        ({"kinds": ["email"], "key": b"0123456789abcdef"}, UsageError, "goes with style='hash'"),
        ({"kinds": ["email"], "style": "hash", "key": "0123456789abcdef"}, UsageError, "must be at least 16 bytes"),
    ],
)
def test_options_are_checked(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nlp.redactor(**options)


def run(*arguments: str, text: bytes = b"") -> tuple[int, str, str]:
    ran = CliRunner().invoke(triptych, ["redact", *arguments], input=text, standalone_mode=False)
    if ran.exception:
        raise ran.exception
    return ran.return_value, ran.stdout_bytes.decode(), ran.stderr


def test_the_command_streams_lines(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes("the Ada.\r\n\nmail a@b.org é".encode())
    code, out, err = run(str(path), "--model", str(tagger_folder()))
    assert (code, out, err) == (0, "the [PERSON]\r\n\nmail [EMAIL] é\n", "")


def test_the_command_writes_no_line_that_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"a@b.org\n\xff c@d.org\n")
    code, out, err = run(str(path), "--kind", "email")
    assert (code, out) == (1, "[EMAIL]\n\n")
    assert "notes.txt, line 2: a text must be valid Unicode" in err
    assert "1 of 2 texts failed" in err


def test_the_command_prints_json(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"a@b.org\n\xff\n")
    _, out, _ = run(str(path), "--kind", "email", "--json")
    first, second = map(json.loads, out.splitlines())
    assert Redacted.from_json(first["result"]).text == "[EMAIL]"
    assert (first["line"], second["ok"], second["error"]["kind"]) == (1, False, "corrupt")


def test_a_file_may_be_one_text_and_the_hash_keyed(tmp_path: Path) -> None:
    path, key = tmp_path / "notes.txt", tmp_path / "key"
    path.write_text("the Ada\nLovelace a@b.org\n")
    key.write_bytes(b"k" * 32)
    arguments = [str(path), "--whole", "--style", "hash", "--key-file", str(key), "--model", str(tagger_folder())]
    once, again = (run(*arguments)[1] for _ in range(2))
    assert once == again
    assert once.startswith("the [PERSON:")
    assert once.endswith("]\n")


@pytest.mark.parametrize("arguments", [["none.txt", "--kind", "email"], ["-", "--style", "hash", "--key-file", "none"]])
def test_files_that_are_not_there_are_said(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="must be a file that can be read"):
        run(*arguments)
