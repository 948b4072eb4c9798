"""Small Marian, M2M-100 and NLLB checkpoints with random weights, saved as the hub's are."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

TEXT = (
    "the cat dog sleeps on mat and man woman in green hat runs over blue street with small red ball near "
    "big house while two children play music at night for old friends who sing"
)
WORDS = TEXT.split()
SIZES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "init_std": 0.6,
}


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12))) + "." for _ in range(count)]


def _pieces(folder: Path, name: str, kind: str = "unigram", **ids: int) -> list[str]:
    library = pytest.importorskip("sentencepiece")
    text = folder / "text.txt"
    text.write_text("\n".join(sentences(500)), encoding="utf-8")
    library.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "made"),
        vocab_size=58,
        minloglevel=2,
        pad_id=-1,
        model_type=kind,
        **ids,
    )
    text.unlink()
    (folder / "made.vocab").unlink()
    (folder / "made.model").rename(folder / name)
    pieces = library.SentencePieceProcessor(model_file=str(folder / name))
    return [pieces.id_to_piece(at) for at in range(pieces.get_piece_size())]


def marian(folder: Path) -> tuple[Any, Any]:
    """A checkpoint like OPUS-MT's, English to German; returns model and tokeniser."""
    torch, library = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder.mkdir()
    for name in ("source.spm", "target.spm"):
        pieces = _pieces(folder, name, bos_id=-1, eos_id=0, unk_id=1)
    vocabulary = {piece: at for at, piece in enumerate([*pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    facts = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts), encoding="utf-8")
    pad = vocabulary["<pad>"]
    torch.manual_seed(0)
    config = library.MarianConfig(
        vocab_size=len(vocabulary),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        scale_embedding=True,
        **SIZES,
    )
    model = library.MarianMTModel(config).eval()
    model.generation_config.forced_eos_token_id = None
    model.save_pretrained(folder)
    return model, library.MarianTokenizer.from_pretrained(folder)


def m2m(folder: Path) -> tuple[Any, Any]:
    """A checkpoint like M2M-100, of a hundred languages; returns model and tokeniser."""
    torch, library = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder.mkdir()
    pieces = _pieces(folder, "sentencepiece.bpe.model", bos_id=0, eos_id=1, unk_id=2)
    known = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces if not piece.startswith("<"))]
    vocabulary = {piece: at for at, piece in enumerate(known)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = library.M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    torch.manual_seed(0)
    size = len(known) + len(tokenizer.lang_token_to_id) + tokenizer.num_madeup_words
    config = library.M2M100Config(vocab_size=size, scale_embedding=True, **SIZES)
    model = library.M2M100ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def nllb(folder: Path) -> tuple[Any, Any]:
    """A checkpoint like NLLB-200, of two hundred languages; returns model and tokeniser."""
    torch, library = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder.mkdir()
    pieces = _pieces(folder, "sentencepiece.bpe.model", "bpe", unk_id=0, bos_id=1, eos_id=2)
    known = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces if not piece.startswith("<"))]
    vocabulary = {piece: at for at, piece in enumerate(known)}
    merges = [
        (piece[:at], piece[at:])
        for piece in known[4:]
        for at in range(1, len(piece))
        if piece[:at] in vocabulary and piece[at:] in vocabulary
    ]
    tokenizer = library.NllbTokenizer(vocab=vocabulary, merges=merges, src_lang="eng_Latn")
    torch.manual_seed(0)
    config = library.M2M100Config(vocab_size=len(tokenizer), scale_embedding=True, **SIZES)
    model = library.M2M100ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer
