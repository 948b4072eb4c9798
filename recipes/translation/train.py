"""Train a translation model, or go on with it: the same command again resumes after a kill.

python recipes/translation/train.py recipes/translation/en-xx.toml OUT --text DIR --vocabulary FILE --valid DIR
[--start FILE]
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import torch

from nlp.translation.training.network import Shape
from nlp.translation.training.train import Recipe, train_translator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    for name in ("text", "vocabulary", "valid"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = tomllib.loads(options.recipe.read_text(encoding="utf-8"))
    recipe = Recipe(
        directions=tuple(tuple(pair.split("-")) for pair in table.pop("directions")),
        shape=Shape(**table.pop("shape")),
        shares=table.pop("shares"),
        start=options.start,
        **table,
    )
    report = train_translator(options.text, options.vocabulary, options.out, recipe, valid=options.valid)
    print({name: value for name, value in report.items() if name != "history"})


if __name__ == "__main__":
    main()
