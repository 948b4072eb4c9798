"""Vectors of an encoder whose answers can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_encoder import encoder_folder_path

import nlp
from nlp.encoder import Encoder, check_poolings, open_encoder
from shared.backends.fake import FakeBackend
from shared.errors import DataError, UnknownNameError, UsageError
from shared.predictor import Predictor
from shared.testing import fake_card
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Float32
from shared.weights import write_model_folder

CLS, SEP, GOOD, BAD, FILM = 2, 3, 4, 5, 8


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Encoder:
    return open_encoder(encoder_folder, threads=2)


def unit(vector: Float32) -> Float32:
    return vector / np.linalg.norm(vector)


def test_a_short_text_is_the_mean_of_all_its_tokens(encoder: Encoder, word_vectors: Float32) -> None:
    got = encoder.vectors([encoder.ids("good film")])
    assert got.shape == (1, 4)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], unit(word_vectors[[CLS, GOOD, FILM, SEP]].mean(axis=0)), rtol=1e-6)


def test_poolings_lie_end_to_end_each_of_length_one(encoder: Encoder, word_vectors: Float32) -> None:
    tokens = word_vectors[[CLS, GOOD, FILM, SEP]]
    parts = [tokens[0], tokens.max(axis=0), tokens.min(axis=0), tokens.mean(axis=0)]
    got = encoder.vectors([encoder.ids("good film")], poolings=("cls", "max", "min", "mean"))[0]
    np.testing.assert_allclose(got, np.concatenate([unit(part) for part in parts]), rtol=1e-6)


def test_a_long_text_is_read_to_its_end_each_window_by_its_share(encoder: Encoder, word_vectors: Float32) -> None:
    ids = [GOOD] * 6 + [FILM] * 3 + [BAD]
    first, last = ids[:6], ids[4:]
    means = [word_vectors[[CLS, *window, SEP]].mean(axis=0) for window in (first, last)]
    got = encoder.vectors([np.array(ids)], poolings=("mean", "max"))[0]
    np.testing.assert_allclose(got[:4], unit(0.6 * means[0] + 0.4 * means[1]), rtol=1e-5)
    np.testing.assert_allclose(got[4:], unit(word_vectors[[CLS, GOOD, FILM, BAD, SEP]].max(axis=0)), rtol=1e-6)


def test_neighbours_change_no_bit(encoder: Encoder) -> None:
    texts = [encoder.ids(text) for text in ("good", "the awful films " * 9, "bad film , fine", "film " * 200)]
    together = encoder.vectors(texts, poolings=("mean", "cls", "max", "min"))
    for text, row in zip(texts, together):
        np.testing.assert_array_equal(encoder.vectors([text], poolings=("mean", "cls", "max", "min"))[0], row)


def test_no_call_of_the_runtime_is_longer_than_the_budget(encoder: Encoder, word_vectors: Float32) -> None:
    fake = FakeBackend(
        lambda feed: {"last_hidden_state": word_vectors[feed["input_ids"]]},
        encoder.backend.inputs,
        encoder.backend.outputs,
    )
    counted = dataclasses.replace(encoder, backend=fake)
    counted.vectors([encoder.ids("good film " * 50_000), encoder.ids("bad")])
    assert max(fake.calls) == encoder.budget // encoder.size
    assert sum(fake.calls) == 25_001


def test_nothing_in_gives_nothing_out(encoder: Encoder) -> None:
    assert encoder.vectors([]).shape == (0, 4)


class TestTinyEmbedder(PredictorContract):
    atol = 0.0
    rtol = 0.0

    def build(self) -> Predictor[str, Float32]:
        return nlp.embedder(encoder_folder_path(), threads=2)

    def good(self) -> list[str]:
        return ["good", "a bad film", "the awful films , " * 12]

    def bad(self) -> object:
        return 7


def test_a_text_that_cannot_be_used_is_a_failure(encoder_folder: Path) -> None:
    got = nlp.embedder(encoder_folder).predict(["good", "\ud800", " "], on_error="keep")
    assert [r.kind for r in got if isinstance(r, Failure)] == ["corrupt", "empty"]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("meen",), UnknownNameError, "no pooling is called 'meen'. Nearest: mean"),
        ((), UsageError, "must be different names of mean, cls, max, min"),
        (("mean", "mean"), UsageError, "must be different names"),
    ],
)
def test_wrong_poolings_say_so(names: tuple[str, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_poolings(names)


def test_what_is_no_encoder_is_said(tmp_path: Path, encoder_folder: Path) -> None:
    files = {name: (encoder_folder / name).read_bytes() for name in ("model.onnx", "tokenizer.json")}
    facts = {"task": "nlp.embedding", "backend": "onnxruntime"}
    write_model_folder(tmp_path / "a", fake_card(**facts), files)
    with pytest.raises(UnknownNameError, match=r"family of nlp\.embedding is called 'fake'"):
        open_encoder(tmp_path / "a")
    write_model_folder(tmp_path / "b", fake_card(**facts, family="sentence-encoder"), files)
    with pytest.raises(DataError, match="must have the files and options of an encoder.*max_tokens"):
        open_encoder(tmp_path / "b")
    with pytest.raises(UnknownNameError, match="Nearest: all-minilm-l6-v2"):
        open_encoder("all-minilm-l6")
