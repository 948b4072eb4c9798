"""Questions with and without answers, from SQuADShifts, in three files that share no article.

    python recipes/encoders/questions_data.py --squadshifts DIR --out DIR

SQuADShifts (Miller et al., "The effect of natural distribution shift on question answering models", ICML 2020): its
Wikipedia, Amazon and Reddit parts, ``new_wiki_v1.0.json`` and so on. Articles are kept whole: a Wikipedia article, a
numbered group of reviews; Reddit's comments stand alone, each an article of its own.

Questions without an answer are made: a question is asked of the paragraph that shares most of its rarer words among
those of the same part and, where the article has several, of the same article, and in which none of its answers
stands. That is done for one question in two; both forms of it are kept, so that a third has no answer.

Writes train.json, dev.json and test.json in SQuAD 2.0's form.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

PARTS = ("new_wiki", "amazon_reviews", "reddit")
SPLITS = {"test": 0.12, "dev": 0.04}
"""Share of the articles of each part."""
MADE = 0.5
"""Share of the questions that are also asked of a paragraph without their answer."""
Article = list[dict[str, Any]]


def articles(path: Path) -> list[tuple[str, Article]]:
    """The paragraphs of each article; comments are articles of their own."""
    data = json.loads(path.read_text("utf-8"))["data"]
    if len(data) == 1:
        return [(f"{path.stem}/{at}", [paragraph]) for at, paragraph in enumerate(data[0]["paragraphs"])]
    return [(f"{path.stem}/{row['title']}", row["paragraphs"]) for row in data]


def words(text: str) -> set[str]:
    """Its different words."""
    return set(re.findall(r"[a-z0-9]+", text.lower()))


class Nearest:
    """Which paragraph shares most with a question: the sum of the rarity of the words in common."""

    def __init__(self, contexts: list[str]) -> None:
        self.contexts = contexts
        self.having: dict[str, list[int]] = defaultdict(list)
        for at, context in enumerate(contexts):
            for word in words(context):
                self.having[word].append(at)

    def find(self, question: str, banned: list[str], own: str) -> str | None:
        """The best paragraph that is not the question's own and holds none of the banned texts."""
        scores: Counter[int] = Counter()
        for word in words(question):
            places = self.having.get(word, ())
            for at in places:
                scores[at] += math.log(len(self.contexts) / len(places))
        for at, _ in scores.most_common(20):
            context = self.contexts[at]
            if context != own and not any(text.lower() in context.lower() for text in banned):
                return context
        return None


def with_made(group: list[tuple[str, Article]], rng: random.Random) -> list[dict[str, Any]]:
    """The articles of one part and split with questions that have no answer among the others."""
    everywhere = Nearest([paragraph["context"] for _, article in group for paragraph in article])
    rows = []
    for title, article in group:
        here = Nearest([paragraph["context"] for paragraph in article]) if len(article) > 2 else everywhere
        asked: dict[str, list[dict[str, Any]]] = {paragraph["context"]: [] for paragraph in article}
        for paragraph in article:
            for row in paragraph["qas"]:
                asked[paragraph["context"]].append({**row, "is_impossible": False})
                banned = [answer["text"] for answer in row["answers"]]
                found = here.find(row["question"], banned, paragraph["context"]) if rng.random() < MADE else None
                if found is not None:
                    made = {"id": f"{row['id']}-elsewhere", "question": row["question"], "answers": []}
                    asked.setdefault(found, []).append({**made, "is_impossible": True})
        paragraphs = [{"context": context, "qas": qas} for context, qas in asked.items() if qas]
        rows.append({"title": title, "paragraphs": paragraphs})
    return rows


def main() -> int:
    """Write the files and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squadshifts", type=Path, required=True, help="folder with new_wiki_v1.0.json and the others")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(asked.seed)
    sides: dict[str, list[dict[str, Any]]] = {"train": [], **{name: [] for name in SPLITS}}
    for part in PARTS:
        found = articles(asked.squadshifts / f"{part}_v1.0.json")
        rng.shuffle(found)
        at = 0
        for name, share in SPLITS.items():
            count = max(1, round(share * len(found)))
            sides[name] += with_made(found[at : at + count], rng)
            at += count
        sides["train"] += with_made(found[at:], rng)
    for name, rows in sides.items():
        qas = [row for article in rows for paragraph in article["paragraphs"] for row in paragraph["qas"]]
        made = sum(row["is_impossible"] for row in qas)
        content = json.dumps({"version": "v2.0", "data": rows}, ensure_ascii=False)
        (asked.out / f"{name}.json").write_text(content, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(rows)} articles, {len(qas) - made} questions with an answer, {made} without\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
