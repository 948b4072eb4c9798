"""Checkpoints and our own networks answer in CTranslate2 as they do in torch. Small ones, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_seq2seq
import tiny_translator

import nlp
from nlp.translation.engine import Engine, load_engine
from nlp.translation.models import open_translation
from nlp.translation.training.export import export_translator
from nlp.translation.training.network import Shape, build_network
from nlp.translation.training.train import Recipe, train_translator
from shared.errors import DataError, PlanMismatchError, UsageError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Recommended")]
LENGTH = 20
SETTING = "quantisation"


@pytest.fixture(autouse=True)
def torch(empty_home: Path) -> Any:
    return pytest.importorskip("torch")


def converted(folder: Path, **options: Any) -> Engine:
    """The checkpoint in float32, by a row of the user's own catalogue."""
    pytest.importorskip("sentencepiece")
    from nlp.translation.models import from_transformers
    from shared.weights import resolve, write_model_folder
    from shared.weights.exports import Checkpoint

    files = {path.name: path for path in folder.iterdir()}
    made = from_transformers(
        Checkpoint("transformers", "tiny", files, {SETTING: "float32", **options}), "nlp.translation"
    )
    write_model_folder(folder.parent / "made", made.card, made.files)
    return load_engine(resolve(folder.parent / "made", task="nlp.translation"), threads=1)


def greedy(model: Any, given: Any, start: list[int], end: int, never: int | None = None) -> tuple[list[int], float]:
    """The likeliest next tokens by the model's own forward pass, and the sum of their log-probabilities.

    ``never`` is a token that generation leaves out, as Marian's does the padding.
    """
    torch = pytest.importorskip("torch")
    tokens, total = list(start), 0.0
    with torch.inference_mode():
        for _ in range(LENGTH):
            logits = model(**given, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
            if never is not None:
                logits[never] = -float("inf")
            best = logits.log_softmax(-1).max(-1)
            tokens.append(int(best.indices))
            total += float(best.values)
            if tokens[-1] == end:
                break
    return tokens[len(start) :], total


def of_runtime(engine: Engine, pieces: list[str], prefix: list[str]) -> tuple[list[str], float]:
    answer = engine.translator.translate_batch(
        [pieces],
        target_prefix=[prefix] if prefix else None,
        beam_size=1,
        max_decoding_length=LENGTH + len(prefix),
        return_scores=True,
        length_penalty=0,
    )[0]
    return answer.hypotheses[0][len(prefix) :], answer.scores[0]


def test_marian_answers_as_in_transformers(tmp_path: Path) -> None:
    model, tokenizer = tiny_seq2seq.marian(tmp_path / "own")
    engine = converted(tmp_path / "own")
    assert engine.card.options["pairs"] == ["en-de"]
    for sentence in tiny_seq2seq.sentences(8, seed=1):
        given = tokenizer(sentence, return_tensors="pt")
        pieces = [*engine.pieces.encode(sentence), "</s>"]
        assert pieces == tokenizer.convert_ids_to_tokens(given["input_ids"][0].tolist())
        pad = model.config.pad_token_id
        ids, wanted = greedy(model, given, [pad], model.config.eos_token_id, never=pad)
        tokens, score = of_runtime(engine, pieces, [])
        assert tokens == [token for token in tokenizer.convert_ids_to_tokens(ids) if token != "</s>"]
        assert score == pytest.approx(wanted, abs=1e-3)


def test_m2m_answers_as_in_transformers(tmp_path: Path) -> None:
    model, tokenizer = tiny_seq2seq.m2m(tmp_path / "own")
    engine = converted(tmp_path / "own")
    assert {"en", "de", "fr", "zh"} <= set(engine.card.options["languages"])
    tokenizer.src_lang = "en"
    for sentence in tiny_seq2seq.sentences(8, seed=2):
        given = tokenizer(sentence, return_tensors="pt")
        pieces = ["__en__", *engine.pieces.encode(sentence), "</s>"]
        assert pieces == tokenizer.convert_ids_to_tokens(given["input_ids"][0].tolist())
        start = [model.config.decoder_start_token_id, tokenizer.get_lang_id("de")]
        ids, wanted = greedy(model, given, start, model.config.eos_token_id)
        tokens, score = of_runtime(engine, pieces, ["__de__"])
        tokens = ["<unk>" if token.startswith("madeupword") else token for token in tokens]
        assert tokens == [token for token in tokenizer.convert_ids_to_tokens(ids) if token != "</s>"]
        assert score == pytest.approx(wanted, abs=1e-3)


def test_a_checkpoint_by_its_folder_is_converted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_seq2seq.marian(tmp_path / "own")
    first = nlp.translator(tmp_path / "own", source="en", target="de", beam=2).predict(["the cat sleeps."])
    assert "exporting own of transformers, once" in capsys.readouterr().err
    second = nlp.translator(tmp_path / "own", source="en", target="de", beam=2).predict(["the cat sleeps."])
    assert "exporting" not in capsys.readouterr().err
    assert first == second


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    tiny_seq2seq.marian(tmp_path / "own")
    config = json.loads((tmp_path / "own" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "own" / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}), "utf-8")
    with pytest.raises(UsageError, match="must be one of MarianMTModel, M2M100ForConditionalGeneration"):
        open_translation(tmp_path / "own")


