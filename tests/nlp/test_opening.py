"""From a name to a running text graph: what is taken, what is refused, and in which order requests are answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_encoder import WORDS
from tiny_text_graphs import PER_TOKEN, graph_bytes, pair_tokenizer_json, table, text_folder

from nlp.opening import load_text_graph, open_text_graph
from nlp.pairs import pair_template
from nlp.tokenize import load_tokenizer
from shared.errors import BackendError, DataError, UnknownNameError, UsageError
from shared.weights import Opened, read_model_folder

ROWS = table({"good": [1, 0], "bad": [0, 1]}, 2)
FAMILIES = ("text-classifier",)


@pytest.fixture
def folder(tmp_path: Path, empty_home: Path) -> Path:
    return text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), labels=["good", "bad"])


def opened(folder: Path, **options: Any) -> Any:
    return open_text_graph(folder, task="nlp.classification", families=FAMILIES, **options)


def test_a_model_folder_opens(folder: Path) -> None:
    graph = opened(folder)
    assert (graph.card.name, graph.size, graph.room, graph.overlap, graph.budget) == ("mood", 6, 8, 2, 30)
    assert graph.takes == {"input_ids", "attention_mask"}
    tokens = graph.tokenizer.window(graph.tokenizer.ids("good film"))
    (answer,) = graph.answers([graph.feed(tokens)])
    np.testing.assert_allclose(answer["logits"], [[0.25, 0]])


def test_requests_of_every_length_are_answered_in_their_own_order(folder: Path) -> None:
    graph = opened(folder)
    texts = ["good", "bad film the", "good good good good good", "bad", "the film"]
    feeds = [graph.feed(graph.tokenizer.window(graph.tokenizer.ids(text))) for text in texts * 5]
    together = graph.answers(feeds)
    for feed, answer in zip(feeds, together, strict=True):
        (alone,) = graph.answers([feed])
        np.testing.assert_array_equal(answer["logits"], alone["logits"])
    assert graph.answers([]) == []


def test_type_ids_and_codes_reach_a_graph_that_takes_them(tmp_path: Path) -> None:
    graph = opened(text_folder(tmp_path / "pair", "text-classifier", graph_bytes(ROWS, types=True)))
    tokens, types = graph.pairs().join(graph.tokenizer.ids("bad"), graph.tokenizer.ids("good film"))
    assert [WORDS[at] for at in tokens] == ["[CLS]", "bad", "[SEP]", "good", "film", "[SEP]"]
    assert types.tolist() == [0, 0, 0, 1, 1, 1]
    (answer,) = graph.answers([graph.feed(tokens, types=types)])
    np.testing.assert_allclose(answer["logits"], [[1 / 6, 0]], rtol=1e-6)
    (blank,) = graph.answers([graph.feed(tokens)])
    assert not blank["logits"].any()


def test_how_two_texts_are_joined_is_read_from_the_tokeniser(tmp_path: Path, encoder_folder: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(pair_tokenizer_json())
    template = pair_template(load_tokenizer(tmp_path / "tokenizer.json"))
    assert (template.before.tolist(), template.between.tolist(), template.after.tolist()) == ([2], [3], [3])
    assert (template.types, template.special, template.second_start(np.zeros(4, np.int64))) == ((0, 0, 0, 1, 1), 3, 6)
    with pytest.raises(DataError, match=r"must say how two texts are joined, with a special token between them"):
        pair_template(load_tokenizer(encoder_folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 2}, "must have room for a token beside the special ones"),
        ({"overlap": 6}, "an overlap smaller than that room"),
        ({"token_budget": 0}, "a token_budget of at least 1"),
        ({"max_tokens": "8"}, "options.max_tokens of model 'mood' must be a whole number of at least 0. Got '8'"),
        ({"overlap": True}, "options.overlap of model 'mood' must be a whole number of at least 0. Got True"),
    ],
)
def test_a_card_must_say_how_long_a_window_is(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        opened(text_folder(tmp_path / "mood", "text-classifier", graph_bytes(ROWS), **options))


def test_what_is_no_text_graph_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no family of nlp.classification is called 'text-classifier'.*nli"):
        open_text_graph(folder, task="nlp.classification", families=["nli"])
    with pytest.raises(UsageError, match="must hold a model of nlp.ner. It holds one of nlp.classification"):
        open_text_graph(folder, task="nlp.ner", families=["token-classifier"])
    card = read_model_folder(folder)
    with pytest.raises(DataError, match=r"must have the files and options of a text graph: \['tokenizer.json'\]"):
        load_text_graph(Opened(card, {"model.onnx": folder / "model.onnx"}))
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(BackendError, match="cannot load"):
        load_text_graph(
            Opened(card, {"model.onnx": tmp_path / "bad.onnx", "tokenizer.json": folder / "tokenizer.json"})
        )


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    content = graph_bytes(ROWS, per=PER_TOKEN).replace(b"attention_mask", b"attention_mark")
    with pytest.raises(DataError, match="must take input_ids and attention_mask.*It takes attention_mark, input_ids"):
        opened(text_folder(tmp_path / "odd", "text-classifier", content))
