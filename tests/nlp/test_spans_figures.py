"""Figures of spans: seqeval as the reference, partial credit by hand, data sets of every layout, the command."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import metrics as reference
from seqeval.scheme import IOB2, IOBES
from tiny_tagger import tagger_folder

from nlp.ner.datasets import parse_entity_map, read_documents, read_entity_texts
from nlp.ner.evaluate import evaluate_ner
from nlp.spans import spans_of_tags, strict_spans_of_tags
from shared.cli.main import triptych
from shared.errors import DataError, UnknownNameError, UsageError
from shared.evaluation.spans import (
    MATCHES,
    span_counts,
    span_f1_score,
    span_macro_f1_score,
    span_precision_score,
    span_recall_score,
)

TAGS = {
    "BIO": ["O", "B-A", "I-A", "B-B", "I-B", "I-C"],
    "BIOES": ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "E-B", "S-B"],
}
SCHEMES = {"BIO": IOB2, "BIOES": IOBES}


@st.composite
def tagged(draw: st.DrawFn, scheme: str) -> tuple[list[list[str]], list[list[str]]]:
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    sides = [[[draw(st.sampled_from(TAGS[scheme])) for _ in range(n)] for n in lengths] for _ in range(2)]
    return sides[0], sides[1]


@pytest.mark.parametrize("scheme", TAGS)
@pytest.mark.parametrize("mode", [None, "strict"])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_figures_are_those_of_seqeval(scheme: str, mode: str | None, data: st.DataObject) -> None:
    truth, found = data.draw(tagged(scheme))
    read = spans_of_tags if mode is None else lambda tags: strict_spans_of_tags(tags, scheme=scheme)
    sides = [[set(read(tags)) for tags in side] for side in (truth, found)]
    told = {"mode": mode, "scheme": SCHEMES[scheme] if mode else None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = [
            score(truth, found, **told)
            for score in (reference.precision_score, reference.recall_score, reference.f1_score)
        ]
        macro = (
            reference.f1_score(truth, found, average="macro", **told) if any(map(any, itertools.chain(*sides))) else 0.0
        )
    assert [score(*sides) for score in (span_precision_score, span_recall_score, span_f1_score)] == pytest.approx(
        wanted
    )
    if mode is None:
        assert span_macro_f1_score(*sides) == pytest.approx(macro)


TRUTH = [{(0, 2, "PER"), (5, 9, "ORG")}, {(0, 1, "LOC")}]


@pytest.mark.parametrize(
    ("found", "match", "f1"),
    [
        (TRUTH, "strict", 1.0),
        ([set(), set()], "strict", 0.0),
        ([{(0, 2, "ORG"), (5, 9, "ORG")}, {(0, 1, "LOC")}], "strict", 2 / 3),
        ([{(0, 2, "ORG"), (5, 9, "ORG")}, {(0, 1, "LOC")}], "bounds", 1.0),
        ([{(0, 3, "PER"), (6, 7, "ORG")}, {(1, 2, "LOC")}], "partial", 1 / 3),
        ([{(0, 3, "PER"), (6, 7, "ORG")}, {(1, 2, "LOC")}], "type", 2 / 3),
        ([{(0, 3, "LOC")}, {(0, 1, "LOC")}], "partial", 0.4),
        ([{(5, 6, "ORG"), (7, 9, "ORG")}, set()], "type", 0.4),
        ([{(5, 6, "ORG"), (5, 9, "ORG")}, set()], "partial", 0.4),
    ],
)
def test_ways_to_match(found: list[set[tuple[int, int, str]]], match: str, f1: float) -> None:
    assert span_f1_score(TRUTH, found, match=match) == pytest.approx(f1)
    assert span_f1_score(found, TRUTH, match=match) == pytest.approx(f1)


@pytest.mark.parametrize("match", MATCHES)
def test_the_order_of_items_and_spans_does_not_matter(match: str) -> None:
    found = [{(0, 3, "PER"), (5, 9, "ORG"), (7, 8, "ORG")}, {(0, 1, "PER")}]
    wanted = span_f1_score(TRUTH, found, match=match)
    assert span_f1_score(TRUTH[::-1], found[::-1], match=match) == wanted
    assert (
        span_f1_score([sorted(item) for item in TRUTH], [sorted(item, reverse=True) for item in found], match=match)
        == wanted
    )


def test_the_empty_cases_are_zero_as_documented() -> None:
    for score in (span_precision_score, span_recall_score, span_f1_score, span_macro_f1_score):
        assert score([], []) == score([set()], [set()]) == score(TRUTH[:1], [set()]) == score([set()], TRUTH[:1]) == 0.0


def test_counts_can_be_drawn() -> None:
    counts = span_counts(TRUTH, [{(0, 2, "PER")}, {(0, 1, "ORG")}])
    assert counts.labels == ("LOC", "ORG", "PER")
    right, given_, true = counts.totals(np.array([1, 1, 0]))
    assert (right.tolist(), given_.tolist(), true.tolist()) == ([0, 0, 1], [0, 2, 1], [2, 1, 1])


def test_unequal_lengths_and_unknown_ways_are_refused() -> None:
    with pytest.raises(UsageError, match="must have one length. Got 2 and 1"):
        span_f1_score(TRUTH, [set()])
    with pytest.raises(UnknownNameError, match="no way to match spans is called 'exact'"):
        span_f1_score(TRUTH, TRUTH, match="exact")


CONLL = """-DOCSTART- -X- O O

