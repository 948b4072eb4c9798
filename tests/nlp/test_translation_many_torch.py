"""Models of many languages: their codes, the token that says the target, and what transformers' own generate writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_seq2seq
from test_translation_torch import LENGTH, converted, of_runtime

import nlp
from nlp.translation.engine import pairs_of
from shared.errors import UnknownNameError, UsageError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Recommended")]


@pytest.fixture(autouse=True)
def torch(empty_home: Path) -> Any:
    return pytest.importorskip("torch")


def generated(model: Any, tokenizer: Any, sentence: str, forced: int) -> list[str]:
    """What transformers writes greedily, without the start, the language and the end."""
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        ids = model.generate(
            **tokenizer(sentence, return_tensors="pt"),
            forced_bos_token_id=forced,
            num_beams=1,
            do_sample=False,
            max_new_tokens=LENGTH + 1,
        )[0].tolist()
    assert ids[:2] == [model.config.decoder_start_token_id, forced]
    kept = ids[2:]
    if model.config.eos_token_id in kept:
        kept = kept[: kept.index(model.config.eos_token_id)]
    return list(tokenizer.convert_ids_to_tokens(kept))


@pytest.mark.parametrize(
    ("make", "source", "target", "token"),
    [(tiny_seq2seq.nllb, "eng_Latn", "deu_Latn", "deu_Latn"), (tiny_seq2seq.m2m, "en", "fr", "__fr__")],
    ids=["nllb", "m2m"],
)
def test_greedy_answers_are_those_of_generate(
    make: Callable[[Path], tuple[Any, Any]], source: str, target: str, token: str, tmp_path: Path
) -> None:
    model, tokenizer = make(tmp_path / "own")
    engine = converted(tmp_path / "own")
    tokenizer.src_lang = source
    before = [piece.format(source=source) for piece in engine.card.options["before"]]
    for sentence in tiny_seq2seq.sentences(6, seed=3):
        given = tokenizer.convert_ids_to_tokens(tokenizer(sentence)["input_ids"])
        pieces = [*before, *engine.pieces.encode(sentence), "</s>"]
        assert pieces == given
        tokens, _ = of_runtime(engine, pieces, [token])
        tokens = ["<unk>" if piece.startswith("madeupword") else piece for piece in tokens]
        assert tokens == generated(model, tokenizer, sentence, tokenizer.convert_tokens_to_ids(token))


def test_nllb_s_languages_have_their_codes_and_the_short_ones(tmp_path: Path) -> None:
    tiny_seq2seq.nllb(tmp_path / "own")
    card = converted(tmp_path / "own").card
    assert {"en", "de", "zh", "ace_Latn"} <= set(card.options["languages"])
    assert (card.options["codes"]["de"], card.options["codes"]["ace_Latn"]) == ("deu_Latn", "ace_Latn")
    assert ("en", "ace_Latn") in pairs_of(card)
    options = {"source": "eng_Latn", "target": "deu_Latn", "beam": 1}
    by_own = nlp.translator(tmp_path / "own", **options).predict(["the cat sleeps."])
    by_short = nlp.translator(tmp_path / "own", source="en", target="de", beam=1).predict(["the cat sleeps."])
    assert by_own == by_short
    assert (by_own[0].source, by_own[0].target) == ("en", "de")


def test_an_unsupported_pair_lists_the_supported_ones(tmp_path: Path) -> None:
    tiny_seq2seq.m2m(tmp_path / "own")
    with pytest.raises(UnknownNameError, match=r"no pair of languages is called 'tlh-de'. Nearest: .*-de"):
        nlp.translator(tmp_path / "own", source="tlh", target="de")
    with pytest.raises(UsageError, match="target must be a language that a model writes: af, am, ar, .*Got 'tlh'"):
        nlp.translator(tmp_path / "own", target="tlh")
