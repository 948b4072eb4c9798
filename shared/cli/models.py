"""``triptych models list|show|fetch|verify|optimize``: what there is, where it lies, its fastest form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from shared import catalogue
from shared.catalogue import ModelCard, ModelFile
from shared.cli.tables import table
from shared.errors import UnknownNameError, UsageError, WeightsError
from shared.tasks import find_task
from shared.weights import ensure, locate, pinned, read_model_folder, verify
from shared.weights.cache import entries, forget, owned, sha256_of
from shared.weights.folder import is_model_folder, to_toml
from shared.weights.named import named
from shared.weights.words import human, masked, say


@click.group("models")
def command() -> None:
    """List, show, fetch, verify and optimise models.

    Weights are kept in TRIPTYCH_HOME/weights. Folders named in TRIPTYCH_WEIGHTS are read first and never written.
    TRIPTYCH_OFFLINE=1 opens no socket.
    """


@command.command("list", short_help="every model, its licence and size, and whether it is here")
@click.option("--task", help="only models of this task")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a model")
def list_models(task: str | None, as_json: bool) -> None:
    """Every model of the catalogue: task, licence, size, and whether it is on this machine."""
    cards = _of_task(task)
    if as_json:
        for card in cards:
            click.echo(json.dumps(_summary(card), ensure_ascii=False))
        return
    rows = [[card.name, card.task, card.licence, human(_size(card)), _here(card), _remark(card)] for card in cards]
    click.echo(table(["MODEL", "TASK", "LICENCE", "SIZE", "HERE", ""], rows))


@command.command("show", short_help="one model: its files, hashes, sources, and where it lies")
@click.argument("name")
@click.option("--card", "as_card", is_flag=True, help="its card as TOML, to copy from for a graph of your own")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def show(name: str, as_card: bool, as_json: bool) -> None:
    """One model, by catalogue name or folder: its files with hash, where each lies, and its sources in order."""
    card = _find(name, None)
    if as_card:
        click.echo(to_toml(card), nl=False)
        return
    places = locate(card)
    if as_json:
        files = [_file_facts(pinned(file), places[file.name]) for file in card.files]
        options = {"options": dict(card.options), "family": card.family, "files": files}
        click.echo(json.dumps(_summary(card) | options, ensure_ascii=False, indent=1))
        return
    facts = [
        ["task", card.task + (" (its default)" if card.default else "")],
        ["summary", card.summary],
        ["licence", card.licence],
        *([["opt-in", card.opt_in]] if card.opt_in else []),
        ["runs on", f"{card.backend}, family {card.family}"],
        ["listed in", card.origin],
    ]
    click.echo(card.name)
    click.echo(table(None, facts, indent=2))
    for row in card.files:
        file = pinned(row)
        click.echo(f"\n{file.name}  {human(file.size)}")
        lines = [["sha256", file.sha256 or "the hub states it; the first download pins it"]]
        lines.append(["lies in", str(places[file.name] or "nowhere yet")])
        lines += [[f"source {n}", masked(source)] for n, source in enumerate(file.sources, start=1)]
        click.echo(table(None, lines, indent=2))


@command.command("fetch", short_help="bring models to this machine; all defaults when none is named")
@click.argument("names", nargs=-1)
@click.option("--task", help="only models of this task; without NAME its default")
@click.option("--quiet", is_flag=True, help="no progress")
def fetch(names: tuple[str, ...], task: str | None, quiet: bool) -> int:
    """Bring models to this machine: those named, or every task's default. What is here already is verified."""
    failed = 0
    cards = _named(names, task) if names else [card for card in _of_task(task) if card.default]
    for card in cards:
        try:
            ensure(card, progress=not quiet)
        except WeightsError as error:
            failed += 1
            say(str(error))
        else:
            click.echo(f"{card.name}: {human(_size(card))} here and verified")
    if failed:
        say(f"{failed} of {len(cards)} models cannot be had")
    return WeightsError.exit_code if failed else 0


@command.command("verify", short_help="hash what is here; damaged files are named")
@click.argument("names", nargs=-1)
@click.option("--delete", is_flag=True, help="remove damaged files from the cache; the next use fetches them anew")
def verify_models(names: tuple[str, ...], delete: bool) -> int:
    """Hash what is on this machine: the models named, or all of them and the whole cache. Ends with 1 on damage."""
    cards = _named(names, None) if names else catalogue.cards()
    found = [(card.name, checked) for card in cards for checked in verify(card)]
    rows = [[checked.state, name, checked.file.name, str(checked.path)] for name, checked in found if checked.path]
    damaged = {checked.path for _, checked in found if checked.state == "damaged" and checked.path}
    if not names:
        seen = {checked.path for _, checked in found}
        for promised, path in entries():
            if path not in seen:
                state = "ok" if sha256_of(path).startswith(promised) else "damaged"
                rows.append([state, "(no model lists it)", path.name, str(path)])
                damaged |= {path} if state == "damaged" else set()
    absent = [(name, checked.file.name) for name, checked in found if names and checked.state == "missing"]
    click.echo(table(["STATE", "MODEL", "FILE", "PATH"], rows) if rows else "nothing is cached yet")
    for path in sorted(damaged):
        _report_damage(path, delete)
    for name, file in absent:
        say(f"{file} of {name} is not on this machine; 'triptych models fetch {name}' brings it")
    return 1 if damaged or absent else 0