Ada NNP I-NP I-PER
Lovelace NNP I-NP I-PER
visited VBD I-VP O
London NNP I-NP I-LOC
Paris NNP I-NP B-LOC

Yes UH O O

-DOCSTART- -X- O O

Paris NNP I-NP I-LOC
"""
IOB2_FILE = """# newdoc id = a
# text = Ada visited Paris.
1\tAda\tB-PER\t-\tx
2\tvisited\tO\t-\t-
3\tParis\tB-LOC\t-\t-

# sent_id = 2
1\t#\tO\t-\t-

# newdoc id = b
1\tYork\tB-LOC\t-\t-
"""


def written(folder: Path, text: str, name: str = "data.txt") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_columns_are_read_by_document_or_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, CONLL)
    whole = read_entity_texts(path)
    assert whole.texts == ("Ada Lovelace visited London Paris\nYes", "Paris")
    assert whole.spans == (((0, 12, "PER"), (21, 27, "LOC"), (28, 33, "LOC")), ((0, 5, "LOC"),))
    assert whole.lines == (3, 13)
    parts = read_entity_texts(path, context="sentence")
    assert parts.texts == ("Ada Lovelace visited London Paris", "Yes", "Paris")
    assert parts.lines == (3, 9, 13)
    assert [len(document) for document in read_documents(path)] == [2, 1]


def test_universal_ner_is_read(tmp_path: Path) -> None:
    found = read_entity_texts(written(tmp_path, IOB2_FILE, "x.iob2"))
    assert found.texts == ("Ada visited Paris\n#", "York")
    assert found.spans == (((0, 3, "PER"), (12, 17, "LOC")), ((0, 4, "LOC"),))


def test_columns_may_stand_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path, "1 x B-PER Ada\n2 x O ran\n")
    assert read_entity_texts(path, word_column=-1, tag_column=2).spans == (((0, 3, "PER"),),)


def test_bioes_and_crlf_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Ada S-PER\r\nNew B-LOC\r\nYork E-LOC\r\n\r\n")
    assert read_entity_texts(path).spans == (((0, 3, "PER"), (4, 12, "LOC")),)


def test_json_lines_are_read(tmp_path: Path) -> None:
    rows = [
        {"text": "Ada ran", "entities": [[0, 3, "PER"]]},
        {"text": "in 👍 Paris", "spans": [{"start": 5, "end": 10, "label": "LOC"}]},
        {"text": "no", "label": []},
    ]
    path = written(tmp_path, "\n".join(map(json.dumps, rows)))
    found = read_entity_texts(path)
    assert found.items == ("Ada ran", "in 👍 Paris", "no")
    assert found.spans == (((0, 3, "PER"),), ((5, 10, "LOC"),), ())


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("", None, "must hold texts with entities. It holds none"),
        ("a\tb c\n", "iob2", r"line 1 must have columns 1 and 2, of the word and its tag. Got 'a\\tb c'"),
        ("1\ta b\tO\n", "iob2", "line 1: a word must be text without white space. Got 'a b'"),
        ('{"text": 3}', None, 'line 1 must have a "text" and a list of "entities"'),
        ('{"text": "a", "entities": [[0, 2, "X"]]}', None, r"within the text's 1 characters. Got \[0, 2, 'X'\]"),
        ('{"text": "a", "entities": [[0, 0, "X"]]}', None, "an entity must be"),
        ('{"text": "a", "entities": ["X"]}', None, "an entity must be"),
        ("{", "jsonl", "line 1 must be a JSON object"),
    ],
)
def test_malformed_data_says_where(tmp_path: Path, text: str, format: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_entity_texts(written(tmp_path, text), format=format)


def test_unknown_formats_contexts_and_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, CONLL)
    with pytest.raises(UnknownNameError, match="no entity data format is called 'xml'"):
        read_entity_texts(path, format="xml")
    with pytest.raises(UnknownNameError, match="no context is called 'page'"):
        read_entity_texts(path, context="page")
    with pytest.raises(DataError, match="No such file"):
        read_entity_texts(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"M\xfcnchen O")
    with pytest.raises(DataError, match="must be UTF-8"):
        read_entity_texts(tmp_path / "latin")


@pytest.mark.parametrize("text", ["PER", "PER=", "=PER", "A=B,A=C"])
def test_a_label_map_is_checked(text: str) -> None:
    with pytest.raises(UsageError, match="a label map must read MODEL=DATA"):
        parse_entity_map(text)


def test_an_evaluation_by_hand(tmp_path: Path) -> None:
    # the tagger reads "London Paris" as two places, and "Ada Lovelace visited" as Ada Lovelace
    found = evaluate_ner(written(tmp_path, CONLL), model=tagger_folder())
    assert found.n == 2
    assert found.failed == 0
    assert found.metrics["f1"].value == 1.0
    assert set(found.by_class) == {"PER", "LOC", "entities of 1 word", "entities of 2 words"}
    assert found.notes["labels"] == "equal names"


def test_texts_are_sliced_by_their_words(tmp_path: Path) -> None:
    text = "Ada B-PER\nvisited O\nParis B-LOC\n\n" + ". O\n" * 30 + "Paris B-LOC\n"
    found = evaluate_ner(written(tmp_path, text), model=tagger_folder(), context="sentence")
    short, long = found.by_class["texts under 20 words"], found.by_class["texts under 100 words"]
    assert (short["f1"].value, long["f1"].value) == (0.5, 1.0)  # "Ada visited" is a person to the tagger


def test_faults_count(tmp_path: Path) -> None:
    # to the tagger "Ada visited" is a person and Lovelace a place
    text = "Ada B-PER\nvisited O\n\nin O\nLovelace B-ORG\n. O\nParis B-LOC\n"
    found = evaluate_ner(written(tmp_path, text), model=tagger_folder(), context="sentence")
    assert found.metrics["precision"].value == pytest.approx(1 / 3)
    assert found.metrics["f1_partial"].value == pytest.approx(2 * 1.5 / (3 + 3))
    assert found.metrics["f1_bounds"].value == pytest.approx(2 * 2 / (3 + 3))
    singles = found.by_class["entities of 1 word"]
    assert [singles[name].value for name in ("precision", "recall")] == pytest.approx([1 / 2, 1 / 3])
    assert found.by_class["entities of 2 words"]["f1"].value == 0
    table, gallery = found.sections(5)
    assert [row[:3] for row in table.rows[:2]] == [("1 word", 3, 2), ("2 words", 0, 1)]
    assert gallery.items[0].lines == ("missed: Ada (PER)", "given: Ada visited (PER)")
    assert gallery.items[1].title == "line 4"


def test_labels_are_mapped(tmp_path: Path) -> None:
    path = written(tmp_path, "Ada B-HUM\nLovelace I-HUM\n. O\nParis B-PLACE\n")
    found = evaluate_ner(path, model=tagger_folder(), label_map="PER=HUM,LOC=PLACE")
    assert found.metrics["f1"].value == 1.0
    left_out = evaluate_ner(path, model=tagger_folder())
    assert left_out.metrics["f1"].value == 0.0
    assert left_out.notes["labels"] == "equal names; left out: LOC, PER"
    with pytest.raises(UnknownNameError, match="no label of the data set is called 'X'"):
        evaluate_ner(path, model=tagger_folder(), label_map="PER=X")


def test_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, CONLL)
    ran = CliRunner().invoke(
        triptych,
        ["evaluate", "nlp.ner", str(path), "--model", str(tagger_folder()), "--json", "--words", "own"],
        standalone_mode=False,
    )
    answer = json.loads(ran.stdout)
    assert ran.return_value == 0
    assert answer["task"] == "nlp.ner"
    assert answer["metrics"]["f1"]["value"] == 1.0
    assert answer["notes"]["texts"] == "documents, words: own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"limit": 0}, "limit must be at least 1"), ({"words": "mine"}, "no kind of words is called 'mine'")],
)
def test_arguments_are_checked(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate_ner(written(tmp_path, CONLL), model=tagger_folder(), **arguments)
