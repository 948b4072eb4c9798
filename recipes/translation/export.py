"""Make a model folder of a training: of a finished one, or of the best weights so far of one under way.

python recipes/translation/export.py recipes/translation/en-xx.toml OUT FOLDER --vocabulary FILE --name NAME
    --licence SPDX
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from nlp.translation.training.export import export_translator
from nlp.translation.training.network import Shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path, help="the folder of the training")
    parser.add_argument("folder", type=Path, help="the model folder to write")
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--licence", required=True, help="SPDX identifier for the card; see README.md on the texts")
    parser.add_argument("--quantisation", default="int8")
    options = parser.parse_args()
    table = tomllib.loads(options.recipe.read_text(encoding="utf-8"))
    weights = options.out / "model.safetensors"
    if not weights.exists():
        weights = sorted((options.out / "_train").glob("best-*.safetensors"))[-1]
    card = export_translator(
        weights,
        options.vocabulary,
        options.folder,
        shape=Shape(**table["shape"]),
        pairs=table["directions"],
        name=options.name,
        licence=options.licence,
        summary=f"{', '.join(table['directions'])}: our own small transformer",
        facts={"shares": table["shares"], "passes": table["passes"], "seed": table["seed"]},
        quantisation=options.quantisation,
    )
    print(json.dumps({file.name: file.size for file in card.files}), weights.name)


if __name__ == "__main__":
    main()