@command.command("optimize", short_help="the fastest form of a model here that still answers the same")
@click.argument("name")
@click.option("--images", type=click.Path(path_type=Path), help="vision: a folder of typical images; 64 are used")
@click.option("--texts", type=click.Path(path_type=Path), help="nlp: a file with a typical text a line; 256 are used")
@click.option("--task", help="the task, where NAME is neither in the catalogue nor a model folder")
@click.option("--precision", default="auto", show_default=True, help="fp32, bf16, int8, or auto for all that help here")
@click.option("--bound", type=float, help="least agreement with the original, in [0, 1]; the task's own if not given")
@click.option("--out", type=click.Path(path_type=Path), help="folder to write; in TRIPTYCH_HOME/optimized if not given")
@click.option("--threads", type=int, help="processor threads; all when not given")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def optimize(
    name: str, images: Path | None, texts: Path | None, task: str | None, as_json: bool, **options: Any
) -> int:
    """Try other forms of a model on this machine, and keep the fastest that answers like the original.

    Of a vision model the forms are OpenVINO's own format (fp32), bfloat16 where the processor has it, and 8-bit
    integers calibrated on half of the images (int8, which needs the extra optimize); the other half judges. Of a text
    model it is 8-bit integers for ONNX Runtime, judged on the texts; where it reads two at once they stand in a line
    with a tab between.

    A reader's form may hand its near-ties to the original, which is then kept beside it.

    A form that agrees less than the bound, or is not at least 1.05 times as fast in paired turns, is refused, with the
    reason. What is kept without --out is known by name from then on, NAME-int8 say. Ends with 1 when none was kept.
    """
    served = find_task(task or _find(name, None).task)
    if "optimize" not in served.tools:
        raise UsageError(f"models optimize takes models of the vision and text tasks. {name} is one of {served.name}")
    kind, given = ("images", images) if served.inputs == "image" else ("texts", texts)
    if given is None:
        raise UsageError(f"models optimize judges models of {served.name} on typical {kind}: say where (--{kind})")
    report = served.tools["optimize"](name, **{kind: given}, **options)
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return 0 if report["written"] else 1
    rows = [
        [row["precision"], *(_figure(row[key]) for key in ("agreement", "speed")), row["refused"] or _kept(row)]
        for row in report["tried"]
    ]
    click.echo(f"{report['model']}: judged on {report[kind]} {kind}, agreement of at least {report['bound']} wanted")
    click.echo(table(["FORM", "AGREEMENT", "SPEED", ""], rows))
    if report["written"]:
        click.echo(f"written: {report['written']} (open it with --model {report['name'] or report['written']})")
    else:
        click.echo("nothing was written: the original is the fastest form here that gives its answers")
    return 0 if report["written"] else 1


def _kept(row: Mapping[str, Any]) -> str:
    asked = row.get("asked_again")
    return "kept if fastest" + (f"; {asked:.1%} of the texts are near-ties that float32 decides" if asked else "")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _report_damage(path: Path, delete: bool) -> None:
    if not owned(path):
        say(f"{path} is damaged; it is not the cache's own, so replace it yourself")
    elif delete:
        forget(path)
        say(f"{path} was damaged and is deleted")
    else:
        say(f"{path} is damaged; --delete removes it")


def _of_task(task: str | None) -> list[ModelCard]:
    cards = catalogue.cards(task)
    if task is not None and not cards:
        raise UnknownNameError("task with models", task, {card.task for card in catalogue.cards()})
    return cards


def _named(names: Sequence[str], task: str | None) -> list[ModelCard]:
    return [_find(name, task) for name in dict.fromkeys(names)]


def _find(name: str, task: str | None) -> ModelCard:
    folder = Path(named(name) or name)
    return read_model_folder(folder) if is_model_folder(folder) else catalogue.find(name, task=task)


def _size(card: ModelCard) -> int | None:
    sizes = [pinned(file).size for file in card.files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _here(card: ModelCard) -> str:
    places = list(locate(card).values())
    there = sum(path is not None for path in places)
    return "yes" if there == len(places) else "no" if not there else f"{there} of {len(places)} files"


def _remark(card: ModelCard) -> str:
    return ", ".join(filter(None, ["default" if card.default else "", f"opt-in: {card.opt_in}" if card.opt_in else ""]))


def _summary(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "task": card.task,
        "licence": card.licence,
        "size": _size(card),
        "here": all(locate(card).values()),
        "default": card.default,
        "opt_in": card.opt_in,
        "backend": card.backend,
        "summary": card.summary,
        "origin": card.origin,
    }


def _file_facts(file: ModelFile, path: Path | None) -> dict[str, Any]:
    place = str(path) if path else None
    sources = [masked(source) for source in file.sources]
    return {"name": file.name, "size": file.size, "sha256": file.sha256, "path": place, "sources": sources}
