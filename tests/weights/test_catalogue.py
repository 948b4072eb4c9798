"""Rows of the catalogue: what is read, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from standin import noise, row, write_rows

from shared import catalogue
from shared.catalogue import ModelFile, parse
from shared.errors import DataError, UnknownNameError

CONTENT = noise(10)
HEX = "ab" * 32
COMMIT = "0123456789" * 4
GOOD_SOURCES = [
    "package:nlp.classification/heads/sst2.bin",
    "hf:owner/repo.name@main/onnx/model.onnx",
    "https://host.example/a/b.onnx?download=true",
    "http://127.0.0.1:8000/b.onnx",
    "http://localhost/b.onnx",
    "index:a-dist==1.0.post1/pkg/...odd/m.bin",
]
BAD_SOURCES = {
    "ftp://host/x": "must begin with one of package:, hf:, https:, http:, index:",
    "plain": "must begin with one of",
    "http://host.example/x": "plain http: must stay on this machine",
    "http://127.0.0.1.evil.example/x": "plain http: must stay on this machine",
    "https://me:secret@host.example/x": "without a user name",
    "https://host.example": "must be a whole address",
    "package:nlp/../x": "must be package:MODULE/path, the path without",
    "package:nlp": "must be package:MODULE/path",
    "hf:repo@main/x": "must be hf:owner/repo@revision/path",
    "hf:o/r/x": "must be hf:owner/repo@revision/path",
    "hf:o/r@main/../x": "must be hf:",
    "index:dist/x": "must be index:dist==version/path-in-archive",
    "index:dist==1.0//etc/passwd": "must be index:",
    "index:dist==1.0/../x": "must be index:",
    "index:dist==1.0/a/../../x": "must be index:",
    "index:dist==1.0/a\\\\..\\\\x": "must be index:",
    "index:dist==1.*/x": "must be index:",
    "index:dist>=1.0/x": "must be index:",
}


def test_a_whole_row_is_read() -> None:
    text = row("tiny", CONTENT, *GOOD_SOURCES).replace("summary", 'default = true\nopt_in = "why"\nsummary')
    (card,) = parse(text.replace("[[", "[models.tiny.options]\nsize = 320\n[[", 1), "here.toml")
    assert (card.name, card.task, card.default, card.opt_in, card.origin) == (
        "tiny",
        "test.weights",
        True,
        "why",
        "here.toml",
    )
    assert dict(card.options) == {"size": 320}
    assert card.file("model.bin").sources == tuple(GOOD_SOURCES)
    assert card.size == 10
    with pytest.raises(UnknownNameError, match="no file of model 'tiny' is called 'modle.bin'. Nearest: model.bin"):
        card.file("modle.bin")


@pytest.mark.parametrize("source", BAD_SOURCES)
def test_a_bad_source_is_refused(source: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(row("tiny", CONTENT, source), "here.toml")
    assert "here.toml: model 'tiny', file 'model.bin': " in str(caught.value)
    assert BAD_SOURCES[source] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "here.toml must be TOML"),
        ("[other]", "every row must be a table .models.NAME.. Got .'other'. instead"),
        ("[models.x]", "missing keys .'backend', 'family', 'licence', 'summary', 'task'."),
        ("[models.'a b']", "a name must match"),
        ("[models]\nx = 1", "must be a table. Got int instead"),
        (row("t", CONTENT, GOOD_SOURCES[0]).replace("summary", "sumary"), "unknown keys .'sumary'."),
        (row("t", CONTENT, GOOD_SOURCES[0], file="a/b"), r"a file name must match .* \(no folders\)"),
        (row("t", CONTENT, GOOD_SOURCES[0], file=".."), "a file name must match"),
        (row("t", CONTENT, GOOD_SOURCES[0], size=0), "size must be the file's length in bytes. Got 0 instead"),
        (row("t", CONTENT, GOOD_SOURCES[0], size="true"), "size must be a int. Got True instead"),
        (row("t", CONTENT, GOOD_SOURCES[0], sha256='"AB"'), "sha256 must be 64 lower-case hex digits. Got 'AB'"),
        (row("t", CONTENT, GOOD_SOURCES[0], sha256="1"), "sha256 must be a str. Got 1 instead"),
    ],
)
def test_a_malformed_row_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(text, "here.toml")


@pytest.mark.parametrize(
    ("sources", "facts"),
    [
        ([f"hf:o/r@{COMMIT}/x", "hf:o/r@main/x"], {}),
        ([f"hf:o/r@{COMMIT}/x", "https://host.example/x"], {}),
        ([f"hf:o/r@{COMMIT[:-1]}/x"], {}),
        ([], {}),
        ([f"hf:o/r@{COMMIT}/x"], {"size": 5}),
        ([f"hf:o/r@{COMMIT}/x"], {"sha256": f'"{HEX}"'}),
    ],
)
def test_the_hash_may_be_left_out_only_where_the_hub_states_it(sources: list[str], facts: dict[str, object]) -> None:
    with pytest.raises(DataError, match="size and sha256 must both be given, or both be left out where every source"):
        parse(row("t", None, *sources, **facts), "here.toml")


def test_a_pinned_hub_file_needs_no_hash() -> None:
    source = f"hf:o/r@{COMMIT}/x"
    (card,) = parse(row("t", None, source), "here.toml")
    assert card.files == (ModelFile("model.bin", None, None, (source,)),)
    assert card.size == 0
    (moved,) = parse(row("t", None, f"hf:o/r@{'f' * 40}/x"), "here.toml")
    assert moved.fingerprint != card.fingerprint, "another commit may answer otherwise"


def test_the_users_own_rows_hide_shipped_ones_and_win_as_default(home: Path) -> None:
    shipped = [card for card in catalogue.cards() if card.default]
    if not shipped:
        pytest.skip("no row is shipped yet")
    first = shipped[0]
    own = row(first.name, CONTENT, GOOD_SOURCES[0]).replace("test.weights", first.task)
    write_rows(
        home, own, row("mine", CONTENT, GOOD_SOURCES[0]).replace('"test.weights"', f'"{first.task}"\ndefault = true')
    )
    assert catalogue.find(first.name).licence == "Apache-2.0"
    assert catalogue.find(first.name).origin == str(home / "models.toml")
    assert catalogue.default(first.task).name == "mine"


def test_a_users_file_that_is_no_text_is_said(home: Path) -> None:
    (home / "models.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"models\.toml must be UTF-8 text"):
        catalogue.cards()


def sharing(name: str, *others: str, own: str = "") -> str:
    """A row that holds the files of other rows, and perhaps one of its own."""
    facts = row(name, CONTENT, "https://host.example/own", file=own or "model.bin")
    head, _, file = facts.partition("[[")
    return head.rstrip() + f"\nfiles_of = {list(others)!r}\n" + (f"\n[[{file}" if own else "\n")


class TestFilesOfOtherRows:
    BASE = row("base", CONTENT, "https://host.example/a")

    def test_they_come_after_its_own_through_any_row(self) -> None:
        base, one, two = parse(self.BASE + sharing("one", "base", own="head.bin") + sharing("two", "one"), "here.toml")
        assert [file.name for file in one.files] == ["head.bin", "model.bin"]
        assert one.files[1] == base.files[0]
        assert two.files == one.files

    def test_a_row_may_come_before_the_one_whose_files_it_holds(self) -> None:
        first, base = parse(sharing("first", "base") + self.BASE, "here.toml")
        assert first.files == base.files

    def test_a_user_s_row_holds_files_of_a_shipped_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TRIPTYCH_HOME", str(tmp_path))
        write_rows(tmp_path, sharing("mine", "minilm-l6-base"))
        assert catalogue.find("mine").files == catalogue.find("minilm-l6-base").files

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (sharing("one", "bass"), "model 'one': files_of: .*no model is called 'bass'. Nearest: base"),
            (sharing("one", "two") + sharing("two", "one"), "files_of must not lead back. Got one of two of one"),
            (sharing("one", "one"), "files_of must not lead back. Got one of one"),
            (sharing("one", "base", own="model.bin"), "model 'one' must have each file once. Got model.bin of several"),
            (sharing("one", "base", "base"), "must have each file once"),
            (sharing("one").replace("[]", "[5]"), r"files_of must be a list of names. Got \[5\]"),
        ],
    )
    def test_what_leads_nowhere_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            parse(self.BASE + text, "here.toml")
