"""``triptych registry``: versions of models, which one is live, and the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared.cli.tables import table
from shared.errors import UsageError
from shared.weights.words import human

if TYPE_CHECKING:
    from shared.lifecycle.registry import Registry, Version


HELP = """Registered models: whole predictors under a name, with numbers and aliases.

registry:NAME, registry:NAME@ALIAS and registry:NAME/3 are models for every command: --model registry:NAME@champion.
They lie in TRIPTYCH_HOME/lifecycle, or in the folder or on the MLflow server that TRIPTYCH_TRACKING names.

\b
  triptych registry add sentiment out/ --note "three epochs"
  triptych registry alias sentiment champion 2
  triptych serve nlp.classification=registry:sentiment@champion
  triptych registry rollback sentiment"""


@click.group("registry", help=HELP)
def command() -> None:
    """What is registered."""


@command.command("add", short_help="keep a model as the next version of a name")
@click.argument("name")
@click.argument("model")
@click.option("--task", help="which task MODEL is of, where it is neither in the catalogue nor a model folder")
@click.option("--note", default="", help="what to say of it")
@click.option("--run", help="id of the run that made it")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="a further fact; may be given again")
@click.option("--key", help="an idempotency key: the same one again adds nothing")
@click.option("--alias", "aliases", multiple=True, help="let this alias lead to it; may be given again")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def add(name: str, model: str, tags: tuple[str, ...], aliases: tuple[str, ...], as_json: bool, **told: Any) -> None:
    """Keep MODEL, whole, as the next version of NAME.

    MODEL is a model folder, a catalogue name or whatever its task opens. The same model again is the version that is
    there.
    """
    there = _registry()
    pairs = [tag.partition("=") for tag in tags]
    if not all(key and equals for key, equals, _ in pairs):
        raise UsageError(f"a tag must be KEY=VALUE. Got {', '.join(tags)}")
    found = there.register(model, name=name, tags={key: value for key, _, value in pairs}, **told)
    for alias in aliases:
        found = there.alias(name, alias, found.number)
    _tell(found, as_json, f"{found.reference} holds {model}{_led(found)}")


@command.command("list", short_help="every name with its versions and aliases")
@click.argument("name", required=False)
@click.option("--task", help="only models of this task")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a version")
def list_versions(name: str | None, task: str | None, as_json: bool) -> None:
    """Every name with its newest version and its aliases; of one NAME every version."""
    there = _registry()
    names = [name] if name else there.names()
    versions = {one: [version for version in there.versions(one) if task in (None, version.task)] for one in names}
    if as_json:
        for version in (version for some in versions.values() for version in some):
            click.echo(json.dumps(version.to_json(), ensure_ascii=False))
        return
    if name:
        rows = [_row(version) for version in versions[name]]
        click.echo(table(["VERSION", "TASK", "CREATED", "ALIASES", "DIGEST", "NOTE"], rows))
        return
    rows = [
        [one, some[-1].task, str(some[-1].number), _aliases(some), _when(some[-1])]
        for one, some in versions.items()
        if some
    ]
    header = ["NAME", "TASK", "NEWEST", "ALIASES", "ADDED"]
    click.echo(table(header, rows) if rows else "no model is registered yet: triptych registry add NAME MODEL")


@command.command("show", short_help="one version, its files, and how the aliases of its name moved")
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def show(reference: str, as_json: bool) -> None:
    """One version (NAME, NAME@ALIAS or NAME/3): where its files lie, and how the aliases of its name moved."""
    there = _registry()
    found = there.find(reference)
    folder, moves = there.fetch(found), there.history(found.name)
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*.*"))}
    files = {name: size for name, size in files.items() if (folder / name).is_file()}
    if as_json:
        more = {"folder": str(folder), "files": files, "moves": [move.to_json() for move in moves]}
        click.echo(json.dumps(found.to_json() | more, ensure_ascii=False, indent=1))
        return
    facts = [
        ["task", found.task],
        ["created", _when(found)],
        ["aliases", ", ".join(found.aliases) or "none"],
        ["digest", found.digest],
        *([["run", found.run]] if found.run else []),
        *([["note", found.note]] if found.note else []),
        *map(list, found.tags.items()),
        ["lies in", str(folder)],
    ]
    click.echo(f"{found.reference}\n{table(None, facts, indent=2)}")
    click.echo(f"\nfiles\n{table(None, [[name, human(size)] for name, size in files.items()], indent=2)}")
    if moves:
        rows = [
            [
                "?" if move.at is None else move.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                move.alias,
                "nowhere" if move.number is None else str(move.number),
                move.why,
            ]
            for move in moves
        ]
        click.echo(f"\naliases\n{table(None, rows, indent=2)}")


@command.command("alias", short_help="let an alias lead to a version")
@click.argument("name")
@click.argument("alias")
@click.argument("number", type=int, required=False)
@click.option("--remove", is_flag=True, help="take the alias away")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def alias(name: str, alias: str, number: int | None, remove: bool, as_json: bool) -> None:
    """Let ALIAS of NAME lead to version NUMBER from now on; or take it away with --remove."""
    if remove == (number is not None):
        raise UsageError("say the NUMBER that the alias is to lead to, or --remove, and not both")
    there = _registry()
    if number is None:
        there.unalias(name, alias)
        click.echo(f"{name}@{alias} is no more")
        return
    found = there.alias(name, alias, number)
    _tell(found, as_json, f"{name}@{alias} leads to {found.reference}")


@command.command("rollback", short_help="let an alias lead to the version before")
@click.argument("name")
@click.option("--alias", default="champion", show_default=True, help="which alias")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def rollback(name: str, alias: str, as_json: bool) -> None:
    """Let an alias of NAME lead to the version that it led to before. Again goes one step further back."""
    found = _registry().rollback(name, alias)
    _tell(found, as_json, f"{name}@{alias} leads to {found.reference} again")


@command.command("export", short_help="write a model into one folder that opens anywhere")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--task", help="which task MODEL is of, where it is neither in the catalogue nor a model folder")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def export_model(model: str, folder: Path, task: str | None, as_json: bool) -> None:
    """Write MODEL (registry:NAME, a model folder, a catalogue name) into one FOLDER that opens anywhere, offline."""
    from shared.lifecycle.portable import export  # noqa: PLC0415 - the command line is made without it

    made = export(model, folder, task=task)
    if as_json:
        content = {"folder": str(made.folder), "task": made.card.task, "digest": made.digest, "size": made.size}
        click.echo(json.dumps(content))
        return
    click.echo(f"{made.folder} holds {made.card.name} of {made.card.task}, {human(made.size)}: open it with --model")


@command.command("remove", short_help="forget versions that no alias leads to")
@click.argument("references", nargs=-1, required=True, metavar="NAME/NUMBER...")
def remove(references: Sequence[str]) -> None:
    """Forget versions (NAME/3), and their files where no other version has the same."""
    there = _registry()
    found = [there.find(reference) for reference in references]
    for reference, version in zip(references, found):
        if not reference.endswith(f"/{version.number}"):
            raise UsageError(f"what is removed must be named by its number: {version.name}/{version.number}")
    for version in found:
        there.remove(version)
        click.echo(f"{version.reference} is no more")


def _registry() -> Registry:
    from shared.lifecycle.registry import registry  # noqa: PLC0415 - the command line is made without it

    return registry()


def _tell(found: Version, as_json: bool, said: str) -> None:
    click.echo(json.dumps(found.to_json(), ensure_ascii=False) if as_json else said)


def _led(found: Version) -> str:
    return f"; {', '.join(found.aliases)} leads to it" if found.aliases else ""


def _row(version: Version) -> list[str]:
    aliases = ", ".join(version.aliases)
    return [str(version.number), version.task, _when(version), aliases, version.digest[:12], version.note]


def _aliases(versions: Sequence[Version]) -> str:
    return ", ".join(f"{alias} {one.number}" for one in versions for alias in one.aliases)


def _when(version: Version) -> str:
    return version.created.astimezone().strftime("%Y-%m-%d %H:%M")
