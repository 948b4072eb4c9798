"""``triptych demo``: the Gradio pages, on this machine."""

from __future__ import annotations

import click

from shared.errors import UsageError
from shared.lazy import require


@click.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on; 0.0.0.0 for every network")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 takes any free one")
@click.option(
    "--auth",
    envvar="TRIPTYCH_DEMO_AUTH",
    metavar="USER:PASSWORD",
    help="ask visitors for these; from TRIPTYCH_DEMO_AUTH when not given, which keeps them out of the process list",
)
@click.option(
    "--memory",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    metavar="MIB",
    help="MiB that opened models may take together; then those asked longest ago are let go",
)
def command(host: str, port: int, auth: str | None, memory: int) -> int:
    """Serve a page for each job until interrupted: pictures, faces, texts, documents, books, experiments, drift.

    Models are fetched and opened at first use. What visitors upload stays on this machine and is deleted.
    """
    click.echo("Starting the pages", err=True)
    require("demos.lean", extra="demos").import_gradio()
    app = require("demos.app", extra="demos")
    code: int = app.serve(host=host, port=port, auth=_credentials(auth), say=click.echo, memory=memory)
    return code


def _credentials(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise UsageError("--auth must be USER:PASSWORD, both not empty")
    return user, password
