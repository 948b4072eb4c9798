"""Where a token stands in the text that was given, whatever the tokeniser's normaliser made of it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from nlp.tokenize import PIECE, TextTokenizer, check_text, load_tokenizer
from shared.errors import InputError
from shared.types import Int64

TEXTS = [
    "The good films, awful bad",
    "  good\t\n film  ",
    "go\x00od fi\u200blm",
    "e\u0301te\u0301 caf\u00e9 \u1e9e\u0130stanbul \ufb01ne \u212b",
    "👩‍👩‍👧 👍🏽 🇫🇷 ok",
    "القاهرة مدينة good שלום",
    "東京タワー good 한국 ㅎㅏㄴ",
    "\ufeffgood\u2028bad\u3000fine",
    "x\u0301\u0302\u0303\u0304 good",
    "\u1112\u1161\u11ab good",
]


@pytest.fixture(scope="module")
def tokenizer(encoder_folder: Path) -> TextTokenizer:
    return load_tokenizer(encoder_folder / "tokenizer.json")


def saved(tokenizer: Tokenizer, folder: Path) -> TextTokenizer:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return load_tokenizer(path)


def characters(folder: Path) -> TextTokenizer:
    """As BERT's, with a token for every character, so that each token says which character it was."""
    letters = sorted({letter for text in [*TEXTS, "abcdefghijklmnopqrstuvwxyz"] for letter in text if letter.strip()})
    vocabulary = {token: at for at, token in enumerate(["[UNK]", *letters, *("##" + letter for letter in letters)])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return saved(made, folder)


def byte_level(folder: Path) -> TextTokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), vocab_size=300)
    )
    return saved(made, folder)


def sentence_pieces(folder: Path) -> TextTokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", special_tokens=["<unk>"])
    )
    return saved(made, folder)


KINDS = {"characters": characters, "byte-level": byte_level, "sentence-pieces": sentence_pieces}


@pytest.fixture(scope="module", params=KINDS)
def any_tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return KINDS[request.param](tmp_path_factory.mktemp(request.param))


def check_spans(text: str, ids: Int64, spans: Int64) -> None:
    assert spans.shape == (len(ids), 2)
    assert spans.dtype == np.int64
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans, axis=0) >= 0).all()
    assert spans.min() >= 0
    assert spans.max() <= len(text)
    for start, stop in spans.tolist():
        assert text[start:stop] == text[start:stop].strip() or text[start:stop].isspace()


@pytest.mark.parametrize("text", TEXTS)
def test_spans_lie_in_the_text_in_order(any_tokenizer: TextTokenizer, text: str) -> None:
    ids, spans = any_tokenizer.offsets(text)
    np.testing.assert_array_equal(ids, any_tokenizer.ids(text))
    check_spans(text, ids, spans)


LETTERS = "abz\u1112\u1161\u11ab éÉ\u0301\u0302ñÄ東京, .\t\n\x00\u200b\u200d👩👍🏽🇫שלاİẞﬁ\ufeff"


@settings(deadline=None)
@given(text=st.text(LETTERS, min_size=1, max_size=60), form=st.sampled_from(["NFC", "NFD"]))
def test_the_characters_of_a_token_are_what_was_read(any_tokenizer: TextTokenizer, text: str, form: str) -> None:
    text = unicodedata.normalize(form, text)
    if not any_tokenizer.tokenizer.encode(text, add_special_tokens=False).ids or text.isspace():
        with pytest.raises(InputError, match="at least one word"):
            any_tokenizer.offsets(text)
        return
    ids, spans = any_tokenizer.offsets(text)
    check_spans(text, ids, spans)
    tokenizer = any_tokenizer.tokenizer
    for token, (start, stop) in zip(ids.tolist(), spans.tolist()):
        name = tokenizer.id_to_token(token)
        if name in ("[UNK]", "<unk>"):
            continue
        read = text[start:stop]
        if isinstance(tokenizer.model, models.BPE):
            raw = tokenizer.decoder.decode([name])
            assert "\ufffd" in raw or raw.strip() in ("", read)
            continue
        normal = tokenizer.normalizer.normalize_str(read)
        assert name.removeprefix("##").replace("▁", "") in normal.replace(" ", ""), (name, read)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("The film", [(0, 3), (4, 8)]),
        ("films, GOOD", [(0, 4), (4, 5), (5, 6), (7, 11)]),
        (" go\x00od\u200b", [(1, 6)]),
        ("go\u0301o\u0302d", [(0, 6)]),
        ("go\u0301od\u0302 film", [(0, 6), (7, 11)]),
        ("👍 good", [(0, 1), (2, 6)]),
    ],
)
def test_known_spans(tokenizer: TextTokenizer, text: str, spans: list[tuple[int, int]]) -> None:
    assert [tuple(span) for span in tokenizer.offsets(text)[1].tolist()] == spans


def test_a_long_text_is_read_in_pieces_with_offsets_into_the_whole(tokenizer: TextTokenizer) -> None:
    text = "good films , " * (3 * PIECE // 13)
    ids, spans = tokenizer.offsets(text)
    np.testing.assert_array_equal(ids, tokenizer.ids(text))
    assert spans[-4:].tolist() == [
        [len(text) - 13 + a, len(text) - 13 + b] for a, b in ((0, 4), (5, 9), (9, 10), (11, 12))
    ]


@pytest.mark.parametrize("text", ["", " \n", "\x00", "good \udc80", None])
def test_what_has_no_tokens_has_no_offsets(tokenizer: TextTokenizer, text: object) -> None:
    with pytest.raises(InputError) as of_ids:
        tokenizer.ids(text)
    with pytest.raises(InputError, match=r".") as of_offsets:
        tokenizer.offsets(text)
    assert str(of_offsets.value) == str(of_ids.value)
    assert of_offsets.value.kind == of_ids.value.kind


@settings(deadline=None)
@given(st.text(st.characters(codec=None, categories=["Cs", "L", "Zs"]), max_size=6))
def test_every_lone_surrogate_is_refused(text: str) -> None:
    kind = "empty" if not text or text.isspace() else "corrupt" if re.search("[\ud800-\udfff]", text) else None
    if kind is None:
        assert check_text(text) == text
        return
    with pytest.raises(InputError, match="a text must") as caught:
        check_text(text)
    assert caught.value.kind == kind
