"""Checkpoints of transformers small enough to make here, with random weights and tokenisers trained on a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

LINES = [
    "The quick brown fox jumps over the lazy dog.",
    "A film that is warm, funny and long; who wrote the book about the river?",
    "In 1987 Maria paid 42 euros for seven oranges at a market near Lyon.",
    "Naïve cafés stay open late, and nobody minds!",
] * 3
BERT_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA_WORDS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
POSITIONS = 130


def word_pieces() -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=list(BERT_WORDS), show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    return dict(sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]))


def byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=list(ROBERTA_WORDS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return tokenizer.get_vocab(), [(first, second) for first, second in merges]


def unigrams(*words: str, unknown: str) -> list[tuple[str, float]]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=list(words), unk_token=unknown, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


@dataclass(frozen=True)
class Kin:
    """One kind of checkpoint: the beginning of its classes' names, its tokeniser, and what its configuration needs."""

    name: str
    tokenizer: Callable[[Any], Any]
    facts: dict[str, Any]


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_ROBERTA = SMALL | {"max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1}
KINS = (
    Kin("Bert", lambda t: t.BertTokenizer(vocab=word_pieces()), SMALL),
    Kin(
        "DistilBert",
        lambda t: t.DistilBertTokenizer(vocab=word_pieces()),
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    ),
    Kin("Electra", lambda t: t.ElectraTokenizer(vocab=word_pieces()), SMALL | {"embedding_size": 16}),
    Kin("Roberta", lambda t: t.RobertaTokenizer(**dict(zip(("vocab", "merges"), byte_pairs()))), _ROBERTA),
    Kin(
        "XLMRoberta",
        lambda t: t.XLMRobertaTokenizer(vocab=unigrams("<s>", "<pad>", "</s>", "<unk>", unknown="<unk>")),
        _ROBERTA,
    ),
    Kin(
        "DebertaV2",
        lambda t: t.DebertaV2Tokenizer(vocab=unigrams("[PAD]", "[CLS]", "[SEP]", "[UNK]", unknown="[UNK]")),
        SMALL
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "share_att_key": True}
        | {"norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0},
    ),
    Kin(
        "Albert",
        lambda t: t.AlbertTokenizer(vocab=unigrams("<pad>", "<unk>", "[CLS]", "[SEP]", unknown="<unk>")),
        SMALL | {"embedding_size": 16},
    ),
)


def save(kin: Kin, ending: str, folder: Path, **facts: Any) -> tuple[Any, Any]:
    """A checkpoint in a folder; returns its model, in evaluation, and its tokeniser."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    tokenizer = kin.tokenizer(transformers)
    tokenizer.model_max_length = POSITIONS
    config = getattr(transformers, f"{kin.name}Config")(
        **({"vocab_size": len(tokenizer), "max_position_embeddings": POSITIONS, "pad_token_id": tokenizer.pad_token_id}
        | kin.facts | facts)
    )  # fmt: skip
    model = getattr(transformers, f"{kin.name}{ending}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer
