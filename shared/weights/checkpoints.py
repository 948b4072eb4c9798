"""The files of a transformers checkpoint: on the hub at one commit, or in a local folder."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from shared.catalogue import ModelCard, ModelFile
from shared.errors import DataError, SourceError, UsageError
from shared.weights import Opened, ensure
from shared.weights.exports import plain_name
from shared.weights.http import answering, check_status

CONFIG = "config.json"
ADAPTER_CONFIG, ADAPTER_MODEL = "adapter_config.json", "adapter_model.safetensors"
"""The files of an adapter of the library peft, which stands on a checkpoint of another name."""
_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?")
_TENSORS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_SECONDS = 5.0
_FREE = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause"} | {
    "cc0-1.0": "CC0-1.0",
    "cc-by-4.0": "CC-BY-4.0",
    "unlicense": "Unlicense",
}
"""SPDX identifiers of the hub's names for licences that ask for no more than to be named."""


def from_hub(name: str, *, task: str, beside: Collection[str] = ()) -> Opened:
    """The files of ``OWNER/NAME[@REVISION]``, fetched and verified; the branch's newest commit where none is named.

    Args:
        name: without the prefix ``hf:``.
        task: the task that the checkpoint is to serve.
        beside: names of files to bring beside the configuration and the tensors, where they are there.

    Raises:
        UsageError: the name is none of the hub.
        SourceError: the hub does not answer.
        DataError: the repository has no checkpoint in safetensors.
        WeightsError: a file cannot be had.
    """
    asked = _NAME.fullmatch(name)
    if asked is None:
        raise UsageError(f"a name of the hub must be hf:OWNER/NAME or hf:OWNER/NAME@COMMIT. Got {name!r} instead")
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    with answering(endpoint):
        try:
            api = HfApi(endpoint=endpoint, token=get_token() or False)
            found = api.model_info(asked["repo"], revision=asked["revision"], timeout=_SECONDS)
        except OfflineModeIsEnabled as error:
            raise SourceError("HF_HUB_OFFLINE is set, so the hub was not asked") from error
        except HfHubHTTPError as error:
            check_status(error.response)
            raise SourceError(f"the hub told nothing of {name} ({type(error).__name__})") from error
    names = _wanted((file.rfilename for file in found.siblings or ()), name, beside)
    files = tuple(ModelFile(f, None, None, (f"hf:{asked['repo']}@{found.sha}/{f}",)) for f in names)
    licence, opt_in = terms(str(getattr(found.card_data, "license", None) or ""))
    card = ModelCard(
        plain_name(asked["repo"]), task, "transformers", "torch", licence, f"{name} of the hub", files, opt_in=opt_in
    )
    return Opened(card, ensure(card))


def from_folder(folder: Path, *, task: str, beside: Collection[str] = ()) -> Opened:
    """The files of a checkpoint in a local folder; the arguments are those of :func:`from_hub`.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds no checkpoint in safetensors.
    """
    if not folder.is_dir():
        raise UsageError(f"a transformers checkpoint must be an existing folder. Nothing stands at {folder}")
    names = _wanted((path.name for path in folder.iterdir() if path.is_file()), str(folder), beside)
    licence, opt_in = terms("")
    card = ModelCard(
        plain_name(folder.resolve().name), task, "transformers", "torch", licence, f"{folder}", opt_in=opt_in
    )
    return Opened(card, {name: folder / name for name in names})


def terms(hub: str) -> tuple[str, str]:
    """SPDX identifier and why the model must be chosen by name, from the hub's name of a licence.

    Example:
        >>> terms("apache-2.0"), terms("")
        (('Apache-2.0', ''), ('unknown', 'its licence is not stated'))
    """
    if not hub:
        return "unknown", "its licence is not stated"
    return (_FREE[hub], "") if hub in _FREE else (hub, hub)


@contextmanager
def gathered(files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder that holds these files by name, as the libraries want them; it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files.items():
            (Path(folder) / name).symlink_to(path.resolve())
        yield Path(folder)


def _wanted(names: Iterable[str], where: str, beside: Collection[str]) -> list[str]:
    """The files to read: the configurations and the tensors, or those of an adapter, never a pickle."""
    there = set(names)
    if is_adapter(there):
        return [ADAPTER_CONFIG, ADAPTER_MODEL]
    tensors = sorted(name for name in there if _TENSORS.fullmatch(name))
    whole = "model.safetensors"
    if CONFIG not in there or not tensors:
        pickles = sorted(name for name in there if name.endswith((".bin", ".pt", ".pth")))
        hint = f"; {', '.join(pickles[:2])} may run code when read, so save it as safetensors first" if pickles else ""
        raise DataError(f"{where} must hold {CONFIG} and tensors as {whole}. It holds neither or one of them{hint}")
    return [CONFIG, *(name for name in beside if name in there), *([whole] if whole in there else tensors)]


def is_adapter(names: Collection[str]) -> bool:
    """Whether files are those of an adapter without the checkpoint that it stands on.

    Example:
        >>> is_adapter({"adapter_config.json", "adapter_model.safetensors"}), is_adapter({"config.json"})
        (True, False)
    """
    return {ADAPTER_CONFIG, ADAPTER_MODEL} <= set(names) and not any(_TENSORS.fullmatch(name) for name in names)


def architecture(config: Path) -> str:
    """The class that the checkpoint was saved from.

    Raises:
        DataError: the configuration is malformed, or wants code of its own.
    """
    try:
        facts = json.loads(config.read_text("utf-8"))
        name = str(facts["architectures"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{config} must be a transformers configuration with its architectures. {error!r}") from error
    if "auto_map" in facts:
        raise DataError(f"{config} wants code of its own, which is never run. Its architecture is {name}")
    return name
