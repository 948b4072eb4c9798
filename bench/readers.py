"""Answers out of a context against transformers: one checkpoint, speed, agreement of answers, F1, memory.

    python bench/readers.py --data FOLDER [--questions 128] [--repeats 3] [--threads N]

Contexts are of mixed lengths, a third each: the sentence of the answer, its paragraph as the data set has it, and that
with those that follow it in the article, up to 1,500 characters. `--lengths paragraphs` takes paragraphs alone.

Needs the extra `torch`. FOLDER holds `nlp/squadshifts`. transformers 5 has no pipeline for questions, so the peer is
the standard way by hand: `AutoModelForQuestionAnswering`, its fast tokeniser with windows that overlap, batches of 32
that are padded to their longest, and the best stretch as transformers' own SQuAD example chooses it: of the 20 best
starts and ends those in order and of at most 30 tokens, "no answer" by the sums at the first token. Triptych has the
same rules. The checkpoint is the default model's own weights as a plain `BertForQuestionAnswering`; Triptych runs it in
float32, and in 8-bit integers where `models optimize` keeps that form on other questions at an agreement of 0.99.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from merged import checkpoint
from turns import peak_megabytes, same_share, take_turns

import nlp
from nlp.optimize import optimize
from nlp.qa.data import Question, read_questions
from nlp.retrieval.sentences import sentence_spans
from shared.evaluation.answers import token_f1_score
from shared.settings import cpu_count, home

TASK = "nlp.qa"
FILE = "nlp/squadshifts/datasets/new_wiki_v1.0.json"
BATCH, ROOM, OVERLAP = 32, 384, 48
BEST, LONGEST = 20, 30
PAGE = 1500
"""Characters of the longest contexts."""
BOUND, TYPICAL = 0.99, 256
"""Agreement that the form in integers must reach, and on how many questions it is judged."""
Answering = Callable[[list[Question]], list[str]]


def ours(model: str | Path, *, threads: int) -> Answering:
    """Triptych: the best answer to each question, nothing where it means that there is none."""
    reader = nlp.question_answerer(model, top_k=1, threads=threads)

    def answers(questions: list[Question]) -> list[str]:
        found: list[Any] = reader.predict([(asked.question, asked.context) for asked in questions])
        return [result.best.text if result.best else "" for result in found]

    return answers


def theirs(model: Path, *, threads: int) -> Answering:
    """transformers by hand."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    torch.set_num_threads(threads)
    reader, tokenizer = (
        AutoModelForQuestionAnswering.from_pretrained(model).eval(),
        AutoTokenizer.from_pretrained(model),
    )

    def answers(questions: list[Question]) -> list[str]:
        read = tokenizer(
            [asked.question for asked in questions], [asked.context for asked in questions], truncation="only_second",
            max_length=ROOM, stride=OVERLAP, return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        of, offsets = read["overflow_to_sample_mapping"], read["offset_mapping"]
        names = ("input_ids", "token_type_ids", "attention_mask")
        best: list[tuple[float, str]] = [(-np.inf, "")] * len(questions)
        null = [np.inf] * len(questions)
        for at in range(0, len(of), BATCH):
            rows = range(at, min(at + BATCH, len(of)))
            padded = tokenizer.pad({name: [read[name][row] for row in rows] for name in names}, return_tensors="pt")
            with torch.inference_mode():
                made = reader(**padded)
            for row, start, end in zip(rows, made.start_logits.numpy(), made.end_logits.numpy()):
                null[of[row]] = min(null[of[row]], float(start[0] + end[0]))
                second = [at for at, part in enumerate(read.sequence_ids(row)) if part == 1]
                found = stretch(start, end, second[0], second[-1])
                if found is not None and found[0] > best[of[row]][0]:
                    text = questions[of[row]].context[offsets[row][found[1]][0] : offsets[row][found[2]][1]]
                    best[of[row]] = (found[0], text)
        return [text if score >= none else "" for (score, text), none in zip(best, null)]

    return answers


def stretch(start: Any, end: Any, first: int, last: int) -> tuple[float, int, int] | None:
    """The best stretch of a window, as transformers' SQuAD example finds it: its score, first and last token."""
    best = None
    for begin in np.argsort(-start)[:BEST].tolist():
        for stop in np.argsort(-end)[:BEST].tolist():
            score = float(start[begin]) + float(end[stop])
            if first <= begin <= stop <= last and stop - begin < LONGEST and (best is None or score > best[0]):
                best = (score, begin, stop)
    return best


def mixed(questions: list[Question]) -> list[Question]:
    """The same questions with contexts of three lengths in turn: a sentence, a paragraph, several of the article."""
    articles: dict[str, list[str]] = {}
    for asked in questions:
        paragraphs = articles.setdefault(asked.article, [])
        if asked.context not in paragraphs:
            paragraphs.append(asked.context)
    made = []
    for at, asked in enumerate(questions):
        context = asked.context
        if at % 3 == 0 and asked.answers:
            place = max(0, context.find(asked.answers[0]))
            context = next(context[start:stop] for start, stop in sentence_spans(context) if stop > place)
        elif at % 3 == 2:
            paragraphs = articles[asked.article]
            for further in paragraphs[paragraphs.index(context) + 1 :]:
                if len(context) + len(further) > PAGE:
                    break
                context = f"{context}\n\n{further}"
        made.append(Question(asked.id, asked.question, context, asked.answers, asked.article))
    return made


def integers(model: Path, questions: list[Question], out: Path, *, threads: int) -> Path | None:
    """The checkpoint in 8-bit integers, where that form is kept; prints how it fared."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.txt"
        lines = (f"{' '.join(asked.question.split())}\t{' '.join(asked.context.split())}" for asked in questions)
        file.write_text("\n".join(lines), "utf-8")
        report = optimize(model, task=TASK, texts=file, out=out, bound=BOUND, threads=threads)
    for row in report["tried"]:
        told = "-" if row["agreement"] is None else f"{row['agreement']:.4f}"
        shares = f"{row['in_float']:.0%} in float, {row['asked_again']:.1%} of questions asked again"
        print(f"int8, {shares}: agreement {told}. {row['refused'] or 'kept'}", flush=True)
    return out if report["written"] else None


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lengths", choices=("mixed", "paragraphs"), default="mixed")
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--work", type=Path, default=home() / "bench-readers", help=argparse.SUPPRESS)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    everything = read_questions(given.data / FILE)
    if given.lengths == "mixed":
        everything = mixed(everything)
    random.Random(0).shuffle(everything)
    asked, typical = everything[: given.questions], everything[given.questions : given.questions + TYPICAL]
    model = given.work / "checkpoint"
    if given.alone:
        system = (
            theirs(model, threads=given.threads) if given.alone == "peer" else ours(given.alone, threads=given.threads)
        )
        system(asked)
        print(f"{peak_megabytes():.0f}")
        return
    checkpoint(model, task=TASK, kind="BertForQuestionAnswering", head="qa_outputs", room=ROOM)
    small = integers(model, typical, given.work / "int8", threads=given.threads)
    forms = {"triptych, int8": small, "triptych, float32": model} if small else {"triptych, float32": model}
    systems = {name: ours(form, threads=given.threads) for name, form in forms.items()}
    systems["transformers"] = theirs(model, threads=given.threads)
    print(f"{len(asked)} questions, {given.threads} threads, {given.repeats} turns")
    runs = {name: (lambda system=system: system(asked)) for name, system in systems.items()}
    answers = take_turns(runs, repeats=given.repeats, count=len(asked), unit="questions")
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(given.threads))
    for name, form in {**forms, "transformers": "peer"}.items():
        command = [sys.executable, __file__, "--data", str(given.data), "--questions", str(given.questions)]
        command += ["--threads", str(given.threads), "--work", str(given.work), "--alone", str(form)]
        command += ["--lengths", given.lengths]
        alone = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | limits)
        f1 = np.mean([token_f1_score(found, one.answers) for found, one in zip(answers[name], asked)])
        same = same_share(answers[name], answers["transformers"])
        print(f"{name:24} same answer {same:.4f}, F1 {f1:.4f}, peak {alone.stdout.split()[-1]} MB")


if __name__ == "__main__":
    main()
