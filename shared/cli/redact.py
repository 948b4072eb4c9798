"""``triptych redact FILE...``: texts without persons, addresses and numbers, line by line as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from shared.cli.predict import json_line
from shared.errors import UsageError
from shared.tasks import find_task
from shared.types import Failure

TASK = "nlp.ner"
KINDS = "person, organisation, place, email, iban, card, ip, phone"


@click.command("redact")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("--kind", "kinds", multiple=True, help=f"what to take out, may be given again: {KINDS}")
@click.option("--style", default="label", show_default=True, help="label, mask or hash: what stands for it")
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="a file whose bytes (16 at least) are the key of the hashes"
)
@click.option("--whole", is_flag=True, help="read each file as one text, so that names may go on over line breaks")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line: where each stretch was and is")
@click.option("--model", help="recogniser of names; the default of nlp.ner when not given")
@click.option("--gazetteer", multiple=True, help="a file of names of your own: kind, tab, name a line")
@click.option("--patterns", help="a file of patterns of your own: JSONL with label and regex")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or gpu")
@click.option("--threads", type=int, help="processor threads; all when not given")
def command(
    files: tuple[str, ...],
    *,
    kinds: tuple[str, ...],
    style: str,
    key_file: Path | None,
    whole: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Print each FILE without what it should not tell; "-" reads standard input.

    Without --kind: persons, e-mail addresses, IBANs, card numbers, IP addresses and telephone numbers. Where no kind
    needs a recogniser no model is opened. A line that cannot be read (its bytes are no UTF-8, say) is left empty and
    named on standard error; the command then ends with 1. No redaction is perfect: look at what comes out.
    """
    key = None if key_file is None else _key(key_file)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    asked = (list(kinds),) if kinds else ()
    redactor = find_task(TASK).tools["redactor"](*asked, style=style, key=key, **given)
    failed = total = 0
    places: list[tuple[str, int]] = []
    for result in redactor.stream(_texts(files, whole, places)):
        total += 1
        file, line = places.pop(0)
        if isinstance(result, Failure):
            failed += 1
            where = file if whole else f"{file}, line {line}"
            click.echo(f"triptych: {where}: {result.message}", err=True)
        if as_json:
            click.echo(json_line({"input": file, "line": line} | _row(result)))
        else:
            click.echo("" if isinstance(result, Failure) else result.text, nl=not whole)
    if failed:
        click.echo(f"triptych: {failed} of {total} texts failed", err=True)
    return 1 if failed else 0


def _texts(files: tuple[str, ...], whole: bool, places: list[tuple[str, int]]) -> Iterator[str]:
    """The texts in order; where each stands is noted in ``places`` as it is read.

    Bytes that are no UTF-8 come as lone surrogates, which the redactor refuses one text at a time.
    """
    for file in files:
        try:
            with open(
                0 if file == "-" else file,
                encoding="utf-8",
                errors="surrogateescape",
                newline="\n",
                closefd=file != "-",
            ) as lines:
                for number, text in enumerate([lines.read()] if whole else lines, 1):
                    places.append((file, number))
                    yield text if whole else text.removesuffix("\n")
        except OSError as error:
            raise UsageError(f"FILE must be a file that can be read. {file}: {error.strerror}") from error


def _key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key-file must be a file that can be read. {path}: {error.strerror}") from error


def _row(result: Any) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {"ok": False, "error": {"kind": result.kind, "message": result.message}}
    return {"ok": True, "result": result.to_json()}
