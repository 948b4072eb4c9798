"""Portable folders to and from an MLflow server, as artefacts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.lazy import require
from shared.lifecycle.mlflow_client import EXTRA
from shared.lifecycle.places import Place
from shared.lifecycle.portable import Portable

EXPERIMENT = "triptych.registry"
"""Where the runs stand that were made only to hold a model."""


def experiment(api: Any, name: str, artefacts: str | None = None) -> str:
    """The id of an experiment, made where it is new; several processes may ask at once.

    Args:
        api: an ``MlflowClient``.
        name: of the experiment.
        artefacts: address of the folder of its runs' files; ``None`` leaves that to the server.
    """
    found = api.get_experiment_by_name(name)
    if found is None:
        exceptions = require("mlflow.exceptions", extra=EXTRA)
        try:
            return str(api.create_experiment(name, artifact_location=artefacts))
        except exceptions.MlflowException:
            found = api.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def upload(api: Any, made: Portable, run: str | None) -> tuple[str, str]:
    """Send a folder; the id of the run that holds it, and the address of the folder there.

    Args:
        api: an ``MlflowClient`` of a server.
        made: the folder.
        run: whose artefact it becomes; ``None`` makes a run for it.
    """
    own = run is None
    if run is None:
        run = str(api.create_run(experiment(api, EXPERIMENT), run_name=made.card.name).info.run_id)
    place = f"model-{made.digest[:16]}"
    api.log_artifacts(run, str(made.folder), place)
    if own:
        api.set_terminated(run)
    return run, f"{api.get_run(run).info.artifact_uri}/{place}"


def download(api: Any, where: Place, name: str, number: int, folder: Path) -> None:
    """Bring the artefacts of a version into an empty folder, in a folder of their own name."""
    uri = api.get_model_version_download_uri(name, str(number))
    artifacts = require("mlflow.artifacts", extra=EXTRA)
    artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=where.server)
