"""Our own language models on test data that their training never saw, beside the plainest thing that could be learnt.

    python bench/learning.py --data FOLDER [--only questions news moods names] [--threads N] [--no-baselines]

FOLDER holds `nlp/sent_conv`, `nlp/ag_news_jointmatch`, `nlp/conll2003`. Each figure is that of the committed model,
opened as everybody opens it, by the task's own evaluation, with its 95 % interval and the line that it is to reach.
For texts, logistic regression over counted words and letters (`triptych train --method tfidf`) is fitted on the same
training texts in the same run and judged by the same evaluation; and where the model is an adapter, the agreement of
its int8 graph with the same weights in float32 is counted on the first texts of the test part.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nlp.datasets import read_labelled_texts
from nlp.graphs import open_base
from nlp.graphs.adapters import ADAPTER, merge, read_adapter
from nlp.graphs.build import build_graph
from nlp.graphs.parts import BASE_TASK
from nlp.opening import load_text_graph
from shared.catalogue import find
from shared.evaluation.report import Evaluation
from shared.tasks import find_task
from shared.weights import Opened, resolve, write_model_folder

AGREEMENT_TEXTS = 500


@dataclass(frozen=True)
class Judged:
    """One committed model and how it is judged."""

    task: str
    model: str
    test: str
    metric: str
    wanted: float
    train: str = ""
    layout: dict[str, Any] = field(default_factory=dict)


MODELS = {
    "questions": Judged(
        "nlp.classification",
        "trec-minilm-lora",
        "sent_conv/data/TREC.test.all",
        "accuracy",
        0.95,
        "sent_conv/data/TREC.train.all",
        {"encoding": "latin-1"},
    ),
    "news": Judged(
        "nlp.classification",
        "agnews-minilm-lora",
        "ag_news_jointmatch/data/ag_news/test.csv",
        "accuracy",
        0.90,
        "ag_news_jointmatch/data/ag_news/dev.csv",
        {"text_column": "content"},
    ),
    "moods": Judged(
        "nlp.classification",
        "sst2-bge-lora",
        "sent_conv/data/stsa.binary.test",
        "accuracy",
        0.90,
        "sent_conv/data/stsa.binary.train",
    ),
    "names": Judged("nlp.ner", "conll2003-minilm-lora", "conll2003/dataset/eng.testb", "f1", 0.88),
}


def evaluate(judged: Judged, model: str | Path, data: Path, threads: int | None) -> Evaluation:
    """The task's own evaluation."""
    task = find_task(judged.task)
    if task.evaluate is None:
        raise SystemExit(f"{judged.task} can be evaluated in this version no more")
    return task.evaluate(data / judged.test, model=model, threads=threads, **judged.layout)


def figures(judged: Judged, model: str | Path, data: Path, threads: int | None) -> dict[str, Any]:
    """One figure with its interval."""
    began = time.perf_counter()
    found = evaluate(judged, model, data, threads)
    metric = found.metrics[judged.metric]
    rounded = {name: round(getattr(metric, name), 4) for name in ("value", "low", "high")}
    return {**rounded, "n": found.n, "failed": found.failed, "seconds": round(time.perf_counter() - began, 1)}


def is_adapter(judged: Judged) -> bool:
    """Whether the model is kept as an adapter over a base."""
    return any(file.name == ADAPTER for file in find(judged.model, task=judged.task).files)


def agreement(judged: Judged, data: Path, threads: int | None) -> float:
    """Share of texts on whose first label the int8 graph and the same weights in float32 agree."""
    opened = resolve(judged.model, task=judged.task)
    base = open_base(resolve(opened.card.options["base"], task=BASE_TASK))
    tensors = merge(base, read_adapter(opened.files[ADAPTER]), origin=judged.model)
    exact = build_graph(base.shape, tensors, head=opened.card.options["head"], types=False, int8=False)
    texts = read_labelled_texts(data / judged.test, **judged.layout).texts[:AGREEMENT_TEXTS]
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        files = {"model.onnx": exact, "tokenizer.json": base.tokenizer.read_bytes()}
        card = write_model_folder(Path(folder), opened.card, files)
        plain = Opened(card, {name: Path(folder) / name for name in files})
        for which in (opened, plain):
            graph = load_text_graph(which, threads=threads)
            ids = [graph.tokenizer.ids(text)[: graph.size] for text in texts]
            found = graph.answers([graph.feed(graph.tokenizer.window(row)) for row in ids])
            answers.append(np.array([row["logits"][0].argmax() for row in found]))
    return round(float((answers[0] == answers[1]).mean()), 4)


def run(name: str, data: Path, threads: int | None, baselines: bool) -> dict[str, Any]:
    """Judge one model, and what is learnt from counted terms of the same training texts."""
    judged = MODELS[name]
    row: dict[str, Any] = {"model": judged.model, "metric": judged.metric, "wanted": judged.wanted}
    row |= figures(judged, judged.model, data, threads)
    row["reached"] = row["value"] >= judged.wanted
    task = find_task(judged.task)
    if judged.train and is_adapter(judged):
        row["int8_agreement"] = agreement(judged, data, threads)
    if judged.train and baselines and task.train is not None:
        with tempfile.TemporaryDirectory() as folder:
            fitted = Path(folder) / "tfidf"
            task.train(data / judged.train, fitted, method="tfidf", threads=threads, **judged.layout)
            row["tfidf"] = figures(judged, fitted, data, threads)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-baselines", action="store_true")
    given = parser.parse_args()
    for name in given.only:
        row = run(name, given.data / "nlp", given.threads, not given.no_baselines)
        print(json.dumps({"name": name, **row}), flush=True)


if __name__ == "__main__":
    main()
