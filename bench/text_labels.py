"""Text classification against `transformers.pipeline`: one checkpoint, speed on mixed lengths, agreement, memory.

    python bench/text_labels.py --data FOLDER --checkpoint CHECKPOINT [--texts 300] [--repeats 5] [--threads N]

Needs the extra `torch`. CHECKPOINT is a transformers folder of a text classifier, or `hf:OWNER/NAME`. The texts are
those of `bench/text.py`: sentences, news items and film reviews of at most 256 tokens. Triptych runs the checkpoint's
own graph in float32, and in 8-bit integers where `models optimize` keeps that form on other texts of the same kind; the
peer is `pipeline("text-classification", batch_size=32)`. Peak memory is that of a process of its own for each system.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from text import BATCH, mixed_texts
from turns import peak_megabytes, same_share, take_turns

import nlp
from nlp.families import checkpoint, is_of_hub
from nlp.optimize import TEXTS, optimize
from shared.settings import cpu_count
from shared.types import Failure
from shared.weights.checkpoints import gathered

TASK = "nlp.classification"
Labels = Callable[[list[str]], list[str]]


def ours(model: str | Path, *, threads: int) -> Labels:
    """Triptych: the best label of each text."""
    classifier = nlp.text_classifier(model, threads=threads)

    def labels(texts: list[str]) -> list[str]:
        return ["" if isinstance(found, Failure) else found.labels[0] for found in classifier.predict(texts)]

    return labels


def pipeline_labels(model: str) -> Labels:
    """`transformers`: the pipeline with a batch size."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    with gathered(checkpoint(model, task=TASK).files) as folder:
        loaded = AutoModelForSequenceClassification.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=loaded, tokenizer=tokenizer, device="cpu")
    return lambda texts: [row["label"] for row in classify(texts, batch_size=BATCH, truncation=True, max_length=256)]


def integers(model: str, texts: list[str], *, threads: int) -> str | None:
    """The name of the checkpoint in 8-bit integers, where that form is kept; prints how it fared."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.txt"
        file.write_text("\n".join(" ".join(text.split()) for text in texts), "utf-8")
        report = optimize(model, task=TASK, texts=file, threads=threads)
    for row in report["tried"]:
        told = "-" if row["agreement"] is None else f"{row['agreement']:.4f}"
        print(f"int8, {row['in_float']:.0%} in float: agreement {told}. {row['refused'] or 'kept'}", flush=True)
    name: str | None = report["name"]
    return name


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        system = (
            pipeline_labels(given.checkpoint) if given.alone == "peer" else ours(given.alone, threads=given.threads)
        )
        system(json.load(sys.stdin))
        print(f"{peak_megabytes():.0f}")
        return
    try:
        import torch
        from transformers.utils import logging
    except ImportError as error:
        raise SystemExit(f"the peer is not installed ({error}). Run: pip install 'triptych[torch]'") from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(given.threads)
    model = given.checkpoint if is_of_hub(given.checkpoint) else str(Path(given.checkpoint).resolve())
    everything = mixed_texts(given.data, given.texts + TEXTS, whole=False)
    texts, typical = everything[: given.texts], everything[given.texts :]
    small = integers(model, typical, threads=given.threads)
    forms = {"triptych, int8": small, "triptych, float32": model} if small else {"triptych, float32": model}
    systems = {name: ours(form, threads=given.threads) for name, form in forms.items()}
    systems["transformers.pipeline"] = pipeline_labels(model)
    print(f"{len(texts)} texts, {given.threads} threads, {given.repeats} turns")
    runs = {name: (lambda system=system: system(texts)) for name, system in systems.items()}
    answers = take_turns(runs, repeats=given.repeats, count=len(texts), unit="texts")
    theirs = answers["transformers.pipeline"]
    for name, form in {**forms, "transformers.pipeline": "peer"}.items():
        command = [sys.executable, __file__, "--data", str(given.data), "--checkpoint", model, "--alone", str(form)]
        command += ["--threads", str(given.threads)]
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(given.threads))
        alone = subprocess.run(
            command, input=json.dumps(texts), capture_output=True, text=True, check=True, env=os.environ | limits
        )
        print(f"{name:34} same label {same_share(answers[name], theirs):.4f}, peak {alone.stdout.split()[-1]} MB")


if __name__ == "__main__":
    main()
