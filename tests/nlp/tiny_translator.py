"""A translator whose every answer is known: a transformer set by hand that turns each word into its entry in a table.

Tokens and places are one-hot. The decoder's look at the source finds the place one before its own (the first place is
the language's), and what it reads there is the table's word. Layer norms see vectors of two ones always, so what they
do is undone by the weights after them.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import ctranslate2
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from nlp.translation.training.vocabulary import END, PAD, START, UNKNOWN, WORDS, language_token
from shared.catalogue import ModelCard
from shared.testing import fake_card
from shared.weights import write_model_folder

PLACES = 300
MARKS = [f"<m{number}>" for number in range(1, 13)]
SPECIAL = [PAD, UNKNOWN, START, END, *MARKS]
LANGUAGES = ("de", "en", "fr")
SIGNS = ["▁", ".", ",", "!", "?", "(", ")", ":"]
TO_GERMAN = {
    "the": "die",
    "cat": "Katze",
    "dog": "Hund",
    "sleeps": "schläft",
    "Hello": "Hallo",
    "world": "Welt",
    "Why": "Warum",
}
TO_FRENCH = {
    "die": "la",
    "Katze": "chatte",
    "Hund": "chien",
    "schläft": "dort",
    "Hallo": "Bonjour",
    "Welt": "monde",
    "Warum": "Pourquoi",
}


def translator_folder(
    table: Mapping[str, str] = TO_GERMAN, *, pair: str = "en-de", name: str = "tiny-en-de", lost: str = ""
) -> Path:
    """A model folder; the piece ``lost`` (a mark, say) becomes a full stop."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-translator-"))
    vocabulary = _vocabulary(table)
    spec = _spec(vocabulary, table, lost)
    with tempfile.TemporaryDirectory() as made:
        spec.save(made)
        files = {path.name: path.read_bytes() for path in Path(made).iterdir()}
    files["tokenizer.json"] = _tokenizer(vocabulary).to_str().encode()
    options = {"pairs": [pair], "after": [END], "prefix": ["<2{target}>"]}
    card: ModelCard = fake_card(
        name=name, task="nlp.translation", family="ctranslate2", backend="ctranslate2", options=options
    )
    write_model_folder(folder, card, files)
    return folder


@functools.cache
def english_german() -> Path:
    return translator_folder()


@functools.cache
def german_french() -> Path:
    return translator_folder(TO_FRENCH, pair="de-fr", name="tiny-de-fr")


def _vocabulary(table: Mapping[str, str]) -> list[str]:
    words = dict.fromkeys(form for word in (*table, *table.values()) for form in (word, f"▁{word}"))
    signs = dict.fromkeys(form for sign in SIGNS for form in (sign, f"▁{sign}") if form != "▁▁")
    return [*SPECIAL, *map(language_token, LANGUAGES), *signs, *words]


def _tokenizer(vocabulary: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Split(Regex(WORDS), behavior="isolated")]
    )
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False) for piece in SPECIAL])
    return tokenizer


def _spec(vocabulary: list[str], table: Mapping[str, str], lost: str) -> ctranslate2.specs.TransformerSpec:
    words, width = len(vocabulary), len(vocabulary) + PLACES
    mean = 2 / width
    spread = np.sqrt(mean - mean**2 + 1e-5)
    spec = ctranslate2.specs.TransformerSpec.from_config((1, 1), 1, pre_norm=True)
    blank, none = np.zeros((width, width), np.float32), np.zeros(width, np.float32)
    places = np.zeros((PLACES, width), np.float32)
    places[np.arange(PLACES), words + np.arange(PLACES)] = 1
    one_hot = np.eye(words, width, dtype=np.float32)
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = one_hot
    spec.encoder.scale_embeddings = spec.decoder.scale_embeddings = False
    for part in (spec.encoder, spec.decoder):
        part.position_encodings.encodings = places
        layer = part.layer[0]
        for norm in (part.layer_norm, layer.self_attention.layer_norm, layer.ffn.layer_norm):
            norm.gamma, norm.beta = none + 1, none
        layer.self_attention.linear[0].weight = np.zeros((3 * width, width), np.float32)
        layer.self_attention.linear[0].bias = np.zeros(3 * width, np.float32)
        layer.self_attention.linear[1].weight, layer.self_attention.linear[1].bias = blank, none
        layer.ffn.linear_0.weight, layer.ffn.linear_0.bias = blank, none
        layer.ffn.linear_1.weight, layer.ffn.linear_1.bias = blank, none
    before = blank.copy()  # the place one before
    before[words + np.arange(PLACES - 1), words + 1 + np.arange(PLACES - 1)] = 1
    place = np.diag(np.r_[np.zeros(words), np.ones(PLACES)]).astype(np.float32)
    entries = blank.copy()
    for piece, at in {piece: at for at, piece in enumerate(vocabulary)}.items():
        entries[vocabulary.index(_entry(piece, table, lost)), at] = 1
    cross = spec.decoder.layer[0].attention
    cross.layer_norm.gamma, cross.layer_norm.beta = none + 1, none
    sharp = 60 * np.sqrt(width)
    cross.linear[0].weight, cross.linear[0].bias = _undone(before * sharp, mean, spread)
    keys, values = _undone(place, mean, spread), _undone(entries, mean, spread)
    cross.linear[1].weight, cross.linear[1].bias = (np.concatenate(pair) for pair in zip(keys, values))
    cross.linear[2].weight, cross.linear[2].bias = np.eye(width, dtype=np.float32) * 10, none
    spec.decoder.projection.weight = one_hot * 4
    spec.decoder.projection.bias = np.zeros(words, np.float32)
    for register in (spec.register_source_vocabulary, spec.register_target_vocabulary):
        register(vocabulary)
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = UNKNOWN, START, END
    spec.config.decoder_start_token = START
    spec.validate()
    return spec


def _undone(weight: np.ndarray, mean: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """A linear part that acts on a vector as ``weight`` would have before the norm, and its bias."""
    return (weight * spread).astype(np.float32), (weight.sum(axis=1) * mean).astype(np.float32)


def _entry(piece: str, table: Mapping[str, str], lost: str) -> str:
    if lost and piece == lost:
        return "."
    bare = piece.lstrip("▁")
    return piece[: len(piece) - len(bare)] + table.get(bare, bare)
