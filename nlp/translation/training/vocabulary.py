"""A joint vocabulary of byte-pair pieces for all languages of a model; marks and language tokens stay whole.

R. Sennrich et al., "Neural machine translation of rare words with subword units", ACL 2016.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nlp.translation.masking import MARKS
from shared.lazy import require

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
WORDS = r"▁?\p{L}+['’]?|▁?\p{N}|▁?[^\p{L}\p{N}▁]+|▁"
"""What a piece may not cross: a word with its apostrophe, one figure, a run of other signs."""
LEAST_SIGHTINGS = 20
"""A sign that is rarer in the training text gets no piece, and is carried over as it stands."""


def language_token(language: str) -> str:
    """The token that a translation into a language begins with.

    Example:
        >>> language_token("de")
        '<2de>'
    """
    return f"<2{language}>"


def learn_vocabulary(texts: Iterable[str], *, size: int, languages: Sequence[str]) -> Any:
    """A ``tokenizers.Tokenizer`` with ``size`` pieces, learnt from masked text.

    The first ids are the padding, the unknown sign, start, end, the marks and the language tokens.
    """
    tokenizers = require("tokenizers", extra="torch")
    counts: dict[str, int] = {}
    kept = list(texts)
    for text in kept:
        for sign in text:
            counts[sign] = counts.get(sign, 0) + 1
    alphabet = [sign for sign, count in counts.items() if count >= LEAST_SIGHTINGS and not sign.isspace()]
    special = [PAD, UNKNOWN, START, END, *(f"<m{number}>" for number in range(1, MARKS + 1))]
    special += [language_token(language) for language in languages]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first"),
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORDS), behavior="isolated"),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet) + 1,
        show_progress=False,
    )
    tokenizer.train_from_iterator(kept, trainer)
    return tokenizer
