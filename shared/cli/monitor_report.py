"""``triptych monitor report CHECK.json FILE.html``: a saved check as a page."""

from __future__ import annotations

from pathlib import Path

import click

from shared.errors import UsageError


@click.command("report")
@click.argument("check", type=click.Path(path_type=Path), metavar="CHECK.json")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.html")
def command(check: Path, file: Path) -> int:
    """Write what 'triptych monitor check --json' printed into CHECK.json as an HTML page below 2 MB."""
    from shared.monitoring.checking import read_check  # noqa: PLC0415 - NumPy is loaded only where it is used

    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the page's name must end in .html or .htm. Got {file.name!r}")
    read_check(check).report(file)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")
    return 0
