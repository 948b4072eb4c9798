"""From a name to a translation model's files: a catalogue's, a folder's, an Argos package's, or a checkpoint's,
converted once.

Checkpoints of transformers (Marian of OPUS-MT, NLLB, M2M-100) are converted by CTranslate2's own converter to int8;
the folder is kept under ``TRIPTYCH_HOME/exports``. An Argos package (``.argosmodel``) is an archive with a CTranslate2
model in it, of which the model, its vocabulary and its pieces are read as data and nothing else.
"""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

from nlp import families
from nlp.translation import engine
from nlp.translation.codes import short_code
from nlp.translation.pieces import SHARED_PIECES, SOURCE_PIECES, TARGET_PIECES
from shared.catalogue import ModelCard
from shared.errors import DataError, SourceError, UnsafeArchiveError, UsageError
from shared.lazy import require
from shared.weights import Opened, resolve
from shared.weights.archive import take_member
from shared.weights.checkpoints import CONFIG, architecture, gathered
from shared.weights.exports import Checkpoint, Exported, alias, exported, plain_name, remember

TASK_NAME = "nlp.translation"
ARGOS_FAMILY, CHECKPOINT_FAMILY = "argos", families.FAMILY
FAMILIES = (engine.FAMILY, ARGOS_FAMILY, CHECKPOINT_FAMILY)
PACKAGE = "package.argosmodel"
BACKEND = "ctranslate2"
QUANTISATION = "int8"
LARGEST_MEMBER = 2 << 30
ARCHITECTURES = {
    "MarianMTModel": "marian",
    "M2M100ForConditionalGeneration": "many",
}
"""What is converted, and how its languages are told to it."""


def open_translation(name: str | Path, *, task: str = TASK_NAME) -> Opened:
    """A translation model with its files here, in CTranslate2's form.

    Args:
        name: a catalogue name, a model folder, ``hf:OWNER/NAME``, or a local folder of a transformers checkpoint.
        task: the task that it must serve.

    Raises:
        UnknownNameError: nothing is called that.
        UsageError: it is none of the models that can be converted, or serves another task.
        MissingDependencyError: a checkpoint must be converted first, which needs an extra.
        DataError: files cannot be read.
        WeightsError: a file cannot be had.
    """
    if families.is_checkpoint(name):
        known = alias(str(name), task=task) if families.is_of_hub(name) else None
        if known is not None:
            return resolve(known, task=task)
        return _converted(families.checkpoint(name, task=task), task=task, name=name)
    opened = resolve(name, task=task)
    family = opened.card.family
    if family not in FAMILIES:
        raise DataError(
            f"{opened.card.origin}: the family of a translation model must be one of {', '.join(FAMILIES)}. "
            f"Got {family!r} instead"
        )
    if family == engine.FAMILY:
        return opened
    return _converted(opened, task=task, name=name)


def _converted(opened: Opened, *, task: str, name: str | Path) -> Opened:
    card = opened.card
    library = "" if card.family == ARGOS_FAMILY else "transformers"
    checkpoint = Checkpoint(library, card.name, dict(opened.files), dict(card.options), card.licence, card.opt_in)
    make = from_argos if card.family == ARGOS_FAMILY else from_transformers
    folder = exported(checkpoint, task=task, export=make)
    if families.is_of_hub(name):
        remember(str(name), folder, task=task)
    return resolve(folder, task=task)


