"""Translation against transformers' `generate` on the very same weights, and how good the translations are.

    python bench/translation.py --model FOLDER|NAME --data MULTI30K [--target de] [--count 320] [--repeats 3]

The weights of one of our own models (int8 in its CTranslate2 file) are read back into a PyTorch
M2M100ForConditionalGeneration, which has the same layers; its output bias is added by a logits processor. Both
translate the same sentences with beams of the same width, the peer in sorted batches of 32 as its documentation
advises, Triptych through `nlp.translator(...)`: splitting, masking, checks and all. Length limit and length penalty are
the same. They take turns; a figure is the median over the turns of the peer's seconds / Triptych's, on the clock and in
processor time, which hardly feels what else the machine is doing. Said beside it: the share of sentences that both
translate letter for letter alike, both BLEU scores with sacrebleu's signature, and the processes' peak memory. Nothing
of the peer is loaded before Triptych's memory is read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nlp
from nlp.translation.engine import LENGTH_PENALTY, load_engine
from nlp.translation.evaluate import read_sentence_pairs
from nlp.translation.models import open_translation
from shared.evaluation.generation import bleu_score, signature
from shared.settings import cpu_count

SIDES = ("encoder", "decoder")
BATCH = 32
DTYPES = {0: "float32", 1: "int8", 2: "int16", 3: "int32", 4: "float16"}


def variables(path: Path) -> dict[str, Any]:
    """The arrays of a CTranslate2 file, int8 ones multiplied out; ctranslate2/specs/model_spec.py writes the format."""
    content, at = path.read_bytes(), 0

    def number(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(form, content, at)
        at += struct.calcsize(form)
        return int(value)

    def text() -> str:
        nonlocal at
        size = number("H")
        at += size
        return content[at - size : at - 1].decode()

    number("I"), text(), number("I")
    found: dict[str, Any] = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        shape = [number("I") for _ in range(rank)]
        dtype, size = np.dtype(DTYPES[number("B")]), number("I")
        found[name] = np.frombuffer(content, dtype, size // dtype.itemsize, at).reshape(shape)
        at += size
    for name in [name for name in found if name.endswith("_scale")]:
        weight = name.removesuffix("_scale")
        rows = np.atleast_1d(found[name]).astype(np.float32)
        found[weight] = found[weight].astype(np.float32) / rows.reshape(-1, *[1] * (found[weight].ndim - 1))
    for _ in range(number("I")):
        alias, name = text(), text()
        found[alias] = found[name]
    return found


def peer(
    files: dict[str, Path], target: str, *, beam: int, threads: int, room: int, favour: float
) -> Callable[[list[str]], list[str]]:
    """transformers' generate over the weights of one of our models."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    torch.set_num_threads(threads)
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in variables(files["model.bin"]).items()}
    tokenizer = Tokenizer.from_file(str(files["tokenizer.json"]))
    ids = tokenizer.token_to_id
    size, width = arrays["encoder/embeddings_0/weight"].shape
    layers = [len({n.split("/")[1] for n in arrays if n.startswith(f"{s}/layer_") and n.count("/") > 2}) for s in SIDES]
    hidden = arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0]
    heads = int(arrays["encoder/num_heads"])
    config = transformers.M2M100Config(
        vocab_size=size, d_model=width, encoder_layers=layers[0], decoder_layers=layers[1], encoder_ffn_dim=hidden,
        decoder_ffn_dim=hidden, encoder_attention_heads=heads, decoder_attention_heads=heads, scale_embedding=True,
        pad_token_id=ids("<pad>"), bos_token_id=ids("<s>"), eos_token_id=ids("</s>"),
        decoder_start_token_id=ids("<s>"), max_position_embeddings=512, dropout=0.0, tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.M2M100ForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.model.shared.weight.copy_(arrays["encoder/embeddings_0/weight"])
        for side, part in zip(SIDES, (model.model.encoder, model.model.decoder)):
            first = config.pad_token_id + 1  # the place of the first token in the library's table
            codes = arrays[f"{side}/position_encodings/encodings"]
            table = torch.zeros(first + len(codes), width)
            table[first:] = codes
            part.embed_positions.weights = table
            _norm(part.layer_norm, arrays, f"{side}/layer_norm")
            for at, layer in enumerate(part.layers):
                _layer(layer, arrays, f"{side}/layer_{at}")
    bias = arrays["decoder/projection/bias"]

    class Bias(transformers.LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return (scores + bias).log_softmax(-1)

    def translate(sentences: list[str]) -> list[str]:
        encoded = [[*tokenizer.encode(s, add_special_tokens=False).ids, config.eos_token_id] for s in sentences]
        order = sorted(range(len(encoded)), key=lambda at: -len(encoded[at]))
        answers = [""] * len(encoded)
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            longest = max(len(encoded[row]) for row in rows)
            tokens = torch.full((len(rows), longest), config.pad_token_id)
            for number, row in enumerate(rows):
                tokens[number, : len(encoded[row])] = torch.tensor(encoded[row])
            real = (tokens != config.pad_token_id).long()
            made = model.generate(
                input_ids=tokens, attention_mask=real, num_beams=beam, do_sample=False,
                forced_bos_token_id=ids(f"<2{target}>"), max_new_tokens=room, length_penalty=favour,
                logits_processor=transformers.LogitsProcessorList([Bias()]),
            )  # fmt: skip
            for row, one in zip(rows, made.tolist()):
                pieces = [
                    tokenizer.id_to_token(token)
                    for token in one[2:]
                    if token not in (config.pad_token_id, config.eos_token_id)
                ]
                answers[row] = "".join(pieces).replace("▁", " ").strip()
        return answers

    return lambda sentences: _still(translate, sentences)


def _still(function: Callable[[list[str]], list[str]], sentences: list[str]) -> list[str]:
    import torch

    with torch.inference_mode():
        return function(sentences)


def _norm(norm: Any, arrays: dict[str, Any], name: str) -> None:
    norm.weight.copy_(arrays[f"{name}/gamma"])
    norm.bias.copy_(arrays[f"{name}/beta"])


def _layer(layer: Any, arrays: dict[str, Any], name: str) -> None:
    width = layer.self_attn.q_proj.weight.shape[0]

    def put(linear: Any, source: str, rows: slice = slice(None)) -> None:
        linear.weight.copy_(arrays[f"{name}/{source}/weight"][rows])
        linear.bias.copy_(arrays[f"{name}/{source}/bias"][rows])

    thirds = [slice(at * width, (at + 1) * width) for at in range(3)]
    for at, linear in enumerate((layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)):
        put(linear, "self_attention/linear_0", thirds[at])
    put(layer.self_attn.out_proj, "self_attention/linear_1")
    _norm(layer.self_attn_layer_norm, arrays, f"{name}/self_attention/layer_norm")
    if hasattr(layer, "encoder_attn"):
        put(layer.encoder_attn.q_proj, "attention/linear_0")
        put(layer.encoder_attn.k_proj, "attention/linear_1", thirds[0])
        put(layer.encoder_attn.v_proj, "attention/linear_1", thirds[1])
        put(layer.encoder_attn.out_proj, "attention/linear_2")
        _norm(layer.encoder_attn_layer_norm, arrays, f"{name}/attention/layer_norm")
    put(layer.fc1, "ffn/linear_0")
    put(layer.fc2, "ffn/linear_1")
    _norm(layer.final_layer_norm, arrays, f"{name}/ffn/layer_norm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.LANGUAGE files")
    parser.add_argument("--split", default="test_2016_flickr")
    parser.add_argument("--target", default="de")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cpu_count())
    options = parser.parse_args()
    data = read_sentence_pairs(options.data, source="en", target=options.target, split=options.split)
    sentences, references = list(data.sources[: options.count]), list(data.references[: options.count])
    mine = nlp.translator(options.model, source="en", target=options.target, beam=options.beam, threads=options.threads)

    def triptych(given: list[str]) -> list[str]:
        return [getattr(one, "text", "") for one in mine.predict(given)]

    triptych(sentences[:BATCH])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = load_engine(open_translation(options.model), threads=1)
    longest = max(len(engine.pieces.encode(sentence)) for sentence in sentences)
    systems = {
        "triptych": triptych,
        "transformers": peer(
            dict(open_translation(options.model).files), options.target, beam=options.beam, threads=options.threads,
            room=engine.room(longest), favour=float(engine.card.options.get(LENGTH_PENALTY, 1.0)),
        ),
    }  # fmt: skip
    systems["transformers"](sentences[:BATCH])
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    busy: dict[str, list[float]] = {name: [] for name in systems}
    answers: dict[str, list[str]] = {}
    for turn in range(options.repeats):
        for name in list(systems) if turn % 2 == 0 else list(systems)[::-1]:
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = systems[name](sentences)
            seconds[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - worked)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    alike = np.mean([one == two for one, two in zip(answers["triptych"], answers["transformers"])])
    figures = {
        "model": options.model,
        "sentences": len(sentences),
        "beam": options.beam,
        "threads": options.threads,
        "processors": os.cpu_count(),
        "sentences a second": {name: round(len(sentences) / statistics.median(s), 1) for name, s in seconds.items()},
        "times as fast": {
            kind: round(statistics.median(p / t for p, t in zip(taken["transformers"], taken["triptych"])), 2)
            for kind, taken in (("on the clock", seconds), ("in processor time", busy))
        },
        "alike": round(float(alike), 4),
        "bleu": {name: round(bleu_score(found, references), 2) for name, found in answers.items()},
        "signature": signature("bleu"),
        "peak MB": {"triptych": round(before / 1024), "with the peer": round(after / 1024)},
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