def test_a_checkpoint_without_pieces_is_refused(tmp_path: Path) -> None:
    tiny_seq2seq.marian(tmp_path / "own")
    (tmp_path / "own" / "source.spm").unlink()
    with pytest.raises(DataError, match=r"must have SentencePiece files \(source.spm and target.spm"):
        open_translation(tmp_path / "own")


SHAPE = {"width": 32, "heads": 4, "hidden": 64, "encoder_layers": 2, "decoder_layers": 1}
PAIRS = [
    ("the cat sleeps.", "die Katze schläft."),
    ("Hello world!", "Hallo Welt!"),
    ("Why the dog?", "Warum die Hund?"),
]


def written(folder: Path) -> tuple[Path, Path, int]:
    """Text of a few sentences and its vocabulary."""
    from tokenizers import Tokenizer

    folder.mkdir()
    (folder / "few.en-de.tsv").write_text("".join(f"{left}\t{right}\n" for left, right in PAIRS * 4), encoding="utf-8")
    vocabulary = tiny_translator.english_german() / "tokenizer.json"
    return folder, vocabulary, Tokenizer.from_file(str(vocabulary)).get_vocab_size()


def recipe(size: int, **changes: Any) -> Recipe:
    facts: dict[str, Any] = {
        "directions": (("en", "de"),),
        "shares": {"few": 20.0},
        "shape": Shape(size, dropout=0.0, **SHAPE),
        "passes": 3,
        "epoch_steps": 5,
        "tokens": 64,
        "learning_rate": 5e-3,
    }
    return Recipe(**(facts | changes))


def test_a_network_learns_and_is_exported_as_it_is(tmp_path: Path, torch: Any) -> None:
    text, vocabulary, size = written(tmp_path / "text")
    plan = recipe(size)
    report = train_translator(text, vocabulary, tmp_path / "out", plan, valid=text)
    scores = [row["minus_loss"] for row in report["history"]]
    assert scores[-1] > scores[0] + 0.3
    export_translator(
        tmp_path / "out" / "model.safetensors",
        vocabulary,
        tmp_path / "model",
        shape=plan.shape,
        pairs=["en-de"],
        name="own",
        licence="Apache-2.0",
        summary="a test's",
        facts={},
        quantisation="float32",
    )
    engine = load_engine(open_translation(tmp_path / "model"), threads=1)
    network = build_network(plan.shape).eval()
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    network.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"))
    tokenizer = Tokenizer.from_file(str(vocabulary))
    for left, _ in PAIRS:
        pieces = [*engine.pieces.encode(left), "</s>"]
        source = torch.tensor([[tokenizer.token_to_id(piece) for piece in pieces]])
        target = [tokenizer.token_to_id("<s>"), tokenizer.token_to_id("<2de>")]
        total = 0.0
        with torch.inference_mode():
            for _ in range(LENGTH):
                states = network(source, torch.ones_like(source, dtype=torch.bool), torch.tensor([target]))
                best = network.logits(states)[0, -1].log_softmax(-1).max(-1)
                target.append(int(best.indices))
                total += float(best.values)
                if tokenizer.id_to_token(target[-1]) == "</s>":
                    break
        tokens, score = of_runtime(engine, pieces, ["<2de>"])
        assert tokens == [tokenizer.id_to_token(at) for at in target[2:] if tokenizer.id_to_token(at) != "</s>"]
        assert score == pytest.approx(total, abs=1e-3)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import load_file

    from shared.training.folder import TrainFolder

    text, vocabulary, size = written(tmp_path / "text")
    train_translator(text, vocabulary, tmp_path / "whole", recipe(size), valid=text)
    save = TrainFolder.save

    def once(self: TrainFolder, *given: Any) -> None:
        save(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainFolder, "save", once)
    with pytest.raises(KeyboardInterrupt):
        train_translator(text, vocabulary, tmp_path / "killed", recipe(size), valid=text)
    monkeypatch.setattr(TrainFolder, "save", save)
    train_translator(text, vocabulary, tmp_path / "killed", recipe(size), valid=text)
    whole, gone_on = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(np.array_equal(whole[name], gone_on[name]) for name in whole)


def test_another_recipe_does_not_go_on(tmp_path: Path) -> None:
    text, vocabulary, size = written(tmp_path / "text")
    train_translator(text, vocabulary, tmp_path / "out", recipe(size, passes=1), valid=text)
    with pytest.raises(PlanMismatchError, match="learning_rate"):
        train_translator(text, vocabulary, tmp_path / "out", recipe(size, passes=1, learning_rate=1e-3), valid=text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 30}, "width must be divisible by twice the heads. Got 30 and 4"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\). Got 1.0"),
        ({"hidden": 0}, "hidden must be at least 1. Got 0"),
    ],
)
def test_shapes_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Shape(**{"vocabulary": 10, **SHAPE, **changes})


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"embedding.weight": np.zeros((4, 4), np.float32)}, tmp_path / "w.safetensors")
    _, vocabulary, size = written(tmp_path / "text")
    with pytest.raises(DataError, match="must be of a network of this shape"):
        export_translator(
            tmp_path / "w.safetensors",
            vocabulary,
            tmp_path / "m",
            shape=Shape(size, **SHAPE),
            pairs=["en-de"],
            name="own",
            licence="x",
            summary="x",
            facts={},
        )
