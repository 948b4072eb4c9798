"""``triptych doctor``: what is installed, cached and reachable here, and what each task would use."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
from typing import Any

import click
from packaging.requirements import Requirement

from shared import catalogue
from shared.catalogue import ModelCard
from shared.cli.tables import table
from shared.errors import UnknownNameError
from shared.settings import cpu_count, home, offline
from shared.tasks import task_names
from shared.weights import locate, pinned
from shared.weights.cache import named_folders
from shared.weights.words import human

DISTRIBUTION = "triptych"
_NOT_LISTED = {"dev", "all"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def command(as_json: bool) -> None:
    """What is installed, cached and reachable on this machine, and what each task would use.

    Nothing is fetched. With TRIPTYCH_OFFLINE=1 no socket is opened.
    """
    report = {
        "machine": _machine(),
        "settings": _settings(),
        "libraries": _libraries(),
        "network": _network(),
        "tasks": [_task(name) for name in task_names()],
    }
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        click.echo(_text(report))


def _machine() -> dict[str, Any]:
    page = os.sysconf("SC_PAGE_SIZE")
    there = next(folder for folder in (home(), *home().absolute().parents) if folder.exists())
    return {
        "triptych": importlib.metadata.version(DISTRIBUTION),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * page,
        "memory_free": os.sysconf("SC_AVPHYS_PAGES") * page,
        "disk_free": shutil.disk_usage(there).free,
    }


def _settings() -> dict[str, Any]:
    return {
        "TRIPTYCH_HOME": {"path": str(home()), "chosen": "TRIPTYCH_HOME" in os.environ, "exists": home().is_dir()},
        "TRIPTYCH_WEIGHTS": [{"path": str(path), "exists": path.is_dir()} for path in named_folders()],
        "TRIPTYCH_OFFLINE": offline(),
    }


def _libraries() -> list[dict[str, Any]]:
    """Every library that this distribution's own metadata names, without importing any."""
    metadata = importlib.metadata.metadata(DISTRIBUTION)
    wanted = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or []]
    extras = ["", *(extra for extra in metadata.get_all("Provides-Extra") or [] if extra not in _NOT_LISTED)]
    rows = []
    for extra in extras:
        for library in wanted:
            belongs = library.marker.evaluate({"extra": extra}) if library.marker else not extra
            if belongs and library.name != DISTRIBUTION:
                rows.append(_library(library, extra))
    return rows


def _library(wanted: Requirement, extra: str) -> dict[str, Any]:
    install = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{DISTRIBUTION}'"
    try:
        version: str | None = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    fits = version is not None and wanted.specifier.contains(version, prereleases=True)
    facts = {"name": wanted.name, "extra": extra, "version": version, "wanted": str(wanted.specifier)}
    return facts | {"install": None if fits else install}


def _network() -> list[dict[str, Any]]:
    if offline():
        return []
    from shared.weights.reach import survey  # noqa: PLC0415

    return [dataclasses.asdict(found) for found in survey()]


def _task(name: str) -> dict[str, Any]:
    try:
        card = catalogue.default(name)
    except UnknownNameError:
        return {"task": name, "model": None}
    missing = _missing(card)
    facts = {"task": name, "model": card.name, "licence": card.licence, "backend": card.backend}
    return facts | {"here": missing == [], "to_fetch": sum(size or 0 for size in missing)}


def _missing(card: ModelCard) -> list[int | None]:
    places = locate(card)
    return [pinned(file).size for file in card.files if places[file.name] is None]


def _text(report: dict[str, Any]) -> str:
    machine, settings = report["machine"], report["settings"]
    return "\n\n".join(
        [
            table(None, _machine_rows(machine, settings)),
            "Libraries\n" + table(None, [_library_row(row) for row in report["libraries"]], indent=2),
            "Network\n" + table(None, [_network_row(row) for row in report["network"]] or [["not asked"]], indent=2),
            "Tasks\n" + table(None, [_task_row(row) for row in report["tasks"]], indent=2),
        ]
    )


def _machine_rows(machine: dict[str, Any], settings: dict[str, Any]) -> list[list[str]]:
    place = settings["TRIPTYCH_HOME"]
    origin = "" if place["chosen"] else " (set TRIPTYCH_HOME to choose another)"
    named = [row["path"] + ("" if row["exists"] else " (no such folder)") for row in settings["TRIPTYCH_WEIGHTS"]]
    return [
        ["Triptych", f"{machine['triptych']} on Python {machine['python']}, {machine['system']}"],
        ["Processors", str(machine["processors"])],
        ["Memory", f"{human(machine['memory'])}, {human(machine['memory_free'])} of it free"],
        ["Cache", place["path"] + origin],
        ["", f"{human(machine['disk_free'])} free" + ("" if place["exists"] else "; made at the first download")],
        *([["Weights", ", ".join(named)]] if named else []),
        ["Offline", "yes: TRIPTYCH_OFFLINE is set, no socket is opened" if settings["TRIPTYCH_OFFLINE"] else "no"],
    ]


def _library_row(row: dict[str, Any]) -> list[str]:
    name = f"{row['name']} [{row['extra']}]" if row["extra"] else row["name"]
    if row["install"] is None:
        return [name, row["version"]]
    state = "not installed" if row["version"] is None else f"{row['version']}, and {row['wanted']} is needed"
    return [name, f"{state}: {row['install']}"]


def _network_row(row: dict[str, Any]) -> list[str]:
    return [row["what"], "yes" if row["answers"] else "NO", f"{row['where']}  {row['said']}".rstrip()]


def _task_row(row: dict[str, Any]) -> list[str]:
    if row["model"] is None:
        return [row["task"], "no default", "train one, and name its folder"]
    state = "here" if row["here"] else f"{human(row['to_fetch'])} to fetch"
    return [row["task"], row["model"], f"{state}, {row['backend']}, {row['licence']}"]
