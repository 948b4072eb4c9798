"""Where runs and registered models are kept: a folder of this machine, or an MLflow server.

``TRIPTYCH_TRACKING`` says which: a folder, or the ``http(s)://`` address of an MLflow server; ``off`` logs no runs,
``wandb:PROJECT`` logs them there, and both leave the registry in the folder that is used without it,
``TRIPTYCH_HOME/lifecycle``. A folder holds ``mlflow.db``
(SQLite, as MLflow itself writes it), ``runs`` (artefacts) and ``models`` (portable folders by their digest).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from shared.errors import OfflineError, UsageError
from shared.settings import home, offline
from shared.weights.words import masked

ENV = "TRIPTYCH_TRACKING"
WANDB = "wandb:"
NOWHERE = "off"
OFF = frozenset({NOWHERE, "0", "no", "false"})
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where runs and models are kept.

    Attributes:
        folder: on this machine; of a server it holds copies of the models that were asked for.
        server: the address of an MLflow server, or empty.
    """

    folder: Path
    server: str = ""

    @property
    def database(self) -> Path:
        """MLflow's SQLite file."""
        return self.folder / "mlflow.db"

    @property
    def runs(self) -> Path:
        """The folder of artefacts of runs."""
        return self.folder / "runs"

    @property
    def models(self) -> Path:
        """The folder of portable folders."""
        return self.folder / "models"

    def __str__(self) -> str:
        return masked(self.server) if self.server else str(self.folder)


def place(url: str | Path | None = None) -> Place:
    """The place of that name.

    Args:
        url: a folder or the ``http(s)://`` address of an MLflow server; ``None`` takes what ``TRIPTYCH_TRACKING`` says.

    Raises:
        UsageError: it is an address of another kind.

    Example:
        >>> place("http://127.0.0.1:5000").server, place("/data/mine").database.name
        ('http://127.0.0.1:5000', 'mlflow.db')
    """
    told = os.environ.get(ENV, "").strip() if url is None else str(url)
    usual = home() / "lifecycle"
    if not told or (url is None and (told.lower() in OFF or told.startswith(WANDB))):
        return Place(usual)
    if told.lower().startswith(("http://", "https://")):
        return Place(usual, told.rstrip("/"))
    if _SCHEME.match(told):
        raise UsageError(
            f"runs and models are kept in a folder, or by an MLflow server at http(s)://. Got {masked(told)!r}: "
            "a database stands behind a server, 'mlflow server --backend-store-uri ...'"
        )
    return Place(Path(told).expanduser().absolute())


def check_online(where: Place) -> None:
    """Refuse a server while no socket may be opened.

    Raises:
        OfflineError: the place is a server, and ``TRIPTYCH_OFFLINE`` is set.
    """
    if where.server and offline():
        raise OfflineError(f"TRIPTYCH_OFFLINE forbids asking {where}. Unset it, or name a folder with {ENV}")
