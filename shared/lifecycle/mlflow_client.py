"""MLflow's client over a folder or a server: silent, without its telemetry, its faults in our words."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from shared.errors import ServiceError, TriptychError, WeightsError
from shared.lazy import require
from shared.lifecycle.places import Place, check_online
from shared.weights.cache import free_space, writing

EXTRA = "lifecycle"
PATIENCE = 30.0
"""Seconds that a process waits for another that writes into the same folder."""
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # of seven by default, which is minutes of silence
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Set unless the caller's environment says otherwise; telemetry begins when MLflow is imported."""


def client(where: Place) -> Any:
    """An ``MlflowClient`` of a place; a folder's database is made when it is not there yet.

    Raises:
        MissingDependencyError: the extra ``lifecycle`` is not installed.
        OfflineError: the place is a server, and no socket may be opened.
        ServiceError: the database cannot be made.
        WeightsError: the folder cannot be written.
    """
    check_online(where)
    mlflow = _mlflow()
    if where.server:
        return mlflow.MlflowClient(tracking_uri=where.server, registry_uri=where.server)
    if not where.database.exists():
        _make(where)
    url = f"sqlite:///{where.database}"
    with told(where):
        return mlflow.MlflowClient(tracking_uri=url, registry_uri=url)


def _mlflow() -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what MLflow itself uses of its libraries
        mlflow = require("mlflow", extra=EXTRA)
        for module in ("sqlalchemy", "alembic", "sqlparse"):
            require(module, extra=EXTRA)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return mlflow


def _make(where: Place) -> None:
    """Make the database beside its place and move it there whole: a kill leaves none rather than half of one."""
    with writing(where.folder):
        where.runs.mkdir(parents=True, exist_ok=True)
    with locked(where):
        if where.database.exists():
            return
        staged = where.database.with_name(".mlflow.db.new")
        staged.unlink(missing_ok=True)
        with told(where), writing(where.database, staged):
            stores = require("mlflow.store.tracking.sqlalchemy_store", extra=EXTRA)
            store = stores.SqlAlchemyStore(f"sqlite:///{staged}", where.runs.as_uri())
            store.engine.dispose()
            staged.replace(where.database)


@contextmanager
def locked(where: Place) -> Iterator[None]:
    """Hold the lock of a folder's writers; of a server there is none.

    Raises:
        ServiceError: another process holds it for :data:`PATIENCE` seconds.
    """
    if where.server:
        yield
        return
    with writing(where.folder):
        where.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(where.folder / "lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise ServiceError(
                f"{where} must be free to be written. Another process has held its lock for {PATIENCE:.0f} s: "
                "wait for it, or end it",
                kind="locked",
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def told(where: Place) -> Iterator[None]:
    """Turn what MLflow, its database or its connection raises into one of our errors, and keep its warnings silent.

    Raises:
        ServiceError: with kind ``"unreachable"``, ``"locked"``, or ``"refused"`` for everything else.
        WeightsError: the disk is full.
    """
    exceptions = require("mlflow.exceptions", extra=EXTRA)
    alchemy = require("sqlalchemy.exc", extra=EXTRA)
    requests = require("requests.exceptions", extra=EXTRA)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what MLflow itself uses of its libraries
            yield
    except TriptychError:
        raise
    except (exceptions.MlflowException, alchemy.SQLAlchemyError, requests.RequestException, OSError) as error:
        raise _in_words(where, error) from error


def _in_words(where: Place, error: Exception) -> ServiceError | WeightsError:
    text = " ".join(str(error).split())
    if where.server and any(mark in text for mark in ("Max retries", "Connection", "timed out", "Failed to resolve")):
        return ServiceError(
            f"{where} must be an MLflow server that answers. It did not ({_short(text)}). "
            "Start it, mend the address, or name a folder with TRIPTYCH_TRACKING"
        )
    if "database is locked" in text:
        return ServiceError(
            f"{where.database} must be free to be written. Another program holds it locked: end that, then try again",
            kind="locked",
        )
    if "disk is full" in text or "No space left" in text:
        return WeightsError(
            f"the disk is full: writing into {where} stopped, and what was there before stays. "
            f"{free_space(where.folder)}; make room, or name a folder on another disk with TRIPTYCH_TRACKING"
        )
    return ServiceError(f"MLflow at {where} refused: {_short(text)}", kind="refused")


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:297]}..."
