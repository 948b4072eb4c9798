"""What the judges of groundedness are worth, on pairs of answers and passages whose truth is known.

    python bench/groundedness.py --data FOLDER [--questions 300] [--nli MODEL] [--reader NAME] [--threads N]

FOLDER holds `nlp/squadshifts`. The questions are of the articles that the default reader was not trained on (the test
part of recipes/encoders/questions_data.py). Each question is judged three times:

- *right*: its true answer and its own paragraph, which bears it out;
- *elsewhere*: its true answer and the paragraph without it that shares most of the question's rarer words;
- *another*: its own paragraph and the answer to another question of that paragraph, which shares no word with its own.

A judge is worth what it tells apart. AUC is the chance that a right pair scores more than a wrong one, ties half; with
it the precision and the recall of "borne out" at the threshold 0.5 that evaluations use, and at the threshold that is
best by F1 on the other half of the questions (each half judged by the other's; both are said). Intervals are percentile
bootstraps over questions, 95 %.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlp.generation.groundedness import GROUNDED, Claim, open_judges
from nlp.retrieval.types import Passage
from shared.evaluation.answers import no_answer_auc_score, token_f1_score
from shared.evaluation.intervals import bootstrap
from shared.evaluation.report import Metric

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("right", "elsewhere", "another")


@dataclass(frozen=True)
class Triple:
    """A question with its three pairs, in the order of KINDS."""

    claims: tuple[Claim, Claim, Claim]


def triples(data: Path, count: int, *, seed: int) -> list[Triple]:
    """So many questions of the test articles, drawn at random."""
    with tempfile.TemporaryDirectory() as place:
        script = ROOT / "recipes" / "encoders" / "questions_data.py"
        given = ["--squadshifts", str(data / "nlp" / "squadshifts" / "datasets"), "--out", place]
        same = os.environ | {"PYTHONHASHSEED": "0"}  # the recipe goes through sets of words
        subprocess.run([sys.executable, str(script), *given], check=True, stdout=subprocess.DEVNULL, env=same)
        articles = json.loads((Path(place) / "test.json").read_text("utf-8"))["data"]
    elsewhere: dict[str, str] = {}
    own: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = []
    for article in articles:
        for paragraph in article["paragraphs"]:
            real = [asked for asked in paragraph["qas"] if asked["answers"]]
            own += [(paragraph["context"], asked, real) for asked in real]
            for asked in paragraph["qas"]:
                if not asked["answers"]:
                    elsewhere[asked["id"].removesuffix("-elsewhere")] = paragraph["context"]
    rng = random.Random(seed)
    rng.shuffle(own)
    found = []
    for context, asked, others in own:
        truths = [answer["text"] for answer in asked["answers"]]
        wrong = [one["answers"][0]["text"] for one in others if not _alike(one["answers"][0]["text"], truths)]
        if asked["id"] in elsewhere and wrong:
            question, answer = asked["question"], truths[0]
            pairs = ((answer, context), (answer, elsewhere[asked["id"]]), (rng.choice(wrong), context))
            found.append(Triple(tuple(Claim(question, text, passage(where)) for text, where in pairs)))  # type: ignore[arg-type]
        if len(found) == count:
            break
    return found


def passage(text: str) -> Passage:
    return Passage("paragraph", None, "", text, 0, len(text))


def _alike(text: str, truths: list[str]) -> bool:
    return token_f1_score(text, truths) > 0


def figures(scores: Any, wrong: tuple[int, ...], *, rng: np.random.Generator) -> dict[str, Metric]:
    """The figures of one judge; scores are (questions, 3), ``wrong`` the columns that are not borne out."""
    columns = (0, *wrong)
    truth = np.tile([True, *[False] * len(wrong)], (len(scores), 1))
    held = scores[:, columns]
    first = np.arange(len(scores)) % 2 == 0
    best = np.where(first, _best(held[~first], truth[~first]), _best(held[first], truth[first]))
    said = {"at 0.5": held >= GROUNDED, "at its best": held >= best[:, None]}

    def precision(at: Any, given: Any) -> float:
        return float((given[at] & truth[at]).sum() / max(1, given[at].sum()))

    found = {
        "AUC": bootstrap(
            lambda at: no_answer_auc_score(held[at].ravel(), truth[at].ravel()), len(held), rng=rng, resamples=500
        )
    }
    for name, given in said.items():
        found[f"precision {name}"] = bootstrap(lambda at, g=given: precision(at, g), len(held), rng=rng, resamples=500)
        found[f"recall {name}"] = bootstrap(
            lambda at, g=given: float(g[at, 0].mean()), len(held), rng=rng, resamples=500
        )
    return found


def thresholds(scores: Any) -> list[float]:
    """The best threshold of each half of the questions, over all three kinds of pairs."""
    truth = np.tile([True, False, False], (len(scores), 1))
    return [_best(scores[part::2], truth[part::2]) for part in (0, 1)]


def _best(scores: Any, truth: Any) -> float:
    """The threshold with the best F1."""
    levels = np.unique(scores)
    hits = [((scores >= level) & truth).sum() for level in levels]
    f1 = [2 * hit / ((scores >= level).sum() + truth.sum()) for hit, level in zip(hits, levels)]
    return float(levels[int(np.argmax(f1))])


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--reader", default="default")
    parser.add_argument("--nli", help="a model of the family nli, by name or folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    found = triples(asked.data, asked.questions, seed=asked.seed)
    claims = [claim for triple in found for claim in triple.claims]
    print(f"{len(found)} questions, {len(claims)} pairs, a third of them borne out")
    scores = {}
    for name, judge in open_judges(reader=asked.reader, nli=asked.nli, threads=asked.threads).items():
        began = time.process_time()
        scores[name] = judge(claims).reshape(-1, len(KINDS))
        print(f"  {name}: {1000 * (time.process_time() - began) / len(claims):.1f} ms of processor time a pair")
    scores["words and reader"] = np.minimum(scores["words"], scores["reader"])
    for title, wrong in (("all", (1, 2)), ("right against elsewhere", (1,)), ("right against another answer", (2,))):
        print(title)
        for name, table in scores.items():
            row = figures(table, wrong, rng=np.random.default_rng(asked.seed))
            shown = "  ".join(f"{key} {m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" for key, m in row.items())
            print(f"  {name:<17} {shown}")
            if wrong == (1, 2):
                print(f"  {'':<17} best thresholds {', '.join(f'{level:.3f}' for level in thresholds(table))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
