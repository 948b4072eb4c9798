"""Learn the joint vocabulary of the translation models, ``tokenizer.json``.

python recipes/translation/vocabulary.py TEXT OUT [--size 8000] [--lines 30000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nlp.translation.training.data import mask_pair
from nlp.translation.training.vocabulary import learn_vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="folder of DOMAIN.LEFT-RIGHT.tsv")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--size", type=int, default=8000)
    parser.add_argument("--lines", type=int, default=30000, help="read of each file at most, so that none rules")
    parser.add_argument("--favour", default="multi30k", help="the domain whose text counts four times")
    options = parser.parse_args()
    tokenizer = learn_vocabulary(
        _lines(options.text, options.lines, options.favour), size=options.size, languages=("en", "de", "fr")
    )
    tokenizer.save(str(options.out))
    print(f"{options.out}: {tokenizer.get_vocab_size()} pieces")


def _lines(folder: Path, most: int, favoured: str) -> Iterator[str]:
    for path in sorted(folder.glob("*.tsv")):
        rows = path.read_text(encoding="utf-8").split("\n")[:-1]
        for at in np.random.default_rng(0).permutation(len(rows))[:most]:
            pair = mask_pair(*rows[at].split("\t")) or ()
            yield from pair * (4 if path.name.startswith(f"{favoured}.") else 1)


if __name__ == "__main__":
    main()
