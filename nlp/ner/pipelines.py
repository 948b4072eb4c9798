"""spaCy pipelines: installed ones by name, folders, and those of the catalogue, which are read as data.

A catalogue row of the family ``"spacy"`` lists the pipeline's files, a path's ``/`` written as ``+`` in a file's name
(``ner+model``), and under ``options.components`` what is loaded. The files are checked by their hashes, laid out as a
folder for the moment of loading, and read by :func:`spacy.load`, which runs no code from a folder: tensors are msgpack
and NumPy arrays without pickles, and the configuration can name only what installed packages registered.

spaCy's greedy parser gives no probabilities, so every entity's score is 1. It refuses more than a million characters;
longer texts are read in overlapping stretches here, and an entity comes from the stretch in which it begins furthest
from an end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from nlp.ner.prepare import Item, read_words
from nlp.spans import Span, without_overlaps
from nlp.tokenize import check_text
from nlp.types import Entities, Entity
from shared.catalogue import ModelCard
from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.lazy import require
from shared.weights import Opened

PREFIX, FAMILY = "spacy:", "spacy"
STRETCH, OVERLAP = 100_000, 2_000
"""Characters that a pipeline reads at once, and that neighbouring stretches share."""
_NEAR = 500
_FINDERS = frozenset({"ner", "entity_ruler"})
_TASK = "nlp.ner"
_USUAL = frozenset(
    {"tok2vec", "transformer", "tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer"}
    | {"trainable_lemmatizer", "ner"}
)
_NOT_ASKED = _USUAL - {"tok2vec", "transformer", "parser", "ner"}
"""Components that no entity of a pipeline of usual components depends on; a parser's sentences it does depend on."""


@dataclass(frozen=True)
class SpacyText:
    """A text that is ready for a pipeline.

    Attributes:
        text: as it was given; of words that were given, those joined.
        words: the words that were given, or ``None`` where the pipeline splits the text itself.
    """

    text: str
    words: tuple[str, ...] | None


@dataclass(frozen=True)
class SpacyPipeline:
    """A loaded pipeline. Use :func:`open_pipeline` or :func:`load_pipeline`.

    Attributes:
        card: what model this is; its option ``labels`` lists what it finds.
        language: spaCy's own object.
    """

    card: ModelCard
    language: Any = field(repr=False)

    def run(self, batch: Sequence[SpacyText]) -> list[list[Span]]:
        """The entities of each text as characters."""
        places = [(at, *part) for at, item in enumerate(batch) for part in _stretches(item)]
        found: list[list[Span]] = [[] for _ in batch]
        with self.language.memory_zone():
            docs = self.language.pipe(self._doc(batch[at], start, stop) for at, start, stop, _, _ in places)
            for (at, start, _, first, last), doc in zip(places, docs):
                spans = ((start + e.start_char, start + e.end_char, e.label_) for e in doc.ents)
                found[at] += [span for span in spans if first <= span[0] < last]
        return [without_overlaps(spans) for spans in found]

    def _doc(self, item: SpacyText, start: int, stop: int) -> Any:
        if item.words is not None:
            return require("spacy.tokens", extra="spacy").Doc(self.language.vocab, words=list(item.words))
        doc = self.language.make_doc(item.text[start:stop])
        if doc.text != item.text[start:stop]:
            raise InputError("unsupported", f"the words of {self.card.name} must make up the text. They do not")
        return doc


def prepare(item: Item) -> SpacyText:
    """Check an item; spaCy splits running text into words of its own.

    Raises:
        InputError: see :func:`nlp.ner.prepare.read_words`.
    """
    if isinstance(item, str) or not isinstance(item, Sequence):
        return SpacyText(check_text(item), None)
    words = read_words(item, rule="unicode")
    return SpacyText(words.text, tuple(words.words))


def decode(spans: Sequence[Span], item: SpacyText) -> Entities:
    """Spans as entities."""
    return Entities(tuple(Entity(item.text[start:stop], label, start, stop, 1.0) for start, stop, label in spans))


