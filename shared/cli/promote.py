"""``triptych promote NAME/NUMBER``: a challenger at the gate; and ``triptych promote records``, what was decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shared.errors import UsageError
from shared.tasks import check_dataset

HELP = """Judge a registered version (NAME/NUMBER or NAME@ALIAS) against the champion of its name on labelled data that
neither has learnt from, and make it champion if everything holds.

Says all reasons where it does not, and ends with 1. Without a champion only what needs none is asked. Every decision
leaves a signed record."""


GROUP_HELP = """Let a challenger take the champion's place if it passes the gate; read what was decided.

\b
triptych promote NAME/NUMBER --data DATASET [--rules GATE.toml]   (triptych promote model --help)
triptych promote records [--verify]"""


class PromoteCommands(click.Group):
    """A group whose first word is a model, unless it is ``records``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in self.commands and args[0] != "model":
            return super().resolve_command(ctx, args)
        return "model", self.commands["model"], args


@click.group("promote", cls=PromoteCommands, help=GROUP_HELP, subcommand_metavar="NAME/NUMBER --data DATASET | records")
def command() -> None:
    """The gate and its records."""


@command.command("model", help=HELP, short_help="judge a registered version and move the alias if it passes")
@click.argument("model", metavar="NAME/NUMBER")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="labelled data, as evaluate reads them")
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="TOML; the task's first figure, not worse")
@click.option("--option", "given", multiple=True, metavar="NAME=VALUE", help="an option of the task's evaluate")
@click.option("--registry", "url", help="a folder or an MLflow server's URL; that of TRIPTYCH_HOME when not given")
@click.option("--seed", default=0, show_default=True, help="of everything random")
@click.option("--dry-run", is_flag=True, help="judge and write the record down, and move nothing")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def model_command(
    *,
    model: str,
    data: Path,
    rules_file: Path | None,
    given: tuple[str, ...],
    url: str | None,
    seed: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    from shared.lifecycle.promoting import promote  # noqa: PLC0415 - the command line is made without it
    from shared.lifecycle.records import Records  # noqa: PLC0415
    from shared.lifecycle.registry import registry  # noqa: PLC0415
    from shared.lifecycle.rules import Rules, read_rules  # noqa: PLC0415

    check_dataset(data)
    rules = Rules() if rules_file is None else read_rules(rules_file)
    found = promote(
        registry(url), model, data, rules=rules, records=Records(), options=_pairs(given), seed=seed, move=not dry_run
    )
    if as_json:
        row = {"record": found.record.number, "digest": found.record.digest, "moved": found.moved}
        click.echo(json.dumps({**row, **found.judgement.to_json()}, ensure_ascii=False))
    else:
        for ruling in found.judgement.rulings:
            click.echo(f"  {'holds  ' if ruling.held else 'REFUSES'}  {ruling.rule}: {ruling.said}")
        word = "promoted" if found.moved else "would be promoted" if found.judgement.passed else "refused"
        click.echo(f"{model} {word}; record {found.record.number}")
    return 0 if found.judgement.passed else 1


@command.command("records", short_help="decisions, oldest first; one whole; all verified")
@click.option("--verify", is_flag=True, help="look at every signature and at the chain; ends with 1 where it is broken")
@click.option("--public-key", type=click.Path(path_type=Path), help="the key to trust; that of TRIPTYCH_HOME")
@click.option("--head", help="with --verify: the hash that was noted of the last record")
@click.option("--records", "folder", type=click.Path(path_type=Path), help="their folder; that of TRIPTYCH_HOME")
@click.option("--show", type=int, metavar="NUMBER", help="one record, whole")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def records_command(
    *,
    verify: bool,
    public_key: Path | None,
    head: str | None,
    folder: Path | None,
    show: int | None,
    as_json: bool,
) -> int:
    """List the decisions, oldest first; show one; verify all."""
    from shared.lifecycle.records import Records  # noqa: PLC0415 - the command line is made without it

    records = Records(folder)
    if (head is not None or public_key is not None) and not verify:
        raise UsageError("--head and --public-key go with --verify")
    if verify:
        found = records.verify(public_key=public_key, head=head)
        for fault in found.faults:
            click.echo(f"triptych: {fault}", err=True)
        word = "broken" if found.faults else "whole"
        click.echo(f"{found.records} records, the chain is {word}; head {found.head}")
        return 1 if found.faults else 0
    if show is not None:
        click.echo(json.dumps(dict(records.find(show).body), indent=2, ensure_ascii=False))
        return 0
    for record in records.all():
        body = dict(record.body)
        row = {"record": record.number, "time": record.time, "digest": record.digest, **_row(body)}
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            reasons = f": {'; '.join(row['reasons'])}" if row["reasons"] else ""
            click.echo(f"{record.number:>6}  {record.time}  {row['kind']}  {row['model']}  {row['verdict']}{reasons}")
    return 0


def _row(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": body.get("kind", ""),
        "model": (body.get("challenger") or {}).get("name", body.get("name", "")),
        "verdict": body.get("verdict", ""),
        "reasons": body.get("reasons", []),
    }


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--option must be NAME=VALUE. Got {pair!r} instead")
        found[name] = value
    return found