def from_argos(package: Checkpoint, task: str) -> Exported:
    """The model inside an Argos package.

    Raises:
        DataError: it is no such package.
    """
    path = package.files[PACKAGE]
    wanted = {SHARED_PIECES: "sentencepiece.model"} | {
        name: f"model/{name}" for name in (engine.MODEL, engine.CONFIG, *engine.VOCABULARIES)
    }
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        tops = {member.partition("/")[0] for member in sizes}
        if len(tops) != 1:
            raise DataError(f"{path} must hold one folder. It holds {sorted(tops)[:5]}")
        top = tops.pop()
        files: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, member in {"metadata.json": "metadata.json", **wanted}.items():
                size = sizes.get(f"{top}/{member}")
                if size is None and name in engine.VOCABULARIES:
                    continue
                out = Path(folder) / name
                take_member(path, "package.whl", f"{top}/{member}", out, size=min(size or 0, LARGEST_MEMBER))
                files[name] = out.read_bytes()
        facts = json.loads(files.pop("metadata.json"))
        pair = f"{facts['from_code']}-{facts['to_code']}"
    except (zipfile.BadZipFile, SourceError, UnsafeArchiveError, KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{path} must be an Argos package with a CTranslate2 model. {error}") from error
    options = {**package.settings, "pairs": [pair]}
    summary = f"{package.name}: {pair} from an Argos package"
    return Exported(_card(package, task, summary, options), files)


def from_transformers(checkpoint: Checkpoint, task: str) -> Exported:
    """A checkpoint in CTranslate2's form, int8 unless its card's option ``quantisation`` says otherwise.

    Raises:
        UsageError: its architecture is none of :data:`ARCHITECTURES`, or its languages are not known.
        DataError: it cannot be read.
    """
    kind = ARCHITECTURES.get(architecture(checkpoint.files[CONFIG]))
    if kind is None:
        raise UsageError(
            f"a checkpoint for {task} must be one of {', '.join(ARCHITECTURES)}. "
            f"{checkpoint.name} is a {architecture(checkpoint.files[CONFIG])}"
        )
    converters = require("ctranslate2.converters", extra="torch")
    transformers = require("transformers", extra="torch")
    require("sentencepiece", extra="translation")
    pieces = _pieces(checkpoint)
    quantisation = checkpoint.settings.get("quantisation", QUANTISATION)
    with gathered(checkpoint.files) as folder, tempfile.TemporaryDirectory() as made:
        out = Path(made) / "model"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about libraries that would be recommended for other uses
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
                converter = converters.TransformersConverter(str(folder))
                if kind == "many":
                    size = json.loads(checkpoint.files[CONFIG].read_text("utf-8"))["vocab_size"]
                    _complete(tokenizer, size)
                    converter.load_tokenizer = lambda *_, **__: tokenizer
                converter.convert(str(out), quantization=None if quantisation == "float32" else quantisation)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise DataError(f"{checkpoint.name} cannot be converted: {str(error).splitlines()[0]}") from error
        files = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    files |= pieces
    options = {**_told(checkpoint, kind, tokenizer), **checkpoint.settings}
    return Exported(_card(checkpoint, task, f"{checkpoint.name}, in CTranslate2's form", options), files)


def _complete(tokenizer: Any, size: int) -> None:
    """Let a tokeniser give the model's whole vocabulary: its own leaves out the languages, which have numbers too."""
    unknown = tokenizer.unk_token
    table: dict[str, int] = {}
    for number in range(size):
        token = tokenizer.convert_ids_to_tokens(number)
        plain = token is None or token in table or (token == unknown and number != tokenizer.unk_token_id)
        table[f"madeupword{number}" if plain else token] = number
    tokenizer.get_vocab = lambda: table
    tokenizer.num_madeup_words = 0


def _pieces(checkpoint: Checkpoint) -> dict[str, bytes]:
    found = checkpoint.files
    if {SOURCE_PIECES, TARGET_PIECES} <= set(found):
        return {name: found[name].read_bytes() for name in (SOURCE_PIECES, TARGET_PIECES)}
    for name in ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"):
        if name in found:
            return {SHARED_PIECES: found[name].read_bytes()}
    raise DataError(
        f"{checkpoint.name} must have SentencePiece files ({SOURCE_PIECES} and {TARGET_PIECES}, or "
        "sentencepiece.bpe.model) beside its tensors. It has none"
    )


def _told(checkpoint: Checkpoint, kind: str, tokenizer: Any) -> dict[str, Any]:
    """How languages are told to the model, as a card's options."""
    if kind == "many":
        codes = sorted(token for token in tokenizer.get_vocab() if _is_language(token))
        languages = {short_code(token.strip("_")): token.strip("_") for token in codes}
        nllb = any("_" in token.strip("_") for token in codes)
        form = {"before": ["{source}"] if nllb else ["__{source}__"], "after": ["</s>"]}
        return {
            **form,
            "prefix": ["{target}"] if nllb else ["__{target}__"],
            "languages": sorted(languages),
            "codes": languages,
        }
    pairs = checkpoint.settings.get("pairs") or _pairs_of_name(checkpoint, tokenizer)
    many = [code for code in getattr(tokenizer, "supported_language_codes", []) if code.startswith(">>")]
    return {"after": ["</s>"], "pairs": pairs} | ({"before": [">>{target}<<"]} if many else {})


def _pairs_of_name(checkpoint: Checkpoint, tokenizer: Any) -> list[str]:
    pair = (getattr(tokenizer, "source_lang", None), getattr(tokenizer, "target_lang", None))
    if all(isinstance(code, str) and 2 <= len(code) <= 3 for code in pair):
        return [f"{pair[0]}-{pair[1]}"]
    raise UsageError(
        f"the languages of {checkpoint.name} are not known: make a row for it in TRIPTYCH_HOME/models.toml with "
        "options = { pairs = ['en-de'] }"
    )


def _is_language(token: str) -> bool:
    """Whether a special token is a language's: ``__de__`` of M2M-100, ``deu_Latn`` of NLLB."""
    if token.startswith("__") and token.endswith("__"):
        return token.strip("_").isalpha()
    language, _, script = token.partition("_")
    return len(language) == 3 and len(script) == 4 and language.islower() and script.isalpha()


def _card(checkpoint: Checkpoint, task: str, summary: str, options: dict[str, Any]) -> ModelCard:
    return ModelCard(
        plain_name(checkpoint.name), task, engine.FAMILY, BACKEND, checkpoint.licence, summary, options=options,
        opt_in=checkpoint.opt_in,
    )  # fmt: skip
