"""The SMS Spam Collection as two tables, for training and for testing.

    python recipes/sms_spam/split.py --collection data/SMSSpamCollection --out FOLDER [--test 0.2] [--seed 0]

The collection (Almeida, Gomez Hidalgo and Yamakami, DocEng 2011) names no split. Messages that are the same but for
letter case and white space are kept once, since hundreds come again and would stand on both sides; then the given
share of each label goes into ``test.tsv``, drawn with the seed, and the rest into ``train.tsv``. Both have the columns
``text`` and ``label``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read(path: Path) -> list[tuple[str, str]]:
    """Label and text of each message that is not the same as one before it."""
    found: dict[str, tuple[str, str]] = {}
    for line in path.read_text("utf-8").split("\n"):
        label, tab, text = line.strip("\r").partition("\t")
        if tab and text.strip():
            found.setdefault(" ".join(text.casefold().split()), (label, text.strip()))
    return list(found.values())


def split(rows: Sequence[tuple[str, str]], *, share: float, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Positions for training and for testing, the share of each label in the second, both in the file's order."""
    test: list[int] = []
    for label in sorted({label for label, _ in rows}):
        own = [at for at, (other, _) in enumerate(rows) if other == label]
        test += rng.permutation(own)[: round(share * len(own))].tolist()
    return [at for at in range(len(rows)) if at not in set(test)], sorted(test)


def write(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, delimiter="\t", lineterminator="\n")
        table.writerow(("text", "label"))
        table.writerows((text, label) for label, text in rows)


def main() -> None:
    """Read, split and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--test", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = read(given.collection)
    train, test = split(rows, share=given.test, rng=np.random.default_rng(given.seed))
    given.out.mkdir(parents=True, exist_ok=True)
    for name, places in (("train", train), ("test", test)):
        write(given.out / f"{name}.tsv", [rows[at] for at in places])
        spam = sum(rows[at][0] == "spam" for at in places)
        sys.stdout.write(f"{name}.tsv: {len(places)} messages, {spam} of them spam\n")


if __name__ == "__main__":
    main()
