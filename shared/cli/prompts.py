"""``triptych prompts``: what language models are told, as versioned artefacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shared.errors import DataError, UsageError
from shared.tasks import find_task

TASK = "nlp.generation"
HELP = """List, show, render, test and compare prompts of language models.

NAME is a prompt that ships, one under TRIPTYCH_HOME/prompts, or a folder with prompt.toml and template.j2."""


@click.group("prompts", help=HELP)
def command() -> None:
    """See :data:`HELP`."""


@command.command("list", short_help="every prompt that has a name here")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def listed(*, as_json: bool) -> int:
    """Every prompt that has a name here."""
    for name in sorted(_tool("prompts")()):
        prompt = _tool("prompt")(name)
        if as_json:
            click.echo(json.dumps(_facts(prompt), ensure_ascii=False))
        else:
            click.echo(f"{name:<24} {prompt.version:<8} {prompt.digest[:12]}  {prompt.summary}")
    return 0


@command.command("show", short_help="what a prompt takes, says and expects, and its figures")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def shown(name: str, *, as_json: bool) -> int:
    """What a prompt takes, says and expects, and how models did on its examples."""
    prompt = _tool("prompt")(name)
    facts = _facts(prompt)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return 0
    click.echo(
        f"{prompt.name} {prompt.version}: {prompt.summary}\n  digest {prompt.digest}\n  licence {prompt.licence}"
    )
    for one in facts["variables"]:
        default = "" if one["required"] else f", {one['default']!r} when not given"
        click.echo(f"  {one['name']}: {one['type']}{default}; {one['help']}")
    click.echo(f"  answers: {prompt.output.kind}")
    for row in facts["figures"]:
        figures = ", ".join(
            f"{key} {m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" for key, m in row["figures"].items()
        )
        click.echo(f"  {row['model']}, {row['n']} examples: {figures}")
    click.echo(f"\n{prompt.source.rstrip()}")
    return 0


@command.command("render", short_help="the messages, as a JSON list")
@click.argument("name")
@click.option("--set", "given", multiple=True, metavar="VARIABLE=TEXT", help="a variable's text; several may be given")
@click.option("--values", type=click.Path(path_type=Path), metavar="FILE", help="variables as one JSON object")
def rendered(name: str, given: tuple[str, ...], values: Path | None) -> int:
    """The messages, as a JSON list."""
    table = _table(values) if values is not None else {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set must be VARIABLE=TEXT. Got {pair!r} instead")
        table[key] = text
    click.echo(json.dumps(_tool("prompt")(name).messages(**table), ensure_ascii=False, indent=1))
    return 0


@command.command("test", short_help="render every example; with --model measure what comes")
@click.argument("name")
@click.option(
    "--examples", type=click.Path(path_type=Path), metavar="FILE", help="evaluation set; the prompt's own else"
)
@click.option("--model", help="let this model answer too, as in triptych evaluate nlp.generation")
@click.option("--reader", help="judge by a reader too: its name, or default")
@click.option("--nli", help="judge by inference too: a model of the family nli")
@click.option("--record", is_flag=True, help="keep the model's figures beside the prompt")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def tested(
    name: str, examples: Path | None, model: str | None, *, record: bool, as_json: bool, **judges: str | None
) -> int:
    """Render every example and look at it; with --model measure what the model answers. Ends with 1 on a fault."""
    if record and not model:
        raise UsageError("--record keeps a model's figures: name the model (--model)")
    prompt = _tool("prompt")(name)
    rows: list[dict[str, Any]] = _tool("prompt_check")(prompt, examples=examples)
    faults = [row for row in rows if not row["ok"]]
    report: dict[str, Any] = {"prompt": name, "digest": prompt.digest, "examples": len(rows), "faults": faults}
    if model:
        evaluate: Any = find_task(TASK).evaluate
        found = evaluate(examples or prompt.folder / "examples.jsonl", model=model, prompt=str(prompt.folder), **judges)
        report |= found.to_json()
        if record:
            report["recorded"] = str(_tool("prompt_record")(prompt, found, examples=examples))
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        click.echo(f"{prompt.name} {prompt.version}: {len(rows)} examples, {len(faults)} at fault")
        for row in faults:
            click.echo(f"  {row['id']}: {row['fault']}")
        if model:
            click.echo(found.to_text())
    return 1 if faults else 0


@command.command("diff", short_help="what differs between two prompts in what a model is told")
@click.argument("before")
@click.argument("after")
def compared(before: str, after: str) -> int:
    """What differs between two prompts in what a model is told; nothing where they tell the same."""
    one, other = (_tool("prompt")(name) for name in (before, after))
    for line in _tool("prompt_diff")(one, other):
        click.echo(line)
    return 0


@command.command("save", short_help="write a prompt as a model folder, with a card and hashes")
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
def saved(name: str, out: Path) -> int:
    """Write a prompt as a model folder, with a card and hashes, for a registry or to change a copy of it."""
    card = _tool("prompt_save")(_tool("prompt")(name), out)
    click.echo(json.dumps({"name": card.name, "folder": str(out), "files": [file.name for file in card.files]}))
    return 0


def _tool(name: str) -> Any:
    return find_task(TASK).tools[name]


def _facts(prompt: Any) -> dict[str, Any]:
    variables = [
        {"name": one.name, "type": one.type, "required": one.required, "help": one.help}
        | ({} if one.required else {"default": one.default})
        for one in prompt.variables.values()
    ]
    return {
        "name": prompt.name,
        "version": prompt.version,
        "digest": prompt.digest,
        "summary": prompt.summary,
        "licence": prompt.licence,
        "folder": str(prompt.folder),
        "variables": variables,
        "output": prompt.output.kind,
        "figures": prompt.figures(),
    }


def _table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must hold variables as one JSON object. {error}") from error
    if not isinstance(table, dict):
        raise DataError(f"{path} must hold variables as one JSON object. Got a {type(table).__name__} instead")
    return table