def open_pipeline(name: str) -> SpacyPipeline:
    """Open ``spacy:NAME``, an installed pipeline, or ``spacy:PATH``, a folder that spaCy wrote.

    Raises:
        UnknownNameError: no such pipeline is installed.
        DataError: the folder holds none that spaCy can load, or it finds no entities.
        MissingDependencyError: spaCy is not installed.
    """
    asked = name.removeprefix(PREFIX)
    spacy = require("spacy", extra="spacy")
    if os.sep in asked or Path(asked).is_dir():
        language = _load(spacy, Path(asked).expanduser(), [])
    elif spacy.util.is_package(asked):
        language = _load(spacy, asked, [])
    else:
        known = sorted(spacy.util.get_installed_models())
        raise UnknownNameError("installed spaCy pipeline", asked, known)
    meta, options = language.meta, {"labels": _labels(language)}
    summary = f"{meta['lang']}_{meta['name']} {meta['version']}, a pipeline of spaCy"
    licence = meta.get("license") or "unknown"
    return SpacyPipeline(ModelCard(name, _TASK, FAMILY, "spacy", licence, summary, options=options), language)


def load_pipeline(opened: Opened) -> SpacyPipeline:
    """Load a catalogue row of the family ``"spacy"`` whose files are here.

    Raises:
        DataError: its files are not those of a pipeline that spaCy can load.
        MissingDependencyError: spaCy is not installed.
    """
    spacy = require("spacy", extra="spacy")
    with tempfile.TemporaryDirectory(prefix="triptych-spacy-") as folder:
        for name, path in opened.files.items():
            place = Path(folder, *name.split("+"))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
        language = _load(spacy, Path(folder), list(opened.card.options.get("components", ())))
    return SpacyPipeline(opened.card, language)


def check_device(device: str) -> None:
    """Refuse what spaCy is not run on here.

    Raises:
        UsageError: the device is none of ``"auto"`` and ``"cpu"``.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"spaCy pipelines are run on the CPU here: device must be 'auto' or 'cpu'. Got {device!r} instead"
        )


def _load(spacy: Any, source: str | Path, components: list[str]) -> Any:
    """Load, without components that entities do not depend on; of a catalogue row, ``components`` alone."""
    try:
        told = spacy.util.load_config(_config(spacy, source))["nlp"]
        kept = set(components) or set(told["pipeline"]) - set(told.get("disabled", ()))
        if not components and kept <= _USUAL:
            kept -= _NOT_ASKED
        language = spacy.load(source, exclude=[name for name in told["pipeline"] if name not in kept])
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise DataError(f"{source} must be a pipeline that spaCy {spacy.__version__} can load. {error}") from error
    if not _FINDERS & set(language.pipe_names):
        raise DataError(f"{source} must be a pipeline that finds entities. Its parts are {language.pipe_names}")
    return language


def _config(spacy: Any, source: str | Path) -> Path:
    folder = spacy.util.get_package_path(source) if isinstance(source, str) else source
    direct = folder / "config.cfg"
    return direct if direct.is_file() else next(folder.glob("*/config.cfg"), direct)


def _labels(language: Any) -> list[str]:
    finders = [language.get_pipe(name) for name in language.pipe_names if name in _FINDERS]
    return sorted({label for finder in finders for label in finder.labels})


def _stretches(item: SpacyText) -> list[tuple[int, int, int, int]]:
    """Stretches of a text: first character, one past the last, and the same of the places whose entities are kept."""
    text = item.text
    if item.words is not None or len(text) <= STRETCH:
        return [(0, len(text), 0, len(text))]
    parts: list[tuple[int, int]] = []
    start = 0
    while len(text) - start > STRETCH:
        stop = _after_space(text, start + STRETCH)
        parts.append((start, stop))
        start = _after_space(text, stop - OVERLAP)
    parts.append((start, len(text)))
    cuts = [0, *((before[1] + after[0]) // 2 for before, after in pairwise(parts)), len(text)]
    return [(start, stop, first, last) for (start, stop), (first, last) in zip(parts, pairwise(cuts))]


def _after_space(text: str, at: int) -> int:
    """The last place at or before ``at`` that follows white space and is near, else ``at``."""
    return next((place for place in range(at, at - _NEAR, -1) if text[place - 1].isspace()), at)
