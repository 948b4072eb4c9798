"""Labels: as a user writes them, and from a data set's words to a model's."""

from __future__ import annotations

from typing import Any

import pytest

from nlp.classification.prepare import hypotheses, parse_labels
from nlp.labels import match_labels, parse_label_map
from shared.errors import DataError, UnknownNameError, UsageError

MOODS = ("negative", "positive")
TOPICS = ("World", "Sports", "Business", "Sci/Tech")


@pytest.mark.parametrize(
    ("found", "known", "given", "trained", "how", "table"),
    [
        ({"positive"}, MOODS, {}, None, "equal names", {"positive": "positive"}),
        ({"World", "sports"}, TOPICS, {}, None, "equal names", {"World": "World", "sports": "Sports"}),
        ({"it", "IT"}, ("IT", "it"), {}, None, "equal names", {"IT": "IT", "it": "it"}),
        ({"0", "1"}, MOODS, {}, None, "from 0", {"0": "negative", "1": "positive"}),
        ({"0"}, MOODS, {}, None, "from 0", {"0": "negative"}),
        ({"1", "4"}, TOPICS, {}, None, "from 1", {"1": "World", "4": "Sci/Tech"}),
        ({"1", "2"}, TOPICS, {}, {"1": "World", "2": "Sports"}, "training data", {"1": "World", "2": "Sports"}),
        ({"1", "0"}, ("1", "0"), {}, {"1": "0"}, "equal names", {"0": "0", "1": "1"}),
        ({"a", "positive"}, MOODS, {"a": "negative"}, None, "as given", {"a": "negative", "positive": "positive"}),
        ({"0", "1"}, MOODS, {"0": "positive", "1": "negative"}, None, "as given", {"0": "positive", "1": "negative"}),
    ],
)
def test_matches(found: set[str], known: Any, given: Any, trained: Any, how: str, table: dict[str, str]) -> None:
    got, said = match_labels(found, known, given=given, trained=trained)
    assert got == table
    assert said.endswith(how)


@pytest.mark.parametrize(
    ("found", "known", "given", "message"),
    [
        ({"good", "positive"}, MOODS, {}, "must be the model's: negative, positive. Got good instead: .*--label-map"),
        ({"1", "2"}, TOPICS, {}, "Got 1, 2 instead"),
        ({"0", "2"}, MOODS, {}, "Got 0, 2 instead"),
        ({"01", "00"}, MOODS, {}, "Got 00, 01 instead"),
        ({"a", "b"}, MOODS, {"a": "negative"}, "Got b instead"),
    ],
)
def test_what_does_not_match_is_said(found: set[str], known: Any, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        match_labels(found, known, given=given)


def test_a_map_to_no_label_of_the_model_lists_them() -> None:
    with pytest.raises(UnknownNameError, match="no label of the model is called 'positiv'. Nearest: positive"):
        match_labels({"a"}, MOODS, given={"a": "positiv"})


def test_a_label_map_is_read() -> None:
    assert parse_label_map(None) == {}
    assert parse_label_map("0 = a b, 1=c") == {"0": "a b", "1": "c"}


@pytest.mark.parametrize("text", ["0", "0=", "=a", "0=a,", "0=a,0=b"])
def test_a_malformed_label_map_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="must read DATA=MODEL,DATA=MODEL"):
        parse_label_map(text)


def test_labels_as_a_list_and_as_a_mapping() -> None:
    assert parse_labels(("a", "b=c=d")) == {"a": "a", "b": "c=d"}
    assert parse_labels({"a": "x", "b=": "y"}) == {"a": "x", "b=": "y"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("ab", "must be a list of names, or a mapping"),
        (7, "must be a list of names"),
        (["a"], r"at least two, all different. Got \['a'\]"),
        (["a", "a=b"], "at least two, all different"),
        (["a", ""], "must be text. Got ''"),
        (["a", "b="], "must be text. Got 'b', ''"),
        (["a", None], "must be text. Got None"),
        ({"a": "x", "b": 3}, "must be text. Got 'b', 3"),
    ],
)
def test_wrong_labels_say_so(labels: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_labels(labels)


def test_a_template_takes_the_description_as_it_stands() -> None:
    assert hypotheses({"a": "{x} {0}"}, "It is {}.") == ["It is {x} {0}."]


@pytest.mark.parametrize("template", ["about", "{} and {}", ""])
def test_a_template_without_its_one_place_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="must hold {} once"):
        hypotheses({"a": "a"}, template)
