"""Names that lead elsewhere: ``registry:NAME@champion`` to a registered model, a model's companions to its own folder.

What a model opens by name beside its own files (a sentence encoder under a head, the detector before an embedder) is
its companion. In a portable folder (:mod:`shared.lifecycle.portable`) each stands as a model folder of its own in
``with/NAME``, and is found there before the catalogue is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.catalogue import ModelCard
from shared.lazy import require
from shared.weights.cache import CARD_NAME
from shared.weights.folder import is_model_folder

COMPANIONS = "with"
"""The folder of a model's companions in its own."""
PLACES = {"registry": "shared.lifecycle.opening"}
"""What stands before the colon of a name, and the module whose ``folder(rest)`` knows where it leads."""


def is_elsewhere(name: Any) -> bool:
    """Whether a name leads to a place of its own rather than to the catalogue or a path.

    Example:
        >>> is_elsewhere("registry:sentiment@champion"), is_elsewhere("sst2-minilm"), is_elsewhere(None)
        (True, False, False)
    """
    return isinstance(name, str | Path) and str(name).partition(":")[0] in PLACES and ":" in str(name)


def named(name: str | Path | None) -> str | Path | None:
    """The model folder that ``registry:NAME``, ``registry:NAME@ALIAS`` or ``registry:NAME/3`` leads to now.

    Args:
        name: any name; what is none of these comes back as it is.

    Raises:
        UnknownNameError: nothing, or no alias, is called that.
        WeightsError: its files are damaged or cannot be had.
        ServiceError: the registry cannot be read.
    """
    if not is_elsewhere(name):
        return name
    place, _, rest = str(name).partition(":")
    found: Path = require(PLACES[place], extra="lifecycle").folder(rest)
    return found


def pinned_name(name: str | Path | None) -> str | Path | None:
    """The same name for good: an alias may lead elsewhere tomorrow, ``registry:NAME/3`` does not.

    For work that opens a model several times, in several processes say, and must get the same one each time.

    Raises:
        UnknownNameError, ServiceError: as :func:`named`.
    """
    if not is_elsewhere(name):
        return name
    place, _, rest = str(name).partition(":")
    return f"{place}:{require(PLACES[place], extra='lifecycle').pinned(rest)}"


def companion(card: ModelCard | None, name: str | Path | None) -> Path | None:
    """The folder of a model's companion, where it has one of that name in its own folder."""
    plain = Path(name or "").name
    if card is None or Path(card.origin).name != CARD_NAME or plain in ("", ".."):
        return None
    folder = Path(card.origin).parent / COMPANIONS / plain
    return folder if is_model_folder(folder) else None
